// The HTTP door of a node: functions for whoever speaks HTTP, and figures for Prometheus.
//
//   POST /functions/NAME[@alias]   body: payload as JSON; 200 with the answer as JSON (functions/value/json.ts says how)
//                                  Prefer: respond-async -> 202 with the id; Idempotency-Key; traceparent
//   GET /functions  /metrics       what is deployed; Prometheus text of the whole fabric
//   GET /healthz                   the node is up (no token)
//
// Everything but /healthz and functions with the trigger { http: { open: true } } needs a token: the node's own (http-token.ts), or a
// user's with a proof (http-user.ts), who may then what he may anywhere. A function
// without an HTTP trigger can be called all the same by whoever has it: he could as well use the shell. Bounded: connections,
// headers, body, time to send them and to take the answer. A client that goes away cancels its call. Errors: http-answer.ts.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { LIMITS, toErrorRecord } from '../fabric/base.ts'
import type { Clock, ErrorRecord, Random } from '../fabric/base.ts'
import type { CallParent } from '../fabric/mod.ts'
import { decodeValue, encodeArray, FUNCTIONS, toJson, traceContext } from '../functions/mod.ts'
import type { Catalog, InvokeOutcome, Invoker, InvokeRequest, TraceContext } from '../functions/mod.ts'
import { KALI } from './errors.ts'
import { answerOfFailure, answerOfRefusal, send, sendError } from './http-answer.ts'
import { PROOF_HEADER } from './http-proof.ts'
import { causeHeaders, checkSite, idempotencyKeyOf, isLoopback, isToken, payloadOf, readBody, readHttpAddress, tokenOf, wantsAsync } from './http-request.ts'
import { openHttpServer } from './http-server.ts'
import { followPair, readPair } from './http-tls.ts'
import type { TlsFiles } from './http-tls.ts'
import { TOKEN_FILE } from './http-token.ts'
import { isUserToken } from './http-user.ts'
import type { HttpUsers } from './http-user.ts'

export interface HttpDoorOptions {
  /** "host:port", ":port" or "port"; without a host this machine only; port 0: any. */
  readonly listen: string
  /** Files of its certificate and key, PEM; without them it is plain HTTP, for this machine only unless `plain`. */
  readonly tls?: TlsFiles
  readonly plain?: boolean
  /** Who users are; left out: nobody but the token's holder. */
  readonly users?: HttpUsers
  /** The error when `principal` may not call a method of the node ('functions.list'). */
  readonly refuse?: (method: string, principal: string) => Error | undefined
  readonly warn?: (message: string, fields: Readonly<Record<string, unknown>>) => void
  readonly token: string
  /** Of the token's holder; calls without it are made by "http:open". */
  readonly principal: string
  readonly invoker: Pick<Invoker, 'invoke' | 'invokeAll' | 'enqueue'>
  readonly catalog: Pick<Catalog, 'get' | 'list'>
  /** Prometheus text of the fabric (Observation.metrics). */
  metrics(parent: CallParent): Promise<string>
  /** Takes secrets out of what is told of errors. */
  redact?(error: ErrorRecord): ErrorRecord
  readonly nodeName: () => string
  readonly clock: Clock
  readonly random: Random
}

export interface HttpDoor {
  /** "http://127.0.0.1:8080" */
  readonly url: string
  /** Reads the certificate again now, if it changed. */
  renew(): Promise<void>
  /** Takes no more, cancels the calls under way, closes every connection. */
  close(): Promise<void>
}

const OPEN_PRINCIPAL = 'http:open'
const TRACE_BYTES = 8
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Rejects with HTTP_ADDRESS, HTTP_LISTEN, HTTP_CERTIFICATE, HTTP_PLAIN. */
export async function openHttpDoor(options: HttpDoorOptions): Promise<HttpDoor> {
  const { listen, tls, clock } = options
  const address = readHttpAddress(listen)
  if (tls === undefined && options.plain !== true && !isLoopback(address.host)) throw KALI.HTTP_PLAIN({ address: listen })
  const over = new AbortController()
  let pair = tls === undefined ? undefined : await readPair(tls)
  const site = { host: address.host, names: (host: string) => pair?.names(host) ?? true }
  const server = await openHttpServer({
    address, listen, pair, clock,
    serve: (request, response) => void new Exchange(options, site, request, response, over.signal).serve(),
  })
  const followed = tls === undefined ? undefined : followPair({ files: tls, clock, warn: options.warn ?? (() => {}), changed: (renewed) => { pair = renewed; server.renew(renewed) } })
  return {
    url: server.url,
    renew: async () => followed?.look(),
    close() {
      followed?.stop()
      return server.close(() => over.abort(FUNCTIONS.RUN_CANCELLED({})))
    },
  }
}

/** Where a door is, and by what names it may be asked. */
interface Site { readonly host: string; names(host: string): boolean }

/** One request and its answer. */
class Exchange {
  readonly #options: HttpDoorOptions
  readonly #site: Site
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal
  #body: Promise<Uint8Array> | undefined
  #trace: TraceContext | undefined

  constructor(options: HttpDoorOptions, site: Site, request: IncomingMessage, response: ServerResponse, over: AbortSignal) {
    this.#options = options
    this.#site = site
    this.#request = request
    this.#response = response
    this.#signal = AbortSignal.any([this.#gone.signal, over])
    // Also after the answer, where it changes nothing.
    response.once('close', () => this.#gone.abort(FUNCTIONS.RUN_CANCELLED({})))
    request.on('error', () => {})
    response.on('error', () => {})
  }

  /** Never rejects. */
  async serve(): Promise<void> {
    const request = this.#request, response = this.#response
    try {
      checkSite(request, this.#site.host, this.#site.names)
      await this.#route()
    } catch (error) {
      if (response.destroyed) return
      const record = this.#told(toErrorRecord(error, FUNCTIONS.INTERNAL.code))
      const headers = { ...(record.code === KALI.HTTP_METHOD.code ? { allow: String((error as { details?: Record<string, unknown> }).details?.['allow'] ?? '') } : {}), ...(request.complete ? {} : { connection: 'close' }) }
      sendError(response, answerOfRefusal(error), record, headers)
    } finally {
      // A body that nobody wanted must not be taken for the next request; what is little is read, the rest is cut off.
      if (!request.complete) request.resume()
    }
  }

  async #route(): Promise<void> {
    const [path = ''] = (this.#request.url ?? '').split('?', 1)
    const [, encoded] = /^\/functions\/([^/]+)$/.exec(path) ?? []
    if (encoded !== undefined) return this.#call(decoded(encoded), path)
    if (path === '/healthz') { this.#only('GET'); return this.#json(200, { status: 'ok', node: this.#options.nodeName() }) }
    if (path === '/functions') { this.#only('GET'); await this.#authorize('functions.list'); return this.#json(200, this.#functions()) }
    if (path === '/metrics') {
      this.#only('GET')
      const principal = await this.#authorize('functions.metrics')
      return send(this.#response, 200, await this.#options.metrics(this.#authority(principal, this.#context().trace)), { 'content-type': METRICS_TYPE })
    }
    throw KALI.HTTP_ROUTE({})
  }

  async #call(reference: string, path: string): Promise<void> {
    this.#only('POST')
    const { catalog, invoker } = this.#options
    // An alias or a version chosen by name is for those who manage the function.
    const open = catalog.get(reference)?.manifest.triggers.some((trigger) => trigger.type === 'http' && trigger.open) === true
    // Whoever says who he is, is judged as that, also where nobody need be anybody.
    const principal = open && tokenOf(this.#request) === undefined ? OPEN_PRINCIPAL : await this.#authorize('functions.invoke', open)
    const idempotencyKey = idempotencyKeyOf(this.#request)
    const payload = payloadOf(await this.#bytes())
    const context = this.#context()
    const request: InvokeRequest = {
      reference, payload: encodeArray([payload], { root: 'payload', sizeBytesMax: LIMITS.payloadBytesMax }),
      cause: { type: 'http', method: 'POST', path, headers: causeHeaders(this.#request) },
      traceparent: context.traceparent,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    }
    const authority = this.#authority(principal, context.trace)
    if (wantsAsync(this.#request)) {
      const call = await invoker.enqueue(request, authority)
      return send(this.#response, 202, `${JSON.stringify({ call })}\n`, { 'preference-applied': 'respond-async', 'kumoi-call': call })
    }
    const [name = ''] = reference.split('@', 1)
    if (catalog.get(name)?.manifest.target === 'all') return this.#answerAll(await invoker.invokeAll(request, authority))
    this.#answer(await invoker.invoke(request, authority))
  }

  #answer(outcome: InvokeOutcome): void {
    const call = outcome.call?.callId
    if (outcome.status === 'value') return send(this.#response, 200, `${toJson(valueOf(outcome.value))}\n`, call === undefined ? {} : { 'kumoi-call': call })
    sendError(this.#response, answerOfFailure(outcome.status, outcome.error, outcome.mayHaveRun), this.#told(outcome.error), call === undefined ? {} : { call })
  }

  /** Of a function that runs on every node: 200 with what became of it on each. */
  #answerAll(outcomes: readonly InvokeOutcome[]): void {
    this.#json(200, outcomes.map((outcome) => {
      const { node: _id, nodeName = null, callId = null } = outcome.call ?? {}
      if (outcome.status === 'value') return { node: nodeName, call: callId, value: valueOf(outcome.value) }
      const { code, message } = this.#told(outcome.error)
      return { node: nodeName, call: callId, error: { code, message } }
    }))
  }

  #functions(): unknown {
    return this.#options.catalog.list().map(({ record, manifest }) => ({
      name: record.name, description: manifest.description, version: manifest.version, paused: record.paused, triggers: manifest.triggers,
      aliases: Object.fromEntries(Object.entries(record.aliases).map(([alias, { version, percent }]) => [alias, { version, ...(percent === undefined ? {} : { percent }) }])),
    }))
  }

  #json(status: number, value: unknown): void { send(this.#response, status, `${toJson(value)}\n`) }
  #told(error: ErrorRecord): ErrorRecord { return this.#options.redact?.(error) ?? error }

  #only(method: string): void {
    if (this.#request.method !== method) throw KALI.HTTP_METHOD({ method: this.#request.method ?? '', allow: method })
  }

  /** Who asks, if he may call `method`. Rejects with HTTP_TOKEN, METHOD_DENIED, and as HttpUsers.identify() does. `open`: who is wrong is nobody instead. */
  async #authorize(method: string, open = false): Promise<string> {
    const { token: own, principal, users, refuse } = this.#options
    const given = tokenOf(this.#request)
    const { headers, method: verb = '', url: target = '' } = this.#request
    if (given !== undefined && users !== undefined && isUserToken(given)) {
      const user = await users.identify({ token: given, proof: headers[PROOF_HEADER], host: headers.host ?? '', method: verb, target, trace: this.#context().trace }, () => this.#bytes())
      if (!open) this.#mayCall(method, user, refuse)
      return user
    }
    if (given === undefined || !isToken(given, own)) {
      if (open) return OPEN_PRINCIPAL
      throw KALI.HTTP_TOKEN({ file: TOKEN_FILE })
    }
    this.#mayCall(method, principal, refuse)
    return principal
  }

  #mayCall(method: string, principal: string, refuse: HttpDoorOptions['refuse']): void {
    const refusal = refuse?.(method, principal)
    if (refusal !== undefined) throw refusal
  }

  /** Of the body: read once, whoever needs it first. */
  #bytes(): Promise<Uint8Array> { return this.#body ??= readBody(this.#request) }

  /** Continues the client's trace; what is no valid header starts one. */
  #context(): TraceContext {
    const { random } = this.#options
    const { traceparent } = this.#request.headers
    return this.#trace ??= traceContext({ traceparent: typeof traceparent === 'string' ? traceparent : undefined, trace: Buffer.from(random.bytes(TRACE_BYTES)).toString('hex'), random })
  }

  #authority(principal: string, trace: string): CallParent {
    const { clock } = this.#options
    const endMs = clock.nowMs() + LIMITS.httpCallMsMax
    return { principal, trace, hop: 0, signal: this.#signal, remainingMs: () => Math.max(0, endMs - clock.nowMs()) }
  }
}

/** Bytes of a function's answer: hostile until decoded. */
const valueOf = (bytes: Uint8Array): unknown => (decodeValue(bytes) as readonly unknown[])[0]

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw KALI.HTTP_REQUEST({ what: 'the name in the path', expected: 'percent-encoded UTF-8' })
  }
}
