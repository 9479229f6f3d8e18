// In-process network: the Transport contract with seeded faults on any clock. It ships: simulation and
// the tests of everything above the transport run on it, on virtual time.
//
//   const network = createMemoryNetwork({ clock, random, faults: { delayMs: 1, lanes: { gossip: { lossRatio: 0.05 } } } })
//   const a = network.transport({ id, name: 'a', version: '0.1.0' })
//
// A frame sent on a lane is lost, doubled, delayed or overtaken as `faults` say, with the network's
// random source; without faults every lane keeps its order. Ends: close() says goodbye ('closed'),
// kill() is a process that died under a living machine ('reset'), crash() is silence. A silent link is
// given up as 'lost' after `lostAfterMs`.

import { assert } from '../assert.ts'
import type { Clock, Random } from '../clock.ts'
import type { NodeId } from '../id.ts'
import { FABRIC } from '../errors-table.ts'
import type { Lane, Link, PeerHello, Transport } from './contract.ts'
import { MemoryLink } from './memory-link.ts'

export interface LaneFaults {
  /** One way, before jitter. */
  readonly delayMs?: number
  /** Up to this much more, uniformly. Order is kept; see reorderRatio. */
  readonly jitterMs?: number
  readonly lossRatio?: number
  readonly duplicateRatio?: number
  /** Share of frames that do not wait for those before them. */
  readonly reorderRatio?: number
}
export interface Faults extends LaneFaults { readonly lanes?: Partial<Readonly<Record<Lane, LaneFaults>>> }

export interface MemoryNetworkOptions {
  readonly clock: Clock
  readonly random: Random
  readonly faults?: Faults
  /** Silence after which a link ends as 'lost'. Default: never. */
  readonly lostAfterMs?: number
  /** Nodes tell each other of new ones after this; undefined: no discovery. Default: 1. */
  readonly discoveryMs?: number | undefined
}

const DIAL_TIMEOUT_MS = 5_000

export class MemoryNetwork {
  readonly clock: Clock
  readonly random: Random
  readonly lostAfterMs: number | undefined
  readonly discoveryMs: number | undefined
  faults: Faults
  readonly #nodes = new Map<NodeId, MemoryTransport>()
  /** "from>to" pairs that carry nothing. */
  readonly #blocked = new Set<string>()
  readonly #paused = new Set<NodeId>()
  /** Frames carried and dropped so far, for tests of message complexity. */
  readonly counters = { sentFrames: 0, sentBytes: 0, lostFrames: 0 }

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock
    this.random = options.random
    this.faults = options.faults ?? {}
    this.lostAfterMs = options.lostAfterMs
    this.discoveryMs = 'discoveryMs' in options ? options.discoveryMs : 1
  }

  /** A node of this network; start() makes it reachable. An id may be used again after its node is down. */
  transport(self: { readonly id: NodeId; readonly name: string; readonly version: string }): Transport {
    return new MemoryTransport(this, { ...self, addresses: [`memory:${self.name}`] })
  }

  faultsOf(lane: Lane): LaneFaults { return { ...this.faults, ...this.faults.lanes?.[lane] } }
  node(id: NodeId): MemoryTransport | undefined { return this.#nodes.get(id) }
  nodes(): Iterable<MemoryTransport> { return this.#nodes.values() }

  add(node: MemoryTransport): void {
    assert(!this.#nodes.has(node.id), `one running node has the id ${node.id}`)
    this.#nodes.set(node.id, node)
  }
  remove(node: MemoryTransport): void { if (this.#nodes.get(node.id) === node) this.#nodes.delete(node.id) }

  // ---- faults under the tester's hand

  /** Nothing passes from `from` to `to`; the other way is not touched. */
  block(from: NodeId, to: NodeId): void {
    this.#blocked.add(`${from}>${to}`)
    this.#node(from)?.silence(to)
    this.#node(to)?.silence(from)
  }
  /** Splits the network: nothing passes between members of different groups. */
  partition(...groups: readonly (readonly NodeId[])[]): void {
    for (const [index, group] of groups.entries()) {
      for (const other of groups.slice(index + 1).flat()) {
        for (const id of group) {
          this.block(id, other)
          this.block(other, id)
        }
      }
    }
  }
  /** Ends all blocks. Frames that were sent meanwhile stay lost. */
  heal(): void { this.#blocked.clear() }
  /** Silence from now on: the machine lost power. */
  crash(id: NodeId): void { this.#node(id)?.stop('lost') }
  /** The process died, its machine resets its sockets. */
  kill(id: NodeId): void { this.#node(id)?.stop('reset') }
  /** The node takes no frames until resume(), then all of them in order (SIGSTOP, a stalled event loop). Its timers run on. */
  pause(id: NodeId): void { this.#paused.add(id) }
  resume(id: NodeId): void {
    this.#paused.delete(id)
    this.#node(id)?.resume()
  }

  passes(from: NodeId, to: NodeId): boolean { return !this.#blocked.has(`${from}>${to}`) }
  isPaused(id: NodeId): boolean { return this.#paused.has(id) }
  #node(id: NodeId): MemoryTransport | undefined { return this.#nodes.get(id) }
}

export const createMemoryNetwork = (options: MemoryNetworkOptions): MemoryNetwork => new MemoryNetwork(options)

export class MemoryTransport implements Transport {
  readonly hello: PeerHello
  readonly #network: MemoryNetwork
  readonly #links = new Map<NodeId, MemoryLink>()
  readonly #onLink: ((link: Link) => void)[] = []
  readonly #onDiscovered: ((peer: NodeId, addresses: readonly string[]) => void)[] = []
  #state: 'new' | 'up' | 'down' = 'new'

  constructor(network: MemoryNetwork, hello: PeerHello) {
    this.#network = network
    this.hello = hello
  }

  get id(): NodeId { return this.hello.id }
  addresses(): readonly string[] { return this.hello.addresses }
  link(peer: NodeId): Link | undefined { return this.#links.get(peer) }
  links(): Iterable<Link> { return this.#links.values() }
  onLink(up: (link: Link) => void): void { this.#onLink.push(up) }
  onDiscovered(found: (peer: NodeId, addresses: readonly string[]) => void): void { this.#onDiscovered.push(found) }

  start(): Promise<void> {
    assert(this.#state === 'new', 'a transport is started once')
    this.#state = 'up'
    this.#network.add(this)
    const { discoveryMs, clock } = this.#network
    if (discoveryMs !== undefined) {
      clock.after(discoveryMs, () => {
        for (const other of this.#network.nodes()) {
          if (other === this || !this.#network.passes(this.id, other.id) || !this.#network.passes(other.id, this.id)) continue
          this.#discovered(other)
          other.#discovered(this)
        }
      }, { background: true })
    }
    return Promise.resolve()
  }

  dial(peer: NodeId, options: { readonly timeoutMs?: number } = {}): Promise<Link> {
    const present = this.#links.get(peer)
    if (present !== undefined) return Promise.resolve(present)
    const { clock, random } = this.#network
    const timeoutMs = options.timeoutMs ?? DIAL_TIMEOUT_MS
    const { delayMs = 0, jitterMs = 0 } = this.#network.faultsOf('rpc')
    return new Promise((resolve, reject) => {
      const unreachable = (reason: string): void => reject(FABRIC.UNREACHABLE({ node: peer, reason }))
      if (this.#state !== 'up' || peer === this.id) {
        unreachable(peer === this.id ? 'it is this node' : 'this node is not running')
        return
      }
      // There and back once: the hello and its answer.
      const roundTripMs = 2 * delayMs + 2 * jitterMs * random.next()
      const target = this.#network.node(peer)
      const reachable = target !== undefined && this.#network.passes(this.id, peer) && this.#network.passes(peer, this.id) && !this.#network.isPaused(peer)
      if (!reachable || roundTripMs > timeoutMs) {
        clock.after(target === undefined ? Math.min(roundTripMs, timeoutMs) : timeoutMs, () => unreachable(target === undefined ? 'nothing listens there' : `no answer within ${timeoutMs} ms`))
        return
      }
      clock.after(roundTripMs, () => {
        const made = this.#links.get(peer)
        if (made !== undefined) resolve(made)
        else if (this.#state !== 'up' || target.#state !== 'up') unreachable('it stopped during the dial')
        else resolve(this.#join(target))
      })
    })
  }

  /** Makes the pair of links and announces both ends. */
  #join(target: MemoryTransport): Link {
    const near: MemoryLink = new MemoryLink(this.#network, this.hello, target.hello, () => this.#forget(near))
    const far: MemoryLink = new MemoryLink(this.#network, target.hello, this.hello, () => target.#forget(far))
    near.other = far
    far.other = near
    this.#links.set(target.id, near)
    target.#links.set(this.id, far)
    for (const up of target.#onLink) up(far)
    for (const up of this.#onLink) up(near)
    return near
  }

  /** A link ended; a newer one to the same peer stays. */
  #forget(link: MemoryLink): void { if (this.#links.get(link.peer.id) === link) this.#links.delete(link.peer.id) }

  #discovered(other: MemoryTransport): void {
    if (this.#state !== 'up' || other.#state !== 'up') return
    for (const found of this.#onDiscovered) found(other.id, other.addresses())
  }

  close(): Promise<void> {
    this.stop('closed')
    return Promise.resolve()
  }

  /** Ends the node; its peers learn of it in the given way. */
  stop(why: 'closed' | 'reset' | 'lost'): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#network.remove(this)
    for (const link of [...this.#links.values()]) link.end(why)
    this.#links.clear()
  }

  /** The path to a peer was cut: the link is given up if it stays so. */
  silence(peer: NodeId): void { this.#links.get(peer)?.watchSilence() }
  resume(): void { for (const link of this.#links.values()) link.flushHeld() }
}
