// Elements that the caller sends: pulled from any iterable in chunks of the size the relay asks for,
// never read further ahead than asked, so lazy and infinite inputs work.

import { LIMITS } from '../../fabric/base.ts'
import { encodeArray } from '../value/mod.ts'

export interface InputChunk { readonly count: number; readonly bytes: Uint8Array }

export interface Input {
  /** The next chunk if it can be had without waiting. `chunks`: how many more are wanted, to share out what is left. */
  ready(items: number, chunks: number): InputChunk | undefined
  /** The next chunk; undefined at the end. Rejects with what the input threw. */
  next(items: number, chunks: number): Promise<InputChunk | undefined>
  /** Elements, when known beforehand. */
  readonly length: number | undefined
  close(): Promise<void>
}

export function openInput(items: Iterable<unknown> | AsyncIterable<unknown>): Input {
  return Array.isArray(items) ? new ArrayInput(items) : new IteratorInput(items)
}

class ArrayInput implements Input {
  readonly length: number
  readonly #items: readonly unknown[]
  #at = 0
  constructor(items: readonly unknown[]) {
    this.#items = items
    this.length = items.length
  }

  ready(items: number, chunks: number): InputChunk | undefined {
    const left = this.#items.length - this.#at
    if (left === 0) return undefined
    // A short rest is shared out over the chunks asked for, so that no core gets it all.
    const size = Math.min(left, items, Math.max(1, Math.ceil(left / Math.max(1, chunks))))
    const slice = this.#items.slice(this.#at, this.#at + size)
    this.#at += size
    return { count: size, bytes: encodeArray(slice) }
  }

  next(items: number, chunks: number): Promise<InputChunk | undefined> { return Promise.resolve(this.ready(items, chunks)) }
  close(): Promise<void> { return Promise.resolve() }
}

/** An async input that is slow delivers what it has after this long, so that work starts before a chunk is full. */
const FILL_WAIT_MS = 5

class IteratorInput implements Input {
  readonly length = undefined
  readonly #sync: Iterator<unknown> | undefined
  readonly #async: AsyncIterator<unknown> | undefined
  #pending: Promise<IteratorResult<unknown>> | undefined
  #ended = false
  #thrown: { readonly error: unknown } | undefined

  constructor(items: Iterable<unknown> | AsyncIterable<unknown>) {
    if (Symbol.asyncIterator in items) this.#async = items[Symbol.asyncIterator]()
    else this.#sync = items[Symbol.iterator]()
  }

  ready(items: number): InputChunk | undefined {
    if (this.#sync === undefined || this.#ended) return undefined
    this.#rethrow()
    const taken: unknown[] = []
    try {
      while (taken.length < Math.min(items, LIMITS.chunkItemsMax)) {
        const { done, value } = this.#sync.next()
        if (done === true) { this.#ended = true; break }
        taken.push(value)
      }
    } catch (error) {
      this.#keep(error, taken)
    }
    return taken.length === 0 ? undefined : { count: taken.length, bytes: encodeArray(taken) }
  }

  async next(items: number): Promise<InputChunk | undefined> {
    if (this.#ended || this.#async === undefined) return undefined
    this.#rethrow()
    const taken: unknown[] = []
    try {
      while (taken.length < Math.min(items, LIMITS.chunkItemsMax)) {
        this.#pending ??= Promise.resolve(this.#async.next())
        const result = taken.length === 0 ? await this.#pending : await soon(this.#pending)
        if (result === undefined) break
        this.#pending = undefined
        if (result.done === true) { this.#ended = true; break }
        taken.push(result.value)
      }
    } catch (error) {
      this.#keep(error, taken)
    }
    return taken.length === 0 ? undefined : { count: taken.length, bytes: encodeArray(taken) }
  }

  /** What was read before the throw is delivered first, so that the failure names the very element. */
  #keep(error: unknown, taken: readonly unknown[]): void {
    this.#thrown = { error }
    if (taken.length === 0) this.#rethrow()
  }

  #rethrow(): void {
    if (this.#thrown === undefined) return
    this.#ended = true
    throw this.#thrown.error
  }

  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#pending?.catch(() => {})
    this.#sync?.return?.()
    // A generator stuck in its own await cannot be ended from outside; nobody waits for it.
    void this.#async?.return?.()?.then(() => {}, () => {})
  }
}

async function soon(pending: Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown> | undefined> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([pending, new Promise<undefined>((resolve) => { timer = setTimeout(() => resolve(undefined), FILL_WAIT_MS) })])
  } finally {
    clearTimeout(timer)
  }
}
