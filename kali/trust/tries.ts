// How often a password may be wrong: a bucket for each name on this node. Pure: time is handed in.
//
// A name's bucket is charged before the directory is asked and given back when the password was right, so that guesses made
// at the same time count too. Names that nobody has tried for long are forgotten; when there are too many, the oldest.
// One attacker can keep a name from logging in at this node for as long as he tries: the directory's own lock-out would be worse.

import { LIMITS } from '../../fabric/base.ts'

interface Bucket { left: number; atMs: number }

export class LoginTries {
  readonly #buckets = new Map<string, Bucket>()

  /** Takes one try; else the milliseconds until there is one. */
  take(name: string, nowMs: number): number {
    const bucket = this.#filled(name, nowMs)
    if (bucket.left < 1) return Math.ceil((1 - bucket.left) * 60_000 / LIMITS.loginTriesPerMinute)
    bucket.left -= 1
    return 0
  }

  /** The password was right. */
  giveBack(name: string): void {
    const bucket = this.#buckets.get(name)
    if (bucket !== undefined) bucket.left = Math.min(LIMITS.loginTries, bucket.left + 1)
  }

  #filled(name: string, nowMs: number): Bucket {
    const bucket = this.#buckets.get(name) ?? { left: LIMITS.loginTries, atMs: nowMs }
    bucket.left = Math.min(LIMITS.loginTries, bucket.left + (nowMs - bucket.atMs) * LIMITS.loginTriesPerMinute / 60_000)
    bucket.atMs = nowMs
    // In order of last use.
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    const oldest = this.#buckets.keys().next().value
    if (this.#buckets.size > LIMITS.loginNamesTracked && oldest !== undefined) this.#buckets.delete(oldest)
    return bucket
  }
}
