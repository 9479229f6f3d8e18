// Callbacks by virtual time; equal times run in the order in which they were pushed.

import { DueHeap } from '../../fabric/due-heap.ts'
import type { Due } from '../../fabric/due-heap.ts'

export interface Job extends Due { readonly run: () => void }

export class EventQueue {
  readonly #heap = new DueHeap<Job>()
  #order = 0

  push(dueMs: number, run: () => void): void { this.#heap.push({ dueMs, order: this.#order++, run }) }

  /** Takes the earliest job, unless it is later than `endMs`. */
  popUntil(endMs: number): Job | undefined {
    const { top } = this.#heap
    return top === undefined || top.dueMs > endMs ? undefined : this.#heap.pop()
  }
}
