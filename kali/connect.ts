// `const dc = await connect()`: the data center as a program or the shell holds it, over the local
// socket of a node.

import { connectLocal, createRegistry, createRpcPeer, LIMITS, systemClock, uuidOfNode } from '../fabric/mod.ts'
import type { CallOptions, Member, MembershipEvent, RpcPeer } from '../fabric/mod.ts'
import { collectionFrom, collectionOf, explain } from '../functions/mod.ts'
import type { Collection, CollectionOptions, FunctionSession, ReferenceRecord, SourceSpec } from '../functions/mod.ts'
import { createValueCodec, makePipelined, makeReference, METHODS, readListing, rmoKinds } from '../rmo/mod.ts'
import type { PhysicalMachine, Session as RmoSession } from '../rmo/mod.ts'
import type { ConnectOptions, DataCenter, NodeInfo, NodeRow } from './contract.ts'
import { KALI } from './errors.ts'
import { dataDir, localPrincipal, socketPath } from './data-dir.ts'

const LIVE_FIGURES_TIMEOUT_MS = 2_000

/** Connects to the node of a data directory. Rejects with FABRIC_ERR_NO_NODE when none runs there. */
export async function connect(options: ConnectOptions = {}): Promise<DataCenter> {
  const channel = await connectLocal(socketPath(dataDir(options.data)), systemClock)
  const peer = createRpcPeer({ channel, caller: { via: 'socket', uid: process.getuid?.() ?? 0 }, registry: createRegistry(), clock: systemClock })
  return new ConnectedDataCenter(new BusyPeer(peer, (alive) => channel.hold?.(alive)), options)
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
  onClose(closed: () => void): void { this.#peer.onClose(closed) }
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

class ConnectedDataCenter implements DataCenter {
  readonly pms: Collection<PhysicalMachine>
  readonly #peer: BusyPeer
  readonly #functions: FunctionSession
  readonly #options: ConnectOptions

  constructor(peer: BusyPeer, options: ConnectOptions) {
    this.#peer = peer
    this.#options = options
    const principal = options.as === undefined ? undefined : `${localPrincipal()}/${options.as}`
    const rmo: RmoSession = {
      peer, kinds: rmoKinds,
      codec: createValueCodec({ reference: (record) => makeReference(record, rmo), collection: (spec) => this.#collection(spec) }),
      callOptions: () => this.#callOptions(principal),
      collection: (_kind, records) => collectionFrom(this.#functions, later(records, rmo)),
    }
    this.#functions = {
      peer, principal,
      defaults: options.defaults ?? {},
      globals: {},
      reference: (record) => makeReference(record, rmo),
      collection: (spec) => this.#collection(spec),
      pipelined: (record, kind) => makePipelined(record, rmoKinds.kindOf(kind), rmo),
      console: options.onConsole ?? stderrConsole,
      // A home that does not answer leaves a reference without figures, not a hole.
      list: async (kind, { timeoutMs, signal }) => readListing(await peer.call(METHODS.list, { kind, withAttributes: true }, callOptions({ timeoutMs, signal, principal }))).references.map((record) => makeReference(record, rmo)),
    }
    this.pms = collectionOf<PhysicalMachine>(this.#functions, { type: 'kind', kind: 'PhysicalMachine' })
  }

  from<T>(items: Iterable<T> | AsyncIterable<T>): Collection<T> { return collectionFrom(this.#functions, items) }

  range(n: number): Collection<number>
  range(from: number, to: number, step?: number): Collection<number>
  range(a: number, b?: number, step = 1): Collection<number> {
    const [from, to] = b === undefined ? [0, a] : [a, b]
    return collectionOf<number>(this.#functions, { type: 'range', from, to, step })
  }

  explain(fn: (...args: never[]) => unknown): ReturnType<DataCenter['explain']> { return explain(fn, { globals: this.#functions.globals }) }

  async node(): Promise<NodeInfo> { return await this.#peer.call('node.info', null, this.#callOptions()) as NodeInfo }

  async members(): Promise<readonly Member[]> { return await this.#peer.call('node.members', null, this.#callOptions()) as readonly Member[] }

  async nodes(options: { readonly timeoutMs?: number } = {}): Promise<readonly NodeRow[]> {
    const members = await this.members()
    const figures = new Map<string, PhysicalMachine>()
    const live = this.pms.with({ timeoutMs: options.timeoutMs ?? LIVE_FIGURES_TIMEOUT_MS })
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

  async close(): Promise<void> { this.#peer.close() }

  #callOptions(principal?: string): CallOptions {
    const { timeoutMs, signal }: CollectionOptions = this.#options.defaults ?? {}
    return callOptions({ timeoutMs, signal, principal })
  }

  #collection(spec: SourceSpec): object { return spec.type === 'items' ? [] : collectionOf(this.#functions, spec) }
}

/** The options that are there. */
function callOptions({ timeoutMs, signal, principal }: { readonly [K in 'timeoutMs' | 'signal' | 'principal']: CallOptions[K] | undefined }): CallOptions {
  return { ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(signal === undefined ? {} : { signal }), ...(principal === undefined ? {} : { principal }) }
}

async function* later(records: () => Promise<readonly ReferenceRecord[]>, session: RmoSession): AsyncGenerator<object> {
  for (const record of await records()) yield makeReference(record, session)
}
