// Codec of control records: plain data <-> CBOR of the hardened profile (scan.ts). The only file that
// loads cbor-x.
//
// Both directions are checked: what we send is scanned too, so that a body that the other side would
// refuse fails here, with its name, and not there. Objects come out with a null prototype. Byte strings
// come out as views into the input (no copy): whoever keeps a small one for long copies it, else it
// holds the whole frame. The plain JavaScript readers of cbor-x are used on purpose; its optional native
// string reader would see bytes from the network. Source: reliability.md 4.1.

import { Decoder } from 'cbor-x/decode'
import { Encoder } from 'cbor-x/encode'
import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import { CONTROL_LIMITS, scan } from './scan.ts'
import type { ScanLimits } from './scan.ts'

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true })
const decoder = new Decoder({ useRecords: false, mapsAsObjects: true })

/** cbor-x keeps its last output buffer for the next record; after a large one it gets a small one again. */
const SCRATCH_BYTES = 8_192
const SCRATCH_BYTES_KEPT = 64 * 1024

/** Encodes plain data. Throws BODY_NOT_PLAIN or MESSAGE_TOO_LARGE, naming `what`. */
export function encodeRecord(value: unknown, what = 'The record', limits: ScanLimits = CONTROL_LIMITS): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = encoder.encode(value)
  } catch (error) {
    resetScratch()
    throw FABRIC.BODY_NOT_PLAIN({ what, reason: error instanceof RangeError ? 'it refers to itself or nests too deep' : String((error as Error).message) })
  }
  if (bytes.length > SCRATCH_BYTES_KEPT) resetScratch()
  if (bytes.length > LIMITS.messageBytesMax) throw FABRIC.MESSAGE_TOO_LARGE({ what, bytes: bytes.length, bytesMax: LIMITS.messageBytesMax })
  const found = scan(bytes, limits)
  if (!found.ok) throw FABRIC.BODY_NOT_PLAIN({ what, reason: found.reason })
  return bytes
}

/** Decodes one record. Throws RECORD_REFUSED for anything outside the profile. */
export function decodeRecord(bytes: Uint8Array, limits: ScanLimits = CONTROL_LIMITS): unknown {
  const found = scan(bytes, limits)
  if (!found.ok) throw FABRIC.RECORD_REFUSED({ reason: found.reason, offsetBytes: found.offsetBytes })
  let value: unknown
  try {
    // A plain Uint8Array, so that byte strings are plain Uint8Array too, never Buffer.
    value = decoder.decode(bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (error) {
    throw FABRIC.RECORD_REFUSED({ reason: String((error as Error).message), offsetBytes: 0 })
  }
  if (found.maps === 0 || typeof value !== 'object' || value === null) return value
  const counted = { entries: 0 }
  const plain = withoutPrototypes(value, counted)
  // Fewer properties than entries: a key was there twice, and which one counts depends on the reader.
  if (counted.entries !== found.mapEntries) throw FABRIC.RECORD_REFUSED({ reason: 'a map with the same key twice', offsetBytes: 0 })
  return plain
}

function withoutPrototypes(value: object, counted: { entries: number }): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      if (typeof item === 'object' && item !== null) value[i] = withoutPrototypes(item, counted)
    }
    return value
  }
  if (value instanceof Uint8Array) return value
  const plain: Record<string, unknown> = { __proto__: null } as never
  for (const key in value) {
    counted.entries++
    const item = (value as Record<string, unknown>)[key]
    plain[key] = typeof item === 'object' && item !== null ? withoutPrototypes(item, counted) : item
  }
  return plain
}

/** useBuffer is documented by cbor-x and missing from its types. */
const resetScratch = (): void => (encoder as unknown as { useBuffer(buffer: Uint8Array): void }).useBuffer(Buffer.allocUnsafeSlow(SCRATCH_BYTES))
