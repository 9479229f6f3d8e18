// Decoded tree -> value: replaces marks by what they stand for. Only runs when the scan saw a mark.
//
// The tree may be hostile (scan.ts has bounded its size and depth, nothing else): every mark's shape is
// checked, properties are defined and never assigned, and table entries are made on demand, once.
// An object is registered before its children are revived, so cycles close; a reference to a class that
// is still being made is put off until everything else exists.

import { LIMITS } from '../../fabric/base.ts'
import type { ReferenceRecord, SourceSpec } from '../contract.ts'
import { COLLECTION, REFERENCE } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { Tag } from './cbor.ts'
import { BUFFER_KINDS, ERROR_KINDS, MARK_TAG, Mark, WELL_KNOWN_SYMBOLS, define } from './node.ts'
import type { Plain } from './node.ts'

/** What a custom decoder may do with its parts. */
export interface Revival {
  /** Makes `object` known to references inside the parts; call it before reviving them. */
  register(object: object): void
  /** Value of a part, now. */
  now(part: unknown): unknown
  /** Value of a part when everything else has been made. */
  later(part: unknown, use: (value: unknown) => void): void
  /** Flat key, value list -> own properties of `target`. */
  entries(target: object, list: unknown): void
}

export interface DecodeHooks {
  /** Default: an inert object whose [REFERENCE] is the record. */
  readonly reference?: (record: ReferenceRecord) => unknown
  /** Default: an inert object whose [COLLECTION] is the spec. */
  readonly collection?: (spec: SourceSpec) => unknown
  /** Default: refused; only the linker understands captured functions. */
  readonly custom?: (kind: number, parts: readonly unknown[], revival: Revival) => object
}

/** Longest regular expression that is built from received text. */
const PATTERN_CHARS_MAX = 65_536
const PENDING = Symbol('pending')
const ARRAY_LENGTH_MAX = 2 ** 32 - 1

const bad = (why: string): never => { throw FUNCTIONS.VALUE_MALFORMED({ why, at: 0 }) }
const text = (part: unknown): string => (typeof part === 'string' ? part : bad('text expected'))
const list = (part: unknown): unknown[] => (Array.isArray(part) ? part : bad('a list expected'))
const bytesOf = (part: unknown): Uint8Array => (part instanceof Uint8Array ? part : bad('bytes expected'))
const index = (part: unknown, below: number): number =>
  (typeof part === 'number' && Number.isInteger(part) && part >= 0 && part < below ? part : bad('a number out of range'))

/** A plain object, as decoding makes one. */
const isFields = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

class Reviver implements Revival {
  readonly #hooks: DecodeHooks
  readonly #bigintBytesMax: number
  #table: readonly unknown[] = []
  #made: unknown[] = []
  #busy = new Set<number>()
  #current = -1
  #depth = 0
  /** Put-off work; entries before #lateNext are done. */
  #late: (() => void)[] = []
  #lateNext = 0

  constructor(hooks: DecodeHooks, bigintBytesMax: number) {
    this.#hooks = hooks
    this.#bigintBytesMax = bigintBytesMax
  }

  root(tree: unknown): unknown {
    const value = this.now(tree)
    this.#settle()
    return value
  }

  #settle(): void {
    for (; this.#lateNext < this.#late.length; this.#lateNext++) this.#late[this.#lateNext]?.()
  }

  register(object: object): void {
    if (this.#current >= 0) this.#made[this.#current] = object
    this.#current = -1
  }

  now(part: unknown): unknown {
    const value = this.#value(part)
    return value === PENDING ? bad('a class that needs itself') : value
  }

  later(part: unknown, use: (value: unknown) => void): void {
    const [table, made, busy] = [this.#table, this.#made, this.#busy]
    this.#late.push(() => {
      [this.#table, this.#made, this.#busy] = [table, made, busy]
      use(this.now(part))
    })
  }

  #set(part: unknown, use: (value: unknown) => void): void {
    const value = this.#value(part)
    if (value === PENDING) this.later(part, use)
    else use(value)
  }

  #value(part: unknown): unknown {
    if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return part
    if (this.#depth > LIMITS.valueDepthMax * 3) return bad('references nested too deep')
    this.#depth++
    try {
      if (part instanceof Tag) return this.#mark(part)
      this.register(part)
      if (Array.isArray(part)) for (let i = 0; i < part.length; i++) this.#child(part as unknown as Plain, i as unknown as string)
      else for (const key of Object.keys(part)) this.#child(part as Plain, key)
      return part
    } finally {
      this.#depth--
    }
  }

  #child(holder: Plain, key: string): void {
    const part = holder[key]
    if (typeof part === 'object' && part !== null) this.#set(part, (value) => { holder[key] = value })
  }

  #mark(tag: Tag): unknown {
    const parts = list(tag.value)
    if (tag.tag !== MARK_TAG) return bad(`tag ${tag.tag}`)
    switch (parts[0]) {
      case Mark.Ref: return this.#ref(index(parts[1], this.#table.length))
      case Mark.Graph: return this.#graph(list(parts[1]), parts[2])
      case Mark.NegativeZero: return -0
      case Mark.Utf16: return utf16(bytesOf(parts[1]))
      case Mark.BigInt: return bigint(text(parts[1]), this.#bigintBytesMax)
      case Mark.Symbol: return symbol(text(parts[1]), text(parts[2]))
      case Mark.Reference: return this.#reference(parts[1])
      case Mark.Collection: return this.#collection(parts[1])
      default: return this.#object(parts)
    }
  }

  #object(parts: readonly unknown[]): unknown {
    switch (parts[0]) {
      case Mark.Map: return this.#map(list(parts[1]))
      case Mark.Set: return this.#setOf(list(parts[1]))
      case Mark.Date: return this.#keep(new Date(typeof parts[1] === 'number' ? parts[1] : bad('a time expected')))
      case Mark.RegExp: return this.#keep(regexp(this.now(parts[1]), parts[2], parts[3]))
      case Mark.Buffer: return this.#keep(buffer(index(parts[1], BUFFER_KINDS.length), bytesOf(parts[2])))
      case Mark.Error: return this.#error(parts)
      case Mark.SparseArray: return this.#sparse(index(parts[1], ARRAY_LENGTH_MAX + 1), list(parts[2]))
      case Mark.Object: return this.#properties(parts[1] === null ? Object.create(null) as object : {}, parts[2])
      case Mark.Boxed: return this.#keep(Object(this.now(parts[1])) as object)
      case Mark.Custom: {
        if (this.#hooks.custom === undefined) return bad('a function where data was expected')
        return this.#hooks.custom(index(parts[1], 256), parts.slice(2), this)
      }
      default: return bad(`mark ${String(parts[0])}`)
    }
  }

  #keep(object: object): object { this.register(object); return object }

  #ref(id: number): unknown {
    if (this.#made[id] !== undefined) return this.#made[id]
    if (this.#busy.has(id)) return PENDING
    this.#busy.add(id)
    this.#current = id
    const value = this.#value(this.#table[id])
    this.#current = -1
    this.#busy.delete(id)
    if (value === PENDING) return bad('a reference to itself')
    this.#made[id] = value
    return value
  }

  #graph(table: readonly unknown[], root: unknown): unknown {
    const outer = [this.#table, this.#made, this.#busy, this.#current] as const;
    [this.#table, this.#made, this.#busy, this.#current] = [table, [], new Set(), -1]
    const value = this.now(root)
    if (outer[0].length > 0) this.#settle();
    [this.#table, this.#made, this.#busy, this.#current] = outer
    return value
  }

  #map(pairs: readonly unknown[]): object {
    const map = new Map<unknown, unknown>()
    this.register(map)
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      this.#set(pairs[i], (key) => this.#set(pairs[i + 1], (value) => map.set(key, value)))
    }
    return map
  }

  #setOf(items: readonly unknown[]): object {
    const set = new Set<unknown>()
    this.register(set)
    for (const item of items) this.#set(item, (value) => set.add(value))
    return set
  }

  #error(parts: readonly unknown[]): object {
    const kind = ERROR_KINDS[index(parts[1], ERROR_KINDS.length)] ?? 'Error'
    const error = kind === 'AggregateError' ? new AggregateError([]) : new ERROR_CLASSES[kind]()
    this.register(error)
    const hidden = (key: string, value: unknown): void => { Object.defineProperty(error, key, { value, writable: true, enumerable: false, configurable: true }) }
    hidden('message', text(this.now(parts[3])))
    const name = text(this.now(parts[2]))
    if (name !== error.name) hidden('name', name)
    const stack = this.now(parts[4])
    hidden('stack', typeof stack === 'string' ? stack : undefined)
    const own = list(parts[5])
    for (let i = 0; i + 1 < own.length; i += 2) {
      const key = this.now(own[i])
      if (key === 'cause' || key === 'errors') this.#set(own[i + 1], (value) => hidden(key, value))
      else this.#property(error, key, own[i + 1])
    }
    return error
  }

  #sparse(length: number, own: unknown): object {
    const array: unknown[] = []
    array.length = length
    return this.#properties(array, own)
  }

  #properties(target: object, own: unknown): object {
    this.register(target)
    this.entries(target, own)
    return target
  }

  entries(target: object, own: unknown): void {
    const pairs = list(own)
    for (let i = 0; i + 1 < pairs.length; i += 2) this.#property(target, this.now(pairs[i]), pairs[i + 1])
  }

  #property(target: object, key: unknown, part: unknown): void {
    if (typeof key !== 'string' && typeof key !== 'symbol') return bad('a property key expected')
    if (part instanceof Tag && Array.isArray(part.value) && part.value[0] === Mark.Accessor) {
      if (this.#hooks.custom === undefined) return bad('an accessor where data was expected')
      const [, get, set] = part.value as unknown[]
      return Object.defineProperty(target, key, {
        get: this.now(get) as () => unknown, set: this.now(set) as (value: unknown) => void, enumerable: true, configurable: true,
      }) as unknown as void
    }
    this.#set(part, (value) => define(target, key, value))
  }

  #reference(part: unknown): unknown {
    this.#current = -1
    const record = this.now(part) as ReferenceRecord
    if (typeof record !== 'object' || record === null || typeof record.kind !== 'string' || typeof record.uuid !== 'string' || typeof record.home !== 'string') return bad('a reference without identity')
    // Only a cold object is believed as it came: its settings are all there is of it.
    if (record.cold !== undefined && (record.cold !== true || typeof record.name !== 'string' || !isFields(record.attributes))) return bad('a cold object without settings')
    return this.#hooks.reference === undefined ? { [REFERENCE]: record } : this.#hooks.reference(record)
  }

  #collection(part: unknown): unknown {
    this.#current = -1
    const spec = this.now(part) as SourceSpec
    if (typeof spec !== 'object' || spec === null || typeof spec.type !== 'string') return bad('a collection without a source')
    return this.#hooks.collection === undefined ? { [COLLECTION]: spec } : this.#hooks.collection(spec)
  }
}

const ERROR_CLASSES = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError }

function utf16(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i + 1 < bytes.length; i += 2) out += String.fromCharCode((bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8))
  return out
}

function bigint(hex: string, bytesMax: number): bigint {
  if (!/^-?[0-9a-f]+$/.test(hex) || hex.length > bytesMax * 2 + 1) return bad('a bigint out of bounds')
  return hex.startsWith('-') ? -BigInt(`0x${hex.slice(1)}`) : BigInt(`0x${hex}`)
}

function symbol(how: string, key: string): symbol {
  if (how === 'for') return Symbol.for(key)
  for (const [known, name] of WELL_KNOWN_SYMBOLS) if (name === key) return known
  return bad('an unknown symbol')
}

function regexp(source: unknown, flags: unknown, lastIndex: unknown): RegExp {
  if (text(source).length > PATTERN_CHARS_MAX) return bad('a regular expression that is too long')
  try {
    const value = new RegExp(text(source), text(flags))
    value.lastIndex = typeof lastIndex === 'number' ? lastIndex : 0
    return value
  } catch { return bad('an invalid regular expression') }
}

function buffer(kind: number, bytes: Uint8Array): object {
  const name = BUFFER_KINDS[kind] ?? 'ArrayBuffer'
  if (name === 'ArrayBuffer') return bytes.buffer
  if (name === 'DataView') return new DataView(bytes.buffer)
  const View = (globalThis as unknown as Record<string, { new (buffer: ArrayBufferLike): object; BYTES_PER_ELEMENT: number } | undefined>)[name]
  if (View === undefined || bytes.byteLength % View.BYTES_PER_ELEMENT !== 0) return bad(`bytes that are no ${name}`)
  return new View(bytes.buffer)
}

/** `tree` is consumed: plain parts of it become parts of the value. */
export function revive(tree: unknown, hooks: DecodeHooks, bigintBytesMax: number): unknown {
  return new Reviver(hooks, bigintBytesMax).root(tree)
}
