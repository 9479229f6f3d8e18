// The machine this node runs on, as the PhysicalMachine kind wants it: attributes from the sampler's latest
// figures (no I/O), info and stats read when asked, exec and readFile.

import { statfs } from 'node:fs/promises'
import os from 'node:os'
import { LIMITS, uuidOfNode } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Member } from '../../fabric/mod.ts'
import type { CpuShares, FilesystemStats, LocalMachine, MachineAttributes, MachineInfo } from '../kinds/physical-machine.ts'
import { createExecutor } from './exec.ts'
import { readRegularFile } from './file.ts'
import { parseCpuModel, parseDiskstats, parseMountinfo, parseNetDev, parseOsRelease } from './parse.ts'
import type { Mount } from './parse.ts'
import { createOsTexts } from './read.ts'
import type { OsTexts } from './read.ts'
import { createSampler } from './sampler.ts'

export interface MachineOptions {
  /** This node as membership sees it; asked each time, for its state and addresses. */
  readonly self: () => Member
  /** The node's data directory. */
  readonly data: string
  readonly clock: Clock
  /** Default: the operating system's own. */
  readonly texts?: OsTexts
  /** Objects of that kind on this machine's host; a machine without one leaves it out. */
  readonly related?: NonNullable<LocalMachine['related']>
}
/** stop() ends the sampling. */
export type Machine = LocalMachine & { stop(): void }

/** The promise's value, or undefined after `waitMs`; the work itself cannot be stopped and is left to end. */
function within<T>(work: Promise<T>, waitMs: number, clock: Clock): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = clock.after(waitMs, () => resolve(undefined))
    work.then(resolve, () => resolve(undefined)).finally(() => timer.cancel())
  })
}

/** One file system's size. Remote ones are listed without: a dead server would hold a thread of the pool for ever. */
async function filesystem(mount: Mount, clock: Clock): Promise<FilesystemStats> {
  const { remote, ...shown } = mount
  const size = remote ? undefined : await within(statfs(mount.mount), LIMITS.statsWaitMs, clock)
  if (size === undefined) return shown
  const totalBytes = size.blocks * size.bsize, freeBytes = size.bavail * size.bsize
  return { ...shown, totalBytes, freeBytes, usedRatio: totalBytes === 0 ? 0 : (size.blocks - size.bfree) / size.blocks }
}

/** Facts that do not change while the node runs; read once. */
async function hardwareOf(texts: OsTexts): Promise<Omit<MachineInfo['hardware'], 'cores' | 'memoryTotalBytes'>> {
  const [vendor, product, tree, cpuinfo] = await Promise.all([
    texts.read('/sys/class/dmi/id/sys_vendor'), texts.read('/sys/class/dmi/id/product_name'),
    texts.read('/proc/device-tree/model'), texts.read('/proc/cpuinfo'),
  ])
  const line = (value: string | undefined): string | undefined => value?.replaceAll('\0', '').trim() || undefined
  const model = parseCpuModel(cpuinfo ?? '') ?? line(os.cpus()[0]?.model)
  const maker = line(vendor), name = line(product) ?? line(tree)
  return {
    ...(maker === undefined ? {} : { vendor: maker }),
    ...(name === undefined ? {} : { product: name }),
    ...(model === undefined ? {} : { cpuModel: model }),
  }
}

export function createMachine({ self, data, clock, texts = createOsTexts(), related }: MachineOptions): Machine {
  const sampler = createSampler({ clock, texts })
  const { id, name, version } = self()
  const uuid = uuidOfNode(id)
  const kernel = os.release(), arch = process.arch, cores = os.availableParallelism()
  const osName = parseOsRelease(texts.now('/etc/os-release') ?? texts.now('/usr/lib/os-release') ?? '') ?? os.type()
  // Uptime advances on the node's own clock from one reading.
  const bootedAtMs = clock.nowMs() - os.uptime() * 1_000
  const executor = createExecutor({ machine: name, clock })
  let hardware: ReturnType<typeof hardwareOf> | undefined

  let figures: ReturnType<typeof sampler.latest> | undefined
  let current: MachineAttributes | undefined
  /** The same object until a figure in it changes. */
  const attributes = (): MachineAttributes => {
    const latest = sampler.latest()
    const { state, addresses } = self()
    const address = addresses[0] ?? ''
    const uptimeSeconds = Math.round((clock.nowMs() - bootedAtMs) / 1_000)
    if (current !== undefined && figures === latest && current.state === state && current.address === address && current.uptimeSeconds === uptimeSeconds) return current
    const { cpu, memory, load } = figures = latest
    return current = {
      name, uuid, state, address, cpuRatio: cpu.cpuRatio, cores: latest.cores.size || cores,
      load1: load.load1, load5: load.load5, load15: load.load15,
      memoryTotalBytes: memory.totalBytes, memoryFreeBytes: memory.freeBytes, memoryFreeRatio: memory.freeBytes / memory.totalBytes,
      uptimeSeconds, os: osName, kernel, arch, version,
    }
  }

  return {
    attributes,
    async info() {
      const { addresses, startedAtMs } = self()
      hardware ??= hardwareOf(texts)
      return {
        name, uuid, node: id, pid: process.pid, version, runtime: process.version, data, addresses: [...addresses], startedAtMs,
        os: osName, kernel, arch, hostname: os.hostname(),
        hardware: { ...await hardware, cores: attributes().cores, memoryTotalBytes: sampler.latest().memory.totalBytes },
      }
    },
    async stats() {
      const [mounts, disks, interfaces] = await Promise.all(['/proc/self/mountinfo', '/proc/diskstats', '/proc/net/dev'].map((path) => texts.read(path)))
      const filesystems = await Promise.all(parseMountinfo(mounts ?? '').slice(0, LIMITS.statsEntriesMax).map((mount) => filesystem(mount, clock)))
      const { cpu, cores: perCore, windowMs, memory, load } = sampler.latest()
      const usage = process.cpuUsage()
      return {
        atMs: clock.wallMs(), windowMs, cpu,
        cores: [...perCore].map(([core, shares]): { readonly core: number } & CpuShares => ({ core, ...shares })),
        memory, load, filesystems,
        disks: parseDiskstats(disks ?? '').slice(0, LIMITS.statsEntriesMax),
        interfaces: parseNetDev(interfaces ?? '').slice(0, LIMITS.statsEntriesMax),
        node: { residentBytes: process.memoryUsage.rss(), cpuSeconds: (usage.user + usage.system) / 1e6, uptimeSeconds: Math.round(process.uptime()) },
      }
    },
    exec: (file, args, options, budget) => executor.exec(file, args, options, budget),
    readFile: (path, options, budget) => readRegularFile(path, name, options, budget),
    ...(related === undefined ? {} : { related }),
    onSample: (listener) => sampler.onSample(() => listener(attributes(), clock.wallMs())),
    stop: () => sampler.stop(),
  }
}
