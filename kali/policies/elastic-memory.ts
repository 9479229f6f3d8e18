// What the elasticity policy remembers of a group between two rounds, and what passes by itself: members in flight that arrive,
// fail or take too long, a change that is complete, launches that fail one after the other (cloud.md section 6, rules 3, 6, 11,
// 12). Nothing waits for an event that cannot come: all is counted from the snapshot, and every wait has an end. Pure.

import { LIMITS } from '../../fabric/base.ts'
import type { GroupRecord, PoolSnapshot, VmView } from '../cloud/contract.ts'
import type { Sample } from './elastic-load.ts'
import { memberNumber } from './elastic-load.ts'
import { backoffMs } from './order.ts'

export interface Flight { readonly sinceMs: number; /** It could not be made, since. */ readonly failedAtMs?: number; /** Given up, and made up for: not counted on any more. */ readonly lateAtMs?: number }
/** The last change of size. A cooldown begins with `completedAtMs`. */
export interface Change { readonly to: 'out' | 'in'; readonly atMs: number; /** Size that it is to lead to. */ readonly wish: number; /** Those that go. */ readonly vms: readonly string[]; readonly completedAtMs?: number }

export interface GroupMemory {
  /** Of spec and template: another one, and failures are forgotten. */
  readonly key: string
  readonly evaluatedAtMs: number
  readonly outHits: number
  readonly inHits: number
  readonly samples: readonly Sample[]
  /** Above all numbers that were seen: a number is never given twice, but asked for again until it is seen. */
  readonly nextMember: number
  /** Asked for, not seen yet. */
  readonly asked: readonly { readonly member: number; readonly atMs: number }[]
  /** VM -> how long it is on its way. */
  readonly flights: Readonly<Record<string, Flight>>
  /** Members that have been ready: what becomes of them later is no failed launch. */
  readonly arrived: readonly string[]
  /** Members that were lost on their way or given up, and are to be made up for. */
  readonly owed: number
  /** In a row. */
  readonly failures: number
  readonly retryAtMs: number
  readonly suspended?: string
  readonly change?: Change
  /** Why the last evaluation did less than was wanted. */
  readonly held?: string
}

const FNV_OFFSET = 0x811c9dc5, FNV_PRIME = 0x01000193

/** Short, of plain data. */
export function fingerprint(value: unknown): string {
  let hash = FNV_OFFSET
  for (const char of JSON.stringify(value)) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), FNV_PRIME)
  return (hash >>> 0).toString(16)
}

export const newGroup = (key: string): GroupMemory => ({ key, evaluatedAtMs: 0, outHits: 0, inHits: 0, samples: [], nextMember: 1, asked: [], flights: {}, arrived: [], owed: 0, failures: 0, retryAtMs: 0 })

/** A launch that did not become a member: back-off, and in the end the group is suspended (rule 11). */
function fail(memory: GroupMemory, atMs: number, reason: string): GroupMemory {
  const failures = memory.failures + 1
  const waitMs = backoffMs(failures, { firstMs: LIMITS.elasticBackoffMs, mostMs: LIMITS.elasticBackoffMsMax })
  return {
    ...memory, failures, owed: memory.owed + 1, retryAtMs: atMs + waitMs,
    ...(failures >= LIMITS.elasticFailuresMax ? { suspended: `${failures} launches in a row have failed, the last one because ${reason}` } : {}),
  }
}

export interface Passed { readonly memory: GroupMemory; /** In flight for too long, or failed: VM -> why. They are to go. */ readonly late: ReadonlyMap<string, string> }

/** Time passes. */
export function pass(before: GroupMemory | undefined, group: GroupRecord, { atMs, vms }: Pick<PoolSnapshot, 'atMs' | 'vms'>): Passed {
  const key = fingerprint([group.spec, group.template])
  let memory = before ?? newGroup(key)
  if (memory.key !== key || group.paused) {
    // A human has looked at it.
    const { suspended: _, ...rest } = memory
    memory = { ...rest, key, failures: 0, retryAtMs: 0, owed: group.paused ? 0 : memory.owed }
  }
  const members = vms.filter((vm) => vm.group === group.uuid)
  const seen = new Set(members.map((vm) => memberNumber(group, vm)))
  const lost = memory.asked.filter(({ member, atMs: askedAtMs }) => !seen.has(member) && atMs - askedAtMs >= LIMITS.elasticAskedMs)
  memory = { ...memory, nextMember: Math.max(memory.nextMember, ...[...seen].map((number) => number + 1)), asked: memory.asked.filter((asked) => !seen.has(asked.member) && !lost.includes(asked)) }
  for (const { member } of lost) memory = fail(memory, atMs, `member ${member} was not made`)
  const late = new Map<string, string>()
  const flights: Record<string, Flight> = {}
  const arrived = new Set(memory.arrived.filter((uuid) => members.some((vm) => vm.uuid === uuid)))
  for (const vm of members) {
    const before = memory.flights[vm.uuid]
    if (vm.desired !== 'running') continue
    if (vm.error === undefined && !vm.inFlight) {
      // It arrived: launches succeed again, and if it was given up, its replacement is not needed.
      if (before?.lateAtMs !== undefined) memory = { ...memory, owed: Math.max(0, memory.owed - 1) }
      if (!arrived.has(vm.uuid)) memory = { ...memory, failures: 0 }
      arrived.add(vm.uuid)
      continue
    }
    const flight = flightOf(vm, before, atMs)
    const why = vm.error === undefined ? tooLate(flight, group.spec.flightMs, atMs) : `was given up: ${vm.error}`
    flights[vm.uuid] = why === undefined ? flight : { ...flight, lateAtMs: flight.lateAtMs ?? atMs }
    if (why === undefined) continue
    late.set(vm.uuid, why)
    // Made up for once, however long it takes to go. One that was never seen on its way was there before this memory.
    if (flight.lateAtMs === undefined) memory = arrived.has(vm.uuid) || (before === undefined && vm.error !== undefined) ? { ...memory, owed: memory.owed + 1 } : fail(memory, atMs, `${vm.name} ${why}`)
  }
  return { memory: settle({ ...memory, flights, arrived: [...arrived] }, members, group, atMs), late }
}

function flightOf({ phase }: VmView, before: Flight | undefined, atMs: number): Flight {
  if (before === undefined) return { sinceMs: atMs, ...(phase === 'failed' ? { failedAtMs: atMs } : {}) }
  return phase === 'failed' && before.failedAtMs === undefined ? { ...before, failedAtMs: atMs } : before
}

function tooLate({ sinceMs, failedAtMs }: Flight, flightMs: number, atMs: number): string | undefined {
  if (atMs - sinceMs >= flightMs) return `was not ready after ${Math.round(flightMs / 1_000)} s`
  return failedAtMs !== undefined && atMs - failedAtMs >= LIMITS.elasticFailedMs ? `could not be made for ${Math.round(LIMITS.elasticFailedMs / 1_000)} s` : undefined
}

/** A change is complete when nothing of it is on its way any more, or has been for too long. */
function settle(memory: GroupMemory, members: readonly VmView[], { spec }: GroupRecord, atMs: number): GroupMemory {
  const { change } = memory
  if (change === undefined || change.completedAtMs !== undefined) return memory
  const going = change.to === 'out' ? memory.asked.length > 0 || Object.values(memory.flights).some(({ lateAtMs }) => lateAtMs === undefined)
    : members.some(({ uuid }) => change.vms.includes(uuid)) && atMs - change.atMs < spec.drainMs + LIMITS.elasticLeaveMs
  return going ? memory : { ...memory, change: { ...change, completedAtMs: atMs } }
}
