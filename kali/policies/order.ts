// In which order VMs get what room there is: by priority, then the biggest first (the small ones fill what is left; cloud.md
// 5.14), then by uuid, so that the same snapshot gives the same answer. And who can take them at all. Pure.

import type { MachineView, PoolSnapshot, VmView } from '../cloud/contract.ts'

type Sized = Pick<VmView, 'uuid' | 'vcpus' | 'memoryMiB' | 'protection'>

const priority = (vm: Sized): number => vm.protection?.priority ?? 0
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export const urgentFirst = (a: Sized, b: Sized): number =>
  priority(b) - priority(a) || b.memoryMiB - a.memoryMiB || b.vcpus - a.vcpus || byText(a.uuid, b.uuid)

/** Whether VMs may be started there now; one that sleeps is woken by what is placed on it. */
export const takes = ({ mode, member }: MachineView): boolean => mode === 'in-service' && member === 'alive'

export const fits = (need: Pick<VmView, 'vcpus' | 'memoryMiB'>, machine: Pick<MachineView, 'freeVcpus' | 'freeMemoryMiB'>): boolean =>
  need.vcpus <= machine.freeVcpus && need.memoryMiB <= machine.freeMemoryMiB

/** How many VMs of one size the pool's machines have room for. */
export function roomFor({ vcpus, memoryMiB }: Pick<VmView, 'vcpus' | 'memoryMiB'>, { machines }: Pick<PoolSnapshot, 'machines'>): number {
  let room = 0
  for (const machine of machines) {
    if (!takes(machine)) continue
    room += Math.max(0, Math.min(Math.floor(machine.freeVcpus / Math.max(1, vcpus)), Math.floor(machine.freeMemoryMiB / Math.max(1, memoryMiB))))
  }
  return room
}

/** The first wait, doubled with each further try, up to a most. `count`: tries so far, from 1. */
export const backoffMs = (count: number, { firstMs, mostMs }: { readonly firstMs: number; readonly mostMs: number }): number => Math.min(mostMs, firstMs * 2 ** Math.min(count - 1, 30))
