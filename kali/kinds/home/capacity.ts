// What may be booked in a pool, and what is: sums over its machines. Pure.

import { roomOf } from '../../cloud/bookings.ts'
import type { MachineRecord, PoolRecord } from '../../cloud/contract.ts'

export interface PoolFigures {
  readonly capacity: { readonly vms: number; readonly vcpus: number; readonly memoryMiB: number }
  readonly booked: { readonly vms: number; readonly vcpus: number; readonly memoryMiB: number }
  /** Of machines in service. */
  readonly freeVcpus: number
  readonly freeMemoryMiB: number
  readonly bookedRatio: number
}

export function poolFigures(pool: PoolRecord, machines: readonly MachineRecord[]): PoolFigures {
  const capacity = { vms: 0, vcpus: 0, memoryMiB: 0 }, booked = { vms: 0, vcpus: 0, memoryMiB: 0 }
  let freeVcpus = 0, freeMemoryMiB = 0
  for (const machine of machines) {
    const room = roomOf(machine, pool)
    capacity.vcpus += room.vcpus
    capacity.memoryMiB += room.memoryMiB
    booked.vms += machine.booked.vms
    booked.vcpus += machine.booked.vcpus
    booked.memoryMiB += machine.booked.memoryMiB
    if (machine.mode !== 'in-service') continue
    freeVcpus += room.vcpus - machine.booked.vcpus
    freeMemoryMiB += room.memoryMiB - machine.booked.memoryMiB
  }
  const share = (used: number, of: number): number => (of > 0 ? used / of : used > 0 ? 1 : 0)
  return { capacity, booked, freeVcpus, freeMemoryMiB, bookedRatio: Math.max(share(booked.vcpus, capacity.vcpus), share(booked.memoryMiB, capacity.memoryMiB)) }
}
