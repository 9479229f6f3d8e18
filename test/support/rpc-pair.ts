// Two RPC peers over an in-process channel, on virtual time; `tap` sees every frame.

import { SimClock } from '../../fabric/sim-clock.ts'
import type { FrameChannel, RpcPeer, RpcRegistry } from '../../fabric/rpc/contract.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'

export interface Pair {
  readonly clock: SimClock
  readonly client: RpcPeer
  readonly server: RpcPeer
  readonly clientRegistry: RpcRegistry
  readonly registry: RpcRegistry
  readonly channels: readonly [FrameChannel, FrameChannel]
}

export interface PairOptions {
  readonly registry?: RpcRegistry
  readonly caller?: 'link' | 'socket'
  readonly principal?: string
  /** Changes or drops (undefined) what the client sends. */
  readonly onSend?: (frame: Uint8Array) => Uint8Array | undefined
}

export function createPair(options: PairOptions = {}): Pair {
  const clock = new SimClock()
  const registry = options.registry ?? createRegistry()
  const clientRegistry = createRegistry()
  const channels = createChannelPair()
  const { onSend } = options
  const left: FrameChannel = onSend === undefined ? channels[0] : {
    ...bound(channels[0]),
    send(lane, frame) {
      const changed = onSend(frame)
      return changed === undefined ? true : channels[0].send(lane, changed)
    },
  }
  const client = createRpcPeer({ channel: left, clock, registry: clientRegistry, caller: { via: 'link', node: 'b'.repeat(64), name: 'beta' } })
  const server = createRpcPeer({
    channel: channels[1], clock, registry,
    caller: options.caller === 'socket' ? { via: 'socket', uid: 7 } : { via: 'link', node: 'a'.repeat(64), name: 'alpha' },
    ...(options.principal === undefined ? {} : { principal: options.principal }),
  })
  return { clock, client, server, clientRegistry, registry, channels }
}

const bound = (channel: FrameChannel): FrameChannel => ({
  send: channel.send.bind(channel),
  onFrame: channel.onFrame.bind(channel),
  onDrain: channel.onDrain.bind(channel),
  onClose: channel.onClose.bind(channel),
  close: channel.close.bind(channel),
})

/** Lets everything that is ready run. */
export const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

/** The error a promise rejects with. */
export async function failure(promise: PromiseLike<unknown>): Promise<Error & { code?: string; outcome?: string; details?: Record<string, unknown> }> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('it did not fail')
}
