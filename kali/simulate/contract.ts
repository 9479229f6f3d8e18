// What a simulation is asked and what it answers: kali/simulate/simulation.ts does it, `kumoi simulate` prints it.

import type { BuiltBundle, LogLine } from '../../functions/mod.ts'
import type { ElasticSpec } from '../cloud/contract.ts'
import type { HostFault, ScenarioName } from './scenario.ts'
import type { Interpolation, TraceRow } from './trace.ts'

export interface SimulateOptions {
  /** Functions, deployed before time begins. */
  readonly bundles: readonly BuiltBundle[]
  readonly hosts: number
  readonly vmsPerHost: number
  /** Virtual time that passes. */
  readonly forMs: number
  /** Wall clock at the beginning. */
  readonly startAtMs: number
  readonly seed: number
  /** Loads of the VMs; a VM that no row fits keeps that of the scenario. */
  readonly trace?: { readonly rows: readonly TraceRow[]; readonly interpolation: Interpolation }
  /** Default: 'day' without a trace; with one: every VM's own gentle load. */
  readonly scenario?: ScenarioName
  readonly faults?: readonly HostFault[]
  /** Pools over the machines; left out: only those that functions make. */
  readonly pools?: PoolsWish
  /** Ends with the first call that fails. */
  readonly untilError?: boolean
  readonly cacheDirectory: string
  /** Where npm packages that functions carry by name are looked up. */
  readonly packageDirectories: readonly string[]
  /** Ends it early; the report says how far it came. */
  readonly signal?: AbortSignal
  /** Now and then, in real time. */
  onProgress?(progress: SimulateProgress): void
  /** Lines of the functions, as they come. */
  onLine?(line: LogLine): void
}
export interface PoolsWish {
  /** Machines are shared out over so many. */
  readonly count: number
  /** Vcpus per core that may be booked. */
  readonly cpuOvercommitRatio: number
  /** One of ours, or a function of the simulation; default rank. */
  readonly scheduler?: string
  /** Delivered policies that act beside the functions that may: they are built and deployed as well. */
  readonly policies?: readonly string[]
  /** Folder of Kumoi's package.json, to build those. */
  readonly packageRoot: string
  /** All VMs that are there at the start are highly available. */
  readonly protect: boolean
  /** One elastic group in each pool. Its load is shared out over its members: at 100 % in the trace or scenario, all that `max` members can do. */
  readonly group?: Partial<ElasticSpec> & Pick<ElasticSpec, 'max'>
}
export interface SimulateProgress { readonly atMs: number; readonly forMs: number; readonly ticks: number; readonly ticksPerSecond: number; readonly leftMs: number }

export interface FunctionReport {
  readonly name: string
  readonly version: string
  readonly calls: number
  readonly errors: number
  /** By what caused the calls: every, cron, event, topic, call. */
  readonly causes: Readonly<Record<string, number>>
  readonly lines: Readonly<Record<string, number>>
  /** Ticks that were skipped, retries, dead letters and the like. */
  readonly counts: Readonly<Record<string, number>>
  readonly firstError?: { readonly atMs: number; readonly status: string; readonly code: string; readonly message: string; readonly stack?: string; readonly callId: string }
}
/** `failed`: by code. */
export interface VerbReport { readonly kind: string; readonly verb: string; readonly calls: number; readonly failed: Readonly<Record<string, number>>; readonly objects: readonly { readonly name: string; readonly calls: number }[]; readonly objectsInAll: number }
/** What a policy did in one pool. `rounds`: it looked; `acts`: it had something to say, or to remember. */
export interface PolicyTally { readonly policy: string; readonly pool: string; readonly rounds: number; readonly acts: number; readonly actions: readonly ActionTally[] }
export interface ActionTally {
  readonly action: string
  readonly done: number
  readonly refused: number
  readonly nothing: number
  /** Why it was refused, numbers left out, most frequent first. */
  readonly reasons: readonly { readonly reason: string; readonly times: number }[]
}
/** `minutes`: of VMs, members or machines, as `what` says. `broken`: it must never be; the others are what a policy is judged by. */
export interface ViolationTally { readonly what: string; readonly broken: boolean; readonly times: number; readonly minutes: number; readonly first: { readonly atMs: number; readonly text: string } }
export interface PoolTally { readonly name: string; readonly machines: number; readonly vms: number; readonly scheduler: string; readonly policies: readonly string[] }
export interface CloudTallyReport {
  /** As they were in the end. */
  readonly pools: readonly PoolTally[]
  readonly policies: readonly PolicyTally[]
  /** Policies that pools name and nobody gave. */
  readonly missing: readonly string[]
  readonly violations: readonly ViolationTally[]
}
/** VMs in pools: wanted running; members of groups, and how many of these are ready; without a place; given up. Machines asleep. */
export interface CloudPoint { readonly vms: number; readonly members: number; readonly ready: number; readonly waiting: number; readonly failed: number; readonly asleep: number }
/** One moment: VMs by state, and the load of the machines. */
export interface Point { readonly atMs: number; readonly states: Readonly<Record<string, number>>; readonly cpuMean: number; readonly cpuMax: number; readonly hostsDown: number; readonly calls: number; readonly errors: number; readonly changes: number; /** Where there are pools. */ readonly cloud?: CloudPoint }
export interface SimulateReport {
  readonly hosts: number
  readonly vms: number
  readonly startAtMs: number
  readonly forMs: number
  /** How far it came. */
  readonly endedAtMs: number
  readonly ended: 'done' | 'stopped' | 'error'
  readonly seed: number
  readonly loads: string
  readonly functions: readonly FunctionReport[]
  readonly emitted: Readonly<Record<string, number>>
  readonly stateChanges: Readonly<Record<string, number>>
  /** Reading verbs are counted together, by kind and verb; changing ones with the objects. */
  readonly verbs: readonly VerbReport[]
  readonly points: readonly Point[]
  readonly faults: readonly HostFault[]
  readonly warnings: Readonly<Record<string, number>>
  /** Where there are pools. */
  readonly cloud?: CloudTallyReport
}
