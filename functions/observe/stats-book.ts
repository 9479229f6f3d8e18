// Figures of the functions on one node, since it started: counted call by call, merged over nodes. Pure.
//
// Bounded: LIMITS.statsFunctionsMax functions have figures of their own, the others share those of "other"; of one
// function the versions that were called last, LIMITS.statsVersionsMax of them.

import { LIMITS } from '../../fabric/base.ts'
import type { CallRecord, InvokeOutcome } from '../deployed.ts'
import type { FunctionStats } from '../deployed-api.ts'
import { Sketch } from './sketch.ts'

/** Of one function on one node. */
export interface NodeFigures {
  readonly name: string
  readonly calls: number
  readonly errors: number
  readonly durations: Sketch
  readonly coldStarts: number
  readonly cpuMs: number
  readonly running: number
  readonly waiting: number
  readonly warm: boolean
  /** Calls by version. */
  readonly versions: Readonly<Record<string, number>>
}

/** What the invoker knows of a function now. */
export interface FunctionGauges { readonly name: string; readonly running: number; readonly waiting: number; readonly warm: boolean; readonly broken: boolean }

interface Figures { calls: number; errors: number; durations: Sketch; coldStarts: number; cpuMs: number; versions: Map<string, number> }

export const OTHER = 'other'

export class StatsBook {
  readonly #functions = new Map<string, Figures>()

  called(call: CallRecord, status: InvokeOutcome['status']): void {
    const figures = this.#of(call.name)
    figures.calls++
    if (status !== 'value') figures.errors++
    figures.durations.add(call.queuedMs + call.runMs)
    if (call.cold) figures.coldStarts++
    figures.cpuMs += call.cpuMs
    const { versions } = figures
    const before = versions.get(call.version) ?? 0
    // Re-inserted: the order of the map is the order of last use.
    versions.delete(call.version)
    versions.set(call.version, before + 1)
    if (versions.size > LIMITS.statsVersionsMax) for (const oldest of versions.keys()) { versions.delete(oldest); break }
  }

  /** The name under which a function is counted; takes one of the places for it if there is one left. */
  label(name: string): string {
    if (this.#functions.has(name)) return name
    const label = this.#functions.size < LIMITS.statsFunctionsMax ? name : OTHER
    if (!this.#functions.has(label)) this.#functions.set(label, empty())
    return label
  }

  forget(name: string): void { this.#functions.delete(name) }

  /** Of functions that were called or that the invoker knows. */
  figures(gauges: Iterable<FunctionGauges>): readonly NodeFigures[] {
    const now = new Map<string, FunctionGauges>()
    for (const gauge of gauges) now.set(gauge.name, gauge)
    return [...new Set([...this.#functions.keys(), ...now.keys()])].map((name) => {
      const { calls, errors, durations, coldStarts, cpuMs, versions } = this.#functions.get(name) ?? empty()
      const { running, waiting, warm } = now.get(name) ?? { running: 0, waiting: 0, warm: false }
      return { name, calls, errors, durations, coldStarts, cpuMs, running, waiting, warm, versions: Object.fromEntries(versions) }
    })
  }

  #of(name: string): Figures {
    const label = this.label(name)
    return this.#functions.get(label) ?? empty()
  }
}

const empty = (): Figures => ({ calls: 0, errors: 0, durations: new Sketch(), coldStarts: 0, cpuMs: 0, versions: new Map() })

export interface AnsweredFigures { readonly node: string; readonly figures: readonly NodeFigures[] }

/** One row a function, by name; `names`: functions that are there, called or not. Percentiles are those of all calls together. */
export function mergeFigures(answers: readonly AnsweredFigures[], { names, silent }: { readonly names: readonly string[]; readonly silent: readonly string[] }): readonly FunctionStats[] {
  const all = new Set([...names, ...answers.flatMap(({ figures }) => figures.map(({ name }) => name))])
  return [...all].sort().map((name) => {
    const parts = answers.flatMap(({ node, figures }) => figures.filter((one) => one.name === name).map((one) => ({ node, ...one })))
    const sum = (of: (part: NodeFigures) => number): number => parts.reduce((total, part) => total + of(part), 0)
    const durations = parts.reduce((sketch, part) => sketch.merge(part.durations), new Sketch())
    const versions: Record<string, number> = {}
    for (const part of parts) for (const [version, calls] of Object.entries(part.versions)) versions[version] = (versions[version] ?? 0) + calls
    return {
      name, calls: sum((part) => part.calls), errors: sum((part) => part.errors),
      p50Ms: durations.quantile(0.5), p95Ms: durations.quantile(0.95),
      coldStarts: sum((part) => part.coldStarts), cpuMs: sum((part) => part.cpuMs), running: sum((part) => part.running), waiting: sum((part) => part.waiting),
      versions, nodes: parts.map(({ node, calls, errors, warm }) => ({ node, calls, errors, warm })),
      ...(silent.length === 0 ? {} : { silent }),
    }
  })
}
