// Snapshots of a pool for tests of policies: a plain one, changed where a test says so; and a group of members that boot, carry
// load and go, which applies what a policy proposes.

import type { NodeId } from '../../fabric/base.ts'
import type { ElasticSpec, GroupRecord, HaTimings, MachineView, PolicyOutput, PoolSnapshot, VmView } from '../../kali/cloud/contract.ts'

export const START_MS = Date.UTC(2026, 0, 1)
export const TIMINGS: HaTimings = { preset: 'fast', renewMs: 2_000, giveUpMs: 8_000, killMs: 6_000, watchdogMs: 6_000, slackMs: 1_000, leaseMs: 20_000 }
export const POOL = 'pool-1'

export function machine(name: string, change: Partial<MachineView> = {}): MachineView {
  return {
    uuid: `m-${name}`, name, node: name as NodeId, mode: 'in-service', member: 'alive', lease: { state: 'held', ageMs: 60_000 }, cores: 16, memoryMiB: 65_536,
    booked: { vms: 0, vcpus: 0, memoryMiB: 0 }, foreign: { vms: 0, vcpus: 0, memoryMiB: 0 }, freeVcpus: 16, freeMemoryMiB: 65_536, cpuRatio: 0.1,
    power: { idleWatts: 100, fullWatts: 300, asleep: false }, ...change,
  }
}

export const protection: NonNullable<VmView['protection']> = { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0, armed: true }

export function vm(name: string, change: Partial<VmView> = {}): VmView {
  return {
    uuid: `v-${name}`, name, pool: POOL, desired: 'running', epoch: 1, vcpus: 1, memoryMiB: 1_024, labels: {}, tries: { restarts: 0, relocations: 0, sinceMs: START_MS }, origin: 'create',
    decidedAtMs: START_MS, inFlight: false, images: [], storage: [], bridges: [], phase: 'running', phaseSinceMs: START_MS, ...change,
  }
}
/** Without a field, which is not the same as undefined. */
export const pending = (name: string, change: Partial<VmView> = {}): VmView => {
  const { phase: _phase, phaseSinceMs: _since, machine: _machine, ...rest } = vm(name, { ...change, inFlight: true, epoch: 0 })
  return rest
}

export function snapshot(change: Partial<PoolSnapshot> = {}): PoolSnapshot {
  return {
    atMs: START_MS, mode: 'armed', machines: [], vms: [], groups: [], rules: [], contactMs: 3_600_000, timings: TIMINGS, metrics: {},
    pool: {
      uuid: POOL, name: 'pool', description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0, scheduler: { type: 'builtin', name: 'rank' },
      migrations: { perHost: 2, perPool: 4 }, policies: ['kali-ha', 'kali-elasticity'], createdBy: 'test', createdAtMs: START_MS,
    },
    ...change,
  }
}

export const SPEC: ElasticSpec = {
  out: 0.8, in: 0.3, min: 1, max: 4, metric: { type: 'cpu' }, hold: 3, periodMs: 5_000, warmUpMs: 30_000, cooldownOutMs: 30_000, cooldownInMs: 300_000, stepOut: 1, stepIn: 1,
  margin: 0.1, flightMs: 900_000, drainMs: 120_000,
}
export const group = (change: Partial<GroupRecord> = {}, spec: Partial<ElasticSpec> = {}): GroupRecord => ({
  uuid: 'g-web', name: 'web', pool: POOL, spec: { ...SPEC, ...spec }, template: { name: 'web', memoryMiB: 1_024, vcpus: 1, devices: [] }, paused: false, account: 'test', createdAtMs: START_MS, ...change,
})
export const member = (number: number, change: Partial<VmView> = {}): VmView => vm(number === 0 ? 'web' : `web-${number}`, { group: 'g-web', machine: 'm-a', phase: 'ready', cpuRatio: 0.5, ...change })

export type Deeds = readonly PolicyOutput<unknown>['proposals'][number][]
export const deeds = ({ proposals }: Pick<PolicyOutput<unknown>, 'proposals'>): readonly string[] =>
  proposals.filter(({ action }) => action.do !== 'note').map(({ action }) => ('vm' in action ? `${action.do} ${action.vm}` : 'member' in action ? `grow ${action.member}` : 'machine' in action ? `${action.do} ${action.machine}` : action.do))
export const said = ({ proposals }: Pick<PolicyOutput<unknown>, 'proposals'>): readonly string[] => proposals.filter(({ action }) => action.do === 'note').map(({ reason }) => reason)
