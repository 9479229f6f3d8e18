// A DataCenter and a node without a fabric: functions run here, in this process, machine by machine.
// Enough of kali/contract.ts for the shell's tests; not a simulation of the real thing.

import { CodedError } from '../../fabric/base.ts'
import type { Member, MembershipEvent } from '../../fabric/mod.ts'
import { REFERENCE } from '../../functions/mod.ts'
import type { Collection, CollectionOptions, Manifest, Outcome } from '../../functions/mod.ts'
import type { ConnectOptions, DataCenter, NodeInfo, NodeRow, RunningNode, StartNodeOptions } from '../../kali/contract.ts'
import { load } from '../../rmo/mod.ts'
import type { Kali } from '../../cli/world.ts'
import { fakeFunctions } from './fake-functions.ts'

export interface FakeMachine { readonly name: string; readonly cpuRatio: number; readonly memoryFreeRatio: number; exec(file: string, args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> }

const NODE_ID = 'a'.repeat(64)
type Result = Outcome<unknown>

/** Lazily evaluated list of outcomes; only what tests use of Collection is there. */
export class FakeCollection implements PromiseLike<unknown[]> {
  readonly #load: () => Promise<Result[]>
  readonly #options: CollectionOptions | undefined
  constructor(load: () => Promise<Result[]>, options: CollectionOptions | undefined) {
    this.#load = load
    this.#options = options
  }
  #next(change: (outcomes: Result[]) => Promise<Result[]>): FakeCollection {
    return new FakeCollection(async () => change(await this.#load()), this.#options)
  }
  dmap(fn: (item: unknown, index: number) => unknown): FakeCollection {
    return this.#next(async (outcomes) => Promise.all(outcomes.map((o) => o.status === 'value' ? cancellable(o, fn, this.#options?.signal) : o)))
  }
  dfilter(fn: (item: unknown) => unknown): FakeCollection {
    return this.#next(async (outcomes) => outcomes.filter((o) => o.status !== 'value' || fn(o.value)))
  }
  async dreduce(fn: (a: unknown, b: unknown) => unknown): Promise<unknown> { return (await this).reduce((a, b) => fn(a, b)) }
  flat(): FakeCollection { return this.#next(async (outcomes) => outcomes.flatMap((o) => o.status === 'value' && Array.isArray(o.value) ? o.value.map((value: unknown) => ({ ...o, value })) : [o])) }
  settled(): Promise<Result[]> { return this.#load() }
  then<A, B>(resolve?: ((items: unknown[]) => A | PromiseLike<A>) | null, reject?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this.#items().then(resolve, reject)
  }
  async #items(): Promise<unknown[]> {
    const outcomes = await this.#load()
    const failed = outcomes.filter((o) => o.status !== 'value')
    this.#options?.onProgress?.({ total: outcomes.length, done: outcomes.length - failed.length, failed: failed.length, pending: 0 })
    if (failed.length === 0) return outcomes.map((o) => o.status === 'value' ? o.value : undefined)
    throw Object.assign(new CodedError(`${failed.length} of ${outcomes.length} elements failed`, { code: 'FUNCTIONS_ERR_PARTIAL' }), { outcomes })
  }
}

async function cancellable(outcome: Result & { status: 'value' }, fn: (item: unknown, index: number) => unknown, signal: AbortSignal | undefined): Promise<Result> {
  const { index, node, nodeName } = outcome
  try {
    signal?.throwIfAborted()
    const aborted = new Promise<never>((_, reject) => { signal?.addEventListener('abort', () => reject(signal.reason), { once: true }) })
    return { ...outcome, value: await Promise.race([fn(outcome.value, index), aborted]) }
  } catch (error) {
    return { status: signal?.aborted === true ? 'cancelled' : 'error', index, node, nodeName, element: nodeName, mayHaveRun: true, error: error instanceof Error ? error : new Error(String(error)) }
  }
}

const machine = (name: string, index: number): FakeMachine => ({
  name, cpuRatio: index / 10, memoryFreeRatio: 0.5,
  exec: async (file, args) => ({ code: 0, stdout: `${file} ${args.join(' ')}\n`, stderr: '' }),
})

/** A reference as the shell holds it: every unknown property would be a call, so touching one is an error. */
export const reference = (name: string): unknown => new Proxy({}, {
  get: (_, key) => {
    if (key === REFERENCE) return { kind: 'PhysicalMachine', uuid: `uuid-${name}`, home: NODE_ID, name, attributes: { name, cpuRatio: 0.5 } }
    throw new Error(`touched ${String(key)}`)
  },
})

export interface Fake { readonly kali: Kali; readonly calls: string[]; readonly connects: ConnectOptions[]; readonly starts: StartNodeOptions[] }

export interface FakeOptions { readonly names?: readonly string[]; readonly connectError?: Error; readonly startError?: Error; readonly events?: readonly MembershipEvent[]; readonly pid?: number; readonly dead?: readonly string[]; readonly unsettled?: readonly Error[] }

export function fakeKali(options: FakeOptions = {}): Fake {
  const names = options.names ?? ['alpha', 'beta', 'gamma']
  const calls: string[] = [], connects: ConnectOptions[] = [], starts: StartNodeOptions[] = []
  const info: NodeInfo = { id: NODE_ID, name: names[0] ?? 'alpha', fabric: 'f'.repeat(64), version: '0.1.0', pid: options.pid ?? 4242, data: '/data', addresses: ['10.0.0.1:4000'], startedAtMs: 0, origin: 'founded', doors: {} }
  const dead = options.dead ?? []
  const listed = (items: readonly unknown[], defaults: CollectionOptions | undefined, nodeNames = names): FakeCollection => new FakeCollection(
    async () => items.map((value, index) => ({ status: 'value', index, value, node: NODE_ID, nodeName: nodeNames[index % nodeNames.length] ?? 'alpha' })), defaults)
  const center = (connect: ConnectOptions): DataCenter => {
    const asCollection = <T>(items: readonly unknown[]): Collection<T> => listed(items, connect.defaults) as unknown as Collection<T>
    const range = (from: number, to?: number): Collection<number> =>
      asCollection(to === undefined ? Array.from({ length: from }, (_, i) => i) : Array.from({ length: to - from }, (_, i) => from + i))
    return {
      get pms() { return asCollection<never>(names.map(machine)) },
      vmms: asCollection<never>([]), vms: asCollection<never>([]), images: asCollection<never>([]), volumes: asCollection<never>([]), storagePools: asCollection<never>([]),
      networks: asCollection<never>([]), switches: asCollection<never>([]), ports: asCollection<never>([]), snapshots: asCollection<never>([]), pools: asCollection<never>([]), elasticities: asCollection<never>([]), highAvailabilities: asCollection<never>([]),
      global: {} as DataCenter['global'],
      list: async () => ({ objects: [], failures: [] }), load,
      settled: async () => { if (options.unsettled !== undefined) throw options.unsettled.length === 1 ? options.unsettled[0] : new AggregateError(options.unsettled) },
      from: <T>(items: Iterable<T> | AsyncIterable<T>) => asCollection<T>([...(items as Iterable<T>)]),
      range,
      ...fakeFunctions(calls),
      acl: { why: () => Promise.reject(new Error('this fake has no acl.why')) },
      trust: new Proxy({} as DataCenter['trust'], { get: (_target, method) => () => Promise.reject(new Error(`this fake has no trust.${String(method)}`)) }),
      account: { list: async () => ({ rows: [], silent: [] }), prices: async () => undefined, setPrices: async () => {} },
      audit: { async *list() {}, verify: async () => [], async *export() {} },
      explain: (fn): Manifest => ({ name: fn.name, location: 'kumoi:expression:1:1', codeHash: 'c'.repeat(64), codeBytes: fn.toString().length, environmentHash: 'e'.repeat(64), environmentBytes: 9, captured: [{ path: 'limit', type: 'number', bytes: 9 }], packages: [], capabilities: ['PhysicalMachine'] }),
      node: async () => info,
      members: async () => dead.map((name): Member => ({ id: NODE_ID, name, state: 'dead', incarnation: 1, addresses: [], version: '0.1.0', startedAtMs: 0, sinceMs: 0, load: { cpuRatio: 0, queued: 0 } })),
      nodes: async () => names.map((name, i): NodeRow => ({ id: NODE_ID, name, state: i === 2 ? 'dead' : 'alive', incarnation: 1, addresses: [`10.0.0.${i + 1}:4000`], version: '0.1.0', startedAtMs: 0, sinceMs: 0, load: { cpuRatio: 0, queued: 0 }, cpuRatio: i === 2 ? undefined : 0.25, memoryTotalBytes: 8 * 1024 ** 3, memoryFreeBytes: 2 * 1024 ** 3 })),
      ticket: async (wish) => { calls.push(`ticket ${wish?.lifetimeMs ?? 'default'}`); return 'ticket-text' },
      watchMembers: async function* () { yield* options.events ?? [] },
      down: async () => { calls.push('down') },
      close: async () => { calls.push('close') },
    }
  }
  return {
    calls, connects, starts,
    kali: {
      connect: async (connect) => {
        connects.push(connect)
        if (options.connectError !== undefined) throw options.connectError
        return center(connect)
      },
      startNode: async (start): Promise<RunningNode> => {
        starts.push(start)
        if (options.startError !== undefined) throw options.startError
        const stopped = Promise.withResolvers<void>()
        start.onLog?.('listening')
        return { info: { ...info, name: start.name ?? 'alpha', data: start.data }, socket: `${start.data}/node.sock`, stopped: stopped.promise, stop: async () => { calls.push('stop'); stopped.resolve() } }
      },
    },
  }
}
