// Machines, VMs and requests for tests of placement: made from what a test is about, everything else usual.

import type { MachineView, PoolRecord, RuleRecord, VmNeed, VmView } from '../../../kali/cloud/contract.ts'
import type { PlaceSnapshot } from '../../../kali/placement/board.ts'

const NONE = { vms: 0, vcpus: 0, memoryMiB: 0 }

/** 16 cores and 32 GiB, empty; `used` is booked and taken off what is free. */
export function machine(name: string, { used = NONE, ...settings }: Partial<MachineView> & { readonly used?: MachineView['booked'] } = {}): MachineView {
  const cores = settings.cores ?? 16, memoryMiB = settings.memoryMiB ?? 32_768
  return {
    uuid: `m-${name}`, name, node: name.padEnd(64, '0') as MachineView['node'], mode: 'in-service', member: 'alive', lease: { state: 'held', ageMs: 100 }, cores, memoryMiB,
    booked: used, foreign: NONE, freeVcpus: cores - used.vcpus, freeMemoryMiB: memoryMiB - used.memoryMiB, cpuRatio: 0.1, power: { idleWatts: 100, fullWatts: 250, asleep: false }, ...settings,
  }
}

export const need = (name: string, settings: Partial<VmNeed> = {}): VmNeed =>
  ({ uuid: `v-${name}`, name, vcpus: 2, memoryMiB: 2_048, labels: {}, images: [], storage: [], bridges: [], priority: 0, ...settings })

/** A VM that runs on a machine (its uuid is m-NAME). */
export const vm = (name: string, on: string | undefined, settings: Partial<VmView> = {}): VmView => ({
  uuid: `v-${name}`, name, pool: 'p', desired: 'running', ...(on === undefined ? {} : { machine: `m-${on}` }), epoch: 1, vcpus: 2, memoryMiB: 2_048, labels: {},
  tries: { restarts: 0, relocations: 0, sinceMs: 0 }, origin: 'create', decidedAtMs: 0, inFlight: false, images: [], storage: [], bridges: [], ...settings,
})

export const protection = (armed: boolean): NonNullable<VmView['protection']> => ({ restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0, armed })

export const rule = (name: string, type: RuleRecord['type'], vms: readonly string[], settings: Partial<RuleRecord> = {}): RuleRecord => ({ name, pool: 'p', type, hard: true, vms, ...settings })

const pool: PoolRecord = {
  uuid: 'p', name: 'pool1', description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0, scheduler: { type: 'builtin', name: 'rank' },
  migrations: { perHost: 1, perPool: 4 }, policies: [], createdBy: 'tester', createdAtMs: 0,
}
export interface SnapshotSettings { readonly vms?: readonly VmView[]; readonly rules?: readonly RuleRecord[]; readonly survivesHosts?: number; readonly groups?: PlaceSnapshot['groups'] }

export const snapshot = (machines: readonly MachineView[], { vms = [], rules = [], survivesHosts = 0, groups = [] }: SnapshotSettings = {}): PlaceSnapshot =>
  ({ pool: { ...pool, survivesHosts }, machines, vms, rules, groups, atMs: 1_000 })

/** A snapshot whose machines' bookings are what its VMs take. */
export const settled = (machines: readonly MachineView[], settings: SnapshotSettings): PlaceSnapshot => snapshot(machines.map((one) => {
  const there = (settings.vms ?? []).filter(({ machine: at }) => at === one.uuid)
  const booked = { vms: there.length, vcpus: there.reduce((sum, { vcpus }) => sum + vcpus, 0), memoryMiB: there.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0) }
  return { ...one, booked, freeVcpus: one.cores - booked.vcpus, freeMemoryMiB: one.memoryMiB - booked.memoryMiB }
}), settings)
