// Wire messages of RPC. A frame is one CBOR array whose first element is the message's number; a
// message longer than LIMITS.fragmentBytesMax travels as fragments, which begin with the byte 0x01
// (no CBOR array does).
//
//  no. message   fields after the number                                                    since
//   1  OPEN      call, method, timeout (ms left), principal, trace, hop, key, shape, body    0.1.0
//   2  RESULT    call, body                        the handler returned; ends the call       0.1.0
//   3  FAIL      call, error record                the handler failed; ends the call         0.1.0
//   4  DATA      call, body                        one stream message                        0.1.0
//   5  END       call                              no more stream messages from the sender   0.1.0
//   6  CREDIT    call, bytes                       the reader took this much                 0.1.0
//   7  CANCEL    call, error record                the opener gave up; no answer is awaited  0.1.0
//   8  EVENT     name, body                                                                  0.1.0
//   9  GOODBYE   error record or null              the sender closes, and why                0.1.0
//
// `call` is the opener's number for the call, 1 and up; in frames sent by the side that did not open it,
// it is negated, so both sides number freely. `shape` is 0 for a call, 1 for a stream. Absent principal
// and key are null. Newer versions may append fields and add numbers: both are ignored here. A field
// of the wrong type is a broken protocol (FABRIC_ERR_PROTOCOL), and ends the connection.

import { assert } from '../assert.ts'
import { FABRIC } from '../errors-table.ts'
import type { ErrorRecord } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeRecord, encodeRecord } from './codec.ts'
import { readErrorRecord, plainErrorRecord } from './wire-error.ts'

export const MESSAGE = { OPEN: 1, RESULT: 2, FAIL: 3, DATA: 4, END: 5, CREDIT: 6, CANCEL: 7, EVENT: 8, GOODBYE: 9 } as const
export const SHAPE = { CALL: 0, STREAM: 1 } as const
/** Largest call number; after it numbering starts again at 1. */
export const CALL_NUMBER_MAX = 0x7fff_fffe
const METHOD_CHARS_MAX = 256

export interface OpenMessage {
  readonly type: typeof MESSAGE.OPEN
  readonly call: number
  readonly method: string
  readonly body: unknown
  /** What is left of the call's budget when it is sent. */
  readonly timeoutMs: number
  readonly principal: string | null
  readonly trace: string
  readonly hop: number
  readonly key: string | null
  readonly shape: 0 | 1
}
export type Message =
  | OpenMessage
  | { readonly type: typeof MESSAGE.RESULT | typeof MESSAGE.DATA; readonly call: number; readonly body: unknown }
  | { readonly type: typeof MESSAGE.FAIL | typeof MESSAGE.CANCEL; readonly call: number; readonly error: ErrorRecord }
  | { readonly type: typeof MESSAGE.END; readonly call: number }
  | { readonly type: typeof MESSAGE.CREDIT; readonly call: number; readonly bytes: number }
  | { readonly type: typeof MESSAGE.EVENT; readonly name: string; readonly body: unknown }
  | { readonly type: typeof MESSAGE.GOODBYE; readonly error: ErrorRecord | undefined }
  /** A number of a later version. */
  | { readonly type: 'unknown' }

export const encodeOpen = (open: Omit<OpenMessage, 'type'>): Uint8Array =>
  encodeWithBody([MESSAGE.OPEN, open.call, open.method, open.timeoutMs, open.principal, open.trace, open.hop, open.key, open.shape], open.body, open.method)
export const encodeResult = (call: number, body: unknown, method: string): Uint8Array => encodeWithBody([MESSAGE.RESULT, call], body, `The answer of ${method}`)
export const encodeData = (call: number, body: unknown, method: string): Uint8Array => encodeWithBody([MESSAGE.DATA, call], body, `A stream message of ${method}`)
export const encodeFail = (call: number, error: ErrorRecord): Uint8Array => encodeError([MESSAGE.FAIL, call], error)
export const encodeCancel = (call: number, error: ErrorRecord): Uint8Array => encodeError([MESSAGE.CANCEL, call], error)
export const encodeEnd = (call: number): Uint8Array => encodeRecord([MESSAGE.END, call])
export const encodeCredit = (call: number, bytes: number): Uint8Array => encodeRecord([MESSAGE.CREDIT, call, bytes])
export const encodeEvent = (name: string, body: unknown): Uint8Array => encodeWithBody([MESSAGE.EVENT, name], body, `Event ${name}`)
export const encodeGoodbye = (error: ErrorRecord | undefined): Uint8Array => encodeError([MESSAGE.GOODBYE], error ?? null)

/** Bodies that are byte strings from this size on are copied once, straight into the frame. */
const DIRECT_BYTES_MIN = 4_096
const CBOR_NULL = 0xf6, CBOR_BYTES_32 = 0x5a

/**
 * The fields, then the body. A long byte string is put where a placeholder stood: the general encoder
 * would grow its buffer fourfold around it and zero or fault in pages that are never sent.
 */
function encodeWithBody(fields: unknown[], body: unknown, what: string): Uint8Array {
  if (!(body instanceof Uint8Array) || body.length < DIRECT_BYTES_MIN) {
    fields.push(body)
    return encodeRecord(fields, what)
  }
  fields.push(null)
  const head = encodeRecord(fields, what)
  const at = head.length - 1
  assert(head[at] === CBOR_NULL, 'the placeholder of a body is the last byte of its record')
  const bytes = at + 5 + body.length
  if (bytes > LIMITS.messageBytesMax) throw FABRIC.MESSAGE_TOO_LARGE({ what, bytes, bytesMax: LIMITS.messageBytesMax })
  const frame = Buffer.allocUnsafeSlow(bytes)
  frame.set(head.subarray(0, at))
  frame[at] = CBOR_BYTES_32
  frame.writeUInt32BE(body.length, at + 1)
  frame.set(body, at + 5)
  return frame
}

/** An error must always be able to travel: details or texts that cannot are left out. */
function encodeError(head: readonly number[], error: ErrorRecord | null): Uint8Array {
  try {
    return encodeRecord([...head, error])
  } catch {
    return encodeRecord([...head, error === null ? null : plainErrorRecord(error)])
  }
}

/** Decodes one whole message. Throws RECORD_REFUSED or PROTOCOL. */
export function decodeMessage(bytes: Uint8Array): Message {
  const fields = decodeRecord(bytes)
  if (!Array.isArray(fields)) throw broken('a message that is not an array')
  const type: unknown = fields[0]
  switch (type) {
    case MESSAGE.OPEN: return readOpen(fields)
    case MESSAGE.RESULT: case MESSAGE.DATA: return { type, call: readCall(fields[1]), body: fields[2] }
    case MESSAGE.FAIL: case MESSAGE.CANCEL: return { type, call: readCall(fields[1]), error: readError(fields[2]) }
    case MESSAGE.END: return { type, call: readCall(fields[1]) }
    case MESSAGE.CREDIT: {
      const bytesTaken: unknown = fields[2]
      if (!isCount(bytesTaken) || bytesTaken === 0) throw broken('CREDIT without bytes')
      return { type, call: readCall(fields[1]), bytes: bytesTaken }
    }
    case MESSAGE.EVENT: return { type, name: readName(fields[1], 'EVENT without a name'), body: fields[2] }
    case MESSAGE.GOODBYE: return { type, error: fields[1] === null ? undefined : readError(fields[1]) }
    default:
      if (!isCount(type)) throw broken('a message without a number')
      return { type: 'unknown' }
  }
}

function readOpen(fields: readonly unknown[]): OpenMessage {
  const [, call, method, timeoutMs, principal, trace, hop, key, shape, body] = fields
  const number = readCall(call)
  if (number < 0) throw broken('OPEN with a negative call number')
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) throw broken('OPEN without a timeout')
  if (principal !== null && !isShortText(principal)) throw broken('OPEN with a bad principal')
  if (!isShortText(trace)) throw broken('OPEN with a bad trace')
  if (!isCount(hop)) throw broken('OPEN with a bad hop count')
  if (key !== null && !isShortText(key)) throw broken('OPEN with a bad idempotency key')
  if (shape !== SHAPE.CALL && shape !== SHAPE.STREAM) throw broken('OPEN with a bad shape')
  return { type: MESSAGE.OPEN, call: number, method: readName(method, 'OPEN without a method'), body, timeoutMs, principal, trace, hop, key, shape }
}

function readCall(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value === 0 || Math.abs(value) > CALL_NUMBER_MAX) throw broken('a bad call number')
  return value
}
function readName(value: unknown, reason: string): string {
  if (!isShortText(value) || value === '') throw broken(reason)
  return value
}
function readError(value: unknown): ErrorRecord {
  const record = readErrorRecord(value)
  if (record === undefined) throw broken('a bad error record')
  return record
}
const isShortText = (value: unknown): value is string => typeof value === 'string' && value.length <= METHOD_CHARS_MAX
const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const broken = (reason: string): Error => FABRIC.PROTOCOL({ reason })

// ---------------------------------------------------------------- fragments
//
//   0x01 | flags: 0 more, 1 last, 2 abandoned | call, signed 32-bit big-endian | bytes of the message
//
// Fragments of one message keep their order; those of several messages may alternate.

export const FRAGMENT = 0x01
export const FRAGMENT_HEAD_BYTES = 6
const MORE = 0, LAST = 1, ABANDONED = 2

export interface Fragment {
  readonly call: number
  /** 'abandoned': the sender dropped the message; what came of it is thrown away. */
  readonly part: 'more' | 'last' | 'abandoned'
  readonly payload: Uint8Array
}

export function encodeFragment(call: number, message: Uint8Array, from: number): Uint8Array {
  const to = Math.min(message.length, from + LIMITS.fragmentBytesMax)
  const frame = fragmentHead(call, to === message.length ? LAST : MORE, to - from)
  frame.set(message.subarray(from, to), FRAGMENT_HEAD_BYTES)
  return frame
}

export const encodeAbandon = (call: number): Uint8Array => fragmentHead(call, ABANDONED, 0)

function fragmentHead(call: number, flags: number, payloadBytes: number): Uint8Array {
  // Filled completely by the caller, so the pool need not be zeroed.
  const frame = Buffer.allocUnsafeSlow(FRAGMENT_HEAD_BYTES + payloadBytes)
  frame[0] = FRAGMENT
  frame[1] = flags
  frame.writeInt32BE(call, 2)
  return frame
}

export const isFragment = (frame: Uint8Array): boolean => frame[0] === FRAGMENT

export function decodeFragment(frame: Uint8Array): Fragment {
  const flags = frame[1]
  if (frame.length < FRAGMENT_HEAD_BYTES || flags === undefined || flags > ABANDONED) throw broken('a bad fragment')
  const call = ((frame[2] as number) << 24) | ((frame[3] as number) << 16) | ((frame[4] as number) << 8) | (frame[5] as number)
  const payload = frame.subarray(FRAGMENT_HEAD_BYTES)
  if (payload.length > LIMITS.fragmentBytesMax || (payload.length === 0) !== (flags === ABANDONED)) throw broken('a fragment of the wrong size')
  return { call: readCall(call), part: flags === MORE ? 'more' : flags === LAST ? 'last' : 'abandoned', payload }
}

// ---------------------------------------------------------------- credit

/** What a stream message costs, on both sides: many tiny messages hold memory too. */
export const creditOf = (messageBytes: number): number => messageBytes + 64
