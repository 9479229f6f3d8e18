// Binary heap of callbacks by virtual time; equal times run in the order in which they were pushed.

export interface Job { readonly atMs: number; readonly order: number; readonly run: () => void }

const before = (a: Job, b: Job): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

export class EventQueue {
  readonly #heap: Job[] = []
  #order = 0

  push(atMs: number, run: () => void): void {
    const job = { atMs, order: this.#order++, run }
    const heap = this.#heap
    let i = heap.push(job) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(job, heap[parent] as Job)) break
      heap[i] = heap[parent] as Job
      i = parent
    }
    heap[i] = job
  }

  /** Takes the earliest job, unless it is later than `endMs`. */
  popUntil(endMs: number): Job | undefined {
    const heap = this.#heap
    const top = heap[0]
    if (top === undefined || top.atMs > endMs) return undefined
    const last = heap.pop() as Job
    if (heap.length > 0) this.#sink(last)
    return top
  }

  #sink(job: Job): void {
    const heap = this.#heap
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Job, heap[child] as Job)) child++
      if (!before(heap[child] as Job, job)) break
      heap[i] = heap[child] as Job
      i = child
    }
    heap[i] = job
  }
}
