// Nodes in one process for the tests of calls by name: real cells (or a stand-in that a test gives), real RPC over memory
// channels, one memory store, and catalogs that are filled by hand with programs written as plain functions.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS, systemClock, systemRandom } from '../../fabric/base.ts'
import type { Clock, ErrorRecord, Hash, NodeId } from '../../fabric/base.ts'
import { createMemoryGlobalStore, createRegistry, createRpcPeer } from '../../fabric/mod.ts'
import type { GlobalStore, RpcPeer } from '../../fabric/mod.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { CatalogView } from '../../functions/catalog/view.ts'
import type { HostCall, Sandbox } from '../../functions/contract.ts'
import type { CallAuthority, CallRecord, Catalog, FunctionManifest, FunctionRecord, Holders, LogLine, Observer, SystemCall, VersionRecord } from '../../functions/deployed.ts'
import { createCallsClient, createInvoke } from '../../functions/invoke/mod.ts'
import type { CallsClient, Invoke } from '../../functions/invoke/mod.ts'
import type { HostCaller, HostCalls } from '../../functions/plan/host-calls.ts'
import type { Admission } from '../../functions/admission.ts'
import { createSandbox } from '../../functions/sandbox/sandbox.ts'
import { decodeValue, encodeValue } from '../../functions/value/mod.ts'
import { sha256 } from './sandbox.ts'

export const authority = (over: Partial<CallAuthority> = {}): CallAuthority =>
  ({ principal: 'local:0', trace: '0123456789abcdef', hop: 0, signal: new AbortController().signal, remainingMs: () => 30_000, ...over })

export type ManifestWish = Partial<Omit<FunctionManifest, 'limits'>> & { readonly limits?: Partial<FunctionManifest['limits']>; readonly paused?: boolean }

/** Fields that say nothing to these tests are filled in. */
export function manifestOf(name: string, version: Hash, wish: ManifestWish = {}): FunctionManifest {
  const { paused: _, limits, ...rest } = wish
  return {
    name, version, description: '', bytes: 0, sourceMap: version, triggers: [], rights: [], singleton: false, target: 'any', retry: { attempts: LIMITS.asyncAttempts, backoffMs: 20 }, secrets: [], packages: [], files: [], ...rest,
    limits: { timeoutMs: 10_000, heapLimitMiB: 64, cpuTimeMs: 5_000, concurrency: 64, queue: 1_024, ...limits },
  }
}

const SIGNED = { by: 'local:0', node: '0'.repeat(64), atMs: 0, signature: '' }

export interface InvokeNode extends Invoke {
  readonly id: NodeId
  readonly name: string
  /** A shell's connection to it. */
  readonly client: CallsClient
  readonly shell: RpcPeer
  readonly called: { readonly call: CallRecord; readonly status: string; readonly error?: ErrorRecord }[]
  readonly lines: LogLine[]
  readonly counts: Map<string, number>
  /** Chunks that its sandbox was given. */
  readonly chunks: number[]
  readonly sandbox: Sandbox
  /** As a crash: connections break, nobody is told anything. */
  kill(): void
}

export interface InvokeFabricOptions {
  readonly clock?: Clock
  readonly store?: GlobalStore
  /** In place of real cells. */
  readonly sandbox?: (node: number) => Sandbox
  readonly workers?: number
  /** Rules of a node's own about what it runs. */
  readonly admission?: (node: number) => Admission
  readonly cutOff?: (principal: string) => boolean
  readonly holder?: (name: string) => { readonly node: number; readonly epoch: number } | undefined
  readonly start?: false
  readonly subscribers?: (topic: string, deployer: string) => readonly string[]
}

export interface InvokeFabric {
  readonly nodes: readonly InvokeNode[]
  readonly store: GlobalStore
  /** `source`: a function of ({ payload, call }). Every node knows it at once, or only those `at`. */
  deploy(name: string, source: string, wish?: ManifestWish, at?: readonly number[]): Hash
  remove(name: string): void
  /** Of the stable version. */
  manifest(name: string): FunctionManifest
  close(): Promise<void>
}

export async function openInvokeFabric(count: number, options: InvokeFabricOptions = {}): Promise<InvokeFabric> {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-invoke-'))
  const clock = options.clock ?? systemClock
  const store = options.store ?? createMemoryGlobalStore({ clock })
  const ids = Array.from({ length: count }, (_, n) => (n + 1).toString(16).repeat(64).slice(0, 64))
  const blobs = new Map<Hash, Uint8Array>()
  const alive = new Set(ids)
  const records = new Map<Hash, VersionRecord>()
  const registries = ids.map(() => createRegistry())
  const peers = new Map<string, RpcPeer>()
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const link = createChannelPair()
      peers.set(`${a}>${b}`, createRpcPeer({ channel: link[0], clock, registry: registries[a]!, caller: { via: 'link', node: ids[b]!, name: `n${b}` } }))
      peers.set(`${b}>${a}`, createRpcPeer({ channel: link[1], clock, registry: registries[b]!, caller: { via: 'link', node: ids[a]!, name: `n${a}` } }))
    }
  }
  const views = ids.map(() => ({ view: new CatalogView(), listeners: new Set<(name: string) => void>() }))
  const nodes = await Promise.all(ids.map(async (id, n): Promise<InvokeNode> => {
    const { view, listeners } = views[n]!
    const cells = options.sandbox?.(n) ?? await createSandbox({ cacheDirectory: directory, shapes: [], packageDirectories: [import.meta.dirname], workers: options.workers ?? 1, spareCells: 0 })
    const chunks: number[] = []
    const sandbox: Sandbox = { run: (job, hooks, signal) => { chunks.push(job.input.count); return cells.run(job, hooks, signal) }, warm: (principal) => cells.warm(principal), stats: () => cells.stats(), close: () => cells.close() }
    const catalog: Catalog = {
      get: (name) => view.get(name), list: () => view.list(), resolve: (reference, draw) => view.resolve(reference, draw), version: (name, prefix) => view.version(name, prefix),
      code: async (version) => blobs.get(version) ?? Promise.reject(new Error('no blob')), sourceMap: async () => undefined,
      onChange: (listener) => { listeners.add(listener); return () => { listeners.delete(listener) } },
    }
    const called: InvokeNode['called'] = [], lines: LogLine[] = [], counts = new Map<string, number>()
    const observer: Observer = {
      called: (call, outcome) => { called.push({ call, ...outcome }) }, line: (line) => { lines.push(line) },
      count: (name, what, by = 1) => { counts.set(`${name} ${what}`, (counts.get(`${name} ${what}`) ?? 0) + by) },
    }
    const held = (name: string): { readonly node: number; readonly epoch: number } | undefined => options.holder?.(name)
    const holders: Holders = {
      holder: (name) => { const found = held(name); return found === undefined ? undefined : { node: ids[found.node]!, epoch: found.epoch } },
      mine: (name) => { const found = held(name); return found?.node === n ? found.epoch : undefined },
      check: async () => {},
    }
    const hostCalls = systemHostCalls()
    const registry = registries[n]!
    const invoke = createInvoke({
      registry, store, sandbox, catalog, holders, observer, clock, random: systemRandom, self: { id, name: `n${n}` }, lanes: options.workers ?? 1, hostCalls,
      nodes: () => ids.flatMap((each, k) => (alive.has(each) ? [{ id: each, name: `n${k}`, cpuRatio: 0 }] : [])),
      peer: (to) => peers.get(`${n}>${ids.indexOf(to)}`)!,
      fetchVersion: async (_name, version) => records.get(version),
      subscribers: options.subscribers ?? (() => []),
      ...(options.admission === undefined ? {} : { admission: options.admission(n) }),
      ...(options.cutOff === undefined ? {} : { cutOff: options.cutOff }),
    })
    if (options.start !== false) invoke.start()
    const door = createChannelPair()
    createRpcPeer({ channel: door[1], clock, registry, caller: { via: 'socket', uid: 0 }, principal: 'local:0' })
    const shell = createRpcPeer({ channel: door[0], clock, registry: createRegistry(), caller: { via: 'socket', uid: 0 } })
    const client = createCallsClient({ peer: shell, callOptions: () => ({}), codec: { encode: (value) => encodeValue(value), decode: (bytes) => decodeValue(bytes) } })
    return {
      ...invoke, id, name: `n${n}`, client, shell, called, lines, counts, chunks, sandbox,
      kill() {
        alive.delete(id)
        for (const [key, peer] of peers) if (key.split('>').includes(String(n))) peer.close()
        void cells.close()
      },
    }
  }))
  return {
    nodes, store,
    deploy(name, source, wish = {}, at = ids.map((_, n) => n)) {
      const code = new TextEncoder().encode(`(environment, runtime) => (${source})`)
      const version = sha256(code)
      blobs.set(version, code)
      const manifest = manifestOf(name, version, wish)
      const versionRecord: VersionRecord = { ...SIGNED, manifest }
      records.set(version, versionRecord)
      for (const n of at) {
        const { view, listeners } = views[n]!
        const before = view.get(name)
        const record: FunctionRecord = { ...SIGNED, name, aliases: { stable: { version } }, history: [], paused: wish.paused ?? false, generation: (before?.record.generation ?? 0) + 1 }
        view.set(name, { record, manifest, versions: new Map([...before?.versions ?? [], [version, versionRecord]]) }, new Map())
        for (const listener of listeners) listener(name)
      }
      return version
    },
    remove(name) {
      for (const { view, listeners } of views) { view.set(name, undefined, new Map()); for (const listener of listeners) listener(name) }
    },
    manifest(name) {
      const found = views[0]?.view.get(name)
      if (found === undefined) throw new Error(`no function ${name}`)
      return found.manifest
    },
    async close() {
      await Promise.all(nodes.map((node) => node.stop()))
      await Promise.all(nodes.map((node) => node.sandbox.close()))
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** System calls only: what a program asks for with a host call, decoded and answered by whoever registered it. */
function systemHostCalls(): HostCalls {
  const registered = new Map<string, SystemCall>()
  return {
    register: (verb, call) => { registered.set(verb, call) },
    async answer(call: HostCall, caller: HostCaller) {
      const scope = caller.scope(call.element)
      const handler = registered.get(call.verb)
      if (scope === undefined || handler === undefined) throw new Error(`no call ${call.verb}`)
      return encodeValue(await handler(decodeValue(call.args, { profile: 'args' }) as unknown[], scope, caller.authority, () => {}))
    },
  }
}
