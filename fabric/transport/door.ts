// The door in front of the hello: how many strangers may stand in it, and how often one may knock. Pure.
//
// A connection takes a place when it opens and leaves it when its hello is accepted or it closes. A stranger
// who says nothing costs a place but no cryptography: the handshake budget of its source is charged when its
// first byte arrives. When all places are taken, the oldest one that has said nothing makes room (an honest
// peer speaks within milliseconds); if all have spoken, the newcomer is refused. One source cannot have all of them.
// Source: LIMITS.pendingHandshakesMax, pendingPerSourceMax, handshakesPerSourcePerSecond; reliability.md 4.2.

import { LIMITS } from '../limits.ts'

export interface Place {
  readonly source: string
  spoke: boolean
  /** Shows the occupant out. */
  readonly evict: () => void
}

interface Bucket { tokens: number; atMs: number }

export class Door {
  /** In order of arrival. */
  readonly #places = new Set<Place>()
  readonly #buckets = new Map<string, Bucket>()

  get occupied(): number { return this.#places.size }

  /** A place for a new connection, or undefined: refuse it. */
  enter(source: string, evict: () => void): Place | undefined {
    if (this.#places.size >= LIMITS.pendingHandshakesMax) {
      const silent = this.#places.values().find((place) => !place.spoke)
      if (silent === undefined) return undefined
      this.#places.delete(silent)
      silent.evict()
    }
    const place = { source, spoke: false, evict }
    this.#places.add(place)
    return place
  }

  /** The first byte of an occupant: false when its source has used up its handshakes, or has too many under way. */
  speak(place: Place, nowMs: number): boolean {
    place.spoke = true
    if (this.#underWay(place.source) > LIMITS.pendingPerSourceMax) return false
    const bucket = this.#buckets.get(place.source) ?? { tokens: LIMITS.handshakeBurst, atMs: nowMs }
    const earned = ((nowMs - bucket.atMs) / 1_000) * LIMITS.handshakesPerSourcePerSecond
    const tokens = Math.min(LIMITS.handshakeBurst, bucket.tokens + earned)
    // Re-inserted so that the map's order is the order of last use.
    this.#buckets.delete(place.source)
    this.#buckets.set(place.source, { tokens: Math.max(0, tokens - 1), atMs: nowMs })
    if (this.#buckets.size > LIMITS.handshakeSourcesMax) {
      const oldest = this.#buckets.keys().next().value
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return tokens >= 1
  }

  #underWay(source: string): number {
    let count = 0
    for (const place of this.#places) if (place.spoke && place.source === source) count++
    return count
  }

  leave(place: Place): void {
    this.#places.delete(place)
  }
}
