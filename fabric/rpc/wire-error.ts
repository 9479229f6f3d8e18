// Error records off the wire: a received record is input, so its shape is checked, unknown fields are
// dropped and the chain of causes is cut at a fixed depth. Unknown codes are kept.

import type { ErrorRecord, FailureOutcome } from '../errors.ts'

const CAUSE_DEPTH_MAX = 8
const TEXT_CHARS_MAX = 16_384

/** The record, or undefined when it is not one. */
export function readErrorRecord(value: unknown, depth = 0): ErrorRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { code, message, name, details, stack, cause, retryable, outcome } = value as Record<string, unknown>
  if (typeof code !== 'string' || typeof message !== 'string') return undefined
  const inner = cause === undefined || depth >= CAUSE_DEPTH_MAX ? undefined : readErrorRecord(cause, depth + 1)
  return {
    code, message,
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof details === 'object' && details !== null && !Array.isArray(details) && !(details instanceof Uint8Array) ? { details: details as Record<string, unknown> } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
    ...(inner === undefined ? {} : { cause: inner }),
    ...(typeof retryable === 'boolean' ? { retryable } : {}),
    ...(isOutcome(outcome) ? { outcome } : {}),
  }
}

/** The same error with nothing that could fail to encode: no details, well-formed and shortened texts. */
export function plainErrorRecord(record: ErrorRecord, depth = 0): ErrorRecord {
  return {
    code: text(record.code),
    message: text(record.message),
    ...(record.name === undefined ? {} : { name: text(record.name) }),
    ...(record.stack === undefined ? {} : { stack: text(record.stack) }),
    ...(record.cause === undefined || depth >= CAUSE_DEPTH_MAX ? {} : { cause: plainErrorRecord(record.cause, depth + 1) }),
    ...(record.retryable === undefined ? {} : { retryable: record.retryable }),
    ...(record.outcome === undefined ? {} : { outcome: record.outcome }),
  }
}

const text = (value: unknown): string => String(value).slice(0, TEXT_CHARS_MAX).toWellFormed()
const isOutcome = (value: unknown): value is FailureOutcome => value === 'not-started' || value === 'failed' || value === 'unknown'
