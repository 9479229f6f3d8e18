// The machines and VMs of a snapshot as a placement works on them: a copy made once, in an order that does not depend on the
// snapshot's, changed as VMs are placed. Everything that chooses (ranking, batches, the check of survivesHosts) works on one.
//
// What is in flight counts: a machine's cpuRatio is what was measured plus the vcpus that are asked for there and do not run
// yet, at full load (cloud.md 6.3). Without it a burst of placements all goes where load was least a second ago. Pure.

import type { MachineView, PlaceRequest, VmNeed } from '../cloud/contract.ts'
import { RuleIndex } from './rule-index.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
export interface BoardMachine extends Writable<MachineView> { readonly measuredCpuRatio: number; inFlightVcpus: number }
export type PlaceSnapshot = PlaceRequest['snapshot']

export const byName = (a: { readonly name: string; readonly uuid: string }, b: { readonly name: string; readonly uuid: string }): number =>
  (a.name < b.name ? -1 : a.name > b.name ? 1 : a.uuid < b.uuid ? -1 : a.uuid > b.uuid ? 1 : 0)

/** It answers (or has not been silent for long) and takes VMs: what is there stays there. */
const isSettled = ({ mode, member }: MachineView): boolean => mode === 'in-service' && (member === 'alive' || member === 'suspect')

export class Board {
  readonly snapshot: PlaceSnapshot
  /** By name, then uuid. */
  readonly machines: readonly BoardMachine[]
  readonly rules: RuleIndex
  /** Machines with a protected VM that is armed: their lease has to be there. */
  readonly armed: ReadonlySet<string>

  constructor(snapshot: PlaceSnapshot) {
    this.snapshot = snapshot
    this.machines = snapshot.machines.map((machine) => ({ ...machine, measuredCpuRatio: machine.cpuRatio, inFlightVcpus: 0 })).sort(byName)
    this.rules = new RuleIndex(snapshot.rules, snapshot.groups ?? [])
    const byUuid = new Map(this.machines.map((machine) => [machine.uuid, machine]))
    const armed = new Set<string>()
    for (const vm of snapshot.vms) {
      const machine = vm.machine === undefined || vm.desired === 'absent' ? undefined : byUuid.get(vm.machine)
      if (machine === undefined) continue
      this.rules.add(vm, machine.uuid, isSettled(machine))
      if (vm.desired === 'running' && vm.protection?.armed === true) armed.add(machine.uuid)
      if (vm.inFlight) machine.inFlightVcpus += vm.vcpus
    }
    this.armed = armed
    for (const machine of this.machines) machine.cpuRatio = expectedCpuRatio(machine)
  }

  /** A VM that had no place is placed: room, load and rules change for the next one. */
  book(vm: VmNeed, machine: BoardMachine): void {
    const { booked } = machine
    machine.booked = { vms: booked.vms + 1, vcpus: booked.vcpus + vm.vcpus, memoryMiB: booked.memoryMiB + vm.memoryMiB }
    machine.freeVcpus -= vm.vcpus
    machine.freeMemoryMiB -= vm.memoryMiB
    machine.inFlightVcpus += vm.vcpus
    machine.cpuRatio = expectedCpuRatio(machine)
    if (machine.power.asleep) machine.power = { ...machine.power, asleep: false }
    this.rules.add(vm, machine.uuid, true)
  }
}

const expectedCpuRatio = ({ measuredCpuRatio, inFlightVcpus, cores }: BoardMachine): number => measuredCpuRatio + inFlightVcpus / Math.max(1, cores)
