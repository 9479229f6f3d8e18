// The breaker of one version on one node: a function that kills its cell again and again is refused at once for a while, then
// tried once. Sits above the sandbox's quarantine with the same figures (quarantineKills in quarantineMs), so that when a
// trial is due the quarantine has forgotten, too. Pure: time comes in.
//
//   closed --kills within the window--> open --time over--> trial under way --answers--> closed
//                                        ^                       |
//                                        +----kills, twice as long

import { LIMITS } from '../../fabric/base.ts'

export type BreakerState = 'closed' | 'open' | 'trial'

export class Breaker {
  #kills: number[] = []
  #state: BreakerState = 'closed'
  #openMs = 0
  #untilMs = 0
  /** Kills since it was last closed, for messages. */
  #killed = 0

  get state(): BreakerState { return this.#state }
  get kills(): number { return this.#killed }

  /** 'go'; 'trial': this call decides; or the seconds for which it is refused. */
  admit(nowMs: number): 'go' | 'trial' | { readonly seconds: number } {
    if (this.#state === 'closed') return 'go'
    if (this.#state === 'open' && nowMs >= this.#untilMs) {
      this.#state = 'trial'
      return 'trial'
    }
    return { seconds: Math.max(1, Math.ceil((this.#untilMs - nowMs) / 1_000)) }
  }

  /** The trial ended in something that says nothing about the cell (busy, cancelled in the queue): the next call is the trial. */
  inconclusive(nowMs: number): void {
    if (this.#state !== 'trial') return
    this.#state = 'open'
    this.#untilMs = nowMs
  }

  /** A call of it came back with its cell alive. */
  survived(): void {
    if (this.#state !== 'trial') return
    this.#state = 'closed'
    this.#kills = []
    this.#openMs = 0
    this.#killed = 0
  }

  /** A call of it took its cell along. True: this opened the breaker. */
  killed(nowMs: number): boolean {
    this.#killed++
    this.#kills = [...this.#kills.filter((at) => nowMs - at < LIMITS.quarantineMs), nowMs]
    if (this.#state === 'open' || (this.#state === 'closed' && this.#kills.length < LIMITS.quarantineKills)) return false
    this.#openMs = Math.min(LIMITS.breakerOpenMsMax, Math.max(LIMITS.quarantineMs, this.#openMs * 2))
    this.#untilMs = nowMs + this.#openMs
    this.#state = 'open'
    return true
  }
}
