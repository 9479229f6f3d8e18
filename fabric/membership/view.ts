// The member table of one node: live members on rings, tombstones of the gone, and hashes of it all.
//
// Invariants: a record only ever moves up the join of record.ts; live members are on the rings, the
// gone are not; bucket hashes cover (id, incarnation) of live members, so that two nodes agree on the
// hash exactly when they would call the same members. Tombstones age out everywhere at about the same
// time, since their age travels with them.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import { MEMBERSHIP, observerCount } from './config.ts'
import { isLive, joinRecords } from './record.ts'
import type { MemberRecord } from './record.ts'
import { Rings, hashId, hashWords } from './ring.ts'

export interface Entry {
  record: MemberRecord
  /** When the present state began, on this node's monotonic clock (minus its age when it was learned). */
  sinceAtMs: number
  /** When this node last tried to reach a dead member. */
  triedAtMs: number
}

export interface Change {
  /** Undefined when the member was not known. */
  readonly before: MemberRecord | undefined
  readonly after: MemberRecord
}

const keptMs = (record: MemberRecord): number => (record.state === 'left' ? MEMBERSHIP.leftKeptMs : MEMBERSHIP.deadKeptMs)
export const bucketOf = (id: NodeId): number => hashId(id) % LIMITS.digestBuckets

export class View {
  readonly rings = new Rings()
  readonly #entries = new Map<NodeId, Entry>()
  readonly #gone = new Set<NodeId>()
  readonly #buckets = new Uint32Array(LIMITS.digestBuckets)
  /** Raised whenever the set of live members changes. */
  version = 0

  get liveCount(): number { return this.rings.size }
  /** Who observes a live member. */
  observers(id: NodeId): NodeId[] { return this.rings.observers(id, observerCount(this.rings.size), MEMBERSHIP.ringSpan) }
  /** Whom a live member observes. */
  subjects(id: NodeId): NodeId[] { return this.rings.subjects(id, observerCount(this.rings.size), MEMBERSHIP.ringSpan) }
  get(id: NodeId): Entry | undefined { return this.#entries.get(id) }
  isLive(id: NodeId): boolean { return this.rings.has(id) }
  entries(): Iterable<Entry> { return this.#entries.values() }
  get gone(): ReadonlySet<NodeId> { return this.#gone }

  /** Joins a record in. Undefined: nothing new, or not to be remembered (old tombstone, table full). */
  apply(record: MemberRecord, nowMs: number): Change | undefined {
    const entry = this.#entries.get(record.id)
    if (entry === undefined) return this.#insert(record, nowMs)
    const before = entry.record
    const after = joinRecords(before, record)
    if (after === before) return undefined
    if (isLive(before)) this.#toggle(before)
    if (isLive(after)) this.#toggle(after)
    entry.record = after
    if (before.state !== after.state) entry.sinceAtMs = nowMs - after.ageMs
    if (isLive(before) !== isLive(after)) this.#move(after)
    return { before, after }
  }

  /** One word for the whole live table. */
  hash(): number {
    let hash = 0
    for (const bucket of this.#buckets) hash = (hash ^ bucket) >>> 0
    return hash
  }

  buckets(): number[] { return [...this.#buckets] }

  /** Records of the given buckets as they may be sent now, the gone included. */
  recordsIn(buckets: readonly number[], nowMs: number): MemberRecord[] {
    const wanted = new Set(buckets)
    const records: MemberRecord[] = []
    for (const entry of this.#entries.values()) if (wanted.has(bucketOf(entry.record.id))) records.push(this.outgoing(entry, nowMs))
    return records
  }

  /** The record with the age that its tombstone has by now. */
  outgoing(entry: Entry, nowMs: number): MemberRecord {
    return isLive(entry.record) ? entry.record : { ...entry.record, ageMs: Math.max(0, Math.round(nowMs - entry.sinceAtMs)) }
  }

  /** Forgets tombstones past their time. */
  expire(nowMs: number): void {
    for (const id of this.#gone) {
      const entry = this.#entries.get(id) as Entry
      if (nowMs - entry.sinceAtMs >= keptMs(entry.record)) this.#forget(id)
    }
  }

  #insert(record: MemberRecord, nowMs: number): Change | undefined {
    const live = isLive(record)
    if (live ? this.rings.size >= LIMITS.membersMax : record.ageMs >= keptMs(record)) return undefined
    this.#entries.set(record.id, { record, sinceAtMs: nowMs - record.ageMs, triedAtMs: Number.NEGATIVE_INFINITY })
    if (live) this.#toggle(record)
    this.#move(record)
    return { before: undefined, after: record }
  }

  #move(record: MemberRecord): void {
    this.version++
    if (isLive(record)) {
      this.#gone.delete(record.id)
      this.rings.add(record.id)
      return
    }
    this.rings.remove(record.id)
    this.#gone.add(record.id)
    if (this.#gone.size > LIMITS.tombstonesMax) this.#forget(this.#gone.values().next().value as NodeId)
  }

  #forget(id: NodeId): void {
    this.#gone.delete(id)
    this.#entries.delete(id)
  }

  /** Puts a live record's hash into its bucket, or takes it out again (exclusive or is its own inverse). */
  #toggle(record: MemberRecord): void {
    const base = hashId(record.id)
    const bucket = base % LIMITS.digestBuckets
    this.#buckets[bucket] = ((this.#buckets[bucket] as number) ^ hashWords(base, record.incarnation)) >>> 0
  }
}
