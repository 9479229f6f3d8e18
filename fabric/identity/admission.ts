// Admission: who gets past the hello. A pure state machine for each side of one stream.
//
// The Noise handshake below has proved the peer's key (`peer`) and, because both sides drew fresh
// ephemeral keys, that it is alive now: a replayed first message never gets here. Everything else is
// decided here, from (state, message, context) alone, and nothing else of the peer is looked at before.
//
//   acceptor  waiting -hello-> welcomed -ready-> up          waiting -join-> admitted (stream ends)
//   dialler   waiting -welcome-> up (says ready)             waiting -admitted-> joined (stream ends)
//   any other message, or a failed check: refused, with a typed reason sent to the peer

import { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { checkChain, extendChain, subjectOf } from './certificate.ts'
import type { Chain } from './certificate.ts'
import { PROTOCOL } from './hello.ts'
import type { HelloMessage, Introduction, StreamKind } from './hello.ts'
import type { Keys } from './keys.ts'
import type { Revocations } from './revocation.ts'
import { judgeTicket, readTicket } from './ticket.ts'

/** What the machine may look at. */
export interface AdmissionContext {
  /** The peer's key, proved by Noise. */
  readonly peer: NodeId
  readonly wallMs: number
  /** This member, as it introduces itself; a joiner has none. */
  readonly self: Introduction | undefined
  readonly keys: Keys
  readonly bootstraps: readonly string[]
  /** Another live member that holds the name, if any. */
  readonly nameHolder: (name: string, id: NodeId) => NodeId | undefined
  /** Nodes that were cut off; a joiner knows of none. */
  readonly revocations?: Pick<Revocations, 'refusal' | 'refusalOf'>
}

export type AdmissionState =
  | { readonly at: 'waiting' }
  | { readonly at: 'welcomed'; readonly peer: Introduction; readonly stream: StreamKind }
  | { readonly at: 'up'; readonly peer: Introduction; readonly stream: StreamKind }
  /** A joiner was served, or this joiner has its chain; the stream has done its work. */
  | { readonly at: 'served' }
  | { readonly at: 'joined'; readonly fabric: NodeId; readonly chain: Chain; readonly bootstraps: readonly string[] }
  | { readonly at: 'refused'; readonly error: CodedError }

export interface AdmissionStep {
  readonly state: AdmissionState
  readonly send?: HelloMessage
}

export type DialPurpose =
  | { readonly kind: 'link'; readonly stream: StreamKind }
  | { readonly kind: 'join'; readonly ticket: string; readonly fabric: NodeId; readonly name: string }

export const WAITING: AdmissionState = { at: 'waiting' }

/** The dialler's first message. */
export function openingMessage(purpose: DialPurpose, self: Introduction | undefined): HelloMessage {
  if (purpose.kind === 'join') return { type: 'join', protocol: PROTOCOL, ticket: purpose.ticket, name: purpose.name }
  if (self === undefined) throw new Error('broken invariant: only a certified member dials a link')
  return { type: 'hello', stream: purpose.stream, ...self }
}

/** One message at the accepting side. */
export function acceptStep(state: AdmissionState, message: HelloMessage, context: AdmissionContext): AdmissionStep {
  return guarded(() => {
    if (state.at === 'welcomed' && message.type === 'ready') return { state: { at: 'up', peer: state.peer, stream: state.stream } }
    if (state.at !== 'waiting') throw unexpected(message, context)
    checkRevoked(context)
    const self = context.self
    if (self === undefined) throw FABRIC.HELLO_INVALID({ peer: context.peer, why: 'this node belongs to no fabric yet' })
    if (message.type === 'hello') {
      checkIntroduction(message, self, context)
      return { state: { at: 'welcomed', peer: message, stream: message.stream }, send: { type: 'welcome', ...self } }
    }
    if (message.type === 'join') {
      checkProtocol(message.protocol, context.peer)
      const ticket = readTicket(message.ticket)
      judgeTicket(ticket, { fabric: self.fabric, wallMs: context.wallMs, joiner: context.peer })
      refuse(context.revocations?.refusalOf(ticket.chain))
      checkName(message.name, context)
      const chain = extendChain(self.fabric, self.chain, context.keys, context.peer)
      return { state: { at: 'served' }, send: { type: 'admitted', fabric: self.fabric, chain, bootstraps: context.bootstraps } }
    }
    throw unexpected(message, context)
  })
}

/** One message at the dialling side. */
export function dialStep(purpose: DialPurpose, message: HelloMessage, context: AdmissionContext): AdmissionStep {
  if (message.type === 'refused') return { state: { at: 'refused', error: refusal(message) } }
  return guarded(() => {
    if (purpose.kind === 'link' && message.type === 'welcome' && context.self !== undefined) {
      checkIntroduction(message, context.self, context)
      return { state: { at: 'up', peer: message, stream: purpose.stream }, send: { type: 'ready' } }
    }
    if (purpose.kind === 'join' && message.type === 'admitted') {
      if (message.fabric !== purpose.fabric) throw FABRIC.HELLO_FOREIGN({ peer: context.peer, peerFabric: message.fabric, fabric: purpose.fabric })
      checkChain(message.fabric, message.chain, context.keys.id)
      const admitter = message.chain.length > 1 ? subjectOf(message.chain.slice(0, -1)) : undefined
      if (admitter !== context.peer) throw FABRIC.CERTIFICATE_INVALID({ node: context.peer, why: 'it handed out a certificate that it did not sign' })
      return { state: { at: 'joined', fabric: message.fabric, chain: message.chain, bootstraps: message.bootstraps } }
    }
    throw unexpected(message, context)
  })
}

function checkIntroduction(peer: Introduction, self: Introduction, context: AdmissionContext): void {
  checkProtocol(peer.protocol, context.peer)
  if (peer.fabric !== self.fabric) throw FABRIC.HELLO_FOREIGN({ peer: context.peer, peerFabric: peer.fabric, fabric: self.fabric })
  checkChain(self.fabric, peer.chain, context.peer)
  refuse(context.revocations?.refusalOf(peer.chain))
  checkName(peer.name, context)
}

/** Before anything that a revoked node says is looked at; it is told why. */
const checkRevoked = ({ revocations, peer }: AdmissionContext): void => refuse(revocations?.refusal(peer))

function refuse(why: CodedError | undefined): void { if (why !== undefined) throw why }

function checkProtocol(protocol: number, peer: NodeId): void {
  if (protocol !== PROTOCOL) throw FABRIC.HELLO_VERSION({ peer, protocol, ours: PROTOCOL })
}

function checkName(name: string, context: AdmissionContext): void {
  const holder = context.nameHolder(name, context.peer)
  if (holder !== undefined) throw FABRIC.NAME_TAKEN({ name, holder })
}

const unexpected = (message: HelloMessage, context: AdmissionContext): CodedError =>
  FABRIC.HELLO_INVALID({ peer: context.peer, why: `it said "${message.type}" out of turn` })

/** Coded errors become refusals; anything else is our own fault and stays an exception. */
function guarded(step: () => AdmissionStep): AdmissionStep {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    return { state: { at: 'refused', error }, send: { type: 'refused', code: error.code, message: error.message, details: error.details } }
  }
}

/** The peer's refusal as the same coded error here. */
const refusal = (message: HelloMessage & { type: 'refused' }): CodedError =>
  new CodedError(message.message, { code: message.code, details: message.details, outcome: 'not-started' })
