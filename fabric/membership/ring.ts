// Rings: who observes whom, computed by each member alone from its own view.
//
// On each ring all members are ordered by a hash of their id, a different order per ring. A member's
// observers are its `span` predecessors on each ring, walking further back where a ring would name
// somebody twice: so everybody has exactly min(k, n - 1) observers, k = rings * span. Random cycles make
// the graph an expander, on which gossip runs; the span makes neighbours of neighbours neighbours, so
// that helpers have a link to whom they are asked about. Source: Rapid (ATC 2018), section 4.1, one
// predecessor per ring there: divergence, since our links are connections and helpers cannot be strangers.
//
//   ring 0, span 3:  a -> b -> c -> [x] -> d     a, b, c observe x (and a observes b and c: it can ask them)

import type { NodeId } from '../id.ts'

interface Token { readonly id: NodeId; readonly base: number }

/** Murmur3's finaliser: spreads each input bit over the whole word. */
function mix(word: number): number {
  let z = word | 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}

/** FNV-1a over the id: one walk over the text, then mix() per use. */
export function hashId(id: NodeId): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** Hash of two words; for rings and for view hashes. */
export const hashWords = (a: number, b: number): number => mix(Math.imul(a, 0x9e3779b1) ^ mix(b + 0x7f4a7c15))

export class Rings {
  readonly #tokens = new Map<NodeId, Token>()
  /** Sorted members per ring, built when the ring is first asked for, then kept sorted. */
  readonly #rings: Token[][] = []

  get size(): number { return this.#tokens.size }

  has(id: NodeId): boolean { return this.#tokens.has(id) }

  add(id: NodeId): void {
    if (this.#tokens.has(id)) return
    const token = { id, base: hashId(id) }
    this.#tokens.set(id, token)
    this.#rings.forEach((ring, number) => ring.splice(this.#indexOf(ring, number, token), 0, token))
  }

  remove(id: NodeId): void {
    const token = this.#tokens.get(id)
    if (token === undefined) return
    this.#rings.forEach((ring, number) => ring.splice(this.#indexOf(ring, number, token), 1))
    this.#tokens.delete(id)
  }

  /** Who observes `id`: min(k, n - 1) others, `span` per ring. */
  observers(id: NodeId, k: number, span: number): NodeId[] {
    const token = this.#tokens.get(id)
    if (token === undefined) return []
    const chosen: NodeId[] = []
    const last = Math.min(k, this.#tokens.size - 1)
    for (let number = 0; chosen.length < last; number++) {
      const ring = this.#ring(number)
      const stop = Math.min(last, chosen.length + span)
      for (let index = this.#indexOf(ring, number, token); chosen.length < stop;) {
        index = (index === 0 ? ring.length : index) - 1
        const before = ring[index] as Token
        if (before !== token && !chosen.includes(before.id)) chosen.push(before.id)
      }
    }
    return chosen
  }

  /** Whom `id` observes: all x with `id` among observers(x). Only the k members after it on each ring can be. */
  subjects(id: NodeId, k: number, span: number): NodeId[] {
    const token = this.#tokens.get(id)
    if (token === undefined) return []
    const candidates = new Set<NodeId>()
    for (let number = 0; number * span < k; number++) {
      const ring = this.#ring(number)
      const index = this.#indexOf(ring, number, token)
      for (let step = 1; step <= k && step < ring.length; step++) candidates.add((ring[(index + step) % ring.length] as Token).id)
    }
    candidates.delete(id)
    return [...candidates].filter((candidate) => this.observers(candidate, k, span).includes(id))
  }

  #ring(number: number): Token[] {
    const present = this.#rings[number]
    if (present !== undefined) return present
    // Rings are built in order, so that #rings has no holes.
    if (number > 0) this.#ring(number - 1)
    const ring = [...this.#tokens.values()]
    const positions = new Map(ring.map((token) => [token, hashWords(token.base, number)]))
    ring.sort((a, b) => (positions.get(a) as number) - (positions.get(b) as number) || (a.id < b.id ? -1 : 1))
    this.#rings[number] = ring
    return ring
  }

  /** Index of the token, or where it belongs. */
  #indexOf(ring: readonly Token[], number: number, token: Token): number {
    const position = hashWords(token.base, number)
    let low = 0, high = ring.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const at = ring[middle] as Token
      const order = hashWords(at.base, number) - position
      if (order < 0 || (order === 0 && at.id < token.id)) low = middle + 1
      else high = middle
    }
    return low
  }
}
