// What a simulation is asked and what it answers: kali/simulate/simulation.ts does it, `kumoi simulate` prints it.

import type { BuiltBundle, LogLine } from '../../functions/mod.ts'
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
/** One moment: VMs by state, and the load of the machines. */
export interface Point { readonly atMs: number; readonly states: Readonly<Record<string, number>>; readonly cpuMean: number; readonly cpuMax: number; readonly hostsDown: number; readonly calls: number; readonly errors: number; readonly changes: number }
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
}
