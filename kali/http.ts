// The HTTP door of a node: functions for whoever speaks HTTP, and figures for Prometheus.
//
//   POST /functions/NAME[@alias]   body: payload as JSON; 200 with the answer as JSON (functions/value/json.ts says how)
//                                  Prefer: respond-async -> 202 with the id; Idempotency-Key; traceparent
//   GET /functions  /metrics       what is deployed; Prometheus text of the whole fabric
//   GET /healthz                   the node is up (no token)
//
// Everything but /healthz and functions with the trigger { http: { open: true } } needs the token (http-token.ts). A function
// without an HTTP trigger can be called all the same by whoever has it: he could as well use the shell. Bounded: connections,
// headers, body, time to send them and to take the answer. A client that goes away cancels its call. Errors: http-answer.ts.

import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorCode, LIMITS, toErrorRecord } from '../fabric/base.ts'
import type { Clock, ErrorRecord, Random } from '../fabric/base.ts'
import type { CallParent } from '../fabric/mod.ts'
import { decodeValue, encodeArray, FUNCTIONS, toJson, traceContext } from '../functions/mod.ts'
import type { Catalog, InvokeOutcome, Invoker, InvokeRequest, TraceContext } from '../functions/mod.ts'
import { KALI } from './errors.ts'
import { answerOfFailure, answerOfRefusal, send, sendError } from './http-answer.ts'
import { causeHeaders, checkSite, hasToken, idempotencyKeyOf, readHttpAddress, readPayload, wantsAsync } from './http-request.ts'
import { TOKEN_FILE } from './http-token.ts'

export interface HttpDoorOptions {
  /** "host:port", ":port" or "port"; without a host this machine only; port 0: any. */
  readonly listen: string
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
  /** Takes no more, cancels the calls under way, closes every connection. */
  close(): Promise<void>
}

const OPEN_PRINCIPAL = 'http:open'
const TRACE_BYTES = 8
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
/** How often Node looks for connections that take too long. */
const CHECK_MS = 1_000

/** Rejects with HTTP_ADDRESS, HTTP_LISTEN. */
export async function openHttpDoor(options: HttpDoorOptions): Promise<HttpDoor> {
  const { host, port } = readHttpAddress(options.listen)
  const over = new AbortController()
  const server = createServer({
    maxHeaderSize: LIMITS.httpHeaderBytesMax, headersTimeout: LIMITS.httpHeadersTimeoutMs, requestTimeout: LIMITS.httpRequestTimeoutMs,
    keepAliveTimeout: LIMITS.httpIdleMs, connectionsCheckingInterval: CHECK_MS, requireHostHeader: true, insecureHTTPParser: false,
  }, (request, response) => void new Exchange(options, host, request, response, over.signal).serve())
  server.maxHeadersCount = LIMITS.httpHeadersMax
  server.maxConnections = LIMITS.httpConnectionsMax
  // Malformed requests and timeouts: Node's own answer names nothing of ours; ours has to be no more than this.
  server.on('clientError', (error, socket) => {
    if (socket.writable && errorCode(error) !== 'ECONNRESET') socket.end(`HTTP/1.1 ${CLIENT_ERRORS[errorCode(error) ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    else socket.destroy()
  })
  await new Promise<void>((done, reject) => {
    server.once('error', (error) => reject(KALI.HTTP_LISTEN({ address: options.listen, reason: error.message }, { cause: error })))
    server.listen({ host, port }, done)
  })
  const { address, port: bound, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: () => new Promise((done) => {
      server.close(() => done())
      over.abort(FUNCTIONS.RUN_CANCELLED({}))
      server.closeIdleConnections()
      // The answers "cancelled" leave first.
      setImmediate(() => server.closeAllConnections())
    }),
  }
}

const CLIENT_ERRORS: Readonly<Record<string, string>> = { ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout', HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large' }

/** One request and its answer. */
class Exchange {
  readonly #options: HttpDoorOptions
  readonly #bound: string
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal

  constructor(options: HttpDoorOptions, bound: string, request: IncomingMessage, response: ServerResponse, over: AbortSignal) {
    this.#options = options
    this.#bound = bound
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
      checkSite(request, this.#bound)
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
    if (path === '/functions') { this.#only('GET'); this.#authorize(); return this.#json(200, this.#functions()) }
    if (path === '/metrics') {
      this.#only('GET')
      this.#authorize()
      return send(this.#response, 200, await this.#options.metrics(this.#authority(this.#options.principal, this.#trace().trace)), { 'content-type': METRICS_TYPE })
    }
    throw KALI.HTTP_ROUTE({})
  }

  async #call(reference: string, path: string): Promise<void> {
    this.#only('POST')
    const { catalog, invoker, principal } = this.#options
    // An alias or a version chosen by name is for those who manage the function.
    const open = catalog.get(reference)?.manifest.triggers.some((trigger) => trigger.type === 'http' && trigger.open) === true
    const known = hasToken(this.#request, this.#options.token)
    if (!open && !known) throw KALI.HTTP_TOKEN({ file: TOKEN_FILE })
    const idempotencyKey = idempotencyKeyOf(this.#request)
    const payload = await readPayload(this.#request)
    const context = this.#trace()
    const request: InvokeRequest = {
      reference, payload: encodeArray([payload], { root: 'payload', sizeBytesMax: LIMITS.payloadBytesMax }),
      cause: { type: 'http', method: 'POST', path, headers: causeHeaders(this.#request) },
      traceparent: context.traceparent,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    }
    const authority = this.#authority(known ? principal : OPEN_PRINCIPAL, context.trace)
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

  #authorize(): void {
    if (!hasToken(this.#request, this.#options.token)) throw KALI.HTTP_TOKEN({ file: TOKEN_FILE })
  }

  /** Continues the client's trace; what is no valid header starts one. */
  #trace(): TraceContext {
    const { random } = this.#options
    const { traceparent } = this.#request.headers
    return traceContext({ traceparent: typeof traceparent === 'string' ? traceparent : undefined, trace: Buffer.from(random.bytes(TRACE_BYTES)).toString('hex'), random })
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
