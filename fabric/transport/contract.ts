// Transport contract: encrypted, authenticated, message-preserving links between nodes.
//
// A link is up only after both hellos have been checked (fabric/identity): whoever holds a Link talks
// to a certified member. Each pair of nodes has one link with three lanes; a lane keeps its order,
// lanes do not wait for each other where the implementation has separate streams for them.
// Implementations: hyperswarm.ts (Noise over UDX for discovery and 'gossip', Noise over TCP for 'rpc'
// and 'bulk' where the hosts reach each other, UDX otherwise), memory.ts (seeded faults, virtual time).
// Both pass test/conformance/transport.ts.

import type { NodeId } from '../id.ts'

/** 'gossip': membership, small and urgent. 'rpc': calls and their answers. 'bulk': blobs and long streams. */
export type Lane = 'gossip' | 'rpc' | 'bulk'

/** What a peer said of itself in its (verified) hello. */
export interface PeerHello {
  readonly id: NodeId
  readonly name: string
  /** Kumoi version, e.g. "0.1.0". */
  readonly version: string
  /** Addresses it listens on, "host:port", most direct first. */
  readonly addresses: readonly string[]
}

export interface Link {
  readonly peer: PeerHello
  /** Sends one frame (at most LIMITS.frameBytesMax). False: above LIMITS.unsentBytesMax, wait for onDrain. Frames to a closed link are dropped. */
  send(lane: Lane, frame: Uint8Array): boolean
  /** Takes the frames of a lane; one receiver per lane, set synchronously when the link is announced. The array is the receiver's to keep. */
  onFrame(lane: Lane, receive: (frame: Uint8Array) => void): void
  onDrain(lane: Lane, drained: () => void): void
  /**
   * Why the link ended. 'closed': the peer said goodbye. 'reset': the operating system reported the
   * peer's sockets closed and a redial was refused, so its process is gone. 'lost': silence.
   */
  onClose(closed: (why: 'closed' | 'reset' | 'lost') => void): void
  close(): void
  /** Kind of path for each lane, for people ("tcp", "udx", "memory"). */
  describe(): Readonly<Record<Lane, string>>
}

export interface Transport {
  readonly id: NodeId
  /** Addresses other nodes can dial, known after start(). */
  addresses(): readonly string[]
  /** Starts listening. */
  start(): Promise<void>
  /** An up link to the peer: the present one, or a new one. Rejects with FABRIC_ERR_UNREACHABLE within timeoutMs. */
  dial(peer: NodeId, options?: { readonly addresses?: readonly string[]; readonly timeoutMs?: number }): Promise<Link>
  /** The present link, if there is one. */
  link(peer: NodeId): Link | undefined
  links(): Iterable<Link>
  /** Announces every link that came up, dialled or accepted, once per peer. */
  onLink(up: (link: Link) => void): void
  /** Discovery: ids that may be members (found by topic lookup); dialling is the caller's choice. */
  onDiscovered(found: (peer: NodeId, addresses: readonly string[]) => void): void
  /** Says goodbye on every link and stops. */
  close(): Promise<void>
}
