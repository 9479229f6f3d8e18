// PhysicalMachine: a machine with a Kumoi node on it. The node is the machine's life: it joins, it is there.
//
// Interface for users first, then what the operating-system side (rmo/os/machine.ts) must offer, then the
// declaration. cpuRatio is measured over the last LIMITS.cpuWindowMs, sampled each LIMITS.cpuSampleMs.

import { LIMITS } from '../../fabric/base.ts'
import type { MemberState } from '../../fabric/mod.ts'
import type { Authority, Collection, ReferenceRecord } from '../../functions/mod.ts'
import { RMO } from '../errors.ts'
import { defineKind, parameter } from '../kind.ts'
import type { ObjectEvent, LostEvent, ResourceObject } from '../object.ts'
import type { Image, Network, StoragePool, Switch, VM, VMM } from './interfaces.ts'
import { anything, byteCount, bytes, dictionary, either, integer, list, number, oneOf, optional, ratio, record, text } from '../schema.ts'
import { column } from './room-object.ts'

// ---------------------------------------------------------------- for users

export interface ExecOptions {
  /** Killed with its process group after this; default and upper bound: what the call has left. */
  readonly timeoutMs?: number
  /** Standard input; empty when left out. */
  readonly input?: string | Uint8Array
  /** Added to a small clean environment (PATH, HOME, LANG, ...). */
  readonly env?: Readonly<Record<string, string>>
  /** Output kept, stdout and stderr together; default 1 MiB. */
  readonly maxBytes?: number
}
export interface ExecResult {
  /** Exit status; null when a signal ended it. */
  readonly code: number | null
  readonly signal: string | null
  /** UTF-8, other bytes replaced. */
  readonly stdout: string
  readonly stderr: string
  /** More than maxBytes was written; the rest was dropped. */
  readonly truncated: boolean
}
export interface ReadFileOptions { readonly maxBytes?: number; readonly encoding?: 'utf8' | 'bytes' }

export interface MachineInfo {
  readonly name: string
  readonly uuid: string
  /** Node id: the public key, 64 hex characters. */
  readonly node: string
  readonly pid: number
  readonly version: string
  /** Version of the JavaScript runtime of the node. */
  readonly runtime: string
  /** The node's data directory. */
  readonly data: string
  readonly addresses: readonly string[]
  /** Wall clock of the node's start. */
  readonly startedAtMs: number
  readonly os: string
  readonly kernel: string
  readonly arch: string
  readonly hostname: string
  readonly hardware: {
    readonly vendor?: string
    readonly product?: string
    readonly cpuModel?: string
    readonly cores: number
    readonly memoryTotalBytes: number
  }
}

export interface FilesystemStats { readonly mount: string; readonly device: string; readonly type: string; readonly totalBytes?: number; readonly freeBytes?: number; readonly usedRatio?: number }
export interface DiskStats { readonly device: string; readonly reads: number; readonly readBytes: number; readonly writes: number; readonly writtenBytes: number; readonly busyMs: number; readonly inFlight: number }
export interface InterfaceStats {
  readonly name: string
  readonly receivedBytes: number; readonly receivedPackets: number; readonly receiveErrors: number; readonly receiveDrops: number
  readonly sentBytes: number; readonly sentPackets: number; readonly sendErrors: number; readonly sendDrops: number
}
export interface CpuShares { readonly cpuRatio: number; readonly userRatio: number; readonly systemRatio: number; readonly waitRatio: number; readonly stealRatio: number }
export interface MachineStats {
  /** Wall clock of this reading. */
  readonly atMs: number
  /** What the ratios are measured over. */
  readonly windowMs: number
  readonly cpu: CpuShares
  /** One per core, by number. */
  readonly cores: readonly ({ readonly core: number } & CpuShares)[]
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number; readonly unusedBytes: number; readonly cachedBytes: number; readonly buffersBytes: number; readonly swapTotalBytes: number; readonly swapFreeBytes: number }
  readonly load: { readonly load1: number; readonly load5: number; readonly load15: number; readonly running: number; readonly tasks: number }
  readonly filesystems: readonly FilesystemStats[]
  /** Counters since boot. */
  readonly disks: readonly DiskStats[]
  /** Counters since boot. */
  readonly interfaces: readonly InterfaceStats[]
  readonly node: { readonly residentBytes: number; readonly cpuSeconds: number; readonly uptimeSeconds: number }
}

export interface MachineWatchOptions {
  /** 'cpuAbove' when the ratio reaches this, 'cpuBelow' when it has fallen 0.05 under it; default 0.9. */
  readonly cpuAboveRatio?: number
  /** A 'sampled' event at least this far apart; none when left out. */
  readonly sampleEveryMs?: number
}
export type MachineEvent =
  | ({ readonly type: 'cpuAbove' | 'cpuBelow'; readonly cpuRatio: number; readonly thresholdRatio: number } & ObjectEvent)
  | ({ readonly type: 'sampled'; readonly cpuRatio: number; readonly memoryFreeBytes: number; readonly load1: number } & ObjectEvent)
  | ({ readonly type: 'state'; readonly state: MemberState } & ObjectEvent)
  | ({ readonly type: 'interrupted'; readonly code: string; readonly message: string } & ObjectEvent)
  | LostEvent

export interface PhysicalMachine extends ResourceObject<MachineInfo, MachineStats, MachineEvent, MachineWatchOptions> {
  /** As the node that answered sees it: 'alive' or 'suspect' in a listing. */
  readonly state: MemberState
  /** "host:port" of its node, the most direct one. */
  readonly address: string
  /** Share of the processors' time in use, 0 to 1, over the last 5 s. */
  readonly cpuRatio: number
  readonly cores: number
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load1: number
  readonly load5: number
  readonly load15: number
  readonly memoryTotalBytes: number
  /** What new programs can have without swapping (MemAvailable). */
  readonly memoryFreeBytes: number
  /** memoryFreeBytes / memoryTotalBytes, 0 to 1. */
  readonly memoryFreeRatio: number
  readonly uptimeSeconds: number
  /** Operating system, "Debian GNU/Linux 12 (bookworm)". */
  readonly os: string
  readonly kernel: string
  /** Processor architecture as Node names it: "x64", "arm64". */
  readonly arch: string
  /** Kumoi version of its node. */
  readonly version: string
  /** Monitor of its virtual machines. */
  readonly vmm: VMM
  readonly vms: Collection<VM>
  readonly images: Collection<Image>
  readonly storagePools: Collection<StoragePool>
  readonly networks: Collection<Network>
  readonly switches: Collection<Switch>
  /** Runs a program, without a shell, in a process group of its own. A status other than 0 is an answer, not an error. */
  exec(file: string, args?: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** Reads a regular file by its absolute path; default at most 1 MiB, as text. */
  readFile(path: string, options: ReadFileOptions & { readonly encoding: 'bytes' }): Promise<Uint8Array>
  readFile(path: string, options?: ReadFileOptions): Promise<string>
}

// ---------------------------------------------------------------- for the node

type MachineRelation = 'vmm' | 'vms' | 'images' | 'storagePools' | 'networks' | 'switches'
type MachineVerb = 'info' | 'stats' | 'watch' | 'unwatch' | 'dump' | 'patch' | 'acls' | 'account' | 'audit' | 'exec' | 'readFile'
export type MachineAttributes = Pick<PhysicalMachine, Exclude<keyof PhysicalMachine, MachineVerb | MachineRelation>>
/** How long a call may go on: what verbs need of an Authority. */
export type Budget = Pick<Authority, 'signal' | 'remainingMs'>

/** The machine this node runs on; implemented by rmo/os/machine.ts. */
export interface LocalMachine {
  attributes(): MachineAttributes
  info(): Promise<MachineInfo>
  stats(): Promise<MachineStats>
  exec(file: string, args: readonly string[], options: ExecOptions, budget: Budget): Promise<ExecResult>
  readFile(path: string, options: ReadFileOptions, budget: Budget): Promise<string | Uint8Array>
  /** Calls back after each sample; the answer stops it. */
  onSample(listener: (attributes: MachineAttributes, atMs: number) => void): () => void
  /** What of that kind its host has; absent on a machine without one. */
  related?(kind: string): readonly ReferenceRecord[]
}

const CPU_ABOVE_DEFAULT = 0.9
/** 'cpuBelow' needs the ratio this far under the threshold, so that a ratio near it does not flap. */
const CPU_HYSTERESIS = 0.05

const path = text({ charsMax: 4_096, pattern: /^\/[^\0]*$/, expected: 'an absolute path' })
const argument = text({ pattern: /^[^\0]*$/, expected: 'a string without NUL' })
const state = oneOf('alive', 'suspect', 'dead', 'left')
const load = number({ unit: 'runnable-tasks' })

export const physicalMachine = defineKind<PhysicalMachine, LocalMachine>({
  kind: 'PhysicalMachine',
  plural: 'pms',
  doc: 'A machine with a Kumoi node on it.',
  residence: 'member',
  example: 'pms.dmap(pm => pm.name)',
  observe: (machine) => machine.attributes(),
  attributes: {
    state: { doc: 'Member state as the answering node sees it.', type: state, column: column('STATE') },
    address: { doc: 'host:port of its node.', type: text(), column: column('ADDRESS') },
    cpuRatio: { doc: 'Share of processor time in use over the last 5 s.', type: ratio(), column: column('CPU', 'ratio') },
    cores: { doc: 'Processors the operating system sees.', type: integer({ unit: 'count', min: 1 }), column: column('CORES', 'number') },
    load1: { doc: 'Load average over 1 minute.', type: load, column: column('LOAD', 'number') },
    load5: { doc: 'Load average over 5 minutes.', type: load, column: column('LOAD5', 'number', true) },
    load15: { doc: 'Load average over 15 minutes.', type: load, column: column('LOAD15', 'number', true) },
    memoryTotalBytes: { doc: 'Memory.', type: byteCount(), column: column('MEMORY', 'bytes') },
    memoryFreeBytes: { doc: 'What new programs can have without swapping.', type: byteCount(), column: column('FREE', 'bytes') },
    memoryFreeRatio: { doc: 'Free share of the memory.', type: ratio(), column: 'none' },
    uptimeSeconds: { doc: 'Since the operating system started.', type: number({ unit: 'seconds' }), column: column('UPTIME', 'duration', true) },
    os: { doc: 'Operating system.', type: text(), column: column('OS', 'text', true) },
    kernel: { doc: 'Kernel release.', type: text(), column: column('KERNEL', 'text', true) },
    arch: { doc: 'Processor architecture.', type: text(), column: column('ARCH', 'text', true) },
    version: { doc: 'Kumoi version of its node.', type: text(), column: column('VERSION') },
  },
  common: {
    info: (machine) => machine.info(),
    stats: (machine) => machine.stats(),
  },
  verbs: {
    exec: {
      doc: 'Runs a program, without a shell, and answers its status and output.',
      acl: 'execute',
      idempotent: false,
      parameters: [
        parameter('file', text({ charsMax: 4_096, pattern: /^[^\0]+$/, expected: 'the name or path of a program' }), 'Program: a path, or a name looked up in PATH.'),
        parameter('args', optional(list(argument)), 'Its arguments, one string each.'),
        parameter('options', optional(record({
          timeoutMs: optional(integer({ unit: 'milliseconds', min: 1, max: LIMITS.callTimeoutMsMax })),
          input: optional(either(text({ charsMax: LIMITS.execInputBytesMax }), bytes())),
          env: optional(dictionary(argument)),
          maxBytes: optional(byteCount({ max: LIMITS.execOutputBytesMax })),
        })), 'timeoutMs, input, env, maxBytes.'),
      ],
      result: { doc: '{code, signal, stdout, stderr, truncated}', type: anything() },
      budgetMs: ([, , options]) => options?.timeoutMs,
      run: (machine, [file, args, options], authority) => machine.exec(file, args ?? [], options ?? {}, authority),
    },
    readFile: {
      doc: 'Reads a regular file.',
      acl: 'inspect',
      idempotent: true,
      parameters: [
        parameter('path', path, 'Absolute path.'),
        parameter('options', optional(record({
          maxBytes: optional(byteCount({ max: LIMITS.fileReadBytesMax })),
          encoding: optional(oneOf('utf8', 'bytes')),
        })), 'maxBytes, encoding.'),
      ],
      result: { doc: 'its text, or bytes when asked', type: either(text({ charsMax: LIMITS.fileReadBytesMax }), bytes()) },
      run: (machine, [file, options], authority) => machine.readFile(file, options ?? {}, authority),
    },
  },
  collections: {
    vms: { kind: 'VM', doc: 'Its virtual machines.', list: async (machine) => machine.related?.('VM') ?? [] },
    images: { kind: 'Image', doc: 'Images that VMs can be made from.', list: async (machine) => machine.related?.('Image') ?? [] },
    storagePools: { kind: 'StoragePool', doc: 'Its storage pools.', list: async (machine) => machine.related?.('StoragePool') ?? [] },
    networks: { kind: 'Network', doc: 'Networks of its hypervisor.', list: async (machine) => machine.related?.('Network') ?? [] },
    switches: { kind: 'Switch', doc: 'Its bridges and switches.', list: async (machine) => machine.related?.('Switch') ?? [] },
  },
  references: {
    vmm: {
      kind: 'VMM', doc: 'Monitor of its virtual machines.',
      async get(machine) {
        const found = machine.related?.('VMM')[0]
        if (found === undefined) throw RMO.NO_HYPERVISOR({ machine: machine.attributes().name, what: 'vmm' })
        return found
      },
    },
  },
  events: {
    cpuAbove: { doc: 'cpuRatio reached the threshold.', fields: { cpuRatio: ratio(), thresholdRatio: ratio() } },
    cpuBelow: { doc: 'cpuRatio fell 0.05 under the threshold again.', fields: { cpuRatio: ratio(), thresholdRatio: ratio() } },
    sampled: { doc: 'Figures, when asked for with sampleEveryMs.', fields: { cpuRatio: ratio(), memoryFreeBytes: byteCount(), load1: load } },
    state: { doc: 'Its member state changed, as the watching node sees it. "dead" and "left" end the watch.', fields: { state } },
    interrupted: { doc: 'Its node could not be reached; the watch is opened again as soon as it can.', fields: { code: text(), message: text() } },
  },
  watch: {
    options: record({
      cpuAboveRatio: optional(ratio()),
      sampleEveryMs: optional(integer({ unit: 'milliseconds', min: LIMITS.cpuSampleMs, max: LIMITS.callTimeoutMsMax })),
    }),
    start(machine, options, emit) {
      const thresholdRatio = options.cpuAboveRatio ?? CPU_ABOVE_DEFAULT
      let above = false
      let sampledAtMs = -Infinity
      return machine.onSample(({ cpuRatio, memoryFreeBytes, load1 }, atMs) => {
        const now = above ? cpuRatio > thresholdRatio - CPU_HYSTERESIS : cpuRatio >= thresholdRatio
        if (now !== above) {
          above = now
          emit({ type: above ? 'cpuAbove' : 'cpuBelow', atMs, cpuRatio, thresholdRatio } as MachineEvent)
        }
        if (options.sampleEveryMs !== undefined && atMs - sampledAtMs >= options.sampleEveryMs) {
          sampledAtMs = atMs
          emit({ type: 'sampled', atMs, cpuRatio, memoryFreeBytes, load1 } as MachineEvent)
        }
      })
    },
  },
})
