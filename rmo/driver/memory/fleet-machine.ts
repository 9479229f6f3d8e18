// A simulated host as a PhysicalMachine: figures from its VMs. There is no operating system behind it, so programs
// and files are refused. Attributes are the same object for LIMITS.cpuSampleMs, as those of a sampled machine are.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Member } from '../../../fabric/mod.ts'
import { RMO } from '../../errors.ts'
import type { LocalMachine, MachineAttributes, MachineInfo, MachineStats } from '../../kinds/physical-machine.ts'
import type { HostFigures, MemoryDriver } from './driver.ts'

/** What a simulated machine says of the node that it lives on. */
export type MachineSelf = Pick<Member, 'id' | 'state' | 'addresses' | 'version' | 'startedAtMs'>

export interface SimulatedMachineOptions {
  readonly name: string
  readonly uuid: string
  readonly driver: Pick<MemoryDriver, 'figures' | 'cores'>
  readonly clock: Clock
  readonly self: () => MachineSelf
  readonly onTick: (listener: (atMs: number) => void) => () => void
}

const MiB = 1024 ** 2
const OS = 'simulated'
/** Of a core, by the host itself. */
const HOST_CPU_RATIO = 0.01
const HOST_MEMORY_RATIO = 0.05

export function createSimulatedMachine({ name, uuid, driver, clock, self, onTick }: SimulatedMachineOptions): LocalMachine {
  const bootedAtMs = clock.nowMs()
  const { cores } = driver
  let current: MachineAttributes | undefined
  let madeAtMs = -Infinity

  const memoryOf = ({ memoryTotalMiB, memoryUsedMiB }: HostFigures): { readonly totalBytes: number; readonly freeBytes: number } => {
    const totalBytes = memoryTotalMiB * MiB
    return { totalBytes, freeBytes: Math.round(Math.max(0, totalBytes * (1 - HOST_MEMORY_RATIO) - memoryUsedMiB * MiB)) }
  }
  const attributes = (): MachineAttributes => {
    const nowMs = clock.nowMs(), { id: _id, state, addresses, version } = self()
    const address = addresses[0] ?? ''
    if (current !== undefined && nowMs - madeAtMs < LIMITS.cpuSampleMs && current.state === state && current.address === address) return current
    madeAtMs = nowMs
    const figures = driver.figures(), { totalBytes, freeBytes } = memoryOf(figures)
    const cpuRatio = Math.min(1, figures.cpuRatio + HOST_CPU_RATIO), load = Math.round(cpuRatio * cores * 100) / 100
    return current = Object.freeze({
      name, uuid, state, address, cpuRatio, cores, load1: load, load5: load, load15: load,
      memoryTotalBytes: totalBytes, memoryFreeBytes: freeBytes, memoryFreeRatio: freeBytes / totalBytes,
      uptimeSeconds: Math.round((nowMs - bootedAtMs) / 1_000), os: OS, kernel: OS, arch: process.arch, version,
    })
  }
  const unsupported = (operation: string): Promise<never> =>
    Promise.reject(RMO.DRIVER_UNSUPPORTED({ operation, driver: 'memory', reason: `${name} is simulated, there is no operating system behind it` }))

  return {
    attributes,
    async info(): Promise<MachineInfo> {
      const { id, version, addresses, startedAtMs } = self()
      return {
        name, uuid, node: id, pid: process.pid, version, runtime: process.version, data: '', addresses: [...addresses], startedAtMs,
        os: OS, kernel: OS, arch: process.arch, hostname: name, hardware: { vendor: 'Kumoi', product: 'simulated host', cores, memoryTotalBytes: attributes().memoryTotalBytes },
      }
    },
    async stats(): Promise<MachineStats> {
      const { cpuRatio, load1, load5, load15, uptimeSeconds } = attributes(), figures = driver.figures(), { totalBytes, freeBytes } = memoryOf(figures)
      const cpu = { cpuRatio, userRatio: cpuRatio, systemRatio: 0, waitRatio: 0, stealRatio: 0 }
      return {
        atMs: clock.wallMs(), windowMs: 0, cpu, cores: Array.from({ length: cores }, (_, core) => ({ core, ...cpu })),
        memory: { totalBytes, freeBytes, unusedBytes: freeBytes, cachedBytes: 0, buffersBytes: 0, swapTotalBytes: 0, swapFreeBytes: 0 },
        load: { load1, load5, load15, running: Math.round(load1), tasks: figures.running },
        filesystems: [], disks: [], interfaces: [], node: { residentBytes: 0, cpuSeconds: 0, uptimeSeconds },
      }
    },
    exec: () => unsupported('exec'),
    readFile: () => unsupported('readFile'),
    onSample: (listener) => onTick((atMs) => listener(attributes(), atMs)),
  }
}
