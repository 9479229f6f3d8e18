// Pipelined handles: `pms.at(0)`, `pm.vmm`: usable before they are known. Verbs, collections and single
// references of the kind, attributes as promises, assignments; `await` gives the handle itself.

import { REFERENCE, type KindShape, type ReferenceRecord } from '../../contract.ts'
import { assignLater, before } from './assignments.ts'
import { lazyCollection } from './collection.ts'
import { SandboxError } from './error-capture.ts'
import { isProbed, propertyError, shapeOf, type Handle } from './handles.ts'
import { checkSettable, invoke, ordered, take } from './held.ts'
import { hostCall } from './host-calls.ts'
import { job } from './host.ts'
import { ObjectCreate, ObjectFreeze, ObjectHasOwn, ProxyConstructor } from './primordials.ts'

type Load = () => Promise<unknown>

/** `element`: whose calls its calls are; -1 when it is not known. */
export function laterHandle(load: Load, kind: string | undefined, element: number): object {
  let loaded: Promise<unknown> | undefined
  const get = (): Promise<unknown> => loaded ??= load()
  const shape = kind === undefined ? undefined : shapeOf(kind)
  return shape === undefined ? promised(get) : new LaterHandle(get, shape, element).proxy
}

/** Elements that are no objects of a known kind: a promise of the element. */
function promised(get: Load): object {
  return ObjectFreeze({ then: (done?: (value: unknown) => unknown, failed?: (error: unknown) => unknown) => get().then(done, failed) })
}

class LaterHandle {
  readonly proxy: object
  readonly #get: Load
  readonly #shape: KindShape
  readonly #element: number
  readonly #told: (() => void)[] = []
  readonly #assigned: Record<string, unknown> = ObjectCreate(null) as Record<string, unknown>

  constructor(get: Load, shape: KindShape, element: number) {
    this.#get = get
    this.#shape = shape
    this.#element = element
    this.proxy = new ProxyConstructor(ObjectFreeze(ObjectCreate(null) as object), {
      get: (_target, name) => (typeof name === 'string' ? this.#property(name) : undefined),
      set: (_target, name, value) => {
        if (typeof name !== 'string') return false
        this.#assign(name, value)
        return true
      },
    })
  }

  async #handle(): Promise<Handle> {
    const handle = await this.#get()
    if (handle === undefined) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_NO_ELEMENT', `The collection of ${this.#shape.kind} has no element there`)
    return handle as Handle
  }

  async #find(): Promise<ReferenceRecord> { return (await this.#handle())[REFERENCE] as ReferenceRecord }

  /** For those who are told when there is no such object. */
  async #record(): Promise<ReferenceRecord> {
    try {
      return await this.#find()
    } catch (error) {
      for (let i = 0; i < this.#told.length; i++) (this.#told[i] as () => void)()
      throw error
    }
  }

  /** The handle, once what was assigned through this is done. */
  async #settled(): Promise<unknown> {
    await before(await this.#record())
    return this.#get()
  }

  #property(name: string): unknown {
    const { verbs, collections, references, attributes } = this.#shape
    if (name === 'then') return (done?: (value: unknown) => unknown, failed?: (error: unknown) => unknown) => this.#settled().then(done, failed)
    for (let i = 0; i < verbs.length; i++) if (verbs[i] === name) return (...args: unknown[]) => this.#call(name, args)
    const collection = own(collections, name)
    if (collection !== undefined) return lazyCollection(async () => await hostCall(await this.#record(), name, [], this.#element) as unknown[], collection, this.#element)
    const single = own(references, name)
    if (single !== undefined) return laterHandle(async () => hostCall(await this.#record(), name, [], this.#element), single, this.#element)
    for (let i = 0; i < attributes.length; i++) if (attributes[i] === name) return this.#attribute(name)
    if (name === 'kind') return this.#shape.kind
    if (name === 'catch' || name === 'finally' || isProbed(name)) return undefined
    throw propertyError(this.#shape, name)
  }

  async #call(verb: string, args: unknown[]): Promise<unknown> {
    const element = this.#element >= 0 ? this.#element : job.element
    const given = take(args)
    const record = await this.#record()
    return record.cold === true ? invoke(record, undefined, this.#shape, verb, args, element) : ordered(record, verb, given, element)
  }

  async #attribute(name: string): Promise<unknown> {
    const record = await this.#record()
    if (name in this.#assigned) return this.#assigned[name]
    if (name === 'name' || name === 'uuid') return record[name]
    if (name in record.attributes) return record.attributes[name]
    // A listing may leave attributes out; the object itself has them all.
    return (await hostCall(record, 'dump', [], this.#element) as { readonly attributes: Record<string, unknown> }).attributes[name]
  }

  #assign(name: string, value: unknown): void {
    checkSettable(this.#shape, '(not awaited yet)', name)
    this.#assigned[name] = value
    this.#told[this.#told.length] = assignLater(this.#find(), name, value, this.#element >= 0 ? this.#element : job.element, (done) => { if (!done && this.#assigned[name] === value) delete this.#assigned[name] })
  }
}

const own = (relations: Readonly<Record<string, string>> | undefined, name: string): string | undefined =>
  relations !== undefined && ObjectHasOwn(relations, name) ? relations[name] : undefined
