// News waiting to be passed on: at most one record per member, each sent a bounded number of times.
//
// What was sent least goes first, so that fresh news is never stuck behind old. Bounded by
// LIMITS.gossipNewsMax; above it the most-sent news goes, anti-entropy carries it instead.

import { LIMITS } from '../limits.ts'
import type { NodeId } from '../id.ts'
import type { MemberRecord } from './record.ts'
import { recordBytes } from './messages.ts'

interface Item { readonly record: MemberRecord; readonly bytes: number; sent: number }

export class NewsQueue {
  readonly #items = new Map<NodeId, Item>()

  get size(): number { return this.#items.size }

  /** Replaces older news of the same member and starts its count again. */
  put(record: MemberRecord): void {
    this.#items.delete(record.id)
    this.#items.set(record.id, { record, bytes: recordBytes(record), sent: 0 })
    if (this.#items.size <= LIMITS.gossipNewsMax) return
    let worn: NodeId = record.id, mostSent = -1
    for (const [id, item] of this.#items) if (item.sent > mostSent) { worn = id; mostSent = item.sent }
    this.#items.delete(worn)
  }

  /** Up to `bytesMax` of the least-sent news; each piece is dropped once it has been taken `limit` times. */
  take(bytesMax: number, limit: number): MemberRecord[] {
    if (this.#items.size === 0) return []
    const taken: MemberRecord[] = []
    let bytesLeft = bytesMax
    for (const item of [...this.#items.values()].sort((a, b) => a.sent - b.sent)) {
      if (item.bytes > bytesLeft) continue
      bytesLeft -= item.bytes
      taken.push(item.record)
      item.sent++
      if (item.sent >= limit) this.#items.delete(item.record.id)
    }
    return taken
  }
}
