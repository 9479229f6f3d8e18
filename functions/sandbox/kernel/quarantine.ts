// Functions that kill their cells: after quarantineKills kills within quarantineMs a function is refused for
// as long. Pure: time comes in.

import type { Hash } from '../../../fabric/base.ts'

const TRACKED_MAX = 1_024

export class Quarantine {
  readonly #killsMax: number
  readonly #windowMs: number
  readonly #kills = new Map<Hash, number[]>()

  constructor(killsMax: number, windowMs: number) {
    this.#killsMax = killsMax
    this.#windowMs = windowMs
  }

  #recent(code: Hash, nowMs: number): number[] { return (this.#kills.get(code) ?? []).filter((at) => nowMs - at < this.#windowMs) }

  record(code: Hash, nowMs: number): void {
    const kills = [...this.#recent(code, nowMs), nowMs]
    this.#kills.delete(code)
    this.#kills.set(code, kills)
    const oldest = this.#kills.keys().next()
    if (this.#kills.size > TRACKED_MAX && oldest.done !== true) this.#kills.delete(oldest.value)
  }

  refuses(code: Hash, nowMs: number): boolean { return this.#kills.size > 0 && this.#recent(code, nowMs).length >= this.#killsMax }

  list(nowMs: number): Hash[] { return [...this.#kills.keys()].filter((code) => this.refuses(code, nowMs)) }
}
