// Watching one's subjects: ping, then helpers, then an accusation.
//
//            heard within half an interval              anything heard from it
//          +------------------------------+      +------------------------------------+
//          v                              |      v                                    |
//        idle --interval over--> ping ------> direct --500 ms--> indirect --700 ms--> accuse (weak)
//                  no link, dial failed --------------------------^
//
// Timeouts are multiplied by the local health factor. Anything a subject sends counts as an answer:
// lanes are reliable and ordered, so a late frame still proves that its sender lived.
// Source: SWIM sections 3 and 4.1; Lifeguard's nack and local health.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import { MEMBERSHIP, healthFactor } from './config.ts'
import { accuse } from './learn.ts'
import { jittered, pick, ping, send, worsenHealth } from './state.ts'
import type { Core, Probe } from './state.ts'

/** New subjects are watched, others no longer. */
export function watch(core: Core, subjects: ReadonlySet<NodeId>, nowMs: number): void {
  for (const id of core.probes.keys()) if (!subjects.has(id)) core.probes.delete(id)
  for (const id of subjects) {
    if (core.probes.has(id)) continue
    const dueAtMs = nowMs + MEMBERSHIP.probeIntervalMs * core.random.next()
    core.probes.set(id, { stage: 'idle', dueAtMs, seq: 0, helpersAsked: 0, helpersAnswered: 0 })
  }
}

/** The subject lives: by its own word or a helper's. */
export function settle(core: Core, id: NodeId, nowMs: number): void {
  const probe = core.probes.get(id)
  if (probe === undefined || probe.stage === 'idle') return
  probe.stage = 'idle'
  probe.dueAtMs = nowMs + MEMBERSHIP.probeIntervalMs * (0.9 + 0.2 * core.random.next())
  core.health = Math.max(0, core.health - 1)
}

/** Moves every probe and relay whose time has come; gives the time of the next. */
export function runProbes(core: Core, nowMs: number): number {
  let nextAtMs = Number.POSITIVE_INFINITY
  for (const [id, probe] of core.probes) {
    if (nowMs >= probe.dueAtMs) {
      if (probe.stage === 'idle') begin(core, id, probe, nowMs)
      else if (probe.stage === 'direct') askHelpers(core, id, probe, nowMs)
      else fail(core, id, probe, nowMs)
    }
    nextAtMs = Math.min(nextAtMs, probe.dueAtMs)
  }
  for (const [seq, relay] of core.relays) {
    if (nowMs >= relay.dueAtMs) {
      core.relays.delete(seq)
      send(core, relay.asker, { type: 'relay', seq: relay.askerSeq, answered: false })
    } else nextAtMs = Math.min(nextAtMs, relay.dueAtMs)
  }
  return nextAtMs
}

function begin(core: Core, id: NodeId, probe: Probe, nowMs: number): void {
  const link = core.links.get(id)
  if (link === undefined) {
    // The first dial has not ended yet: nothing is known, so nothing is held against it.
    if ((core.dials.get(id)?.attempts ?? 0) === 0) probe.dueAtMs = nowMs + MEMBERSHIP.dialPauseMs
    else askHelpers(core, id, probe, nowMs)
    return
  }
  if (link.heardAtMs > nowMs - MEMBERSHIP.probeIntervalMs / 2) {
    probe.dueAtMs = link.heardAtMs + MEMBERSHIP.probeIntervalMs * (0.9 + 0.2 * core.random.next())
    return
  }
  probe.stage = 'direct'
  probe.dueAtMs = nowMs + MEMBERSHIP.ackTimeoutMs * healthFactor(core.health)
  probe.seq = ping(core, id)
}

function askHelpers(core: Core, id: NodeId, probe: Probe, nowMs: number): void {
  const linked = [...core.links.keys()].filter((peer) => peer !== id && core.view.get(peer)?.record.state === 'alive')
  // Best are those whose overlay has a link to the subject; a stranger could only say that it has none.
  const near = new Set([...core.view.observers(id), ...core.view.subjects(id)])
  const able = linked.filter((peer) => near.has(peer))
  const helpers = pick(core, able.length > 0 ? able : linked, MEMBERSHIP.helpers)
  probe.seq = ++core.seq
  probe.stage = 'indirect'
  probe.helpersAsked = helpers.length
  probe.helpersAnswered = 0
  probe.dueAtMs = nowMs + MEMBERSHIP.indirectTimeoutMs * healthFactor(core.health)
  for (const helper of helpers) send(core, helper, { type: 'ask', seq: probe.seq, target: id })
}

function fail(core: Core, id: NodeId, probe: Probe, nowMs: number): void {
  // Helpers that do not even say "no answer": the trouble is on this side.
  if (probe.helpersAsked > 0 && probe.helpersAnswered === 0) worsenHealth(core)
  probe.stage = 'idle'
  probe.dueAtMs = nowMs + jittered(core, MEMBERSHIP.probeIntervalMs)
  accuse(core, id, 'weak', nowMs)
}

/** Somebody asks us to probe for it. */
export function relayFor(core: Core, asker: NodeId, askerSeq: number, target: NodeId, nowMs: number): void {
  if (!core.links.has(target) || core.relays.size >= LIMITS.gossipRelaysMax) {
    send(core, asker, { type: 'relay', seq: askerSeq, answered: false })
    return
  }
  core.relays.set(ping(core, target), { asker, askerSeq, target, dueAtMs: nowMs + MEMBERSHIP.helperTimeoutMs })
}

/** An ack that may answer a probe made for somebody else. */
export function relayBack(core: Core, from: NodeId, seq: number): void {
  const relay = core.relays.get(seq)
  if (relay === undefined || relay.target !== from) return
  core.relays.delete(seq)
  send(core, relay.asker, { type: 'relay', seq: relay.askerSeq, answered: true })
}

/** A helper's word on one of our probes. */
export function helperSays(core: Core, seq: number, answered: boolean, nowMs: number): void {
  for (const [id, probe] of core.probes) {
    if (probe.stage !== 'indirect' || probe.seq !== seq) continue
    probe.helpersAnswered++
    if (answered) settle(core, id, nowMs)
  }
}

/** After a sleep: what was outstanding proves nothing; probe again soon. */
export function voidProbes(core: Core, nowMs: number): void {
  core.relays.clear()
  for (const probe of core.probes.values()) {
    probe.stage = 'idle'
    probe.dueAtMs = nowMs + MEMBERSHIP.ackTimeoutMs * core.random.next()
  }
}
