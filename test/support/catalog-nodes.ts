// Real nodes of a fabric in one process (transport, membership, blobs on disk, the embedded store at the founder), with
// nothing above them but the catalog. What a script says of itself is JSON, as in catalog-fabric.ts.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom, systemClock, systemRandom } from '../../fabric/base.ts'
import { connectLocal, createMemoryStore, createRegistry, createRpcPeer, startFabricNode } from '../../fabric/mod.ts'
import type { FabricNode } from '../../fabric/mod.ts'
import { openGlobalStore } from '../../fabric/store/open.ts'
import { createCatalog, createCatalogClient, registerCatalog } from '../../functions/mod.ts'
import type { CatalogApi, NodeCatalog } from '../../functions/mod.ts'
import { describeJson } from './catalog-fabric.ts'
import { eventually } from './hosts.ts'

export interface CatalogNode { readonly name: string; readonly fabric: FabricNode; readonly catalog: NodeCatalog; readonly client: CatalogApi; stop(): Promise<void> }

export async function openCatalogNodes(defer: (after: () => Promise<void>) => unknown, names: readonly string[]): Promise<readonly CatalogNode[]> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-catalog-nodes-'))
  const nodes: CatalogNode[] = []
  defer(async () => {
    for (const node of nodes.toReversed()) await node.stop()
    await rm(directory, { recursive: true, force: true })
  })
  let ticket: string | undefined
  for (const [n, name] of names.entries()) {
    const data = join(directory, name)
    const socket = join(data, 'node.sock')
    const fabric = await startFabricNode({
      data, blobs: join(data, 'blobs'), socket, principal: 'local:0', name, listen: '127.0.0.1', clock: systemClock, random: systemRandom, onLog: () => {}, stop: async () => {},
      ...(ticket === undefined ? {} : { join: ticket }),
    })
    const members = (): readonly { readonly id: string; readonly name: string }[] => fabric.membership.members().filter(({ state }) => state === 'alive')
    const parts = {
      self: fabric.id, registry: fabric.registry, blobs: fabric.blobs, signer: fabric.signer, clock: systemClock, log: fabric.log, members, peer: (id: string) => fabric.peer(id),
      localStore: createMemoryStore(), random: seededRandom(n), onMembers: (listener: () => void) => fabric.membership.onEvent(({ type }) => { if (type !== 'updated') listener() }),
    }
    const store = await openGlobalStore({ data, self: fabric.id, fabricId: fabric.info().fabric, founder: fabric.founder, members: () => fabric.membership.members(), peer: parts.peer, registry: fabric.registry, clock: systemClock, random: systemRandom, log: fabric.log })
    const catalog = createCatalog({ ...parts, store })
    registerCatalog({ ...parts, store, catalog, describe: describeJson, warm: async () => {}, nameOf: (id) => id.slice(0, 8), ownedPrefixes: () => [] })
    await fabric.open()
    catalog.start()
    const channel = await connectLocal(socket, systemClock)
    const peer = createRpcPeer({ channel, caller: { via: 'socket', uid: 0 }, registry: createRegistry(), clock: systemClock })
    ticket ??= String(await peer.call('node.ticket', { lifetimeMs: null }))
    let stopped: Promise<void> | undefined
    nodes.push({
      name, fabric, catalog, client: createCatalogClient({ peer, callOptions: () => ({ timeoutMs: 30_000 }) }),
      stop: () => stopped ??= (async () => {
        peer.close()
        await catalog.stop()
        await store.close()
        await fabric.stop()
      })(),
    })
  }
  await eventually(() => nodes.every(({ fabric }) => fabric.membership.members().filter(({ state }) => state === 'alive').length === names.length))
  return nodes
}
