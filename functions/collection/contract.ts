// Collections as users hold them. Lazily built: nothing runs until it is awaited, iterated, or asked
// for `settled()`. d-verbs ship their function to where the elements live; plain verbs run here, on
// what came back.

import type { Outcome } from '../contract.ts'

export interface Progress { readonly total: number | undefined; readonly done: number; readonly failed: number; readonly pending: number }

export interface CollectionOptions {
  /** Budget of the whole map. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Further attempts for outcomes that a retry can mend (unreachable, and crash or timeout when the function is declared idempotent). Data elements default to LIMITS.chunkReschedulesMax, machines to 0. */
  readonly retries?: number
  /** Async elements under way at once on one node. */
  readonly concurrency?: number
  /** False: `for await` yields in completion order. Default true. */
  readonly ordered?: boolean
  readonly onProgress?: (progress: Progress) => void
  /** A new context for each call instead of the warm one. */
  readonly fresh?: boolean
  readonly heapLimitMiB?: number
  readonly cpuTimeMs?: number
  readonly resultBytes?: number
}

/** What an awaited value becomes: promises and collections returned from a shipped function are awaited there. */
export type Landed<T> = T extends Collection<infer U> ? U[] : T extends PromiseLike<infer V> ? Landed<V> : T

export type Flat<T> = T extends readonly (infer U)[] ? U : T

export interface Collection<T> extends PromiseLike<T[]>, AsyncIterable<T> {
  // shipped
  dmap<U>(fn: (item: T, index: number) => U, options?: CollectionOptions): Collection<Landed<U>>
  dfilter(fn: (item: T, index: number) => unknown, options?: CollectionOptions): Collection<T>
  dflatMap<U>(fn: (item: T, index: number) => U, options?: CollectionOptions): Collection<Flat<Landed<U>>>
  dforEach(fn: (item: T, index: number) => unknown, options?: CollectionOptions): Promise<void>
  /** `fn` must be associative; order is kept, so it need not be commutative. Empty: undefined. */
  dreduce(fn: (a: T, b: T) => T | Promise<T>, options?: CollectionOptions): Promise<T | undefined>
  /** `initial` starts each partial result, so it must be neutral (0 for +, '' for text); `fn` must be associative. Empty: `initial`. */
  dfold<U>(initial: U, fn: (a: U, b: U | T) => U | Promise<U>, options?: CollectionOptions): Promise<U>
  dcount(fn?: (item: T) => unknown, options?: CollectionOptions): Promise<number>
  dsome(fn: (item: T) => unknown, options?: CollectionOptions): Promise<boolean>
  devery(fn: (item: T) => unknown, options?: CollectionOptions): Promise<boolean>
  /** The first, in order, that satisfies. */
  dfind(fn: (item: T) => unknown, options?: CollectionOptions): Promise<T | undefined>
  dgroupBy<K extends string | number | boolean>(fn: (item: T) => K | Promise<K>, options?: CollectionOptions): Promise<Map<K, T[]>>
  dsum(fn?: (item: T) => number | bigint, options?: CollectionOptions): Promise<number | bigint>
  dmin(fn?: (item: T) => number, options?: CollectionOptions): Promise<number | undefined>
  dmax(fn?: (item: T) => number, options?: CollectionOptions): Promise<number | undefined>
  // here
  map<U>(fn: (item: T, index: number) => U): Collection<Landed<U>>
  filter(fn: (item: T, index: number) => unknown): Collection<T>
  flat(): Collection<Flat<T>>
  flatMap<U>(fn: (item: T, index: number) => U): Collection<Flat<Landed<U>>>
  reduce(fn: (a: T, b: T) => T): Promise<T | undefined>
  reduce<U>(fn: (a: U, b: T) => U, initial: U): Promise<U>
  sort(compare?: (a: T, b: T) => number): Collection<T>
  slice(from?: number, to?: number): Collection<T>
  find(fn: (item: T) => unknown): Promise<T | undefined>
  groupBy<K>(fn: (item: T) => K): Promise<Map<K, T[]>>
  /** Promise of the count. */
  readonly length: Promise<number>
  /** A pipelined reference to one element: its methods can be called without awaiting it. */
  at(index: number): T & PromiseLike<T>
  first(): T & PromiseLike<T>
  // outcomes
  settled(): Promise<Outcome<T>[]>
  with(options: CollectionOptions): Collection<T>
}
