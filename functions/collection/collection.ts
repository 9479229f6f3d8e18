// Collections as users hold them (contract.ts): the typed verbs over a Pipeline. d-verbs ship their
// function; plain verbs run here, on what came back.

import { COLLECTION, REFERENCE } from '../contract.ts'
import type { Outcome, ReferenceRecord, SourceSpec, StageVerb, Terminal } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { rangeCount } from '../plan/wire.ts'
import { encodeValue } from '../value/mod.ts'
import { MapError, outcomesOf } from './batch.ts'
import type { Collection, CollectionOptions, Flat, Landed } from './contract.ts'
import { filterOp, flatMapOp, flatOp, mapOp, sliceOp, sortOp } from './local.ts'
import type { LocalOp } from './local.ts'
import { mergeOptions } from './options.ts'
import { Pipeline } from './pipeline.ts'
import type { AnyFunction, PlainSpec } from './pipeline.ts'
import type { Session } from './session.ts'

export function collectionOf<T>(session: Session, spec: PlainSpec): Collection<T> {
  if (spec.type === 'range' && !([spec.from, spec.to, spec.step].every(Number.isFinite) && spec.step !== 0 && Number.isSafeInteger(rangeCount(spec.from, spec.to, spec.step)))) throw FUNCTIONS.BAD_RANGE({ from: String(spec.from), to: String(spec.to), step: String(spec.step) })
  return new CollectionOf<T>(new Pipeline(session, { type: 'spec', spec }, session.defaults))
}

export function collectionFrom<T>(session: Session, items: Iterable<T> | AsyncIterable<T>): Collection<T> {
  if (items === null || items === undefined || !(Symbol.iterator in Object(items) || Symbol.asyncIterator in Object(items))) throw FUNCTIONS.NOT_ITERABLE({ got: items === null ? 'null' : typeof items })
  return new CollectionOf<T>(new Pipeline(session, { type: 'input', items }, session.defaults))
}

/** Objects of one kind that are asked for when the collection runs, each time anew. */
export const collectionOfObjects = <T>(session: Session, kind: string, records: () => Promise<readonly ReferenceRecord[]>): Collection<T> =>
  new CollectionOf<T>(new Pipeline(session, { type: 'objects', kind, records }, session.defaults))

class CollectionOf<T> implements Collection<T> {
  readonly #pipeline: Pipeline
  constructor(pipeline: Pipeline) { this.#pipeline = pipeline }

  get [Symbol.toStringTag](): string { return 'Collection' }

  /** So that a captured `pms` or `range(n)` re-binds where it travels; undefined for anything that would have to be run first. */
  get [COLLECTION](): SourceSpec | undefined { return this.#pipeline.bareSpec }

  with(options: CollectionOptions): Collection<T> { return new CollectionOf<T>(this.#pipeline.with(mergeOptions({}, options))) }

  // ------------------------------------------------------------------ shipped

  dmap<U>(fn: (item: T, index: number) => U, options?: CollectionOptions): Collection<Landed<U>> { return this.#ship<Landed<U>>('map', 'dmap', fn, options) }
  dfilter(fn: (item: T, index: number) => unknown, options?: CollectionOptions): Collection<T> { return this.#ship<T>('filter', 'dfilter', fn, options) }
  dflatMap<U>(fn: (item: T, index: number) => U, options?: CollectionOptions): Collection<Flat<Landed<U>>> { return this.#ship<Flat<Landed<U>>>('flatMap', 'dflatMap', fn, options) }

  async dforEach(fn: (item: T, index: number) => unknown, options?: CollectionOptions): Promise<void> {
    await this.#ship('forEach', 'dforEach', fn, options)
  }

  async dreduce(fn: (a: T, b: T) => T | Promise<T>, options?: CollectionOptions): Promise<T | undefined> {
    const [entry] = await this.#pipeline.fold('dreduce', fn, (ref) => ({ verb: 'reduce', ...ref }), options)
    return entry?.value as T | undefined
  }

  async dfold<U>(initial: U, fn: (a: U, b: U | T) => U | Promise<U>, options?: CollectionOptions): Promise<U> {
    const start = encodeValue(initial)
    const [entry] = await this.#pipeline.fold('dfold', fn, (ref) => ({ verb: 'fold', initial: start, ...ref }), options)
    return entry === undefined ? initial : entry.value as U
  }

  async dcount(fn?: (item: T) => unknown, options?: CollectionOptions): Promise<number> {
    const counts = await this.#partials<number>('filter', 'dcount', fn, { verb: 'count' }, options)
    return counts.reduce((a, b) => a + b, 0)
  }

  async dsum(fn?: (item: T) => number | bigint, options?: CollectionOptions): Promise<number | bigint> {
    const sums = await this.#partials<number>('map', 'dsum', fn, { verb: 'sum' }, options)
    return sums.length === 0 ? 0 : sums.reduce((a, b) => a + b)
  }

  async dmin(fn?: (item: T) => number, options?: CollectionOptions): Promise<number | undefined> {
    const least = await this.#partials<number>('map', 'dmin', fn, { verb: 'min' }, options)
    return least.length === 0 ? undefined : least.reduce((a, b) => (b < a ? b : a))
  }

  async dmax(fn?: (item: T) => number, options?: CollectionOptions): Promise<number | undefined> {
    const most = await this.#partials<number>('map', 'dmax', fn, { verb: 'max' }, options)
    return most.length === 0 ? undefined : most.reduce((a, b) => (b > a ? b : a))
  }

  async dsome(fn: (item: T) => unknown, options?: CollectionOptions): Promise<boolean> {
    const found = await this.#pipeline.fold('dsome', fn, (ref) => ({ verb: 'some', ...ref }), options)
    return found.some((entry) => entry.value === true)
  }

  async devery(fn: (item: T) => unknown, options?: CollectionOptions): Promise<boolean> {
    const found = await this.#pipeline.fold('devery', fn, (ref) => ({ verb: 'every', ...ref }), options)
    return found.every((entry) => entry.value === true)
  }

  async dfind(fn: (item: T) => unknown, options?: CollectionOptions): Promise<T | undefined> {
    const [first] = await this.#pipeline.fold('dfind', fn, (ref) => ({ verb: 'find', ...ref }), options)
    return first?.value as T | undefined
  }

  async dgroupBy<K extends string | number | boolean>(fn: (item: T) => K | Promise<K>, options?: CollectionOptions): Promise<Map<K, T[]>> {
    const groups = new Map<K, T[]>()
    for (const entry of await this.#pipeline.fold('dgroupBy', fn, (ref) => ({ verb: 'group', ...ref }), options)) {
      for (const [key, members] of entry.value as Map<K, T[]>) {
        const present = groups.get(key)
        if (present === undefined) groups.set(key, [...members])
        else for (const member of members) present.push(member)
      }
    }
    return groups
  }

  // ------------------------------------------------------------------ here

  map<U>(fn: (item: T, index: number) => U): Collection<Landed<U>> { return this.#derive<Landed<U>>(mapOp(plain('map', fn))) }
  filter(fn: (item: T, index: number) => unknown): Collection<T> { return this.#derive<T>(filterOp(plain('filter', fn)), 'keeps elements') }
  flat(): Collection<Flat<T>> { return this.#derive<Flat<T>>(flatOp()) }
  flatMap<U>(fn: (item: T, index: number) => U): Collection<Flat<Landed<U>>> { return this.#derive<Flat<Landed<U>>>(flatMapOp(plain('flatMap', fn))) }
  sort(compare?: (a: T, b: T) => number): Collection<T> { return this.#derive<T>(sortOp(compare as ((a: unknown, b: unknown) => number) | undefined), 'keeps elements') }
  slice(from = 0, to = Infinity): Collection<T> { return this.#derive<T>(sliceOp(from, to), 'keeps elements') }

  reduce(fn: (a: T, b: T) => T): Promise<T | undefined>
  reduce<U>(fn: (a: U, b: T) => U, initial: U): Promise<U>
  async reduce<U>(fn: (a: U, b: T) => U, ...initial: [U?]): Promise<unknown> {
    const values = await this.#values()
    if (initial.length > 0) return values.reduce<U>((a, b) => fn(a, b), initial[0] as U)
    return values.length === 0 ? undefined : values.reduce((a, b) => fn(a as unknown as U, b) as unknown as T)
  }

  async find(fn: (item: T) => unknown): Promise<T | undefined> {
    for await (const item of this) if (await fn(item)) return item
    return undefined
  }

  async groupBy<K>(fn: (item: T) => K): Promise<Map<K, T[]>> { return Map.groupBy(await this.#values(), fn) }

  get length(): Promise<number> {
    const spec = this.#pipeline.bareSpec
    if (spec?.type === 'range') return Promise.resolve(Math.max(0, Math.ceil((spec.to - spec.from) / spec.step)))
    if (spec?.type === 'kind') return this.#pipeline.session.count(spec.kind, this.#pipeline.options)
    return this.#values().then((values) => values.length)
  }

  at(index: number): T & PromiseLike<T> {
    const element = this.#element(index)
    const { kind, session } = this.#pipeline
    if (kind === undefined) return element as unknown as T & PromiseLike<T>
    const record = element.then((item) => (item as { readonly [REFERENCE]: ReferenceRecord })[REFERENCE])
    record.catch(() => {})
    return session.pipelined(record, kind) as T & PromiseLike<T>
  }

  first(): T & PromiseLike<T> { return this.at(0) }

  // ------------------------------------------------------------------ answers

  then<A = T[], B = never>(fulfilled?: ((value: T[]) => A | PromiseLike<A>) | null, rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): PromiseLike<A | B> {
    return this.#values().then(fulfilled, rejected)
  }

  async settled(): Promise<Outcome<T>[]> { return await this.#pipeline.outcomes() as Outcome<T>[] }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const batch of this.#pipeline.batches()) {
      for (const value of batch.values) yield value as T
      if (batch.failed.length > 0) throw new MapError(outcomesOf([batch]))
    }
  }

  // ------------------------------------------------------------------ inside

  #values(): Promise<T[]> { return this.#pipeline.values() as Promise<T[]> }

  #ship<U>(verb: StageVerb, name: string, fn: AnyFunction, options: CollectionOptions | undefined): CollectionOf<U> {
    return new CollectionOf<U>(this.#pipeline.ship(verb, this.#pipeline.capture(name, fn), options))
  }

  #derive<U>(op: LocalOp, keeps?: 'keeps elements'): CollectionOf<U> {
    return new CollectionOf<U>(this.#pipeline.derive(op, keeps !== undefined))
  }

  /** One partial result per chunk of an optional stage and a terminal. */
  async #partials<P>(verb: StageVerb, name: string, fn: AnyFunction | undefined, terminal: Terminal, options: CollectionOptions | undefined): Promise<P[]> {
    const pipeline = fn === undefined ? this.#pipeline : this.#pipeline.ship(verb, this.#pipeline.capture(name, fn), undefined)
    return (await pipeline.terminal(terminal, undefined, options)).map((entry) => entry.value as P)
  }

  async #element(index: number): Promise<T> {
    if (index < 0) {
      const values = await this.#values()
      if (index < -values.length) throw FUNCTIONS.NO_SUCH_ELEMENT({ index, length: values.length })
      return values.at(index) as T
    }
    let at = 0
    for await (const item of this) if (at++ === index) return item
    throw FUNCTIONS.NO_SUCH_ELEMENT({ index, length: at })
  }
}

function plain(verb: string, fn: AnyFunction): (value: unknown, index: number) => unknown {
  if (typeof fn !== 'function') throw FUNCTIONS.NOT_A_FUNCTION({ verb, got: fn === null ? 'null' : typeof fn })
  return fn as (value: unknown, index: number) => unknown
}
