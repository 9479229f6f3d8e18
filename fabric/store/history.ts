// The last changes of a store, by revision, for watches: bounded in events and in bytes. Pure, in memory.
//
// Invariant: every change after `floor` is here, so a watch from a revision at or above it has no gap.

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import { utf8Bytes } from './check.ts'
import type { StoreBatch, StoreEvent } from './contract.ts'

const EVENT_BYTES = 64
const bytesOf = (event: StoreEvent): number => EVENT_BYTES + (event.type === 'put' ? utf8Bytes(event.entry.key) + event.entry.value.byteLength : utf8Bytes(event.key))
const batchBytes = ({ events }: StoreBatch): number => events.reduce((sum, event) => sum + bytesOf(event), 0)

export const keyOf = (event: StoreEvent): string => event.type === 'put' ? event.entry.key : event.key

/** The part of a batch that is under `prefix`. */
export const under = (batch: StoreBatch, prefix: string): StoreBatch =>
  prefix === '' ? batch : { revision: batch.revision, events: batch.events.filter((event) => keyOf(event).startsWith(prefix)) }

export class History {
  #batches: StoreBatch[] = []
  /** Where the kept ones begin in #batches; the front is cut off now and then. */
  #head = 0
  #events = 0
  #bytes = 0
  #floor: number

  constructor(floor: number, batches: readonly StoreBatch[] = []) {
    this.#floor = floor
    for (const batch of batches) this.#push(batch)
  }

  /** Changes after this revision are all here. */
  get floor(): number { return this.#floor }

  /** Adds a batch; answers the batches that had to go for it, oldest first. */
  add(batch: StoreBatch): readonly StoreBatch[] {
    this.#push(batch)
    const gone: StoreBatch[] = []
    // The newest stays, whatever its size: a watch that keeps up loses nothing.
    while ((this.#events > LIMITS.storeHistoryEventsMax || this.#bytes > LIMITS.storeHistoryBytesMax) && this.#head < this.#batches.length - 1) gone.push(this.#shift())
    return gone
  }

  /** Takes back an add() and what went for it. */
  undo(gone: readonly StoreBatch[]): void {
    const last = this.#batches.pop()
    if (last !== undefined) this.#count(last, -1)
    if (gone.length === 0) return
    this.#batches = [...gone, ...this.#batches.slice(this.#head)]
    this.#head = 0
    for (const batch of gone) this.#count(batch, 1)
    this.#floor = (gone[0]?.revision ?? 1) - 1
  }

  /** The first batch after `revision`; undefined when there is none yet. Throws STORE_COMPACTED. */
  next(revision: number): StoreBatch | undefined {
    if (revision < this.#floor) throw FABRIC.STORE_COMPACTED({ revision, oldest: this.#floor })
    let low = this.#head, high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#batches[middle]?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return this.#batches[low]
  }

  #push(batch: StoreBatch): void {
    this.#batches.push(batch)
    this.#count(batch, 1)
  }

  #count(batch: StoreBatch, sign: 1 | -1): void {
    this.#events += sign * batch.events.length
    this.#bytes += sign * batchBytes(batch)
  }

  #shift(): StoreBatch {
    const batch = this.#batches[this.#head++] as StoreBatch
    this.#count(batch, -1)
    this.#floor = batch.revision
    if (this.#head > 1_024 && this.#head * 2 > this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head)
      this.#head = 0
    }
    return batch
  }
}
