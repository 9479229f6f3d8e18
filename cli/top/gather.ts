// One look at the whole: pools' snapshots, machines and VMs (also those in no pool), the last decisions -> Fleet.

import { errorCode } from '../../fabric/base.ts'
import type { Member } from '../../fabric/mod.ts'
import type { DataCenter } from '../../kali/contract.ts'
import { allPools } from '../cloud.ts'
import type { PoolNow } from '../cloud.ts'
import { attributeOf, hostOf } from '../objects.ts'
import type { Named } from '../objects.ts'
import type { Output } from '../output.ts'
import { machineName, membersOf, namesIn, outcomeText, schedulerText, sumsOf, vmStateText } from '../render/cloud.ts'
import { durationText } from '../render/units.ts'
import type { DecisionRow, Fleet, MachineRow, PoolRow, VmRow } from './contract.ts'

const MiB = 1_048_576
const numberOf = (object: Named, attribute: string): number | undefined => { const value = attributeOf(object, attribute); return typeof value === 'number' ? value : undefined }

function poolRow({ snapshot }: PoolNow): PoolRow {
  const { booked, vcpus, memoryMiB } = sumsOf(snapshot)
  const groups = snapshot.groups.map((group) => { const { ready, inFlight } = membersOf(snapshot, group.uuid); return `${group.name} ${ready.length}${inFlight.length === 0 ? '' : `+${inFlight.length}`}/${group.spec.max}` })
  return { name: snapshot.pool.name, machines: snapshot.machines.length, vms: snapshot.vms.length, inFlight: snapshot.vms.filter(({ inFlight }) => inFlight).length, bookedVcpus: booked.vcpus, vcpus, bookedMemoryMiB: booked.memoryMiB, memoryMiB, scheduler: schedulerText(snapshot.pool.scheduler), groups: groups.join(', ') }
}

const pooledMachines = ({ snapshot }: PoolNow): readonly MachineRow[] => snapshot.machines.map((machine) => ({
  name: machine.name, pool: snapshot.pool.name, state: machine.power.asleep ? 'asleep' : machine.member === 'alive' ? machine.mode : machine.member,
  cpuRatio: machine.member === 'alive' ? machine.cpuRatio : undefined, memoryUsedMiB: machine.booked.memoryMiB + machine.foreign.memoryMiB, memoryMiB: machine.memoryMiB, vms: machine.booked.vms + machine.foreign.vms,
  lease: machine.lease.state === 'held' ? `held ${durationText(machine.lease.ageMs)}` : '',
}))
function otherMachine(machine: Named, vms: number): MachineRow {
  const total = numberOf(machine, 'memoryTotalBytes'), free = numberOf(machine, 'memoryFreeBytes')
  return {
    name: machine.name, pool: '', state: String(attributeOf(machine, 'state') ?? ''), cpuRatio: numberOf(machine, 'cpuRatio'), vms, lease: '',
    memoryMiB: total === undefined ? undefined : total / MiB, memoryUsedMiB: total === undefined || free === undefined ? undefined : (total - free) / MiB,
  }
}
/** A member that is dead lists no machine any more; it is shown all the same. */
const deadMember = ({ name }: Member): MachineRow => ({ name, pool: '', state: 'dead', cpuRatio: undefined, vms: 0, lease: '', memoryMiB: undefined, memoryUsedMiB: undefined })

const pooledVms = ({ snapshot }: PoolNow): readonly (VmRow & { readonly uuid: string })[] => snapshot.vms.map((vm) => ({
  uuid: vm.uuid, name: vm.name, pool: snapshot.pool.name, machine: vm.machine === undefined ? '' : machineName(snapshot, vm.machine), state: vmStateText(vm, snapshot), cpuRatio: vm.cpuRatio, vcpus: vm.vcpus, memoryMiB: vm.memoryMiB,
  keptBy: [vm.protection === undefined ? '' : 'ha', snapshot.groups.find(({ uuid }) => uuid === vm.group)?.name ?? ''].filter((word) => word !== '').join(' '),
}))
const otherVm = (vm: Named): VmRow => ({ name: vm.name, pool: '', machine: hostOf(vm), state: String(attributeOf(vm, 'state') ?? ''), cpuRatio: numberOf(vm, 'cpuRatio'), vcpus: numberOf(vm, 'vcpus') ?? 0, memoryMiB: numberOf(vm, 'memoryMiB') ?? 0, keptBy: '' })

/** `decisionsMax`: newest of each pool. */
export async function gather(dc: DataCenter, out: Output, { nowMs, decisionsMax }: { readonly nowMs: number; readonly decisionsMax: number }): Promise<Fleet> {
  const silent = new Set<string>()
  const now = async (): Promise<readonly (PoolNow & { readonly decided: readonly DecisionRow[] })[]> => Promise.all((await allPools(dc, out)).map(async (pool) => {
    const [snapshot, decisions] = await Promise.all([pool.snapshot(), pool.decisions({ limit: decisionsMax }).catch((error: unknown) => {
      // Machines and VMs are known without the store; what was decided is not.
      if (errorCode(error) !== 'FABRIC_ERR_STORE_UNREACHABLE') throw error
      silent.add('the global store')
      return []
    })])
    const names = namesIn(snapshot)
    return { pool, snapshot, decided: decisions.map((one) => ({ atMs: one.atMs, pool: pool.name, by: one.policy, what: outcomeText(one), about: one.about.map((uuid) => names.get(uuid) ?? uuid.slice(0, 8)).join(', '), because: one.reason })) }
  }))
  const [pools, members, hosts, listing] = await Promise.all([now(), dc.members(), dc.list('PhysicalMachine'), dc.list('VM')])
  const pooled = pools.flatMap(pooledMachines), vms = pools.flatMap(pooledVms)
  const inPools = new Set(pooled.map(({ name }) => name)), managed = new Set(vms.map(({ uuid }) => uuid))
  const others = (listing.objects as readonly Named[]).filter(({ uuid }) => !managed.has(uuid))
  const othersOn = Map.groupBy(others, hostOf)
  const machines = [...pooled, ...(hosts.objects as readonly Named[]).filter(({ name }) => !inPools.has(name)).map((machine) => otherMachine(machine, othersOn.get(machine.name)?.length ?? 0))]
  const listed = new Set(machines.map(({ name }) => name))
  return {
    atMs: nowMs, mode: pools[0]?.snapshot.mode ?? '', pools: pools.map(poolRow),
    machines: [...machines, ...members.filter(({ name, state }) => state === 'dead' && !listed.has(name)).map(deadMember)],
    vms: [...vms, ...others.map(otherVm)],
    decisions: pools.flatMap(({ decided }) => decided).toSorted((a, b) => b.atMs - a.atMs),
    silent: [...listing.failures.map(({ name }) => name), ...silent],
  }
}
