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
import { createSimulatedNode, createVirtualSandbox, functionPrincipal } from '../../functions/mod.ts'
import type { Capabilities, FunctionManifest, SimulatedNode } from '../../functions/mod.ts'
import { KALI } from '../errors.ts'
import type { SimulateOptions, SimulateReport } from './contract.ts'
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

interface Loads { readonly sequences: ReadonlyMap<string, LoadSequence>; readonly sampleMs: number; readonly scenario: Scenario | undefined; readonly told: string }

/** By name of the VM. */
function loadsOf({ hosts, vmsPerHost, forMs, startAtMs, seed, trace, scenario }: SimulateOptions): Loads {
  const names = hostNames(hosts)
  const vms: readonly NamedVm[] = names.flatMap((host) => vmNames(host, vmsPerHost).map((name) => ({ name, host })))
  const wanted = scenario ?? (trace === undefined ? 'day' : undefined)
  const made = wanted === undefined ? undefined : makeScenario({ name: wanted, vms, hosts: names, forMs, startAtMs, random: seededRandom(seed ^ 0x5ce9a810) })
  const sequences = new Map<string, LoadSequence>()
  vms.forEach(({ name }, i) => { const load = made?.loads[i]; if (load !== undefined) sequences.set(name, load) })
  if (trace !== undefined) {
    sequencesOf(trace.rows, vms, { forMs, interpolation: trace.interpolation }).forEach((sequence, i) => { if (sequence !== undefined) sequences.set((vms[i] as NamedVm).name, sequence) })
  }
  const steps = [...made === undefined ? [] : [SCENARIO_STEP_MS], ...trace === undefined ? [] : [traceStepMs(trace.rows, forMs, trace.interpolation)]]
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
  const world = createWorld({
    clock, random: seededRandom(seed ^ 0x3c6ef372), seed, self: SELF, hosts: options.hosts, vmsPerHost: options.vmsPerHost, rules, sampleMs: loads.sampleMs, warn,
    load: ({ name }) => traceFor(name),
  })
  const sandbox = await createVirtualSandbox({ cacheDirectory: options.cacheDirectory, shapes: world.capabilities.shapes, packageDirectories: options.packageDirectories, clock, random: seededRandom(seed ^ 0x1b873593) })
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
    for (const bundle of options.bundles) manifests.push(await node.deploy(bundle))
    for (const { host, atMs, forMs: downMs } of faults) clock.after(atMs, () => world.crash(host, downMs))
    takePoints(world, tally, clock, forMs)
    node.start()
    // What has no timer of its own is called once, at the beginning.
    for (const { name, triggers } of manifests) if (triggers.every(({ type }) => type === 'http')) await node.enqueue(name, null)
    signal?.addEventListener('abort', () => { if (ended === 'done') ended = 'stopped'; stop.abort() }, { once: true })
    if (signal?.aborted === true) stop.abort()
    await run(clock, forMs, stop.signal, tally, options)
    return {
      hosts: options.hosts, vms: options.hosts * options.vmsPerHost, startAtMs, forMs, endedAtMs: clock.nowMs(), ended: stop.signal.aborted ? ended : 'done', seed, loads: loads.told,
      functions: tally.functions(new Map(manifests.map(({ name, version }) => [name, version]))),
      emitted: sortedCounts(tally.emitted), stateChanges: sortedCounts(tally.stateChanges), verbs: tally.verbs(), points: tally.points, faults, warnings: sortedCounts(tally.warnings),
    }
  } finally {
    stop.abort()
    await node?.stop()
    await world.stop()
    sandbox.close()
  }
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

function takePoints(world: World, tally: Tally, clock: SimClock, forMs: number): void {
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
    tally.point({ atMs: clock.nowMs(), states: sortedCounts(states), cpuMean: rounded(sum / Math.max(1, up)), cpuMax: rounded(max), hostsDown: world.hosts.length - up })
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

