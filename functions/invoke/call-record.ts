// An asynchronous call as it stands in the store, waiting or dead, and its keys. Written with the value codec, because it
// holds bytes. Pure.
//
//   call/NAME/ID         waits, or is being carried out
//   call-claim/NAME/ID   on the lease of the worker that carries it out
//   dead/NAME/ID         failed for good, with its last error

import type { ErrorRecord } from '../../fabric/base.ts'
import type { Cause, InvokeRequest } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { decodeValue, encodeValue } from '../value/mod.ts'
import { readRequest, writeRequest } from './wire.ts'

export const CALL_PREFIX = 'call/'
export const CLAIM_PREFIX = 'call-claim/'
export const DEAD_PREFIX = 'dead/'
export type LetterKind = 'call' | 'dead'

export interface CallPlace { readonly name: string; readonly id: string }
export const callKey = ({ name, id }: CallPlace): string => `${CALL_PREFIX}${name}/${id}`
export const claimKey = ({ name, id }: CallPlace): string => `${CLAIM_PREFIX}${name}/${id}`
export const deadKey = ({ name, id }: CallPlace): string => `${DEAD_PREFIX}${name}/${id}`

const PLACE = /^(?:call|call-claim|dead)\/([a-z0-9][a-z0-9-]{0,62})\/([0-9a-f]{16})$/
/** Function and id of a key; undefined for a key that is none of ours. */
export function placeOf(key: string): CallPlace | undefined {
  const match = PLACE.exec(key)
  return match === null ? undefined : { name: match[1] ?? '', id: match[2] ?? '' }
}

export interface CallRecordStored {
  readonly request: InvokeRequest
  readonly principal: string
  readonly trace: string
  /** Attempts begun. */
  readonly attempts: number
  readonly enqueuedAtMs: number
  /** Wall clock; with the pause that it stands for (queue.ts). */
  readonly nextAtMs: number
  readonly pauseMs: number
  /** Of the last attempt. */
  readonly error: ErrorRecord | undefined
}

export const writeStored = (record: CallRecordStored): Uint8Array => encodeValue([
  1, writeRequest(record.request, 'one'), record.principal, record.trace, record.attempts, record.enqueuedAtMs, record.nextAtMs, record.pauseMs, record.error ?? null,
])

/** Throws BAD_MESSAGE for what no version of ours has written. */
export function readStored(bytes: Uint8Array): CallRecordStored {
  const value = decodeValue(bytes)
  if (!Array.isArray(value)) throw FUNCTIONS.BAD_MESSAGE({ what: 'an asynchronous call in the store' })
  const [, request, principal, trace, attempts, enqueuedAtMs, nextAtMs, pauseMs, error] = value as unknown[]
  return {
    request: readRequest(request).request, principal: String(principal), trace: String(trace), attempts: Number(attempts), enqueuedAtMs: Number(enqueuedAtMs),
    nextAtMs: Number(nextAtMs), pauseMs: Number(pauseMs), error: error === null ? undefined : error as ErrorRecord,
  }
}

export const causeText = (cause: Cause): string => (cause.type === 'topic' ? `topic ${cause.topic}` : cause.type)
