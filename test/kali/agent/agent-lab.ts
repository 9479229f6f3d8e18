// Agents over simulated hosts and the global store in memory, for the tests of kali/agent: one agent a host, as on a node
// of its own, with a lease that the test holds in its hand.

import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import { startAgent } from '../../../kali/agent/agent.ts'
import type { Agent } from '../../../kali/agent/agent.ts'
import { createAgentHost } from '../../../kali/agent/host-adapter.ts'
import { createCloudBook } from '../../../kali/cloud/book.ts'
import type { IntentRecord, StatusRecord, Stored } from '../../../kali/cloud/contract.ts'
import type { AgentHost, CloudBook, HostLease } from '../../../kali/cloud/parts.ts'
import { KALI } from '../../../kali/errors.ts'
import { createCloudView } from '../../../kali/cloud/view.ts'
import type { NodeCloudView } from '../../../kali/cloud/view.ts'
import type { VmSettings } from '../../../rmo/settings.ts'
import { createTestHosts } from '../../support/hosts.ts'
import type { TestHost, TestHosts, TestHostsOptions } from '../../support/hosts.ts'
import { until } from '../../support/until.ts'
import { must } from '../../support/rmo-fabric.ts'

export const POOL = '00000000-0000-4000-8000-0000000000aa'

/** A lease as the test wants it. */
export interface FakeLease extends Pick<HostLease, 'arm' | 'disarm' | 'held' | 'onChange'> {
  readonly armed: Map<string, { readonly pid?: number }>
  /** All calls of arm and disarm, in order: "arm VM", "arm VM pid", "disarm VM". */
  readonly calls: readonly string[]
  set(held: boolean): void
  refuse(refused: boolean): void
}
export function createFakeLease(): FakeLease {
  const listeners = new Set<(held: boolean) => void>()
  const armed = new Map<string, { readonly pid?: number }>()
  const calls: string[] = []
  let held = false, refused = false
  const set = (now: boolean): void => {
    if (held === now) return
    held = now
    for (const listener of [...listeners]) listener(now)
  }
  return {
    armed, calls, set,
    get held() { return held },
    refuse: (now) => { refused = now },
    async arm({ uuid, pid }) {
      calls.push(`arm ${uuid}${pid === undefined ? '' : ' pid'}`)
      if (refused) throw KALI.LEASE_LOST({ node: 'test', reason: 'the test says so' })
      armed.set(uuid, pid === undefined ? {} : { pid })
      set(true)
    },
    async disarm(vm) { calls.push(`disarm ${vm}`); armed.delete(vm) },
    onChange(listener) { listeners.add(listener); return () => { listeners.delete(listener) } },
  }
}

export interface AgentNode {
  readonly at: TestHost
  readonly host: AgentHost
  readonly lease: FakeLease
  agent: Agent
  /** The agent stops, and another one begins. */
  restart(): Promise<void>
  /** Without its agent. */
  halt(): Promise<void>
}
export interface AgentLab {
  readonly hosts: TestHosts
  readonly view: NodeCloudView
  readonly book: CloudBook
  readonly warnings: readonly string[]
  node(name: string): AgentNode
  /** A running one on that machine, made from settings; `over` wins. */
  intent(vm: string, name: string, over?: Partial<IntentRecord>): IntentRecord
  intend(intent: IntentRecord): Promise<Stored<IntentRecord>>
  /** As somebody else's decision. */
  decide(vm: string, change: (present: Stored<IntentRecord>) => Partial<IntentRecord>): Promise<void>
  phase(vm: string, phase: StatusRecord['phase']): Promise<StatusRecord>
  forgotten(vm: string): Promise<void>
  stop(): Promise<void>
}

export const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
export const SETTINGS: Omit<VmSettings, 'name'> = { memoryMiB: 64, vcpus: 1, devices: [] }

export async function createAgentLab(names: readonly string[], options: TestHostsOptions & { readonly wrapHost?: (host: AgentHost, at: TestHost) => AgentHost; readonly patienceMs?: number } = {}): Promise<AgentLab> {
  const clock = systemClock
  const warnings: string[] = []
  const log = { info: () => {}, warn: (message: string, fields?: Readonly<Record<string, unknown>>) => { warnings.push(`${message} ${JSON.stringify(fields)}`) } }
  const hosts = await createTestHosts(names, options)
  const store = createMemoryGlobalStore({ clock })
  const view = createCloudView({ store, clock, log })
  view.start()
  await view.ready
  const book = createCloudBook({ store, view, clock, random: seededRandom(7) })
  await book.createPool({
    uuid: POOL, name: 'pool1', description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0,
    scheduler: { type: 'builtin', name: 'rank' }, migrations: { perHost: 2, perPool: 4 }, policies: [], createdBy: 'local:0', createdAtMs: 0,
  })
  for (const { pm, id, name } of hosts.hosts) await book.joinMachine({ uuid: pm.uuid, name, node: id, pool: POOL, mode: 'in-service', cores: 8, memoryMiB: 16_384 })

  const nodes = new Map<string, AgentNode>()
  for (const at of hosts.hosts) {
    const lease = createFakeLease()
    const begin = (): { host: AgentHost; agent: Agent } => {
      const made = createAgentHost({ host: at.host, name: at.name, node: at.id, clock, random: seededRandom(1) })
      const host = options.wrapHost?.(made, at) ?? made
      return { host, agent: startAgent({ view, viewReady: view.ready, book, lease, hosts: new Map([[at.pm.uuid, host]]), clock, random: seededRandom(at.id.charCodeAt(1)), log }) }
    }
    const first = begin()
    const node: AgentNode = {
      at, lease, host: first.host, agent: first.agent,
      halt: () => node.agent.stop(),
      async restart() {
        await node.agent.stop()
        lease.armed.clear()
        lease.set(false)
        node.agent = begin().agent
        await node.agent.ready
      },
    }
    nodes.set(at.name, node)
  }
  await Promise.all([...nodes.values()].map(({ agent }) => agent.ready))

  let decisions = 0
  const byTest = (): Pick<IntentRecord, 'decision' | 'decidedBy' | 'decidedAtMs' | 'reason'> => ({ decision: `test-${++decisions}`, decidedBy: 'local:0', decidedAtMs: 0, reason: 'the test' })
  const node = (name: string): AgentNode => must(nodes.get(name))
  return {
    hosts, view, book, warnings, node,
    intent(vm, name, over = {}) {
      const { at } = node(name)
      return {
        uuid: vm, name: `vm-${vm.slice(-3)}`, pool: POOL, account: 'local:0', desired: 'running', machine: { uuid: at.pm.uuid, name, node: at.id }, epoch: 1, origin: 'create',
        settings: { ...SETTINGS, name: `vm-${vm.slice(-3)}` }, booked: true, tries: { restarts: 0, relocations: 0, sinceMs: 0 }, ...byTest(), ...over,
      }
    },
    intend: (intent) => book.intend(intent),
    async decide(vm, change) {
      const written = await book.change(vm, ({ revision, ...present }) => ({ ...present, ...change({ ...present, revision }), ...byTest() }))
      if (written !== undefined) await view.until(written.revision)
    },
    phase: (vm, phase) => until(`phase ${phase} (it is ${view.status(vm)?.phase})`, () => {
      const status = view.status(vm)
      return status?.phase === phase && status.epoch === view.intent(vm)?.epoch ? status : undefined
    }, options.patienceMs ?? 8_000).catch((error: unknown) => { throw new Error(`${String(error)}; now ${JSON.stringify(view.status(vm))}; ${warnings.slice(-3).join('; ')}`) }),
    forgotten: async (vm) => { await until('the intent is gone', () => view.intent(vm) === undefined) },
    async stop() {
      await Promise.all([...nodes.values()].map(({ agent }) => agent.stop()))
      await view.stop()
      await store.close()
      await hosts.stop()
    },
  }
}

/** In the hypervisor, whatever the host's objects say. */
export async function domainsOf({ at }: AgentNode): Promise<readonly { readonly uuid: string; readonly state: string; readonly epoch: number | undefined; readonly pid: number | undefined }[]> {
  const { domains } = await at.driver.inventory({ remainingMs: () => 5_000 })
  return domains.map(({ uuid, state, metadata, pid }) => ({ uuid, state, epoch: metadata?.epoch, pid }))
}
