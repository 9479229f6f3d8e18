// What a node tells its own shells about the global store, and moving it.
//
//   node.store.status null       -> StoreStanding
//   node.store.copy   [to, keep] -> { keys, to, switched }; for the administrator on the node's own machine

import { FABRIC } from '../errors-table.ts'
import type { RpcRegistry } from '../rpc/contract.ts'
import type { FabricStore } from './open.ts'
import { array, text } from './rows.ts'

const COPY = 'node.store.copy'

export function serveStoreAdmin(registry: RpcRegistry, store: Pick<FabricStore, 'status' | 'copy'>): void {
  registry.method('node.store.status', () => store.status())
  registry.method(COPY, (body, { caller, principal }) => {
    // The machine's administrator, un-narrowed: no user who logged in, no cell, no function.
    if (caller.via !== 'socket' || !/^local:\d+$/.test(principal)) throw FABRIC.LOCAL_ONLY({ method: COPY })
    const [to, keep] = array(body, 2)
    return store.copy(text(to), { keep: keep === true })
  })
}
