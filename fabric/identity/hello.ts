// Messages of the hello, the first and only thing an unknown peer may say. Pure.
//
// They are JSON (small, no decoder surprises), at most LIMITS.helloBytesMax, and read field by field:
// anything that is not exactly a known message is refused with FABRIC_ERR_HELLO_INVALID.
//
//   dialler                                acceptor
//   hello   (I am member X) ------------>  checks certificate, fabric, version, name
//           <----------------------------  welcome (I am member Y)        or refused (why)
//   ready   ---------------------------->  link is up on both sides
//
//   join    (ticket, my name) ---------->  checks ticket and name
//           <----------------------------  admitted (your chain)          or refused (why)

import { FABRIC } from '../errors-table.ts'
import { isNodeId } from '../id.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import { decodeChain, encodeChain } from './certificate.ts'
import type { Chain } from './certificate.ts'

/** Raised when a hello or a frame changes its meaning. */
export const PROTOCOL = 1

/** What a member says of itself, in hello and welcome alike. */
export interface Introduction {
  readonly protocol: number
  readonly fabric: NodeId
  readonly chain: Chain
  readonly name: string
  readonly version: string
  readonly addresses: readonly string[]
  /** 16 hex characters drawn at process start: another value under the same key is a restarted node. */
  readonly session: string
  /** Which of its links to this peer the sender means; rises by one when a link ends. */
  readonly link: number
}

/**
 * What a stream is for. 'rpc', 'bulk': over TCP. 'udx': the whole link, through the overlay. 'aside': the overlay
 * opened it by itself; it takes over gossip once somebody made a link, and makes none.
 */
export type StreamKind = 'rpc' | 'bulk' | 'udx' | 'aside'

export type HelloMessage =
  | ({ readonly type: 'hello'; readonly stream: StreamKind } & Introduction)
  | ({ readonly type: 'welcome' } & Introduction)
  | { readonly type: 'ready' }
  | { readonly type: 'join'; readonly protocol: number; readonly ticket: string; readonly name: string }
  | { readonly type: 'admitted'; readonly fabric: NodeId; readonly chain: Chain; readonly bootstraps: readonly string[] }
  | { readonly type: 'refused'; readonly code: string; readonly message: string; readonly details: Readonly<Record<string, unknown>> }

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
/** Names of nodes: letters, digits, dot, dash, underscore; at most 63 characters. */
export const isNodeName = (value: unknown): value is string => typeof value === 'string' && NAME.test(value)

const SESSION = /^[0-9a-f]{16}$/
const TEXT_CHARS_MAX = 1_024

export function encodeHello(message: HelloMessage): Buffer {
  return Buffer.from(JSON.stringify('chain' in message ? { ...message, chain: encodeChain(message.chain).toString('hex') } : message))
}

/** Throws FABRIC_ERR_HELLO_INVALID, naming `peer`. */
export function decodeHello(bytes: Uint8Array, peer: NodeId): HelloMessage {
  const invalid = (why: string): Error => FABRIC.HELLO_INVALID({ peer, why })
  if (bytes.byteLength > LIMITS.helloBytesMax) throw invalid(`it has ${bytes.byteLength} bytes, more than ${LIMITS.helloBytesMax}`)
  let fields: Record<string, unknown>
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null) throw new TypeError('not an object')
    fields = parsed as Record<string, unknown>
  } catch {
    throw invalid('it is not a Kumoi hello')
  }
  const need = <T>(name: string, check: (value: unknown) => value is T): T => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (!check(value)) throw invalid(`its field "${name}" is missing or wrong`)
    return value
  }
  const chain = (): Chain => {
    const decoded = decodeChain(Buffer.from(need('chain', isText(LIMITS.helloBytesMax)), 'hex'))
    if (decoded === undefined) throw invalid('its certificate chain cannot be read')
    return decoded
  }
  const introduction = (): Introduction => ({
    protocol: need('protocol', isCount), fabric: need('fabric', isNodeId), chain: chain(), name: need('name', isNodeName),
    version: need('version', isText(64)), addresses: need('addresses', isAddresses), session: need('session', isSession), link: need('link', isCount),
  })
  switch (fields['type']) {
    case 'hello': return { type: 'hello', stream: need('stream', isStreamKind), ...introduction() }
    case 'welcome': return { type: 'welcome', ...introduction() }
    case 'ready': return { type: 'ready' }
    case 'join': return { type: 'join', protocol: need('protocol', isCount), ticket: need('ticket', isText(LIMITS.ticketCharsMax)), name: need('name', isNodeName) }
    case 'admitted': return { type: 'admitted', fabric: need('fabric', isNodeId), chain: chain(), bootstraps: need('bootstraps', isAddresses) }
    case 'refused': return { type: 'refused', code: need('code', isText(128)), message: need('message', isText(TEXT_CHARS_MAX)), details: need('details', isRecord) }
    default: throw invalid('its type is unknown')
  }
}

const isText = (charsMax: number) => (value: unknown): value is string => typeof value === 'string' && value.length <= charsMax
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isSession = (value: unknown): value is string => typeof value === 'string' && SESSION.test(value)
const isStreamKind = (value: unknown): value is StreamKind => value === 'rpc' || value === 'bulk' || value === 'udx' || value === 'aside'
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isAddresses = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length <= LIMITS.addressesMax && value.every((item) => typeof item === 'string' && item.length <= LIMITS.addressCharsMax)
