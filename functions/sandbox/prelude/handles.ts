// Capability handles: what user code holds of a machine or a VM. A handle is a frozen object without
// a prototype chain to any host object; attributes are plain data as of when the reference was made, a verb
// is one host call, a collection (`pm.vms`) is asynchronous, a single reference (`pm.vmm`) is pipelined. It carries
// its record under [REFERENCE], so that it encodes back as a reference in results and arguments.
//
// Where something can be set, a live handle is a proxy that lets assignments through to what is held (held.ts) and
// shows its attributes as data: ten thousand are made for one question, and accessors on each took ten times as long.
// A cold one, which may become live, has accessors over what is held.

import { REFERENCE, type KindShape, type ReferenceRecord } from '../../contract.ts'
import { SandboxError } from './error-capture.ts'
import { assignHeld, checkSettable, heldOf, hold, invoke, listed, read, recordNow, useShapes, type Held } from './held.ts'
import { laterHandle } from './later.ts'
import { JSONStringify, mapForEach, mapGet, mapSet, ObjectCreate, ObjectDefineProperties, ObjectDefineProperty, ObjectFreeze, ObjectKeys, ProxyConstructor, stringSlice, weakMapGet, weakMapSet } from './primordials.ts'
import { lazyCollection } from './collection.ts'
import { standingAnswer } from './standing.ts'

export type Handle = Readonly<Record<string | symbol, unknown>>

interface Known { readonly shape: KindShape; readonly prototype: object; readonly accessors: PropertyDescriptorMap; readonly traps: ProxyHandler<object>; readonly attributes: Readonly<Record<string, true>> }
const shapes = new Map<string, Known>()
/** Element that a handle came with; -1 for captured ones. */
const elements = new WeakMap<object, number>()

const elementOf = (handle: object): number => weakMapGet(elements, handle) ?? heldOf(handle)?.element ?? -1
/** An item that is a handle belongs to its element: its calls are journaled under it. */
export function assignElement(item: unknown, element: number): void {
  const held = heldOf(item)
  if (held !== undefined) held.element = element
  else if (typeof item === 'object' && item !== null && weakMapGet(elements, item) !== undefined) weakMapSet(elements, item, element)
}

const recordOf = (handle: Handle): ReferenceRecord => handle[REFERENCE] as ReferenceRecord

export function defineShapes(list: readonly KindShape[]): void {
  for (let i = 0; i < list.length; i++) {
    const shape = list[i] as KindShape
    const prototype = ObjectCreate(unknownProperties(shape, namesOf(shape))) as Record<string, unknown>
    for (let v = 0; v < shape.verbs.length; v++) {
      const verb = shape.verbs[v] as string
      const method = function (this: Handle, ...args: unknown[]): Promise<unknown> {
        return invoke(recordOf(this), heldOf(this), shape, verb, args, elementOf(this))
      }
      ObjectDefineProperty(prototype, verb, { value: method })
    }
    const properties = ObjectKeys(shape.collections)
    for (let c = 0; c < properties.length; c++) {
      const property = properties[c] as string
      const kind = shape.collections[property] as string
      ObjectDefineProperty(prototype, property, {
        get(this: Handle) {
          const element = elementOf(this)
          return lazyCollection(() => {
            const record = recordOf(this)
            return standingAnswer(record, property, element) ?? invoke(record, undefined, shape, property, [], element) as Promise<unknown[]>
          }, kind, element)
        },
      })
    }
    const singles = ObjectKeys(shape.references ?? {})
    for (let c = 0; c < singles.length; c++) {
      const property = singles[c] as string
      const kind = shape.references?.[property] as string
      ObjectDefineProperty(prototype, property, {
        get(this: Handle) {
          const element = elementOf(this)
          return laterHandle(() => invoke(recordOf(this), undefined, shape, property, [], element), kind, element)
        },
      })
    }
    // Of held handles; the others have their record as their own.
    ObjectDefineProperty(prototype, REFERENCE, { get(this: object) { const held = heldOf(this); return held === undefined ? undefined : recordNow(held) } })
    ObjectDefineProperty(prototype, 'toString', { value(this: Handle) { return `${recordOf(this).kind} ${recordOf(this).name}` } })
    ObjectFreeze(prototype)
    mapSet(shapes, shape.kind, { shape, prototype, accessors: accessorsOf(shape), traps: trapsOf(shape, prototype), attributes: namesOf(shape) })
  }
  useShapes(shapeOf)
}

/** Own properties of handles whose attributes can change, over what is held. */
function accessorsOf(shape: KindShape): PropertyDescriptorMap {
  const accessors: PropertyDescriptorMap = {}
  for (let i = 0; i < shape.attributes.length; i++) {
    const attribute = shape.attributes[i] as string
    if (attribute === 'uuid' || attribute === 'kind') continue
    accessors[attribute] = {
      enumerable: true,
      get(this: object) { return read(heldOf(this) as Held, attribute) },
      set(this: object, value: unknown) { assignHeld(heldOf(this) as Held, shape, attribute, value) },
    }
  }
  return accessors
}

const refuse = (): boolean => false
/** Of live handles. No trap is inherited: what user code puts on Object.prototype is none. */
function trapsOf(shape: KindShape, prototype: object): ProxyHandler<object> {
  const attributes = namesOf(shape)
  return ObjectFreeze({
    __proto__: null,
    set(_shown: object, property: string | symbol, value: unknown, handle: unknown) {
      const held = heldOf(handle)
      if (held === undefined || typeof property === 'symbol') return false
      if (attributes[property] !== true) {
        if (property in prototype || property === 'kind') return false
        throw propertyError(shape, property)
      }
      assignHeld(held, shape, property, value)
      return true
    },
    defineProperty: refuse, deleteProperty: refuse, setPrototypeOf: refuse, preventExtensions: refuse,
  })
}

/** Names by which the language and libraries probe values; asking for them is no mistake. */
const PROBED = ['then', 'catch', 'finally', 'toJSON', 'constructor', 'valueOf', 'hasOwnProperty', 'length', 'size', 'map', 'next', 'return', 'message', 'stack', 'code', 'cause']

function namesOf(shape: KindShape): Readonly<Record<string, true>> {
  const names = ObjectCreate(null) as Record<string, true>
  for (let i = 0; i < shape.attributes.length; i++) names[shape.attributes[i] as string] = true
  return names
}

const probed = ObjectCreate(null) as Record<string, true>
for (let i = 0; i < PROBED.length; i++) probed[PROBED[i] as string] = true
export const isProbed = (name: string): boolean => probed[name] === true

export const propertyError = (shape: KindShape, property: string): SandboxError =>
  new SandboxError('FUNCTIONS_ERR_SANDBOX_PROPERTY', `A ${shape.kind} has no property ${JSONStringify(stringSlice(property, 0, 64)) as string}; it has ${listed(shape.attributes)}, and the verbs ${listed(shape.verbs)}`)

/**
 * The end of a handle's prototype chain: a misspelt property throws, as it does on references in the shell.
 * An undefined that travels back from every machine would look like an answer.
 */
function unknownProperties(shape: KindShape, known: Readonly<Record<string, true>>): object {
  return new ProxyConstructor(ObjectCreate(null) as object, {
    get(_target, property) {
      if (typeof property === 'symbol' || isProbed(property) || known[property] === true) return undefined
      throw propertyError(shape, property)
    },
    set(_target, property, _value, handle: Handle) {
      if (typeof property === 'symbol') return false
      if (known[property] === true) checkSettable(shape, recordOf(handle).name, property)
      throw propertyError(shape, property)
    },
  })
}

/** Of this node's kinds. */
export function allShapes(): readonly KindShape[] {
  const all: KindShape[] = []
  mapForEach(shapes, ({ shape }) => { all[all.length] = shape })
  return all
}

export const shapeOf = (kind: string): KindShape | undefined => mapGet(shapes, kind)?.shape

/** A handle for a decoded reference record; a kind that this node does not know has attributes only. */
export function makeHandle(record: ReferenceRecord, element: number): Handle {
  const known = mapGet(shapes, record.kind)
  if (known !== undefined && record.cold === true) return makeCold(record, element, known)
  const attributes = record.attributes ?? {}
  const { kind, uuid, name } = record
  // A literal defines all at once; an assignment would ask the tail of the prototype chain.
  const shown = { __proto__: known === undefined ? null : known.prototype, kind, uuid, name, ...onlyKnown(known, attributes), ...(attributes['name'] === name ? undefined : { name }) } as unknown as Handle
  if (known !== undefined && (known.shape.settable?.length ?? 0) > 0) {
    const handle = new ProxyConstructor(shown, known.traps) as Handle
    hold(handle, { record: record.attributes === undefined ? { ...record, attributes } : record, assigned: {}, element, shown })
    return handle
  }
  ObjectDefineProperty(shown, REFERENCE, { value: ObjectFreeze(record) })
  weakMapSet(elements, shown, element)
  return ObjectFreeze(shown)
}

/** Without what would hide a verb or a relation of the kind. */
function onlyKnown(known: Known | undefined, attributes: ReferenceRecord['attributes']): Record<string, unknown> {
  if (known === undefined) return attributes
  const names = ObjectKeys(attributes)
  let all = true
  for (let i = 0; i < names.length && all; i++) all = known.attributes[names[i] as string] === true
  if (all) return attributes
  const kept: Record<string, unknown> = {}
  for (let i = 0; i < names.length; i++) if (known.attributes[names[i] as string] === true) kept[names[i] as string] = attributes[names[i] as string]
  return kept
}

function makeCold(record: ReferenceRecord, element: number, { prototype, accessors }: Known): Handle {
  const handle = ObjectCreate(prototype) as Record<string | symbol, unknown>
  hold(handle, { record: ObjectFreeze({ ...record, attributes: record.attributes ?? {} }), assigned: {}, element })
  ObjectDefineProperty(handle, 'kind', { value: record.kind, enumerable: true })
  ObjectDefineProperty(handle, 'uuid', { value: record.uuid, enumerable: true })
  ObjectDefineProperties(handle, accessors)
  return ObjectFreeze(handle) as Handle
}
