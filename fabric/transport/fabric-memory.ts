// What a node remembers of its fabric for its own next start, and tells a joiner in a ticket.
//
// Every member runs a DHT node on the address it serves, so the first address of a member is a bootstrap too.

import type { Clock, Random } from '../clock.ts'
import type { NodeId } from '../id.ts'
import type { FabricRecord, Identity } from '../identity/store.ts'
import { printTicket } from '../identity/ticket.ts'
import { LIMITS } from '../limits.ts'
import type { Peers } from './peers.ts'

export interface FabricMemory {
  /** Own address first, then linked members, then what was known before. */
  bootstraps(): string[]
  /** Writes soon what has changed; many calls, one write. */
  saveLater(): void
  save(): Promise<void>
  /** `subject`: the only key that it admits. */
  makeTicket(fabric: FabricRecord, lifetimeMs: number, subject?: NodeId): string
}

/** `addresses` gives the own ones, once listening. */
export function fabricMemory(options: { readonly identity: Identity; readonly peers: Peers; readonly clock: Clock; readonly random: Random; readonly addresses: () => readonly string[] }): FabricMemory {
  const { identity, peers, clock, random } = options
  let saving = false

  function bootstraps(): string[] {
    const linked = [...peers.upLinks()].map((link) => link.peer.addresses[0])
    const all = [options.addresses()[0], ...linked, ...(identity.fabric?.bootstraps ?? [])]
    return [...new Set(all.filter((item) => item !== undefined))].slice(0, LIMITS.addressesMax)
  }

  async function save(): Promise<void> {
    const linked = [...peers.upLinks()].map((link) => ({ id: link.peer.id, addresses: link.peer.addresses }))
    const kept = (identity.fabric?.members ?? []).filter((member) => linked.every((other) => other.id !== member.id))
    // A full disk must not stop the node: what is remembered only speeds the next start.
    await identity.remember({ members: [...linked, ...kept].slice(0, LIMITS.membersRememberedMax), bootstraps: bootstraps() }).catch(() => {})
  }

  return {
    bootstraps,
    save,
    saveLater() {
      if (saving) return
      saving = true
      clock.after(LIMITS.rememberDelayMs, () => {
        saving = false
        void save()
      }, { background: true })
    },
    makeTicket(fabric, lifetimeMs, subject) {
      const linked = [...peers.upLinks()].slice(0, LIMITS.ticketMembers - 1)
      return printTicket({
        fabric: fabric.id, ...(subject === undefined ? {} : { subject }), chain: fabric.chain, issuer: identity.keys, nonce: random.bytes(8),
        expiresAtMs: clock.wallMs() + lifetimeMs, bootstraps: bootstraps().slice(0, LIMITS.ticketMembers),
        members: [
          { id: identity.keys.id, addresses: options.addresses().slice(0, LIMITS.addressesMax) },
          ...linked.map((link) => ({ id: link.peer.id, addresses: link.peer.addresses.slice(0, 2) })),
        ],
      })
    },
  }
}
