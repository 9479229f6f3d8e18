// References as a shell or a program holds them: an object of one's own language that stands for one elsewhere.
//
//   pm.cpuRatio        own property: as of when the reference was made, no call
//   await pm.exec(..)  method of the kind's prototype -> rmo.invoke -> the object's home
//   pm.cpuRato         the prototype's tail throws RMO_ERR_PROPERTY_UNKNOWN, naming what there is
//
// A reference is frozen and no Proxy itself (only the tail of its prototype chain is), so it prints, spreads and
// compares like a plain object, and attributes cost what a property costs. It is never thenable.

import { REFERENCE } from '../functions/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { createInspect } from './inspect.ts'
import type { Kind } from './kind.ts'
import type { ObjectEvent, Watch } from './object.ts'
import { createPipelined } from './pipeline.ts'
import { referenceRecord } from './schema.ts'
import { invokeReference, readOne, readRelation, unknownProperty } from './session.ts'
import type { Session } from './session.ts'
import { createWatch } from './watch-client.ts'

type Reference = { readonly [REFERENCE]: ReferenceRecord }
const prototypes = new WeakMap<Session, Map<string, object>>()
const watches = new WeakMap<object, Set<Watch<ObjectEvent>>>()

function watchOf(session: Session, reference: Reference, options: unknown): Watch<ObjectEvent> {
  const open = watches.get(reference) ?? new Set()
  watches.set(reference, open)
  const watch = createWatch(session, async () => reference[REFERENCE], options, () => { open.delete(watch) })
  open.add(watch)
  return watch
}

function makePrototype(kind: Kind, session: Session): object {
  const tail = new Proxy(Object.create(null) as object, {
    get(_target, property, receiver: Reference) {
      if (typeof property === 'symbol') return undefined
      const record = referenceRecord(receiver)
      const error = unknownProperty(kind, record?.name ?? '', property)
      if (error !== undefined && record !== undefined) throw error
      return Reflect.get(Object.prototype, property, receiver) as unknown
    },
  })
  const prototype = Object.create(tail) as object
  const define = (name: PropertyKey, descriptor: PropertyDescriptor): void => { Object.defineProperty(prototype, name, { configurable: true, ...descriptor }) }
  for (const verb of kind.shape.verbs) {
    define(verb, { value: { [verb](this: Reference, ...args: unknown[]) { return invokeReference(session, this[REFERENCE], verb, args) } }[verb] })
  }
  for (const [property, to] of Object.entries(kind.shape.collections)) {
    define(property, { get(this: Reference) { return session.collection(to, () => readRelation(session, this[REFERENCE], property)) } })
  }
  for (const [property, to] of Object.entries(kind.shape.references ?? {})) {
    define(property, { get(this: Reference) { return makePipelined(() => readOne(session, this[REFERENCE], property), session.kinds.kindOf(to), session) } })
  }
  define('watch', { value: function watch(this: Reference, options?: unknown) { return watchOf(session, this, options) } })
  define('unwatch', {
    value: async function unwatch(this: Reference) {
      const open = [...watches.get(this) ?? []]
      for (const watch of open) watch.unwatch()
      return open.length
    },
  })
  define('toJSON', { value: function toJSON(this: Reference) { const { uuid, name, attributes } = this[REFERENCE]; return { kind: kind.kind, name, uuid, ...attributes } } })
  define('toString', { value: function toString(this: Reference) { return `${kind.kind} ${this[REFERENCE].name}` } })
  define(Symbol.toStringTag, { value: kind.kind })
  define(Symbol.for('nodejs.util.inspect.custom'), { value: createInspect(kind) })
  return prototype
}

/** A reference with the record's attributes. Typed by the caller: `makeReference(record, session) as PhysicalMachine`. */
export function makeReference(record: ReferenceRecord, session: Session): object {
  const kind = session.kinds.kindOf(record.kind)
  const ofSession = prototypes.get(session) ?? new Map<string, object>()
  prototypes.set(session, ofSession)
  const prototype = ofSession.get(record.kind) ?? makePrototype(kind, session)
  ofSession.set(record.kind, prototype)

  const { uuid, home, name } = record
  const plain: ReferenceRecord = Object.freeze({ kind: record.kind, uuid, home, name, attributes: Object.freeze({ ...record.attributes }) })
  const reference = Object.create(prototype) as Record<PropertyKey, unknown>
  reference.name = name
  reference.uuid = uuid
  for (const attribute of kind.shape.attributes) {
    if (Object.hasOwn(plain.attributes, attribute)) reference[attribute] = plain.attributes[attribute]
  }
  Object.defineProperty(reference, REFERENCE, { value: plain })
  return Object.freeze(reference)
}

/** A reference to what the record will name; see pipeline.ts. Typed by the caller: `as unknown as Pipelined<PhysicalMachine>`. */
export const makePipelined = (source: Promise<ReferenceRecord> | (() => Promise<ReferenceRecord>), kind: Kind, session: Session): object =>
  createPipelined(source, kind, session, (record) => makeReference(record, session))
