// survivesHosts: would all protected VMs still run if the r largest machines of the pool died? Biggest-first (first-fit
// decreasing by memory, then vcpus) onto what is left, with all mandatory filters and hard rules. Pure.
//
// Which r: those with most memory, and those with most memory in protected VMs; both have to be survived. All sets of r are
// too many to try. A packing that this does not find may exist all the same: a promise refused, never one broken.
// Like XAPI, only what turns a promise that holds into one that does not is refused: a pool that has lost a host already
// must be able to go on placing what it lost.
//
// Source: cloud.md 5.14; XAPI, Xapi_ha_vm_failover.assert_configuration_change_preserves_ha_plan.

import type { MachineView, VmNeed, VmView } from '../cloud/contract.ts'
import { biggestFirst } from './batch.ts'
import { Board, byName } from './board.ts'
import type { PlaceSnapshot } from './board.ts'
import { availableFor, prepareFilters } from './filters.ts'

export interface Survival {
  readonly holds: boolean
  /** Of the loss that is not survived: the machines, and the protected VMs that would have no place. */
  readonly lost: readonly string[]
  readonly left: readonly { readonly uuid: string; readonly name: string; readonly vcpus: number; readonly memoryMiB: number }[]
}

const HOLDS: Survival = { holds: true, lost: [], left: [] }

export const needOf = (vm: VmView): VmNeed => ({ ...vm, priority: vm.protection?.priority ?? 0 })
const isProtected = ({ protection, desired, error }: VmView): boolean => protection !== undefined && desired === 'running' && error === undefined

/** Machines by uuid, names in the answer. `hosts` 0: nothing is promised, it holds. */
export function survives(snapshot: PlaceSnapshot, hosts: number): Survival {
  if (hosts <= 0) return HOLDS
  const alive = snapshot.machines.filter(({ member, mode }) => member === 'alive' && mode !== 'maintenance').sort(byName)
  const guarded = snapshot.vms.filter((vm) => isProtected(vm) && vm.machine !== undefined)
  if (guarded.length === 0) return HOLDS
  const carried = new Map<string, number>()
  for (const { machine, memoryMiB } of guarded) if (machine !== undefined) carried.set(machine, (carried.get(machine) ?? 0) + memoryMiB)
  const greatest = (by: (machine: MachineView) => number): readonly MachineView[] => alive.toSorted((a, b) => by(b) - by(a)).slice(0, hosts)
  for (const lost of [greatest(({ memoryMiB }) => memoryMiB), greatest(({ uuid }) => carried.get(uuid) ?? 0)]) {
    const left = unplaced(snapshot, guarded, lost)
    if (left.length > 0) return { holds: false, lost: lost.map(({ name }) => name), left: left.map(({ uuid, name, vcpus, memoryMiB }) => ({ uuid, name, vcpus, memoryMiB })) }
  }
  return HOLDS
}

/** Protected VMs of lost machines that find no place on the others. */
function unplaced(snapshot: PlaceSnapshot, guarded: readonly VmView[], lost: readonly MachineView[]): readonly VmNeed[] {
  const gone = new Set(lost.map(({ uuid }) => uuid))
  const board = new Board({
    ...snapshot,
    machines: snapshot.machines.filter(({ uuid }) => !gone.has(uuid)),
    vms: snapshot.vms.filter(({ machine }) => machine === undefined || !gone.has(machine)),
  })
  const homeless = guarded.filter(({ machine }) => machine !== undefined && gone.has(machine)).map(needOf).sort(biggestFirst)
  return homeless.filter((vm) => {
    const filters = prepareFilters(vm, board, undefined)
    const machine = board.machines.find((one) => availableFor(filters, one))
    if (machine !== undefined) board.book(vm, machine)
    return machine === undefined
  })
}

/**
 * Why a VM on that machine would break the pool's promise (PoolRecord.survivesHosts); undefined: it keeps it, or there is
 * none that it could break. A VM that has a place already (it gets protected, it moves) is counted at the new one only.
 */
export const admissionProblem = (snapshot: PlaceSnapshot, vm: VmNeed, machine: string): string | undefined => promiseOf(snapshot)?.(vm, machine)

/** The same for several machines. Undefined: nothing is promised, or it is broken already and binds nobody. */
export function promiseOf(snapshot: PlaceSnapshot): ((vm: VmNeed, machine: string) => string | undefined) | undefined {
  const { survivesHosts } = snapshot.pool
  if (survivesHosts === 0 || !survives(snapshot, survivesHosts).holds) return undefined
  return (vm, machine) => {
    const { holds, lost, left } = survives(withPlaced(snapshot, vm, machine), survivesHosts)
    if (holds) return undefined
    const shown = left.slice(0, NAMES_SHOWN).map(({ name }) => name).join(', ')
    return `if ${lost.join(' and ')} were lost, there would be no room for ${shown}${left.length > NAMES_SHOWN ? ` and ${left.length - NAMES_SHOWN} more` : ''}`
  }
}
const NAMES_SHOWN = 3

/** The snapshot as it would be with the VM placed there; what it has booked elsewhere is given back. */
function withPlaced(snapshot: PlaceSnapshot, vm: VmNeed, machine: string): PlaceSnapshot {
  const { uuid, name, vcpus, memoryMiB, labels, group, images, storage, bridges, protection } = vm
  const present = snapshot.vms.find((one) => one.uuid === uuid)
  const there: VmView = {
    uuid, name, vcpus, memoryMiB, labels, images, storage, bridges, pool: snapshot.pool.uuid, desired: 'running', machine, epoch: (present?.epoch ?? 0) + 1, origin: 'create', inFlight: true,
    tries: { restarts: 0, relocations: 0, sinceMs: snapshot.atMs }, decidedAtMs: snapshot.atMs, ...(group === undefined ? {} : { group }), ...(protection === undefined ? {} : { protection }),
  }
  const leaves = present?.desired === 'running' ? present.machine : undefined
  return {
    ...snapshot,
    vms: [...snapshot.vms.filter((one) => one.uuid !== uuid), there],
    machines: snapshot.machines.map((one) => {
      const kept = present !== undefined && one.uuid === leaves ? booking(one, present, -1) : one
      return one.uuid === machine ? booking(kept, vm, 1) : kept
    }),
  }
}

const booking = (machine: MachineView, { vcpus, memoryMiB }: Pick<VmNeed, 'vcpus' | 'memoryMiB'>, times: 1 | -1): MachineView => ({
  ...machine, freeVcpus: machine.freeVcpus - times * vcpus, freeMemoryMiB: machine.freeMemoryMiB - times * memoryMiB,
  booked: { vms: machine.booked.vms + times, vcpus: machine.booked.vcpus + times * vcpus, memoryMiB: machine.booked.memoryMiB + times * memoryMiB },
})
