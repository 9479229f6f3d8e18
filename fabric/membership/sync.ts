// Anti-entropy: what gossip missed, two neighbours find by comparing hashes and mend by exchanging buckets.
//
// Every probe carries the sender's view hash. A difference that lasts starts an exchange: digest (64
// bucket hashes) -> state (records of differing buckets, and which ones are wanted) -> state. Equal
// views cost four bytes a probe, one difference 1/64 of the view; nothing grows with n while idle.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import { MEMBERSHIP } from './config.ts'
import { recordBytes } from './messages.ts'
import type { MemberRecord } from './record.ts'
import { jittered, pick, selfRecord, send } from './state.ts'
import type { Core } from './state.ts'

/** Room for the other fields of a state frame: type, counts, 64 wanted buckets. */
const STATE_OVERHEAD_BYTES = 200

export function sendDigest(core: Core, to: NodeId, nowMs: number): void {
  const link = core.links.get(to)
  if (link === undefined) return
  link.syncedAtMs = nowMs
  link.differsSinceMs = undefined
  send(core, to, { type: 'digest', buckets: core.view.buckets(), news: [selfRecord(core)] })
}

/** A neighbour's view hash, as seen on a probe. */
export function compareHash(core: Core, from: NodeId, hash: number, nowMs: number): void {
  const link = core.links.get(from)
  if (link === undefined) return
  if (hash === core.view.hash()) link.differsSinceMs = undefined
  else if (link.differsSinceMs === undefined) link.differsSinceMs = nowMs
  else if (nowMs - link.differsSinceMs >= MEMBERSHIP.probeIntervalMs / 2 && nowMs - link.syncedAtMs >= MEMBERSHIP.syncPauseMs) sendDigest(core, from, nowMs)
}

export function answerDigest(core: Core, from: NodeId, theirs: readonly number[], nowMs: number): void {
  const differing: number[] = []
  core.view.buckets().forEach((hash, bucket) => { if (hash !== theirs[bucket]) differing.push(bucket) })
  if (differing.length > 0) sendState(core, from, differing, differing, nowMs)
}

/** Sends all records of the buckets, in as many frames as they need; the first one asks for `wanted` in return. */
export function sendState(core: Core, to: NodeId, buckets: readonly number[], wanted: readonly number[], nowMs: number): void {
  let frame: MemberRecord[] = [], bytesLeft = LIMITS.gossipFrameBytesMax - STATE_OVERHEAD_BYTES, ask = wanted
  const flush = (): void => {
    send(core, to, { type: 'state', wanted: ask, news: frame })
    frame = []; ask = []; bytesLeft = LIMITS.gossipFrameBytesMax - STATE_OVERHEAD_BYTES
  }
  for (const record of core.view.recordsIn(buckets, nowMs)) {
    const bytes = recordBytes(record)
    if (bytes > bytesLeft) flush()
    frame.push(record)
    bytesLeft -= bytes
  }
  if (frame.length > 0 || ask.length > 0) flush()
}

/** Now and then without any sign of a difference, against hashes that collide and tombstones that were missed. */
export function runSync(core: Core, nowMs: number): number {
  if (nowMs < core.syncAtMs) return core.syncAtMs
  core.syncAtMs = nowMs + jittered(core, MEMBERSHIP.syncIntervalMs)
  const [peer] = pick(core, [...core.links.keys()].filter((id) => core.view.isLive(id)), 1)
  if (peer !== undefined) sendDigest(core, peer, nowMs)
  return core.syncAtMs
}
