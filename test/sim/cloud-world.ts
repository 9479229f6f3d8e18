// The whole of Kali on memory hosts and virtual time, from a seed: nodes with their parts as deployed, a store, a network, users,
// and faults. One seed is one run; the same seed is the same run.
//
//   seed -> nodes, VMs -> faults, two or three at a time, and users' wishes -> all is healed -> what is wanted must run
//
// Checked at every moment: cloud-truth.ts. Checked each second: what is booked is what the intents say (auditCloud). Checked at
// the end: everything that is wanted runs where the store says, and nothing else does, within QUIET_MS.

import { createHash } from 'node:crypto'
import { seededRandom } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import { createSimClock } from '../../fabric/sim-clock.ts'
import { auditCloud } from '../../kali/cloud/audit.ts'
import type { EpochMemory } from '../../kali/cloud/audit.ts'
import { createCloudBook } from '../../kali/cloud/book.ts'
import type { HaTimings, IntentRecord, MachineView } from '../../kali/cloud/contract.ts'
import { createCloudView } from '../../kali/cloud/view.ts'
import { ha } from '../../kali/policies/ha.ts'
import { FAULTS, protectedBy, userActs } from './cloud-faults.ts'
import type { Fault, Ground } from './cloud-faults.ts'
import { rated } from './cloud-life.ts'
import { createNetwork, createSimStore } from './cloud-link.ts'
import { createSimMachine } from './cloud-machine.ts'
import type { SimMachine } from './cloud-machine.ts'
import { startSimNode } from './cloud-node.ts'
import type { Policy, Seams, SimNode } from './cloud-node.ts'
import { watchTruth } from './cloud-truth.ts'

export interface CloudRunOptions {
  readonly nodes?: number
  readonly vms?: number
  readonly faults?: number
  /** Clocks are wrong by at most so much. */
  readonly rateError?: number
  /** Of all machines and of the store, in place of that. */
  readonly rates?: { readonly machines: number; readonly store: number }
  /** The store is a part of one of the nodes, as the embedded one is: it is lost, stopped and cut off with it. */
  readonly embedded?: boolean
  /** Everything happens to the node at that place. */
  readonly at?: number
  /** Faults by name; default: all. */
  readonly only?: readonly string[]
  readonly users?: boolean
  /** Until all that is wanted must run again; 0: not looked at. */
  readonly quietMs?: number
  /** Wrong on purpose. */
  readonly seams?: Seams
  readonly policies?: readonly Policy[]
  /** Each is told at once (cloud.ts --trace). */
  readonly onNote?: (text: string) => void
}
export interface CloudRun {
  readonly seed: number
  readonly faults: Readonly<Record<string, number>>
  readonly starts: number
  readonly takeovers: number
  readonly fences: number
  readonly falseRestarts: number
  readonly migrations: number
  readonly crashes: number
  /** From the last healing until all that is wanted runs. */
  readonly quietAfterMs: number
  readonly virtualMs: number
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly trace: readonly string[]
}

/** As tight as is let through, so that what breaks a rule shows. */
export const SIM_TIMINGS: HaTimings = { preset: 'custom', renewMs: 2_000, giveUpMs: 8_000, killMs: 4_000, watchdogMs: 4_000, slackMs: 2_000, leaseMs: 16_050 }
/** 8 / 0.96 + 4 s after the last renewal all is off; the lease ends 16.05 / 1.04 s after it. */
const RATE_ERROR = 0.04
const POOL = '00000000-0000-4000-8000-0000000000aa'
const STEP_MS = 100
const AUDIT_EACH = 20
/** Back-offs of the agent double up to a minute, and a human's word is waited for by nobody. */
const QUIET_MS = 180_000
const SUSPECT_MS = 2_000
const DEAD_MS = 6_000

export async function runCloud(seed: number, options: CloudRunOptions = {}): Promise<CloudRun> {
  const random = seededRandom(seed)
  const { nodes: nodesCount = 4 + random.int(2), vms: vmsCount = 4 + random.int(4), faults: faultsCount = 12, rateError = RATE_ERROR, users = true, quietMs = QUIET_MS, seams = {}, embedded = false } = options
  const policies = options.policies ?? [{ name: 'kali-ha', decide: ha as unknown as Policy['decide'] }]
  const sim = createSimClock({ startMs: 1_000_000 })
  const trace: string[] = []
  const note = (text: string): void => { const line = `${Math.round(sim.nowMs() - 1_000_000)} ${text}`; trace.push(line); options.onNote?.(line) }
  const rate = (): number => 1 + (random.next() * 2 - 1) * rateError
  const network = createNetwork(seededRandom(seed + 1))
  const store = createSimStore({ sim, random: seededRandom(seed + 2), network, rate: options.rates?.store ?? rate() })

  // ---------------------------------------------------------------- machines, truth

  /** Until when whatever happens there may have its reason in a fault. */
  const disturbedUntil = new Map<NodeId, number>()
  const truth = watchTruth({
    sim, store, note, leaseMs: SIM_TIMINGS.leaseMs, isUser: (name) => name.startsWith('user'),
    disturbed: (node, withinMs) => (disturbedUntil.get(node) ?? -Infinity) + withinMs > sim.nowMs(),
  })
  const machines = Array.from({ length: nodesCount }, (_, i): SimMachine => createSimMachine({
    sim, clock: rated(sim, options.rates?.machines ?? rate(), random.int(400) - 200), random: seededRandom(seed + 100 + i), name: `host${i}`, node: (i + 1).toString(16).padStart(2, '0').repeat(32), uuid: `00000000-0000-4000-8000-00000000ff${String(i).padStart(2, '0')}`,
    cores: 8, memoryMiB: 4_096, giveUpMs: SIM_TIMINGS.giveUpMs, killMs: SIM_TIMINGS.killMs, note,
    onDomain: (event): void => truth.happened(machines[i] as SimMachine, event),
  }))
  for (const { driver } of machines) await driver.open()

  // ---------------------------------------------------------------- pool

  const ownLog = { info() {}, warn() {} }
  const ownView = createCloudView({ store: store.engine, clock: sim, log: ownLog })
  ownView.start()
  await ownView.ready
  const ownBook = createCloudBook({ store: store.engine, view: ownView, clock: sim, random: seededRandom(seed + 3) })
  await ownBook.createPool({
    uuid: POOL, name: 'pool1', description: '', overcommit: { cpuRatio: 2, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0,
    scheduler: { type: 'builtin', name: ['rank', 'packing', 'striping'][random.int(3)] as string }, migrations: { perHost: 2, perPool: 4 }, policies: policies.map(({ name }) => name), createdBy: 'local:0', createdAtMs: 0,
  })
  for (const { uuid, name, node, cores, memoryMiB } of machines) await ownBook.joinMachine({ uuid, name, node, pool: POOL, mode: 'in-service', cores, memoryMiB })
  const uuid = (number: number): string => `00000000-0000-4000-8000-00000000${String(number).padStart(4, '0')}`
  let numbers = 0
  const add = async ({ name, memoryMiB, isProtected }: { readonly name: string; readonly memoryMiB: number; readonly isProtected: boolean }): Promise<void> => {
    const vm = uuid(++numbers)
    const record: IntentRecord = {
      uuid: vm, name, pool: POOL, account: 'user', desired: 'running', epoch: 0, origin: 'create', settings: { name, memoryMiB, vcpus: 1, devices: [] }, booked: false, tries: { restarts: 0, relocations: 0, sinceMs: 0 },
      decision: `user-add-${vm.slice(-4)}`, decidedBy: 'user', decidedAtMs: Math.round(sim.wallMs()), reason: 'the user wants it', ...isProtected ? { protection: protectedBy(random.int(3) === 0 ? { onGuestShutdown: 'leave' } : {}) } : {},
    }
    note(`user: add ${name}`)
    await ownBook.intend(record)
  }
  for (let i = 0; i < vmsCount; i++) await add({ name: `vm${i}`, memoryMiB: 256 * (1 + random.int(4)), isProtected: i < 2 || random.int(3) > 0 })

  // ---------------------------------------------------------------- nodes

  const heardAtMs = new Map<string, number>()
  const memberOf = (of: NodeId, by: NodeId): MachineView['member'] => {
    if (of === by) return 'alive'
    const ageMs = sim.nowMs() - (heardAtMs.get(`${of}>${by}`) ?? sim.nowMs())
    return ageMs < SUSPECT_MS ? 'alive' : ageMs < DEAD_MS ? 'suspect' : 'dead'
  }
  const nodes: SimNode[] = []
  const start = (machine: SimMachine, lives: number): SimNode => startSimNode({ sim, network, store, machine, lives, seed: random.int(2 ** 31), timings: SIM_TIMINGS, pool: POOL, policies, seams, nodes: () => nodes, memberOf, note })
  for (const machine of machines) nodes.push(start(machine, 0))
  const lives = nodes.map(() => 0)
  const storeAt = embedded ? 0 : undefined
  const embed = ({ life }: SimNode): void => {
    network.storeAt = life.id
    network.storeRuns = () => life.state === 'running'
    life.onEnd(() => store.stop())
    void store.start()
  }
  if (storeAt !== undefined) embed(nodes[storeAt] as SimNode)
  const restart = (at: number): void => {
    const machine = machines[at] as SimMachine
    lives[at] = (lives[at] ?? 0) + 1
    nodes[at] = start(machine, lives[at])
    if (at === storeAt) embed(nodes[at])
    note(`${nodes[at].life.name} starts`)
  }

  const epochs: EpochMemory = new Map()
  let steps = 0
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await sim.settle(Math.min(STEP_MS, left))
      for (const from of nodes) for (const to of nodes) if (from !== to && from.life.state === 'running' && network.reaches(from.life.id, to.life.id)) heardAtMs.set(`${from.life.id}>${to.life.id}`, sim.nowMs())
      if (++steps % AUDIT_EACH === 0) for (const { key, text } of await auditCloud(store.engine, epochs)) truth.violate(`audit: ${key}: ${text}`)
      if (truth.violations.length > 0) return
    }
  }

  // ---------------------------------------------------------------- faults and wishes

  const ground: Ground = { sim, random, network, store, truth, pool: POOL, nodes: () => nodes, restart, note, nextNumber: () => ++numbers, uuid }
  const struck: Record<string, number> = {}
  const active = new Map<number, { readonly fault: Fault; readonly heal: () => void | Promise<void>; readonly untilMs: number }>()
  const disturb = (fault: Fault, at: number, untilMs: number): void => { nodes.forEach(({ life: { id } }, i) => { if (i === at || at === storeAt || fault.wide === true) disturbedUntil.set(id, Math.max(untilMs, disturbedUntil.get(id) ?? 0)) }) }
  const healDue = async (nowMs: number): Promise<void> => {
    for (const [at, { fault, heal, untilMs }] of [...active]) {
      if (untilMs > nowMs) continue
      active.delete(at)
      note(`healed: ${fault.name}${fault.wide === true ? '' : ` (host${at})`}`)
      disturb(fault, at, sim.nowMs())
      await heal()
    }
  }
  const choices = FAULTS.filter(({ name }) => options.only?.includes(name) ?? true)
  const weights = choices.reduce((sum, { weight }) => sum + weight, 0)
  const draw = (): Fault => {
    let left = random.int(weights)
    return choices.find(({ weight }) => (left -= weight) < 0) as Fault
  }
  await pass(10_000)
  for (let done = 0; done < faultsCount && truth.violations.length === 0;) {
    const fault = draw(), at = fault.wide === true ? -1 - FAULTS.indexOf(fault) : options.at ?? random.int(nodesCount)
    // Mostly around the times that matter: F, L, and both.
    const forMs = [random.int(3_000), SIM_TIMINGS.giveUpMs - 2_000 + random.int(4_000), SIM_TIMINGS.leaseMs - 3_000 + random.int(6_000), SIM_TIMINGS.leaseMs + random.int(20_000)][random.int(4)] as number
    if (!active.has(at) && active.size < 3) {
      done++
      struck[fault.name] = (struck[fault.name] ?? 0) + 1
      note(`fault: ${fault.name}${fault.wide === true ? '' : ` (host${at})`} for ${forMs} ms`)
      const heal = fault.strike(ground, Math.max(0, at))
      disturb(fault, at, sim.nowMs() + (heal === undefined ? 0 : forMs))
      if (heal !== undefined) active.set(at, { fault, heal, untilMs: sim.nowMs() + forMs })
    }
    if (users && random.int(3) === 0) void userActs(ground)
    for (let left = random.int(8_000); left > 0 && truth.violations.length === 0; left -= 500) { await pass(500); await healDue(sim.nowMs()) }
  }

  // ---------------------------------------------------------------- quiet

  await healDue(Infinity)
  network.mendAll()
  note('all is healed')
  const quietSinceMs = sim.nowMs()
  // A human looks: mass failures are over, and who was given up or is kept out is let in again.
  await ownBook.setMode({ mode: 'armed', by: 'user', atMs: Math.round(sim.wallMs()) + 1_000, reason: 'all is healed' })
  for (const { uuid: machine } of machines) await ownBook.changeMachine(machine, (present) => ({ ...present, mode: 'in-service' }))
  let restless = 'nothing was looked at'
  while (truth.violations.length === 0 && sim.nowMs() - quietSinceMs < quietMs) {
    await pass(1_000)
    restless = whatIsNotQuiet(truth.intents(), truth.running(), ownView.status)
    if (restless === '') break
  }
  const quietAfterMs = Math.round(sim.nowMs() - quietSinceMs)
  if (truth.violations.length === 0 && restless !== '' && quietMs > 0) truth.violate(`not quiet after ${quietMs / 1_000} s: ${restless}`)

  for (const { life } of nodes) life.die()
  truth.stop()
  await ownView.stop()
  await store.engine.close()
  return {
    seed, faults: struck, ...truth.counts, quietAfterMs, virtualMs: Math.round(sim.nowMs() - 1_000_000), violations: truth.violations,
    traceHash: createHash('sha256').update(trace.join('\n')).digest('hex').slice(0, 16), trace,
  }
}

/** Empty: all that is wanted runs where the store says, and nothing else does. */
function whatIsNotQuiet(intents: ReadonlyMap<string, IntentRecord>, running: ReadonlyMap<string, ReadonlySet<string>>, statusOf: (vm: string) => { readonly phase: string } | undefined): string {
  for (const { uuid, name, desired, machine, error, protection, origin } of intents.values()) {
    const on = [...running.get(uuid) ?? []]
    // Wanted no more while it was on its way: its migration is settled by nobody then.
    if (error !== undefined || (origin === 'migrate' && desired !== 'running')) continue
    if (desired === 'absent') return `${name} is still there`
    if (desired === 'stopped' && on.length > 0) return `${name} runs on ${on.join()}, and is to be stopped`
    if (desired === 'running' && (machine === undefined || on.length !== 1 || on[0] !== machine.name)) return `${name} runs on ${on.join() || 'nothing'}, and is to run on ${machine?.name ?? 'some machine'} (${statusOf(uuid)?.phase})`
    if (desired === 'running' && protection?.armed === false) return `${name} is not armed`
  }
  for (const [vm, on] of running) if (on.size > 0 && !intents.has(vm)) return `${vm.slice(-4)} runs on ${[...on].join()}, and nobody wants it`
  return ''
}
