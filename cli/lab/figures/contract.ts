// The paper's two experiments, repeated in a lab of five hosts: what is measured, and what comes out. Types only.
//
//   lab up -> pool -> guest -> [t = 0] sampler || what is done to it -> lab down -> outcome -> csv, svg, png, table
//
// Times in an outcome are seconds since t = 0; figures of the paper stand in paper.ts.

import type { Plot } from '../../plot/svg.ts'
import type { CsvField } from '../../plot/csv.ts'

/** One VM at one moment, as the pool's snapshot has it. */
export interface VmSample { readonly uuid: string; readonly name: string; readonly machine: string; readonly phase: string; /** Wall clock since when; undefined: its agent has not said yet. */ readonly phaseSinceMs: number | undefined; readonly epoch: number; readonly cpuRatio: number | undefined }
export interface Sample { readonly seconds: number; readonly vms: readonly VmSample[] }

/** One line of the table under a figure: what was measured, beside the paper. */
export interface Finding { readonly what: string; readonly ours: string; readonly paper: string }

export interface Outcome {
  /** Of the files: "figure4", "figure5-host". */
  readonly name: string
  readonly plot: Plot
  readonly header: readonly string[]
  readonly rows: readonly (readonly CsvField[])[]
  readonly findings: readonly Finding[]
  /** Seconds by name, for programs; undefined: it did not happen. */
  readonly seconds: Readonly<Record<string, number | undefined>>
  /** Whether everything that was waited for happened. */
  readonly complete: boolean
}
