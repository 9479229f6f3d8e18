// One look at the whole: pools' snapshots, machines and VMs (also those in no pool), the last decisions -> Fleet.

import type { DataCenter, NodeRow } from '../../kali/contract.ts'
import { allPools } from '../cloud.ts'
import type { PoolNow } from '../cloud.ts'
import { hostOf } from '../objects.ts'
import type { Named } from '../objects.ts'
import { attributeOf } from '../objects.ts'
import type { Output } from '../output.ts'
import { machineName, membersOf, namesIn, schedulerText, sumsOf, vmStateText } from '../render/cloud.ts'
import { durationText } from '../render/units.ts'
import type { DecisionRow, Fleet, MachineRow, PoolRow, VmRow } from './contract.ts'

const MiB = 1_048_576
const numberOf = (object: Named, attribute: string): number | undefined => { const value = attributeOf(object, attribute); return typeof value === 'number' ? value : undefined }

function poolRow({ snapshot }: PoolNow): PoolRow {
  const { booked, vcpus, memoryMiB } = sumsOf(snapshot)
  const groups = snapshot.groups.map((group) => { const { ready, inFlight } = membersOf(snapshot, group.uuid); return `${group.name} ${ready.length}${inFlight.length === 0 ? '' : `+${inFlight.length}`}/${group.spec.max}` })
  return { name: snapshot.pool.name, machines: snapshot.machines.length, vms: snapshot.vms.length, inFlight: snapshot.vms.filter(({ inFlight }) => inFlight).length, bookedVcpus: booked.vcpus, vcpus, bookedMemoryMiB: booked.memoryMiB, memoryMiB, scheduler: schedulerText(snapshot.pool.scheduler), groups: groups.join(', ') }
}

const pooledMachines = ({ snapshot }: PoolNow): readonly MachineRow[] => snapshot.machines.map((machine) => ({
  name: machine.name, pool: snapshot.pool.name, state: machine.power.asleep ? 'asleep' : machine.member === 'alive' ? machine.mode : machine.member,
  cpuRatio: machine.member === 'alive' ? machine.cpuRatio : undefined, memoryUsedMiB: machine.booked.memoryMiB + machine.foreign.memoryMiB, memoryMiB: machine.memoryMiB, vms: machine.booked.vms + machine.foreign.vms,
  lease: machine.lease.state === 'held' ? `held ${durationText(machine.lease.ageMs)}` : '',
}))
const otherMachine = ({ name, state, cpuRatio, memoryTotalBytes, memoryFreeBytes }: NodeRow, vms: number): MachineRow => ({
  name, pool: '', state, cpuRatio, vms, lease: '', memoryMiB: memoryTotalBytes === undefined ? undefined : memoryTotalBytes / MiB,
  memoryUsedMiB: memoryTotalBytes === undefined || memoryFreeBytes === undefined ? undefined : (memoryTotalBytes - memoryFreeBytes) / MiB,
})

const pooledVms = ({ snapshot }: PoolNow): readonly (VmRow & { readonly uuid: string })[] => snapshot.vms.map((vm) => ({
  uuid: vm.uuid, name: vm.name, pool: snapshot.pool.name, machine: vm.machine === undefined ? '' : machineName(snapshot, vm.machine), state: vmStateText(vm), cpuRatio: vm.cpuRatio, vcpus: vm.vcpus, memoryMiB: vm.memoryMiB,
  keptBy: [vm.protection === undefined ? '' : 'ha', snapshot.groups.find(({ uuid }) => uuid === vm.group)?.name ?? ''].filter((word) => word !== '').join(' '),
}))
const otherVm = (vm: Named): VmRow => ({ name: vm.name, pool: '', machine: hostOf(vm), state: String(attributeOf(vm, 'state') ?? ''), cpuRatio: numberOf(vm, 'cpuRatio'), vcpus: numberOf(vm, 'vcpus') ?? 0, memoryMiB: numberOf(vm, 'memoryMiB') ?? 0, keptBy: '' })

/** `decisionsMax`: newest of each pool. */
export async function gather(dc: DataCenter, out: Output, { nowMs, decisionsMax }: { readonly nowMs: number; readonly decisionsMax: number }): Promise<Fleet> {
  const now = async (): Promise<readonly (PoolNow & { readonly decided: readonly DecisionRow[] })[]> => Promise.all((await allPools(dc, out)).map(async (pool) => {
    const [snapshot, decisions] = await Promise.all([pool.snapshot(), pool.decisions({ limit: decisionsMax })])
    const names = namesIn(snapshot)
    return { pool, snapshot, decided: decisions.map((one) => ({ atMs: one.atMs, pool: pool.name, by: one.policy, what: one.outcome === 'done' ? one.action : `${one.action}: ${one.outcome}`, about: one.about.map((uuid) => names.get(uuid) ?? uuid.slice(0, 8)).join(', '), because: one.reason })) }
  }))
  const [pools, nodes, listing] = await Promise.all([now(), dc.nodes(), dc.list('VM')])
  const machines = pools.flatMap(pooledMachines), vms = pools.flatMap(pooledVms)
  const known = new Set(machines.map(({ name }) => name)), managed = new Set(vms.map(({ uuid }) => uuid))
  const others = (listing.objects as readonly Named[]).filter(({ uuid }) => !managed.has(uuid))
  return {
    atMs: nowMs, mode: pools[0]?.snapshot.mode ?? '', pools: pools.map(poolRow),
    machines: [...machines, ...nodes.filter(({ name, state }) => !known.has(name) && state !== 'left').map((node) => otherMachine(node, others.filter((vm) => hostOf(vm) === node.name).length))],
    vms: [...vms, ...others.map(otherVm)],
    decisions: pools.flatMap(({ decided }) => decided).toSorted((a, b) => b.atMs - a.atMs),
    silent: listing.failures.map(({ name }) => name),
  }
}
