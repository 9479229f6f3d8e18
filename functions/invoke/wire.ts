// Calls by name on the wire. Bodies are lists: a call is a few dozen bytes around its payload. Everything read is
// checked; payloads and answers are byte strings that nobody here decodes.
//
//   functions.invoke   shell, member -> a node that chooses   [reference, payload, target, timeoutMs, key, budget, traceparent, cause, shape, depth]
//   functions.call     that node -> the one that runs it      [name, alias, version, payload, timeoutMs, budget, attempt, traceparent, cause, depth]
//   answer of call     [status, value or error, mayHaveRun, calls, record]
//   answer of invoke   [status, value or error, mayHaveRun, record with names], 'all': a list of them

import { isHash, isNodeId, LIMITS } from '../../fabric/base.ts'
import type { ErrorRecord, Hash, NodeId } from '../../fabric/base.ts'
import type { FailureStatus } from '../contract.ts'
import type { CallRecord, Cause, InvokeOutcome, InvokeRequest, TargetText } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { bytes, count, finite, hash, text } from '../plan/wire.ts'
import { checkPayload } from './items.ts'

export const INVOKE_METHODS = {
  invoke: 'functions.invoke', call: 'functions.call', enqueue: 'functions.enqueue', emit: 'functions.emit',
  waiting: 'functions.waiting', dead: 'functions.dead', redrive: 'functions.redrive', discard: 'functions.discard',
} as const

/** Inside it an outcome travels home after the call's own deadline; only then the connection speaks for it. */
export const OUTCOME_GRACE_MS = LIMITS.killGraceMs + 100

const bad = (what: string): never => { throw FUNCTIONS.BAD_MESSAGE({ what }) }
const list = (value: unknown, what: string): readonly unknown[] => (Array.isArray(value) ? value : bad(what))
const fields = (value: unknown, what: string): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array) ? value as Record<string, unknown> : bad(what)
const orNull = <T>(value: unknown, read: (value: unknown, what: string) => T, what: string): T | undefined => (value === null || value === undefined ? undefined : read(value, what))
const duration = (value: unknown, what: string): number => { const ms = finite(value, what); return ms > 0 ? Math.min(ms, LIMITS.callTimeoutMsMax) : bad(what) }

const TARGET = /^(?:all|any|home|node:[A-Za-z0-9][A-Za-z0-9._-]{0,62})$/
export function readTarget(value: unknown): TargetText {
  if (typeof value === 'string' && TARGET.test(value)) return value as TargetText
  throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the target', expected: 'all, any, home or node:NAME', got: String(value).slice(0, 80) })
}

/** Objects as records have them here: cbor's have no prototype, and a value with one less is another value to the codec. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

const writeCause = (cause: Cause): unknown => (cause.type === 'call' ? null : cause)
function readCause(value: unknown): Cause {
  if (value === null || value === undefined) return { type: 'call' }
  const cause = plain(fields(value, 'cause')) as Record<string, unknown>
  switch (cause['type']) {
    case 'every': case 'cron': return { type: cause['type'], dueAtMs: finite(cause['dueAtMs'], 'cause.dueAtMs') }
    case 'event': return { type: 'event', event: fields(cause['event'], 'cause.event') }
    case 'topic': return { type: 'topic', topic: text(cause['topic'], 'cause.topic'), from: text(cause['from'], 'cause.from') }
    case 'http': return { type: 'http', method: text(cause['method'], 'cause.method'), path: text(cause['path'], 'cause.path'), headers: fields(cause['headers'], 'cause.headers') as Record<string, string> }
    default: return bad('cause.type')
  }
}

// ---------------------------------------------------------------- requests

export const writeRequest = (request: InvokeRequest, shape: 'one' | 'all'): unknown[] => [
  request.reference, request.payload, request.target ?? null, request.timeoutMs ?? null, request.idempotencyKey ?? null, request.budget ?? null,
  request.traceparent ?? null, writeCause(request.cause), shape, request.depth ?? 0,
]

const KEY_CHARS_MAX = 256
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
const readTraceparent = (value: unknown): string => { const given = text(value, 'traceparent'); return TRACEPARENT.test(given) ? given : bad('traceparent') }
const readKey = (value: unknown): string => {
  const key = text(value, 'idempotency key')
  if (key.length >= 1 && key.length <= KEY_CHARS_MAX) return key
  throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the idempotency key', expected: `1 to ${KEY_CHARS_MAX} characters`, got: `${key.length}` })
}

/** A request with everything about it checked but whether the function exists; throws BAD_MESSAGE, PAYLOAD_INVALID. */
export function readRequest(body: unknown): { readonly request: InvokeRequest; readonly shape: 'one' | 'all' } {
  const [reference, payload, target, timeoutMs, key, budget, traceparent, cause, shape, depth] = list(body, 'request')
  const given = { target: orNull(target, readTarget, 'target'), timeoutMs: orNull(timeoutMs, duration, 'timeoutMs'), idempotencyKey: orNull(key, readKey, 'key'), budget: orNull(budget, count, 'budget'), traceparent: orNull(traceparent, readTraceparent, 'traceparent'), depth: orNull(depth, count, 'depth') }
  const request = { reference: text(reference, 'reference'), payload: bytes(payload, 'payload'), cause: readCause(cause), ...present(given) }
  checkPayload(request.payload, LIMITS.payloadBytesMax)
  return { request, shape: shape === 'all' ? 'all' : 'one' }
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
/** Without the fields that are undefined. */
export const present = <T extends object>(given: T): Present<T> => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Present<T>

export interface CallBody {
  readonly name: string
  readonly alias: string
  readonly version: Hash
  readonly payload: Uint8Array
  readonly timeoutMs: number
  readonly budget: number
  readonly depth: number
  readonly attempt: number
  readonly traceparent: string | undefined
  readonly cause: Cause
}
export const writeCall = (call: CallBody): unknown[] =>
  [call.name, call.alias, call.version, call.payload, call.timeoutMs, call.budget, call.attempt, call.traceparent ?? null, writeCause(call.cause), call.depth]

export function readCall(body: unknown): CallBody {
  const [name, alias, version, payload, timeoutMs, budget, attempt, traceparent, cause, depth] = list(body, 'call')
  const call = {
    name: text(name, 'name'), alias: text(alias, 'alias'), version: hash(version, 'version'), payload: bytes(payload, 'payload'), timeoutMs: duration(timeoutMs, 'timeoutMs'),
    budget: count(budget, 'budget'), depth: count(depth, 'depth'), attempt: count(attempt, 'attempt'), traceparent: orNull(traceparent, readTraceparent, 'traceparent'), cause: readCause(cause),
  }
  checkPayload(call.payload, LIMITS.payloadBytesMax)
  return call
}

// ---------------------------------------------------------------- outcomes

const FAILURES: ReadonlySet<string> = new Set<FailureStatus>(['error', 'crash', 'out-of-memory', 'timeout', 'cancelled', 'unreachable'])

type RecordBase = Omit<CallRecord, 'callId' | 'startedAtMs' | 'queuedMs' | 'runMs' | 'cpuMs' | 'cold' | 'epoch' | 'nested'>

/** What the caller of 'functions.call' cannot know itself. */
const writeMeasured = (call: CallRecord): unknown[] => [call.callId, call.startedAtMs, call.queuedMs, call.runMs, call.cpuMs, call.cold, call.epoch ?? null, call.nested ?? 0]
function readMeasured(value: unknown, base: RecordBase): CallRecord {
  const [callId, startedAtMs, queuedMs, runMs, cpuMs, cold, epoch, nested] = list(value, 'call record')
  return {
    ...base, callId: text(callId, 'callId'), startedAtMs: finite(startedAtMs, 'startedAtMs'), queuedMs: finite(queuedMs, 'queuedMs'), runMs: finite(runMs, 'runMs'),
    cpuMs: finite(cpuMs, 'cpuMs'), cold: cold === true, nested: count(nested, 'nested'), ...(epoch === null || epoch === undefined ? {} : { epoch: count(epoch, 'epoch') }),
  }
}

const writeEnd = (outcome: InvokeOutcome): [string, unknown, boolean] =>
  outcome.status === 'value' ? ['value', outcome.value, true] : [outcome.status, outcome.error, outcome.mayHaveRun]

type End = { readonly status: 'value'; readonly value: Uint8Array } | { readonly status: FailureStatus; readonly error: ErrorRecord; readonly mayHaveRun: boolean }
function readEnd([status, content, mayHaveRun]: readonly unknown[]): End {
  if (status === 'value') return { status, value: bytes(content, 'value') }
  if (typeof status !== 'string' || !FAILURES.has(status)) return bad('status')
  const error = fields(content, 'error')
  return { status: status as FailureStatus, mayHaveRun: mayHaveRun === true, error: { ...error, code: text(error['code'], 'error.code'), message: text(error['message'], 'error.message') } as ErrorRecord }
}

function withCall(end: End, call: CallRecord | undefined): InvokeOutcome {
  if (end.status !== 'value') return call === undefined ? end : { ...end, call }
  return call === undefined ? bad('a value without the record of its call') : { ...end, call }
}

export interface CallAnswer { readonly outcome: InvokeOutcome; /** Under way or waiting at the node that answers. */ readonly calls: number }
export const writeAnswer = ({ outcome, calls }: CallAnswer): unknown[] => [...writeEnd(outcome), calls, outcome.call === undefined ? null : writeMeasured(outcome.call)]
export function readAnswer(body: unknown, base: RecordBase): CallAnswer {
  const parts = list(body, 'answer')
  const call = parts[4] === null || parts[4] === undefined ? undefined : readMeasured(parts[4], base)
  return { outcome: withCall(readEnd(parts), call), calls: count(parts[3], 'calls') }
}

const writeFull = (call: CallRecord): unknown[] => [call.name, call.alias, call.version, call.trace, call.node, call.nodeName, call.cause, call.attempt, writeMeasured(call)]
function readFull(value: unknown): CallRecord {
  const [name, alias, version, trace, node, nodeName, cause, attempt, measured] = list(value, 'call record')
  if (!isHash(version) || !isNodeId(node)) return bad('call record')
  return readMeasured(measured, {
    name: text(name, 'name'), alias: text(alias, 'alias'), version: version as Hash, trace: text(trace, 'trace'), node: node as NodeId, nodeName: text(nodeName, 'nodeName'),
    cause: text(cause, 'cause') as Cause['type'], attempt: count(attempt, 'attempt'),
  })
}

/** `nodeName` is told apart, because an outcome without a record ran nowhere or nobody knows. */
export const writeOutcome = (outcome: InvokeOutcome): unknown[] => [...writeEnd(outcome), outcome.call === undefined ? null : writeFull(outcome.call)]
export function readOutcome(body: unknown): InvokeOutcome {
  const parts = list(body, 'outcome')
  return withCall(readEnd(parts), parts[3] === null || parts[3] === undefined ? undefined : readFull(parts[3]))
}
export const readOutcomes = (body: unknown): InvokeOutcome[] => list(body, 'outcomes').map(readOutcome)
