// Hosts over simulated hypervisors in one process, connected by a stand-in for rpc that clones what travels: for the
// tests of rmo/host. Links can be cut; a host can be stopped and started again on the same hypervisor.

import { CodedError, fromErrorRecord, seededRandom, systemClock, toErrorRecord, uuidOfNode } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import { createMemoryStore } from '../../fabric/mod.ts'
import type { CallContext, LocalStore } from '../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { HypervisorDriver } from '../../rmo/driver/contract.ts'
import { createMemoryDriver } from '../../rmo/driver/memory/driver.ts'
import type { MemoryDriver } from '../../rmo/driver/memory/driver.ts'
import type { VmGuard } from '../../rmo/host/contract.ts'
import { createHost } from '../../rmo/host/host.ts'
import type { Host } from '../../rmo/host/host.ts'
import { createStorageRoom } from '../../rmo/host/storage/storage-room.ts'
import type { HostVm } from '../../rmo/host/vm/vm.ts'
import { createLedger, createLocalObjects, rmoKinds } from '../../rmo/mod.ts'
import type { Ledger, LocalObjects, ObjectEvent } from '../../rmo/mod.ts'
import { namedUuid } from '../../rmo/uuid.ts'
import type { NewVm } from '../../rmo/kinds/interfaces.ts'
import { authority, must, nodeId } from './rmo-fabric.ts'

export interface TestHost {
  readonly name: string
  readonly id: NodeId
  readonly driver: MemoryDriver
  readonly objects: LocalObjects
  readonly store: LocalStore
  readonly ledger: Ledger
  readonly host: Host
  /** What pm of this host is to the others. */
  readonly pm: ReferenceRecord
  vm(uuid: string): HostVm
  /** Made cold, added, and started when asked. */
  add(wish: NewVm, options?: { readonly start?: boolean }): Promise<HostVm>
  /** Events of its VMs, or of one, as they come. */
  listen(uuid?: string): Listened
  /** The node stops and starts again on the same hypervisor, with the same notes. */
  restart(): Promise<void>
}
export interface Listened {
  readonly events: readonly (ObjectEvent & Readonly<Record<string, unknown>>)[]
  readonly types: readonly string[]
  /** Resolves with the first event of that type, also one that has come already. */
  until(type: string): Promise<ObjectEvent & Readonly<Record<string, unknown>>>
}

/** Resolves when `what` says so, asked again after each turn of the event loop. */
export async function eventually(what: () => boolean): Promise<void> {
  for (const endsAtMs = performance.now() + 10_000; !what();) {
    if (performance.now() > endsAtMs) throw new Error(`it did not come true: ${what.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export interface TestHosts {
  readonly hosts: readonly TestHost[]
  host(name: string): TestHost
  /** No call reaches it, none leaves it. */
  cut(name: string): void
  mend(name: string): void
  /** Runs before a call is delivered; throwing loses the call. `answer`: after it was carried out; throwing loses the answer. */
  intercept(hook: ((call: { readonly to: string; readonly body: Readonly<Record<string, unknown>> }, when: 'call' | 'answer') => void) | undefined): void
  stop(): Promise<void>
}

export interface TestHostsOptions {
  readonly clock?: Clock
  readonly driver?: (name: string) => Partial<Parameters<typeof createMemoryDriver>[0]>
  /** The destination's gate. */
  readonly admit?: (name: string, authority: Authority) => Promise<void>
  /** Stands between the host and its driver. */
  readonly wrap?: (driver: HypervisorDriver, name: string) => HypervisorDriver
  readonly storage?: boolean
  readonly guard?: (name: string) => VmGuard
  /** Of a host over a real hypervisor. */
  readonly directory?: (name: string) => string
  /** All of them simulated by one node, as a fleet is. */
  readonly oneNode?: boolean
}

export async function createTestHosts(names: readonly string[], options: TestHostsOptions = {}): Promise<TestHosts> {
  const { clock = systemClock } = options
  const handlers = new Map<NodeId, (body: unknown, context: CallContext) => unknown>()
  const unreachable = new Set<NodeId>()
  const shared = { objects: createLocalObjects({ forwardsMax: 16 }), store: createMemoryStore() }
  const machineOf = (name: string, id: NodeId): string => options.oneNode === true ? namedUuid(uuidOfNode(id), name) : uuidOfNode(id)
  const nameOf = (id: NodeId): string => names[Number.parseInt(id.slice(0, 2), 16) - 1] ?? id.slice(0, 8)
  // A node that starts again does not draw the same uuids again.
  const randoms = new Map<string, Random>()
  const randomOf = (name: string, id: NodeId): Random => {
    const random = randoms.get(name) ?? seededRandom(id.charCodeAt(1))
    randoms.set(name, random)
    return random
  }
  let hook: Parameters<TestHosts['intercept']>[0]

  const ledgers = new Map<LocalStore, Ledger>()
  /** One for a node. */
  const ledgerOf = (store: LocalStore): Ledger => {
    const ledger = ledgers.get(store) ?? createLedger({ store, clock })
    ledgers.set(store, ledger)
    return ledger
  }
  const start = (name: string, id: NodeId, driver: MemoryDriver, objects: LocalObjects, store: LocalStore): Host => {
    const machineUuid = machineOf(name, id)
    const host: Host = createHost({
      self: id, machineUuid, hostName: () => name, driver: options.wrap?.(driver, name) ?? driver, objects, kinds: rmoKinds, clock, random: randomOf(name, id), directory: options.directory?.(name) ?? '/nonexistent',
      store, ledger: ledgerOf(store), admit: async (by) => options.admit?.(name, by), ...options.guard === undefined ? {} : { guard: options.guard(name) }, log: { info: () => {}, warn: () => {} },
      parts(context) {
        if (options.storage !== true) return {}
        const room = createStorageRoom(context)
        return { rooms: [room], disks: room.disks, createPool: (pool, by) => room.createPool(pool, by) }
      },
      peers: {
        nameOf,
        sibling: (machineUuid) => hosts.find(({ pm }) => pm.uuid === machineUuid)?.host,
        async call(to, _method, body, parent) {
          const lost = new CodedError(`node ${nameOf(to)} is unreachable`, { code: 'FABRIC_ERR_UNREACHABLE', retryable: true })
          const handler = handlers.get(to)
          if (handler === undefined || unreachable.has(to) || unreachable.has(id)) throw lost
          const call = { to: nameOf(to), body: body as Readonly<Record<string, unknown>> }
          hook?.(call, 'call')
          const context: CallContext = { caller: { via: 'link', node: id, name }, principal: parent.principal, trace: parent.trace, hop: parent.hop + 1, signal: parent.signal, remainingMs: () => parent.remainingMs() }
          try {
            const answer: unknown = structuredClone(await handler(structuredClone(body), context))
            hook?.(call, 'answer')
            if (unreachable.has(to) || unreachable.has(id)) throw lost
            return answer
          } catch (error) { throw fromErrorRecord(structuredClone(toErrorRecord(error, 'TEST_ERR'))) }
        },
        async invoke({ kind, uuid, home }, verb, args, by) {
          const there = must(hosts.find((each) => each.id === home && each.objects.get(kind, uuid) !== undefined))
          const local = must(there.objects.get(kind, uuid)).local
          return must(rmoKinds.kindOf(kind).operations.get(verb)).run(local, args.map((arg, i) => must(must(rmoKinds.kindOf(kind).operations.get(verb)).parameters[i]).type.check(arg, { call: verb, path: 'argument' })), by, undefined as never)
        },
      },
    })
    host.serve({ method: (_name, handler) => { handlers.set(id, handler) } })
    return host
  }

  // Timers of hosts never keep a process alive; a test that waits for one must.
  const alive = setInterval(() => {}, 60_000)
  const hosts = names.map((name, i): TestHost => {
    const id = nodeId(options.oneNode === true ? 1 : i + 1)
    const store = options.oneNode === true ? shared.store : createMemoryStore()
    const driver = createMemoryDriver({ name, clock, random: seededRandom(i + 1), bootMs: 1, shutdownMs: 1, ...options.driver?.(name) })
    const state = { objects: options.oneNode === true ? shared.objects : createLocalObjects({ forwardsMax: 16 }) }
    let host = start(name, id, driver, state.objects, store)
    const pmUuid = machineOf(name, id)
    const self: TestHost = {
      name, id, driver, store, ledger: ledgerOf(store),
      get objects() { return state.objects },
      get host() { return host },
      pm: { kind: 'PhysicalMachine', uuid: pmUuid, home: id, name, attributes: {} },
      vm: (uuid) => must(host.vms.get(uuid)),
      async add(wish, how = {}) {
        const { uuid } = await host.vmm.add(host.vmm.createVM(wish), how, authority())
        return must(host.vms.get(uuid))
      },
      listen(uuid) {
        const events: (ObjectEvent & Readonly<Record<string, unknown>>)[] = []
        const waiting = new Set<() => void>()
        host.subscribe(uuid === undefined ? 'VMM' : 'VM', uuid ?? host.vmm.uuid, (event) => { events.push(event as (typeof events)[number]); for (const wake of waiting) wake(); waiting.clear() })
        return {
          events, get types() { return events.map(({ type }) => type) },
          async until(type) {
            for (;;) {
              const found = events.find((event) => event.type === type)
              if (found !== undefined) return found
              await new Promise<void>((resolve) => { waiting.add(resolve) })
            }
          },
        }
      },
      async restart() {
        await host.stop()
        state.objects = createLocalObjects({ forwardsMax: 16 })
        host = start(name, id, driver, state.objects, store)
        await host.ready
      },
    }
    return self
  })
  await Promise.all(hosts.map(({ host }) => host.ready))
  const at = (name: string): TestHost => must(hosts.find((each) => each.name === name))
  return {
    hosts, host: at,
    cut: (name) => { unreachable.add(at(name).id) },
    mend: (name) => { unreachable.delete(at(name).id) },
    intercept: (next) => { hook = next },
    stop: async () => { clearInterval(alive); await Promise.all(hosts.map(({ host }) => host.stop())) },
  }
}

/** An authority that can be withdrawn. */
export function revocable(): { readonly authority: Authority; revoke(): void } {
  const abort = new AbortController()
  return { authority: authority({ signal: abort.signal }), revoke: () => abort.abort(new CodedError('cancelled', { code: 'FABRIC_ERR_CANCELLED' })) }
}
