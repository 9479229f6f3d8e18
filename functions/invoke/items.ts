// Payloads and answers as bytes, without decoding: the kernel puts a call's payload into the invocation that the script's
// entry gets, and takes the answers of a chunk apart. Pure. Bytes of a chunk come out of a sandbox and may be
// hostile: the walk is bounded by their length, builds nothing, and whoever decodes a part scans it again.
//
// An encoded item is self-contained (functions/value/node.ts), so it may stand anywhere in another value.

import { FUNCTIONS } from '../errors.ts'
import type { Invocation } from '../deployed.ts'
import { arrayHeader, encodeValue, readArrayHeader } from '../value/mod.ts'

const encoder = new TextEncoder()
const TEXT = 0x60
const MAP_OF_3 = 0xa3
const MAP_OF_4 = 0xa4
const short = (text: string): Uint8Array => { const bytes = encoder.encode(text); return Uint8Array.of(TEXT | bytes.length, ...bytes) }

const WHAT = Uint8Array.of(MAP_OF_3, ...short('what'))
const TRIGGER_WHAT = Uint8Array.of(MAP_OF_4, ...short('trigger'))
const WHAT_KEY = short('what')
const PAYLOAD = short('payload')
const CALL = short('call')
const VERBS: Readonly<Record<Invocation['what'], Uint8Array>> = { run: short('run'), filter: short('filter'), describe: short('describe') }
const UNDEFINED_PAYLOAD = Uint8Array.of(0x81, 0xf7)

/** An array of `undefined`: the payload of a call that has none. */
export const noPayload = (): Uint8Array => UNDEFINED_PAYLOAD

export interface InvocationParts { readonly what: Invocation['what']; readonly trigger?: number; /** Array of one. */ readonly payload: Uint8Array; readonly call: Invocation['call'] }

/** A job's items: an array of Invocations, whose payloads are put in as they are. */
export function encodeInvocations(invocations: readonly InvocationParts[]): Uint8Array {
  const pieces: Uint8Array[] = [arrayHeader(invocations.length)]
  for (const { what, trigger, payload, call } of invocations) {
    if (trigger === undefined) pieces.push(WHAT)
    else pieces.push(TRIGGER_WHAT, encodeValue(trigger), WHAT_KEY)
    pieces.push(VERBS[what], PAYLOAD, payload.subarray(1), CALL, encodeValue(call))
  }
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) { whole.set(piece, at); at += piece.length }
  return whole
}

/** Throws PAYLOAD_INVALID unless `bytes` are one well-formed array of one value: what is put into a chunk must not disturb its neighbours. */
export function checkPayload(bytes: Uint8Array, bytesMax: number): void {
  if (bytes.length > bytesMax) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the payload', expected: `at most ${bytesMax} bytes`, got: `${bytes.length}` })
  let end = 0
  try {
    end = bytes[0] === 0x81 ? itemEnd(bytes, 1) : -1
  } catch (error) {
    throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the payload', expected: 'an encoded value', got: 'malformed bytes' }, { cause: error })
  }
  if (end !== bytes.length) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the payload', expected: 'an encoded array of one value', got: 'other bytes' })
}

/** An array of `count` items -> as many arrays of one. Throws VALUE_MALFORMED. */
export function splitItems(bytes: Uint8Array, count: number): Uint8Array[] {
  const head = readArrayHeader(bytes)
  if (head.count !== count) throw FUNCTIONS.VALUE_MALFORMED({ why: `${count} items expected, ${head.count} found`, at: 0 })
  if (count === 1 && head.length === 1) return [bytes]
  const parts: Uint8Array[] = []
  let at = head.length
  for (let i = 0; i < count; i++) {
    const end = itemEnd(bytes, at)
    const part = new Uint8Array(1 + end - at)
    part[0] = 0x81
    part.set(bytes.subarray(at, end), 1)
    parts.push(part)
    at = end
  }
  if (at !== bytes.length) throw FUNCTIONS.VALUE_MALFORMED({ why: `${bytes.length - at} bytes after the value`, at })
  return parts
}

const INFO_WIDTH_FIRST = 24
const INFO_WIDTH_LAST = 27

/** Where the item that begins at `start` ends. */
function itemEnd(bytes: Uint8Array, start: number): number {
  const size = bytes.length
  let at = start
  for (let left = 1; left > 0; left--) {
    if (at >= size) throw FUNCTIONS.VALUE_MALFORMED({ why: 'it ends too early', at })
    const head = bytes[at++] ?? 0
    const major = head >> 5
    const info = head & 31
    let argument = info
    if (info >= INFO_WIDTH_FIRST) {
      if (info > INFO_WIDTH_LAST) throw FUNCTIONS.VALUE_MALFORMED({ why: 'indefinite or reserved length', at })
      const width = 1 << (info - INFO_WIDTH_FIRST)
      if (at + width > size) throw FUNCTIONS.VALUE_MALFORMED({ why: 'it ends too early', at })
      argument = 0
      for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[at + i] ?? 0)
      at += width
    }
    const inside = major === 2 || major === 3 ? 0 : major === 4 ? argument : major === 5 ? argument * 2 : major === 6 ? 1 : 0
    const skipped = major === 2 || major === 3 ? argument : 0
    if (inside > size - at || skipped > size - at) throw FUNCTIONS.VALUE_MALFORMED({ why: 'it ends too early', at })
    at += skipped
    left += inside
  }
  return at
}
