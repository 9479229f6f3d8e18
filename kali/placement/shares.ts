// How much of a machine is free, as shares of what can be booked there. What schedulers and pm.rank measure by. Pure.

import type { MachineView } from '../cloud/contract.ts'

type Measured = Pick<MachineView, 'freeVcpus' | 'freeMemoryMiB' | 'booked' | 'foreign'>
interface Amount { readonly vcpus: number; readonly memoryMiB: number }

/** All that can be booked there: free, booked and used by VMs without an intent. */
export const capacityOf = ({ freeVcpus, freeMemoryMiB, booked, foreign }: Measured): Amount =>
  ({ vcpus: freeVcpus + booked.vcpus + foreign.vcpus, memoryMiB: freeMemoryMiB + booked.memoryMiB + foreign.memoryMiB })

/** Free share of a machine after `taken` more: mean of vcpus and memory; 1 is an empty machine, 0 a full one. */
export function freeShare(machine: Measured, taken: Amount = NOTHING): number {
  const { freeVcpus, freeMemoryMiB, booked, foreign } = machine
  const vcpus = freeVcpus + booked.vcpus + foreign.vcpus
  const memoryMiB = freeMemoryMiB + booked.memoryMiB + foreign.memoryMiB
  return ((vcpus > 0 ? (freeVcpus - taken.vcpus) / vcpus : 0) + (memoryMiB > 0 ? (freeMemoryMiB - taken.memoryMiB) / memoryMiB : 0)) / 2
}
const NOTHING: Amount = { vcpus: 0, memoryMiB: 0 }

/** VMs there: booked, and those without an intent. */
export const vmsOn = ({ booked, foreign }: Measured): number => booked.vms + foreign.vms
