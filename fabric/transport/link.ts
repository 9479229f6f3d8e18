// One link to one admitted peer: its wires, its lanes, and the reason of its end.
//
// A link is the pairing of (our session, our link number) with (theirs). Wires of that pairing join it,
// from either side, at any time; lanes.ts decides which of them carries what. When frames may have been
// lost the link ends as a whole, and the next one has a higher number, so that both sides always agree on
// where "before" stops.
//
// Control messages on an admitted wire are at most seven bytes: BYE, MOVE lane, START lane jump epoch:u32, SPARE.
//
//   up --bye, ours or theirs--> closed
//   up --wires die by the OS--> ending --redial refused--> reset     (the process is gone)
//                                      --redial answered or no answer--> lost
//   up --silence--------------> lost

import type { Clock } from '../clock.ts'
import { LIMITS } from '../limits.ts'
import type { Chain } from '../identity/certificate.ts'
import type { Introduction, StreamKind } from '../identity/hello.ts'
import type { Lane, Link, PeerHello } from './contract.ts'
import { LANES, Lanes } from './lanes.ts'
import type { Channel, Wire, WireEnd } from './wire.ts'

export type LinkEnd = 'closed' | 'reset' | 'lost'

const BYE = 1
const MOVE = 2
const START = 3
const SPARE = 4

export interface WireLinkOptions {
  readonly self: string
  readonly peer: Introduction & { readonly id: string }
  /** Our own number of this link. */
  readonly number: number
  readonly clock: Clock
  /** Asks the operating system whether anybody listens where the peer did: true = refused. */
  readonly probeRefused: () => Promise<boolean>
  /** The link takes no more frames; its reason follows. Called once, before any onClose listener. */
  readonly ended: () => void
}

export class WireLink implements Link {
  readonly peer: PeerHello
  /** The peer's process and its number of this link. */
  readonly session: string
  readonly peerNumber: number
  readonly number: number
  /** What certifies the peer: judged again when nodes are revoked. */
  readonly chain: Chain
  readonly #options: WireLinkOptions
  readonly #lanes = new Lanes<Wire>()
  readonly #receivers = new Map<Lane, (frame: Uint8Array) => void>()
  readonly #drained = new Map<Lane, () => void>()
  readonly #closers: ((why: LinkEnd) => void)[] = []
  readonly #full = new Set<Lane>()
  #gossipTimer = false
  #state: 'up' | 'ending' | 'over' = 'up'
  #why: LinkEnd = 'lost'
  /** Wires on which the peer said goodbye; what it sent before on the others is still delivered. */
  readonly #byes = new Set<Wire>()

  constructor(options: WireLinkOptions) {
    this.#options = options
    this.number = options.number
    this.session = options.peer.session
    this.chain = options.peer.chain
    this.peerNumber = options.peer.link
    this.peer = { id: options.peer.id, name: options.peer.name, version: options.peer.version, addresses: options.peer.addresses }
  }

  get up(): boolean { return this.#state === 'up' }

  send(lane: Lane, frame: Uint8Array): boolean {
    if (this.#state !== 'up') return true
    const chosen = this.#lanes.choose(lane)
    if (chosen === undefined) return true
    if (chosen.moveFrom !== undefined) {
      chosen.moveFrom.send('control', Uint8Array.of(MOVE, LANES.indexOf(lane)))
      this.#retireLater(chosen.moveFrom)
    }
    if (chosen.start !== undefined) chosen.wire.send('control', encodeStart(lane, chosen.start))
    const room = chosen.wire.send(lane, frame)
    if (!room) this.#full.add(lane)
    return room
  }

  onFrame(lane: Lane, receive: (frame: Uint8Array) => void): void { this.#receivers.set(lane, receive) }
  onDrain(lane: Lane, drained: () => void): void { this.#drained.set(lane, drained) }

  onClose(closed: (why: LinkEnd) => void): void {
    if (this.#state === 'over') queueMicrotask(() => closed(this.#why))
    else this.#closers.push(closed)
  }

  close(): void { this.finish('closed', 'bye') }

  describe(): Readonly<Record<Lane, string>> {
    const table = this.#lanes.table()
    return { gossip: table.gossip?.path ?? 'none', rpc: table.rpc?.path ?? 'none', bulk: table.bulk?.path ?? 'none' }
  }

  /** A wire whose hello named this pairing. */
  attach(wire: Wire, kind: StreamKind): void {
    const opener = wire.dialled ? this.#options.self : this.peer.id
    const other = wire.dialled ? this.peer.id : this.#options.self
    this.#lanes.add({ wire, kind, preferred: opener < other })
    wire.handle({
      frame: (channel, frame) => this.replay(wire, channel, frame),
      drain: () => this.#drain(),
      close: (how) => this.#wireClosed(wire, how),
    })
    for (const strand of this.#lanes.strands) this.#retireLater(strand.wire)
  }

  /** A frame that its wire read before it belonged to this link. */
  replay(wire: Wire, channel: Channel, frame: Uint8Array): void {
    if (channel === 'control') this.#control(wire, frame)
    else this.#receive(channel, wire, frame)
  }

  /** Ends the link now. With 'bye' the peer is told. */
  finish(why: LinkEnd, manner: 'bye' | 'drop'): void {
    if (this.#state === 'over') return
    const wasUp = this.#state === 'up'
    this.#state = 'over'
    this.#why = why
    for (const { wire } of [...this.#lanes.strands]) {
      this.#lanes.remove(wire)
      if (manner === 'bye') {
        wire.send('control', Uint8Array.of(BYE))
        wire.end()
      } else wire.destroy('ended')
    }
    if (wasUp) this.#options.ended()
    for (const closed of this.#closers.splice(0)) closed(why)
  }

  #receive(lane: Lane, wire: Wire, frame: Uint8Array): void {
    if (this.#state !== 'up') return
    const verdict = this.#lanes.receive(lane, wire, frame)
    if (verdict === 'deliver') this.#receivers.get(lane)?.(frame)
    else if (verdict === 'overflow') this.finish('lost', 'drop')
    else if (lane === 'gossip') this.#giveUpGossipLater()
  }

  /** The wire with the missing end may be dead without anybody having noticed; gossip does not wait for that. */
  #giveUpGossipLater(): void {
    if (this.#gossipTimer) return
    this.#gossipTimer = true
    this.#options.clock.after(LIMITS.gossipHoldMs, () => {
      this.#gossipTimer = false
      this.#deliver('gossip', this.#lanes.giveUpGossip())
    }, { background: true })
  }

  #control(wire: Wire, message: Uint8Array): void {
    const lane = LANES[message[1] ?? LANES.length]
    switch (message[0]) {
      case BYE: return this.#bye(wire)
      case MOVE: if (lane !== undefined) this.#deliver(lane, this.#lanes.moved(lane, wire)); break
      case START: if (lane !== undefined) this.#deliver(lane, this.#lanes.started(lane, wire, decodeStart(message))); break
      case SPARE: return this.#wireClosed(wire, 'ended')
      default: wire.destroy('broken')
    }
    this.#retireLater(wire)
  }

  #bye(wire: Wire): void {
    if (this.#state !== 'up') return
    if (this.#byes.size === 0) this.#options.clock.after(LIMITS.transportCloseMs, () => this.finish('closed', 'drop'), { background: true })
    this.#byes.add(wire)
    if (this.#lanes.strands.every((strand) => this.#byes.has(strand.wire))) this.finish('closed', 'drop')
  }

  #deliver(lane: Lane, frames: readonly Uint8Array[]): void {
    for (const frame of frames) if (this.#state === 'up') this.#receivers.get(lane)?.(frame)
  }

  #drain(): void {
    for (const lane of [...this.#full]) {
      this.#full.delete(lane)
      this.#drained.get(lane)?.()
    }
  }

  #wireClosed(wire: Wire, how: WireEnd): void {
    if (this.#state !== 'up') return
    // Once the peer has said goodbye, its wires only close in some order.
    if (this.#byes.size > 0) return this.#bye(wire)
    if (this.#lanes.find(wire) === undefined) return
    const { verdict, gossip } = this.#lanes.remove(wire)
    this.#deliver('gossip', gossip)
    this.#drain()
    if (how !== 'reset') return verdict === 'ends' ? this.finish('lost', 'drop') : undefined
    if (verdict === 'ends') {
      this.#state = 'ending'
      this.#options.ended()
    }
    // The operating system closed a socket: is the process gone, or only the path cut? Ask its listener. An idle
    // link with a UDX wire left goes on in the meantime: UDX alone would notice a dead process only in 15 seconds.
    void this.#options.probeRefused().then((refused) => {
      if (refused) this.finish('reset', 'drop')
      else if (verdict === 'ends') this.finish('lost', 'drop')
    })
  }

  /** Of two wires of one kind, the side that dialled the one not kept closes it, once no lane is on it. */
  #retireLater(wire: Wire): void {
    if (!wire.dialled || !this.#lanes.spare(wire)) return
    this.#options.clock.after(LIMITS.spareStreamMs, () => {
      if (this.#state !== 'up' || !this.#lanes.spare(wire)) return
      this.#lanes.remove(wire)
      wire.send('control', Uint8Array.of(SPARE))
      wire.end()
    }, { background: true })
  }
}

function encodeStart(lane: Lane, start: { readonly epoch: number; readonly jump: boolean }): Buffer {
  const message = Buffer.from([START, LANES.indexOf(lane), start.jump ? 1 : 0, 0, 0, 0, 0])
  message.writeUInt32BE(start.epoch, 3)
  return message
}

function decodeStart(message: Uint8Array): { epoch: number; jump: boolean } {
  const epoch = message.byteLength === 7 ? new DataView(message.buffer, message.byteOffset).getUint32(3) : 0
  return { epoch, jump: message[2] === 1 }
}
