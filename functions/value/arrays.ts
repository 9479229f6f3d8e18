// Arrays of encoded items, joined and checked without decoding: how a kernel gathers the results of chunks.

import { FUNCTIONS } from '../errors.ts'
import { PROFILES, scanValue } from './scan.ts'

const U8 = 24
const U16 = 25
const U32 = 26
const ARRAY = 0x80

/** CBOR head of an array of `count` items (1 to 5 bytes). */
export function arrayHeader(count: number): Uint8Array {
  if (count < U8) return Uint8Array.of(ARRAY | count)
  if (count < 0x100) return Uint8Array.of(ARRAY | U8, count)
  if (count < 0x1_0000) return Uint8Array.of(ARRAY | U16, count >> 8, count & 255)
  return Uint8Array.of(ARRAY | U32, count >>> 24, (count >>> 16) & 255, (count >>> 8) & 255, count & 255)
}

/** Item count and head length of an encoded array. */
export function readArrayHeader(bytes: Uint8Array): { readonly count: number; readonly length: number } {
  const head = bytes[0] ?? 0
  const info = head & 31
  if (head >> 5 !== 4 || info > U32) throw FUNCTIONS.VALUE_MALFORMED({ why: 'not an array', at: 0 })
  if (info < U8) return { count: info, length: 1 }
  const width = 1 << (info - U8)
  if (bytes.length < 1 + width) throw FUNCTIONS.VALUE_MALFORMED({ why: 'it ends too early', at: bytes.length })
  let count = 0
  for (let i = 1; i <= width; i++) count = count * 256 + (bytes[i] ?? 0)
  return { count, length: 1 + width }
}

/** Throws unless `bytes` are one well-formed array of exactly `count` items: for bytes out of a sandbox, before joining. */
export function checkArray(bytes: Uint8Array, count: number): void {
  const { arrayCount } = scanValue(bytes, PROFILES.value)
  if (arrayCount !== count) throw FUNCTIONS.VALUE_MALFORMED({ why: `${count} items expected, ${arrayCount} found`, at: 0 })
}

/** One array of the items of all `parts`, in order; own buffer of exact size. Parts are trusted to be well-formed. */
export function joinArrays(parts: readonly Uint8Array[]): Uint8Array {
  const heads = parts.map(readArrayHeader)
  const head = arrayHeader(heads.reduce((sum, { count }) => sum + count, 0))
  const joined = new Uint8Array(parts.reduce((sum, part, i) => sum + part.length - (heads[i]?.length ?? 0), head.length))
  joined.set(head)
  let at = head.length
  parts.forEach((part, i) => {
    const items = part.subarray(heads[i]?.length ?? 0)
    joined.set(items, at)
    at += items.length
  })
  return joined
}
