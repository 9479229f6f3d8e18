// One end of a link of the in-process network (memory.ts): three lanes with delays and faults.
//
// A frame is copied when sent, as a wire would. Bytes not yet delivered count as unsent, so that
// back-pressure can be tested: send() says false above LIMITS.unsentBytesMax per lane.

import { assert } from '../assert.ts'
import { LIMITS } from '../limits.ts'
import type { Lane, Link, PeerHello } from './contract.ts'
import type { MemoryNetwork } from './memory.ts'

interface LaneState {
  receive: ((frame: Uint8Array) => void) | undefined
  drained: (() => void) | undefined
  /** Arrivals are in order unless a fault says otherwise: no frame arrives before this. */
  lastArrivalMs: number
  underWayBytes: number
  full: boolean
  /** Arrived while the node was paused. */
  held: Uint8Array[]
}

const lane = (): LaneState => ({ receive: undefined, drained: undefined, lastArrivalMs: 0, underWayBytes: 0, full: false, held: [] })

export class MemoryLink implements Link {
  readonly peer: PeerHello
  /** The other end; set once by the transport that makes the pair. */
  other: MemoryLink | undefined
  readonly #network: MemoryNetwork
  readonly #self: PeerHello
  readonly #forget: () => void
  readonly #lanes: Readonly<Record<Lane, LaneState>> = { gossip: lane(), rpc: lane(), bulk: lane() }
  readonly #onClose: ((why: 'closed' | 'reset' | 'lost') => void)[] = []
  #closed: 'closed' | 'reset' | 'lost' | undefined

  constructor(network: MemoryNetwork, self: PeerHello, peer: PeerHello, forget: () => void) {
    this.#network = network
    this.#self = self
    this.peer = peer
    this.#forget = forget
  }

  send(name: Lane, frame: Uint8Array): boolean {
    assert(frame.length <= LIMITS.frameBytesMax, `a frame has at most ${LIMITS.frameBytesMax} bytes (this one ${frame.length})`)
    if (this.#closed !== undefined) return true
    const network = this.#network
    const faults = network.faultsOf(name)
    network.counters.sentFrames++
    network.counters.sentBytes += frame.length
    if (chance(network, faults.lossRatio) || !network.passes(this.#self.id, this.peer.id)) {
      network.counters.lostFrames++
      return !this.#lanes[name].full
    }
    this.#carry(name, frame.slice())
    if (chance(network, faults.duplicateRatio)) this.#carry(name, frame.slice())
    const state = this.#lanes[name]
    state.full ||= state.underWayBytes > LIMITS.unsentBytesMax
    return !state.full
  }

  #carry(name: Lane, frame: Uint8Array): void {
    const { clock, random } = this.#network
    const { delayMs = 0, jitterMs = 0, reorderRatio } = this.#network.faultsOf(name)
    const state = this.#lanes[name]
    let arrivalMs = clock.nowMs() + delayMs + (jitterMs > 0 ? jitterMs * random.next() : 0)
    if (!chance(this.#network, reorderRatio)) {
      arrivalMs = Math.max(arrivalMs, state.lastArrivalMs)
      state.lastArrivalMs = arrivalMs
    }
    state.underWayBytes += frame.length
    clock.after(arrivalMs - clock.nowMs(), () => {
      state.underWayBytes -= frame.length
      // A partition that began meanwhile takes what is on the way too.
      if (this.other !== undefined && this.#network.passes(this.#self.id, this.peer.id)) this.other.#arrive(name, frame)
      if (state.full && state.underWayBytes <= LIMITS.unsentBytesMax / 2) {
        state.full = false
        if (this.#closed === undefined) state.drained?.()
      }
    })
  }

  #arrive(name: Lane, frame: Uint8Array): void {
    const state = this.#lanes[name]
    if (this.#closed !== undefined) return
    if (this.#network.isPaused(this.#self.id)) state.held.push(frame)
    else state.receive?.(frame)
  }

  /** The node runs again: it takes what arrived meanwhile. */
  flushHeld(): void {
    for (const name of ['gossip', 'rpc', 'bulk'] as const) {
      for (const frame of this.#lanes[name].held.splice(0)) this.#arrive(name, frame)
    }
  }

  onFrame(name: Lane, receive: (frame: Uint8Array) => void): void { this.#lanes[name].receive = receive }
  onDrain(name: Lane, drained: () => void): void { this.#lanes[name].drained = drained }
  onClose(closed: (why: 'closed' | 'reset' | 'lost') => void): void {
    if (this.#closed === undefined) this.#onClose.push(closed)
    else closed(this.#closed)
  }
  describe(): Readonly<Record<Lane, string>> { return { gossip: 'memory', rpc: 'memory', bulk: 'memory' } }

  close(): void { this.end('closed') }

  /** Ends this side now and tells the other side in the given way; a crash tells nothing. */
  end(why: 'closed' | 'reset' | 'lost'): void {
    if (this.#closed !== undefined) return
    const other = this.other
    this.#closedAs(why === 'lost' ? 'closed' : why)
    if (other === undefined || other.#closed !== undefined) return
    if (why === 'lost') {
      other.watchSilence()
      return
    }
    // The goodbye comes after what was sent before it, on every lane.
    const { clock } = this.#network
    const { delayMs = 0 } = this.#network.faultsOf('rpc')
    const atMs = Math.max(clock.nowMs() + delayMs, ...Object.values(this.#lanes).map((state) => state.lastArrivalMs))
    clock.after(atMs - clock.nowMs(), () => {
      if (this.#network.passes(this.#self.id, this.peer.id)) other.#closedAs(why)
      else other.watchSilence()
    })
  }

  /** The other side may be gone: ends as 'lost' if it still is after the network's bound. */
  watchSilence(): void {
    const { lostAfterMs, clock } = this.#network
    if (lostAfterMs === undefined || this.#closed !== undefined) return
    clock.after(lostAfterMs, () => {
      const cut = !this.#network.passes(this.#self.id, this.peer.id) || !this.#network.passes(this.peer.id, this.#self.id)
      if (cut || this.other === undefined || this.other.#closed !== undefined) this.#closedAs('lost')
    })
  }

  #closedAs(why: 'closed' | 'reset' | 'lost'): void {
    if (this.#closed !== undefined) return
    this.#closed = why
    this.#forget()
    for (const closed of this.#onClose.splice(0)) closed(why)
  }
}

const chance = (network: MemoryNetwork, ratio: number | undefined): boolean => ratio !== undefined && ratio > 0 && network.random.next() < ratio
