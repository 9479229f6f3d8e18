// Capability handles: what user code holds of a machine or a VM. A handle is a frozen object without
// a prototype chain to any host object; attributes are plain data as of when the reference was made, a verb
// is one host call, a collection (`pm.vms`) is asynchronous. It carries its record under [REFERENCE], so that
// it encodes back as a reference in results and arguments.

import { REFERENCE, type KindShape, type ReferenceRecord } from '../../contract.ts'
import { SandboxError } from './error-capture.ts'
import { hostCall } from './host-calls.ts'
import { JSONStringify, mapGet, mapSet, ObjectCreate, ObjectDefineProperty, ObjectFreeze, ObjectKeys, ProxyConstructor, stringSlice, weakMapGet, weakMapSet } from './primordials.ts'
import { lazyCollection } from './collection.ts'

export type Handle = Readonly<Record<string | symbol, unknown>>

const shapes = new Map<string, { readonly shape: KindShape; readonly prototype: object }>()
/** Element that a handle came with; -1 for captured ones. */
const elements = new WeakMap<object, number>()

const elementOf = (handle: object): number => weakMapGet(elements, handle) ?? -1
/** An item that is a handle belongs to its element: its calls are journaled under it. */
export function assignElement(item: unknown, element: number): void {
  if (typeof item === 'object' && item !== null && weakMapGet(elements, item) !== undefined) weakMapSet(elements, item, element)
}

const recordOf = (handle: Handle): ReferenceRecord => handle[REFERENCE] as ReferenceRecord

export function defineShapes(list: readonly KindShape[]): void {
  for (let i = 0; i < list.length; i++) {
    const shape = list[i] as KindShape
    const prototype = ObjectCreate(unknownProperties(shape)) as Record<string, unknown>
    for (let v = 0; v < shape.verbs.length; v++) {
      const verb = shape.verbs[v] as string
      const invoke = function (this: Handle, ...args: unknown[]): Promise<unknown> {
        return hostCall(recordOf(this), verb, args, elementOf(this))
      }
      ObjectDefineProperty(prototype, verb, { value: invoke })
    }
    const properties = ObjectKeys(shape.collections)
    for (let c = 0; c < properties.length; c++) {
      const property = properties[c] as string
      const kind = shape.collections[property] as string
      ObjectDefineProperty(prototype, property, {
        get(this: Handle) {
          const element = elementOf(this)
          return lazyCollection(() => hostCall(recordOf(this), property, [], element) as Promise<unknown[]>, kind)
        },
      })
    }
    ObjectDefineProperty(prototype, 'toString', { value(this: Handle) { return `${recordOf(this).kind} ${recordOf(this).name}` } })
    ObjectFreeze(prototype)
    mapSet(shapes, shape.kind, { shape, prototype })
  }
}

/** Names by which the language and libraries probe values; asking for them is no mistake. */
const PROBED = ['then', 'catch', 'finally', 'toJSON', 'constructor', 'valueOf', 'hasOwnProperty', 'length', 'size', 'map', 'next', 'return', 'message', 'stack', 'code', 'cause']

/**
 * The end of a handle's prototype chain: a misspelt property throws, as it does on references in the shell.
 * An undefined that travels back from every machine would look like an answer.
 */
function unknownProperties(shape: KindShape): object {
  const known = ObjectCreate(null) as Record<string, true>
  for (let i = 0; i < PROBED.length; i++) known[PROBED[i] as string] = true
  for (let i = 0; i < shape.attributes.length; i++) known[shape.attributes[i] as string] = true
  return new ProxyConstructor(ObjectCreate(null) as object, {
    get(_target, property) {
      if (typeof property === 'symbol' || known[property] === true) return undefined
      throw new SandboxError('FUNCTIONS_ERR_SANDBOX_PROPERTY', `A ${shape.kind} has no property ${JSONStringify(stringSlice(property, 0, 64)) as string}; it has ${join(shape.attributes)}, and the verbs ${join(shape.verbs)}`)
    },
  })
}

function join(names: readonly string[]): string {
  let text = ''
  for (let i = 0; i < names.length; i++) text += (i === 0 ? '' : ', ') + (names[i] as string)
  return text
}

export const shapeOf = (kind: string): KindShape | undefined => mapGet(shapes, kind)?.shape

/** A handle for a decoded reference record; a kind that this node does not know has attributes only. */
export function makeHandle(record: ReferenceRecord, element: number): Handle {
  const known = mapGet(shapes, record.kind)
  const handle = ObjectCreate(known === undefined ? null : known.prototype) as Record<string | symbol, unknown>
  const attributes = record.attributes ?? {}
  handle['kind'] = record.kind
  handle['uuid'] = record.uuid
  handle['name'] = record.name
  const names = ObjectKeys(attributes)
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    if (name in handle && name !== 'name') continue
    ObjectDefineProperty(handle, name, { value: attributes[name], enumerable: true })
  }
  ObjectDefineProperty(handle, REFERENCE, { value: ObjectFreeze(record) })
  weakMapSet(elements, handle, element)
  return ObjectFreeze(handle)
}

