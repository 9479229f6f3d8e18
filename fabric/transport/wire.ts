// What a link's streams have in common, whatever carries them.
//
// A wire is one encrypted stream to a peer whose key Noise has proved: over TCP (tcp.ts), or over UDX
// through the overlay (overlay.ts). It carries whole messages on four channels. Until its hello is
// accepted only 'control' messages of at most LIMITS.helloBytesMax pass (handshake.ts); afterwards a link
// (link.ts) owns it.

import type { NodeId } from '../id.ts'
import type { Lane } from './contract.ts'

export type Channel = 'control' | Lane

/** Numbers of the channels on the wire; never reuse one. */
export const CHANNELS: readonly Channel[] = ['control', 'gossip', 'rpc', 'bulk']

/**
 * How a wire ended. 'ended': after a goodbye of either side. 'reset': the operating system closed it.
 * 'silent': nothing came for too long, or it could not be delivered. 'broken': the peer broke the protocol.
 */
export type WireEnd = 'ended' | 'reset' | 'silent' | 'broken'

export interface WireHandlers {
  frame(channel: Channel, frame: Uint8Array): void
  drain(): void
  close(how: WireEnd): void
}

export interface Wire {
  readonly path: 'tcp' | 'udx'
  readonly remote: NodeId
  /** This side opened it. */
  readonly dialled: boolean
  /** Address of the other end, "host:port". */
  readonly address: string
  /** False: more than LIMITS.unsentBytesMax wait to be sent. */
  send(channel: Channel, frame: Uint8Array): boolean
  /** One owner at a time; frames and the close are never lost between owners, if set synchronously. */
  handle(handlers: WireHandlers): void
  /** Allows frames up to LIMITS.frameBytesMax on all channels: the peer was admitted. */
  admit(): void
  /** Sends what is queued, then ends. Handlers hear 'ended'. */
  end(): void
  /** Drops everything at once. Handlers hear `how`. */
  destroy(how: WireEnd): void
}
