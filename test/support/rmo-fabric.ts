// A few nodes in one process for the tests of rmo: real capabilities, services and references over a
// stand-in for rpc (bodies are cloned, errors travel as records). test/rmo/wire.test.ts uses the real one.

import { CodedError, fromErrorRecord, systemClock, systemRandom, toErrorRecord, uuidOfNode } from '../../fabric/base.ts'
import type { ErrorRecord, NodeId } from '../../fabric/base.ts'
import { createMemoryStore } from '../../fabric/mod.ts'
import type { CallContext, CallOptions, Caller, ClientStream, Member, MembershipEvent, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import type { Authority } from '../../functions/mod.ts'
import { createCapabilities, createGate, createLedger, createLocalObjects, createMachine, createValueCodec, createWatches, localPolicy, makeReference, registerRmo, rmoKinds } from '../../rmo/mod.ts'
import type { GateRecord, KindRegistry, LocalMachine, LocalObjects, NodeCapabilities, PhysicalMachine, Policy, Session, Watches } from '../../rmo/mod.ts'

/** What a test knows to be there. */
export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value')
  return value
}

export const nodeId = (n: number): NodeId => n.toString(16).padStart(2, '0').repeat(32)

export function member(n: number, name: string, over: Partial<Member> = {}): Member {
  return {
    id: nodeId(n), name, state: 'alive', incarnation: 1, addresses: [`127.0.0.1:${7000 + n}`], version: '0.1.0',
    startedAtMs: 0, sinceMs: 0, load: { cpuRatio: 0, queued: 0 }, ...over,
  }
}

export function authority(over: Partial<Authority> = {}): Authority {
  return { principal: 'local:0', trace: '0123456789abcdef', hop: 0, signal: new AbortController().signal, remainingMs: () => 30_000, ...over }
}

// ---------------------------------------------------------------- rpc stand-in

type Handlers = { readonly methods: Map<string, (body: unknown, context: CallContext) => unknown>; readonly streams: Map<string, (body: unknown, context: CallContext, stream: RpcStream) => Promise<unknown>> }

const wired = (error: unknown): ErrorRecord => structuredClone(toErrorRecord(error, 'TEST_ERR'))

/** One direction of a stream. */
function createPipe() {
  const items: unknown[] = []
  let end: { readonly error?: Error } | undefined
  let wake = (): void => {}
  return {
    push(item: unknown) { if (end === undefined) { items.push(structuredClone(item)); wake() } },
    close(error?: Error) { end ??= error === undefined ? {} : { error }; wake() },
    async read(): Promise<unknown> {
      for (;;) {
        if (items.length > 0) return items.shift()
        if (end?.error !== undefined) throw end.error
        if (end !== undefined) return undefined
        await new Promise<void>((resolve) => { wake = resolve })
      }
    },
  }
}
type Pipe = ReturnType<typeof createPipe>

function streamOver(input: Pipe, output: Pipe, cancelled: (error: Error) => void): RpcStream {
  const stream: RpcStream = {
    async write(message) { output.push(message) },
    waiting: 0,
    end: () => output.close(),
    read: () => input.read(),
    cancel(error = new CodedError('cancelled', { code: 'FABRIC_ERR_CANCELLED' })) { input.close(error); output.close(error); cancelled(error) },
    async *[Symbol.asyncIterator]() { for (let item = await input.read(); item !== undefined; item = await input.read()) yield item },
  }
  return stream
}

function connection(handlers: Handlers, caller: Caller) {
  const contextOf = (options: CallOptions, signal: AbortSignal): CallContext => ({
    caller, principal: options.parent?.principal ?? options.principal ?? 'local:0', trace: options.parent?.trace ?? '0123456789abcdef',
    hop: (options.parent?.hop ?? 0) + 1, signal, remainingMs: () => Math.min(options.timeoutMs ?? 30_000, options.parent?.remainingMs() ?? Infinity),
  })
  const signalOf = (options: CallOptions, own: AbortSignal): AbortSignal =>
    AbortSignal.any([own, ...[options.signal, options.parent?.signal].filter((signal) => signal !== undefined)])
  return {
    async call(method: string, body: unknown, options: CallOptions = {}): Promise<unknown> {
      const handler = handlers.methods.get(method)
      if (handler === undefined) throw new CodedError(`no method ${method}`, { code: 'FABRIC_ERR_METHOD_UNKNOWN' })
      try {
        return structuredClone(await handler(structuredClone(body), contextOf(options, signalOf(options, new AbortController().signal))))
      } catch (error) { throw fromErrorRecord(wired(error)) }
    },
    open(method: string, body: unknown, options: CallOptions = {}): ClientStream {
      const up = createPipe(), down = createPipe()
      const abort = new AbortController()
      const server = streamOver(up, down, (error) => abort.abort(error))
      const result = Promise.resolve().then(() => handlers.streams.get(method)?.(structuredClone(body), contextOf(options, signalOf(options, abort.signal)), server))
      result.then(() => down.close(), (error: unknown) => down.close(fromErrorRecord(wired(error))))
      result.catch(() => {})
      return Object.assign(streamOver(down, up, (error) => abort.abort(error)), { result })
    },
  }
}

// ---------------------------------------------------------------- nodes

export interface TestNode {
  readonly member: Member
  readonly capabilities: NodeCapabilities
  readonly watches: Watches
  readonly objects: LocalObjects
  readonly machine: LocalMachine
  readonly gateLog: GateRecord[]
  /** rmo.* calls that came over a link. */
  readonly linkCalls: string[]
  /** What a shell on this node's socket holds. */
  readonly session: Session
  /** A reference to the machine of a member, as a shell here holds it. */
  pm(name: string): Promise<PhysicalMachine>
}

export interface TestFabric {
  readonly nodes: readonly TestNode[]
  node(name: string): TestNode
  /** Replaces a member and tells everybody. */
  change(name: string, state: Member['state']): void
  /** Calls and streams to it fail from now on; open streams break. */
  cut(name: string): void
  mend(name: string): void
  close(): void
}

export function createTestFabric(names: readonly string[], options: { readonly policy?: Policy; readonly unreadable?: (kind: string, principal: string) => Error | undefined | Promise<Error | undefined>; readonly kinds?: KindRegistry; readonly machine?: (name: string) => Partial<LocalMachine> } = {}): TestFabric {
  let members = names.map((name, i) => member(i + 1, name))
  const listeners = new Set<(event: MembershipEvent) => void>()
  const unreachable = new Set<NodeId>()
  const open = new Map<NodeId, Set<ClientStream>>()
  const served = new Map<NodeId, Handlers>()
  const gone = (id: NodeId): CodedError => new CodedError(`node ${id.slice(0, 8)} is unreachable`, { code: 'FABRIC_ERR_UNREACHABLE', retryable: true })
  const stops: (() => void)[] = []
  const kinds = options.kinds ?? rmoKinds

  const nodes = names.map((name, i): TestNode => {
    const id = nodeId(i + 1)
    const handlers: Handlers = { methods: new Map(), streams: new Map() }
    served.set(id, handlers)
    const linkCalls: string[] = []
    const registry: RpcRegistry = {
      method: (method, handler) => { handlers.methods.set(method, (body, context) => { if (context.caller.via === 'link') linkCalls.push(method); return handler(body, context) }) },
      stream: (method, handler) => { handlers.streams.set(method, (body, context, stream) => { if (context.caller.via === 'link') linkCalls.push(method); return handler(body, context, stream) }) },
      event: () => {},
      around: () => false,
    }
    const self = (): Member => members.find((each) => each.id === id) ?? member(i + 1, name)
    const peer = (to: NodeId) => {
      const handlersThere = served.get(to)
      if (handlersThere === undefined || unreachable.has(to) || unreachable.has(id)) throw gone(to)
      return connection(handlersThere, { via: 'link', node: id, name })
    }
    const machine = createMachine({ self, data: `/var/lib/kumoi/${name}`, clock: systemClock })
    stops.push(() => machine.stop())
    const offered: LocalMachine = { ...machine, ...options.machine?.(name) }
    const objects = createLocalObjects({ forwardsMax: 16 })
    objects.add({ kind: 'PhysicalMachine', uuid: uuidOfNode(id), local: offered })
    const gateLog: GateRecord[] = []
    const capabilities = createCapabilities({
      self: id, members: () => members, objects, kinds, clock: systemClock, random: systemRandom,
      ledger: createLedger({ store: createMemoryStore(), clock: systemClock }),
      gate: createGate({ policy: options.policy ?? localPolicy(), log: (record) => gateLog.push(record), clock: systemClock }),
      codec: createValueCodec(),
      ...(options.unreadable === undefined ? {} : { unreadable: options.unreadable }),
      callPeer: async (to, method, body, parent) => peer(to).call(method, body, { parent }),
      openPeer: (to, method, body, parent) => peer(to).open(method, body, { parent }),
    })
    const watches = createWatches({
      capabilities, clock: systemClock,
      onMembership: (listener) => { listeners.add(listener); return () => { listeners.delete(listener) } },
      openPeer: (to, method, body, parent) => {
        const stream = peer(to).open(method, body, { parent })
        const streams = open.get(to) ?? new Set()
        open.set(to, streams.add(stream))
        return stream
      },
    })
    registerRmo({ registry, capabilities, watches, codec: createValueCodec() })
    const session: Session = {
      peer: connection(handlers, { via: 'socket', uid: 0 }),
      codec: createValueCodec({ reference: (record) => makeReference(record, session) }),
      kinds,
      callOptions: () => ({}),
      collection: (_kind, records) => records,
    }
    return {
      member: self(), capabilities, watches, objects, machine: offered, gateLog, linkCalls, session,
      async pm(wanted) {
        const { references } = await capabilities.list('PhysicalMachine', { withAttributes: true }, authority())
        const record = references.find((each) => each.name === wanted)
        if (record === undefined) throw new Error(`no machine ${wanted}`)
        return makeReference(record, session) as PhysicalMachine
      },
    }
  })
  const idOf = (name: string): NodeId => members.find((each) => each.name === name)?.id ?? ''
  const types = { alive: 'refuted', suspect: 'suspected', dead: 'died', left: 'left' } as const
  return {
    nodes,
    node: (name) => must(nodes.find((node) => node.member.name === name)),
    change(name, state) {
      members = members.map((each) => each.name === name ? { ...each, state } : each)
      const changed = members.find((each) => each.name === name)
      if (changed !== undefined) for (const listener of listeners) listener({ type: types[state], member: changed })
    },
    cut(name) {
      unreachable.add(idOf(name))
      for (const stream of open.get(idOf(name)) ?? []) stream.cancel(gone(idOf(name)))
      open.delete(idOf(name))
    },
    mend: (name) => { unreachable.delete(idOf(name)) },
    close() { for (const stop of stops) stop() },
  }
}
