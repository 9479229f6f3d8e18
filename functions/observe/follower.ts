// What waits for one reader of a log: bounded; a reader that is behind misses lines and is told how many.
//
// The writer never waits. `take()` may not be called again before it has settled.

export class Follower<T> {
  readonly #max: number
  readonly #missed: (count: number) => T
  #waiting: T[] = []
  #dropped = 0
  #over = false
  #wake: (() => void) | undefined

  /** `missed` makes the item that stands for `count` dropped ones. */
  constructor({ max, missed }: { readonly max: number; readonly missed: (count: number) => T }) {
    this.#max = max
    this.#missed = missed
  }

  push(item: T): void {
    if (this.#over) return
    if (this.#waiting.length < this.#max) this.#waiting.push(item)
    else this.#dropped++
    this.#wake?.()
  }

  /** Nothing further comes; what waits is still given. */
  end(): void {
    this.#over = true
    this.#wake?.()
  }

  /** Up to `count` items, at least one; undefined after the end. */
  async take(count: number): Promise<readonly T[] | undefined> {
    while (this.#waiting.length === 0) {
      if (this.#over) return undefined
      await new Promise<void>((wake) => { this.#wake = wake })
      this.#wake = undefined
    }
    const items = this.#waiting.splice(0, count)
    if (this.#waiting.length === 0 && this.#dropped > 0) {
      items.push(this.#missed(this.#dropped))
      this.#dropped = 0
    }
    return items
  }
}
