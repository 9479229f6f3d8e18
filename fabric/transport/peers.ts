// What the transport knows of each peer: its link, the number of that link, where it was last heard.
//
// Link numbers only rise: a wire that was promised number 3 cannot join link 4. The table is bounded; a
// record in use is never dropped, and numbers come from one counter, so a dropped record's are not reused.

import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { Link } from './contract.ts'
import type { WireLink } from './link.ts'
import type { Wire } from './wire.ts'

/** A UDX wire whose hello is done, waiting a moment for a direct TCP path before it makes the link alone. */
export interface WaitingWire { readonly wire: Wire; readonly bringUp: () => void }

export interface PeerRecord {
  readonly id: NodeId
  number: number
  link: WireLink | undefined
  dialling: Promise<Link> | undefined
  addresses: readonly string[]
  readonly waiting: Set<WaitingWire>
}

export class Peers {
  readonly #records = new Map<NodeId, PeerRecord>()
  #numbers = 0

  get(id: NodeId): PeerRecord | undefined { return this.#records.get(id) }

  /** The record of a peer, made if there was none. */
  of(id: NodeId): PeerRecord {
    const known = this.#records.get(id)
    if (known !== undefined) return known
    if (this.#records.size >= LIMITS.swarmPeersKnownMax) this.#prune()
    const record: PeerRecord = { id, number: ++this.#numbers, link: undefined, dialling: undefined, addresses: [], waiting: new Set() }
    this.#records.set(id, record)
    return record
  }

  /** Every later link with the peer has a new number. */
  nextNumber(record: PeerRecord): void { record.number = ++this.#numbers }

  upLink(id: NodeId): WireLink | undefined {
    const link = this.#records.get(id)?.link
    return link?.up === true ? link : undefined
  }

  *upLinks(): Iterable<WireLink> {
    for (const record of this.#records.values()) if (record.link?.up === true) yield record.link
  }

  *records(): Iterable<PeerRecord> { yield* this.#records.values() }

  #prune(): void {
    for (const [id, record] of this.#records) {
      if (record.link === undefined && record.dialling === undefined && record.waiting.size === 0) this.#records.delete(id)
    }
  }
}
