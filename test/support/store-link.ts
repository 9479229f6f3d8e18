// Connections between a node and the founder that has the store, in this process: made on demand, and cut when asked.

import type { Clock } from '../../fabric/base.ts'
import type { RpcPeer } from '../../fabric/mod.ts'
import { FABRIC } from '../../fabric/errors-table.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import type { StoreEngine } from '../../fabric/store/engine.ts'
import { serveStore } from '../../fabric/store/service.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'

export interface StoreLink {
  readonly peer: () => RpcPeer
  /** Ends the present connection; what was under way is not answered. */
  cut(): void
  /** Lets no new connection come about until it is true again. */
  reachable: boolean
}

export function linkTo(engine: StoreEngine, clock: Clock, caller: 'link' | 'socket' = 'link'): StoreLink {
  const registry = createRegistry()
  serveStore({ registry, engine: async (era) => era === 0 ? engine : undefined })
  let present: RpcPeer | undefined
  return {
    reachable: true,
    peer() {
      if (!this.reachable) throw FABRIC.UNREACHABLE({ node: 'a'.repeat(64), reason: 'cut off by the test' })
      if (present !== undefined && !present.closed) return present
      const [here, there] = createChannelPair()
      createRpcPeer({ channel: there, clock, registry, caller: caller === 'socket' ? { via: 'socket', uid: 0 } : { via: 'link', node: 'b'.repeat(64), name: 'beta' } })
      present = createRpcPeer({ channel: here, clock, registry: createRegistry(), caller: { via: 'link', node: 'a'.repeat(64), name: 'alpha' } })
      return present
    },
    cut() { present?.close() },
  }
}
