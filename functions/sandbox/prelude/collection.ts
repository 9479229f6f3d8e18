// Collections inside the sandbox: `pm.vms`, a captured `pms`. Asynchronous, lazily fetched by one host call. Plain verbs run right
// here: a function that is already at the machine filters there. d-verbs ship a function of a deployed file to where the
// elements live, in one call of the kernel (shipping.ts). Thenable, so that a shipped function may return one and it is awaited.

import { COLLECTION, type SourceSpec, type StageVerb } from '../../contract.ts'
import { encodeValue } from '../../value/codec.ts'
import { SandboxError } from './error-capture.ts'
import { job } from './host.ts'
import { laterHandle } from './later.ts'
import { ArrayIsArray, ObjectFreeze, PromiseConstructor } from './primordials.ts'
import { collect, mergeOptions, outcomesOf, partials, runPipeline, shippedFunction, useCollectionTest, type Pipeline, type PlainSource, type ShippingOptions, type TerminalText } from './shipping.ts'

type Each = (item: unknown, index: number) => unknown
/** At once where the answer is known already (standing.ts). */
export type Load = () => unknown[] | Promise<unknown[]>

const NO_OPTIONS: ShippingOptions = ObjectFreeze({})
/** A pipeline; without `load`: the collection's own elements. */
type Begun = Omit<Pipeline, 'load'> & Partial<Pick<Pipeline, 'load'>>

/** Of all items; a promise only where one of them is: most functions answer at once, and promises of a thousand answers take longer than they do. */
function answersOf(items: readonly unknown[], fn: Each): unknown[] | Promise<unknown[]> {
  const answers = items.map((item, i) => fn(item, i))
  for (let i = 0; i < answers.length; i++) {
    const answer = answers[i]
    if ((typeof answer === 'object' && answer !== null) || typeof answer === 'function') return Promise.all(answers)
  }
  return answers
}

const promised = (items: unknown[] | Promise<unknown[]>): Promise<unknown[]> => (ArrayIsArray(items) ? PromiseConstructor.resolve(items) : items)
/** What is thrown at once becomes a rejection, as if it had been waited for. */
const caught = (load: Load): unknown[] | Promise<unknown[]> => {
  try {
    return load()
  } catch (error) {
    return PromiseConstructor.reject(error) as Promise<never>
  }
}

class SandboxCollection {
  readonly #source: Load
  readonly #kind: string | undefined
  readonly #element: number
  readonly #keep: boolean
  /** What d-verbs go on from; undefined: from the elements, loaded. */
  readonly #shipped: Begun | undefined
  #loaded: unknown[] | Promise<unknown[]> | undefined

  constructor(source: Load, kind: string | undefined, element: number, keep: boolean, shipped: Begun | undefined) {
    this.#source = source
    this.#kind = kind
    this.#element = element
    this.#keep = keep
    this.#shipped = shipped
  }

  static is(value: object): boolean { return #source in value }
  /** Its elements, when they are known without waiting; a collection that is asked anew at each use is not asked here. */
  static now(value: object): unknown[] | undefined {
    if (!(#source in value) || !value.#keep) return undefined
    const items = value.#now()
    return ArrayIsArray(items) ? items : undefined
  }

  /** So that a captured `pms` or `range(n)` re-binds where it travels; undefined for anything that something was done to. */
  get [COLLECTION](): SourceSpec | undefined { return this.#shipped === undefined || this.#shipped.stages.length > 0 ? undefined : this.#shipped.source }

  #now(): unknown[] | Promise<unknown[]> { return this.#keep ? this.#loaded ??= caught(this.#source) : caught(this.#source) }
  #load(): Promise<unknown[]> { return promised(this.#now()) }
  #derive(kind: string | undefined, change: (items: unknown[]) => unknown[] | Promise<unknown[]>): SandboxCollection {
    const source = (): unknown[] | Promise<unknown[]> => {
      const items = this.#now()
      return ArrayIsArray(items) ? change(items) : changed(items, change)
    }
    return new SandboxCollection(source, kind, this.#element, true, undefined)
  }

  then<A, B>(done?: (items: unknown[]) => A, failed?: (error: unknown) => B): Promise<A | B> {
    return this.#load().then(done, failed) as Promise<A | B>
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const items = await this.#load()
    for (let i = 0; i < items.length; i++) yield items[i]
  }

  get length(): Promise<number> { return this.#load().then((items) => items.length) }

  // ---------------------------------------------------------------- here

  map(fn: Each): SandboxCollection { return this.#derive(undefined, (items) => answersOf(items, fn)) }
  filter(fn: Each): SandboxCollection {
    return this.#derive(this.#kind, (items) => {
      const answers = answersOf(items, fn)
      return ArrayIsArray(answers) ? kept(items, answers) : answers.then((keep) => kept(items, keep))
    })
  }

  flat(): SandboxCollection { return this.#derive(undefined, async (items) => (await Promise.all(items)).flat()) }
  flatMap(fn: Each): SandboxCollection { return this.map(fn).flat() }
  sort(compare?: (a: unknown, b: unknown) => number): SandboxCollection { return this.#derive(this.#kind, (items) => [...items].sort(compare)) }
  slice(from?: number, to?: number): SandboxCollection { return this.#derive(this.#kind, (items) => items.slice(from, to)) }
  async forEach(fn: Each): Promise<void> { await this.map(fn) }
  async find(fn: Each): Promise<unknown> {
    const items = await this.#load()
    for (let i = 0; i < items.length; i++) if (await fn(items[i], i)) return items[i]
    return undefined
  }

  async some(fn: Each): Promise<boolean> {
    const items = await this.#load()
    for (let i = 0; i < items.length; i++) if (await fn(items[i], i)) return true
    return false
  }

  async every(fn: Each): Promise<boolean> { return !await this.some(async (item, i) => !await fn(item, i)) }
  async reduce(...args: [(a: unknown, b: unknown) => unknown, unknown?]): Promise<unknown> {
    const items = await this.#load()
    let total = args.length > 1 ? args[1] : items[0]
    for (let i = args.length > 1 ? 0 : 1; i < items.length; i++) total = await args[0](total, items[i])
    return total
  }

  async groupBy(fn: Each): Promise<Map<unknown, unknown[]>> {
    const items = await this.#load()
    const groups = new Map<unknown, unknown[]>()
    for (let i = 0; i < items.length; i++) {
      const key = await fn(items[i], i)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [items[i]])
      else group.push(items[i])
    }
    return groups
  }

  at(index: number): object { return laterHandle(async () => (await this.#load()).at(index), this.#kind, this.#element >= 0 ? this.#element : job.element) }
  first(): object { return this.at(0) }

  // ---------------------------------------------------------------- shipped

  with(options: ShippingOptions): SandboxCollection {
    const pipeline = this.#pipeline(options)
    return new SandboxCollection(pipeline.stages.length === 0 ? () => this.#load() : () => collect(pipeline), this.#kind, this.#element, this.#keep, pipeline)
  }

  dmap(fn: Each, options?: ShippingOptions): SandboxCollection { return this.#ship('map', 'dmap', fn, options) }
  dfilter(fn: Each, options?: ShippingOptions): SandboxCollection { return this.#ship('filter', 'dfilter', fn, options) }
  dflatMap(fn: Each, options?: ShippingOptions): SandboxCollection { return this.#ship('flatMap', 'dflatMap', fn, options) }
  async dforEach(fn: Each, options?: ShippingOptions): Promise<void> { await this.#ship('forEach', 'dforEach', fn, options) }

  async dreduce(fn: Each, options?: ShippingOptions): Promise<unknown> { return (await this.#fold('reduce', 'dreduce', fn, options))[0] }
  async dfold(initial: unknown, fn: Each, options?: ShippingOptions): Promise<unknown> {
    const found = await this.#fold('fold', 'dfold', fn, options, encodeValue(initial))
    return found.length === 0 ? initial : found[0]
  }

  async dsome(fn: Each, options?: ShippingOptions): Promise<boolean> { return (await this.#fold('some', 'dsome', fn, options)).includes(true) }
  async devery(fn: Each, options?: ShippingOptions): Promise<boolean> { return !(await this.#fold('every', 'devery', fn, options)).includes(false) }
  async dfind(fn: Each, options?: ShippingOptions): Promise<unknown> { return (await this.#fold('find', 'dfind', fn, options))[0] }
  async dgroupBy(fn: Each, options?: ShippingOptions): Promise<Map<unknown, unknown[]>> {
    const groups = new Map<unknown, unknown[]>()
    for (const part of await this.#fold('group', 'dgroupBy', fn, options) as Map<unknown, unknown[]>[]) {
      for (const [key, members] of part) {
        const present = groups.get(key)
        if (present === undefined) groups.set(key, [...members])
        else for (const member of members) present.push(member)
      }
    }
    return groups
  }

  async dcount(fn?: Each, options?: ShippingOptions): Promise<number> { return (await this.#partials('filter', 'dcount', fn, 'count', options) as number[]).reduce((a, b) => a + b, 0) }
  async dsum(fn?: Each, options?: ShippingOptions): Promise<number | bigint> {
    const sums = await this.#partials('map', 'dsum', fn, 'sum', options) as number[]
    return sums.length === 0 ? 0 : sums.reduce((a, b) => a + b)
  }

  async dmin(fn?: Each, options?: ShippingOptions): Promise<number | undefined> {
    const least = await this.#partials('map', 'dmin', fn, 'min', options) as number[]
    return least.length === 0 ? undefined : least.reduce((a, b) => (b < a ? b : a))
  }

  async dmax(fn?: Each, options?: ShippingOptions): Promise<number | undefined> {
    const most = await this.#partials('map', 'dmax', fn, 'max', options) as number[]
    return most.length === 0 ? undefined : most.reduce((a, b) => (b > a ? b : a))
  }

  /** One outcome an element, failures included; never rejects for those. */
  async settled(): Promise<object[]> {
    const { stages } = this.#base()
    if (stages.length > 0) return outcomesOf(await runPipeline(this.#pipeline(NO_OPTIONS), { verb: 'collect' }))
    return (await this.#load()).map((value, index) => ({ status: 'value', index, value, node: '', nodeName: '' }))
  }

  #base(): Begun { return this.#shipped ?? { source: undefined, stages: [], options: NO_OPTIONS, element: this.#element } }
  #pipeline(options: ShippingOptions | undefined): Pipeline {
    const base = this.#base()
    return { ...base, options: mergeOptions(base.options, options), load: base.load ?? (() => this.#load()) }
  }

  #ship(verb: StageVerb, name: string, fn: Each, options: ShippingOptions | undefined): SandboxCollection {
    const before = this.#pipeline(options)
    const pipeline: Pipeline = { ...before, stages: [...before.stages, { verb, ...shippedFunction(name, fn) }] }
    return new SandboxCollection(() => collect(pipeline), verb === 'filter' ? this.#kind : undefined, this.#element, true, pipeline)
  }

  async #fold(verb: TerminalText['verb'], name: string, fn: Each, options: ShippingOptions | undefined, initial?: Uint8Array): Promise<unknown[]> {
    return partials(this.#pipeline(options), { verb, ...(initial === undefined ? {} : { initial }), ...shippedFunction(name, fn) })
  }

  /** One partial result per chunk of an optional stage and a terminal. */
  async #partials(verb: StageVerb, name: string, fn: Each | undefined, terminal: TerminalText['verb'], options: ShippingOptions | undefined): Promise<unknown[]> {
    const pipeline = this.#pipeline(options)
    return partials(fn === undefined ? pipeline : { ...pipeline, stages: [...pipeline.stages, { verb, ...shippedFunction(name, fn) }] }, { verb: terminal })
  }
}

const kept = (items: readonly unknown[], keep: readonly unknown[]): unknown[] => items.filter((_, i) => keep[i])
async function changed(items: Promise<unknown[]>, change: (items: unknown[]) => unknown[] | Promise<unknown[]>): Promise<unknown[]> { return change(await items) }

/** Of a value that is awaited: what it is, when that is known without waiting. */
export const itemsNow = (value: unknown): unknown[] | undefined => (typeof value === 'object' && value !== null ? SandboxCollection.now(value) : undefined)

useCollectionTest((value) => SandboxCollection.is(value))

async function listed(load: Promise<unknown[]>): Promise<unknown[]> {
  const items = await load
  if (!ArrayIsArray(items)) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_HOST_CALL', 'The system answered a collection with something else')
  return items
}

/** `keep`: loaded once, for what hangs on one object; a captured source such as `pms` is asked anew at each use. `source`: what the kernel is told of it by a d-verb. */
export function lazyCollection(load: Load, kind: string | undefined, element: number, keep: 'keep' | 'anew' = 'keep', source?: PlainSource): object {
  return new SandboxCollection(() => {
    const items = load()
    return ArrayIsArray(items) ? items : listed(items)
  }, kind, element, keep === 'keep', source === undefined ? undefined : { source, stages: [], options: NO_OPTIONS, element })
}
