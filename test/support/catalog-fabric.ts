// A few nodes in one process for the tests of functions/catalog: real RPC, real blobs and signatures, one store in memory
// that each node reaches through a line of its own, which a test can cut. What a script says of itself is JSON here.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CodedError, seededRandom, systemClock } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import { serveBlobs } from '../../fabric/blob/transfer.ts'
import { extendChain, foundChain } from '../../fabric/identity/certificate.ts'
import type { Chain } from '../../fabric/identity/certificate.ts'
import { keysFromSeed } from '../../fabric/identity/keys.ts'
import { createBlobStore, createCertifiedSigner, createMemoryGlobalStore, createMemoryStore, createRegistry, createRpcPeer, hashOf } from '../../fabric/mod.ts'
import type { BlobStore, GlobalStore, LocalStore, RpcPeer, RpcRegistry } from '../../fabric/mod.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { createCatalog, createCatalogClient, registerCatalog } from '../../functions/mod.ts'
import type { BuiltBundle, CatalogApi, FunctionManifest, NodeCatalog, RegisterCatalogOptions } from '../../functions/mod.ts'

const encoder = new TextEncoder()

/** A "script" that says of itself what is given; `code` makes another version of it. */
export function bundleOf(name: string, code: string, over: Partial<FunctionManifest> = {}): BuiltBundle {
  return { script: encoder.encode(JSON.stringify({ name, code, ...over })), sourceMap: encoder.encode(JSON.stringify({ mappings: code })), packages: [], files: [`${name}.ts`] }
}
export const versionOf = (bundle: BuiltBundle): string => hashOf(bundle.script)

export const describeJson: RegisterCatalogOptions['describe'] = async ({ script, version, sourceMap, packages, files }) => {
  const { code: _code, ...over } = JSON.parse(new TextDecoder().decode(script)) as Partial<FunctionManifest> & { readonly name: string; readonly code: string }
  return {
    description: '', version, bytes: script.length, sourceMap, triggers: [], rights: [], singleton: false, target: 'any',
    limits: { timeoutMs: 30_000, heapLimitMiB: 64, cpuTimeMs: 10_000, concurrency: 4, queue: 16 }, retry: { attempts: 5, backoffMs: 1_000 }, secrets: [],
    packages, files, ...over,
  }
}

export interface TestNode {
  readonly name: string
  readonly id: NodeId
  catalog: NodeCatalog
  readonly blobs: BlobStore
  readonly directory: string
  readonly local: LocalStore
  readonly registry: RpcRegistry
  readonly client: CatalogApi
  /** A client that comes in under another principal. */
  as(principal: string): CatalogApi
  readonly warmed: readonly string[]
  /** What the node's line to the store does before each call; throws to cut it. */
  line(before: (call: string, argument: unknown) => void): void
  /** Its process dies; the others no longer see it. */
  kill(): Promise<void>
  /** Its catalog is made anew over the same disk; `forgetting`: without its local copy. */
  restart(how?: 'forgetting'): Promise<void>
}
export interface TestFabric { readonly store: GlobalStore; readonly nodes: readonly TestNode[]; readonly logged: readonly string[]; node(n: number): TestNode }

export const cut = (): never => { throw new CodedError('the store cannot be reached', { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'not-started' }) }

/** The store through a line that can be cut. */
function lineTo(store: GlobalStore, before: (call: string, argument: unknown) => void): GlobalStore {
  const guarded = <A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
    before(name, args[0])
    const answer = await call(...args)
    before(`${name} answered`, args[0])
    return answer
  }
  return {
    description: store.description, close: async () => {},
    get: guarded('get', (...args) => store.get(...args)), range: guarded('range', (...args) => store.range(...args)),
    transact: guarded('transact', (...args) => store.transact(...args)), grant: guarded('grant', (...args) => store.grant(...args)),
    revision: guarded('revision', (...args) => store.revision(...args)),
    async *watch(...args) {
      before('watch', args[0])
      for await (const batch of store.watch(...args)) {
        before('watch', args[0])
        yield batch
      }
    },
  }
}

export async function openCatalogFabric(t: { teardown(after: () => Promise<void>): unknown }, count: number, { describe = describeJson }: { readonly describe?: RegisterCatalogOptions['describe'] } = {}): Promise<TestFabric> {
  const random = seededRandom(7)
  const fabricKeys = keysFromSeed(random.bytes(32))
  const store = createMemoryGlobalStore({ clock: systemClock })
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-catalog-'))
  const nodes: (TestNode & { alive: boolean; stop(): Promise<void> })[] = []
  const logged: string[] = []
  const listeners = new Set<() => void>()
  const peers = new Map<string, RpcPeer>()
  // The clocks' timers are background ones, and nothing here has a socket.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(async () => {
    clearInterval(alive)
    for (const node of nodes) await node.stop()
    for (const peer of peers.values()) peer.close()
    await store.close()
    await rm(directory, { recursive: true, force: true })
  })
  const members = (): readonly { readonly id: NodeId; readonly name: string }[] => nodes.filter(({ alive }) => alive)
  const found = (id: NodeId): TestNode & { alive: boolean } => {
    const node = nodes.find((candidate) => candidate.id === id)
    if (node === undefined || !node.alive) throw new CodedError(`${id.slice(0, 8)} cannot be reached`, { code: 'FABRIC_ERR_UNREACHABLE', outcome: 'not-started' })
    return node
  }
  const connection = (from: TestNode, to: TestNode): RpcPeer => {
    const key = `${from.id}${to.id}`
    const present = peers.get(key)
    if (present !== undefined && !present.closed) return present
    const [left, right] = createChannelPair()
    const peer = createRpcPeer({ channel: left, clock: systemClock, registry: from.registry, caller: { via: 'link', node: to.id, name: to.name } })
    peers.set(`${key}>`, createRpcPeer({ channel: right, clock: systemClock, registry: to.registry, caller: { via: 'link', node: from.id, name: from.name } }))
    peers.set(key, peer)
    return peer
  }

  let chain: Chain | undefined
  let founder = fabricKeys
  for (let n = 0; n < count; n++) {
    const keys = keysFromSeed(random.bytes(32))
    const own: Chain = chain === undefined ? foundChain(fabricKeys, keys.id) : extendChain(fabricKeys.id, chain, founder, keys.id)
    if (chain === undefined) [chain, founder] = [own, keys]
    const name = `n${n}`
    const registry = createRegistry()
    const blobs = await createBlobStore({ directory: join(directory, name) })
    serveBlobs(registry, blobs, name)
    const local = createMemoryStore()
    const warmed: string[] = []
    let before: (call: string, argument: unknown) => void = () => {}
    const line = lineTo(store, (call, argument) => before(call, argument))
    const log = { info: () => {}, warn: (message: string, fields?: unknown) => { logged.push(`${name}: ${message} ${JSON.stringify(fields)}`) }, error: (message: string, fields?: unknown) => { logged.push(`${name}: ${message} ${JSON.stringify(fields)}`) } }
    const signer = createCertifiedSigner({ keys, fabric: () => ({ id: fabricKeys.id, chain: own }) })
    const parts = {
      store: line, localStore: local, signer, blobs, self: keys.id, members, clock: systemClock, random: seededRandom(n), log,
      peer: (id: NodeId) => connection(node, found(id)),
      onMembers: (listener: () => void) => { listeners.add(listener); return () => listeners.delete(listener) },
    }
    const clientOf = (principal: string): CatalogApi => {
      const [left, right] = createChannelPair()
      const peer = createRpcPeer({ channel: left, clock: systemClock, registry: createRegistry(), caller: { via: 'socket', uid: 0 } })
      peers.set(`${name} ${principal}`, peer)
      createRpcPeer({ channel: right, clock: systemClock, registry, caller: { via: 'link', node: keys.id, name }, principal: 'local:0' })
      return createCatalogClient({ peer, callOptions: () => ({ principal, timeoutMs: 30_000 }) })
    }
    const node: TestNode & { alive: boolean; stop(): Promise<void> } = {
      name, id: keys.id, catalog: createCatalog(parts), blobs, directory: join(directory, name), local, registry, client: clientOf('local:0'), as: clientOf, warmed, alive: true,
      line: (next) => { before = next },
      stop: () => node.catalog.stop(),
      async kill() {
        node.alive = false
        await node.catalog.stop()
        for (const listener of listeners) listener()
      },
      async restart(how) {
        await node.catalog.stop()
        if (how === 'forgetting') await local.write(local.range({ prefix: 'catalog/', limit: 1_000 }).map(({ key }) => ({ key, value: undefined })))
        node.catalog = createCatalog(parts)
        node.catalog.start()
      },
    }
    // The node as it is now, over restarts.
    const catalog = new Proxy({} as NodeCatalog, { get: (_target, key) => Reflect.get(node.catalog, key) })
    registerCatalog({
      ...parts, registry, catalog, describe, nameOf: (id) => id.slice(0, 8),
      readyMs: 500,
      warm: async (manifest) => { warmed.push(manifest.version) },
      ownedPrefixes: (of) => [`function-state/${of}/`, `function-size/${of}`],
    })
    node.catalog.start()
    nodes.push(node)
  }
  return {
    store, nodes, logged,
    node(n) {
      const node = nodes[n]
      if (node === undefined) throw new Error(`no node ${n}`)
      return node
    },
  }
}
