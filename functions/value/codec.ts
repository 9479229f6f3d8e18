// The value codec: user values <-> bytes. Captured values, elements, arguments and results use it.
//
//   encode: plain? -> CBOR as it is (fast)      else flatten -> CBOR
//   decode: scan (hostile bytes end here) -> CBOR -> revive, only if the scan saw a mark
//
// Round trips what structured clone does and what it loses (-0, holes, extra array properties, lone
// surrogates, null prototypes, own properties of errors), except: instances of classes arrive as plain
// objects with their own enumerable properties (structured clone's rule; captured values keep their class),
// typed arrays do not share a buffer, arrays over ARRAY_EXTRAS_LENGTH_MAX lose named properties. Functions,
// promises, weak and host objects are refused with their path. Pure; runs in Node and in isolates.

import type { CodedError } from '../../fabric/base.ts'
import { LIMITS, errorCode } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { readCbor, writeCbor } from './cbor.ts'
import { flatten } from './flatten.ts'
import type { EncodeHooks } from './flatten.ts'
import { PlainCheck } from './plain.ts'
import { revive } from './revive.ts'
import type { DecodeHooks } from './revive.ts'
import { PROFILES, scanValue } from './scan.ts'
import type { ProfileName } from './scan.ts'

export interface DecodeOptions extends DecodeHooks {
  /** Bounds; default 'value'. */
  readonly profile?: ProfileName
}

/** Bytes of one value; their ArrayBuffer is exactly as long. Throws VALUE_UNSUPPORTED, VALUE_TOO_DEEP, VALUE_TOO_LARGE. */
export function encodeValue(value: unknown, hooks: EncodeHooks = {}): Uint8Array {
  const plain = new PlainCheck()
  const tree = hooks.custom === undefined && plain.check(value) ? value : flatten(value, hooks)
  return write(tree, plain, hooks)
}

/** Bytes of an array whose items are independent values: decodable by decodeValue, joinable by joinArrays. */
export function encodeArray(values: readonly unknown[], hooks: EncodeHooks = {}): Uint8Array {
  const plain = new PlainCheck()
  const sizeBytesMax = hooks.sizeBytesMax ?? LIMITS.messageBytesMax
  let items: unknown[] | undefined
  let numbers = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    // Numbers other than 0 need no look: the common chunk passes at the speed of a loop.
    if (typeof value === 'number' && value !== 0) { numbers++; continue }
    if (plain.check(value)) continue
    items ??= values.slice()
    items[i] = flatten(value, { ...hooks, root: `${hooks.root ?? 'result'}[${i}]`, sizeBytesMax: Math.max(0, sizeBytesMax - plain.bytes) })
  }
  plain.items += numbers
  plain.bytes += numbers
  return write(items ?? (Object.getPrototypeOf(values) === Array.prototype ? values : Array.from(values)), plain, hooks)
}

const tooLarge = (bytes: number, { root, sizeBytesMax }: EncodeHooks): CodedError =>
  FUNCTIONS.VALUE_TOO_LARGE({ path: root ?? 'result', bytes, bytesMax: sizeBytesMax ?? LIMITS.messageBytesMax })

/** Refused before encoding when even the lower bound is too much, else when the bytes are counted. */
function write(tree: unknown, plain: PlainCheck, hooks: EncodeHooks): Uint8Array {
  const bytesMax = hooks.sizeBytesMax ?? LIMITS.messageBytesMax
  if (plain.bytes > bytesMax || plain.items > LIMITS.valueItemsMax) throw tooLarge(plain.bytes, hooks)
  const bytes = writeCbor(tree)
  if (bytes.length > bytesMax) throw tooLarge(bytes.length, hooks)
  return bytes
}

/** Value of bytes that may be hostile. Throws VALUE_MALFORMED and nothing else. */
export function decodeValue(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  const profile = PROFILES[options.profile ?? 'value']
  const { marked } = scanValue(bytes, profile)
  try {
    const tree = readCbor(bytes)
    return marked ? revive(tree, options, profile.bigintBytesMax) : tree
  } catch (error) {
    if (errorCode(error)?.startsWith('FUNCTIONS_ERR_') === true) throw error
    // What is left is cbor-x or the engine refusing an object (too many keys, stack).
    throw FUNCTIONS.VALUE_MALFORMED({ why: error instanceof Error ? error.message : String(error), at: 0 }, { cause: error })
  }
}
