// The mandatory filters: where a VM cannot go, whatever a scheduler likes. One entry each, in the order in which they are
// asked; the first that refuses a machine names the reason that `why` shows. Pure.
//
// A filter is prepared once a request and then asked machine by machine; the text of a reason is made only for people. What
// is not known now (images, storage, bridges of a machine) refuses nothing: the machine itself says no when it comes to it.

import type { MachineView, VmNeed } from '../cloud/contract.ts'
import type { Board } from './board.ts'

export interface Check { passes(machine: MachineView): boolean; /** Of a machine that does not pass. */ reason(machine: MachineView): string }
export type Avoid = Readonly<Record<string, string>>

export interface Filter {
  readonly name: string
  readonly doc: string
  /** Undefined: it has nothing to say about this VM. */
  prepare(vm: VmNeed, board: Board, avoid: Avoid | undefined): Check | undefined
}

const IN_SERVICE: Check = { passes: ({ mode }) => mode === 'in-service', reason: ({ mode }) => (mode === 'draining' ? 'it is being drained' : 'it is in maintenance') }
const ALIVE: Check = { passes: ({ member }) => member === 'alive', reason: ({ member }) => (member === 'unknown' ? 'its node is not a member now' : `its node is ${member}`) }

/** Everything that a VM needs is among what a machine has, as far as that is known. */
function reach(what: string, needed: readonly string[], had: (machine: MachineView) => readonly string[] | undefined): Check | undefined {
  if (needed.length === 0) return undefined
  return {
    passes(machine) {
      const there = had(machine)
      return there === undefined || needed.every((name) => there.includes(name))
    },
    reason: (machine) => `it has no ${what} ${needed.filter((name) => had(machine)?.includes(name) !== true).join(', ')}`,
  }
}

export const FILTERS: readonly Filter[] = [
  {
    name: 'avoid', doc: 'machines that the request leaves out, with its reason',
    prepare: (_vm, _board, avoid) => (avoid === undefined ? undefined : { passes: ({ uuid }) => avoid[uuid] === undefined, reason: ({ uuid }) => avoid[uuid] ?? '' }),
  },
  { name: 'in-service', doc: 'not draining, not in maintenance', prepare: () => IN_SERVICE },
  { name: 'alive', doc: 'its node answers', prepare: () => ALIVE },
  {
    name: 'lease', doc: 'a protected VM goes only where the lease that others rely on is still renewed',
    prepare: (vm, board) => (vm.protection === undefined ? undefined : {
      passes: ({ uuid, lease }) => lease.state === 'held' || !board.armed.has(uuid),
      reason: () => 'its lease is gone although protected VMs are there: it fences itself, or does not reach the store',
    }),
  },
  {
    name: 'room', doc: 'vcpus and memory that can still be booked',
    prepare: ({ vcpus, memoryMiB }) => ({
      passes: ({ freeVcpus, freeMemoryMiB }) => vcpus <= freeVcpus && memoryMiB <= freeMemoryMiB,
      reason: ({ freeVcpus, freeMemoryMiB }) => [
        ...(vcpus <= freeVcpus ? [] : [`needs ${vcpus} vcpus, ${Math.max(0, freeVcpus)} free`]),
        ...(memoryMiB <= freeMemoryMiB ? [] : [`needs ${memoryMiB} MiB, ${Math.max(0, freeMemoryMiB)} free`]),
      ].join('; '),
    }),
  },
  { name: 'image', doc: 'the images of its disks', prepare: (vm) => reach('image', vm.images, ({ images }) => images) },
  { name: 'storage', doc: 'the storage that its disks lie in', prepare: (vm) => reach('storage', vm.storage, ({ storage }) => storage) },
  { name: 'bridge', doc: 'the bridges of its interfaces', prepare: (vm) => reach('bridge', vm.bridges, ({ bridges }) => bridges) },
  {
    name: 'rule', doc: 'hard rules of the pool: together, apart, on, not-on',
    prepare: (vm, { rules }) => {
      const states = rules.of(vm, 'hard')
      if (states.length === 0) return undefined
      const own = rules.place(vm.uuid)
      return {
        passes: (machine) => states.every((state) => state.keeps(machine, own)),
        reason: (machine) => states.flatMap((state) => (state.keeps(machine, own) ? [] : [state.reason()])).join('; '),
      }
    },
  },
]

export interface Refusal { readonly filter: string; readonly reason: string }
export type PreparedFilters = readonly { readonly filter: Filter; readonly check: Check }[]

export const prepareFilters = (vm: VmNeed, board: Board, avoid: Avoid | undefined): PreparedFilters =>
  FILTERS.flatMap((filter) => {
    const check = filter.prepare(vm, board, avoid)
    return check === undefined ? [] : [{ filter, check }]
  })

/** Whether all filters let the VM on a machine: what a user's scheduler sees as pm.availableFor(vm). */
export function availableFor(filters: PreparedFilters, machine: MachineView): boolean {
  for (const { check } of filters) if (!check.passes(machine)) return false
  return true
}

/** The first filter that refuses, with its reason; undefined: it passes them all. */
export function refusalOf(filters: PreparedFilters, machine: MachineView): Refusal | undefined {
  const found = filters.find(({ check }) => !check.passes(machine))
  return found === undefined ? undefined : { filter: found.filter.name, reason: found.check.reason(machine) }
}
