// The overlay: private DHT nodes for discovery, and Noise/UDX streams to peers found there.
//
// Every member runs a full DHT node (not ephemeral, not firewalled) on the address and port number it serves,
// so every member is a bootstrap for the next. A DHT of one node stores nothing, so the founder runs helper
// nodes beside its own. The public DHT is never used. Anyone may announce on a topic: what is found here is
// only a stranger until its hello is accepted.
// Owner of hyperswarm, hyperdht, protomux and compact-encoding. Source: DESIGN section 7; reliability.md 2.3.

import { createHash } from 'node:crypto'
import encodings from 'compact-encoding'
import DHT from 'hyperdht'
import type { DhtAddress } from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import Protomux from 'protomux'
import type { MuxMessage } from 'protomux'
import type NoiseSecretStream from '@hyperswarm/secret-stream'
import type { Clock } from '../clock.ts'
import type { NodeId } from '../id.ts'
import type { Keys } from '../identity/keys.ts'
import { LIMITS } from '../limits.ts'
import { splitAddress } from './address.ts'
import { CHANNELS } from './wire.ts'
import type { Channel, Wire, WireEnd, WireHandlers } from './wire.ts'

export interface OverlayOptions {
  readonly keys: Keys
  readonly fabric: NodeId
  readonly host: string
  readonly port: number
  readonly bootstraps: readonly string[]
  /** Helper DHT nodes to run beside the own one. */
  readonly helpers: number
  readonly clock: Clock
  /** Keys with which no handshake is completed. */
  readonly refuses: (peer: NodeId) => boolean
  /** A stream to a stranger, opened by either side. */
  readonly onWire: (wire: Wire) => void
  readonly onFound: (peer: NodeId) => void
}

export interface Overlay {
  /** Opens a UDX stream. Rejects when the peer cannot be found or reached. */
  dial(peer: NodeId): Promise<Wire>
  /** A member's DHT node, learned from its hello. */
  learn(address: string): void
  /** Speaks with a key again that was refused: hyperswarm keeps that for ever (hyperswarm#199). */
  unban(peer: NodeId): void
  /** Stops announcing and destroys everything, within LIMITS.transportCloseMs + transportCutMs. */
  destroy(): Promise<void>
}

/** Rejects when the UDP port cannot be bound. */
export async function openOverlay(options: OverlayOptions): Promise<Overlay> {
  const bootstrap = dhtAddresses(options.bootstraps).filter((node) => node.port !== options.port || node.host !== options.host)
  const base = { host: options.host, ephemeral: false, firewalled: false, keyPair: options.keys }
  const dht = options.host === '0.0.0.0'
    ? new DHT({ ...base, bootstrap, port: [options.port, options.port + 1], anyPort: false })
    : DHT.bootstrapper(options.port, options.host, { ...base, bootstrap })
  await bindOrDestroy(dht)
  const here = { host: options.host === '0.0.0.0' ? '127.0.0.1' : options.host, port: options.port }
  const helpers = Array.from({ length: options.helpers }, () => new DHT({ host: options.host, port: [0, 1], ephemeral: false, firewalled: false, bootstrap: [here] }))
  for (const node of [dht, ...helpers]) node.on('error', () => {})

  const swarm = new Hyperswarm({ dht, keyPair: options.keys, maxPeers: LIMITS.swarmPeersMax, firewall: (key) => options.refuses(Buffer.from(key).toString('hex')) })
  swarm.on('connection', (stream: NoiseSecretStream) => options.onWire(new UdxWire(stream, options.clock)))
  const told = new Set<string>()
  swarm.on('update', () => {
    for (const peer of swarm.peers.keys()) {
      if (told.has(peer)) continue
      if (told.size >= LIMITS.swarmPeersKnownMax) told.clear()
      told.add(peer)
      options.onFound(peer)
    }
    prune(swarm)
  })
  // Bootstrap nodes that are gone hold this up for many seconds; the node serves meanwhile, and links come up
  // by known addresses. Announcing before it would announce to nobody.
  let discovery: ReturnType<Hyperswarm['join']> | undefined
  const ready = Promise.allSettled([dht, ...helpers].map((node) => node.fullyBootstrapped())).then(() => {
    if (!dht.destroyed) discovery = swarm.join(topicOf(options.fabric), { server: true, client: true })
  })

  return {
    dial: (peer) => new Promise((resolve, reject) => {
      const stream = dht.connect(Buffer.from(peer, 'hex'), { keyPair: options.keys })
      // A stream whose path is cut in the middle of its handshake neither opens nor fails, and every later dial of the peer joins this one.
      const timer = options.clock.after(LIMITS.dialTimeoutMs, () => stream.destroy(), { background: true })
      const failed = (error?: Error): void => { timer.cancel(); reject(error ?? new Error('the stream closed')) }
      stream.once('error', failed)
      stream.once('close', failed)
      stream.once('open', () => {
        stream.off('error', failed)
        stream.off('close', failed)
        timer.cancel()
        resolve(new UdxWire(stream, options.clock))
      })
    }),
    learn: (address) => {
      const alone = dht.toArray({ limit: 1 }).length === 0
      for (const node of dhtAddresses([address])) dht.addNode(node)
      // The first neighbour: what was announced so far was announced to nobody.
      if (alone) void ready.then(() => discovery?.refresh({ server: true, client: true })).catch(() => {})
    },
    unban: (peer) => {
      swarm.peers.get(peer)?.ban(false)
      told.delete(peer)
    },
    async destroy() {
      const all = swarm.destroy().then(() => Promise.all(helpers.map((helper) => helper.destroy())))
      await within(all, LIMITS.transportCloseMs, options.clock)
      // What did not end in time is cut: unannouncing waits for peers that may be gone.
      const cut = [swarm.destroy({ force: true }), ...helpers.map((helper) => helper.destroy({ force: true }))]
      await within(Promise.allSettled(cut), LIMITS.transportCutMs, options.clock)
    },
  }
}

/** A UDX stream for one errand, by a node that is not a member yet (join). */
export async function dialOnce(options: { readonly keys: Keys; readonly host: string; readonly bootstraps: readonly string[]; readonly peer: NodeId; readonly clock: Clock }): Promise<{ wire: Wire; destroy(): Promise<void> }> {
  const dht = new DHT({ host: options.host, port: [0, 1], firewalled: false, bootstrap: dhtAddresses(options.bootstraps), keyPair: options.keys })
  const destroy = (): Promise<void> => within(dht.destroy({ force: true }), LIMITS.transportCloseMs, options.clock)
  try {
    const stream = dht.connect(Buffer.from(options.peer, 'hex'), { keyPair: options.keys })
    await within(new Promise((resolve, reject) => {
      stream.once('open', resolve)
      stream.once('error', reject)
      stream.once('close', reject)
    }), LIMITS.dialTimeoutMs, options.clock)
    if (stream.remotePublicKey === null || stream.rawStream === null) throw new Error('no answer through the overlay')
    return { wire: new UdxWire(stream, options.clock), destroy }
  } catch (error) {
    await destroy()
    throw error
  }
}

/** What the fabric meets under: whoever knows the fabric's id can look, nobody else. */
const topicOf = (fabric: NodeId): Buffer => createHash('sha256').update('kumoi topic 1\0').update(Buffer.from(fabric, 'hex')).digest()

const IPV4 = /^\d+\.\d+\.\d+\.\d+$/
function dhtAddresses(addresses: readonly string[]): DhtAddress[] {
  return addresses.map(splitAddress).filter((node) => node !== undefined).filter((node) => IPV4.test(node.host))
}

/** hyperswarm keeps every key it ever saw announced; anyone can announce. */
function prune(swarm: Hyperswarm): void {
  if (swarm.peers.size <= LIMITS.swarmPeersKnownMax) return
  for (const [key, info] of swarm.peers) {
    if (swarm.peers.size <= LIMITS.swarmPeersKnownMax / 2) return
    const connected = [...swarm.connections].some((stream) => Buffer.from(stream.remotePublicKey).equals(info.publicKey))
    if (!connected && !info.explicit) swarm.peers.delete(key)
  }
}

async function bindOrDestroy(dht: DHT): Promise<void> {
  try {
    await dht.bind()
  } catch (error) {
    // A failed bind leaves timers behind, and its destroy() waits for the bind for ever.
    void dht.destroy({ force: true }).catch(() => {})
    throw error
  }
}

async function within(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = clock.after(ms, resolve)
    work.then(() => { timer.cancel(); resolve() }, (error: unknown) => { timer.cancel(); reject(error as Error) })
  })
}

/** One Noise/UDX stream with a protomux channel; message types are the wire's channels. */
class UdxWire implements Wire {
  readonly path = 'udx'
  readonly remote: NodeId
  readonly dialled: boolean
  readonly address: string
  readonly #stream: NoiseSecretStream
  readonly #clock: Clock
  readonly #messages: readonly MuxMessage[]
  readonly #closeChannel: () => void
  #handlers: WireHandlers | undefined
  #frameBytesMax: number = LIMITS.helloBytesMax
  /** Frames that came before anybody listened; at most a hello's worth. */
  #early: [Channel, Uint8Array][] = []
  #how: WireEnd = 'silent'
  #closed = false

  constructor(stream: NoiseSecretStream, clock: Clock) {
    this.#stream = stream
    this.#clock = clock
    this.remote = Buffer.from(stream.remotePublicKey).toString('hex')
    this.dialled = stream.isInitiator
    this.address = `${stream.rawStream?.remoteHost ?? ''}:${stream.rawStream?.remotePort ?? 0}`
    stream.on('error', () => {})
    stream.on('close', () => this.#end())
    stream.setTimeout(LIMITS.linkSilenceMs)
    const channel = Protomux.from(stream).createChannel({
      protocol: 'kumoi/1',
      // The peer closed it, so all it sent has been read. Our own close must first be flushed.
      onclose: (isRemote) => { if (isRemote) this.#stream.destroy() },
      ondrain: () => this.#handlers?.drain(),
    })
    this.#messages = channel === null ? [] : CHANNELS.map((name) => channel.addMessage({ encoding: encodings.raw, onmessage: (frame) => this.#receive(name, frame) }))
    this.#closeChannel = () => channel?.close()
    if (channel === null) stream.destroy()
    else channel.open()
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    if (this.#closed) return true
    return this.#messages[CHANNELS.indexOf(channel)]?.send(frame) ?? true
  }

  handle(handlers: WireHandlers): void {
    this.#handlers = handlers
    for (const [channel, frame] of this.#early.splice(0)) handlers.frame(channel, frame)
  }

  admit(): void { this.#frameBytesMax = LIMITS.frameBytesMax }

  end(): void {
    if (this.#closed) return
    this.#how = 'ended'
    this.#closeChannel()
    this.#stream.end()
    this.#clock.after(LIMITS.transportCloseMs, () => this.#stream.destroy(), { background: true })
  }

  destroy(how: WireEnd): void {
    if (this.#closed) return
    this.#how = how
    this.#stream.destroy()
  }

  #receive(channel: Channel, frame: Uint8Array): void {
    if (this.#closed) return
    if (frame.byteLength > this.#frameBytesMax) return this.destroy('broken')
    if (this.#handlers !== undefined) return this.#handlers.frame(channel, frame)
    if (this.#early.length > 0) return this.destroy('broken')
    this.#early.push([channel, frame])
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handlers?.close(this.#how)
  }
}
