// A chunk: consecutive elements of one run, given to one node at a time, answered with runs that cover it.

import type { NodeId } from '../../fabric/base.ts'
import type { ReferenceRecord, ResultRun } from '../contract.ts'

export type ChunkSource =
  | { readonly type: 'range'; readonly start: number; readonly step: number }
  | { readonly type: 'items'; readonly bytes: Uint8Array }
  | { readonly type: 'references'; readonly references: readonly ReferenceRecord[] }

export interface Chunk {
  readonly id: number
  readonly from: number
  readonly count: number
  readonly source: ChunkSource
  /** The node it must run on; undefined for data, which may run anywhere. */
  readonly home: NodeId | undefined
  attempts: number
  node: NodeId | undefined
}

/** A range chunk costs the wire nothing, so it may be far larger than a chunk of shipped items. */
export const RANGE_ITEMS_MAX = 4_000_000

/** True when the runs cover [from, from + count) exactly, in order. */
export function covers(runs: readonly ResultRun[], from: number, count: number): boolean {
  let next = from
  for (const run of runs) {
    if (run.from !== next || run.count <= 0) return false
    next += run.count
  }
  return next === from + count
}

/** Elements start + i * step for i in [0, count), handed out from the front. */
export class RangeRest {
  #next = 0
  readonly #start: number
  readonly #step: number
  readonly #count: number

  constructor(start: number, step: number, count: number) {
    this.#start = start
    this.#step = step
    this.#count = count
  }

  /** Index of the first element not handed out. */
  get next(): number { return this.#next }
  /** Elements not handed out. */
  get left(): number { return this.#count - this.#next }

  take(count: number): Pick<Chunk, 'from' | 'count' | 'source'> {
    const from = this.#next
    this.#next += count
    return { from, count, source: { type: 'range', start: this.#start + from * this.#step, step: this.#step } }
  }
}
