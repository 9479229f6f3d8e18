// How many calls of one version go into one chunk. A chunk answers when its last element has, so calls may share one only
// where each is quick: the size grows while chunks stay below the target, falls when they do not, and is one
// again after a call that hung or killed its cell, which would take its neighbours along. Pure.

import { LIMITS } from '../../fabric/base.ts'

const GROWTH = 2

export class BatchSize {
  #size = 1
  /** Chunks to see before it grows again after a failure of a cell or a deadline. */
  #penance = 0

  get size(): number { return this.#size }

  /** A chunk of `count` calls took `wallMs`. */
  ended(count: number, wallMs: number): void {
    if (wallMs > LIMITS.invokeBatchTargetMs) {
      this.#size = wallMs > LIMITS.invokeBatchTargetMs * 4 ? 1 : Math.max(1, this.#size >> 1)
    } else if (this.#penance > 0) this.#penance--
    else if (count >= this.#size) this.#size = Math.min(LIMITS.invokeBatchMax, this.#size * GROWTH)
  }

  /** A call of it hung, or killed its cell. */
  poisoned(): void {
    this.#size = 1
    this.#penance = LIMITS.invokeBatchMax
  }
}
