// Which links a node wants, and the dials that bring them about: ring neighbours, seeds, found and dead members.
//
// An observer dials its subject; the other side waits a moment and dials too, should that fail. Dead
// members and unconnected seeds are dialled at a slow rate for ever (a day), so that the halves of a
// partition meet again: within healPauseMs of the cut's end.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import { MEMBERSHIP, dialPauseMs, healChance, healPauseMs } from './config.ts'
import { accuse, countRefusal } from './learn.ts'
import { watch } from './probe.ts'
import { jittered, pick, selfRecord, send } from './state.ts'
import type { Core, Dial } from './state.ts'

/** Recomputes subjects and observers after the view has changed. */
export function refreshOverlay(core: Core, nowMs: number): void {
  if (core.wantedVersion === core.view.version) return
  core.wantedVersion = core.view.version
  core.subjects = new Set(core.view.subjects(core.self))
  core.wanted = new Set([...core.subjects, ...core.view.observers(core.self)])
  watch(core, core.subjects, nowMs)
  for (const dial of core.dials.values()) {
    if (dial.reason === 'wanted' && !dial.inFlight && !core.wanted.has(dial.id)) core.dials.delete(dial.id)
  }
}

function want(core: Core, id: NodeId, nowMs: number): void {
  if (core.dials.has(id)) return
  // In both directions (always so in a small fabric) the lower id dials.
  const mineToDial = core.subjects.has(id) && (core.self < id || !core.view.observers(core.self).includes(id))
  plan(core, id, 'wanted', core.view.get(id)?.record.profile.addresses ?? [], mineToDial ? nowMs : nowMs + MEMBERSHIP.dialOtherSideMs)
}

function plan(core: Core, id: NodeId, reason: Dial['reason'], addresses: readonly string[], nextAtMs: number): void {
  if (core.dials.has(id) || id === core.self || (reason !== 'wanted' && core.dials.size >= LIMITS.gossipDialsMax)) return
  core.dials.set(id, { id, addresses, reason, attempts: 0, nextAtMs, inFlight: false })
}

/** Starts the dials that are due, some at a time; gives the time of the next. */
export function runDials(core: Core, nowMs: number): number {
  for (const id of core.wanted) if (!core.links.has(id)) want(core, id, nowMs)
  let inFlight = 0
  for (const dial of core.dials.values()) if (dial.inFlight) inFlight++
  let nextAtMs = Number.POSITIVE_INFINITY
  for (const dial of core.dials.values()) {
    if (dial.inFlight) continue
    if (dial.nextAtMs > nowMs) { nextAtMs = Math.min(nextAtMs, dial.nextAtMs); continue }
    if (inFlight >= LIMITS.gossipDialsInFlightMax) continue
    inFlight++
    dial.inFlight = true
    core.out.push({ type: 'dial', to: dial.id, addresses: dial.addresses, timeoutMs: MEMBERSHIP.dialTimeoutMs })
  }
  return nextAtMs
}

export function startSeeds(core: Core, nowMs: number): void {
  for (const [id, addresses] of core.seeds) plan(core, id, 'seed', addresses, nowMs)
}

export function discovered(core: Core, id: NodeId, addresses: readonly string[], nowMs: number): void {
  if (core.links.has(id) || core.view.isLive(id)) return
  plan(core, id, 'once', addresses, nowMs)
}

export function dialFailed(core: Core, id: NodeId, refused: boolean, nowMs: number): void {
  const dial = core.dials.get(id)
  if (dial === undefined) return
  if (core.links.has(id)) {
    // Up all the while, as TCP is through a cut: it may carry again. A member called dead refutes when it hears of that.
    core.dials.delete(id)
    const entry = core.view.get(id)
    if (entry?.record.state === 'dead') send(core, id, { type: 'news', news: [selfRecord(core), core.view.outgoing(entry, nowMs)] })
    return
  }
  dial.inFlight = false
  dial.attempts++
  if (refused && core.view.isLive(id)) {
    accuse(core, id, 'strong', nowMs)
    countRefusal(core, id)
  }
  const again = core.wanted.has(id) || (dial.reason === 'seed' && core.view.liveCount === 1)
  if (again) dial.nextAtMs = nowMs + jittered(core, dialPauseMs(dial.attempts))
  else core.dials.delete(id)
}

/** A link has ended. A reset is strong evidence; the rest is only a reason to dial again. */
export function linkLost(core: Core, id: NodeId, reset: boolean, nowMs: number): void {
  if (!core.view.isLive(id) || core.phase !== 'running') return
  if (reset) {
    accuse(core, id, 'strong', nowMs)
    countRefusal(core, id)
  }
  refreshOverlay(core, nowMs)
  if (!core.wanted.has(id) && !reset) return
  core.dials.delete(id)
  plan(core, id, 'wanted', core.view.get(id)?.record.profile.addresses ?? [], reset ? nowMs + MEMBERSHIP.dialPauseMs : nowMs)
}

/** One heal round: perhaps one dial of a dead member or a seed that we have no link to. */
export function runHeal(core: Core, nowMs: number): number {
  if (nowMs < core.healAtMs) return core.healAtMs
  core.healAtMs = nowMs + jittered(core, MEMBERSHIP.healRoundMs)
  core.view.expire(nowMs)
  const dead = [...core.view.gone].filter((id) => core.view.get(id)?.record.state === 'dead')
  const due = dead.filter((id) => {
    const entry = core.view.get(id)
    return entry !== undefined && nowMs - entry.triedAtMs >= healPauseMs(nowMs - entry.sinceAtMs)
  })
  const strangers = [...core.seeds.keys()].filter((id) => core.view.get(id) === undefined && !core.links.has(id))
  if (core.view.liveCount === 1) startSeeds(core, nowMs)
  const [id] = pick(core, [...due, ...strangers], 1)
  if (id === undefined || core.random.next() >= healChance(dead.length + strangers.length, core.view.liveCount)) return core.healAtMs
  const entry = core.view.get(id)
  if (entry !== undefined) entry.triedAtMs = nowMs
  plan(core, id, 'once', entry?.record.profile.addresses ?? core.seeds.get(id) ?? [], nowMs)
  return core.healAtMs
}
