// Tickets: the one word a member prints and a joiner pastes. Pure.
//
// A ticket says which fabric, until when, and whom to ask; it is signed by the member that made it, whose
// chain it carries, so any member can judge it, by its own clock. Whoever holds it may join until it
// expires; one that was made for a key ("kumoi2") admits that key only. The checksum tells a mistyped ticket from an altered one.
//
//   text  := "kumoi1" base32(body sha256(body)[0..4])        lower-case Crockford alphabet: no i l o u
//          | "kumoi2" base32(subject:32 body sha256(subject body)[0..4])
//   body  := fabric:32 expiresAtMs:u48 nonce:8 strings(bootstraps) count:u8 { id:32 strings(addresses) }
//            chain(issuer) signature:64                       strings := count:u8 { length:u8 utf8 }

import { createHash } from 'node:crypto'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import { checkChain, decodeChain, encodeChain, subjectOf } from './certificate.ts'
import type { Chain } from './certificate.ts'
import { KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './keys.ts'
import type { Keys } from './keys.ts'

export interface TicketMember { readonly id: NodeId; readonly addresses: readonly string[] }

export interface Ticket {
  readonly fabric: NodeId
  /** The only key that it admits; left out: whoever holds it. */
  readonly subject?: NodeId
  /** Wall clock of the issuer plus the lifetime; judged by the admitting member's wall clock. */
  readonly expiresAtMs: number
  readonly nonce: Uint8Array
  /** DHT nodes, "host:port". */
  readonly bootstraps: readonly string[]
  /** Members to ask, the issuer first. */
  readonly members: readonly TicketMember[]
  readonly chain: Chain
}

const PREFIX = 'kumoi1'
const BOUND_PREFIX = 'kumoi2'
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const CHECKSUM_BYTES = 4
const NONCE_BYTES = 8
const CONTEXT = Buffer.from('kumoi ticket 1\0')
const BOUND_CONTEXT = Buffer.from('kumoi ticket 2\0')

export interface TicketDraft {
  readonly fabric: NodeId
  readonly subject?: NodeId
  readonly chain: Chain
  readonly issuer: Keys
  readonly expiresAtMs: number
  readonly nonce: Uint8Array
  readonly bootstraps: readonly string[]
  readonly members: readonly TicketMember[]
}

/** Signs and prints a ticket. */
export function printTicket(draft: TicketDraft): string {
  const expires = Buffer.alloc(6)
  expires.writeUIntBE(Math.floor(draft.expiresAtMs), 0, 6)
  const { subject } = draft
  const unsigned = Buffer.concat([
    Buffer.from((subject ?? '') + draft.fabric, 'hex'), expires, draft.nonce.subarray(0, NONCE_BYTES), strings(draft.bootstraps),
    Buffer.from([draft.members.length]),
    ...draft.members.flatMap((member) => [Buffer.from(member.id, 'hex'), strings(member.addresses)]),
    encodeChain(draft.chain),
  ])
  const body = Buffer.concat([unsigned, draft.issuer.sign(Buffer.concat([subject === undefined ? CONTEXT : BOUND_CONTEXT, unsigned]))])
  return (subject === undefined ? PREFIX : BOUND_PREFIX) + toBase32(Buffer.concat([body, checksum(body)]))
}

/**
 * Reads a ticket and checks its checksum and signatures, not its expiry (the admitting member does that).
 * Throws FABRIC_ERR_TICKET_MALFORMED or FABRIC_ERR_TICKET_ALTERED.
 */
export function readTicket(text: string): Ticket {
  const word = text.trim()
  const bound = word.startsWith(BOUND_PREFIX)
  if (!bound && !word.startsWith(PREFIX)) throw FABRIC.TICKET_MALFORMED({ why: `it does not start with "${PREFIX}"` })
  if (word.length > LIMITS.ticketCharsMax) throw FABRIC.TICKET_MALFORMED({ why: `it is longer than ${LIMITS.ticketCharsMax} characters` })
  const bytes = fromBase32(word.slice(PREFIX.length))
  if (bytes === undefined || bytes.byteLength <= CHECKSUM_BYTES + SIGNATURE_BYTES) throw FABRIC.TICKET_MALFORMED({ why: 'characters are missing or foreign' })
  const body = bytes.subarray(0, -CHECKSUM_BYTES)
  if (!checksum(body).equals(bytes.subarray(-CHECKSUM_BYTES))) throw FABRIC.TICKET_MALFORMED({ why: 'its checksum does not fit' })

  const unsigned = body.subarray(0, -SIGNATURE_BYTES)
  const ticket = parseBody(unsigned, bound)
  if (ticket === undefined) throw FABRIC.TICKET_MALFORMED({ why: 'its fields do not fit together' })
  const issuer = subjectOf(ticket.chain)
  try {
    checkChain(ticket.fabric, ticket.chain, issuer)
  } catch (cause) {
    throw FABRIC.TICKET_ALTERED({ fabric: ticket.fabric }, { cause })
  }
  if (!verifySignature(Buffer.from(issuer, 'hex'), Buffer.concat([bound ? BOUND_CONTEXT : CONTEXT, unsigned]), body.subarray(-SIGNATURE_BYTES))) {
    throw FABRIC.TICKET_ALTERED({ fabric: ticket.fabric })
  }
  return ticket
}

/** The admitting member's judgement. Throws FABRIC_ERR_TICKET_FOREIGN, FABRIC_ERR_TICKET_BOUND or FABRIC_ERR_TICKET_EXPIRED. */
export function judgeTicket(ticket: Ticket, judge: { readonly fabric: NodeId; readonly wallMs: number; readonly joiner: NodeId }): void {
  if (ticket.fabric !== judge.fabric) throw FABRIC.TICKET_FOREIGN({ ticketFabric: ticket.fabric, fabric: judge.fabric })
  if (ticket.subject !== undefined && ticket.subject !== judge.joiner) throw FABRIC.TICKET_BOUND({ subject: ticket.subject, joiner: judge.joiner })
  if (judge.wallMs >= ticket.expiresAtMs) throw FABRIC.TICKET_EXPIRED({ expiredAtMs: ticket.expiresAtMs, judgedAtMs: judge.wallMs })
}

function parseBody(bytes: Buffer, bound: boolean): Ticket | undefined {
  let at = 0
  const take = (length: number): Buffer => {
    if (at + length > bytes.byteLength) throw new RangeError('ticket ends early')
    return bytes.subarray(at, (at += length))
  }
  const takeCount = (): number => take(1)[0] as number
  const takeStrings = (): string[] => {
    const count = takeCount()
    if (count > LIMITS.addressesMax) throw new RangeError('too many addresses')
    return Array.from({ length: count }, () => take(takeCount()).toString('utf8'))
  }
  try {
    const subject = bound ? { subject: take(KEY_BYTES).toString('hex') } : {}
    const fabric = take(KEY_BYTES).toString('hex')
    const expiresAtMs = take(6).readUIntBE(0, 6)
    const nonce = Uint8Array.from(take(NONCE_BYTES))
    const bootstraps = takeStrings()
    const members = Array.from({ length: takeCount() }, () => ({ id: take(KEY_BYTES).toString('hex'), addresses: takeStrings() }))
    const chain = decodeChain(bytes.subarray(at))
    return chain === undefined ? undefined : { fabric, ...subject, expiresAtMs, nonce, bootstraps, members, chain }
  } catch {
    return undefined
  }
}

const checksum = (body: Uint8Array): Buffer => createHash('sha256').update(body).digest().subarray(0, CHECKSUM_BYTES)

const strings = (list: readonly string[]): Buffer =>
  Buffer.concat([Buffer.from([list.length]), ...list.flatMap((item) => {
    const text = Buffer.from(item, 'utf8')
    return [Buffer.from([text.byteLength]), text]
  })])

function toBase32(bytes: Uint8Array): string {
  let text = '', held = 0, bits = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(held >>> (bits - 5)) & 31]
    held &= 255
  }
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31]
}

/** Undefined for a foreign character, and for a text that toBase32 would not have written. */
function fromBase32(text: string): Buffer | undefined {
  const bytes = Buffer.alloc(Math.floor((text.length * 5) / 8))
  let held = 0, bits = 0, at = 0
  for (const character of text) {
    const value = ALPHABET.indexOf(character)
    if (value < 0) return undefined
    held = ((held << 5) | value) & 4095
    if ((bits += 5) >= 8) bytes[at++] = (held >>> (bits -= 8)) & 255
  }
  return toBase32(bytes) === text ? bytes : undefined
}
