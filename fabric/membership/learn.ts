// Records in, consequences out: the view, member events, suspicions, refutation, more gossip.
//
// Everything that changes the view goes through learn(), whether it came by gossip, by anti-entropy or
// from this node's own observation. A member is told of anything bad said about it by whoever has a
// link to it; it answers with a higher incarnation, which beats every rumour about the one before.

import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import { isLive, sameProfile, withState } from './record.ts'
import type { MemberRecord } from './record.ts'
import type { MembershipEvent } from './contract.ts'
import { MEMBERSHIP } from './config.ts'
import { suspicionTimeoutMs } from './suspicion.ts'
import { selfRecord, send, worsenHealth } from './state.ts'
import type { Core, Suspicion } from './state.ts'

/** How a record reached us: told by gossip or observed here, or read from another member's table. */
export type Source = 'gossip' | 'table'

export function learn(core: Core, record: MemberRecord, from: NodeId, source: Source, nowMs: number): void {
  if (record.id === core.self) return hearOfSelf(core, record)
  const known = core.view.get(record.id)?.record
  // A table that calls our live member dead may stem from the other half of a healed partition: that is
  // an accusation, which the member can refute, not news of a death. (memberlist does the same.)
  const doubted = source === 'table' && record.state === 'dead' && known !== undefined && isLive(known) && record.incarnation >= known.incarnation
  const claim = doubted ? withState(record, 'suspect', [{ id: from, strong: false }]) : record
  const change = core.view.apply(claim, nowMs)
  if (change === undefined) return
  const { before, after } = change
  // A newcomer that reads a whole table has nothing to tell those who have it.
  if (source === 'gossip' || before !== undefined) core.news.put(after)
  if (!isLive(after)) forgetWatch(core, after.id)
  if (after.state !== 'suspect') core.suspicions.delete(after.id)
  else if (core.suspicions.get(after.id)?.incarnation !== after.incarnation) {
    core.suspicions.set(after.id, { incarnation: after.incarnation, startedAtMs: nowMs, ownRefusals: 0 })
  }
  const newlyAccused = after.state !== 'alive' && after.state !== 'left' && (before?.state !== after.state || before.incarnation !== after.incarnation)
  if (newlyAccused && core.links.has(after.id)) send(core, after.id, { type: 'news', news: [after] })
  for (const event of eventsOf(before, after)) core.out.push({ type: 'event', event, record: after })
}

/** Public events of one change. Loads and incarnations alone are none. */
function eventsOf(before: MemberRecord | undefined, after: MemberRecord): MembershipEvent['type'][] {
  const wasLive = before !== undefined && isLive(before)
  if (!isLive(after)) return wasLive ? [after.state === 'left' ? 'left' : 'died'] : []
  const events: MembershipEvent['type'][] = []
  if (!wasLive) events.push('joined')
  else if (!sameProfile(before.profile, after.profile)) events.push('updated')
  if (after.state === 'suspect' && (!wasLive || before.state === 'alive')) events.push('suspected')
  if (after.state === 'alive' && wasLive && before.state === 'suspect') events.push('refuted')
  return events
}

function forgetWatch(core: Core, id: NodeId): void {
  core.probes.delete(id)
  const dial = core.dials.get(id)
  if (dial !== undefined && !dial.inFlight) core.dials.delete(id)
}

/** Somebody speaks of us. What is not our own latest word is answered by a higher incarnation. */
function hearOfSelf(core: Core, record: MemberRecord): void {
  if (core.phase === 'leaving' || core.phase === 'left') return
  const mine = selfRecord(core)
  const foreign = record.incarnation > mine.incarnation
    || (record.incarnation === mine.incarnation && (record.state !== 'alive' || !sameProfile(record.profile, mine.profile)))
  if (!foreign) return
  if (record.state === 'suspect') worsenHealth(core)
  announce(core, { ...mine, incarnation: Math.min(LIMITS.incarnationMax, record.incarnation + 1), loadNumber: 0 })
}

/** Puts a new word of this node about itself into the view and on its way. */
export function announce(core: Core, record: MemberRecord): void {
  if (core.view.apply(record, 0) === undefined) return
  core.news.put(selfRecord(core))
  core.urgent = true
}

/** This node's own observation against a live member. */
export function accuse(core: Core, id: NodeId, evidence: 'strong' | 'weak', nowMs: number): void {
  const known = core.view.get(id)?.record
  if (known === undefined || !isLive(known) || id === core.self || core.phase !== 'running') return
  const before = known
  learn(core, withState(known, 'suspect', [...known.accusers, { id: core.self, strong: evidence === 'strong' }]), core.self, 'gossip', nowMs)
  if (core.view.get(id)?.record !== before) core.urgent = true
}

/** One more redial of a suspect refused by its own system. */
export function countRefusal(core: Core, id: NodeId): void {
  const suspicion = core.suspicions.get(id)
  if (suspicion !== undefined) suspicion.ownRefusals++
}

const dueAtMs = (core: Core, id: NodeId, suspicion: Suspicion): number => suspicion.startedAtMs + suspicionTimeoutMs({
  members: core.view.liveCount, accusers: core.view.get(id)?.record.accusers ?? [], ownRefusals: suspicion.ownRefusals,
})

/** Declares dead whose suspicion has lasted; gives the time of the next one. */
export function runSuspicions(core: Core, nowMs: number): number {
  let nextAtMs = Number.POSITIVE_INFINITY
  for (const [id, suspicion] of core.suspicions) {
    const atMs = dueAtMs(core, id, suspicion)
    if (atMs > nowMs) { nextAtMs = Math.min(nextAtMs, atMs); continue }
    const { record } = core.view.get(id) as { record: MemberRecord }
    learn(core, withState(record, 'dead'), core.self, 'gossip', nowMs)
    // Witnesses hurry; the others most likely all come to the same end at the same time.
    if (record.accusers.some((accuser) => accuser.id === core.self)) core.urgent = true
  }
  return nextAtMs
}

/** After a sleep of `gapMs`: refutations may lie unread in our sockets, so every suspicion gets that time back. */
export function extendSuspicions(core: Core, gapMs: number, nowMs: number): void {
  for (const [id, suspicion] of core.suspicions) {
    const timeoutMs = dueAtMs(core, id, suspicion) - suspicion.startedAtMs
    suspicion.startedAtMs = Math.max(suspicion.startedAtMs + gapMs, nowMs + MEMBERSHIP.sleepThresholdMs - timeoutMs)
  }
}
