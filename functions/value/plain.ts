// "Is it plain?": the pre-pass that lets ordinary results go to CBOR as they are. A few ns per item; the
// first thing that plain CBOR would change or drop (-0, a Date, a shared object, a hole) ends it.

import { LIMITS } from '../../fabric/base.ts'
import { COLLECTION, REFERENCE } from '../contract.ts'
import { ARRAY_EXTRAS_LENGTH_MAX, INT64_MAX, INT64_MIN } from './node.ts'
import type { Plain } from './node.ts'

/** Least bytes of one item: sizes here are lower bounds. */
const ITEM_BYTES = 1

/** One pre-pass; counts bytes and items over all values it is asked about. */
export class PlainCheck {
  /** Lower bound of the encoded bytes so far. */
  bytes = 0
  items = 0
  /** Objects of this value; most values have one, or none, and a set that is filled and cleared for each costs more than the look. */
  #first: object | undefined
  #more: Set<object> | undefined

  /** True: `value`, at that depth, may go to CBOR unchanged. Objects are compared for sharing within this value only. */
  check(value: unknown, depth = 0): boolean {
    this.#first = undefined
    if (this.#more !== undefined && this.#more.size > 0) this.#more.clear()
    return this.#visit(value, depth)
  }

  #visit(value: unknown, depth: number): boolean {
    this.items++
    this.bytes += ITEM_BYTES
    switch (typeof value) {
      case 'number': return value !== 0 || !Object.is(value, -0)
      case 'string': this.bytes += value.length; return value.isWellFormed()
      case 'boolean': case 'undefined': return true
      case 'bigint': return value >= INT64_MIN && value <= INT64_MAX
      case 'object': return value === null || this.#object(value, depth)
      default: return false
    }
  }

  /** Met for the first time. */
  #isNew(value: object): boolean {
    if (this.#first === undefined) {
      this.#first = value
      return true
    }
    this.#more ??= new Set()
    if (value === this.#first || this.#more.has(value)) return false
    this.#more.add(value)
    return true
  }

  #object(value: object, depth: number): boolean {
    const prototype = Object.getPrototypeOf(value) as unknown
    if (depth >= LIMITS.valueDepthMax || !this.#isNew(value)) return false
    if (prototype === Array.prototype) return Array.isArray(value) && this.#array(value, depth)
    if (prototype === Uint8Array.prototype) { this.bytes += (value as Uint8Array).byteLength; return true }
    if (prototype !== Object.prototype) return false
    if ((value as Plain)[REFERENCE as unknown as string] !== undefined || (value as Plain)[COLLECTION as unknown as string] !== undefined) return false
    if (Object.getOwnPropertySymbols(value).length > 0) return false
    for (const key of Object.keys(value)) {
      this.bytes += key.length
      if (key === '__proto__' || !key.isWellFormed() || !this.#visit((value as Plain)[key], depth + 1)) return false
    }
    return true
  }

  #array(value: readonly unknown[], depth: number): boolean {
    const length = value.length
    if (length <= ARRAY_EXTRAS_LENGTH_MAX && Object.keys(value).length !== length) return false
    for (let i = 0; i < length; i++) {
      const item = value[i]
      if (typeof item === 'number' && item !== 0) continue
      if (item === undefined && !Object.hasOwn(value, i)) return false
      if (!this.#visit(item, depth + 1)) return false
    }
    this.items += length
    this.bytes += length * ITEM_BYTES
    return true
  }
}
