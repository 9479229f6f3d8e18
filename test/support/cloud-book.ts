// Books and views of the cloud over one store in memory, and records to fill them with.

import type { Test } from 'tap'
import { seededRandom, systemClock } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import { createCloudBook } from '../../kali/cloud/book.ts'
import type { GroupsOf } from '../../kali/cloud/owners.ts'
import type { CloudBook } from '../../kali/cloud/parts.ts'
import type { GroupRecord, IntentRecord, MachineRecord, PoolRecord, StatusRecord } from '../../kali/cloud/records.ts'
import { createCloudView } from '../../kali/cloud/view.ts'
import type { NodeCloudView } from '../../kali/cloud/view.ts'

export interface CloudNode { readonly store: GlobalStore; readonly view: NodeCloudView; readonly book: CloudBook; readonly warnings: string[] }

/** One node's view and book; stopped with the test. */
export async function cloudNode(t: Pick<Test, 'teardown'>, store: GlobalStore, clock: Clock = systemClock, seed = 1, groupsOf: GroupsOf = () => []): Promise<CloudNode> {
  const warnings: string[] = []
  const log = { info() {}, warn: (message: string, fields?: Readonly<Record<string, unknown>>) => void warnings.push(`${message} ${JSON.stringify(fields ?? {})}`) }
  const view = createCloudView({ store, clock, log })
  t.teardown(() => view.stop())
  view.start()
  await view.ready
  return { store, view, book: createCloudBook({ store, view, clock, random: seededRandom(seed), log, groupsOf }), warnings }
}

/** Nodes over one store in memory. */
export async function cloudNodes(t: Pick<Test, 'teardown'>, count = 1, clock: Clock = systemClock, groupsOf: GroupsOf = () => []): Promise<readonly [CloudNode, ...CloudNode[]]> {
  const store = createMemoryGlobalStore({ clock })
  t.teardown(() => store.close())
  const nodes: CloudNode[] = []
  for (let at = 0; at < count; at++) nodes.push(await cloudNode(t, store, clock, at + 1, groupsOf))
  return nodes as unknown as readonly [CloudNode, ...CloudNode[]]
}

export const poolRecord = (uuid = 'p1', change: Partial<PoolRecord> = {}): PoolRecord => ({
  uuid, name: uuid, description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0, scheduler: { type: 'builtin', name: 'rank' },
  migrations: { perHost: 1, perPool: 4 }, policies: ['kali-ha', 'kali-elasticity'], createdBy: 'root', createdAtMs: 1, ...change,
})
export const nodeOf = (machine: string): string => Buffer.from(machine.padEnd(32, '0').slice(0, 32)).toString('hex')
export const machineRecord = (uuid = 'm1', change: Partial<MachineRecord> = {}): Omit<MachineRecord, 'booked'> => ({ uuid, name: uuid, node: nodeOf(uuid), pool: 'p1', mode: 'in-service', cores: 4, memoryMiB: 4_096, ...change })
export const placeOf = (uuid: string): NonNullable<IntentRecord['machine']> => ({ uuid, name: uuid, node: nodeOf(uuid) })
export const sized = (name: string, vcpus = 1, memoryMiB = 512): IntentRecord['settings'] => ({ name, vcpus, memoryMiB, devices: [] })
/** On no machine, and nothing booked, unless `change` says so. */
export const intentRecord = (uuid: string, change: Partial<IntentRecord> = {}): IntentRecord => ({
  uuid, name: uuid, pool: 'p1', account: 'alice', desired: 'running', epoch: 0, origin: 'create', settings: sized(uuid), booked: false,
  tries: { restarts: 0, relocations: 0, sinceMs: 0 }, decision: 'd1', decidedBy: 'test', decidedAtMs: 1, reason: 'a test', ...change,
})
/** To run on a machine, booked, in epoch 1. */
export const placed = (uuid: string, machine = 'm1', change: Partial<IntentRecord> = {}): IntentRecord => intentRecord(uuid, { machine: placeOf(machine), epoch: 1, booked: true, ...change })
export const statusRecord = (uuid: string, machine = 'm1', epoch = 1, change: Partial<StatusRecord> = {}): StatusRecord => ({ uuid, machine, epoch, phase: 'running', sinceMs: 1, attempts: 0, ...change })
export const groupRecord = (uuid: string, change: Partial<GroupRecord> = {}): GroupRecord => ({
  uuid, name: uuid, pool: 'p1', paused: false, account: 'alice', createdAtMs: 1, template: sized(uuid),
  spec: { out: 0.8, in: 0.3, min: 1, max: 4, metric: { type: 'cpu' }, hold: 3, periodMs: 1_000, warmUpMs: 1_000, cooldownOutMs: 0, cooldownInMs: 1_000, stepOut: 1, stepIn: 1, margin: 0.1, flightMs: 1_000, drainMs: 1_000 },
  ...change,
})
