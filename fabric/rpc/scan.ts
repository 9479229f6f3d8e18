// Pre-scan of control records: walks the CBOR of a frame without building anything, so that hostile
// bytes are refused before cbor-x allocates for them.
//
// Allowed: integers, floats, definite-length byte and text strings (valid UTF-8), arrays, maps with
// text keys (never "__proto__"), null, booleans, undefined, and big integers (tags 2 and 3) of at most
// LIMITS.cborBigintBytesMax. Everything else is refused: other tags, indefinite lengths, other simple
// values, too much depth or too many items, strings above the limit, bytes after the end.
// Duplicate keys are refused by the codec, which compares the number of map entries found here with
// the number of properties that were built. Constant stack, one pass. Source: RFC 8949, reliability.md 4.1.

import { isAscii as isNativeAscii, isUtf8 } from 'node:buffer'
import { LIMITS } from '../limits.ts'

export interface ScanLimits {
  readonly depthMax: number
  readonly itemsMax: number
  readonly mapsMax: number
  readonly mapEntriesMax: number
  /** Different keys. */
  readonly keysMax: number
  /** Texts that are not ASCII. */
  readonly wideTextsMax: number
  readonly stringBytesMax: number
  readonly bigintBytesMax: number
}

export const CONTROL_LIMITS: ScanLimits = {
  depthMax: LIMITS.cborDepthMax,
  itemsMax: LIMITS.cborItemsMax,
  mapsMax: LIMITS.cborMapsMax,
  mapEntriesMax: LIMITS.cborMapEntriesMax,
  keysMax: LIMITS.cborKeysMax,
  wideTextsMax: LIMITS.cborWideTextsMax,
  stringBytesMax: LIMITS.cborStringBytesMax,
  bigintBytesMax: LIMITS.cborBigintBytesMax,
}

/** What the scan found: the number of maps and of their entries, or why and where it stopped. */
export type ScanResult =
  | { readonly ok: true; readonly maps: number; readonly mapEntries: number }
  | { readonly ok: false; readonly reason: string; readonly offsetBytes: number }

const UINT = 0, NEGINT = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6
const PROTO = Uint8Array.from('__proto__', (character) => character.charCodeAt(0))
const TAG_BIGINT = 2, TAG_NEGATIVE_BIGINT = 3

const refuse = (reason: string, offsetBytes: number): ScanResult => ({ ok: false, reason, offsetBytes })

/** Whether all of `bytes` is one record of the profile. Never throws, never allocates by what the input claims. */
export function scan(bytes: Uint8Array, limits: ScanLimits = CONTROL_LIMITS): ScanResult {
  const end = bytes.length
  /** Items still to come in each open container; for maps, keys and values together. */
  const left = new Array<number>()
  const isMap = new Array<boolean>()
  let depth = 0
  let items = 0
  let maps = 0
  let mapEntries = 0
  let wideTexts = 0
  let keys: KeyCount | undefined
  let at = 0
  for (;;) {
    // Close finished containers.
    while (depth > 0 && left[depth - 1] === 0) depth--
    if (depth === 0 && items > 0) break
    let key = false
    if (depth > 0) {
      const remaining = left[depth - 1] as number
      key = isMap[depth - 1] === true && (remaining & 1) === 0
      left[depth - 1] = remaining - 1
    }
    const startAt = at
    if (at >= end) return refuse('it ends in the middle', at)
    if (++items > limits.itemsMax) return refuse(`more than ${limits.itemsMax} items`, at)
    const head = bytes[at++] as number
    const major = head >> 5
    const info = head & 0x1f

    // Argument: length, count, tag or value.
    let argument = info
    if (info >= 24) {
      if (info > 27) return refuse(info === 31 ? 'indefinite lengths are not allowed' : `reserved length code ${info}`, startAt)
      const width = 1 << (info - 24)
      if (end - at < width) return refuse('it ends in the middle', at)
      if (major <= NEGINT || major === 7) {
        if (major === 7 && width === 1) return refuse(`simple value ${bytes[at]} is not allowed`, startAt)
        at += width
        if (key) return refuse('a map key that is not text', startAt)
        continue
      }
      argument = 0
      for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[at++] as number)
    }
    if (key && major !== TEXT) return refuse('a map key that is not text', startAt)

    switch (major) {
      case UINT: case NEGINT: break
      case BYTES:
        if (argument > end - at) return refuse('a byte string longer than the frame', startAt)
        at += argument
        break
      case TEXT: {
        if (argument > end - at) return refuse('a text longer than the frame', startAt)
        if (argument > limits.stringBytesMax) return refuse(`a text above ${limits.stringBytesMax} bytes`, startAt)
        const stop = at + argument
        if (!isAscii(bytes, at, stop)) {
          if (!isUtf8(bytes.subarray(at, stop))) return refuse('a text that is not valid UTF-8', startAt)
          if (++wideTexts > limits.wideTextsMax) return refuse(`more than ${limits.wideTextsMax} texts beyond ASCII`, startAt)
        }
        if (key) {
          if (mapEntries > limits.keysMax) {
            keys ??= new KeyCount(bytes)
            if (keys.add(at, stop) > limits.keysMax) return refuse(`more than ${limits.keysMax} different keys`, startAt)
          }
          if (argument === PROTO.length && PROTO.every((byte, i) => bytes[at + i] === byte)) return refuse('the map key "__proto__"', startAt)
        }
        at = stop
        break
      }
      case ARRAY: case MAP: {
        const children = major === MAP ? argument * 2 : argument
        // Every child takes at least one byte, so this also bounds what the builder may allocate.
        if (children > end - at) return refuse('an array or map longer than the frame', startAt)
        if (children > limits.itemsMax - items) return refuse(`more than ${limits.itemsMax} items`, startAt)
        if (depth >= limits.depthMax) return refuse(`nesting deeper than ${limits.depthMax}`, startAt)
        if (major === MAP) {
          mapEntries += argument
          if (++maps > limits.mapsMax) return refuse(`more than ${limits.mapsMax} maps`, startAt)
          if (mapEntries > limits.mapEntriesMax) return refuse(`more than ${limits.mapEntriesMax} map entries`, startAt)
        }
        left[depth] = children
        isMap[depth] = major === MAP
        depth++
        break
      }
      case TAG: {
        if (argument !== TAG_BIGINT && argument !== TAG_NEGATIVE_BIGINT) return refuse(`tag ${argument} is not allowed`, startAt)
        // The tag's content is checked at once: a short byte string with a one-byte or two-byte head.
        if (at >= end) return refuse('it ends in the middle', at)
        const content = bytes[at++] as number
        let length = content & 0x1f
        if (content >> 5 !== BYTES || length > 24) return refuse('a big integer without a short byte string', startAt)
        if (length === 24) {
          if (at >= end) return refuse('it ends in the middle', at)
          length = bytes[at++] as number
        }
        if (length > limits.bigintBytesMax) return refuse(`a big integer above ${limits.bigintBytesMax} bytes`, startAt)
        if (length > end - at) return refuse('it ends in the middle', at)
        at += length
        break
      }
      default:
        if (info < 20) return refuse(`simple value ${info} is not allowed`, startAt)
    }
  }
  if (at !== end) return refuse(`${end - at} bytes after its end`, at)
  return { ok: true, maps, mapEntries }
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from > 64) return isNativeAscii(bytes.subarray(from, to))
  for (let i = from; i < to; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}

/**
 * Counts different keys without making strings: an open-addressed table of where each was first seen.
 * A key that is not found within a few probes counts as new, so crafted collisions only hurt who made them.
 */
class KeyCount {
  readonly #bytes: Uint8Array
  /** Start and end of a key, two slots each; end 0: free. */
  readonly #slots = new Uint32Array(2 * SLOTS)
  #count = 0

  constructor(bytes: Uint8Array) { this.#bytes = bytes }

  add(from: number, to: number): number {
    const bytes = this.#bytes
    let hash = to - from
    for (let i = from; i < to && i < from + 32; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
    for (let probe = 0; probe < PROBES; probe++) {
      const slot = 2 * ((hash + probe) & (SLOTS - 1))
      const start = this.#slots[slot] as number
      const end = this.#slots[slot + 1] as number
      if (end === 0) {
        this.#slots[slot] = from
        this.#slots[slot + 1] = to
        break
      }
      if (end - start === to - from && sameBytes(bytes, start, from, to - from)) return this.#count
    }
    return ++this.#count
  }
}
const SLOTS = 16_384
const PROBES = 8

function sameBytes(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}
