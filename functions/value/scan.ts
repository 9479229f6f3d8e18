// Pre-scan of value bytes: one pass that proves them harmless before cbor-x sees them.
//
// The bytes may be hostile: results of sandboxes decoded in the shell, arguments of host calls decoded in
// the kernel. Accepted: definite lengths, 64-bit integers, floats, byte and text strings, arrays, maps with
// text keys, and one tag (MARK_TAG around an array). Refused: every other tag (a 256 KB bignum froze cbor-x for
// 48 s; record definitions compile code), indefinite lengths, `__proto__` keys, nesting, item and string
// bounds exceeded, counts larger than the bytes left, truncation, trailing bytes. Time is linear in the
// bytes and memory constant; no value is built.

import { LIMITS } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { MARK_TAG } from './node.ts'

/** Bounds for one use of the format. */
export interface ScanProfile {
  /** Nesting of the value as its author sees it. */
  readonly depthMax: number
  readonly itemsMax: number
  readonly stringBytesMax: number
  readonly bigintBytesMax: number
}

/** 'value': results and captured values; 'args': arguments of host calls, decoded in the node's kernel. */
export type ProfileName = 'value' | 'args'

export const PROFILES: Readonly<Record<ProfileName, ScanProfile>> = {
  value: { depthMax: LIMITS.valueDepthMax, itemsMax: LIMITS.valueItemsMax, stringBytesMax: LIMITS.messageBytesMax, bigintBytesMax: LIMITS.valueBigintBytesMax },
  args: { depthMax: LIMITS.cborDepthMax, itemsMax: LIMITS.cborItemsMax, stringBytesMax: LIMITS.cborStringBytesMax, bigintBytesMax: LIMITS.cborBigintBytesMax },
}

/** Levels beyond the author's nesting: the table of a graph, the lists in an error or a captured function. */
const DEPTH_EXTRA = 8

// Kinds of open levels. A tag and the array of its mark are no level of the author's value, except when a
// mark lies directly in another: that must not nest for free.
const ARRAY = 0
const MAP = 1
const TAG = 2
const MARK = 3

export interface Scanned {
  readonly items: number
  /** Whether any mark is inside; without one the decoded tree is the value. */
  readonly marked: boolean
  /** Element count when the outermost item is an array, else -1. */
  readonly arrayCount: number
}

const fail = (why: string, at: number): never => { throw FUNCTIONS.VALUE_MALFORMED({ why, at }) }

// '__proto__' as bytes.
const PROTO = [0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f] as const
const isProto = (bytes: Uint8Array, at: number): boolean => {
  for (let i = 0; i < PROTO.length; i++) if (bytes[at + i] !== PROTO[i]) return false
  return true
}

/** Throws VALUE_MALFORMED unless `bytes` are exactly one item within `profile`. */
export function scanValue(bytes: Uint8Array, profile: ScanProfile = PROFILES.value): Scanned {
  const end = bytes.length
  const { itemsMax, stringBytesMax } = profile
  const depthMax = profile.depthMax + DEPTH_EXTRA
  // The open level is in locals, the ones around it on the stacks. On map levels an even `left` means that a key is next.
  const lefts: number[] = []
  const kinds: number[] = []
  const depths: number[] = []
  let left = 1
  let kind = ARRAY
  let depth = 0
  let at = 0
  let items = 0
  let marked = false
  let arrayCount = -1
  for (;;) {
    if (left === 0) {
      if (lefts.length === 0) break
      left = lefts.pop() ?? 0
      kind = kinds.pop() ?? ARRAY
      depth = depths.pop() ?? 0
      continue
    }
    const start = at
    if (at >= end) fail('it ends too early', at)
    if (++items > itemsMax) fail(`more than ${itemsMax} items`, at)
    const head = bytes[at++] ?? 0
    const major = head >> 5
    const info = head & 31
    const key = kind === MAP && (left & 1) === 0
    if (key && major !== 3) fail('a key is not text', start)
    left--
    let argument = info
    if (info > 23) {
      if (info > 27) fail('indefinite or reserved length', start)
      const width = 1 << (info - 24)
      if (at + width > end) fail('it ends too early', at)
      if (major > 1) {
        argument = 0
        for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[at + i] ?? 0)
      }
      at += width
    }
    if (major < 2) continue
    if (major < 4) {
      if (argument > stringBytesMax) fail(`a string of ${argument} bytes; ${stringBytesMax} are allowed`, start)
      if (argument > end - at) fail('it ends too early', at)
      if (key && argument === PROTO.length && isProto(bytes, at)) fail('a __proto__ key', start)
      at += argument
    } else if (major === 7) {
      if (info < 20 || info === 24) fail(`simple value ${argument}`, start)
    } else {
      const children = major === 4 ? argument : major === 5 ? argument * 2 : 1
      if (children > end - at) fail('it ends too early', at)
      if (major === 6) {
        if (argument !== MARK_TAG) fail(`tag ${argument} is not allowed`, start)
        // A mark is an array that starts with its number; revive.ts checks the rest.
        if (at + 1 >= end || (bytes[at] ?? 0) >> 5 !== 4 || bytes[at] === 0x80) fail('a mark without content', start)
        marked = true
      } else if (start === 0 && major === 4) arrayCount = argument
      lefts.push(left)
      kinds.push(kind)
      depths.push(depth)
      left = children
      if (major === 6 ? kind === MARK : kind !== TAG) depth++
      if (depth > depthMax) fail(`nested deeper than ${profile.depthMax} levels`, start)
      kind = major === 6 ? TAG : major === 5 ? MAP : kind === TAG ? MARK : ARRAY
    }
  }
  if (at !== end) fail(`${end - at} bytes after the value`, at)
  return { items, marked, arrayCount }
}
