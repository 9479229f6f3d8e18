// The calling half of a peer: numbers calls, keeps their deadlines, settles each exactly once.
//
// Whatever the peer does, a call ends: by its answer, by its own deadline on this node's clock, by its
// signal, or with the connection. `outcome` of the error says what is known: 'not-started' while the
// OPEN frame has not been handed to the channel, 'unknown' after.

import { FABRIC } from '../errors-table.ts'
import { CodedError, fromErrorRecord, toErrorRecord } from '../errors.ts'
import type { ErrorRecord, FailureOutcome } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Body, CallOptions, ClientStream } from './contract.ts'
import type { Lane, PeerHost } from './host.ts'
import { CALL_NUMBER_MAX, SHAPE, encodeCancel, encodeOpen } from './messages.ts'
import { StreamEnd } from './stream.ts'
import { newTrace } from './trace.ts'

/** Codes of this layer. */
const OURS = 'FABRIC_ERR_'

interface PendingCall {
  readonly call: number
  readonly method: string
  readonly lane: Lane
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly resolve: (body: Body) => void
  readonly reject: (error: Error) => void
  stream: StreamEnd | undefined
  /** The OPEN frame has gone to the channel: the peer may act on it. */
  handed: boolean
  unlisten: (() => void) | undefined
}

export class CallClient {
  readonly #host: PeerHost
  readonly #calls = new Map<number, PendingCall>()
  #lastCall = 0

  constructor(host: PeerHost) { this.#host = host }

  get inFlight(): number { return this.#calls.size }

  call(method: string, body: Body, options: CallOptions): Promise<Body> {
    return new Promise((resolve, reject) => { this.#start(method, body, options, SHAPE.CALL, resolve, reject) })
  }

  open(method: string, body: Body, options: CallOptions): ClientStream {
    let pending: PendingCall | undefined
    const result = new Promise<Body>((resolve, reject) => {
      if (options.idempotencyKey === undefined) pending = this.#start(method, body, options, SHAPE.STREAM, resolve, reject)
      else reject(FABRIC.IDEMPOTENT_STREAM({ method }))
    })
    // Whoever only reads learns of failures there; a result that nobody awaits must not end the process.
    result.catch(() => undefined)
    const stream = pending?.stream ?? failedStream(method, result)
    return Object.assign(stream, { result })
  }

  #start(method: string, body: Body, options: CallOptions, shape: 0 | 1, resolve: (body: Body) => void, reject: (error: Error) => void): PendingCall | undefined {
    const { parent } = options
    const host = this.#host
    const peer = host.name
    const timeoutMs = Math.min(options.timeoutMs ?? (parent === undefined ? LIMITS.callTimeoutMs : LIMITS.callTimeoutMsMax), parent?.remainingMs() ?? LIMITS.callTimeoutMsMax, LIMITS.callTimeoutMsMax)
    const hop = parent === undefined ? 0 : parent.hop + 1
    const refused = this.#refusal(method, options, timeoutMs, hop)
    if (refused !== undefined) {
      reject(refused)
      return undefined
    }
    const call = this.#number()
    let frame: Uint8Array
    try {
      frame = encodeOpen({
        call, method, body, timeoutMs: Math.ceil(timeoutMs), hop, shape,
        principal: parent?.principal ?? options.principal ?? null,
        trace: parent?.trace ?? newTrace(),
        key: options.idempotencyKey ?? null,
      })
    } catch (error) {
      reject(error as Error)
      return undefined
    }
    const lane = options.lane ?? 'rpc'
    const pending: PendingCall = {
      call, method, lane, timeoutMs, deadlineMs: host.clock.nowMs() + timeoutMs, resolve, reject,
      stream: undefined, handed: false, unlisten: undefined,
    }
    if (shape === SHAPE.STREAM) {
      pending.stream = new StreamEnd({
        method, call,
        post: (message) => host.post(lane, call, message),
        hasRoom: () => host.hasRoom(lane),
        cancel: (error) => this.#cancel(pending, error ?? FABRIC.CANCELLED({ method, reason: `its caller gave up (peer ${peer})` })),
      })
    }
    this.#calls.set(call, pending)
    if (options.signal !== undefined || parent !== undefined) pending.unlisten = this.#listen(pending, options.signal, parent?.signal)
    host.armDeadline(pending.deadlineMs)
    host.post(lane, call, frame, () => { pending.handed = true })
    return pending
  }

  /** Why a call cannot even be sent. */
  #refusal(method: string, options: CallOptions, timeoutMs: number, hop: number): Error | undefined {
    const peer = this.#host.name
    if (this.#host.closed) return FABRIC.PEER_GONE({ peer, method, reason: 'it was already closed' }, { outcome: 'not-started' })
    if (hop > LIMITS.hopsMax) return FABRIC.TOO_MANY_HOPS({ method, hop, hopsMax: LIMITS.hopsMax })
    if (!(timeoutMs > 0)) return FABRIC.DEADLINE({ peer, method, timeoutMs: 0 }, { outcome: 'not-started' })
    for (const signal of [options.signal, options.parent?.signal]) {
      if (signal?.aborted === true) return cancelledBy(method, signal, 'not-started')
    }
    if (this.#calls.size >= LIMITS.callsInFlightMax) return FABRIC.BUSY({ what: `The connection to ${peer} (calls in flight)`, limit: LIMITS.callsInFlightMax })
    return undefined
  }

  #listen(pending: PendingCall, ...signals: (AbortSignal | undefined)[]): () => void {
    const listeners = signals.filter((signal) => signal !== undefined).map((signal) => {
      const onAbort = (): void => this.#cancel(pending, cancelledBy(pending.method, signal, pending.handed ? 'unknown' : 'not-started'))
      signal.addEventListener('abort', onAbort, { once: true })
      return () => signal.removeEventListener('abort', onAbort)
    })
    return () => { for (const unlisten of listeners) unlisten() }
  }

  #number(): number {
    do this.#lastCall = this.#lastCall >= CALL_NUMBER_MAX ? 1 : this.#lastCall + 1
    while (this.#calls.has(this.#lastCall))
    return this.#lastCall
  }

  // ---- from the peer; answers to calls that have ended here are dropped

  result(call: number, body: Body): void {
    const pending = this.#take(call)
    if (pending === undefined) return
    pending.stream?.finish()
    // What the stream still wanted to send is of no use to a handler that has returned.
    this.#host.drop(pending.lane, call)
    pending.resolve(body)
  }

  failed(call: number, record: ErrorRecord): void {
    const pending = this.#take(call)
    if (pending === undefined) return
    const error = fromErrorRecord(record)
    pending.stream?.fail(error, 'keep')
    this.#host.drop(pending.lane, call)
    pending.reject(error)
  }

  stream(call: number): StreamEnd | undefined { return this.#calls.get(call)?.stream }

  // ---- ends of this side's making

  #cancel(pending: PendingCall, error: Error): void {
    if (this.#take(pending.call) === undefined) return
    this.#host.drop(pending.lane, pending.call)
    if (pending.handed) this.#host.post(pending.lane, pending.call, encodeCancel(pending.call, toErrorRecord(error, FABRIC.CANCELLED.code)))
    pending.stream?.fail(error, 'drop')
    pending.reject(error)
  }

  /** Ends the calls whose time is up; the earliest deadline left, if any. */
  sweep(nowMs: number): number {
    let nextMs = Infinity
    for (const pending of this.#calls.values()) {
      if (pending.deadlineMs > nowMs) nextMs = Math.min(nextMs, pending.deadlineMs)
      else this.#cancel(pending, FABRIC.DEADLINE({ peer: this.#host.name, method: pending.method, timeoutMs: Math.round(pending.timeoutMs) }, { outcome: outcomeOf(pending) }))
    }
    return nextMs
  }

  /** The connection has room again. */
  roomAgain(): void { for (const pending of this.#calls.values()) pending.stream?.roomAgain() }

  /** The connection ended. */
  close(reason: string, cause: Error | undefined): void {
    for (const pending of [...this.#calls.values()]) {
      this.#take(pending.call)
      // A layer above said goodbye for a reason of its own: that says more than that the other side is gone.
      const error = cause instanceof CodedError && !cause.code.startsWith(OURS) ? cause : FABRIC.PEER_GONE({ peer: this.#host.name, method: pending.method, reason }, { outcome: outcomeOf(pending), ...(cause === undefined ? {} : { cause }) })
      pending.stream?.fail(error, 'keep')
      pending.reject(error)
    }
  }

  #take(call: number): PendingCall | undefined {
    const pending = this.#calls.get(call)
    if (pending === undefined) return undefined
    this.#calls.delete(call)
    pending.unlisten?.()
    return pending
  }
}

const outcomeOf = (pending: PendingCall): FailureOutcome => (pending.handed ? 'unknown' : 'not-started')

function cancelledBy(method: string, signal: AbortSignal, outcome: FailureOutcome): Error {
  const reason: unknown = signal.reason
  return FABRIC.CANCELLED({ method, reason: reason instanceof Error ? reason.message : String(reason) }, { outcome, cause: reason })
}

/** The stream of a call that was refused: every use fails with why. */
function failedStream(method: string, result: Promise<Body>): StreamEnd {
  const stream = new StreamEnd({ method, call: 0, post: () => undefined, hasRoom: () => false, cancel: () => undefined })
  result.catch((error: Error) => stream.fail(error, 'drop'))
  return stream
}
