// The real transport: links over Noise/TCP where hosts reach each other, Noise/UDX through a private
// hyperswarm otherwise, both behind one hello.
//
// A dial (dialler.ts) tries TCP first, then the overlay. The side that opened the first stream opens a second one for bulk; the overlay's stream, when it comes, takes
// over gossip. Streams of the same (session, link number) on both sides belong to one link, so simultaneous
// dials meet in one link, a restarted peer (new session) replaces its old one, and a half that noticed a loss
// first (higher number) ends the other half. See link.ts for how a link ends, lanes.ts for who carries what.

import type { Clock, Random } from '../clock.ts'
import type { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import type { AdmissionContext, DialPurpose } from '../identity/admission.ts'
import { PROTOCOL } from '../identity/hello.ts'
import type { Introduction, StreamKind } from '../identity/hello.ts'
import type { Revocations } from '../identity/revocation.ts'
import type { Identity } from '../identity/store.ts'
import { LIMITS } from '../limits.ts'
import { dialableAddresses, splitAddress } from './address.ts'
import type { Link, Transport } from './contract.ts'
import { createDialler } from './dialler.ts'
import { Door } from './door.ts'
import { greet } from './handshake.ts'
import type { Greeting } from './handshake.ts'
import { joinFabric } from './join.ts'
import { WireLink } from './link.ts'
import { fabricMemory } from './fabric-memory.ts'
import { listen, probeRefused } from './listener.ts'
import type { Listener } from './listener.ts'
import { openOverlay } from './overlay.ts'
import type { Overlay } from './overlay.ts'
import { Peers } from './peers.ts'
import type { PeerRecord, WaitingWire } from './peers.ts'
import type { Wire } from './wire.ts'

export interface HyperswarmTransportOptions {
  readonly identity: Identity
  readonly name: string
  readonly version: string
  /** Address served, by TCP and UDP alike; port 0 takes the last one used, or a free one. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly clock: Clock
  readonly random: Random
  /** The live member, other than `id`, that holds `name`, as membership knows. */
  readonly nameHolder?: (name: string, id: NodeId) => NodeId | undefined
  /** Nodes that were cut off; left out: none ever is. */
  readonly revocations?: Revocations
  /** 'direct' runs without the overlay: TCP between known addresses only, no discovery. Default 'full'. */
  readonly overlay?: 'full' | 'direct'
}

export interface HyperswarmTransport extends Transport {
  /** Joins the fabric of a ticket, before start(). Throws FABRIC_ERR_TICKET_*, _FABRIC_FOREIGN, _NAME_TAKEN, _JOIN_FAILED. */
  join(ticket: string): Promise<void>
  /** A ticket for new members, after start(). */
  makeTicket(options?: { readonly lifetimeMs?: number; readonly subject?: NodeId }): string
  /** The list of revoked nodes changed: ends every link that it forbids, and lets those in again whom it does not name any more. */
  revised(readmitted: readonly NodeId[]): void
  /** A member refused this node because it was revoked, by the word of that member. */
  onRefused(refused: (by: NodeId, why: CodedError) => void): void
}

export function createHyperswarmTransport(options: HyperswarmTransportOptions): HyperswarmTransport {
  const { identity, clock, random } = options
  const keys = identity.keys
  const host = options.listen.host
  const session = Buffer.from(random.bytes(8)).toString('hex')
  const door = new Door()
  const peers = new Peers()
  const upListeners: ((link: Link) => void)[] = []
  const foundListeners: ((peer: NodeId, addresses: readonly string[]) => void)[] = []
  const refusedListeners: ((by: NodeId, why: CodedError) => void)[] = []
  const { revocations } = options
  let listener: Listener | undefined
  let overlay: Overlay | undefined
  let addresses: readonly string[] = []
  const memory = fabricMemory({ identity, peers, clock, random, addresses: () => addresses })
  let closed = false
  const dialler = createDialler({
    keys, host, clock, peers, meet, admit, closed: () => closed,
    dialOverlay: (peer) => overlay?.dial(peer),
  })

  // ---- the hello

  const introduction = (record: PeerRecord): Introduction | undefined => identity.fabric && {
    protocol: PROTOCOL, fabric: identity.fabric.id, chain: identity.fabric.chain, name: options.name,
    version: options.version, addresses, session, link: record.number,
  }

  function meet(wire: Wire, purpose: DialPurpose | undefined, done: (greeting: Greeting) => void): void {
    const record = peers.of(wire.remote)
    greet({
      wire, purpose, clock,
      done: (greeting) => {
        const told = purpose !== undefined && greeting.at === 'refused' && (greeting.error.code === FABRIC.REVOKED.code || greeting.error.code === FABRIC.REVOKED_ADMISSION.code)
        // Its own word about us, not ours about it.
        if (told && greeting.error.details['node'] === keys.id) for (const tell of refusedListeners) tell(wire.remote, greeting.error)
        done(greeting)
      },
      context: (): AdmissionContext => ({
        peer: wire.remote, wallMs: clock.wallMs(), keys, bootstraps: memory.bootstraps(),
        self: introduction(record), nameHolder, ...(revocations === undefined ? {} : { revocations }),
      }),
      linkFor: (peer) => {
        endIfStale(record, peer)
        return record.number
      },
    })
  }

  function nameHolder(name: string, id: NodeId): NodeId | undefined {
    if (name === options.name && id !== keys.id) return keys.id
    return options.nameHolder?.(name, id)
  }

  /** A certified hello of another process, or of a later link, proves that the present link is over. */
  function endIfStale(record: PeerRecord, peer: Introduction): void {
    const link = record.link
    if (link?.up !== true) return
    if (link.session !== peer.session) link.finish('reset', 'drop')
    else if (peer.link > link.peerNumber) link.finish('lost', 'drop')
  }

  function accept(wire: Wire, leave: () => void): void {
    if (closed) return wire.destroy('ended')
    meet(wire, undefined, (greeting) => {
      leave()
      if (greeting.at === 'up') admit(wire, greeting)
    })
  }

  // ---- links

  /** A wire whose hello is complete on both sides joins its link, makes it, or is turned away as stale. */
  function admit(wire: Wire, greeting: Greeting & { readonly at: 'up' }): Link | undefined {
    const { peer, stream, ours } = greeting
    const record = peers.of(wire.remote)
    endIfStale(record, peer)
    const present = record.link
    const stale = present?.up === true && (peer.link !== present.peerNumber || peer.session !== present.session)
    // Revoked while its hello was under way.
    const refused = revocations?.refusalOf(peer.chain) !== undefined
    if (closed || stale || refused || ours.link !== record.number) {
      wire.destroy('ended')
      return undefined
    }
    record.addresses = peer.addresses
    if (present?.up === true) present.attach(wire, stream)
    else if (stream === 'aside') {
      wait(record, wire, stream, peer)
      found(record.id)
    } else if (stream === 'udx' && peer.addresses.length > 0) {
      // UDX is there first: give TCP a moment, so that a link does not start on the slower path.
      const waiting = wait(record, wire, stream, peer)
      void dialler.tcp(record, peer.addresses).then(() => waiting.bringUp())
    }
    else bringUp(record, wire, stream, peer)
    return peers.upLink(record.id)
  }

  function bringUp(record: PeerRecord, wire: Wire, stream: StreamKind, peer: Introduction): WireLink {
    // A former link still waiting for its reason hears it before the next one is announced.
    record.link?.finish('lost', 'drop')
    const link = new WireLink({
      self: keys.id, peer: { ...peer, id: record.id }, number: record.number, clock,
      probeRefused: () => probeRefused(peer.addresses, host, clock),
      ended: () => peers.nextNumber(record),
    })
    link.onClose(() => { if (record.link === link) record.link = undefined })
    record.link = link
    link.attach(wire, stream)
    for (const waiting of [...record.waiting]) if (waiting.wire !== wire) waiting.bringUp()
    if (peer.addresses[0] !== undefined) overlay?.learn(peer.addresses[0])
    for (const up of upListeners) up(link)
    if (wire.dialled && stream === 'rpc') dialler.openStream(record, wire.address, 'bulk', () => {})
    memory.saveLater()
    return link
  }

  /** An overlay stream that stands by until there is a link, or until it has to make one. */
  function wait(record: PeerRecord, wire: Wire, stream: StreamKind, peer: Introduction): WaitingWire {
    const number = record.number
    const waiting: WaitingWire = {
      wire,
      bringUp: () => {
        if (!record.waiting.delete(waiting)) return
        if (record.number !== number) return wire.destroy('ended')
        if (record.link?.up === true) record.link.attach(wire, stream)
        else bringUp(record, wire, stream, peer)
      },
    }
    record.waiting.add(waiting)
    let handed = false
    wire.handle({
      drain: () => {},
      close: () => record.waiting.delete(waiting),
      // The peer's side is up and talks: so are we.
      frame: (channel, frame) => {
        waiting.bringUp()
        const link = peers.upLink(record.id)
        if (!handed && link !== undefined) link.replay(wire, channel, frame)
        handed = true
      },
    })
    return waiting
  }

  // ---- listening, and the overlay

  async function startListening(port: number): Promise<void> {
    const listenOn = (wanted: number): Promise<Listener> => listen({ keys, host, port: wanted, door, clock, onWire: accept })
    const remembered = port === 0 ? identity.fabric?.port ?? 0 : port
    listener = await listenOn(remembered).catch((cause: unknown) => {
      if (port === 0 && remembered !== 0) return listenOn(0)
      throw cause
    })
    addresses = dialableAddresses(host, listener.port).slice(0, LIMITS.addressesMax)
    if (options.overlay === 'direct' || identity.fabric === undefined) return
    overlay = await openOverlay({
      keys, fabric: identity.fabric.id, host, port: listener.port, bootstraps: identity.fabric.bootstraps, clock,
      helpers: identity.founder ? LIMITS.dhtHelpers : 0,
      refuses: (peer) => revocations?.refusal(peer) !== undefined,
      onFound: found,
      onWire: (wire) => {
        const place = door.enter(splitAddress(wire.address)?.host ?? '', () => wire.destroy('ended'))
        if (place === undefined || !door.speak(place, clock.nowMs())) return wire.destroy('ended')
        // Whoever opened the stream speaks first.
        if (!wire.dialled) return accept(wire, () => door.leave(place))
        door.leave(place)
        meet(wire, { kind: 'link', stream: 'aside' }, (greeting) => { if (greeting.at === 'up') admit(wire, greeting) })
      },
    })
  }

  function found(peer: NodeId): void {
    if (revocations?.refusal(peer) !== undefined) return
    for (const tell of foundListeners) tell(peer, peers.get(peer)?.addresses ?? [])
  }

  return {
    id: keys.id,
    addresses: () => addresses,
    async start() {
      if (identity.fabric === undefined) throw FABRIC.FABRIC_MISSING({ dataDir: identity.dataDir })
      try {
        await startListening(options.listen.port)
      } catch (cause) {
        void listener?.close()
        throw FABRIC.LISTEN_FAILED({ address: `${host}:${options.listen.port}`, why: cause instanceof Error ? cause.message : String(cause) }, { cause })
      }
      await identity.remember({ port: listener?.port ?? 0, name: options.name })
      for (const member of identity.fabric.members) {
        peers.of(member.id).addresses = member.addresses
        for (const tell of foundListeners) queueMicrotask(() => tell(member.id, member.addresses))
      }
    },
    async dial(peer, { addresses: given = [], timeoutMs = LIMITS.dialTimeoutMs } = {}) {
      if (closed) throw FABRIC.TRANSPORT_CLOSED({ node: keys.id })
      const cause = revocations?.refusal(peer)
      if (cause !== undefined) throw FABRIC.UNREACHABLE({ node: peer, reason: 'it was revoked' }, { cause })
      return dialler.dial(peer, given, timeoutMs)
    },
    link: (peer) => peers.upLink(peer),
    links: () => peers.upLinks(),
    onLink: (up) => { upListeners.push(up) },
    onDiscovered: (tell) => { foundListeners.push(tell) },
    join: (ticket) => joinFabric({ identity, ticket, name: options.name, host, clock }),
    makeTicket({ lifetimeMs = LIMITS.ticketLifetimeMs, subject } = {}) {
      if (identity.fabric === undefined) throw FABRIC.FABRIC_MISSING({ dataDir: identity.dataDir })
      return memory.makeTicket(identity.fabric, lifetimeMs, subject)
    },
    revised(readmitted) {
      for (const link of [...peers.upLinks()]) if (revocations?.refusalOf(link.chain) !== undefined) link.close()
      for (const record of peers.records()) {
        if (revocations?.refusal(record.id) === undefined) continue
        for (const waiting of [...record.waiting]) waiting.wire.destroy('ended')
        record.waiting.clear()
      }
      for (const peer of readmitted) overlay?.unban(peer)
    },
    onRefused: (refused) => { refusedListeners.push(refused) },
    async close() {
      if (closed) return
      closed = true
      await memory.save()
      for (const link of [...peers.upLinks()]) link.close()
      for (const record of peers.records()) for (const waiting of record.waiting) waiting.wire.destroy('ended')
      await Promise.all([overlay?.destroy(), listener?.close()])
    },
  }
}
