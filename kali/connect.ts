// `const dc = await connect()`: the data center as a program or the shell holds it, over the local
// socket of a node.

import { resolve } from 'node:path'
import { fromErrorRecord, LIMITS, systemClock, uuidOfNode } from '../fabric/base.ts'
import { connectLocal, createRegistry, createRpcPeer } from '../fabric/client.ts'
import type { CallOptions, Member, MembershipEvent, RpcPeer } from '../fabric/mod.ts'
import { collectionFrom, collectionOf, collectionOfObjects, COUNTERPART, createCallsClient, createCatalogClient, createObserveClient, createSecretsClient, explain } from '../functions/base.ts'
import type { Collection, CollectionOptions, FunctionsApi, FunctionSession, ReferenceRecord, SourceSpec, StoreApi } from '../functions/mod.ts'
import { assignmentsOf, createLoad, createValueCodec, makePipelined, makeReference, METHODS, readListingStream, RMO } from '../rmo/base.ts'
import type { Listing, PhysicalMachine, ResourceObject, Session as RmoSession } from '../rmo/mod.ts'
import type { ConnectOptions, DataCenter, NodeInfo, NodeRow, ObjectCollections, ObjectListing } from './contract.ts'
import { createAclApi } from './acl-wire.ts'
import type { AclApi } from './acl-wire.ts'
import { KALI } from './errors.ts'
import { createAccountApi } from './account-wire.ts'
import type { AccountApi } from './account-wire.ts'
import { createAuditApi } from './audit-client.ts'
import type { AuditApi } from './audit-client.ts'
import { createStoreApi } from './store-client.ts'
import { dataDir, localPrincipal, socketPath } from './data-dir.ts'
import { GLOBAL_UUID } from './kinds/global.ts'
import { kumoiKinds } from './kinds/index.ts'
import { createTrustApi, presentLogin } from './trust/client.ts'
import type { TrustApi } from './trust/client.ts'
import { configDirectory, hasLogins } from './trust/login-file.ts'
import type { WhoAmI } from './trust/wire.ts'

const LIVE_FIGURES_TIMEOUT_MS = 2_000
/** Home of what is everywhere: a node's id that no node has. */
const NOBODY = '0'.repeat(64)

/** Connects to the node of a data directory. Rejects with FABRIC_ERR_NO_NODE when none runs there. */
export async function connect(options: ConnectOptions = {}): Promise<DataCenter> {
  const named = options.socket ?? process.env['KUMOI_SOCKET']
  const channel = named === undefined || named === '' ? await connectLocal(socketPath(dataDir(options.data)), systemClock) : await connectLocal(resolve(named), systemClock, { owner: 'anyone' })
  const peer = createRpcPeer({ channel, caller: { via: 'socket', uid: process.getuid?.() ?? 0 }, registry: createRegistry(), clock: systemClock })
  const busy = new BusyPeer(peer, (alive) => channel.hold?.(alive))
  const config = options.config ?? configDirectory(process.env)
  let who: WhoAmI | undefined
  try {
    // Who never logged in anywhere does not wait for the question.
    if (options.login !== false && await hasLogins(config)) who = await presentLogin(busy, { config, clock: systemClock, callOptions: () => ({ timeoutMs: LIMITS.callTimeoutMs }) })
  } catch (error) {
    peer.close()
    throw error
  }
  const center = new ConnectedDataCenter(busy, options, { config, principal: who?.principal ?? localPrincipal() })
  return Object.assign(center, center.collections() as unknown as ObjectCollections)
}

/** An idle connection does not keep a program alive that forgot to close it; a call under way does. */
class BusyPeer implements RpcPeer {
  readonly #peer: RpcPeer
  readonly #hold: (alive: boolean) => void
  #busy = 0
  #over = false

  constructor(peer: RpcPeer, hold: (alive: boolean) => void) {
    this.#peer = peer
    this.#hold = hold
    hold(false)
  }

  get caller(): RpcPeer['caller'] { return this.#peer.caller }
  get closed(): boolean { return this.#peer.closed }
  call(...args: Parameters<RpcPeer['call']>): Promise<unknown> {
    if (this.#over) return Promise.reject(KALI.CLOSED({}))
    return this.during(this.#peer.call(...args))
  }
  open(...args: Parameters<RpcPeer['open']>): ReturnType<RpcPeer['open']> {
    if (this.#over) throw KALI.CLOSED({})
    const stream = this.#peer.open(...args)
    this.during(stream.result).catch(() => {})
    return stream
  }
  emit(event: string, body: unknown): void { this.#peer.emit(event, body) }
  onClose(closed: (reason?: Error) => void): void { this.#peer.onClose(closed) }
  close(): void {
    this.#over = true
    this.#peer.close()
  }

  /** Keeps the process alive until `work` has settled. */
  during<T>(work: Promise<T>): Promise<T> {
    if (this.#busy++ === 0) this.#hold(true)
    const done = (): void => { if (--this.#busy === 0) this.#hold(false) }
    work.then(done, done)
    return work
  }
}

const stderrConsole: NonNullable<ConnectOptions['onConsole']> = ({ nodeName, text }) => { process.stderr.write(`${nodeName}| ${text}\n`) }

class ConnectedDataCenter implements Omit<DataCenter, keyof ObjectCollections> {
  /** Inside shipped functions the sandbox's own stand for these. */
  readonly from: DataCenter['from'] = standIn(['dc', 'from'], <T>(items: Iterable<T> | AsyncIterable<T>) => collectionFrom(this.#functions, items))
  readonly range: DataCenter['range'] = standIn(['dc', 'range'], (a: number, b?: number, step: number = 1): Collection<number> => {
    const [from, to] = b === undefined ? [0, a] : [a, b]
    return collectionOf<number>(this.#functions, { type: 'range', from, to, step })
  })
  readonly load: DataCenter['load'] = standIn(['dc', 'load'], createLoad(kumoiKinds))
  readonly global: DataCenter['global']
  readonly fn: DataCenter['fn']
  readonly functions: FunctionsApi
  readonly store: StoreApi
  readonly audit: AuditApi
  readonly account: AccountApi
  readonly trust: TrustApi
  readonly acl: AclApi
  readonly #peer: BusyPeer
  readonly #functions: FunctionSession
  readonly #rmo: RmoSession
  readonly #options: ConnectOptions

  constructor(peer: BusyPeer, options: ConnectOptions, { config, principal: own }: { readonly config: string; readonly principal: string }) {
    this.#peer = peer
    this.#options = options
    const principal = options.as === undefined ? undefined : `${own}/${options.as}`
    const rmo: RmoSession = {
      peer, kinds: kumoiKinds,
      codec: createValueCodec({ reference: (record) => makeReference(record, rmo), collection: (spec) => this.#collection(spec) }),
      callOptions: () => this.#callOptions(principal),
      collection: (kind, records) => collectionOfObjects(this.#functions, kind, records),
    }
    this.#functions = {
      peer, principal,
      defaults: options.defaults ?? {},
      globals: {},
      reference: (record) => makeReference(record, rmo),
      collection: (spec) => this.#collection(spec),
      pipelined: (record, kind) => makePipelined(record, kumoiKinds.kindOf(kind), rmo),
      console: options.onConsole ?? stderrConsole,
      list: async (kind, { timeoutMs, signal }) => (await this.#whole(kind, 'attributes', callOptions({ timeoutMs, signal, principal }))).map((record) => makeReference(record, rmo)),
      count: async (kind, { timeoutMs, signal }) => (await this.#whole(kind, 'names', callOptions({ timeoutMs, signal, principal }))).length,
    }
    this.#rmo = rmo
    // Every node serves it: the home is whoever is asked. Its figures are those of each use.
    this.global = makePipelined({ anew: async () => (await this.#whole('Global', 'attributes', this.#callOptions(principal)))[0] ?? { kind: 'Global', uuid: GLOBAL_UUID, home: NOBODY, name: 'global', attributes: {} } }, kumoiKinds.kindOf('Global'), rmo) as unknown as DataCenter['global']
    const client = { peer, callOptions: () => this.#callOptions(principal) }
    const { fn, ...calls } = createCallsClient({ ...client, codec: { encode: (value) => rmo.codec.encode(value), decode: (bytes) => rmo.codec.decode(bytes, 'value') } })
    this.fn = standIn(['dc', 'fn'], fn)
    this.functions = { ...createCatalogClient(client), ...calls, ...createObserveClient(client), secrets: createSecretsClient(client) }
    this.store = createStoreApi(client)
    this.trust = createTrustApi({ ...client, config, clock: systemClock })
    this.acl = createAclApi(client)
    this.audit = createAuditApi(client)
    this.account = createAccountApi(client)
  }

  /** One per kind of the registry, under its plural: pms, vms, ... */
  collections(): Readonly<Record<string, Collection<unknown>>> {
    return Object.fromEntries(kumoiKinds.kinds.map(({ kind, plural }) => [plural, collectionOf(this.#functions, { type: 'kind', kind })]))
  }

  async list(kind: string): Promise<ObjectListing> {
    const { references, failures } = await this.#listing(kind, 'attributes', this.#rmo.callOptions())
    return {
      objects: references.map((record) => makeReference(record, this.#rmo) as ResourceObject),
      failures: failures.map(({ name, error: { code, message } }) => ({ name, code, message })),
    }
  }

  async settled(): Promise<void> {
    const failures = await assignmentsOf(this.#rmo).settled()
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} assignments to objects failed; the first: ${failures[0] instanceof Error ? failures[0].message : String(failures[0])}`)
    if (failures.length === 1) throw failures[0]
  }

  explain(fn: (...args: never[]) => unknown): ReturnType<DataCenter['explain']> { return explain(fn, { globals: this.#functions.globals }) }

  async node(): Promise<NodeInfo> { return await this.#peer.call('node.info', null, this.#callOptions()) as NodeInfo }

  async members(): Promise<readonly Member[]> { return await this.#peer.call('node.members', null, this.#callOptions()) as readonly Member[] }

  async nodes(options: { readonly timeoutMs?: number } = {}): Promise<readonly NodeRow[]> {
    const members = await this.members()
    const figures = new Map<string, PhysicalMachine>()
    const live = collectionOf<PhysicalMachine>(this.#functions, { type: 'kind', kind: 'PhysicalMachine' }).with({ timeoutMs: options.timeoutMs ?? LIVE_FIGURES_TIMEOUT_MS })
    for (const machine of await live) figures.set(machine.uuid, machine)
    return members.map((member) => {
      const machine = figures.get(uuidOfNode(member.id))
      return { ...member, cpuRatio: machine?.cpuRatio, memoryTotalBytes: machine?.memoryTotalBytes, memoryFreeBytes: machine?.memoryFreeBytes }
    })
  }

  async ticket(options: { readonly lifetimeMs?: number } = {}): Promise<string> {
    return await this.#peer.call('node.ticket', { lifetimeMs: options.lifetimeMs ?? null }, this.#callOptions()) as string
  }

  async *watchMembers(signal?: AbortSignal): AsyncGenerator<MembershipEvent> {
    const stream = this.#peer.open('node.watch', null, { timeoutMs: LIMITS.callTimeoutMsMax, ...(signal === undefined ? {} : { signal }) })
    stream.result.catch(() => {})
    try {
      for await (const event of stream) yield event as MembershipEvent
    } finally {
      stream.cancel()
    }
  }

  async down(): Promise<void> {
    const gone = this.#peer.during(new Promise<void>((resolve) => this.#peer.onClose(() => resolve())))
    await this.#peer.call('node.down', null, this.#callOptions())
    await gone
  }

  async close(): Promise<void> {
    try {
      await this.settled()
    } finally {
      this.#peer.close()
    }
  }

  #listing(kind: string, want: 'names' | 'attributes', options: CallOptions): Promise<Listing> {
    return readListingStream(this.#peer.open(METHODS.list, { kind, withAttributes: want === 'attributes' }, options), kind, this.#rmo.codec)
  }

  /**
   * All of a kind. A machine that does not answer is a member all the same: it is there, without figures. What it has
   * (VMs, volumes) is not known then, and a shorter list would be a wrong one.
   */
  async #whole(kind: string, want: 'names' | 'attributes', options: CallOptions): Promise<readonly ReferenceRecord[]> {
    const { references, failures } = await this.#listing(kind, want, options)
    const [first] = failures
    if (first !== undefined && kumoiKinds.kindOf(kind).residence === 'hosted') throw RMO.LIST_INCOMPLETE({ kind, failed: failures.map(({ name }) => name), first: first.error.message }, { cause: fromErrorRecord(first.error) })
    return references
  }

  #callOptions(principal?: string): CallOptions {
    const { timeoutMs, signal }: CollectionOptions = this.#options.defaults ?? {}
    return callOptions({ timeoutMs, signal, principal })
  }

  #collection(spec: SourceSpec): object { return spec.type === 'items' ? [] : collectionOf(this.#functions, spec) }
}

/** A function that is another one inside shipped functions (functions/sandbox/prelude/names.ts). */
const standIn = <F extends (...args: never[]) => unknown>(path: readonly string[], fn: F): F => Object.defineProperty(fn, COUNTERPART, { value: path })

/** The options that are there. */
function callOptions({ timeoutMs, signal, principal }: { readonly [K in 'timeoutMs' | 'signal' | 'principal']: CallOptions[K] | undefined }): CallOptions {
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }), ...(principal === undefined ? {} : { principal }) }
}
