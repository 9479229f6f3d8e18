// Vocabulary of the value format, shared by the writing side (flatten) and the reading side (revive).
//
// A value is one CBOR item. Plain data (null, booleans, undefined, numbers, strings, int64 bigints, byte
// strings, dense arrays, plain objects) is plain CBOR. Everything else is a MARK: CBOR tag 27509 around an
// array whose first element says which node it is:
//
//   MARK [Graph, [node, node, ...], root]      opens a table; inside it MARK [Ref, i] is table entry i
//   MARK [Map, [k, v, k, v, ...]]              and so on, one row of Mark each
//
// An item is self-contained (its own table), so encoded items can be joined into an array without decoding.

/** CBOR tag of every mark; outside the ranges that cbor-x gives a meaning. */
export const MARK_TAG = 27_509

/** What a mark is. Numbers are wire format: never reuse one. */
export const Mark = {
  Ref: 0, Graph: 1, NegativeZero: 2, Utf16: 3, BigInt: 4, Map: 5, Set: 6, Date: 7, RegExp: 8, Buffer: 9,
  Error: 10, SparseArray: 11, Object: 12, Boxed: 13, Symbol: 14, Reference: 15, Collection: 16, Custom: 17, Accessor: 18,
} as const

/** Kinds of Custom marks, written by capture/ and read by link.ts. Wire format: never reuse a number. */
export const CustomKind = { Function: 0, Instance: 1, Package: 2, Native: 3, Bound: 4, Accessor: 5 } as const

/** Views and buffers by wire number. Uint8Array itself is a plain byte string. Little-endian. */
export const BUFFER_KINDS = [
  'ArrayBuffer', 'DataView', 'Int8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array',
  'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array', 'Float16Array',
] as const

export const ERROR_KINDS = ['Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError', 'AggregateError'] as const

/** Bigints in this range are plain CBOR integers. */
export const INT64_MAX = 2n ** 63n - 1n
export const INT64_MIN = -(2n ** 63n)

/** Arrays longer than this are not searched for extra named properties: listing keys costs more than encoding. */
export const ARRAY_EXTRAS_LENGTH_MAX = 1_024

export type Plain = Record<string, unknown>

/** Well-known symbols by name ("iterator"), the only unregistered symbols that mean the same everywhere. */
export const WELL_KNOWN_SYMBOLS: ReadonlyMap<symbol, string> = new Map(
  Object.getOwnPropertyNames(Symbol).flatMap((name) => {
    const value = (Symbol as unknown as Plain)[name]
    return typeof value === 'symbol' ? [[value, name] as const] : []
  }))

/** Defines an own data property even when the key is `__proto__` or an inherited setter would run. */
export function define(object: object, key: PropertyKey, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
}
