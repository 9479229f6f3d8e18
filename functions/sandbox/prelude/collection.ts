// Collections inside the sandbox: `pm.vms`, a captured `pms`. Asynchronous, lazily fetched by one host
// call, with the plain verbs running right here (d-verbs do not nest: a function that is already at the
// machine filters there). Thenable, so that a shipped function may return one and it is awaited.

import { shapeOf } from './handles.ts'
import { SandboxError } from './error-capture.ts'
import { ArrayIsArray, ObjectCreate, ObjectDefineProperty, ObjectFreeze, ObjectKeys } from './primordials.ts'

type Each = (item: unknown, index: number) => unknown
type Load = () => Promise<unknown[]>

class SandboxCollection {
  readonly #source: Load
  readonly #kind: string | undefined
  #loaded: Promise<unknown[]> | undefined

  constructor(source: Load, kind: string | undefined) {
    this.#source = source
    this.#kind = kind
  }

  #load(): Promise<unknown[]> { return this.#loaded ??= this.#source() }
  #derive(kind: string | undefined, change: (items: unknown[]) => unknown[] | Promise<unknown[]>): SandboxCollection {
    return new SandboxCollection(async () => change(await this.#load()), kind)
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

  at(index: number): object { return laterHandle(async () => (await this.#load()).at(index), this.#kind) }
  first(): object { return this.at(0) }
}

/** A reference that has not arrived: verbs and collections of its kind can be called without awaiting it. */
function laterHandle(load: () => Promise<unknown>, kind: string | undefined): object {
  let loaded: Promise<unknown> | undefined
  const get = (): Promise<unknown> => loaded ??= load()
  const later = ObjectCreate(null) as Record<string, unknown>
  ObjectDefineProperty(later, 'then', { value: (done?: (value: unknown) => unknown, failed?: (error: unknown) => unknown) => get().then(done, failed) })
  const shape = kind === undefined ? undefined : shapeOf(kind)
  const needed = async (): Promise<Record<string, (...args: unknown[]) => unknown>> => {
    const handle = await get()
    if (handle === undefined) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_NO_ELEMENT', `The collection of ${kind} has no element there`)
    return handle as Record<string, (...args: unknown[]) => unknown>
  }
  for (const verb of shape?.verbs ?? []) ObjectDefineProperty(later, verb, { value: async (...args: unknown[]) => (await needed())[verb]?.(...args) })
  const collections = shape?.collections ?? {}
  for (const property of ObjectKeys(collections)) {
    ObjectDefineProperty(later, property, { get: () => lazyCollection(async () => await ((await needed())[property] as unknown as Promise<unknown[]>), collections[property]) })
  }
  return ObjectFreeze(later)
}

export function lazyCollection(load: Load, kind: string | undefined): object {
  return new SandboxCollection(async () => {
    const items = await load()
    if (!ArrayIsArray(items)) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_HOST_CALL', 'The system answered a collection with something else')
    return items
  }, kind)
}
