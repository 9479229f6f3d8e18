// References as a shell or a program holds them: an object of one's own language that stands for one elsewhere.
//
//   pm.cpuRatio        own property: as of when the reference was made, no call
//   vm.name = 'web1'   own accessor of a kind whose settings can be assigned: see held.ts
//   await pm.exec(..)  method of the kind's prototype -> rmo.invoke -> the object's home
//   pm.cpuRato         the prototype's tail throws RMO_ERR_PROPERTY_UNKNOWN, naming what there is
//
// A reference has no property of the user's and is no Proxy itself (only the tail of its prototype chain is), so it
// prints, spreads and compares like a plain object. Where nothing can be set, it is a frozen value and an attribute
// costs what a property costs. It is never thenable.

import { REFERENCE } from '../functions/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import { openByteStream } from './byte-stream-client.ts'
import { checkAssigned, Held, heldOf, hold } from './held.ts'
import { createInspect } from './inspect.ts'
import type { Kind } from './kind.ts'
import type { ObjectEvent, Watch } from './object.ts'
import { createPipelined } from './pipeline.ts'
import { unknownProperty } from './properties.ts'
import { referenceRecord } from './schema.ts'
import { invokeReference, readOne, readRelation } from './session.ts'
import type { Session } from './session.ts'
import { createWatch } from './watch-client.ts'

type Reference = { readonly [REFERENCE]: ReferenceRecord }
interface Made { readonly prototype: object; readonly accessors: PropertyDescriptorMap }
const prototypes = new WeakMap<Session, Map<string, Made>>()
const watches = new WeakMap<object, Set<Watch<ObjectEvent>>>()

function watchOf(session: Session, reference: Reference, options: unknown): Watch<ObjectEvent> {
  const open = watches.get(reference) ?? new Set()
  watches.set(reference, open)
  const watch = createWatch(session, async () => reference[REFERENCE], options, () => { open.delete(watch) })
  open.add(watch)
  return watch
}

function makeTail(kind: Kind): object {
  return new Proxy(Object.create(null) as object, {
    get(_target, property, receiver: Reference) {
      if (typeof property === 'symbol') return undefined
      const record = referenceRecord(receiver)
      const error = unknownProperty(kind, record?.name ?? '', property)
      if (error !== undefined && record !== undefined) throw error
      return Reflect.get(Object.prototype, property, receiver) as unknown
    },
    // Reached by what no accessor took: a name that is not settable, or is not there at all.
    set(_target, property, value, receiver: Reference) {
      if (typeof property === 'string') checkAssigned(kind, referenceRecord(receiver)?.name ?? '', property, value)
      return false
    },
  })
}

function makePrototype(kind: Kind, made: Session): object {
  const { settable = [], coldVerbs = {} } = kind.shape
  const prototype = Object.create(makeTail(kind)) as object
  const define = (name: PropertyKey, descriptor: PropertyDescriptor): void => { Object.defineProperty(prototype, name, { configurable: true, ...descriptor }) }
  // A loaded object gets its session when it is added somewhere.
  const sessionOf = (reference: Reference): Session => heldOf(reference)?.session ?? made
  const readOnly = (property: string) => function refuse(this: Reference): never { throw RMO.READ_ONLY({ kind: kind.kind, name: referenceRecord(this)?.name ?? '', property, settable }) }
  for (const verb of kind.shape.verbs) {
    const cold = Object.hasOwn(coldVerbs, verb) ? coldVerbs[verb] : undefined
    const method = {
      [verb](this: Reference, ...args: unknown[]): Promise<unknown> {
        const held = cold === undefined ? undefined : heldOf(this)
        if (cold !== undefined && held?.isCold === true) return held.change(verb, cold, args)
        return invokeReference(sessionOf(this), this[REFERENCE], verb, args)
      },
    }[verb]
    define(verb, { get: () => method, set: readOnly(verb) })
  }
  for (const [property, to] of Object.entries(kind.shape.collections)) {
    define(property, { get(this: Reference) { const session = sessionOf(this); return session.collection(to, () => readRelation(session, this[REFERENCE], property)) }, set: readOnly(property) })
  }
  for (const [property, to] of Object.entries(kind.shape.references ?? {})) {
    define(property, { get(this: Reference) { const session = sessionOf(this); return makePipelined(() => readOne(session, this[REFERENCE], property), session.kinds.kindOf(to), session) }, set: readOnly(property) })
  }
  for (const stream of Object.keys(kind.streams)) {
    define(stream, { value: function open(this: Reference) { return openByteStream(sessionOf(this), this[REFERENCE], stream) } })
  }
  define('watch', { value: function watch(this: Reference, options?: unknown) { return watchOf(sessionOf(this), this, options) } })
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

/** Own properties of references whose attributes can change: shared by all of a kind, over what is held. */
function makeAccessors(kind: Kind): PropertyDescriptorMap {
  const held = (reference: object): Held => heldOf(reference) as Held
  const accessors: PropertyDescriptorMap = {}
  for (const attribute of kind.shape.attributes) {
    accessors[attribute] = { enumerable: true, get(this: object) { return held(this).read(attribute) }, set(this: object, value: unknown) { held(this).assign(attribute, value) } }
  }
  Object.defineProperty(accessors, REFERENCE, { enumerable: true, value: { get(this: object) { return heldOf(this)?.record } } satisfies PropertyDescriptor })
  return accessors
}

function madeFor(kind: Kind, session: Session): Made {
  const ofSession = prototypes.get(session) ?? new Map<string, Made>()
  prototypes.set(session, ofSession)
  const made = ofSession.get(kind.kind) ?? { prototype: makePrototype(kind, session), accessors: makeAccessors(kind) }
  ofSession.set(kind.kind, made)
  return made
}

/** A reference with the record's attributes. Typed by the caller: `makeReference(record, session) as PhysicalMachine`. */
export function makeReference(record: ReferenceRecord, session: Session): object {
  const kind = session.kinds.kindOf(record.kind)
  const { prototype, accessors } = madeFor(kind, session)
  const { uuid, home, name, cold } = record
  const plain: ReferenceRecord = Object.freeze({ kind: record.kind, uuid, home, name, attributes: Object.freeze({ ...record.attributes }), ...(cold === true ? { cold } : {}) })
  if (cold === true || (kind.shape.settable?.length ?? 0) > 0) {
    const held = Object.create(prototype) as object
    hold(held, new Held(plain, kind, session))
    return Object.preventExtensions(Object.defineProperties(held, accessors))
  }
  // A literal defines where an assignment would ask the tail, and is ten times as fast as defining one by one.
  const reference = { __proto__: prototype, ...onlyKnown(kind, plain.attributes), name, uuid }
  Object.defineProperty(reference, REFERENCE, { value: plain })
  return Object.freeze(reference)
}

/** Attributes of the kind, and nothing else that a home may have sent: no verb of ours is hidden by one. */
function onlyKnown({ attributes: known }: Kind, attributes: ReferenceRecord['attributes']): ReferenceRecord['attributes'] {
  const names = Object.keys(attributes)
  return names.every((name) => Object.hasOwn(known, name)) ? attributes : Object.fromEntries(names.filter((name) => Object.hasOwn(known, name)).map((name) => [name, attributes[name]]))
}

/** A reference to what the record will name; see pipeline.ts. Typed by the caller: `as unknown as Pipelined<PhysicalMachine>`. */
export const makePipelined = (source: Parameters<typeof createPipelined>[0], kind: Kind, session: Session): object =>
  createPipelined(source, kind, session, (record) => makeReference(record, session))
