// What consolidation and rebalancing share: which VMs may be moved live at all, where each could go by the mandatory filters
// (room, rules, images, storage, bridges), and how many at once (cloud.md 8.14). Pure.

import type { MachineView, PoolSnapshot, VmView } from '../cloud/contract.ts'
import { needOf } from '../placement/admission.ts'
import { Board } from '../placement/board.ts'
import type { BoardMachine } from '../placement/board.ts'
import { availableFor, prepareFilters } from '../placement/filters.ts'

export const isAwake = ({ mode, member, power }: MachineView): boolean => mode === 'in-service' && member === 'alive' && !power.asleep

/** Of vcpus or memory, whichever is scarcer, the share that is booked or used by what Kumoi does not manage. */
export function bookedShare({ booked, foreign, freeVcpus, freeMemoryMiB }: Pick<MachineView, 'booked' | 'foreign' | 'freeVcpus' | 'freeMemoryMiB'>): number {
  const vcpus = booked.vcpus + foreign.vcpus, memoryMiB = booked.memoryMiB + foreign.memoryMiB
  return Math.max(vcpus / Math.max(1, vcpus + freeVcpus), memoryMiB / Math.max(1, memoryMiB + freeMemoryMiB))
}

/** When VMs were moved by this policy last: kept for as long as they rest. */
export type Moved = Readonly<Record<string, number>>
export const stillResting = (moved: Moved | undefined, atMs: number, restMs: number): Moved =>
  Object.fromEntries(Object.entries(moved ?? {}).filter(([, sinceMs]) => atMs - sinceMs < restMs))

/** It runs, is not on its way, and has not been moved for a while. */
export const isMovable = (vm: VmView, moved: Moved): boolean =>
  vm.desired === 'running' && vm.error === undefined && !vm.inFlight && (vm.phase === 'running' || vm.phase === 'ready') && moved[vm.uuid] === undefined

/** Migrations that the pool allows beyond those that are going on: in all, and of one machine. */
export function migrationsLeft({ pool, vms }: PoolSnapshot, machine: string): number {
  const going = vms.filter(({ phase, origin, inFlight }) => phase === 'migrating' || (origin === 'migrate' && inFlight))
  return Math.max(0, Math.min(pool.migrations.perPool - going.length, pool.migrations.perHost - going.filter((vm) => vm.machine === machine).length))
}

export interface Move { readonly vm: VmView; readonly to: string }
export interface PlanOptions { /** Of the machines that pass the filters, which may take one, and the best first. */ readonly order: (machines: readonly BoardMachine[], vm: VmView) => readonly BoardMachine[] }

/** Where all VMs of a machine would go, the biggest first; undefined: one of them has nowhere to go. */
export function planEmptying(snapshot: PoolSnapshot, from: MachineView, { order }: PlanOptions): readonly Move[] | undefined {
  const leaving = snapshot.vms.filter(({ machine }) => machine === from.uuid).sort((a, b) => b.memoryMiB - a.memoryMiB || b.vcpus - a.vcpus || (a.uuid < b.uuid ? -1 : 1))
  // Without their present place, so that rules count them where they go.
  const board = new Board({ ...snapshot, vms: snapshot.vms.filter(({ machine }) => machine !== from.uuid) })
  const moves: Move[] = []
  for (const vm of leaving) {
    const need = needOf(vm)
    const filters = prepareFilters(need, board, { [from.uuid]: 'it is being emptied' })
    const [to] = order(board.machines.filter((machine) => availableFor(filters, machine)), vm)
    if (to === undefined) return undefined
    board.book(need, to)
    moves.push({ vm, to: to.uuid })
  }
  return moves
}

/** Machines that could take one VM as things are. */
export function targetsOf(snapshot: PoolSnapshot, board: Board, vm: VmView): readonly BoardMachine[] {
  const filters = prepareFilters(needOf(vm), board, vm.machine === undefined ? undefined : { [vm.machine]: 'it is there' })
  return board.machines.filter((machine) => availableFor(filters, machine) && snapshot.machines.some(({ uuid, power }) => uuid === machine.uuid && !power.asleep))
}
