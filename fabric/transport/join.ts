// Joining: a node without a fabric takes a ticket to the members it names and brings back its certificate.
//
// Each member is tried at each of its addresses by TCP, then through the overlay (UDX). A refusal by a member
// (expired, foreign, name taken) is final: the others would say the same.

import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import type { DialPurpose } from '../identity/admission.ts'
import type { Identity } from '../identity/store.ts'
import { readTicket } from '../identity/ticket.ts'
import type { Ticket } from '../identity/ticket.ts'
import { LIMITS } from '../limits.ts'
import { greet } from './handshake.ts'
import { dialTcp } from './listener.ts'
import { dialOnce } from './overlay.ts'
import type { Wire } from './wire.ts'

export interface JoinOptions {
  readonly identity: Identity
  readonly ticket: string
  readonly name: string
  /** Address to dial from. */
  readonly host: string
  readonly clock: Clock
}

type Admitted = { readonly ok: true; readonly chain: Parameters<Identity['adopt']>[0]['chain']; readonly bootstraps: readonly string[] }
type Outcome = Admitted | { readonly ok: false; readonly why: string; readonly refusal?: CodedError }

/** Throws FABRIC_ERR_TICKET_*, FABRIC_ERR_FABRIC_FOREIGN, FABRIC_ERR_NAME_TAKEN, FABRIC_ERR_JOIN_FAILED. Does nothing for a member, unless the ticket was made for its key. */
export async function joinFabric(options: JoinOptions): Promise<void> {
  const { identity, clock } = options
  const ticket = readTicket(options.ticket)
  if (identity.fabric !== undefined) {
    // A ticket for this very key brings a new certificate: the one that admitted it may count no more.
    if (identity.fabric.id === ticket.fabric && ticket.subject !== identity.keys.id) return
    if (identity.fabric.id !== ticket.fabric) throw FABRIC.FABRIC_FOREIGN({ ticketFabric: ticket.fabric, fabric: identity.fabric.id })
  }
  const purpose: DialPurpose = { kind: 'join', ticket: options.ticket.trim(), fabric: ticket.fabric, name: options.name }
  const failures: string[] = []
  for (const attempt of attempts(ticket, options)) {
    const outcome = await attempt(purpose)
    if (outcome.ok) {
      const bootstraps = [...new Set([...outcome.bootstraps, ...ticket.bootstraps])].slice(0, LIMITS.addressesMax)
      await identity.adopt({ id: ticket.fabric, chain: outcome.chain, name: options.name, bootstraps, members: ticket.members })
      return
    }
    if (outcome.refusal !== undefined) throw outcome.refusal
    failures.push(outcome.why)
  }
  throw FABRIC.JOIN_FAILED({ fabric: ticket.fabric, addresses: ticket.members.flatMap((member) => member.addresses), why: failures.join('; ') || 'the ticket names nobody' })

  function* attempts(from: Ticket, { host }: JoinOptions): Iterable<(purpose: DialPurpose) => Promise<Outcome>> {
    for (const member of from.members) {
      for (const address of member.addresses) {
        yield (why) => new Promise((resolve) => {
          dialTcp({
            keys: identity.keys, peer: member.id, address, from: host, timeoutMs: LIMITS.tcpDialTimeoutMs, clock,
            opened: (wire) => ask(wire, why, resolve),
            failed: (how) => resolve({ ok: false, why: `${address} ${how}` }),
          })
        })
      }
    }
    for (const member of from.members) yield (why) => overOverlay(from, member.id, host, why)
  }

  async function overOverlay(from: Ticket, peer: NodeId, host: string, why: DialPurpose): Promise<Outcome> {
    try {
      const { wire, destroy } = await dialOnce({ keys: identity.keys, host, bootstraps: from.bootstraps, peer, clock })
      const outcome = await new Promise<Outcome>((resolve) => ask(wire, why, resolve))
      await destroy()
      return outcome
    } catch {
      return { ok: false, why: `${peer.slice(0, 8)} not found through ${from.bootstraps.join(', ') || 'the overlay'}` }
    }
  }

  function ask(wire: Wire, why: DialPurpose, resolve: (outcome: Outcome) => void): void {
    greet({
      wire, purpose: why, clock,
      context: () => ({ peer: wire.remote, wallMs: clock.wallMs(), self: undefined, keys: identity.keys, bootstraps: [], nameHolder: () => undefined }),
      linkFor: () => 0,
      done: (greeting) => {
        if (greeting.at === 'joined') resolve({ ok: true, chain: greeting.chain, bootstraps: greeting.bootstraps })
        else if (greeting.at === 'refused' && !isTransient(greeting.error)) resolve({ ok: false, why: greeting.error.message, refusal: greeting.error })
        else resolve({ ok: false, why: `${wire.address} gave no answer` })
      },
    })
  }
}

/** A stream that ended or spoke nonsense says nothing about the ticket; another member may answer. */
const isTransient = (error: CodedError): boolean => error.code === FABRIC.HELLO_INVALID.code
