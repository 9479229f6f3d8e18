// `dc.store` over a shell's connection to a node (fabric/store/admin.ts is the other end).

import { LIMITS } from '../fabric/base.ts'
import type { CallOptions, RpcPeer } from '../fabric/mod.ts'
import type { StoreApi, StoreStatus } from '../functions/mod.ts'

export function createStoreApi({ peer, callOptions }: { readonly peer: Pick<RpcPeer, 'call'>; readonly callOptions: () => CallOptions }): StoreApi {
  return {
    status: async () => await peer.call('node.store.status', null, callOptions()) as StoreStatus,
    // Everything that is there goes over: it gets the time of a whole map, unless its user says otherwise.
    copy: async (to, { keep = false } = {}) => await peer.call('node.store.copy', [to, keep], { timeoutMs: LIMITS.mapTimeoutMs, ...callOptions() }) as Awaited<ReturnType<StoreApi['copy']>>,
  }
}
