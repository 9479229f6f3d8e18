// A day in seconds: the very bundles that would be deployed, in the very sandbox's isolates, through the very calls, triggers
// and gate, over simulated machines on virtual time.
//
//   clock -> next due thing (tick, retry, end of a boot, step of a load) -> everything it causes, to the end -> next
//
// Between two due things all that goes on is promises and isolates in this process, so one turn of the event loop sees it
// through; real time is not counted. Everything is made of the seed: the same options give the same report, byte by byte.

import { ACL_VERBS, loadTraceOf, rightProblem, createFunctionRules } from '../../rmo/mod.ts'
import { kumoiKinds } from '../kinds/index.ts'
import type { LoadTrace } from '../../rmo/mod.ts'
import { LIMITS, seededRandom } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/mod.ts'
import { buildBundle, createSimulatedNode, createVirtualSandbox, functionPrincipal } from '../../functions/mod.ts'
import type { BuiltBundle, Capabilities, FunctionManifest, SimulatedNode } from '../../functions/mod.ts'
import { auditCloud } from '../cloud/audit.ts'
import { KALI } from '../errors.ts'
import { DELIVERED_POLICIES, policyFile } from '../policies/deploy.ts'
import { startCloud } from './cloud.ts'
import type { SimulatedCloud } from './cloud.ts'
import { createCloudBase } from './cloud-base.ts'
import { createCloudTally } from './cloud-tally.ts'
import type { CloudTally } from './cloud-tally.ts'
import { createGroupLoads, GROUP_STEP_MS } from './group-loads.ts'
import type { GroupLoads } from './group-loads.ts'
import { groupVmOf, makePools, poolNames, schedulerNamed } from './pools.ts'
import type { PoolsWish, SimulateOptions, SimulateReport } from './contract.ts'
import { makeScenario, SCENARIO_STEP_MS } from './scenario.ts'
import type { HostFault, Scenario } from './scenario.ts'
import { Tally } from './tally.ts'
import { sequencesOf, traceStepMs } from './trace.ts'
import type { LoadSequence, NamedVm } from './trace.ts'
import { createWorld, hostNames, vmNames } from './world.ts'
import type { World } from './world.ts'

const SELF = 'ab'.repeat(32) as NodeId
const DEPLOYER = 'local:0'
/** Real time between two reports of progress. */
const PROGRESS_MS = 200
/** For everything that begins at the beginning to have begun. */
const SETTLE_TURNS = 4
/** What pools may take to be made, in virtual time. */
const SETUP_MS = 3_600_000
/** Rights of a policy: it acts on pools. Of whoever needs a cloud to look at. */
const ACTS_ON_POOLS = /^(pool|\*):(operate|\*)$/
const NEEDS_CLOUD = /^(pool|global|elasticit|highAvailabilit)/

interface Loads { readonly sequences: ReadonlyMap<string, LoadSequence>; readonly sampleMs: number; readonly scenario: Scenario | undefined; readonly told: string }

/** By name of the VM. */
function loadsOf({ hosts, vmsPerHost, forMs, startAtMs, seed, trace, scenario, pools }: SimulateOptions): Loads {
  const names = hostNames(hosts)
  const groups: readonly NamedVm[] = pools?.group === undefined ? [] : poolNames(pools.count).map((pool) => ({ name: groupVmOf(pool), host: '' }))
  const vms: readonly NamedVm[] = [...names.flatMap((host) => vmNames(host, vmsPerHost).map((name) => ({ name, host }))), ...groups]
  const wanted = scenario ?? (trace === undefined ? 'day' : undefined)
  const made = wanted === undefined ? undefined : makeScenario({ name: wanted, vms, hosts: names, forMs, startAtMs, random: seededRandom(seed ^ 0x5ce9a810) })
  const sequences = new Map<string, LoadSequence>()
  vms.forEach(({ name }, i) => { const load = made?.loads[i]; if (load !== undefined) sequences.set(name, load) })
  if (trace !== undefined) {
    sequencesOf(trace.rows, vms, { forMs, interpolation: trace.interpolation }).forEach((sequence, i) => { if (sequence !== undefined) sequences.set((vms[i] as NamedVm).name, sequence) })
  }
  const steps = [...groups.length === 0 ? [] : [GROUP_STEP_MS], ...made === undefined ? [] : [SCENARIO_STEP_MS], ...trace === undefined ? [] : [traceStepMs(trace.rows, forMs, trace.interpolation)]]
  return {
    sequences, scenario: made, sampleMs: Math.max(LIMITS.simulateSampleMsMin, Math.min(LIMITS.simulateSampleMs, ...steps)),
    told: [...trace === undefined ? [] : [`trace (${trace.rows.length} lines, ${trace.interpolation})`], ...wanted === undefined ? [] : [`scenario ${wanted}`]].join(' over '),
  }
}

export async function simulate(options: SimulateOptions): Promise<SimulateReport> {
  const { forMs, startAtMs, seed, signal } = options
  const clock = new SimClock({ startMs: 0, wallStartMs: startAtMs })
  const random = seededRandom(seed)
  const stop = new AbortController()
  let ended: SimulateReport['ended'] = 'done'
  const tally = new Tally({
    nowMs: () => clock.nowMs(),
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    onError: () => { if (options.untilError === true) { ended = 'error'; stop.abort() } },
  })
  const warn = (text: string): void => tally.warn(text)
  const loads = loadsOf(options)
  const faults = [...loads.scenario?.faults ?? [], ...options.faults ?? []].sort((a, b) => a.atMs - b.atMs)
  checkFaults(faults, hostNames(options.hosts))
  let node: SimulatedNode | undefined
  const rules = createFunctionRules({ kinds: kumoiKinds, versionOf: (name, version) => node?.versionOf(name, version), fence: async () => {} })

  // A trace is made once for all VMs that share a sequence.
  const traces = new Map<LoadSequence, LoadTrace>()
  const traceFor = (name: string): LoadTrace | undefined => {
    const sequence = loads.sequences.get(name)
    if (sequence === undefined) return undefined
    const trace = traces.get(sequence) ?? { ...loadTraceOf(sequence.cpuRatios, sequence.stepMs), onClock: true }
    traces.set(sequence, trace)
    return trace
  }
  const base = createCloudBase({ clock, seed, warn })
  const groupLoads = createGroupLoads({ clock, view: base.view, forMs: forMs + SETUP_MS, demandOf: (name) => loads.sequences.get(name) })
  const world = createWorld({
    clock, random: seededRandom(seed ^ 0x3c6ef372), seed, self: SELF, hosts: options.hosts, vmsPerHost: options.vmsPerHost, rules, sampleMs: loads.sampleMs, warn,
    guardOf: base.guardOf, load: ({ uuid, name }) => groupLoads.traceOf({ uuid, name }) ?? traceFor(name),
  })
  const sandbox = await createVirtualSandbox({ cacheDirectory: options.cacheDirectory, shapes: world.capabilities.shapes, packageDirectories: options.packageDirectories, clock, random: seededRandom(seed ^ 0x1b873593) })
  let cloud: SimulatedCloud | undefined
  let cloudTally: CloudTally | undefined
  try {
    node = await createSimulatedNode({
      clock, random, self: { id: SELF, name: 'simulation' }, deployer: DEPLOYER, sandbox, capabilities: counted(world, tally), events: world.events, observer: tally, warn,
      mayWatch: async ({ name, manifest: { version }, deployer }, { kind, uuid }) => world.capabilities.pass(world.capabilities.find({ kind, uuid, home: SELF }), 'watch', 'watch', { principal: functionPrincipal({ name, version, deployer }), trace: '', hop: 0, signal: stop.signal, remainingMs: () => Infinity }).then(() => true, () => false),
      keptElements: (references) => world.keptMachines(references),
      known: {
        answer: (call, principal) => {
          const kept = world.knownAnswer(call, principal)
          if (kept !== undefined) tally.verb('PhysicalMachine', 'vms', undefined, undefined)
          return kept
        },
        revision: () => world.revision,
        answered: (kind, verb, calls) => tally.verb(kind, verb, undefined, undefined, calls),
      },
      onSystemCall: (verb, argument) => tally.systemCall(verb, argument),
      checks: { right: (right) => rightProblem(right, kumoiKinds) },
    })
    for (let turn = 0; turn < SETTLE_TURNS; turn++) await clock.settle(0)
    const manifests: FunctionManifest[] = []
    for (const bundle of [...options.bundles, ...await deliveredPolicies(options.pools)]) manifests.push(await node.deploy(bundle))
    if (options.pools !== undefined || manifests.some(({ rights }) => rights.some((right) => NEEDS_CLOUD.test(right)))) {
      cloudTally = createCloudTally({ clock, view: base.view, hosts: world.hosts, loads: groupLoads })
      const functions = manifests.map(({ name }) => name)
      cloud = await settled(clock, startCloud({
        base, world, self: SELF, principal: DEPLOYER, clock, seed, sandbox: node.sandbox, invoker: node.invoker, functions: () => functions, watched: cloudTally.watched, looked: cloudTally.looked, warn,
      }))
      if (options.pools !== undefined) await settled(clock, poolsMade(options.pools, cloud, world, manifests, groupLoads))
      groupLoads.start()
      cloudTally.start()
    }
    for (const { host, atMs, forMs: downMs } of faults) clock.after(Math.max(0, atMs - clock.nowMs()), () => world.crash(host, downMs))
    takePoints(world, tally, clock, forMs, cloudTally)
    node.start()
    // What has no timer of its own is called once, at the beginning; a scheduler is called by placements.
    for (const { name, triggers } of manifests) if (triggers.every(({ type }) => type === 'http') && !isSchedulerOf(options.pools, name)) await node.enqueue(name, null)
    signal?.addEventListener('abort', () => { if (ended === 'done') ended = 'stopped'; stop.abort() }, { once: true })
    if (signal?.aborted === true) stop.abort()
    await run(clock, forMs, stop.signal, tally, options)
    return {
      hosts: options.hosts, vms: options.hosts * options.vmsPerHost, startAtMs, forMs, endedAtMs: clock.nowMs(), ended: stop.signal.aborted ? ended : 'done', seed, loads: loads.told,
      functions: tally.functions(new Map(manifests.map(({ name, version }) => [name, version]))),
      emitted: sortedCounts(tally.emitted), stateChanges: sortedCounts(tally.stateChanges), verbs: tally.verbs(), points: tally.points, faults, warnings: sortedCounts(tally.warnings),
      ...(cloudTally === undefined ? {} : { cloud: cloudTally.report(manifests.map(({ name }) => name), (await settled(clock, auditCloud(base.store))).map(({ text }) => text)) }),
    }
  } finally {
    stop.abort()
    groupLoads.stop()
    cloudTally?.stop()
    await node?.stop()
    await cloud?.stop()
    await world.stop()
    await base.stop()
    sandbox.close()
  }
}

/** What needs virtual time to pass. Throws when it does not end. */
async function settled<T>(clock: SimClock, work: Promise<T>): Promise<T> {
  const untilMs = clock.nowMs() + SETUP_MS
  let over = false
  const watched = work.finally(() => { over = true })
  watched.catch(() => {})
  await clock.settle(0)
  while (!over) {
    const dueMs = clock.nextDueMs
    if (dueMs === undefined || dueMs > untilMs) throw KALI.UNFINISHED({ what: 'Making the pools of the simulation', waitedFor: 'an hour of its time had passed' })
    await clock.settle(dueMs - clock.nowMs())
  }
  return watched
}

function isSchedulerOf(wish: PoolsWish | undefined, name: string): boolean {
  const scheduler = wish?.scheduler === undefined ? undefined : schedulerNamed(wish.scheduler, [name])
  return scheduler?.type === 'function' && scheduler.name === name
}

/** What is delivered with Kumoi and was asked for by name. */
async function deliveredPolicies(wish: PoolsWish | undefined): Promise<readonly BuiltBundle[]> {
  const bundles: BuiltBundle[] = []
  for (const name of wish?.policies ?? []) {
    const file = policyFile(name)
    if (file === undefined) throw KALI.SIMULATE_UNKNOWN({ what: 'policy', name, known: DELIVERED_POLICIES.join(', ') })
    bundles.push(await buildBundle({ file, types: 'skip', packageRoot: wish?.packageRoot ?? '' }))
  }
  return bundles
}

function poolsMade(wish: PoolsWish, { service, by }: SimulatedCloud, { hosts }: World, manifests: readonly FunctionManifest[], { expect }: GroupLoads): Promise<void> {
  const own = manifests.filter(({ rights }) => rights.some((right) => ACTS_ON_POOLS.test(right))).map(({ name }) => name)
  return makePools({
    service, hosts, wish, scheduler: schedulerNamed(wish.scheduler ?? 'rank', manifests.map(({ name }) => name)), policies: [...new Set([...own, ...wish.policies ?? []])],
    namespace: hosts[0]?.uuid ?? '', by: () => by(SETUP_MS), expect,
  })
}

const sortedCounts = (counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> => Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))

function checkFaults(faults: readonly HostFault[], names: readonly string[]): void {
  for (const { host } of faults) if (!names.includes(host)) throw KALI.SIMULATE_UNKNOWN({ what: 'machine', name: host, known: names.length > 3 ? `${names[0]} to ${names.at(-1)}` : names.join(', ') })
}

/** Verbs as the world carries them out, and told of. */
function counted(world: World, tally: Tally): Capabilities {
  const { capabilities } = world
  const tell = (target: { readonly kind: string; readonly uuid: string }, verb: string, error: unknown): void => {
    const acl = kumoiKinds.kindOf(target.kind).operations.get(verb)?.acl
    const object = capabilities.objectHere({ ...target, home: SELF })
    const name = object === undefined ? target.uuid : String(kumoiKinds.kindOf(target.kind).observe(object.local)['name'])
    tally.verb(target.kind, verb, acl !== undefined && ACL_VERBS[acl].privileged ? name : undefined, error)
  }
  return {
    shapes: capabilities.shapes,
    refresh: (references, authority) => world.refresh(references, authority),
    resolve: (kind, authority, want) => world.resolve(kind, authority, want),
    invoke: (target, verb, args, authority) => capabilities.invoke(target, verb, args, authority),
    async invokeEncoded(target, verb, args, authority) {
      try {
        const answer = await world.invokeEncoded(target, verb, args, authority)
        tell(target, verb, undefined)
        return answer
      } catch (error) {
        tell(target, verb, error)
        throw error
      }
    },
  }
}

function takePoints(world: World, tally: Tally, clock: SimClock, forMs: number, cloud: CloudTally | undefined): void {
  const everyMs = Math.max(1_000, Math.ceil(forMs / LIMITS.simulatePointsMax / 1_000) * 1_000)
  const take = (): void => {
    const states: Record<string, number> = {}
    let sum = 0, max = 0, up = 0
    for (const { host, driver, down } of world.hosts) {
      for (const vm of host.vms.list()) states[vm.record.state] = (states[vm.record.state] ?? 0) + 1
      if (down) continue
      const { cpuRatio } = driver.figures()
      sum += cpuRatio
      max = Math.max(max, cpuRatio)
      up++
    }
    const rounded = (ratio: number): number => Math.round(ratio * 1_000) / 1_000
    tally.point({ atMs: clock.nowMs(), states: sortedCounts(states), cpuMean: rounded(sum / Math.max(1, up)), cpuMax: rounded(max), hostsDown: world.hosts.length - up, ...(cloud === undefined ? {} : { cloud: cloud.point() }) })
    if (clock.nowMs() < forMs) clock.after(Math.min(everyMs, forMs - clock.nowMs()), take)
  }
  // After the ticks of the same moment.
  clock.after(0, take)
}

async function run(clock: SimClock, forMs: number, stop: AbortSignal, tally: Tally, { onProgress }: SimulateOptions): Promise<void> {
  const startedAtMs = performance.now()
  let toldAtMs = startedAtMs
  for (let dueMs = clock.nextDueMs; dueMs !== undefined && dueMs <= forMs && !stop.aborted; dueMs = clock.nextDueMs) {
    await clock.settle(dueMs - clock.nowMs())
    const nowMs = performance.now()
    if (onProgress === undefined || nowMs - toldAtMs < PROGRESS_MS) continue
    toldAtMs = nowMs
    const spentMs = nowMs - startedAtMs
    onProgress({ atMs: clock.nowMs(), forMs, ticks: tally.ticks, ticksPerSecond: tally.ticks / spentMs * 1_000, leftMs: spentMs / Math.max(1, clock.nowMs()) * (forMs - clock.nowMs()) })
  }
  if (!stop.aborted && clock.nowMs() < forMs) await clock.settle(forMs - clock.nowMs())
}

