// Which stream carries which lane of a link. Pure: no I/O, no time.
//
// A link may have several wires (TCP for calls, TCP for bulk, UDX), and they come and go. Each side chooses
// the wire it sends a lane on. When a better one appears it says "move" on the old wire as the lane's last
// word there, "start n" on the new one, and goes on there. Frames of a lane belong to the epoch last started on
// their wire (0 at first); the receiver delivers one epoch after the other and holds what comes early, so a
// lane keeps its order whichever wire is faster.
//
//   sender:    f7 f8 MOVE     | old wire, epoch 3        receiver:  f7 f8 (MOVE: epoch 4 now) held f9, f10 ...
//              START 4 f9 ... | new wire
//
// A wire that dies under 'rpc' or 'bulk' may have taken frames with it, so the link ends. 'gossip' bears loss:
// it jumps ("start n, whatever was before") to the next best wire.

import type { StreamKind } from '../identity/hello.ts'
import { LIMITS } from '../limits.ts'
import type { Lane } from './contract.ts'

export const LANES: readonly Lane[] = ['gossip', 'rpc', 'bulk']

/** Best first. A lane never waits for a better stream: it starts on what is there. */
const PREFERENCE: Readonly<Record<Lane, readonly StreamKind[]>> = {
  gossip: ['udx', 'aside', 'rpc', 'bulk'],
  rpc: ['rpc', 'udx', 'bulk', 'aside'],
  bulk: ['bulk', 'rpc', 'udx', 'aside'],
}

export interface Strand<W> {
  readonly wire: W
  readonly kind: StreamKind
  /** Opened by the node with the lower id: of two of a kind, both sides keep this one. */
  readonly preferred: boolean
}

/** Where the next frame of a lane goes, and what has to be said first. */
export interface Choice<W> {
  readonly wire: W
  /** Say "move" here. */
  readonly moveFrom?: W
  /** Say "start" on `wire`; with `jump` the epochs before it are given up. */
  readonly start?: { readonly epoch: number; readonly jump: boolean }
}

interface Sending<W> { strand: Strand<W> | undefined; epoch: number; orphaned: boolean }

interface Receiving<W> {
  /** The epoch being delivered. */
  epoch: number
  /** Epoch last started on each wire that the peer used for this lane. */
  readonly started: Map<Strand<W>, number>
  /** Later epochs that are complete already. */
  readonly ended: Set<number>
  held: { readonly epoch: number; readonly frame: Uint8Array }[]
}

export class Lanes<W> {
  readonly #strands: Strand<W>[] = []
  /** Kept up to date by add and remove, so that choosing costs a lookup. */
  readonly #best = new Map<Lane, Strand<W>>()
  readonly #sending = table<Sending<W>>(() => ({ strand: undefined, epoch: 0, orphaned: false }))
  readonly #receiving = table<Receiving<W>>(() => ({ epoch: 0, started: new Map(), ended: new Set(), held: [] }))
  #heldBytes = 0

  get strands(): readonly Strand<W>[] { return this.#strands }

  add(strand: Strand<W>): void {
    this.#strands.push(strand)
    this.#rank()
  }

  find(wire: W): Strand<W> | undefined { return this.#strands.find((strand) => strand.wire === wire) }

  /** The wire to send the next frame of `lane` on. Undefined: no wire left. */
  choose(lane: Lane): Choice<W> | undefined {
    const best = this.#best.get(lane)
    const sending = this.#sending[lane]
    const old = sending.strand
    if (best === undefined || best === old) return best
    sending.strand = best
    if (old === undefined && !sending.orphaned) return best
    const start = { epoch: ++sending.epoch, jump: sending.orphaned }
    sending.orphaned = false
    return old === undefined ? { wire: best.wire, start } : { wire: best.wire, moveFrom: old.wire, start }
  }

  /** A frame arrived: 'deliver' it, or it was kept for later or given up, or it must end the link (too much is held). */
  receive(lane: Lane, wire: W, frame: Uint8Array): 'deliver' | 'kept' | 'overflow' {
    const strand = this.find(wire)
    if (strand === undefined) return 'kept'
    const receiving = this.#receiving[lane]
    const started = receiving.started.get(strand)
    if (started === undefined) receiving.started.set(strand, 0)
    const epoch = started ?? 0
    if (epoch === receiving.epoch) return 'deliver'
    if (epoch < receiving.epoch) return 'kept'
    this.#heldBytes += frame.byteLength
    if (this.#heldBytes > LIMITS.laneHoldBytesMax) return 'overflow'
    receiving.held.push({ epoch, frame })
    return 'kept'
  }

  /** The peer said "start" on `wire`: frames that may be delivered now. */
  started(lane: Lane, wire: W, start: { readonly epoch: number; readonly jump: boolean }): Uint8Array[] {
    const strand = this.find(wire)
    const receiving = this.#receiving[lane]
    if (strand === undefined || start.epoch <= (receiving.started.get(strand) ?? 0)) return []
    receiving.started.set(strand, start.epoch)
    if (!start.jump || lane !== 'gossip' || start.epoch <= receiving.epoch) return []
    receiving.epoch = start.epoch
    return this.#release(receiving)
  }

  /** The peer said "move" on `wire`: frames that may be delivered now, in order. */
  moved(lane: Lane, wire: W): Uint8Array[] {
    const strand = this.find(wire)
    if (strand === undefined) return []
    const receiving = this.#receiving[lane]
    const epoch = receiving.started.get(strand) ?? 0
    receiving.started.delete(strand)
    return this.#endEpoch(receiving, epoch)
  }

  /** Gossip waited long enough for the end of an epoch that died with its wire: go on with the next one held. */
  giveUpGossip(): Uint8Array[] {
    const receiving = this.#receiving.gossip
    if (receiving.held.length === 0) return []
    receiving.epoch = Math.min(...receiving.held.map((item) => item.epoch))
    return this.#release(receiving)
  }

  /** A wire is gone. 'ends' when frames of rpc or bulk may be lost with it, or no wire is left. */
  remove(wire: W): { readonly verdict: 'ends' | 'goes-on'; readonly gossip: Uint8Array[] } {
    const strand = this.find(wire)
    if (strand === undefined) return { verdict: 'goes-on', gossip: [] }
    const ends = this.#strands.length === 1 || this.#carries('rpc', strand) || this.#carries('bulk', strand)
    this.#strands.splice(this.#strands.indexOf(strand), 1)
    this.#rank()
    const sending = this.#sending.gossip, receiving = this.#receiving.gossip
    if (sending.strand === strand) {
      sending.strand = undefined
      sending.orphaned = true
    }
    const epoch = receiving.started.get(strand)
    for (const lane of LANES) this.#receiving[lane].started.delete(strand)
    return { verdict: ends ? 'ends' : 'goes-on', gossip: ends || epoch === undefined ? [] : this.#endEpoch(receiving, epoch) }
  }

  /** A second wire of a kind that no lane uses any more, in either direction, and that is not the one both keep. */
  spare(wire: W): boolean {
    const strand = this.find(wire)
    if (strand === undefined || strand.preferred) return false
    const twin = this.#strands.some((other) => other !== strand && other.kind === strand.kind && other.preferred)
    return twin && LANES.every((lane) => !this.#carries(lane, strand))
  }

  /** The wire each lane would use now. */
  table(): Readonly<Record<Lane, W | undefined>> {
    return { gossip: this.#best.get('gossip')?.wire, rpc: this.#best.get('rpc')?.wire, bulk: this.#best.get('bulk')?.wire }
  }

  #rank(): void {
    for (const lane of LANES) {
      const kind = PREFERENCE[lane].find((wanted) => this.#strands.some((strand) => strand.kind === wanted))
      const candidates = this.#strands.filter((strand) => strand.kind === kind)
      const best = candidates.find((strand) => strand.preferred) ?? candidates[0]
      if (best === undefined) this.#best.delete(lane)
      else this.#best.set(lane, best)
    }
  }

  /** Frames of the lane may be under way on the wire, in either direction. */
  #carries(lane: Lane, strand: Strand<W>): boolean {
    return this.#sending[lane].strand === strand || this.#receiving[lane].started.has(strand)
  }

  #endEpoch(receiving: Receiving<W>, epoch: number): Uint8Array[] {
    if (epoch < receiving.epoch) return []
    receiving.ended.add(epoch)
    return this.#release(receiving)
  }

  #release(receiving: Receiving<W>): Uint8Array[] {
    while (receiving.ended.delete(receiving.epoch)) receiving.epoch++
    // Held epochs below the present one are complete, or given up by a jump; either way their order is past.
    const ready = receiving.held.filter((item) => item.epoch <= receiving.epoch).sort((a, b) => a.epoch - b.epoch)
    receiving.held = receiving.held.filter((item) => item.epoch > receiving.epoch)
    for (const item of ready) this.#heldBytes -= item.frame.byteLength
    return ready.map((item) => item.frame)
  }
}

const table = <T>(make: () => T): Record<Lane, T> => ({ gossip: make(), rpc: make(), bulk: make() })
