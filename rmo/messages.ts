// Messages of the rmo methods: what travels, and its check on arrival.
//
//   rmo.invoke  InvokeBody -> value-codec bytes of the result
//   rmo.list    ListBody   -> stream of parts (value-codec bytes of a Listing, rmo/listing.ts), ending with ListingEnd; since 0.1.0
//   rmo.watch   WatchBody  -> stream of events, each a plain record with `type` and `atMs`; since 0.1.0
//   rmo.stream  StreamBody -> stream of bytes both ways, ending with the reason; since 0.1.0
//
// Arguments and results of verbs are user values: opaque value-codec bytes here, decoded at the home only.

import { LIMITS } from '../fabric/base.ts'
import type { ErrorRecord, NodeId } from '../fabric/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import type { ObjectEvent } from './object.ts'
import { anything, boolean, bytes, dictionary, integer, list, optional, record, text, uuid } from './schema.ts'
import type { Infer } from './schema.ts'

export const METHODS = { invoke: 'rmo.invoke', list: 'rmo.list', watch: 'rmo.watch', stream: 'rmo.stream' } as const

/** User values <-> bytes; codec.ts, handed in. 'args': the tight bounds for arguments of strangers; 'value': for results that were asked for. */
export interface ValueCodec {
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array, profile: 'args' | 'value'): unknown
}

const NAME_CHARS_MAX = 1_024
const ATTRIBUTES_MAX = 128

const nodeId = text({ charsMax: 64, pattern: /^[0-9a-f]{64}$/, expected: 'a node id' })
const name = text({ charsMax: NAME_CHARS_MAX })
const target = { kind: name, uuid: uuid(), home: nodeId }
const invokeBody = record({ ...target, verb: name, args: bytes(), operation: optional(text({ charsMax: LIMITS.operationCharsMax })), code: optional(text({ charsMax: LIMITS.operationCharsMax })) })
const listBody = record({ kind: name, withAttributes: boolean() })
const watchBody = record({ ...target, options: anything('options') })
const streamBody = record({ ...target, stream: name })
const referenceBody = record({ ...target, name, attributes: dictionary(anything(), { entriesMax: ATTRIBUTES_MAX }) })
const failureBody = record({ node: nodeId, name, error: anything('an error record') })
const listingBody = record({ references: list(referenceBody, { itemsMax: LIMITS.listBatchMax }), failures: list(failureBody, { itemsMax: LIMITS.listBatchMax }) })
const listingEnd = record({ references: integer({ unit: 'count' }), failures: integer({ unit: 'count' }) })
const eventBody = dictionary(anything())
const eventHead = record({ type: name, atMs: integer({ unit: 'milliseconds' }) })

export type InvokeBody = Infer<typeof invokeBody>
export type ListBody = Infer<typeof listBody>
export type WatchBody = Infer<typeof watchBody>
export type StreamBody = Infer<typeof streamBody>

/** A node that could not answer for its objects. */
export interface ListFailure { readonly node: NodeId; readonly name: string; readonly error: ErrorRecord }
/** All objects of a kind, or a part of them. */
export interface Listing { readonly references: readonly ReferenceRecord[]; readonly failures: readonly ListFailure[] }

const message = (method: string): { readonly call: string; readonly path: string } => ({ call: method, path: 'message' })
export const readInvoke = (body: unknown): InvokeBody => invokeBody.check(body, message(METHODS.invoke))
export const readList = (body: unknown): ListBody => listBody.check(body, message(METHODS.list))
export const readStream = (body: unknown): StreamBody => streamBody.check(body, message(METHODS.stream))
export const readWatch = (body: unknown): WatchBody => watchBody.check(body, message(METHODS.watch))

/** How many references and failures were sent: the result of a list's stream. */
export type ListingEnd = Infer<typeof listingEnd>
export const readListingEnd = (body: unknown): ListingEnd => listingEnd.check(body, message(METHODS.list))

/** One part of a listing. */
export function readListing(body: unknown): Listing {
  const { references, failures } = listingBody.check(body, message(METHODS.list))
  return { references, failures: failures.map(({ node, name: nodeName, error }) => ({ node, name: nodeName, error: readErrorRecord(error) })) }
}

/** An error record of another node, kept to its code and text. */
function readErrorRecord(value: unknown): ErrorRecord {
  const { code, message: said } = (value ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  return { code: typeof code === 'string' ? code : RMO.LIST_INCOMPLETE.code, message: typeof said === 'string' ? said : 'no message' }
}

export function readEvent(body: unknown): ObjectEvent {
  const fields = eventBody.check(body, message(METHODS.watch))
  eventHead.check({ type: fields.type, atMs: Math.trunc(Number(fields.atMs)) }, message(METHODS.watch))
  return fields as Readonly<Record<string, unknown>> & ObjectEvent
}
