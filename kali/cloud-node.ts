// Puts the parts of the cloud together on a node, in two steps, as deployed.ts does: what hosts ask before they set anything
// going (view, book, lease, guard) stands before them; what needs sandbox and objects (service, kinds, agent) comes after.
//
//   global store -> view, book -> lease + watchdog -> guard of each host ... hosts, sandbox -> service -> kinds; agent
//
// Stopped in reverse: no new work of the agent, then the lease (its watchdog counts on for what is protected), then the view.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LIMITS, fromErrorRecord, systemClock, systemRandom } from '../fabric/base.ts'
import { connectLocal, createRegistry, createRpcPeer } from '../fabric/client.ts'
import type { NodeId } from '../fabric/base.ts'
import type { FabricNode, FabricStore } from '../fabric/mod.ts'
import { buildBundle, createCatalogClient, decodeValue, encodeArray } from '../functions/mod.ts'
import type { Authority, Invoker, Sandbox } from '../functions/mod.ts'
import type { Host, LocalObjects, NodeCapabilities, VmGuard, VmInfo } from '../rmo/mod.ts'
import { startAgent } from './agent/agent.ts'
import type { Agent } from './agent/agent.ts'
import { createAgentHost } from './agent/host-adapter.ts'
import { createCloudBook } from './cloud/book.ts'
import type { HaTimings } from './cloud/contract.ts'
import type { GroupsOf } from './cloud/owners.ts'
import type { AgentHost, CloudBook, HostLease } from './cloud/parts.ts'
import { createCloudView } from './cloud/view.ts'
import type { NodeCloudView } from './cloud/view.ts'
import { localPrincipal, socketPath } from './data-dir.ts'
import { serveCloudKinds } from './kinds/home/serve.ts'
import { systemBootClock } from './lease/boot-clock.ts'
import { createGuard } from './lease/guard.ts'
import { startHostLease } from './lease/keeper.ts'
import { askContact, registerCutOff } from './lease/survival.ts'
import { watchdogGraceMs } from './lease/timings.ts'
import { createTakeoverVote, votersOf } from './lease/voters.ts'
import { createWatchdog } from './lease/watchdog/client.ts'
import { processName } from './lease/watchdog/processes.ts'
import { admissionProblem } from './placement/admission.ts'
import { createChoose } from './placement/choose.ts'
import { ruleProblem } from './placement/rules.ts'
import { createUserRun } from './placement/user-run.ts'
import { ensurePolicies } from './policies/deploy.ts'
import type { CloudServiceOptions } from './service/options.ts'
import { createCloudService } from './service/service.ts'

const TRACE_BYTES = 8
/** Folder of Kumoi's package.json: one up from a checkout's kali/, two from a release's dist/kali/. */
const PACKAGE_ROOT = fileURLToPath(new URL(import.meta.url.endsWith('.js') ? '../../' : '../', import.meta.url))

export interface CloudBase {
  readonly view: NodeCloudView
  readonly book: CloudBook
  readonly lease: HostLease
  readonly timings: HaTimings
  readonly vote: CloudServiceOptions['vote']
  /** What a host asks. */
  guardOf(machineUuid: string, hostName: string): VmGuard
  /** Who sees protected VMs off when the lease is given up. */
  setAgent(agent: Agent): void
  stop(): Promise<void>
}

export interface CloudBaseOptions {
  readonly fabric: FabricNode
  readonly store: FabricStore
  readonly data: string
  readonly timings: HaTimings
  /** The machines are simulated in this process: its end is theirs. */
  readonly simulated: boolean
  /** Of users, whose groups' quotas count. */
  readonly groupsOf: GroupsOf
}

/** What all nodes of the fabric agree on, followed from here on; and may this node run protected VMs? */
export function startCloudBase({ fabric, store, data, timings, simulated, groupsOf }: CloudBaseOptions): CloudBase {
  const { id: self, log, registry, membership } = fabric
  const view = createCloudView({ store, clock: systemClock, log })
  const book = createCloudBook({ store, view, clock: systemClock, random: systemRandom, log, groupsOf })
  const watchdog = createWatchdog({ directory: join(data, 'ha'), giveUpMs: timings.giveUpMs + watchdogGraceMs(timings, simulated), clock: systemClock, log })
  let agent: Agent | undefined
  const simulatedIn = simulated ? processName(process.pid) : undefined
  const contactMs = (): number | undefined => {
    const sinceMs = view.contactSinceMs()
    return sinceMs === undefined ? undefined : systemClock.nowMs() - sinceMs
  }
  registerCutOff(registry, contactMs)
  const ask = askContact(fabric, timings.renewMs)
  const contactOf = async (node: NodeId): Promise<number | undefined> => node === self ? contactMs() : ask(node)
  const lease = startHostLease({
    store, clock: systemClock, bootClock: systemBootClock, random: systemRandom, self, name: membership.self.name, timings, log, watchdog,
    // Every node that might take over: who has left, too, while a machine of its is in a pool and it may come back.
    members: () => [...new Set([...membership.members().filter(({ state }) => state !== 'left').map(({ id }) => id), ...view.machines().map(({ node }) => node)])],
    // Whose store is a part of one node, which says nothing when it is lost. Who is dead decides nothing.
    voters() {
      if (store.kind !== 'embedded') return undefined
      const gone = new Set(membership.members().filter(({ state }) => state === 'dead' || state === 'left').map(({ id }) => id))
      return votersOf([self, ...view.machines().map(({ node }) => node).filter((node) => !gone.has(node))])
    },
    askCutOff: async (node) => await contactOf(node) === undefined,
    // Nothing has been armed before there was an agent.
    async fence(vms) { await agent?.fence(vms) },
    ...(simulatedIn === undefined ? {} : { simulatedIn }),
  })
  view.start()
  return {
    view, book, lease, timings,
    vote: createTakeoverVote({ store, clock: systemClock, contactOf, leaseMs: timings.leaseMs, timeoutMs: Math.min(timings.renewMs, timings.killMs) }),
    guardOf: (machine, name) => createGuard({ view, book, lease, clock: systemClock, bootClock: systemBootClock, machine, name }),
    setAgent(made) { agent = made },
    async stop() {
      await lease.stop()
      await view.stop()
    },
  }
}

export interface CloudOptions {
  readonly base: CloudBase
  readonly fabric: FabricNode
  readonly objects: LocalObjects
  readonly capabilities: NodeCapabilities
  readonly hosts: ReadonlyMap<string, Host>
  readonly sandbox: Sandbox
  readonly invoker: Invoker
  /** Of the node: its own socket is there. */
  readonly data: string
}

export interface Cloud {
  /** The agent begins; call when the node serves. */
  start(): void
  stop(): Promise<void>
}

/** What users' verbs and policies ask for, and who carries it out on this node's machines. */
export function createCloud({ base, fabric, objects, capabilities, hosts, sandbox, invoker, data }: CloudOptions): Cloud {
  const { view, book, lease, timings } = base
  const { id: self, log, membership } = fabric
  /** Of the node itself. */
  const own = (signal: AbortSignal, timeoutMs: number): Authority => {
    const endsAtMs = systemClock.nowMs() + timeoutMs
    return { principal: localPrincipal(), trace: Buffer.from(systemRandom.bytes(TRACE_BYTES)).toString('hex'), hop: 0, signal, remainingMs: () => Math.max(0, endsAtMs - systemClock.nowMs()) }
  }
  const service = createCloudService({
    view, book, timings, clock: systemClock, random: systemRandom, log,
    choose: createChoose({ run: createUserRun({ sandbox, invoker, clock: systemClock, random: systemRandom }), clock: systemClock }),
    vote: base.vote, members: () => membership.members(),
    observe: (kind, signal, answerMs) => capabilities.list(kind, { withAttributes: true, everyHome: true }, own(signal, answerMs)),
    async settingsOf(vm, by) {
      const { settings, concealed } = (await capabilities.invoke(vm, 'info', [], by)) as VmInfo
      // Made again from a part of them, it would be another VM.
      if (concealed !== undefined) await capabilities.passOn(vm, 'inspect', 'inspect', by)
      return settings
    },
    async metric(name, payload, signal) {
      const outcome = await invoker.invoke({ reference: name, payload: encodeArray([payload]), cause: { type: 'call' }, timeoutMs: LIMITS.metricTimeoutMs }, own(signal, LIMITS.metricTimeoutMs))
      if (outcome.status !== 'value') throw fromErrorRecord(outcome.error)
      return (decodeValue(outcome.value) as unknown[])[0]
    },
    functions: () => withCatalog(data, async (catalog) => (await catalog.list()).map(({ name }) => name)),
    ensurePolicies: (names) => deployPolicies(data, names),
    admit: admissionProblem, infeasible: ruleProblem,
  })
  const kinds = serveCloudKinds({
    self, service, book, objects, clock: systemClock, random: systemRandom,
    administers: (what, authority) => capabilities.passOn(what, 'acls', 'administer', authority),
    executes: (machine, authority) => capabilities.passOn(machine, 'exec', 'execute', authority),
    list: async (kind, authority) => (await capabilities.list(kind, { withAttributes: true }, authority)).references,
    onError: (error) => log.warn('a watcher of the cloud failed', { reason: String(error) }),
  })
  let agent: Agent | undefined
  return {
    start() {
      const agentHosts = new Map([...hosts].map(([uuid, host]): [string, AgentHost] => [uuid, createAgentHost({ host, name: host.hostName(), node: self, clock: systemClock, random: systemRandom })]))
      agent = startAgent({ view, viewReady: view.ready, book, lease, hosts: agentHosts, clock: systemClock, random: systemRandom, log })
      base.setAgent(agent)
    },
    async stop() {
      await agent?.stop()
      kinds.stop()
      service.stop()
    },
  }
}

/** As a shell of this node has it: through its socket, in the administrator's name. */
async function withCatalog<T>(data: string, work: (catalog: ReturnType<typeof createCatalogClient>) => Promise<T>): Promise<T> {
  const peer = createRpcPeer({ channel: await connectLocal(socketPath(data), systemClock), caller: { via: 'socket', uid: process.getuid?.() ?? 0 }, registry: createRegistry(), clock: systemClock })
  try {
    const catalog = createCatalogClient({ peer, callOptions: () => ({ timeoutMs: LIMITS.policyDeployTimeoutMs }) })
    return await work(catalog)
  } finally {
    peer.close()
  }
}

async function deployPolicies(data: string, names: readonly string[]): Promise<void> {
  await withCatalog(data, (catalog) => ensurePolicies({ names, packageRoot: PACKAGE_ROOT, as: localPrincipal(), build: buildBundle, deploy: (bundle, options) => catalog.deploy(bundle, options), list: () => catalog.list() }))
}
