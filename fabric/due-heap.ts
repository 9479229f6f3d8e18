// Binary heap of what falls due, earliest first; equal times in the order in which they were pushed. Behind the
// virtual clock (sim-clock.ts) and the membership simulation.

/** `order` is unique and rises with each push. */
export interface Due { readonly dueMs: number; readonly order: number }

const before = (a: Due, b: Due): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)

export class DueHeap<T extends Due> {
  readonly #heap: T[] = []

  /** The earliest; undefined when empty. */
  get top(): T | undefined { return this.#heap[0] }

  push(entry: T): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as T
      if (!before(entry, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  /** Takes the earliest. */
  pop(): T | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last !== undefined && heap.length > 0) this.#sink(last)
    return top
  }

  /** Puts `entry` in place of the top. */
  #sink(entry: T): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as T, heap[child] as T)) child++
      if (!before(heap[child] as T, entry)) break
      heap[at] = heap[child] as T
      at = child
    }
    heap[at] = entry
  }
}
