// What comes in at the HTTP door, judged before anything is done about it: whom it is for, who asks, and its body.
//
// Defences: a web page that a browser on this machine has open can send requests here. One that reaches us by a name of its
// own (DNS rebinding) shows in Host, one that comes from another site in Origin, and a body that is not declared to be JSON is
// what a plain form can send without asking; all three are refused, and nothing here ever answers with a CORS header.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { LIMITS } from '../fabric/base.ts'
import { KALI } from './errors.ts'

export interface HttpAddress { readonly host: string; readonly port: number }
const LOOPBACK = '127.0.0.1'
const PORT_MAX = 65_535

/** "8080", ":8080", "host:8080", "[::1]:8080". Throws HTTP_ADDRESS. */
export function readHttpAddress(address: string): HttpAddress {
  const [, host = '', port = ''] = /^(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):)?(\d{1,5})$/.exec(address) ?? []
  const bare = host.replace(/^\[|\]$/g, '')
  if (port === '' || Number(port) > PORT_MAX || (host.startsWith('[') && isIP(bare) !== 6)) throw KALI.HTTP_ADDRESS({ address })
  return { host: bare === '' ? LOOPBACK : bare, port: Number(port) }
}

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('::ffff:127.') || /^127(?:\.\d{1,3}){3}$/.test(host)

/** Host of "host:port" or "[ipv6]:port", and nothing around it. */
const hostOf = (authority: string): string => (/^\[([^\]]*)\](?::\d*)?$/.exec(authority)?.[1] ?? authority.replace(/:\d*$/, '')).toLowerCase()

/** Throws HTTP_FOREIGN. `bound`: where the door listens; `names`: what its certificate is for. */
export function checkSite({ headers, headersDistinct }: IncomingMessage, bound: string, names?: (host: string) => boolean): void {
  const { host = '', origin } = headers
  // Node takes the first of two; whatever stands before this door may have taken the other.
  if ((headersDistinct['host']?.length ?? 0) > 1) throw KALI.HTTP_FOREIGN({ header: 'Host' })
  const asked = hostOf(host)
  if (names?.(asked) === false) throw KALI.HTTP_FOREIGN({ header: 'Host' })
  if (isLoopback(bound) && !isLoopback(asked) && asked !== bound) throw KALI.HTTP_FOREIGN({ header: 'Host' })
  if (origin === undefined) return
  if (!URL.canParse(origin) || new URL(origin).host.toLowerCase() !== host.toLowerCase()) throw KALI.HTTP_FOREIGN({ header: 'Origin' })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** The token in a request; undefined: it has none. */
export const tokenOf = ({ headers }: IncomingMessage): string | undefined => /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]

/** In a time that says nothing of the token. */
export const isToken = (given: string, token: string): boolean => timingSafeEqual(digest(given), digest(token))

const NO_BODY = new Uint8Array(0)

/** The bytes of the body, JSON by its headers; none when there is none. Throws HTTP_REQUEST; stops reading at the first byte too many. */
export async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const { headers } = request
  const bytesMax = LIMITS.payloadBytesMax
  const tooLong = (): Error => KALI.HTTP_REQUEST({ what: 'the body', expected: `at most ${bytesMax} bytes` })
  const declared = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  const type = headers['content-type']
  const empty = declared === 0 || (declared === undefined && headers['transfer-encoding'] === undefined)
  if ((type !== undefined || !empty) && !/^application\/(?:[\w.+-]+\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(type ?? '')) throw KALI.HTTP_REQUEST({ what: 'Content-Type', expected: 'application/json, in UTF-8' })
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') throw KALI.HTTP_REQUEST({ what: 'Content-Encoding', expected: 'left out' })
  if (empty) return NO_BODY
  if (declared !== undefined && declared > bytesMax) throw tooLong()
  const pieces: Buffer[] = []
  let bytes = 0
  // Not destroyed when left early: the answer has still to go out on its socket.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > bytesMax) throw tooLong()
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** What a body says; undefined for none. Throws HTTP_REQUEST. */
export function payloadOf(body: Uint8Array): unknown {
  if (body.byteLength === 0) return undefined
  const payload = ((): unknown => {
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    } catch {
      throw KALI.HTTP_REQUEST({ what: 'the body', expected: 'JSON in UTF-8' })
    }
  })()
  if (hasMoreValues(payload, LIMITS.httpValuesMax)) throw KALI.HTTP_REQUEST({ what: 'the body', expected: `at most ${LIMITS.httpValuesMax} values` })
  return payload
}

/** Encoding a value costs the node's own thread far more than its bytes: a body of nothing but "{}" would hold it up. */
function hasMoreValues(payload: unknown, most: number): boolean {
  const waiting: unknown[] = [payload]
  for (let seen = 0; waiting.length > 0; seen++) {
    if (seen >= most) return true
    const value = waiting.pop()
    if (typeof value !== 'object' || value === null) continue
    const parts = Object.values(value)
    if (parts.length > most - seen) return true
    waiting.push(...parts)
  }
  return false
}

/** The status of a refusal by readBody or payloadOf. */
export function statusOfRefusal(details: Readonly<Record<string, unknown>>): number {
  if (details['what'] === 'the body' && String(details['expected']).startsWith('at most')) return 413
  return String(details['what']).startsWith('Content-') ? 415 : 400
}

const KEY = /^[\x21-\x7e]{1,200}$/

/** Throws HTTP_REQUEST. */
export function idempotencyKeyOf({ headers }: IncomingMessage): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !KEY.test(key)) throw KALI.HTTP_REQUEST({ what: 'Idempotency-Key', expected: '1 to 200 visible characters' })
  return key
}

/** RFC 7240. */
export const wantsAsync = ({ headers }: IncomingMessage): boolean => /(?:^|,)\s*respond-async\s*(?:[,;]|$)/i.test(String(headers.prefer ?? ''))

const PRIVATE_HEADERS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie'])

/** What a function gets to see of the headers: not what lets somebody in. */
export const causeHeaders = ({ headers }: IncomingMessage): Record<string, string> => Object.fromEntries(
  Object.entries(headers).flatMap(([name, value]) => value === undefined || PRIVATE_HEADERS.has(name) ? [] : [[name, String(value).toWellFormed()] as const]))
