// What goes out at the HTTP door: JSON, and for each way in which a call can fail the status that web clients know.
//
//   { code, message, call }   call: id of the call, when it got that far; never a stack
//
// Only a call that certainly did not run is answered by what kept it from running (busy, paused, unknown); once it may
// have run, a code in its error is the function's own business and the answer is 500, 503 or 504.

import type { ServerResponse } from 'node:http'
import { errorCode, FABRIC, LIMITS } from '../fabric/base.ts'
import type { ErrorRecord } from '../fabric/base.ts'
import { FUNCTIONS } from '../functions/mod.ts'
import type { FailureStatus } from '../functions/mod.ts'
import { KALI } from './errors.ts'
import { statusOfRefusal } from './http-request.ts'

const BUSY_SECONDS = 1
const AWAY_SECONDS = 5

interface Answer { readonly status: number; /** Seconds after which it may be tried again. */ readonly retryAfter?: number }
const NOT_RUN: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  [FUNCTIONS.FUNCTION_UNKNOWN.code, { status: 404 }], [FUNCTIONS.FUNCTION_VERSION_UNKNOWN.code, { status: 404 }],
  [FUNCTIONS.FUNCTION_PAUSED.code, { status: 409 }], [FUNCTIONS.FUNCTION_CONFLICT.code, { status: 409 }],
  [FUNCTIONS.FUNCTION_DENIED.code, { status: 403 }],
  [FUNCTIONS.PAYLOAD_INVALID.code, { status: 400 }], [FUNCTIONS.VALUE_UNSUPPORTED.code, { status: 400 }], [FUNCTIONS.VALUE_TOO_DEEP.code, { status: 400 }], [FUNCTIONS.VALUE_TOO_LARGE.code, { status: 413 }],
  [FUNCTIONS.FUNCTION_BUSY.code, { status: 429, retryAfter: BUSY_SECONDS }], [FUNCTIONS.SANDBOX_BUSY.code, { status: 429, retryAfter: BUSY_SECONDS }], [FUNCTIONS.SANDBOX_FULL.code, { status: 429, retryAfter: BUSY_SECONDS }],
  [FUNCTIONS.FUNCTION_BROKEN.code, { status: 503, retryAfter: AWAY_SECONDS }], [FUNCTIONS.SANDBOX_QUARANTINED.code, { status: 503, retryAfter: AWAY_SECONDS }],
  [FUNCTIONS.FUNCTION_UNHELD.code, { status: 503, retryAfter: AWAY_SECONDS }], [FUNCTIONS.FUNCTION_FENCED.code, { status: 503, retryAfter: AWAY_SECONDS }], [FUNCTIONS.FUNCTION_CODE_MISSING.code, { status: 503, retryAfter: AWAY_SECONDS }],
  [FUNCTIONS.NO_NODES.code, { status: 503, retryAfter: AWAY_SECONDS }], [FUNCTIONS.NODE_GONE.code, { status: 503, retryAfter: AWAY_SECONDS }], [FABRIC.STORE_UNREACHABLE.code, { status: 503, retryAfter: AWAY_SECONDS }],
  [KALI.HTTP_TOKEN.code, { status: 401 }], [KALI.TOKEN_REFUSED.code, { status: 401 }], [KALI.USER_REVOKED.code, { status: 401 }], [KALI.METHOD_DENIED.code, { status: 403 }], [KALI.TOKEN_SPENT.code, { status: 403 }], [FABRIC.REVOKED.code, { status: 503 }],
  [KALI.TRUST_AWAY.code, { status: 503, retryAfter: AWAY_SECONDS }], [KALI.HTTP_FOREIGN.code, { status: 403 }], [KALI.HTTP_ROUTE.code, { status: 404 }], [KALI.HTTP_METHOD.code, { status: 405 }],
])
const RAN: Readonly<Record<FailureStatus, Answer>> = {
  'error': { status: 500 }, 'crash': { status: 500 }, 'out-of-memory': { status: 500 },
  'timeout': { status: 504 }, 'cancelled': { status: 503 }, 'unreachable': { status: 503, retryAfter: AWAY_SECONDS },
}

export const answerOfFailure = (status: FailureStatus, { code }: Pick<ErrorRecord, 'code'>, mayHaveRun: boolean): Answer => (mayHaveRun ? undefined : NOT_RUN.get(code)) ?? RAN[status]

/** Of what was thrown instead of answered: the request's own fault, or ours. */
export function answerOfRefusal(error: unknown): Answer {
  const code = errorCode(error) ?? ''
  if (code === KALI.HTTP_REQUEST.code) return { status: statusOfRefusal((error as { readonly details: Record<string, unknown> }).details) }
  return NOT_RUN.get(code) ?? { status: 500 }
}

const JSON_TYPE = 'application/json; charset=utf-8'

/** Writes the answer; a client that does not take it within LIMITS.httpRequestTimeoutMs is cut off. */
export function send(response: ServerResponse, status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return
  // Without a listener Node destroys the socket when the time is over; after the answer the idle time of the door counts again.
  response.setTimeout(LIMITS.httpRequestTimeoutMs)
  response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers })
  response.end(body)
}

export const sendError = (response: ServerResponse, { status, retryAfter }: Answer, { code, message }: Pick<ErrorRecord, 'code' | 'message'>, { call, ...headers }: Readonly<Record<string, string>> = {}): void =>
  send(response, status, `${JSON.stringify({ code, message, call: call ?? null })}\n`, {
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }), ...(status === 401 ? { 'www-authenticate': 'Bearer realm="kumoi"' } : {}),
    ...(call === undefined ? {} : { 'kumoi-call': call }), ...headers,
  })
