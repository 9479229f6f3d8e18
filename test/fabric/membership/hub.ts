// A bare in-process transport for the driver's tests: links without loss or delay other than one
// clock turn. (The shipped memory transport has faults and its own conformance suite; the driver's
// tests only need the contract.)

import type { Clock, NodeId } from '../../../fabric/base.ts'
import { FABRIC } from '../../../fabric/errors-table.ts'
import type { Lane, Link, PeerHello, Transport } from '../../../fabric/transport/contract.ts'

type Why = 'closed' | 'reset' | 'lost'

interface End extends Link { finish(why: Why): void; take(frame: Uint8Array): void }

export interface HubTransport extends Transport {
  /** The process dies: peers see a reset, dials are refused. */
  kill(): void
  discover(peer: NodeId, addresses: readonly string[]): void
  /** Puts raw bytes on the gossip lane to a peer. */
  inject(peer: NodeId, frame: Uint8Array): void
}

export class Hub {
  readonly #clock: Clock
  readonly #stations = new Map<NodeId, Station>()
  constructor(clock: Clock) { this.#clock = clock }

  transport(id: NodeId, name: string): HubTransport {
    const station = new Station(id, name, this.#clock, (peer) => this.#stations.get(peer))
    this.#stations.set(id, station)
    return station
  }
}

class Station implements HubTransport {
  readonly id: NodeId
  readonly hello: PeerHello
  readonly #clock: Clock
  readonly #find: (peer: NodeId) => Station | undefined
  readonly #links = new Map<NodeId, End>()
  #up: (link: Link) => void = () => {}
  #found: (peer: NodeId, addresses: readonly string[]) => void = () => {}
  alive = true

  constructor(id: NodeId, name: string, clock: Clock, find: (peer: NodeId) => Station | undefined) {
    this.id = id
    this.hello = { id, name, version: '0.1.0', addresses: [`${name}:1`] }
    this.#clock = clock
    this.#find = find
  }

  addresses(): readonly string[] { return this.hello.addresses }
  async start(): Promise<void> { this.alive = true }
  link(peer: NodeId): Link | undefined { return this.#links.get(peer) }
  links(): Iterable<Link> { return [...this.#links.values()] }
  onLink(up: (link: Link) => void): void { this.#up = up }
  onDiscovered(found: (peer: NodeId, addresses: readonly string[]) => void): void { this.#found = found }
  discover(peer: NodeId, addresses: readonly string[]): void { this.#found(peer, addresses) }
  inject(peer: NodeId, frame: Uint8Array): void { this.#links.get(peer)?.send('gossip', frame) }
  async close(): Promise<void> { this.#endAll('closed') }
  kill(): void { this.#endAll('reset') }

  async dial(peer: NodeId): Promise<Link> {
    const present = this.#links.get(peer)
    if (present !== undefined) return present
    const other = this.#find(peer)
    if (other === undefined || !other.alive) throw FABRIC.UNREACHABLE({ node: peer, reason: 'nobody listens', refused: true })
    const mine = this.#end(other), theirs = other.#end(this)
    this.#links.set(peer, mine)
    other.#links.set(this.id, theirs)
    this.#up(mine)
    other.#up(theirs)
    return mine
  }

  #endAll(why: Why): void {
    this.alive = false
    for (const [peer, link] of this.#links) {
      link.finish('closed')
      const other = this.#find(peer)
      if (other !== undefined) other.#links.get(this.id)?.finish(why)
    }
  }

  /** This side's end of a link to `other`. */
  #end(other: Station): End {
    let receive: (frame: Uint8Array) => void = () => {}
    let closed: (why: Why) => void = () => {}
    const end: End = {
      peer: other.hello,
      send: (_lane: Lane, frame: Uint8Array) => {
        this.#clock.after(0, () => { if (this.#links.get(other.id) === end) other.#links.get(this.id)?.take(frame) })
        return true
      },
      onFrame: (lane, take) => { if (lane === 'gossip') receive = take },
      onDrain: () => {},
      onClose: (told) => { closed = told },
      close: () => { end.finish('closed') },
      describe: () => ({ gossip: 'hub', rpc: 'hub', bulk: 'hub' }),
      take: (frame) => { receive(frame) },
      finish: (why) => {
        if (this.#links.get(other.id) !== end) return
        this.#links.delete(other.id)
        closed(why)
      },
    }
    return end
  }
}
