// Pipelined references: usable before they are known.
//
//   await pms.at(0).exec('uname')        the verb waits for the record, the caller does not
//   await pms.at(0).name                 an attribute is a promise of it
//   pms.at(0).vmm.createVM({...})        a single reference is pipelined again
//   vms.at(0).name = 'web1'              a patch, ordered before any later call through it
//   const pm = await pms.at(0)           the reference itself (proxy.ts), which is not thenable, so that await ends
//
// The record is asked for once, at first use: a pipelined reference that nobody uses costs and rejects nothing.

import { REFERENCE } from '../functions/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { assignmentsOf } from './assignments.ts'
import { openByteStream } from './byte-stream-client.ts'
import { checkAssigned, shownValue } from './held.ts'
import type { Kind } from './kind.ts'
import type { ObjectDump, ObjectEvent, Watch } from './object.ts'
import { unknownProperty } from './properties.ts'
import { invokeReference, invokeTaken, readOne, readRelation, takeArguments } from './session.ts'
import type { Session } from './session.ts'
import { createWatch } from './watch-client.ts'

type AnyMethod = (...args: never[]) => unknown
/** T before it is known: verbs and collections as they are, single references pipelined, attributes as promises. */
export type Pipelined<T> = PromiseLike<T> & {
  readonly [K in keyof T]: T[K] extends AnyMethod | { dmap: AnyMethod } ? T[K]
    : T[K] extends { readonly uuid: string; info: AnyMethod } ? Pipelined<T[K]>
      : Promise<T[K]>
}

const UNNAMED = '(not awaited yet)'

/** `refer` makes the reference that awaiting it gives. `anew`: asked for at each use, for what is held as long as the connection. */
export function createPipelined(source: Promise<ReferenceRecord> | (() => Promise<ReferenceRecord>) | { readonly anew: () => Promise<ReferenceRecord> }, kind: Kind, session: Session, refer: (record: ReferenceRecord) => object): object {
  const { shape } = kind
  let known: Promise<ReferenceRecord> | undefined
  const find = (): Promise<ReferenceRecord> => 'anew' in source ? source.anew() : known ??= typeof source === 'function' ? source() : source
  const assignments = assignmentsOf(session)
  /** Assigned through this reference, and what of it is known to be done; the record does not know of it. */
  const assigned: Record<string, unknown> = {}
  const done: Record<string, unknown> = {}
  /** For those who are told when there is no such object. */
  const record = (): Promise<ReferenceRecord> => find().catch((error: unknown) => { assignments.told(error); throw error })
  const resolved = async (): Promise<object> => {
    const found = await record()
    await assignments.before(found)
    return refer({ ...found, name: typeof assigned['name'] === 'string' ? assigned['name'] : found.name, attributes: { ...found.attributes, ...assigned } })
  }
  const assign = (name: string, given: unknown): void => {
    const value = checkAssigned(kind, UNNAMED, name, given)
    assigned[name] = value
    assignments.assignLater(find(), name, value, (failed) => {
      if (failed === undefined) done[name] = value
      else if (assigned[name] === value) {
        Reflect.deleteProperty(assigned, name)
        if (Object.hasOwn(done, name)) assigned[name] = done[name]
      }
    })
  }
  const open = new Set<Watch<ObjectEvent>>()

  const attribute = async (name: string): Promise<unknown> => {
    const found = await record()
    if (Object.hasOwn(assigned, name)) return shownValue(kind, name, assigned[name])
    if (name === 'name' || name === 'uuid') return found[name]
    if (Object.hasOwn(found.attributes, name)) return found.attributes[name]
    // A listing may leave attributes out; the object itself has them all.
    return ((await invokeReference(session, found, 'dump', [])) as ObjectDump).attributes[name]
  }
  const watch = (options?: unknown): Watch<ObjectEvent> => {
    const made = createWatch(session, record, options, () => { open.delete(made) })
    open.add(made)
    return made
  }
  const unwatch = async (): Promise<number> => {
    const ending = [...open]
    for (const each of ending) each.unwatch()
    return ending.length
  }
  const promised: Readonly<Record<string, unknown>> = {
    then: (ok?: (value: object) => unknown, fail?: (error: unknown) => unknown) => resolved().then(ok, fail),
    catch: (fail?: (error: unknown) => unknown) => resolved().catch(fail),
    finally: (settled?: () => void) => resolved().finally(settled),
    watch, unwatch,
    toString: () => `${kind.kind} ${UNNAMED}`,
  }
  const property = (name: string): unknown => {
    if (Object.hasOwn(promised, name)) return promised[name]
    if (shape.verbs.includes(name)) return (...args: unknown[]) => { const given = takeArguments(args); return record().then((found) => invokeTaken(session, found, name, given)) }
    if (shape.attributes.includes(name)) return attribute(name)
    const collected = Object.hasOwn(shape.collections, name) ? shape.collections[name] : undefined
    if (collected !== undefined) return session.collection(collected, async () => readRelation(session, await record(), name))
    const single = shape.references !== undefined && Object.hasOwn(shape.references, name) ? shape.references[name] : undefined
    if (single !== undefined) return createPipelined(async () => readOne(session, await record(), name), session.kinds.kindOf(single), session, refer)
    if (Object.hasOwn(kind.streams, name)) return async () => openByteStream(session, await record(), name)
    const error = unknownProperty(kind, UNNAMED, name)
    if (error !== undefined) throw error
    return undefined
  }
  // util.inspect looks through a Proxy, at its target.
  const shown = Object.create(null, { [Symbol.for('nodejs.util.inspect.custom')]: { value: () => `${kind.kind} ${UNNAMED} { await it, or call its verbs }` } }) as object
  return new Proxy(shown, {
    get(_target, name) {
      if (typeof name === 'string') return property(name)
      if (name === Symbol.toStringTag) return kind.kind
      return Reflect.get(shown, name) as unknown
    },
    has: (_target, name) => name !== REFERENCE && typeof name === 'string' &&
      (Object.hasOwn(promised, name) || kind.operations.has(name) || shape.attributes.includes(name)),
    set(_target, name, value) {
      if (typeof name !== 'string') return false
      assign(name, value)
      return true
    },
  })
}
