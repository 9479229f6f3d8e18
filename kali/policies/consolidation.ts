// Consolidation for energy: machines that carry little are emptied onto others, empty ones sleep, and wake before room is short.
//
//   need without room, or little room left -> wake one       empty for `hold` rounds, and room enough without it -> sleep
//   least booked machine under `low`, everything on it has a place elsewhere -> its VMs move, then it is empty
//
// Two marks for the room that is kept (headroom to wake, twice that to sleep), so that it does not go back and forth. Nothing is
// moved while a machine is lost or the mode is not armed; each VM rests after a move; the pool's limits of migrations hold.

import type { Decide, MachineView, PoolSnapshot, Proposal } from '../cloud/contract.ts'
import { lostNow } from './brake.ts'
import { bookedShare, isAwake, isMovable, migrationsLeft, planEmptying, stillResting } from './moves.ts'
import type { Move, Moved } from './moves.ts'
import { fits } from './order.ts'

export interface ConsolidationOptions {
  /** Booked share under which a machine may be emptied, and up to which others are filled. */
  readonly low: number
  readonly high: number
  /** Measured load from which a machine takes no more. */
  readonly busy: number
  /** Rounds in a row. */
  readonly hold: number
  readonly minGainWatts: number
  readonly restMs: number
  /** Share of what is awake that is kept free; twice that must be left to put one to sleep. */
  readonly headroom: number
}
export const CONSOLIDATION_OPTIONS: ConsolidationOptions = { low: 0.5, high: 0.9, busy: 0.8, hold: 3, minGainWatts: 20, restMs: 1_800_000, headroom: 0.1 }

export interface ConsolidationMemory {
  /** Machine -> rounds in a row that it was to be emptied or to sleep. */
  readonly hits: Readonly<Record<string, number>>
  readonly moved: Moved
}
interface Emptying { readonly machine: MachineView; readonly moves: readonly Move[] }

export function consolidation(options: Partial<ConsolidationOptions> = {}): Decide<ConsolidationMemory> {
  const all = { ...CONSOLIDATION_OPTIONS, ...options }
  return ({ snapshot, memory }) => {
    const { atMs, machines, pool, mode } = snapshot
    const moved = stillResting(memory?.moved, atMs, all.restMs)
    const awake = machines.filter(isAwake)
    const note = (held?: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> => ({
      [pool.uuid]: { awake: awake.length, asleep: machines.filter(({ power }) => power.asleep).length, ...(held === undefined ? {} : { held }) },
    })
    if (mode !== 'armed') return { proposals: [], memory: { hits: {}, moved }, notes: note(`the cloud is set to ${mode}`) }
    const wake = toWake(snapshot, awake, all)
    if (wake !== undefined) return { proposals: [wake], memory: { hits: {}, moved }, notes: note() }
    if (lostNow(snapshot).size > 0) return { proposals: [], memory: { hits: {}, moved }, notes: note('a machine is lost: nothing is moved or put to sleep') }

    const spare = awake.length > 1 + pool.survivesHosts ? awake.filter((machine) => roomWithout(machine, awake) >= 2 * all.headroom) : []
    const empty = spare.find((machine) => isEmpty(machine, snapshot))
    const emptying = empty === undefined ? toEmpty(snapshot, spare, awake, all) : undefined
    const subject = empty ?? emptying?.machine
    if (subject === undefined) return { proposals: [], memory: { hits: {}, moved }, notes: note() }
    const hits = Math.min(all.hold, (memory?.hits[subject.uuid] ?? 0) + 1)
    if (hits < all.hold) return { proposals: [], memory: { hits: { [subject.uuid]: hits }, moved }, notes: note() }
    if (emptying === undefined) return { proposals: [{ action: { do: 'sleep', machine: subject.uuid }, reason: `${subject.name} is empty, and ${percent(roomWithout(subject, awake))} stay free without it` }], memory: { hits: {}, moved }, notes: note() }
    const going = emptying.moves.filter(({ vm, to }) => isMovable(vm, moved) && migrationsLeft(snapshot, to) > 0).slice(0, migrationsLeft(snapshot, subject.uuid))
    return {
      proposals: going.map(({ vm, to }) => ({
        action: { do: 'migrate', vm: vm.uuid, epoch: vm.epoch, to },
        reason: `${subject.name} is booked to ${percent(bookedShare(subject))} and can be emptied: ${Math.round(subject.power.idleWatts)} W saved`,
      })),
      memory: { hits: { [subject.uuid]: hits }, moved: { ...moved, ...Object.fromEntries(going.map(({ vm }) => [vm.uuid, atMs])) } }, notes: note(),
    }
  }
}

const isEmpty = ({ uuid, booked, foreign }: MachineView, { vms }: PoolSnapshot): boolean => booked.vms === 0 && foreign.vms === 0 && !vms.some(({ machine }) => machine === uuid)

/** Share that is free of what would be awake without a machine, its VMs carried by the others. */
function roomWithout(machine: MachineView, awake: readonly MachineView[]): number {
  const others = awake.filter(({ uuid }) => uuid !== machine.uuid)
  const share = (free: (machine: MachineView) => number, used: (machine: MachineView) => number): number => {
    const left = others.reduce((sum, each) => sum + free(each), 0) - used(machine)
    return left / Math.max(1, others.reduce((sum, each) => sum + free(each) + used(each), 0))
  }
  return Math.min(share(({ freeVcpus }) => freeVcpus, ({ booked }) => booked.vcpus), share(({ freeMemoryMiB }) => freeMemoryMiB, ({ booked }) => booked.memoryMiB))
}

/** One machine, when something has no room among those that are awake, or little room is left. */
function toWake({ machines, vms }: PoolSnapshot, awake: readonly MachineView[], { headroom }: ConsolidationOptions): Proposal | undefined {
  const [sleeper] = machines.filter(({ mode, power }) => power.asleep && mode === 'in-service').sort((a, b) => a.power.idleWatts - b.power.idleWatts || (a.uuid < b.uuid ? -1 : 1))
  if (sleeper === undefined) return undefined
  const action = { do: 'wake', machine: sleeper.uuid } as const
  const lost = new Set(machines.filter(({ lease }) => lease.state === 'gone').map(({ uuid }) => uuid))
  const without = vms.find((vm) => vm.desired === 'running' && vm.error === undefined && (vm.machine === undefined || (vm.protection?.armed === true && lost.has(vm.machine))) && !awake.some((machine) => fits(vm, machine)))
  if (without !== undefined) return { action, reason: `${without.name} has no room on the machines that are awake` }
  const free = awake.reduce((least, machine) => ({ vcpus: least.vcpus + machine.freeVcpus, memoryMiB: least.memoryMiB + machine.freeMemoryMiB, allVcpus: least.allVcpus + machine.freeVcpus + machine.booked.vcpus, allMemoryMiB: least.allMemoryMiB + machine.freeMemoryMiB + machine.booked.memoryMiB }), { vcpus: 0, memoryMiB: 0, allVcpus: 0, allMemoryMiB: 0 })
  const share = Math.min(free.vcpus / Math.max(1, free.allVcpus), free.memoryMiB / Math.max(1, free.allMemoryMiB))
  return share < headroom ? { action, reason: `${percent(share)} of what is awake is free, less than ${percent(headroom)}` } : undefined
}

/** The least booked one whose VMs all have a place on others, the fullest of those first. */
function toEmpty(snapshot: PoolSnapshot, spare: readonly MachineView[], awake: readonly MachineView[], { low, high, busy, minGainWatts }: ConsolidationOptions): Emptying | undefined {
  const candidates = spare.filter((machine) => machine.foreign.vms === 0 && machine.power.idleWatts >= minGainWatts && bookedShare(machine) < low)
    .sort((a, b) => bookedShare(a) - bookedShare(b) || b.power.idleWatts - a.power.idleWatts || (a.uuid < b.uuid ? -1 : 1))
  const targets = new Set(awake.map(({ uuid }) => uuid))
  for (const machine of candidates) {
    if (snapshot.vms.some((vm) => vm.machine === machine.uuid && (vm.desired !== 'running' || vm.error !== undefined))) continue
    const share = bookedShare(machine)
    const moves = planEmptying(snapshot, machine, {
      order: (possible, vm) => possible
        // Never onto one that carries less: of two alike, one is emptied onto the other and not back.
        .filter((to) => targets.has(to.uuid) && to.booked.vms > 0 && bookedShare(to) >= share && to.cpuRatio < busy && bookedShare({ ...to, booked: { ...to.booked, vcpus: to.booked.vcpus + vm.vcpus, memoryMiB: to.booked.memoryMiB + vm.memoryMiB }, freeVcpus: to.freeVcpus - vm.vcpus, freeMemoryMiB: to.freeMemoryMiB - vm.memoryMiB }) <= high)
        .sort((a, b) => bookedShare(b) - bookedShare(a) || (a.uuid < b.uuid ? -1 : 1)),
    })
    if (moves !== undefined) return { machine, moves }
  }
  return undefined
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
