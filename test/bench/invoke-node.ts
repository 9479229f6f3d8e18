// A node for the bench of calls by name: the real fabric, cells and invoke/, with one function that every node knows (no
// store, no deploy: what is measured is the call).

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createMemoryGlobalStore, LIMITS, startFabricNode, systemClock, systemRandom } from '../../fabric/mod.ts'
import { createHostCalls, createInvoke, createSandbox } from '../../functions/mod.ts'
import type { Catalog, FunctionManifest } from '../../functions/mod.ts'
import { peerArgument } from './peers/child.ts'

export interface InvokeNodeArgument { readonly data: string; readonly name: string; readonly join?: string }

const given = peerArgument<InvokeNodeArgument>()
if (given !== undefined) {
  const code = new TextEncoder().encode('(environment, runtime) => ({ payload }) => payload + 1')
  const version = createHash('sha256').update(code).digest('hex')
  const manifest: FunctionManifest = {
    name: 'bench', version, description: '', bytes: code.length, sourceMap: version, triggers: [], rights: [], singleton: false, target: 'any', retry: { attempts: 1, backoffMs: 1 }, secrets: [], packages: [], files: [],
    limits: { timeoutMs: 30_000, heapLimitMiB: 64, cpuTimeMs: 30_000, concurrency: 256, queue: 1_024 },
  }
  const signed = { by: 'local:0', node: version, atMs: 0, signature: '' }
  const resolved = { name: 'bench', alias: 'stable', manifest, deployer: 'local:0' }
  const catalog: Catalog = {
    get: () => undefined, list: () => [], resolve: () => resolved, version: () => ({ ...signed, manifest }), code: async () => code, sourceMap: async () => undefined, onChange: () => () => {},
  }
  const fabric = await startFabricNode({
    data: given.data, blobs: join(given.data, 'blobs'), socket: join(given.data, 'node.sock'), principal: 'local:0', name: given.name, listen: '127.0.0.1',
    ...(given.join === undefined ? {} : { join: given.join }), clock: systemClock, random: systemRandom, onLog: () => {}, stop: async () => {},
  })
  const sandbox = await createSandbox({ cacheDirectory: join(given.data, 'cache'), shapes: [], packageDirectories: [], workers: 1 })
  const refused = (): never => { throw new Error('the bench calls nothing') }
  createInvoke({
    registry: fabric.registry, store: createMemoryGlobalStore({ clock: systemClock }), sandbox, catalog, holders: { holder: () => undefined, mine: () => undefined, check: async () => {} },
    observer: { called: () => {}, line: () => {}, count: () => {} }, clock: systemClock, random: systemRandom, self: { id: fabric.id, name: given.name }, lanes: 1,
    nodes: () => fabric.membership.members().filter(({ state }) => state === 'alive').map(({ id, name, load }) => ({ id, name, cpuRatio: load.cpuRatio })),
    peer: (node) => fabric.peer(node), subscribers: () => [],
    hostCalls: createHostCalls({ capabilities: { resolve: refused, invokeEncoded: refused }, clock: systemClock, openRun: refused }),
  })
  await fabric.open()
  await sandbox.warm('fn/local:0')
  process.on('SIGTERM', () => { void sandbox.close().then(() => process.exit(0)) })
  process.on('disconnect', () => { void sandbox.close().then(() => process.exit(0)) })
  setInterval(() => {}, LIMITS.callTimeoutMsMax)
  process.send?.({ socket: join(given.data, 'node.sock'), id: fabric.id })
}
