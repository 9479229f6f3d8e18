// Coded errors: one table per folder, factories made from the table, callers compare codes.
//
// An error that crosses a thread, isolate or wire edge travels as an ErrorRecord (a custom error
// posted between Node threads arrives as a bare Error without its code). Unknown codes are kept.

/** Did the thing that failed happen? 'unknown' = it may have. */
export type FailureOutcome = 'not-started' | 'failed' | 'unknown'

/** An error as plain data, at every thread, isolate and wire edge. */
export interface ErrorRecord {
  readonly code: string
  readonly message: string
  /** Class name of the original error when it was the user's ("TypeError"). */
  readonly name?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly stack?: string
  readonly cause?: ErrorRecord
  readonly retryable?: boolean
  readonly outcome?: FailureOutcome
}

export interface CodedErrorOptions {
  readonly code: string
  /** Plain data with units in its keys; safe to show to the caller. */
  readonly details?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
  readonly retryable?: boolean
  readonly outcome?: FailureOutcome
  /** For logs only; never crosses the wire. */
  readonly internal?: string
}

export class CodedError extends Error {
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>
  readonly retryable: boolean
  readonly outcome: FailureOutcome
  readonly internal: string | undefined
  constructor(message: string, options: CodedErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CodedError'
    this.code = options.code
    this.details = options.details ?? {}
    this.retryable = options.retryable ?? false
    this.outcome = options.outcome ?? 'failed'
    this.internal = options.internal
  }
}

/** One row of a folder's error table. ERRORS.md has the same rows (a test compares both ways). */
export interface ErrorEntry<D> {
  /** Message for the caller: what happened, to what, and what to do. */
  readonly message: (details: D) => string
  readonly retryable?: boolean
  readonly outcome?: FailureOutcome
}

export interface RaiseOptions { readonly cause?: unknown; readonly internal?: string; readonly outcome?: FailureOutcome }
type Factory<D> = (details: D, options?: RaiseOptions) => CodedError
type Factories<T> = { readonly [K in keyof T]: (T[K] extends ErrorEntry<infer D> ? Factory<D> : never) & { readonly code: string } }

/**
 * Makes the factories of one folder: `const FABRIC = defineErrors('FABRIC_ERR', { PEER_GONE: {...} })`,
 * then `throw FABRIC.PEER_GONE({ node })`; `FABRIC.PEER_GONE.code` is 'FABRIC_ERR_PEER_GONE'.
 */
export function defineErrors<T extends Record<string, ErrorEntry<never>>>(prefix: string, table: T): Factories<T> {
  const factories: Record<string, unknown> = {}
  for (const [name, entry] of Object.entries(table)) {
    const code = `${prefix}_${name}`
    const make = (details: Record<string, unknown>, options: RaiseOptions = {}): CodedError => {
      const message = (entry.message as (d: unknown) => string)(details)
      // The stack is walked once, from the caller of the factory: half the cost of an error.
      const { stackTraceLimit } = Error
      Error.stackTraceLimit = 0
      const error = new CodedError(message, {
        code, details,
        retryable: entry.retryable ?? false,
        outcome: options.outcome ?? entry.outcome ?? 'failed',
        ...(options.cause === undefined ? {} : { cause: options.cause }),
        ...(options.internal === undefined ? {} : { internal: options.internal }),
      })
      Error.stackTraceLimit = stackTraceLimit
      Error.captureStackTrace(error, make)
      return error
    }
    factories[name] = Object.assign(make, { code })
  }
  return factories as Factories<T>
}

const CAUSE_DEPTH_MAX = 8
const TEXT_CHARS_MAX = 16_384

const text = (value: unknown): string => (typeof value === 'string' ? value : String(value)).slice(0, TEXT_CHARS_MAX)

/** The code of an error or error record; undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** Error -> plain record. `fallbackCode` is used for errors without a code (the user's own). */
export function toErrorRecord(error: unknown, fallbackCode: string, depth = 0): ErrorRecord {
  if (!(error instanceof Error)) return { code: fallbackCode, message: text(error), name: 'NonError' }
  const coded = error instanceof CodedError ? error : undefined
  return {
    code: errorCode(error) ?? fallbackCode,
    message: text(error.message),
    name: error.name,
    ...(error.stack === undefined ? {} : { stack: text(error.stack) }),
    ...(coded === undefined ? {} : { details: coded.details, retryable: coded.retryable, outcome: coded.outcome }),
    ...(error.cause === undefined || depth >= CAUSE_DEPTH_MAX ? {} : { cause: toErrorRecord(error.cause, fallbackCode, depth + 1) }),
  }
}

/** Plain record -> error with the remote stack kept as it was. */
export function fromErrorRecord(record: ErrorRecord): CodedError {
  const error = new CodedError(record.message, {
    code: record.code,
    ...(record.details === undefined ? {} : { details: record.details }),
    ...(record.retryable === undefined ? {} : { retryable: record.retryable }),
    ...(record.outcome === undefined ? {} : { outcome: record.outcome }),
    ...(record.cause === undefined ? {} : { cause: fromErrorRecord(record.cause) }),
  })
  if (record.name !== undefined && record.name !== 'CodedError') error.name = record.name
  if (record.stack !== undefined) error.stack = record.stack
  return error
}
