// Chunks that no node runs yet: data in one queue, machines' elements in a queue for each home. Pure, part of
// the run core's state; each step costs what it starts, not what waits.

import type { NodeId } from '../../fabric/base.ts'
import type { Chunk } from './chunk.ts'

export class Waiting {
  readonly data: Chunk[] = []
  readonly #homes = new Map<NodeId, Chunk[]>()

  get empty(): boolean { return this.data.length === 0 && this.#homes.size === 0 }

  push(chunk: Chunk): void { this.#queue(chunk.home).push(chunk) }
  /** Before the others: it was their turn once. */
  pushFront(chunk: Chunk): void { this.#queue(chunk.home).unshift(chunk) }

  /** Homes that something waits for. */
  homes(): NodeId[] { return [...this.#homes.keys()] }
  at(home: NodeId): readonly Chunk[] { return this.#homes.get(home) ?? [] }

  shift(home: NodeId): Chunk | undefined {
    const queue = this.#homes.get(home)
    const chunk = queue?.shift()
    if (queue?.length === 0) this.#homes.delete(home)
    return chunk
  }

  /** Takes everything out. */
  drain(): Chunk[] {
    const all = [...this.data.splice(0), ...[...this.#homes.values()].flat()]
    this.#homes.clear()
    return all
  }

  dropAbove(index: number): void {
    for (const chunk of this.drain()) if (chunk.from <= index) this.push(chunk)
  }

  #queue(home: NodeId | undefined): Chunk[] {
    if (home === undefined) return this.data
    let queue = this.#homes.get(home)
    if (queue === undefined) this.#homes.set(home, queue = [])
    return queue
  }
}
