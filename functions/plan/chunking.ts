// How big a chunk is: pure arithmetic on measured item time. A chunk aims at LIMITS.chunkTargetMs of
// work; an unknown function starts at one element and grows at most eightfold a step, so that one
// heavy element is never packed with others before its weight is known.
// Source: spike section "Recommended design" 7; guided self-scheduling for the tail.

import { LIMITS } from '../../fabric/base.ts'

/** Growth per measured step while the item time is still uncertain. */
const GROWTH_MAX = 8
/** Output bytes of one chunk that are aimed at, so that results stream instead of arriving in lumps. */
const CHUNK_BYTES_TARGET = 4 * 1024 * 1024
/** Weight of a new measurement. */
const SMOOTHING = 0.5

/** Measured cost of one function's elements. */
export interface Rate { readonly msPerItem: number; readonly bytesPerItem: number; readonly largestChunk: number }

/** Takes a finished chunk into account. `count` elements took `ms` on one core and gave `bytes`. */
export function measure(rate: Rate | undefined, count: number, ms: number, bytes: number): Rate {
  const msPerItem = ms / Math.max(1, count)
  const bytesPerItem = bytes / Math.max(1, count)
  if (rate === undefined) return { msPerItem, bytesPerItem, largestChunk: count }
  return {
    msPerItem: rate.msPerItem + (msPerItem - rate.msPerItem) * SMOOTHING,
    bytesPerItem: rate.bytesPerItem + (bytesPerItem - rate.bytesPerItem) * SMOOTHING,
    largestChunk: Math.max(rate.largestChunk, count),
  }
}

/**
 * Elements of the next chunk.
 * @param remaining elements left, Infinity when unknown
 * @param lanes cores that will share what is left
 */
export function chunkSize(rate: Rate | undefined, remaining: number, lanes: number, itemsMax: number = LIMITS.chunkItemsMax): number {
  if (rate === undefined) return 1
  const byTime = LIMITS.chunkTargetMs / Math.max(rate.msPerItem, 1e-7)
  const byBytes = CHUNK_BYTES_TARGET / Math.max(rate.bytesPerItem, 1e-3)
  const byGrowth = rate.largestChunk * GROWTH_MAX
  // Near the end the chunks shrink, so that the cores finish together.
  const byTail = Number.isFinite(remaining) ? Math.ceil(remaining / (2 * Math.max(1, lanes))) : Infinity
  // ...but never below a tenth of the aim: smaller ones cost more than they balance.
  const size = Math.min(byTime, byBytes, byGrowth, itemsMax, Math.max(byTail, byTime / 10))
  return Math.max(1, Math.min(Math.floor(size), remaining))
}

/** Rates of recently seen functions, by code hashes; bounded, least recently used goes first. */
export class RateBook {
  readonly #rates = new Map<string, Rate>()
  readonly #entriesMax: number
  constructor(entriesMax = 512) { this.#entriesMax = entriesMax }
  get(key: string): Rate | undefined { return this.#rates.get(key) }
  set(key: string, rate: Rate): void {
    this.#rates.delete(key)
    this.#rates.set(key, rate)
    if (this.#rates.size > this.#entriesMax) this.#rates.delete(this.#rates.keys().next().value!)
  }
}
