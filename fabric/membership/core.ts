// The membership protocol as a pure core: step(core, event, now) -> outputs. No I/O, no clock.
//
// SWIM (probe, ask helpers, suspect, refute by incarnation, gossip) with Lifeguard (local health,
// confirmations, the suspect is told) over a Rapid-like overlay (k rings, each member watched by k
// others) on reliable links. ../membership/README.md has the picture and the formulas.
//
// Each call: notice a sleep, take the event, run what is due, flush urgent news, say when to wake next.
// It may change `core` in place; the same sequence of calls with the same random gives the same outputs.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import { MEMBERSHIP, loadPauseMs, retransmitLimit } from './config.ts'
import { announce, extendSuspicions, learn, runSuspicions } from './learn.ts'
import { quantisedLoad } from './messages.ts'
import type { Beat, Message } from './messages.ts'
import { dialFailed, discovered, linkLost, refreshOverlay, runDials, runHeal, startSeeds } from './overlay.ts'
import { helperSays, relayBack, relayFor, runProbes, settle, voidProbes } from './probe.ts'
import { isLive, withState } from './record.ts'
import type { Load } from './record.ts'
import { beatOf, jittered, pick, ping, riders, selfRecord, send, worsenHealth } from './state.ts'
import type { Core, CoreEvent, LinkEnd, Output } from './state.ts'
import { answerDigest, compareHash, runSync, sendDigest, sendState } from './sync.ts'

export function step(core: Core, event: CoreEvent, nowMs: number): readonly Output[] {
  core.out = []
  noticeSleep(core, nowMs)
  // A timer is used up by firing, even if it fired a little early.
  if (event.type === 'timer') core.wakeAtMs = Number.NEGATIVE_INFINITY
  take(core, event, nowMs)
  if (core.phase === 'running' || core.phase === 'leaving') {
    const wakeAtMs = runDue(core, nowMs)
    if (wakeAtMs !== core.wakeAtMs) {
      core.wakeAtMs = wakeAtMs
      core.out.push({ type: 'timer', atMs: wakeAtMs })
    }
  }
  return core.out
}

/** Woken far later than asked for, by whatever event: this process stood still, the others did not. */
function noticeSleep(core: Core, nowMs: number): void {
  const gapMs = nowMs - core.wakeAtMs
  if (gapMs < MEMBERSHIP.sleepThresholdMs || core.phase !== 'running' || gapMs === Number.POSITIVE_INFINITY) return
  core.wakeAtMs = nowMs
  worsenHealth(core)
  voidProbes(core, nowMs)
  extendSuspicions(core, gapMs, nowMs)
}

function take(core: Core, event: CoreEvent, nowMs: number): void {
  switch (event.type) {
    case 'start': return start(core, event.seeds, nowMs)
    case 'timer': return
    case 'message': return hear(core, event.from, event.message, nowMs)
    case 'link-up': return linkUp(core, event.peer, nowMs)
    case 'link-down': return linkDown(core, event.peer, event.why, nowMs)
    case 'dial-failed': return dialFailed(core, event.peer, event.refused, nowMs)
    case 'discovered': return discovered(core, event.peer, event.addresses, nowMs)
    case 'load': return takeLoad(core, event.load)
    case 'profile': return announce(core, { ...selfRecord(core), incarnation: selfRecord(core).incarnation + 1, loadNumber: 0, profile: event.profile })
    case 'leave': return leave(core, nowMs)
    case 'expelled': return expel(core, event.peer, nowMs)
  }
}

function start(core: Core, seeds: readonly { readonly id: NodeId; readonly addresses: readonly string[] }[], nowMs: number): void {
  core.phase = 'running'
  core.healAtMs = nowMs + jittered(core, MEMBERSHIP.healRoundMs)
  core.syncAtMs = nowMs + jittered(core, MEMBERSHIP.syncIntervalMs)
  for (const seed of seeds) if (seed.id !== core.self) core.seeds.set(seed.id, seed.addresses)
  startSeeds(core, nowMs)
}

function linkUp(core: Core, peer: NodeId, nowMs: number): void {
  core.links.set(peer, { heardAtMs: nowMs, differsSinceMs: undefined, syncedAtMs: Number.NEGATIVE_INFINITY })
  core.dials.delete(peer)
  if (core.phase === 'left') return
  settle(core, peer, nowMs)
  const entry = core.view.get(peer)
  // It is told what we hold against it, so that it can refute. One of the two sides starts the exchange of views.
  const grudge = entry !== undefined && entry.record.state !== 'alive' ? [core.view.outgoing(entry, nowMs)] : []
  send(core, peer, { type: 'news', news: [selfRecord(core), ...grudge] })
  if (core.self < peer) sendDigest(core, peer, nowMs)
}

function linkDown(core: Core, peer: NodeId, why: LinkEnd, nowMs: number): void {
  core.links.delete(peer)
  core.leaveAcks.delete(peer)
  linkLost(core, peer, why === 'reset', nowMs)
}

function hear(core: Core, from: NodeId, message: Message, nowMs: number): void {
  const link = core.links.get(from)
  if (link === undefined) return
  link.heardAtMs = nowMs
  settle(core, from, nowMs)
  if ('news' in message) for (const record of message.news) learn(core, record, from, message.type === 'state' ? 'table' : 'gossip', nowMs)
  switch (message.type) {
    case 'ping':
      hearBeat(core, from, message.beat, nowMs)
      compareHash(core, from, message.hash, nowMs)
      return send(core, from, { type: 'ack', seq: message.seq, hash: core.view.hash(), beat: beatOf(core), news: riders(core) })
    case 'ack':
      hearBeat(core, from, message.beat, nowMs)
      compareHash(core, from, message.hash, nowMs)
      core.leaveAcks.delete(from)
      return relayBack(core, from, message.seq)
    case 'ask': return relayFor(core, from, message.seq, message.target, nowMs)
    case 'relay': return helperSays(core, message.seq, message.answered, nowMs)
    case 'digest': return answerDigest(core, from, message.buckets, nowMs)
    case 'state': return message.wanted.length === 0 ? undefined : sendState(core, from, message.wanted, [], nowMs)
    case 'news': return
  }
}

function expel(core: Core, peer: NodeId, nowMs: number): void {
  const known = core.view.get(peer)?.record
  core.seeds.delete(peer)
  if (known === undefined || peer === core.self || !isLive(known)) return
  learn(core, withState(known, 'dead'), core.self, 'gossip', nowMs)
  core.urgent = true
}

/** A neighbour's load, straight from it. */
function hearBeat(core: Core, from: NodeId, beat: Beat, nowMs: number): void {
  const known = core.view.get(from)?.record
  if (known === undefined || known.incarnation !== beat.incarnation || beat.loadNumber <= known.loadNumber) return
  core.view.apply({ ...known, load: beat.load, loadNumber: beat.loadNumber }, nowMs)
}

function takeLoad(core: Core, given: Load): void {
  const load = quantisedLoad(given), mine = selfRecord(core)
  if (load.cpuRatio === mine.load.cpuRatio && load.queued === mine.load.queued) return
  core.view.apply({ ...mine, load, loadNumber: mine.loadNumber + 1 }, 0)
}

/** Beyond the mesh, where not everybody is probed by us, a load that has really changed is gossiped now and then. */
function runLoad(core: Core, nowMs: number): void {
  if (core.view.liveCount <= MEMBERSHIP.meshMembersMax || nowMs - core.spreadLoadAtMs < loadPauseMs(core.view.liveCount)) return
  const { load } = selfRecord(core)
  if (Math.abs(load.cpuRatio - core.spreadLoad.cpuRatio) < 0.05 && load.queued === core.spreadLoad.queued) return
  core.spreadLoad = load
  core.spreadLoadAtMs = nowMs
  core.news.put(selfRecord(core))
}

/** Tells every link at once; their acks are counted. */
function leave(core: Core, nowMs: number): void {
  if (core.phase !== 'running') {
    core.out.push({ type: 'left' })
    return
  }
  core.phase = 'leaving'
  core.leaveBeganAtMs = nowMs
  core.view.apply(withState(selfRecord(core), 'left'), nowMs)
  core.probes.clear()
  core.suspicions.clear()
  core.dials.clear()
  for (const peer of core.links.keys()) {
    ping(core, peer, [selfRecord(core)])
    if (core.view.get(peer)?.record.state === 'alive') core.leaveAcks.add(peer)
  }
}

function runDue(core: Core, nowMs: number): number {
  if (core.phase === 'leaving') {
    const endsAtMs = core.leaveBeganAtMs + MEMBERSHIP.leaveTimeoutMs
    if (core.leaveAcks.size > 0 && nowMs < endsAtMs) return endsAtMs
    core.phase = 'left'
    core.out.push({ type: 'left' })
    return Number.POSITIVE_INFINITY
  }
  runLoad(core, nowMs)
  const suspicionAtMs = runSuspicions(core, nowMs)
  refreshOverlay(core, nowMs)
  const healAtMs = runHeal(core, nowMs)
  const probeAtMs = runProbes(core, nowMs)
  const dialAtMs = runDials(core, nowMs)
  return Math.min(suspicionAtMs, probeAtMs, dialAtMs, healAtMs, runSync(core, nowMs), runGossip(core, nowMs))
}

/** Urgent own news goes to every link at once, other news to a few links per round; no news, no rounds. */
function runGossip(core: Core, nowMs: number): number {
  if (core.news.size === 0 || core.links.size === 0) {
    core.urgent = false
    return Number.POSITIVE_INFINITY
  }
  if (core.urgent) {
    core.urgent = false
    spread(core, pick(core, [...core.links.keys()], LIMITS.gossipUrgentLinksMax))
    core.gossipAtMs = nowMs + jittered(core, MEMBERSHIP.gossipIntervalMs)
  } else if (nowMs >= core.gossipAtMs) {
    // The first news after a silence waits a little, so that a burst travels together.
    const idle = nowMs - core.gossipAtMs > 2 * MEMBERSHIP.gossipIntervalMs
    core.gossipAtMs = nowMs + jittered(core, idle ? MEMBERSHIP.gossipIntervalMs / 5 : MEMBERSHIP.gossipIntervalMs)
    if (!idle) spread(core, nextLinks(core))
  }
  return core.news.size === 0 ? Number.POSITIVE_INFINITY : core.gossipAtMs
}

function spread(core: Core, peers: readonly NodeId[]): void {
  for (const peer of peers) {
    const news = core.news.take(LIMITS.gossipFrameBytesMax - 16, retransmitLimit(core.view.liveCount))
    if (news.length > 0) send(core, peer, { type: 'news', news })
  }
}

/** The next few links of a shuffled round: the same news goes to each link once before it repeats. */
function nextLinks(core: Core): NodeId[] {
  const chosen: NodeId[] = []
  for (let drawn = 0; drawn < core.links.size && chosen.length < MEMBERSHIP.gossipFanout; drawn++) {
    if (core.rotation.length === 0) core.rotation = pick(core, [...core.links.keys()], core.links.size)
    const peer = core.rotation.pop() as NodeId
    if (core.links.has(peer) && core.view.isLive(peer)) chosen.push(peer)
  }
  return chosen
}
