// Many VMs placed in one go on one copy of the snapshot: each sees the room, load and rules that the ones before it left.
// For trials (`what would happen if`), for simulation and benches; the real thing books one VM a transaction. Pure.

import type { SchedulerRef, VmNeed } from '../cloud/contract.ts'
import { Board, byName } from './board.ts'
import type { PlaceSnapshot } from './board.ts'
import { prepareFilters, refusalOf } from './filters.ts'
import { bestMachine, bindScheduler } from './ranking.ts'

export interface BatchPlacement {
  /** VM -> machine, in the order of placing. */
  readonly placed: ReadonlyMap<string, string>
  /** VMs without a place, with the number of machines by the filter that refused them. */
  readonly left: readonly { readonly vm: string; readonly refused: Readonly<Record<string, number>> }[]
}

/** First-fit decreasing's order: what is hard to place comes first. By priority, memory, vcpus, then name. */
export const biggestFirst = (a: VmNeed, b: VmNeed): number =>
  b.priority - a.priority || b.memoryMiB - a.memoryMiB || b.vcpus - a.vcpus || byName(a, b)

/** VMs that have no place yet. Order: 'biggest-first' (default) does not depend on the order of the list. */
export function placeAll(vms: readonly VmNeed[], snapshot: PlaceSnapshot, ref: Pick<Extract<SchedulerRef, { type: 'builtin' }>, 'name' | 'options'>, order: 'biggest-first' | 'given' = 'biggest-first'): BatchPlacement {
  const bound = bindScheduler(ref)
  const board = new Board(snapshot)
  const placed = new Map<string, string>()
  const left: { vm: string; refused: Record<string, number> }[] = []
  for (const vm of order === 'given' ? vms : vms.toSorted(biggestFirst)) {
    const machine = bestMachine(board, vm, bound)
    if (machine === undefined) { left.push({ vm: vm.uuid, refused: refusalsOf(board, vm) }); continue }
    board.book(vm, machine)
    placed.set(vm.uuid, machine.uuid)
  }
  return { placed, left }
}

function refusalsOf(board: Board, vm: VmNeed): Record<string, number> {
  const filters = prepareFilters(vm, board, undefined)
  const counts: Record<string, number> = {}
  for (const machine of board.machines) {
    const refusal = refusalOf(filters, machine)
    if (refusal !== undefined) counts[refusal.filter] = (counts[refusal.filter] ?? 0) + 1
  }
  return counts
}
