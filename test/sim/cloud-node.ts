// One life of a node of the simulated cloud: the parts of Kali as kali/cloud-node.ts puts them together, over the link to the
// store, the machine's hypervisor and its watchdog; and, on whichever node holds it, the rounds of the policies.
//
// What stands in for more than a clock or a wire: gossip (who was heard of when), the objects of other nodes (asked directly,
// over the network's cuts), and the home of a policy (a store lease per node in place of functions/trigger: here two may
// overlap for longer, which is the harder case).

import { CodedError, fromErrorRecord, seededRandom, toErrorRecord } from '../../fabric/base.ts'
import type { NodeId, Random } from '../../fabric/base.ts'
import type { CallContext, GlobalStore, Log } from '../../fabric/mod.ts'
import type { SimClock } from '../../fabric/sim-clock.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { startAgent } from '../../kali/agent/agent.ts'
import type { Agent } from '../../kali/agent/agent.ts'
import { createAgentHost } from '../../kali/agent/host-adapter.ts'
import { createCloudBook } from '../../kali/cloud/book.ts'
import type { Decide, HaTimings, MachineView } from '../../kali/cloud/contract.ts'
import type { AgentHost, CloudBook, HostLease, VmGuard } from '../../kali/cloud/parts.ts'
import { createCloudView } from '../../kali/cloud/view.ts'
import type { NodeCloudView } from '../../kali/cloud/view.ts'
import { createGuard } from '../../kali/lease/guard.ts'
import { startHostLease } from '../../kali/lease/keeper.ts'
import { createTakeoverVote, votersOf } from '../../kali/lease/voters.ts'
import type { Watchdog } from '../../kali/lease/watchdog/client.ts'
import { createChoose } from '../../kali/placement/choose.ts'
import { policyRound } from '../../kali/policies/policy.ts'
import type { PolicyPool } from '../../kali/policies/policy.ts'
import { admissionProblem } from '../../kali/placement/admission.ts'
import { ruleProblem } from '../../kali/placement/rules.ts'
import type { Observed, ObservedKind, RunningCloudService } from '../../kali/service/options.ts'
import { createCloudService } from '../../kali/service/service.ts'
import type { HypervisorDriver } from '../../rmo/driver/contract.ts'
import { createHost } from '../../rmo/host/host.ts'
import type { Host } from '../../rmo/host/host.ts'
import { createLedger, createLocalObjects, rmoKinds } from '../../rmo/mod.ts'
import { Life } from './cloud-life.ts'
import type { Network, SimStore } from './cloud-link.ts'
import type { SimMachine } from './cloud-machine.ts'

export interface Policy { readonly name: string; readonly decide: Decide<never> }

/** Where a planted bug takes hold: each replaces a part by a wrong one. Never in the product's own code. */
export interface Seams {
  store?(store: GlobalStore, life: Life): GlobalStore
  book?(book: CloudBook, life: Life): CloudBook
  view?(view: NodeCloudView, life: Life): NodeCloudView
  watchdog?(watchdog: Watchdog, life: Life): Watchdog
  lease?(lease: HostLease): HostLease
  guard?(guard: VmGuard): VmGuard
  vote?(vote: ReturnType<typeof createTakeoverVote>): ReturnType<typeof createTakeoverVote>
  cutOff?(ask: (node: NodeId) => Promise<boolean>): (node: NodeId) => Promise<boolean>
  fence?(fence: (vms: readonly { readonly uuid: string }[]) => Promise<void>): (vms: readonly { readonly uuid: string }[]) => Promise<void>
  host?(host: AgentHost): AgentHost
  policy?(policy: Policy): Policy
  driver?(driver: HypervisorDriver): HypervisorDriver
}

export interface NodeOptions {
  readonly sim: SimClock
  readonly network: Network
  readonly store: SimStore
  readonly machine: SimMachine
  readonly lives: number
  readonly seed: number
  readonly timings: HaTimings
  readonly pool: string
  readonly policies: readonly Policy[]
  readonly seams: Seams
  /** All nodes of the fabric, in their present lives. */
  nodes(): readonly SimNode[]
  memberOf(of: NodeId, by: NodeId): MachineView['member']
  note(text: string): void
}

export interface SimNode {
  readonly life: Life
  readonly machine: SimMachine
  readonly view: NodeCloudView
  readonly book: CloudBook
  readonly lease: HostLease
  readonly host: Host
  readonly agent: Agent
  readonly service: RunningCloudService
  readonly handlers: Map<string, (body: unknown, context: CallContext) => unknown>
  authority(principal: string, timeoutMs: number): Authority
  /** As on SIGTERM: VMs go on. */
  down(): Promise<void>
}

const POLICY_EVERY_MS = 1_000
const ROUND_MS = 10_000
const HOLDER_LEASE_MS = 6_000
/** A connection over which nothing comes is given up after so many looks. */
const LINK_LOOK_MS = 1_000
const LINK_LOOKS = 4
const RESEND_MS = 200
const HOLDER_KEY = 'sim-holder'

export function startSimNode(options: NodeOptions): SimNode {
  const { sim, network, machine, lives, seed, timings, pool, seams, nodes, note } = options
  const { node: id, name, clock: machineClock } = machine
  const life = new Life(id, `${name}.${lives}`, sim, machineClock)
  const { clock } = life
  const random: Random = seededRandom(seed)
  const line = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>): void => note(`${life.name} ${level}: ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields)}`}`)
  const log: Log = { info: line('info'), warn: line('warn'), error: line('error') }
  const reached = options.store.reachedBy(life)
  const store = seams.store?.(reached, life) ?? reached

  const ownView = createCloudView({ store, clock, log })
  const view = seams.view?.(ownView, life) ?? ownView
  const ownBook = createCloudBook({ store, view, clock, random, log })
  const book = seams.book?.(ownBook, life) ?? ownBook
  let agent: Agent | undefined
  const fence = async (): Promise<void> => { await agent?.fence() }
  const watchdog = machine.watchdogFor(life)
  const askCutOff = async (other: NodeId): Promise<boolean> => await contactOf(other) === undefined
  const ownLease = startHostLease({
    store, clock, bootClock: { nowMs: () => clock.nowMs() }, random, self: id, name, timings, log,
    members: () => nodes().map((node) => node.life.id),
    voters: () => network.storeAt === undefined ? undefined : votersOf(nodes().map((node) => node.life.id).filter((other) => options.memberOf(other, id) !== 'dead')),
    askCutOff: seams.cutOff?.(askCutOff) ?? askCutOff,
    watchdog: seams.watchdog?.(watchdog, life) ?? watchdog, fence: seams.fence?.(fence) ?? fence,
  })
  const lease = seams.lease?.(ownLease) ?? ownLease
  view.start()

  // ---------------------------------------------------------------- other nodes

  const contactMs = (): number | undefined => {
    const sinceMs = view.contactSinceMs()
    return sinceMs === undefined ? undefined : clock.nowMs() - sinceMs
  }
  const handlers: SimNode['handlers'] = new Map([['kali.cut-off', contactMs]])
  async function contactOf(node: NodeId): Promise<number | undefined> {
    return node === id ? contactMs() : await call(node, 'kali.cut-off', {}, authority('system:lease', timings.renewMs)) as number | undefined
  }
  const ownVote = createTakeoverVote({ store, clock, contactOf, leaseMs: timings.leaseMs, timeoutMs: Math.min(timings.renewMs, timings.killMs) })
  function authority(principal: string, timeoutMs: number): Authority {
    const endsAtMs = clock.nowMs() + timeoutMs
    return { principal, trace: Buffer.from(random.bytes(8)).toString('hex'), hop: 0, signal: new AbortController().signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
  }
  /** One method of another node: lost either way, it is not answered, until the connection is given up. */
  function call(to: NodeId, method: string, body: unknown, by: Pick<Authority, 'principal' | 'remainingMs'>): Promise<unknown> {
    const lost = (): Error => new CodedError(`node ${to.slice(0, 2)} is unreachable`, { code: 'FABRIC_ERR_UNREACHABLE', retryable: true, outcome: 'unknown' })
    return new Promise((resolve, reject) => {
      const there = nodes().find((node) => node.life.id === to)
      let silent = 0, over = false
      const look = (): void => {
        const isThere = there !== undefined && there.life.state === 'running' && network.reaches(id, to) && network.reaches(to, id)
        silent = isThere ? 0 : silent + 1
        over = by.remainingMs() <= 0 || silent >= LINK_LOOKS
        if (over) reject(lost())
        else late = clock.after(Math.min(LINK_LOOK_MS, by.remainingMs()), look)
      }
      let late = clock.after(Math.min(LINK_LOOK_MS, by.remainingMs()), look)
      // A stream: what does not get through is sent again, until the connection is given up.
      const sent = (from: NodeId, at: NodeId, arrived: () => void, again = false): void => { sim.after(network.lagMs() + RESEND_MS * Number(again), () => { if (network.reaches(from, at)) arrived(); else if (!over) sent(from, at, arrived, true) }) }
      sent(id, to, () => {
        there?.life.run(() => {
          const context = { caller: { via: 'link', node: id, name }, principal: by.principal, trace: '00', hop: 1, signal: new AbortController().signal, remainingMs: () => by.remainingMs() } as CallContext
          const work = (async () => structuredClone(await there.handlers.get(method)?.(structuredClone(body), context)))()
          const answer = (settle: () => void): void => sent(to, id, () => life.run(() => { over = true; late.cancel(); settle() }))
          work.then((value) => answer(() => resolve(value)), (error: unknown) => { const record = structuredClone(toErrorRecord(error, 'SIM_ERR')); answer(() => reject(fromErrorRecord(record))) })
        })
      })
    })
  }

  // ---------------------------------------------------------------- host, guard, agent

  const guard = createGuard({ view, book, lease, clock, bootClock: { nowMs: () => clock.nowMs() }, machine: machine.uuid, name })
  const reachedDriver = machine.driverFor(life)
  const host = createHost({
    self: id, machineUuid: machine.uuid, hostName: () => name, driver: seams.driver?.(reachedDriver) ?? reachedDriver, objects: createLocalObjects({ forwardsMax: 16 }), kinds: rmoKinds, clock, random, directory: '/nonexistent',
    store: machine.notes, ledger: createLedger({ store: machine.notes, clock }), guard: seams.guard?.(guard) ?? guard, log,
    peers: {
      nameOf: (node) => nodes().find(({ life: { id: other } }) => other === node)?.machine.name ?? node.slice(0, 8),
      call: (node, method, body, by) => call(node, method, body, by),
      async invoke() { throw new Error('no verbs of other nodes are used here') },
    },
  })
  host.serve({ method: (method, handler) => { handlers.set(method, handler) } })
  handlers.set('sim.list', (body) => {
    const kind = (body as { readonly kind: ObservedKind }).kind
    if (kind === 'VM') return host.vms.list().map(({ uuid }) => host.reference('VM', uuid))
    return kind === 'PhysicalMachine' ? [{ kind, uuid: machine.uuid, home: id, name, attributes: { cpuRatio: machine.driver.figures().cpuRatio } }] : []
  })
  const made = createAgentHost({ host, name, node: id, clock, random })
  agent = startAgent({ view, viewReady: view.ready, book, lease, hosts: new Map([[machine.uuid, seams.host?.(made) ?? made]]), clock, random, log })

  // ---------------------------------------------------------------- service, policies

  const observe = async (kind: ObservedKind): Promise<Observed> => {
    if (kind !== 'VM' && kind !== 'PhysicalMachine') return { references: [], failures: [] }
    const answers = await Promise.all(nodes().map(async ({ life: { id: node } }) => {
      try { return { node, references: await call(node, 'sim.list', { kind }, authority('system:observe', 1_500)) as ReferenceRecord[] } } catch { return { node, references: undefined } }
    }))
    return { references: answers.flatMap(({ references }) => references ?? []), failures: answers.filter(({ references }) => references === undefined).map(({ node }) => ({ node })) }
  }
  const service = createCloudService({
    view, book, clock, random, log, timings, vote: seams.vote?.(ownVote) ?? ownVote, observe: (kind) => observe(kind),
    choose: createChoose({ clock, run: async () => { throw new Error('no sandbox in simulation') } }),
    members: () => nodes().flatMap((node) => {
      const state = options.memberOf(node.life.id, id)
      return state === 'unknown' ? [] : [{ id: node.life.id, name: node.machine.name, state }]
    }),
    async metric() { throw new Error('no deployed functions in simulation') },
    async ensurePolicies() {}, admit: admissionProblem, infeasible: ruleProblem,
  })
  const policies = options.policies.map((policy) => seams.policy?.(policy) ?? policy)
  let stopped = false
  const tick = (): void => { if (!stopped) clock.after(POLICY_EVERY_MS, () => { void round().finally(tick) }) }
  let holds: { readonly keepAlive: () => Promise<number>; untilMs: number; renewing: boolean } | undefined
  const round = async (): Promise<void> => {
    try {
      await hold()
      if (holds === undefined || clock.nowMs() >= holds.untilMs) return
      const by = authority('system:policy', ROUND_MS)
      const reach: PolicyPool = { name: pool, uuid: pool, snapshot: () => service.snapshot(pool, by), memory: (policy) => service.memory(pool, policy, by), act: (request) => service.act(pool, request, by) }
      for (const { name: policy, decide } of policies) {
        const late = new Promise<never>((_, reject) => { clock.after(ROUND_MS, () => reject(new Error('the round took too long'))) })
        late.catch(() => {})
        await Promise.race([policyRound(policy, decide, reach), late])
      }
    } catch (error) { note(`${life.name} policy: ${error instanceof Error ? error.message : String(error)}`) }
  }
  const hold = async (): Promise<void> => {
    const nowMs = clock.nowMs()
    if (holds !== undefined && nowMs < holds.untilMs) {
      const held = holds
      if (held.renewing || held.untilMs - nowMs > HOLDER_LEASE_MS / 2) return
      held.renewing = true
      void held.keepAlive().then(() => { held.untilMs = nowMs + HOLDER_LEASE_MS }, () => { if (holds === held) holds = undefined }).finally(() => { held.renewing = false })
      return
    }
    holds = undefined
    if (view.contactSinceMs() === undefined) return
    if (await store.get(HOLDER_KEY, { timeoutMs: 1_000 }) !== undefined) return
    const granted = await store.grant(HOLDER_LEASE_MS, { timeoutMs: 1_000 })
    const { succeeded } = await store.transact({ when: [{ key: HOLDER_KEY, field: 'createRevision', is: '=', than: 0 }], then: [{ do: 'put', key: HOLDER_KEY, value: new TextEncoder().encode(life.name), lease: granted.id }] }, { timeoutMs: 1_000 })
    if (!succeeded) { void granted.revoke().catch(() => {}); return }
    holds = { keepAlive: () => granted.keepAlive(), untilMs: nowMs + HOLDER_LEASE_MS, renewing: false }
    note(`${life.name} decides from now on`)
  }
  tick()

  return {
    life, machine, view, book, lease, host, agent, service, handlers, authority,
    async down() {
      stopped = true
      await agent?.stop()
      service.stop()
      await host.stop()
      await lease.stop()
      await view.stop()
    },
  }
}
