// The cloud over simulated machines: the service, the objects and the agents of a real node (kali/cloud-node.ts), one agent a
// machine, so that a machine that stops dead takes its own agent and lease along and nobody else's.
//
//   function --pool.snapshot(), pool.act()--> objects -> service -> store --view--> agents -> hosts (world.ts)
//
// References come from users with the simulation's one home; a machine's records name the node that it would be (nodeOf).

import { LIMITS, fromErrorRecord, seededRandom } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import { decodeValue, encodeArray } from '../../functions/mod.ts'
import type { Authority, Invoker, ReferenceRecord, Sandbox } from '../../functions/mod.ts'
import type { VmInfo } from '../../rmo/mod.ts'
import { startAgent } from '../agent/agent.ts'
import type { Agent } from '../agent/agent.ts'
import { createAgentHost } from '../agent/host-adapter.ts'
import type { CloudService } from '../cloud/parts.ts'
import { kumoiKinds } from '../kinds/index.ts'
import { serveCloudKinds } from '../kinds/home/serve.ts'
import { admissionProblem } from '../placement/admission.ts'
import { createChoose } from '../placement/choose.ts'
import { ruleProblem } from '../placement/rules.ts'
import { createUserRun } from '../placement/user-run.ts'
import type { Observed, ObservedKind } from '../service/options.ts'
import { createCloudService } from '../service/service.ts'
import { nodeOf, timings } from './cloud-base.ts'
import type { SimulatedCloudBase } from './cloud-base.ts'
import type { SimulatedHost, World } from './world.ts'

export interface SimulatedCloudOptions {
  readonly base: SimulatedCloudBase
  readonly world: World
  readonly self: NodeId
  readonly principal: string
  readonly clock: Clock
  readonly seed: number
  readonly sandbox: Pick<Sandbox, 'run'>
  readonly invoker: Pick<Invoker, 'invoke'>
  /** Names of all functions of the simulation. */
  readonly functions: () => readonly string[]
  /** Stands before the service, for everybody who asks: what policies do is counted there. */
  readonly watched: (service: CloudService) => CloudService
  /** A policy asked what it remembers of a pool: it begins a round. */
  readonly looked: (policy: string, pool: string) => void
  readonly warn: (text: string, details?: Readonly<Record<string, unknown>>) => void
}
export interface SimulatedCloud {
  readonly service: CloudService
  /** On behalf of who simulates. */
  by(timeoutMs: number): Authority
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>
}

export async function startCloud({ base, world, self, principal, clock, seed, sandbox, invoker, functions, watched, looked, warn }: SimulatedCloudOptions): Promise<SimulatedCloud> {
  const { view, book, log } = base
  const random = seededRandom(seed ^ 0x1f83d9ab)
  const by = (timeoutMs: number, signal: AbortSignal = new AbortController().signal): Authority => {
    const endsAtMs = clock.nowMs() + timeoutMs
    return { principal, trace: Buffer.from(random.bytes(8)).toString('hex'), hop: 0, signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
  }
  view.start()
  await view.ready

  // ---------------------------------------------------------------- who is where

  const hostOfVm = (uuid: string): SimulatedHost | undefined => {
    const here = world.objects.get('VM', uuid)?.local
    return world.hosts.find(({ host }) => { const vm = host.vms.get(uuid); return vm !== undefined && vm === here })
  }
  /** As its own node would tell it. */
  const placed = <R extends ReferenceRecord>(reference: R): R => {
    const machine = reference.kind === 'PhysicalMachine' ? reference.uuid : reference.kind === 'VM' && reference.cold !== true ? hostOfVm(reference.uuid)?.uuid : undefined
    return machine === undefined ? reference : { ...reference, home: nodeOf(machine) }
  }
  const observe = async (kind: ObservedKind): Promise<Observed> => {
    const told = ({ host, uuid, name }: SimulatedHost): readonly ReferenceRecord[] => {
      if (kind === 'PhysicalMachine') return [{ kind, uuid, home: self, name, attributes: kumoiKinds.kindOf(kind).observe(world.objects.get(kind, uuid)?.local) }]
      if (kind === 'VMM') return [host.reference(kind, host.vmm.uuid)]
      const listed = host.vmm.related(kind)
      if (kind !== 'Image' && kind !== 'StoragePool') return listed
      // What all of them share is one object, in the list of one.
      const names = new Set(listed.map((each) => each.name))
      const shared = world.objects.list(kind).map(({ uuid: of }) => host.reference(kind, of)).filter((each) => !names.has(each.name))
      return [...listed, ...shared.map((each) => ({ ...each, attributes: { ...each.attributes, host: name } }))]
    }
    return {
      references: world.hosts.filter(({ down }) => !down).flatMap((each) => told(each).map((reference) => ({ ...reference, home: nodeOf(each.uuid) }))),
      failures: world.hosts.filter(({ down }) => down).map(({ uuid }) => ({ node: nodeOf(uuid) })),
    }
  }

  // ---------------------------------------------------------------- service and objects

  const own = createCloudService({
    view, book, clock, random, log, timings, observe: (kind) => observe(kind), vote: async () => ({ when: [] }),
    choose: createChoose({ run: createUserRun({ sandbox, invoker, clock, random }), clock }),
    members: () => world.hosts.map(({ uuid, name, down }) => ({ id: nodeOf(uuid), name, state: down ? 'dead' as const : 'alive' as const })),
    async settingsOf(vm, authority) { return ((await world.capabilities.invoke({ kind: vm.kind, uuid: vm.uuid, home: self }, 'info', [], authority)) as VmInfo).settings },
    async metric(name, payload, signal) {
      const outcome = await invoker.invoke({ reference: name, payload: encodeArray([payload]), cause: { type: 'call' }, timeoutMs: LIMITS.metricTimeoutMs }, by(LIMITS.metricTimeoutMs, signal))
      if (outcome.status !== 'value') throw fromErrorRecord(outcome.error)
      return (decodeValue(outcome.value) as unknown[])[0]
    },
    functions: async () => functions(),
    // What a pool names and nobody has given is not there: the report says so.
    async ensurePolicies() {},
    admit: admissionProblem, infeasible: ruleProblem,
  })
  const addressed: CloudService = {
    ...own,
    addMachine: (pool, machine, authority) => own.addMachine(pool, placed(machine), authority),
    addVm: (pool, vm, options, authority) => own.addVm(pool, placed(vm), options, authority),
    addGroup: (pool, draft, authority) => own.addGroup(pool, { ...draft, vm: placed(draft.vm) }, authority),
    protect: (pool, vm, protection, authority) => own.protect(pool, placed(vm), protection, authority),
    tryPlace: (pool, vm, scheduler, authority) => own.tryPlace(pool, 'kind' in vm ? placed(vm) : vm, scheduler, authority),
  }
  const service = watched(addressed)
  const kinds = serveCloudKinds({
    self, service, book: { booked: (scope) => book.booked(scope), memory(policy, pool) { looked(policy, pool); return book.memory(policy, pool) } }, objects: world.objects, clock, random, list: (kind, authority) => world.resolve(kind, authority, 'attributes'),
    administers: (what, authority) => world.capabilities.passOn(what, 'acls', 'administer', authority),
    executes: (machine, authority) => world.capabilities.passOn(machine, 'exec', 'execute', authority),
    onError: (error) => warn('a watcher of the cloud failed', { reason: String(error) }),
  })

  // ---------------------------------------------------------------- agents

  const agents = new Map<string, Agent>()
  const ending = new Set<Promise<void>>()
  const begin = ({ uuid, name, host }: SimulatedHost, life: number): void => {
    const agentHost = createAgentHost({ host, name, node: nodeOf(uuid), clock, random: seededRandom(seed ^ life) })
    agents.set(uuid, startAgent({ view, viewReady: view.ready, book, lease: base.leaseOf(uuid, name), hosts: new Map([[uuid, agentHost]]), clock, random: seededRandom(seed * 31 + life), log }))
  }
  const end = (uuid: string): void => {
    const ended = (agents.get(uuid)?.stop() ?? Promise.resolve()).finally(() => ending.delete(ended))
    agents.delete(uuid)
    ending.add(ended)
  }
  let life = 0
  for (const host of world.hosts) begin(host, ++life)
  world.onFault((made) => {
    const lease = base.leaseOf(made.uuid, made.name)
    if (made.down) {
      lease.crash()
      end(made.uuid)
    } else {
      lease.revive()
      begin(made, ++life)
    }
  })
  return {
    service, by,
    async stop() {
      for (const uuid of [...agents.keys()]) end(uuid)
      await Promise.all(ending)
      kinds.stop()
      own.stop()
    },
  }
}
