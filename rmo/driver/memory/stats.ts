// Counters of simulated guests, made from their CPU and disk time when asked. Pure.

import type { DomainStats } from '../contract.ts'
import { cpuTimeMs, diskTimeMs, memoryUsedMiB } from './guest.ts'
import type { Guest } from './guest.ts'
import { isActive, volumeOf } from './world.ts'
import type { Domain, World } from './world.ts'

const MiB = 1024 ** 2
/** Busy time per operation: a guest at full load does some hundred a second, of 16 KiB; twice as many reads as writes. */
const MS_PER_READ = 5
const MS_PER_WRITE = 10
const OPERATION_BYTES = 16_384
const MS_PER_PACKET = 2
const PACKET_BYTES = 600

/** Whole microseconds, so that rounding cannot make a counter fall. */
const nanoseconds = (ms: number): bigint => BigInt(Math.floor(ms * 1_000)) * 1_000n

function statsOf(world: World, domain: Domain & { guest: Guest }, nowMs: number): DomainStats {
  const { uuid, state, guest, settings: { devices } } = domain
  const usedMiB = memoryUsedMiB(guest, nowMs)
  const cpuMs = cpuTimeMs(guest, nowMs), diskMs = diskTimeMs(guest, cpuMs), packets = Math.floor(cpuMs / MS_PER_PACKET)
  const reads = Math.floor(diskMs / MS_PER_READ), writes = Math.floor(diskMs / MS_PER_WRITE)
  return {
    uuid, state, cpuNs: nanoseconds(cpuMs), vcpus: guest.vcpus, memoryBytes: guest.memoryMiB * MiB,
    ...(usedMiB === undefined ? {} : { memoryUsedBytes: Math.round(usedMiB * MiB) }),
    disks: devices.flatMap((device) => {
      if (device.type !== 'disk') return []
      const volume = volumeOf(world, device), path = device.path ?? volume?.path
      return [{
        target: device.target ?? '', ...(path === undefined ? {} : { path }),
        reads, readBytes: reads * OPERATION_BYTES, ...(device.readOnly === true || device.device === 'cdrom' ? { writes: 0, writtenBytes: 0 } : { writes, writtenBytes: writes * OPERATION_BYTES }),
        ...(volume === undefined ? {} : { capacityBytes: volume.capacityBytes, allocationBytes: volume.allocationBytes }),
      }]
    }),
    interfaces: devices.flatMap((device, i) => device.type !== 'interface' ? [] : [{
      target: device.target ?? `vnet${i}`,
      receivedBytes: packets * PACKET_BYTES, receivedPackets: packets, receiveErrors: 0, receiveDrops: 0,
      sentBytes: packets * PACKET_BYTES, sentPackets: packets, sendErrors: 0, sendDrops: 0,
    }]),
  }
}

export function worldStats(world: World): readonly DomainStats[] {
  const nowMs = world.clock.nowMs()
  return [...world.domains.values()].filter(isActive).map((domain) => statsOf(world, domain, nowMs))
}
