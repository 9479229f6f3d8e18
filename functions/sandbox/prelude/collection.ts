// Collections inside the sandbox: `pm.vms`, a captured `pms`. Asynchronous, lazily fetched by one host
// call, with the plain verbs running right here (d-verbs do not nest: a function that is already at the
// machine filters there). Thenable, so that a shipped function may return one and it is awaited.

import { SandboxError } from './error-capture.ts'
import { job } from './host.ts'
import { laterHandle } from './later.ts'
import { ArrayIsArray } from './primordials.ts'

type Each = (item: unknown, index: number) => unknown
type Load = () => Promise<unknown[]>

class SandboxCollection {
  readonly #source: Load
  readonly #kind: string | undefined
  readonly #element: number
  readonly #keep: boolean
  #loaded: Promise<unknown[]> | undefined

  constructor(source: Load, kind: string | undefined, element: number, keep: boolean) {
    this.#source = source
    this.#kind = kind
    this.#element = element
    this.#keep = keep
  }

  #load(): Promise<unknown[]> { return this.#keep ? this.#loaded ??= this.#source() : this.#source() }
  #derive(kind: string | undefined, change: (items: unknown[]) => unknown[] | Promise<unknown[]>): SandboxCollection {
    return new SandboxCollection(async () => change(await this.#load()), kind, this.#element, true)
  }

  then<A, B>(done?: (items: unknown[]) => A, failed?: (error: unknown) => B): Promise<A | B> {
    return this.#load().then(done, failed) as Promise<A | B>
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const items = await this.#load()
    for (let i = 0; i < items.length; i++) yield items[i]
  }

  get length(): Promise<number> { return this.#load().then((items) => items.length) }

  map(fn: Each): SandboxCollection { return this.#derive(undefined, (items) => Promise.all(items.map((item, i) => fn(item, i)))) }
  filter(fn: Each): SandboxCollection {
    return this.#derive(this.#kind, async (items) => {
      const keep = await Promise.all(items.map((item, i) => fn(item, i)))
      return items.filter((_, i) => keep[i])
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
}

/** `keep`: loaded once, for what hangs on one object; a captured source such as `pms` is asked anew at each use. */
export function lazyCollection(load: Load, kind: string | undefined, element: number, keep: 'keep' | 'anew' = 'keep'): object {
  return new SandboxCollection(async () => {
    const items = await load()
    if (!ArrayIsArray(items)) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_HOST_CALL', 'The system answered a collection with something else')
    return items
  }, kind, element, keep === 'keep')
}
