// `dc.functions.invoke`, `.enqueue`, `.dead` ... and `dc.fn(name)`: the shell's end of service.ts, over its connection to a node.
// Payloads are encoded, answers decoded here; nowhere between are they looked at.

import { fromErrorRecord, LIMITS } from '../../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../../fabric/mod.ts'
import type { InvokeOutcome, InvokeRequest } from '../deployed.ts'
import type { CallsApi, InvokeOptions, NodeAnswer, QueuedCall } from '../deployed-api.ts'
import { FUNCTIONS } from '../errors.ts'
import { INVOKE_METHODS, OUTCOME_GRACE_MS, present, readOutcome, readOutcomes, readTarget, writeRequest } from './wire.ts'

export interface CallsClientOptions {
  readonly peer: Pick<RpcPeer, 'call'>
  callOptions(): CallOptions
  /** The shell's value codec: references come out live. */
  readonly codec: { encode(value: unknown): Uint8Array; decode(bytes: Uint8Array): unknown }
}

export interface CallsClient extends CallsApi {
  /** `dc.fn`. */
  fn(reference: string, options?: InvokeOptions): (payload?: unknown) => Promise<unknown>
}

export function createCallsClient({ peer, callOptions, codec }: CallsClientOptions): CallsClient {
  const requestOf = (reference: string, payload: unknown, { target, timeoutMs, idempotencyKey }: InvokeOptions): InvokeRequest => {
    const bytes = codec.encode([payload])
    if (bytes.length > LIMITS.payloadBytesMax) throw FUNCTIONS.VALUE_TOO_LARGE({ path: 'the payload', bytes: bytes.length, bytesMax: LIMITS.payloadBytesMax })
    return { reference, payload: bytes, cause: { type: 'call' }, ...present({ target: target === undefined ? undefined : readTarget(target), timeoutMs, idempotencyKey }) }
  }
  /** A call that names no time has its function's; the connection's own bound lies behind that of the call, whose outcome says more. */
  const optionsOf = ({ timeoutMs, signal }: InvokeOptions): CallOptions => {
    const ours = callOptions()
    const bound = timeoutMs === undefined ? ours.timeoutMs ?? LIMITS.callTimeoutMsMax : timeoutMs + 2 * OUTCOME_GRACE_MS
    const signals = [ours.signal, signal].filter((one) => one !== undefined)
    return { ...ours, timeoutMs: bound, ...(signals.length === 0 ? {} : { signal: signals.length === 1 ? signals[0] as AbortSignal : AbortSignal.any(signals) }) }
  }
  const decodeOne = (value: Uint8Array): unknown => {
    const decoded = codec.decode(value)
    if (!Array.isArray(decoded) || decoded.length !== 1) throw FUNCTIONS.BAD_MESSAGE({ what: 'the answer of a function' })
    return decoded[0]
  }
  const errorOf = (outcome: Exclude<InvokeOutcome, { status: 'value' }>): Error & { readonly code: string } => fromErrorRecord(outcome.error)
  const ask = async (reference: string, payload: unknown, options: InvokeOptions): Promise<InvokeOutcome> => {
    const body = await peer.call(INVOKE_METHODS.invoke, writeRequest(requestOf(reference, payload, options), 'one'), optionsOf(options))
    if (options.target !== 'all') return readOutcome(body)
    const [first] = readOutcomes(body)
    if (first === undefined) throw FUNCTIONS.BAD_MESSAGE({ what: 'outcomes of no node' })
    return first
  }
  const list = async (method: string, name: string | undefined): Promise<readonly QueuedCall[]> => {
    const rows = await peer.call(method, [name ?? null, 0], callOptions())
    return (rows as readonly (readonly unknown[])[]).map((row) => queued(row, decodeOne))
  }
  const all = async (reference: string, payload: unknown, options: InvokeOptions): Promise<readonly NodeAnswer[]> => {
    const body = await peer.call(INVOKE_METHODS.invoke, writeRequest(requestOf(reference, payload, { ...options, target: 'all' }), 'all'), optionsOf(options))
    return readOutcomes(body).map((outcome): NodeAnswer => {
      const node = outcome.call?.nodeName ?? String((outcome.status === 'value' ? undefined : outcome.error.details?.['node']) ?? '')
      return outcome.status === 'value' ? { node, value: decodeOne(outcome.value) } : { node, error: errorOf(outcome) }
    })
  }
  const invoke = async (reference: string, payload: unknown, options: InvokeOptions = {}): Promise<unknown> => {
    const outcome = await ask(reference, payload, options)
    if (outcome.status === 'value') return decodeOne(outcome.value)
    throw errorOf(outcome)
  }
  return {
    invoke,
    fn: (reference, options = {}) => (payload) => invoke(reference, payload, options),
    async call(reference, payload, options = {}) {
      const outcome = await ask(reference, payload, options)
      if (outcome.status === 'value') return { value: decodeOne(outcome.value), call: outcome.call }
      return { error: errorOf(outcome), ...(outcome.call === undefined ? {} : { call: outcome.call }) }
    },
    invokeAll: (reference, payload, options = {}) => all(reference, payload, options),
    enqueue: async (reference, payload, options = {}) => await peer.call(INVOKE_METHODS.enqueue, writeRequest(requestOf(reference, payload, options), 'one'), callOptions()) as string,
    emit: async (topic, payload) => await peer.call(INVOKE_METHODS.emit, [topic, codec.encode([payload])], callOptions()) as number,
    waiting: (name) => list(INVOKE_METHODS.waiting, name),
    dead: (name) => list(INVOKE_METHODS.dead, name),
    redrive: async (name, ids) => await peer.call(INVOKE_METHODS.redrive, [name, ids ?? null], callOptions()) as number,
    discard: async (name, ids) => await peer.call(INVOKE_METHODS.discard, [name, ids ?? null], callOptions()) as number,
  }
}

function queued([id, name, state, cause, attempts, enqueuedAtMs, nextAtMs, code, message, payload]: readonly unknown[], decode: (bytes: Uint8Array) => unknown): QueuedCall {
  if (!(payload instanceof Uint8Array)) throw FUNCTIONS.BAD_MESSAGE({ what: 'a row of waiting calls' })
  return {
    id: String(id), name: String(name), state: state as QueuedCall['state'], cause: String(cause), attempts: Number(attempts), enqueuedAtMs: Number(enqueuedAtMs),
    ...(typeof nextAtMs === 'number' ? { nextAtMs } : {}), ...(typeof code === 'string' ? { error: { code, message: String(message) } } : {}), payload: decode(payload),
  }
}
