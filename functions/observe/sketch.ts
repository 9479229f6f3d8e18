// How long things took, as counts in buckets whose bounds grow by a constant factor: the sketches of several nodes
// are merged by adding, and the quantiles of the sum are those of all the values together (an average of
// percentiles is none). A quantile is right to SKETCH_ERROR_RATIO. Pure.
//
// Source: DDSketch (Masson, Rim, Lee; VLDB 2019), with a fixed factor and fixed ends instead of collapsing.

/** Each bucket ends 2^(1/8) = 9 % above the one before. */
const STEPS_PER_DOUBLING = 8
/** Ends: what took less is in the first bucket, what took more than 2^26 times as much (about 11 minutes) in the last. */
const LEAST_MS = 0.01
const BUCKETS = 26 * STEPS_PER_DOUBLING

/** A quantile is given as the middle of its bucket, so it may be off by this much of itself. */
export const SKETCH_ERROR_RATIO = 2 ** (1 / STEPS_PER_DOUBLING / 2) - 1

const bucketOf = (ms: number): number => ms <= LEAST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log2(ms / LEAST_MS) * STEPS_PER_DOUBLING))
const middleOf = (bucket: number): number => LEAST_MS * 2 ** ((bucket - 0.5) / STEPS_PER_DOUBLING)

export class Sketch {
  readonly #counts = new Map<number, number>()
  #total = 0

  get total(): number { return this.#total }

  add(ms: number): void { this.#put(bucketOf(ms), 1) }

  merge(other: Sketch): this {
    for (const [bucket, count] of other.#counts) this.#put(bucket, count)
    return this
  }

  /** Milliseconds below which `fraction` of the values lie; 0 when there are none. */
  quantile(fraction: number): number {
    if (this.#total === 0) return 0
    let left = Math.max(1, Math.ceil(fraction * this.#total))
    const buckets = [...this.#counts].sort(([a], [b]) => a - b)
    for (const [bucket, count] of buckets) if ((left -= count) <= 0) return middleOf(bucket)
    return middleOf(buckets.at(-1)?.[0] ?? 0)
  }

  /** [bucket, count, bucket, count, ...] */
  toWire(): number[] { return [...this.#counts].flat() }

  /** Of what a peer sent: pairs that make no sense are left out. */
  static fromWire(wire: unknown): Sketch {
    const sketch = new Sketch()
    if (!Array.isArray(wire)) return sketch
    for (let at = 0; at + 1 < Math.min(wire.length, 2 * BUCKETS); at += 2) {
      const bucket: unknown = wire[at], count: unknown = wire[at + 1]
      if (typeof bucket === 'number' && typeof count === 'number' && Number.isInteger(bucket) && bucket >= 0 && bucket < BUCKETS && Number.isSafeInteger(count) && count > 0) sketch.#put(bucket, count)
    }
    return sketch
  }

  #put(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count)
    this.#total += count
  }
}
