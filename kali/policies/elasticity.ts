// Elastic groups as one pure function: the fourteen rules of cloud.md section 6, of which the kernel keeps 9 (one evaluator, one
// round), 10 (drain, stop, destroy; the overlay last) and 14 (identity renewed). A group in a round:
//
//   snapshot -> pass (flights, failures, completion) -> members counted anew -> evaluation each period: wish, hits
//            -> replace what was given up; restore min; grow when `hold` wishes in a row were for more; shrink likewise
//
//   more only beyond ready + in flight (3); never beyond max (13), room and stepOut; min without cooldown (8)
//   less only when nothing is on its way, by the highest wish of 5 minutes (7), stepIn, and with a margin under `out` (1)
//
// What a group wants is one function of its load, `Wish`: the two thresholds here, a forecast or a clock in examples/.

import { LIMITS } from '../../fabric/base.ts'
import type { Decide, GroupRecord, PoolSnapshot, Proposal } from '../cloud/contract.ts'
import { meansOf, membersOf, memberNumber, projected, thresholdWish } from './elastic-load.ts'
import type { GroupLoad, Members, Sample, Wish } from './elastic-load.ts'
import { pass } from './elastic-memory.ts'
import type { GroupMemory, Passed } from './elastic-memory.ts'
import { boundsAt, scheduleProblem } from './elastic-schedule.ts'
import type { Bounds } from './elastic-schedule.ts'
import { roomFor } from './order.ts'
import { beginSayings } from './said.ts'
import type { Said } from './said.ts'

export interface ElasticMemory { readonly groups: Readonly<Record<string, GroupMemory>>; readonly said: Said }
export interface ElasticOptions { /** Default: the thresholds of the group's spec. */ readonly wish?: Wish }

/** A period is over a little early: ticks come at times that jitter, and one that is just too early would cost a whole tick. */
const EARLY = 0.1

interface Round {
  readonly group: GroupRecord
  readonly snapshot: PoolSnapshot
  readonly bounds: Bounds
  readonly members: Members
  readonly late: Passed['late']
  readonly memory: GroupMemory
  readonly means: Pick<GroupLoad, 'meanOut' | 'meanIn' | 'load'> | undefined
  readonly capacity: number
  readonly evaluated: boolean
  /** Of this round's evaluation; undefined: there was none, or no data. */
  readonly wish: number | undefined
  /** Members that groups before this one have asked for in this round. */
  readonly taken: number
}
interface Step { readonly proposals: readonly Proposal[]; readonly memory: GroupMemory; /** Why less was done than wanted, for people. */ readonly held?: string }

export function elasticity({ wish = thresholdWish }: ElasticOptions = {}): Decide<ElasticMemory> {
  return ({ snapshot, memory }) => {
    const sayings = beginSayings(memory?.said)
    const groups: Record<string, GroupMemory> = {}
    const notes: Record<string, Readonly<Record<string, unknown>>> = {}
    const proposals: Proposal[] = []
    for (const group of snapshot.groups) {
      const round = evaluate(begin(group, snapshot, memory?.groups[group.uuid], proposals.filter(({ action }) => action.do === 'grow').length), wish)
      const idle = idleReason(round)
      const { memory: changed, held: reason, proposals: wanted }: Step = idle === undefined ? decide(round) : { memory: round.memory, held: idle, proposals: [] }
      // Between two evaluations the last one's reason stands.
      const held = reason ?? (round.evaluated || wanted.length > 0 ? undefined : round.memory.held)
      const { held: _, ...rest } = changed
      const next: GroupMemory = held === undefined ? rest : { ...rest, held }
      // What does not fit into the round was not done: the group begins anew from where it was.
      const fits = proposals.length + wanted.length <= LIMITS.policyActionsMax
      if (fits) proposals.push(...wanted)
      groups[group.uuid] = fits ? next : round.memory
      notes[group.uuid] = noteOf(round, groups[group.uuid] ?? next, held)
      if (held !== undefined) sayings.say(group.uuid, held)
      for (const row of group.spec.schedule ?? []) {
        const problem = scheduleProblem(row)
        if (problem !== undefined) sayings.say(`${group.uuid} schedule`, `the schedule of ${group.name}: ${problem}`)
      }
    }
    const { proposals: said, said: standing } = sayings.end()
    return { proposals: [...proposals, ...said], memory: { groups, said: standing }, notes }
  }
}

function begin(group: GroupRecord, snapshot: PoolSnapshot, before: GroupMemory | undefined, taken: number): Round {
  const { memory, late } = pass(before, group, snapshot)
  const members = membersOf(group, snapshot, new Set(late.keys()))
  const coming = members.inFlight.length + memory.asked.length
  return {
    group, snapshot, memory, late, members, taken, bounds: boundsAt(group.spec, snapshot.atMs), evaluated: false, wish: undefined,
    capacity: members.ready.length + coming, means: meansOf(group, members, coming, snapshot),
  }
}

/** Each period, also while cooling, frozen or suspended: what is seen is recorded (rules 2, 6, 7). */
function evaluate(round: Round, wishOf: Wish): Round {
  const { group, snapshot: { atMs }, memory, members, capacity, means, bounds } = round
  const { spec } = group
  if (atMs - memory.evaluatedAtMs < spec.periodMs * (1 - EARLY)) return round
  const history = memory.samples.filter((sample) => atMs - sample.atMs < LIMITS.elasticWishWindowMs)
  const ready = members.ready.length
  const wanted = means === undefined || group.paused ? undefined : wishOf({ ...means, atMs, group, bounds, ready, inFlight: capacity - ready, capacity, history })
  // No data at all is a miss, both ways.
  if (wanted === undefined || means === undefined || !Number.isFinite(wanted)) return { ...round, evaluated: true, memory: { ...memory, evaluatedAtMs: atMs, samples: history, outHits: 0, inHits: 0 } }
  const wish = Math.max(bounds.min, Math.min(bounds.max, Math.ceil(wanted)))
  return {
    ...round, evaluated: true, wish,
    memory: {
      ...memory, evaluatedAtMs: atMs, samples: sampled(history, { atMs, wish, load: means.load }),
      outHits: wish > capacity ? memory.outHits + 1 : 0, inHits: wish < ready ? memory.inHits + 1 : 0,
      // Less is wanted: what was lost need not come back.
      owed: wanted < capacity ? 0 : memory.owed,
    },
  }
}

/** At most LIMITS.elasticWishesMax over the window: close ones become one, with the highest wish. */
function sampled(history: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = history.at(-1)
  const apartMs = LIMITS.elasticWishWindowMs / LIMITS.elasticWishesMax
  if (last === undefined || Math.floor(last.atMs / apartMs) !== Math.floor(sample.atMs / apartMs)) return [...history, sample].slice(-LIMITS.elasticWishesMax)
  return [...history.slice(0, -1), { ...sample, wish: Math.max(last.wish, sample.wish) }]
}

function idleReason({ group, snapshot, memory }: Round): string | undefined {
  if (group.paused) return `${group.name} is paused`
  if (memory.suspended !== undefined) return `ALARM: ${group.name} is suspended: ${memory.suspended}; change its settings, or pause it and go on`
  return snapshot.mode === 'armed' ? undefined : `the cloud is set to ${snapshot.mode}: groups keep their size`
}

function decide(round: Round): Step {
  const removed = replaceLate(round)
  const grown = grow({ ...round, memory: removed.memory })
  if (grown.proposals.length > 0 || removed.proposals.length > 0) return { ...grown, proposals: [...removed.proposals, ...grown.proposals] }
  const shrunk = shrink({ ...round, memory: grown.memory })
  return shrunk.held === undefined && grown.held !== undefined ? { ...shrunk, held: grown.held } : shrunk
}

/** What was given up goes; what comes in its place was counted as owed when it was given up (rule 3). */
function replaceLate({ group, members, late, memory }: Round): Step {
  const proposals = members.broken.filter(({ uuid }) => uuid !== group.original)
    .map(({ uuid, name }): Proposal => ({ action: { do: 'shrink', group: group.uuid, vm: uuid }, reason: `${name} ${late.get(uuid) ?? 'was given up'}: it is replaced` }))
  return { proposals, memory }
}

function grow({ group, snapshot, bounds, members, memory, means, capacity, wish, taken }: Round): Step {
  const { spec } = group
  const { atMs } = snapshot
  const toMin = Math.max(0, bounds.min - capacity)
  const owed = Math.min(memory.owed, Math.max(0, bounds.max - capacity))
  const more = wish !== undefined && memory.outHits >= spec.hold ? Math.max(0, wish - capacity) : 0
  const cooling = toMin === 0 && owed === 0 && more > 0 ? coolingOut(memory, spec.cooldownOutMs, atMs, wish ?? 0) : undefined
  const wanted = Math.max(toMin, owed, cooling === undefined ? more : 0)
  if (wanted === 0) return { proposals: [], memory, ...(cooling === undefined ? {} : { held: cooling }) }
  // Those that were given up and are still there take room under max.
  const present = capacity + members.broken.length
  const room = Math.max(0, roomFor(group.template, snapshot) - taken)
  const count = Math.min(wanted, spec.stepOut, LIMITS.policyActionsMax, Math.max(0, bounds.max - present), room)
  if (atMs < memory.retryAtMs) return { proposals: [], memory, held: `${group.name} wants more members; ${memory.failures} launches in a row have failed, the next is tried at ${new Date(memory.retryAtMs).toISOString()}` }
  if (count === 0) return { proposals: [], memory, held: room === 0 ? `${group.name} wants more members, and ${snapshot.pool.name} has no room for one` : `${group.name} wants more members than its max of ${bounds.max}` }
  const target = Math.min(bounds.max, capacity + count)
  const reason = toMin > 0 ? `${capacity} members, and min is ${bounds.min}${bounds.row === undefined ? '' : ` (${bounds.row})`}`
    : owed >= more || means === undefined ? `in the place of what did not come`
      : `mean ${percent(means.meanOut)} over ${percent(spec.out)}, ${memory.outHits} times in a row; ${wish} wanted, ${members.ready.length} ready, ${capacity - members.ready.length} in flight`
  const numbers = nextNumbers(memory, count)
  return {
    proposals: numbers.map((member) => ({ action: { do: 'grow', group: group.uuid, member: String(member) }, reason, ...(means === undefined ? {} : { details: { ...means, capacity, wish } }) })),
    memory: {
      ...memory, asked: [...memory.asked, ...numbers.map((member) => ({ member, atMs }))], owed: Math.max(0, memory.owed - count),
      // Restoring is not a change of size: no cooldown follows it (rule 8).
      ...(toMin >= count || owed >= count ? {} : { outHits: 0, inHits: 0, change: { to: 'out', atMs, wish: target, vms: [] } }),
    },
  }
}

/** The same until they are seen: an action that is repeated makes the same member. */
function nextNumbers({ nextMember, asked }: GroupMemory, count: number): readonly number[] {
  const numbers: number[] = []
  for (let number = nextMember; numbers.length < count; number++) if (!asked.some(({ member }) => member === number)) numbers.push(number)
  return numbers
}

/** While a growth is on its way only what it falls short of is added; after it, the cooldown. A shrinking never delays it (rule 6). */
function coolingOut({ change }: GroupMemory, cooldownOutMs: number, atMs: number, wish: number): string | undefined {
  if (change?.to !== 'out') return undefined
  if (change.completedAtMs === undefined) return wish > change.wish ? undefined : 'what was asked for is still on its way'
  return atMs - change.completedAtMs < cooldownOutMs ? `cooling down until ${new Date(change.completedAtMs + cooldownOutMs).toISOString()}` : undefined
}

function shrink({ group, snapshot: { atMs }, bounds, members, memory, means, capacity, wish }: Round): Step {
  const { spec } = group
  const { change } = memory
  const ready = members.ready.length
  const moving = capacity > ready
  const over = Math.max(0, capacity + members.broken.length - bounds.max)
  let count = 0, reason = '', held: string | undefined
  if (over > 0) {
    count = Math.min(over, spec.stepIn)
    reason = `${capacity + members.broken.length} members, and max is ${bounds.max}${bounds.row === undefined ? '' : ` (${bounds.row})`}`
  } else if (wish !== undefined && means !== undefined && memory.inHits >= spec.hold && !moving) {
    if (change !== undefined && change.completedAtMs === undefined) held = 'what was taken away is still on its way'
    else if (change?.completedAtMs !== undefined && atMs - change.completedAtMs < spec.cooldownInMs) held = `fewer would do; cooling down until ${new Date(change.completedAtMs + spec.cooldownInMs).toISOString()}`
    else {
      // The highest wish of the last minutes (rule 7).
      const target = Math.max(bounds.min, ...memory.samples.map((sample) => sample.wish))
      count = Math.max(0, Math.min(spec.stepIn, ready - target))
      while (count > 0 && projected(means.meanIn, ready, ready - count) >= spec.out - spec.margin) count--
      reason = `mean ${percent(means.meanIn)} under ${percent(spec.in)}, ${memory.inHits} times in a row; ${percent(projected(means.meanIn, ready, ready - count))} when ${ready - count} carry it`
      if (count === 0 && ready > target) held = `fewer would do, and those left would carry more than ${percent(spec.out - spec.margin)}`
    }
  }
  // The newest first; the original never (GroupRecord.original), nor one that is just being moved.
  const leavers = members.ready.filter(({ uuid, phase }) => uuid !== group.original && phase !== 'migrating')
    .sort((a, b) => memberNumber(group, b) - memberNumber(group, a) || (a.uuid < b.uuid ? 1 : -1)).slice(0, Math.min(count, Math.max(0, ready - bounds.min)))
  if (leavers.length === 0) return { proposals: [], memory, ...(held === undefined ? {} : { held }) }
  return {
    proposals: leavers.map(({ uuid }) => ({ action: { do: 'shrink', group: group.uuid, vm: uuid }, reason, ...(means === undefined ? {} : { details: { ...means, ready, wish } }) })),
    memory: { ...memory, outHits: 0, inHits: 0, change: { to: 'in', atMs, wish: ready - leavers.length, vms: leavers.map(({ uuid }) => uuid) } },
  }
}

const percent = (ratio: number): string => (Number.isFinite(ratio) ? `${Math.round(ratio * 100)} %` : 'all')
const rounded = (value: number): number => Math.round(value * 1_000) / 1_000
const time = (atMs: number | undefined): string | undefined => (atMs === undefined ? undefined : new Date(atMs).toISOString())

/** Times instead of ages: what does not change by itself need not be written each round. */
function noteOf({ group: { spec }, bounds, members, capacity, means, snapshot }: Round, memory: GroupMemory, held: string | undefined): Readonly<Record<string, unknown>> {
  const { change } = memory
  const cooldown = change?.completedAtMs === undefined ? undefined : { out: change.to === 'out' ? time(change.completedAtMs + spec.cooldownOutMs) : undefined, in: time(change.completedAtMs + spec.cooldownInMs) }
  const entries: Readonly<Record<string, unknown>> = {
    ready: members.ready.length, inFlight: capacity - members.ready.length, leaving: members.leaving.length, broken: members.broken.length, min: bounds.min, max: bounds.max, schedule: bounds.row,
    wish: memory.samples.at(-1)?.wish, meanOut: means === undefined ? undefined : rounded(means.meanOut), meanIn: means === undefined ? undefined : rounded(means.meanIn),
    projected: means === undefined || members.ready.length < 2 ? undefined : rounded(projected(means.meanIn, members.ready.length, members.ready.length - 1)),
    outHits: memory.outHits, inHits: memory.inHits, hold: spec.hold, cooldownOutUntil: cooldown?.out, cooldownInUntil: cooldown?.in,
    failures: memory.failures === 0 ? undefined : memory.failures, retryAt: memory.retryAtMs > snapshot.atMs ? time(memory.retryAtMs) : undefined, suspended: memory.suspended, owed: memory.owed === 0 ? undefined : memory.owed, held,
  }
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined))
}
