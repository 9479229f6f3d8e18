// The serving half of a peer: admits calls, gives handlers their context, sends their answers.
//
// Every admitted call is answered once, or its caller is gone. A call counts as in flight until its
// handler has settled, also when its caller gave up: a peer cannot pile up handlers by cancelling.
// Calls with an idempotency key live in the registry's window and outlast their connection.

import { FABRIC } from '../errors-table.ts'
import { fromErrorRecord, toErrorRecord } from '../errors.ts'
import type { ErrorRecord } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeRecord, encodeRecord } from './codec.ts'
import type { Body, CallContext, Caller, Handler } from './contract.ts'
import type { Lane, PeerHost } from './host.ts'
import type { Attempt, KeptOutcome } from './idempotency.ts'
import { SHAPE, encodeFail, encodeResult } from './messages.ts'
import type { OpenMessage } from './messages.ts'
import type { Registry } from './registry.ts'
import { StreamEnd } from './stream.ts'

interface ServedCall {
  readonly call: number
  readonly method: string
  readonly lane: Lane
  readonly deadlineMs: number
  readonly timeoutMs: number
  stream: StreamEnd | undefined
  /** Has an idempotency key: the run belongs to the window, this call only waits for it. */
  readonly keyed: boolean
  /** Tells the handler to stop. */
  readonly abort: (reason: Error) => void
}

export interface CallServerOptions {
  readonly host: PeerHost
  readonly registry: Registry
  readonly caller: Caller
  readonly principal: string | (() => string) | undefined
  readonly refuse: ((method: string, principal: string) => (Error & { readonly code: string }) | undefined) | undefined
}

export class CallServer {
  readonly #host: PeerHost
  readonly #registry: Registry
  readonly #options: CallServerOptions
  /** Calls whose answer is still owed. */
  readonly #calls = new Map<number, ServedCall>()
  /** Handlers that have not settled, answered or not. */
  #running = 0

  constructor(options: CallServerOptions) {
    this.#options = options
    this.#host = options.host
    this.#registry = options.registry
  }

  get running(): number { return this.#running }

  /** A peer opened a call. Throws PROTOCOL for a number that is in use. */
  open(open: OpenMessage, lane: Lane): void {
    const { call, method } = open
    if (this.#calls.has(call)) throw FABRIC.PROTOCOL({ reason: `call number ${call} is in use` })
    const refused = this.#refusal(open, lane)
    if (refused !== undefined) {
      this.#host.post(lane, -call, encodeFail(-call, toErrorRecord(refused, refused.code)))
      return
    }
    const found = this.#registry.find(method)
    if (found === undefined) return
    const timeoutMs = Math.min(open.timeoutMs, LIMITS.callTimeoutMsMax)
    const deadlineMs = this.#host.clock.nowMs() + timeoutMs
    if (open.key !== null && found.shape === 'call') {
      this.#openKeyed(open, open.key, lane, found.handler, timeoutMs, deadlineMs)
      return
    }
    const { context, abort } = this.#context(open, deadlineMs)
    const served: ServedCall = { call, method, lane, deadlineMs, timeoutMs, keyed: false, stream: undefined, abort }
    this.#admit(served)
    this.#running++
    try {
      let answer: Body | Promise<Body>
      if (found.shape === 'call') answer = found.handler(open.body, context)
      else {
        served.stream = this.#stream(served)
        answer = found.handler(open.body, context, served.stream)
      }
      if (!isPromise(answer)) {
        this.#running--
        this.#answer(served, answer)
        return
      }
      answer.then(
        (body) => { this.#running--; this.#answer(served, body) },
        (error: unknown) => { this.#running--; this.#fail(served, error) },
      )
    } catch (error) {
      this.#running--
      this.#fail(served, error)
    }
  }

  #refusal(open: OpenMessage, lane: Lane): (Error & { readonly code: string }) | undefined {
    const { method } = open
    if (open.hop > LIMITS.hopsMax) return FABRIC.TOO_MANY_HOPS({ method, hop: open.hop, hopsMax: LIMITS.hopsMax })
    const found = this.#registry.find(method)
    if (found === undefined || (found.shape === 'stream') !== (open.shape === SHAPE.STREAM)) return FABRIC.UNKNOWN_METHOD({ method })
    if (found.shape === 'stream' && open.key !== null) return FABRIC.IDEMPOTENT_STREAM({ method })
    if (open.timeoutMs <= 0) return FABRIC.DEADLINE({ peer: 'this node', method, timeoutMs: 0 }, { outcome: 'not-started' })
    if (this.#running >= LIMITS.callsInFlightMax) return FABRIC.BUSY({ what: 'This connection (calls in flight)', limit: LIMITS.callsInFlightMax })
    if (!this.#host.hasRoom(lane)) return FABRIC.BUSY({ what: 'This connection (bytes of unread answers)', limit: LIMITS.unsentBytesMax })
    // Last: it may count what it lets through.
    return this.#options.refuse?.(method, this.#principal(open.principal))
  }

  #admit(served: ServedCall): void {
    this.#calls.set(served.call, served)
    this.#host.armDeadline(served.deadlineMs)
  }

  /** The signal is made when first asked for: most handlers never look, and it costs more than the call. */
  #context(open: OpenMessage, deadlineMs: number): { context: CallContext; abort: (reason: Error) => void } {
    const { clock } = this.#host
    let controller: AbortController | undefined
    let reason: Error | undefined
    const context: CallContext = {
      principal: this.#principal(open.principal),
      trace: open.trace,
      hop: open.hop,
      caller: this.#options.caller,
      get signal() {
        if (controller === undefined) {
          controller = new AbortController()
          if (reason !== undefined) controller.abort(reason)
        }
        return controller.signal
      },
      remainingMs: () => Math.max(0, deadlineMs - clock.nowMs()),
    }
    return { context, abort: (why) => { reason ??= why; controller?.abort(reason) } }
  }

  /** Members are believed; a local shell is who its socket says, or a tenant below that. */
  #principal(claimed: string | null): string {
    const { caller, principal: given } = this.#options
    const principal = typeof given === 'function' ? given() : given
    if (caller.via === 'link') return claimed ?? principal ?? `node:${caller.node.slice(0, 8)}`
    const own = principal ?? `local:${caller.uid}`
    return claimed?.startsWith(`${own}/`) === true ? claimed : own
  }

  #stream(served: ServedCall): StreamEnd {
    const host = this.#host
    return new StreamEnd({
      method: served.method,
      call: -served.call,
      post: (message) => host.post(served.lane, -served.call, message),
      hasRoom: () => host.hasRoom(served.lane),
      cancel: (error) => {
        const why = error ?? FABRIC.CANCELLED({ method: served.method, reason: 'its handler gave up' })
        host.drop(served.lane, -served.call)
        this.#fail(served, why)
        served.abort(why)
      },
    })
  }

  // ---- calls with an idempotency key

  #openKeyed(open: OpenMessage, key: string, lane: Lane, handler: Handler, timeoutMs: number, deadlineMs: number): void {
    const { call, method } = open
    const { clock } = this.#host
    const window = this.#registry.idempotency
    const scoped = `${this.#principal(open.principal)}\n${method}\n${key}`
    let attempt = window.find(scoped, clock.nowMs())
    if (attempt === undefined) {
      const begun = this.#beginAttempt(open, scoped, handler, deadlineMs)
      if (begun === undefined) {
        const busy = FABRIC.BUSY({ what: 'The idempotency window', limit: LIMITS.idempotencyEntriesMax })
        this.#host.post(lane, -call, encodeFail(-call, toErrorRecord(busy, busy.code)))
        return
      }
      attempt = begun
    } else attempt.waiting++
    const joined = attempt
    const served: ServedCall = {
      call, method, lane, deadlineMs, timeoutMs, keyed: true, stream: undefined,
      abort: (reason) => { if (--joined.waiting === 0) joined.abort(reason) },
    }
    this.#admit(served)
    void joined.outcome.then((outcome) => {
      if ('error' in outcome) this.#fail(served, fromErrorRecord(outcome.error), outcome.error)
      else this.#answer(served, decodeRecord(outcome.body))
    })
  }

  /** Starts the one run; undefined when the window is full. */
  #beginAttempt(open: OpenMessage, scoped: string, handler: Handler, deadlineMs: number): Attempt | undefined {
    const { clock } = this.#host
    const window = this.#registry.idempotency
    const { context, abort } = this.#context(open, deadlineMs)
    const { promise: outcome, resolve } = Promise.withResolvers<KeptOutcome>()
    let aborted = false
    const stop = (reason: Error): void => { aborted = true; abort(reason) }
    const attempt: Attempt = { outcome, waiting: 1, abort: stop }
    try {
      window.begin(scoped, attempt, clock.nowMs())
    } catch {
      return undefined
    }
    // The run outlasts its connection, so its deadline cannot hang on the connection's timer.
    const timer = clock.after(deadlineMs - clock.nowMs(), () => stop(FABRIC.DEADLINE({ peer: 'this node', method: open.method, timeoutMs: Math.round(open.timeoutMs) })), { background: true })
    const ended = (kept: KeptOutcome): void => {
      this.#running--
      timer.cancel()
      if (aborted) window.forget(scoped)
      else window.ended(scoped, kept, clock.nowMs())
      resolve(kept)
    }
    this.#running++
    const run = async (): Promise<Uint8Array> => encodeRecord(await handler(open.body, context), `The answer of ${open.method}`)
    run().then((body) => ended({ body }), (error: unknown) => ended({ error: this.#record(open.method, error) }))
    return attempt
  }

  // ---- answers

  #answer(served: ServedCall, body: Body): void {
    if (!this.#owed(served)) return
    let frame: Uint8Array
    try {
      frame = encodeResult(-served.call, body, served.method)
    } catch (error) {
      this.#fail(served, error)
      return
    }
    this.#calls.delete(served.call)
    served.stream?.finish()
    this.#host.post(served.lane, -served.call, frame)
  }

  #fail(served: ServedCall, error: unknown, record = this.#record(served.method, error)): void {
    if (!this.#owed(served)) return
    this.#calls.delete(served.call)
    served.stream?.fail(error instanceof Error ? error : fromErrorRecord(record), 'drop')
    this.#host.post(served.lane, -served.call, encodeFail(-served.call, record))
  }

  #owed(served: ServedCall): boolean { return this.#calls.get(served.call) === served }

  #record(method: string, error: unknown): ErrorRecord {
    const record = toErrorRecord(error, FABRIC.HANDLER_THREW.code)
    // The handler did run, so "not started" (an answer that could not be encoded, a refused call below) is not so of this call.
    if (record.code === FABRIC.BODY_NOT_PLAIN.code || record.code === FABRIC.MESSAGE_TOO_LARGE.code) return { ...record, outcome: 'unknown' }
    return record.name === 'NonError' ? { ...record, details: { method } } : record
  }

  // ---- from the peer

  stream(call: number): StreamEnd | undefined { return this.#calls.get(call)?.stream }

  cancel(call: number, record: ErrorRecord): void {
    const served = this.#calls.get(call)
    if (served === undefined) return
    this.#calls.delete(call)
    this.#host.drop(served.lane, -call)
    const reason = fromErrorRecord(record)
    served.stream?.fail(reason, 'drop')
    served.abort(reason)
  }

  /** Ends the calls whose time is up; the earliest deadline left, if any. */
  sweep(nowMs: number): number {
    let nextMs = Infinity
    for (const served of this.#calls.values()) {
      if (served.deadlineMs > nowMs) {
        nextMs = Math.min(nextMs, served.deadlineMs)
        continue
      }
      const error = FABRIC.DEADLINE({ peer: 'this node', method: served.method, timeoutMs: Math.round(served.timeoutMs) })
      this.#host.drop(served.lane, -served.call)
      this.#fail(served, error)
      served.abort(error)
    }
    return nextMs
  }

  roomAgain(): void { for (const served of this.#calls.values()) served.stream?.roomAgain() }

  /** The connection ended: handlers are told, except those with an idempotency key, whose caller may come back for the answer. */
  close(reason: string, cause: Error | undefined): void {
    for (const served of [...this.#calls.values()]) {
      this.#calls.delete(served.call)
      const error = FABRIC.PEER_GONE({ peer: this.#host.name, method: served.method, reason }, cause === undefined ? {} : { cause })
      served.stream?.fail(error, 'drop')
      if (!served.keyed) served.abort(error)
    }
  }
}

const isPromise = (value: unknown): value is Promise<unknown> => typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
