// The snapshot of a pool: records from the view, figures from the machines themselves, made into frozen plain data for
// schedulers, policies and people. Pure: the same view and observation, the same snapshot.
//
// Foreign is what runs on a machine and is not booked there: VMs that nobody gave to the cloud, and copies that are on their
// way out. It takes room as what is booked does. A machine that does not answer stays in the snapshot, without figures.
// Source: cloud.md 6.3 (capacity = ready + in flight).

import type { NodeId } from '../../fabric/base.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import type { Amounts, CloudView, GroupRecord, HaTimings, IntentRecord, MachineRecord, MachineView, PoolRecord, PoolSnapshot, StatusRecord, Stored, VmView } from '../cloud/contract.ts'
import type { LeaseAge } from './lease-ages.ts'
import { needsOf } from './needs.ts'
import type { Observation } from './observation.ts'
import type { ObservedKind } from './options.ts'

export interface SnapshotInput {
  readonly view: CloudView
  readonly observation: Observation
  readonly pool: PoolRecord
  readonly atMs: number
  readonly contactMs: number
  readonly timings: HaTimings
  readonly memberOf: (node: NodeId) => MachineView['member']
  readonly leaseOf: (node: NodeId) => LeaseAge
  readonly powerOf: (machine: MachineRecord) => Pick<MachineView['power'], 'idleWatts' | 'fullWatts'>
  readonly metrics: PoolSnapshot['metrics']
}

/** A straight line from idle to full, as servers of some years ago draw it (Fan et al., ISCA 2007: idle about half of full). */
const WATTS = { idleBase: 60, idlePerCore: 4, fullPerCore: 12 }
export const powerByCores = ({ cores }: Pick<MachineRecord, 'cores'>): Pick<MachineView['power'], 'idleWatts' | 'fullWatts'> =>
  ({ idleWatts: WATTS.idleBase + WATTS.idlePerCore * cores, fullWatts: WATTS.idleBase + WATTS.fullPerCore * cores })

const numberOf = (value: unknown): number | undefined => typeof value === 'number' && Number.isFinite(value) ? value : undefined
const textsOf = (references: readonly ReferenceRecord[], attribute: string): string[] =>
  references.flatMap(({ attributes }) => typeof attributes[attribute] === 'string' && attributes[attribute] !== '' ? [attributes[attribute]] : [])
const uses = (state: unknown): boolean => state === 'running' || state === 'paused' || state === 'stopping'

/** What a machine has of a kind; several machines of one node (a simulated fleet) are told apart by the objects' `host`. */
export function seenOn(observation: Observation, kind: ObservedKind, { uuid, name, node }: Pick<MachineRecord, 'uuid' | 'name' | 'node'>): readonly ReferenceRecord[] | undefined {
  const there = observation.of(kind, node)
  if (kind === 'PhysicalMachine') return there?.filter((each) => each.uuid === uuid)
  if ((observation.of('PhysicalMachine', node)?.length ?? 0) <= 1) return there
  return there?.filter(({ attributes }) => attributes.host === undefined || attributes.host === name)
}

/** What runs on a machine without being booked there. */
function foreignOn(machine: MachineRecord, { view, observation }: SnapshotInput): Amounts {
  let vms = 0, vcpus = 0, memoryMiB = 0
  for (const { uuid, attributes } of seenOn(observation, 'VM', machine) ?? []) {
    if (!uses(attributes.state)) continue
    const intent = view.intent(uuid)
    if (intent?.booked === true && intent.machine?.uuid === machine.uuid) continue
    vms += 1
    vcpus += numberOf(attributes.vcpus) ?? 0
    memoryMiB += numberOf(attributes.memoryMiB) ?? 0
  }
  return { vms, vcpus, memoryMiB }
}

/** Directories and names of the storage that can be used there. */
export function storageOf(observation: Observation, machine: MachineRecord): readonly string[] | undefined {
  const pools = seenOn(observation, 'StoragePool', machine)?.filter(({ attributes }) => attributes.state !== 'inactive')
  return pools === undefined ? undefined : [...pools.map(({ name }) => name), ...textsOf(pools, 'path')]
}
/** Names of switches, of networks, and of the networks' bridges. */
export function bridgesOf(observation: Observation, machine: MachineRecord): readonly string[] | undefined {
  const switches = seenOn(observation, 'Switch', machine), networks = seenOn(observation, 'Network', machine)
  return switches === undefined || networks === undefined ? undefined : [...new Set([...switches, ...networks].map(({ name }) => name).concat(textsOf(networks, 'bridge')))]
}
export const imagesOf = (observation: Observation, machine: MachineRecord): readonly string[] | undefined => seenOn(observation, 'Image', machine)?.map(({ name }) => name)

function machineView(machine: MachineRecord, input: SnapshotInput): MachineView {
  const { observation, pool } = input
  const { uuid, name, node, mode, cores, memoryMiB, booked } = machine
  const foreign = foreignOn(machine, input)
  const images = imagesOf(observation, machine), storage = storageOf(observation, machine), bridges = bridgesOf(observation, machine)
  const vcpusMax = Math.floor(cores * pool.overcommit.cpuRatio) - pool.reserve.vcpus
  const memoryMax = Math.floor(memoryMiB * pool.overcommit.memoryRatio) - pool.reserve.memoryMiB
  return {
    uuid, name, node, mode, member: input.memberOf(node), lease: input.leaseOf(node), cores, memoryMiB, booked, foreign,
    freeVcpus: vcpusMax - booked.vcpus - foreign.vcpus,
    freeMemoryMiB: memoryMax - booked.memoryMiB - foreign.memoryMiB,
    cpuRatio: numberOf(seenOn(observation, 'PhysicalMachine', machine)?.[0]?.attributes.cpuRatio) ?? 0,
    ...(images === undefined ? {} : { images }), ...(storage === undefined ? {} : { storage }), ...(bridges === undefined ? {} : { bridges }),
    power: { ...input.powerOf(machine), asleep: machine.asleep === true },
  }
}

/** Its agent has said that it runs, in this epoch; of an elastic group's member: that it is ready. */
export const isUp = (intent: IntentRecord, status: StatusRecord | undefined): boolean =>
  status !== undefined && status.epoch === intent.epoch && (status.phase === 'ready' || (status.phase === 'running' && intent.group === undefined))

function vmView(intent: IntentRecord, { view, observation }: SnapshotInput): VmView {
  const { uuid, name, pool, desired, machine, epoch, settings, protection, group, tries, error, origin, decidedAtMs } = intent
  const said = view.status(uuid)
  const status = said?.epoch === epoch ? said : undefined
  const there = machine === undefined ? undefined : observation.of('VM', machine.node)
  const seen = there?.find((each) => each.uuid === uuid)
  const state = there === undefined ? undefined : String(seen?.attributes.state ?? 'absent')
  const cpuRatio = numberOf(seen?.attributes.cpuRatio)
  return {
    uuid, name, pool, desired, epoch, vcpus: settings.vcpus, memoryMiB: settings.memoryMiB, labels: settings.labels ?? {}, tries, origin, decidedAtMs,
    ...(machine === undefined ? {} : { machine: machine.uuid, node: machine.node }),
    ...(protection === undefined ? {} : { protection }), ...(group === undefined ? {} : { group }), ...(error === undefined ? {} : { error }),
    ...(status === undefined ? {} : { phase: status.phase, phaseSinceMs: status.sinceMs }),
    ...(state === undefined ? {} : { state }), ...(cpuRatio === undefined ? {} : { cpuRatio }),
    inFlight: desired === 'running' && error === undefined && !isUp(intent, status),
    ...needsOf(settings),
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const each of Object.values(value)) freeze(each)
  }
  return value
}

const bare = <T extends object>(stored: Stored<T>): T => {
  const { revision: _revision, ...record } = stored
  return record as unknown as T
}

export function snapshotOf(input: SnapshotInput): PoolSnapshot {
  const { view, pool, atMs, contactMs, timings, metrics } = input
  return freeze({
    atMs, pool, mode: view.mode().mode, modeAtMs: view.mode().atMs, contactMs, timings, metrics,
    machines: view.machines(pool.uuid).map((machine) => machineView(machine, input)),
    vms: view.intents({ pool: pool.uuid }).map((intent) => vmView(intent, input)),
    groups: view.groups(pool.uuid).map((group) => bare<GroupRecord>(group)),
    rules: view.rules(pool.uuid).map((rule) => bare(rule)),
  })
}
