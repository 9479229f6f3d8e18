// Value -> tree of plain data and marks, ready for CBOR. The slow path of encodeValue, and the only one
// for captured functions.
//
//   visit: every object becomes a Slot once (identity map); a second visit marks the slot shared
//   emit:  shared slots move into the graph's table, the others stay where they are
//
// Cycles need no special form: a slot is registered before its children are visited. Order of visit is
// the order of keys, so that equal values give equal bytes. Typed arrays travel with their own window
// only, never the rest of their buffer.

import { LIMITS } from '../../fabric/base.ts'
import type { ReferenceRecord, SourceSpec } from '../contract.ts'
import { COLLECTION, REFERENCE } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { brandOf, hintFor, tagOf, withArticle } from './brand.ts'
import { Tag } from './cbor.ts'
import { ARRAY_EXTRAS_LENGTH_MAX, BUFFER_KINDS, ERROR_KINDS, INT64_MAX, INT64_MIN, MARK_TAG, Mark, WELL_KNOWN_SYMBOLS } from './node.ts'
import type { Plain } from './node.ts'
import { PlainCheck } from './plain.ts'
import { UNNAMED, formatPath } from './path.ts'
import type { PathKey } from './path.ts'

/** What a custom encoder sees of the walk. */
export interface Walk {
  /** Encodes a child found under `keys`. */
  child(value: unknown, ...keys: PathKey[]): unknown
  /** Own enumerable properties as a flat key, value list; accessors as marks when `accessors`. */
  entries(value: object, options?: { readonly skip?: (key: PropertyKey) => boolean }): unknown[]
  /** Encodes `value`, one unnamed level down, by its brand although it has a class: the state under a subclass of Map, Array, Error. */
  base(value: object): unknown
  readonly keys: readonly PathKey[]
  /** Lower bound of the encoded bytes so far. */
  readonly bytes: number
}

export interface EncodeHooks {
  /** Name of the root in messages; default 'result'. */
  readonly root?: string
  readonly sizeBytesMax?: number
  /** Told of every reference and collection on the way. */
  readonly onCapability?: (capability: ReferenceRecord | SourceSpec) => void
  /** Called for every function and object that is neither a reference nor a plain array; undefined: not mine. Answers [kind, ...parts]. */
  readonly custom?: (value: object, walk: Walk) => readonly unknown[] | undefined
}

/** Place of one object in the tree; `content` is set when its children have been visited. */
class Slot {
  content: unknown = undefined
  shared = false
  id = -1
}

/** Plain data found in the tree: goes to CBOR as it is. */
class Ready {
  readonly value: unknown
  constructor(value: unknown) { this.value = value }
}

const mark = (...parts: unknown[]): Tag => new Tag(parts, MARK_TAG)

/** Least bytes of one item: the running size is a lower bound, good enough to stop a walk early. */
const ITEM_BYTES = 1

class Flattener implements Walk {
  readonly keys: PathKey[] = []
  bytes = 0
  readonly #hooks: EncodeHooks
  readonly #slots = new Map<object, Slot>()
  readonly #sizeBytesMax: number
  #items = 0

  constructor(hooks: EncodeHooks) {
    this.#hooks = hooks
    this.#sizeBytesMax = hooks.sizeBytesMax ?? LIMITS.messageBytesMax
  }

  child(value: unknown, ...keys: PathKey[]): unknown {
    for (const key of keys) this.keys.push(key)
    const encoded = this.visit(value)
    this.keys.length -= keys.length
    return encoded
  }

  visit(value: unknown): unknown {
    this.#grow(ITEM_BYTES)
    switch (typeof value) {
      case 'number': return Object.is(value, -0) ? mark(Mark.NegativeZero) : value
      case 'string': this.#grow(value.length); return value.isWellFormed() ? value : mark(Mark.Utf16, utf16(value))
      case 'bigint': return this.#bigint(value)
      case 'symbol': return this.#symbol(value)
      case 'function': return this.#slot(value)
      case 'object': return value === null ? null : this.#slot(value)
      default: return value
    }
  }

  #grow(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#sizeBytesMax || ++this.#items > LIMITS.valueItemsMax) {
      throw FUNCTIONS.VALUE_TOO_LARGE({ path: this.#path(), bytes: this.bytes, bytesMax: this.#sizeBytesMax })
    }
  }

  #path(): string { return formatPath(this.#hooks.root ?? 'result', this.keys) }

  #refuse(what: string, hint: string): never {
    throw FUNCTIONS.VALUE_UNSUPPORTED({ path: this.#path(), what, hint })
  }

  #bigint(value: bigint): unknown {
    if (value >= INT64_MIN && value <= INT64_MAX) return value
    const text = value.toString(16)
    this.#grow(text.length)
    if (text.length / 2 > LIMITS.valueBigintBytesMax) this.#refuse(`a bigint of ${text.length >> 1} bytes`, `${LIMITS.valueBigintBytesMax} bytes may travel; send it as a string`)
    return mark(Mark.BigInt, text)
  }

  #symbol(value: symbol): unknown {
    const key = Symbol.keyFor(value)
    if (key !== undefined) return mark(Mark.Symbol, 'for', key)
    const name = WELL_KNOWN_SYMBOLS.get(value)
    return name === undefined ? this.#refuse(`an unregistered symbol (${String(value)})`, 'make it with Symbol.for') : mark(Mark.Symbol, 'known', name)
  }

  #slot(value: object): unknown {
    const known = this.#slots.get(value)
    if (known !== undefined) { known.shared = true; return known }
    if (this.keys.length > LIMITS.valueDepthMax) throw FUNCTIONS.VALUE_TOO_DEEP({ path: `${this.#path().slice(0, 200)}...`, depthMax: LIMITS.valueDepthMax })
    const slot = new Slot()
    this.#slots.set(value, slot)
    slot.content = this.#content(value)
    return slot
  }

  #content(value: object): unknown {
    if (Array.isArray(value) && Object.getPrototypeOf(value) === Array.prototype) return this.#array(value)
    const reference = (value as Plain)[REFERENCE as unknown as string]
    if (reference !== undefined) return this.#reference(reference as ReferenceRecord)
    const collection = (value as Plain)[COLLECTION as unknown as string]
    if (collection !== undefined) this.#hooks.onCapability?.(collection as SourceSpec)
    if (collection !== undefined) return mark(Mark.Collection, this.child(collection))
    const custom = this.#hooks.custom?.(value, this)
    if (custom !== undefined) return mark(Mark.Custom, ...custom)
    if (typeof value === 'function') return this.#refuse('a function', 'return data; functions travel only as captured values')
    return this.#branded(value)
  }

  /** Records are most often plain: thousands of them are one answer, and need no walk. */
  #reference(record: ReferenceRecord): unknown {
    this.#hooks.onCapability?.(record)
    const plain = new PlainCheck()
    if (this.#hooks.custom !== undefined || !plain.check(record, this.keys.length)) return mark(Mark.Reference, this.child(record))
    this.#items += plain.items
    this.#grow(plain.bytes)
    return mark(Mark.Reference, new Ready(record))
  }

  base(value: object): unknown {
    this.keys.push(UNNAMED)
    const encoded = this.#branded(value)
    this.keys.pop()
    return encoded
  }

  #branded(value: object): unknown {
    switch (brandOf(value)) {
      case 'array': return this.#array(value as unknown[])
      case 'map': return mark(Mark.Map, this.#pairs(Map.prototype.entries.call(value as Map<unknown, unknown>)))
      case 'set': return mark(Mark.Set, Array.from(Set.prototype.values.call(value as Set<unknown>), (item, i) => this.child(item, i)))
      case 'date': return mark(Mark.Date, Date.prototype.getTime.call(value))
      case 'regexp': return mark(Mark.RegExp, this.child((value as RegExp).source), (value as RegExp).flags, (value as RegExp).lastIndex)
      case 'buffer': return this.#buffer(value as ArrayBuffer | ArrayBufferView)
      case 'error': return this.#error(value as Error)
      case 'boxed': return mark(Mark.Boxed, this.visit((value as { valueOf(): unknown }).valueOf()))
      case 'opaque': return this.#refuse(withArticle(tagOf(value)), hintFor(tagOf(value)))
      default: return this.#object(value)
    }
  }

  #pairs(pairs: Iterable<[unknown, unknown]>): unknown[] {
    const out: unknown[] = []
    let index = 0
    for (const [key, item] of pairs) {
      const name: PathKey = typeof key === 'string' ? `<${JSON.stringify(key)}>` : index
      out.push(this.child(key, `<key ${index++}>`), this.child(item, name))
    }
    return out
  }

  #array(value: unknown[]): unknown {
    const length = value.length
    if (length <= ARRAY_EXTRAS_LENGTH_MAX && Object.keys(value).length !== length) return this.#sparse(value)
    const out: unknown[] = []
    for (let i = 0; i < length; i++) {
      const item = value[i]
      if (item === undefined && !Object.hasOwn(value, i)) return this.#sparse(value)
      out.push(typeof item === 'number' ? this.visit(item) : this.child(item, i))
    }
    return out
  }

  #sparse(value: unknown[]): unknown {
    return mark(Mark.SparseArray, value.length, this.entries(value))
  }

  #buffer(value: ArrayBuffer | ArrayBufferView): unknown {
    this.#grow(value.byteLength)
    const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)
    if (ArrayBuffer.isView(value) && tagOf(value) === 'Uint8Array') return bytes
    const kind = BUFFER_KINDS.indexOf((ArrayBuffer.isView(value) ? tagOf(value) : 'ArrayBuffer') as typeof BUFFER_KINDS[number])
    return kind < 0 ? this.#refuse(`a ${tagOf(value)}`, 'use a typed array that both ends have') : mark(Mark.Buffer, kind, bytes)
  }

  #error(value: Error): unknown {
    const kind = Math.max(0, ERROR_KINDS.findIndex((name) => name === builtinErrorName(value)))
    const own = this.entries(value, { skip: (key) => key === 'message' || key === 'stack' || key === 'name' || key === 'cause' || key === 'errors' })
    for (const key of ['cause', 'errors'] as const) {
      if (Object.hasOwn(value, key)) own.push(key, this.child((value as Error & Plain)[key], key))
    }
    return mark(Mark.Error, kind, this.visit(String(value.name)), this.visit(String(value.message)), this.visit(typeof value.stack === 'string' ? value.stack : undefined), own)
  }

  #object(value: object): unknown {
    const prototype = Object.getPrototypeOf(value) as object | null
    const symbols = Object.getOwnPropertySymbols(value).some((key) => Object.prototype.propertyIsEnumerable.call(value, key))
    if (prototype === null || symbols || (this.#hooks.custom !== undefined && hasAccessor(value))) {
      return mark(Mark.Object, prototype === null ? null : undefined, this.entries(value))
    }
    const out: Plain = {}
    for (const key of Object.keys(value)) {
      if (key === '__proto__') this.#refuse('an object with an own __proto__ key', 'rename the key, or use a Map')
      this.#grow(key.length)
      out[key] = key.isWellFormed() ? this.child((value as Plain)[key], key) : this.#refuse('an object with an ill-formed key', 'use a Map')
    }
    return out
  }

  entries(value: object, options: { readonly skip?: (key: PropertyKey) => boolean } = {}): unknown[] {
    const out: unknown[] = []
    for (const key of Reflect.ownKeys(value)) {
      if (options.skip?.(key) === true) continue
      const descriptor = Object.getOwnPropertyDescriptor(value, key)
      if (descriptor?.enumerable !== true) continue
      if (key === '__proto__') this.#refuse('an object with an own __proto__ key', 'rename the key, or use a Map')
      const accessor = this.#hooks.custom !== undefined && descriptor.value === undefined && (descriptor.get ?? descriptor.set) !== undefined
      out.push(this.visit(key), accessor
        ? mark(Mark.Accessor, this.child(descriptor.get, key, '<get>'), this.child(descriptor.set, key, '<set>'))
        : this.child((value as Plain)[key as string], key))
    }
    return out
  }
}

const hasAccessor = (value: object): boolean =>
  Object.keys(value).some((key) => Object.getOwnPropertyDescriptor(value, key)?.value === undefined && !('value' in (Object.getOwnPropertyDescriptor(value, key) ?? {})))

/** Name of the nearest built-in error class on the prototype chain. */
function builtinErrorName(value: Error): string {
  for (let at: object | null = Object.getPrototypeOf(value) as object | null; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const name = (Object.getOwnPropertyDescriptor(at, 'constructor')?.value as { name?: string } | undefined)?.name
    if (name !== undefined && ERROR_KINDS.includes(name as typeof ERROR_KINDS[number])) return name
  }
  return 'Error'
}

function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2)
  for (let i = 0; i < text.length; i++) {
    bytes[i * 2] = text.charCodeAt(i) & 255
    bytes[i * 2 + 1] = text.charCodeAt(i) >> 8
  }
  return bytes
}

/** Second pass: slots -> table entries and inline content, in place. */
class Emitter {
  readonly table: unknown[] = []

  emit(value: unknown): unknown {
    if (value instanceof Ready) return value.value
    if (!(value instanceof Slot)) return this.#fill(value)
    if (!value.shared) return this.#fill(value.content)
    if (value.id < 0) {
      value.id = this.table.push(undefined) - 1
      this.table[value.id] = this.#fill(value.content)
    }
    return mark(Mark.Ref, value.id)
  }

  #fill(content: unknown): unknown {
    if (typeof content !== 'object' || content === null || content instanceof Uint8Array) return content
    const children = (content instanceof Tag ? content.value : content) as Plain
    if (Array.isArray(children)) {
      for (let i = 0; i < children.length; i++) if (typeof children[i] === 'object') children[i] = this.emit(children[i])
    } else {
      for (const key of Object.keys(children)) if (typeof children[key] === 'object') children[key] = this.emit(children[key])
    }
    return content
  }
}

/** The tree for one self-contained item. */
export function flatten(value: unknown, hooks: EncodeHooks = {}): unknown {
  const root = new Flattener(hooks).visit(value)
  const emitter = new Emitter()
  const tree = emitter.emit(root)
  return emitter.table.length === 0 ? tree : mark(Mark.Graph, emitter.table, tree)
}
