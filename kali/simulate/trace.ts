// Load traces: what a CSV file says of the CPU load of VMs over time, as one sequence of ratios a VM. Pure.
//
//   time,vm,cpuRatio              header: time, then host, vm or target, then cpuRatio
//   0,*,0.2                       time: seconds, "90s", "5m", "2h", "1d", or an ISO date (from the simulation's start)
//   1h,web-*,0.8                  * stands for any characters; the last line that fits a VM and a time counts
//   2026-01-01T02:00:00Z,db1,1
//
// "host" names machines: all VMs that were there at the start. "target" fits either. A VM that no line fits keeps the load
// that it has anyway. 'step' holds each value until the next one of that VM; 'linear' goes straight from one to the next.

import { LIMITS } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'

export type Interpolation = 'step' | 'linear'
export interface TraceRow { readonly atMs: number; readonly of: 'host' | 'vm' | 'target'; readonly pattern: string; readonly cpuRatio: number }
/** Ratios at a fixed step from the beginning. */
export interface LoadSequence { readonly cpuRatios: readonly number[]; readonly stepMs: number }
export interface NamedVm { readonly name: string; readonly host: string }

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const SUBJECTS = ['host', 'vm', 'target'] as const

/** "90", "5m", "2h30m", an ISO date after `startAtMs` (wall clock); undefined: none of these. */
export function parseTraceTime(text: string, startAtMs: number): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000
  if (/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    let ms = 0
    for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) ms += Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]
    return ms
  }
  const at = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?$/.test(text) ? Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(text) || !text.includes('T') ? text : `${text}Z`) : NaN
  return Number.isNaN(at) ? undefined : at - startAtMs
}

/** Throws TRACE_INVALID with the number of the line. */
export function parseTrace(text: string, { file, startAtMs }: { readonly file: string; readonly startAtMs: number }): readonly TraceRow[] {
  const bad = (line: number, expected: string, got: string): never => { throw KALI.TRACE_INVALID({ file, line, expected, got: got.slice(0, 60) }) }
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  const headerAt = Math.max(0, lines.findIndex(isContent))
  const header = (lines[headerAt] ?? '').split(',').map((cell) => cell.trim())
  const of = SUBJECTS.find((subject) => subject.toLowerCase() === header[1]?.toLowerCase())
  if (header[0]?.toLowerCase() !== 'time' || of === undefined || header[2]?.toLowerCase() !== 'cpuratio' || header.length !== 3) {
    return bad(headerAt + 1, 'the header "time,vm,cpuRatio" (or host, or target, instead of vm)', lines[headerAt] ?? '(an empty file)')
  }
  const rows: TraceRow[] = []
  for (let i = headerAt + 1; i < lines.length; i++) {
    const line = lines[i] ?? ''
    if (!isContent(line)) continue
    const cells = line.split(',').map((cell) => cell.trim())
    const [time = '', pattern = '', ratio = ''] = cells
    if (cells.length !== 3) bad(i + 1, 'three values: time, name, cpuRatio', line)
    const atMs = parseTraceTime(time, startAtMs)
    if (atMs === undefined) return bad(i + 1, 'a time: seconds, 5m, 2h, or an ISO date', time)
    if (pattern === '') bad(i + 1, `a name of a ${of}, or a pattern with *`, line)
    const cpuRatio = ratio === '' ? NaN : Number(ratio)
    if (!(cpuRatio >= 0 && cpuRatio <= 1)) bad(i + 1, 'a cpuRatio from 0 to 1', ratio)
    if (rows.length >= LIMITS.traceRowsMax) bad(i + 1, `at most ${LIMITS.traceRowsMax} lines`, 'one more')
    rows.push({ atMs, of, pattern, cpuRatio })
  }
  if (rows.length === 0) bad(lines.length, 'at least one line after the header', 'none')
  // Stable: of two lines for one moment the later one counts.
  return rows.toSorted((a, b) => a.atMs - b.atMs)
}

const isContent = (line: string): boolean => line.trim() !== '' && !line.trimStart().startsWith('#')

export function patternOf(pattern: string): (name: string) => boolean {
  if (!pattern.includes('*')) return (name) => name === pattern
  const parts = pattern.split('*')
  const first = parts[0] ?? '', last = parts.at(-1) ?? '', inner = parts.slice(1, -1)
  return (name) => {
    if (!name.startsWith(first) || name.length < first.length + last.length) return false
    let at = first.length
    const end = name.length - last.length
    for (const part of inner) {
      const found = name.indexOf(part, at)
      if (found < 0 || found + part.length > end) return false
      at = found + part.length
    }
    return name.endsWith(last)
  }
}

/** Time between two values of a sequence: what the lines ask for, within what a sequence may hold. */
export function traceStepMs(rows: readonly TraceRow[], forMs: number, interpolation: Interpolation): number {
  const times = [...new Set(rows.map(({ atMs }) => Math.max(0, atMs)))].filter((atMs) => atMs < forMs)
  let step = interpolation === 'linear' ? Math.min(LIMITS.simulateSampleMs, Math.max(LIMITS.simulateSampleMsMin, forMs / 100)) : forMs
  for (const atMs of times) step = divisorOf(step, atMs)
  return Math.max(step, LIMITS.simulateSampleMsMin, Math.ceil(forMs / LIMITS.traceStepsMax))
}
const divisorOf = (a: number, b: number): number => (b < 1 ? a : divisorOf(b, a % b))

/** The load of each VM that some line fits, by its index; VMs that the same lines fit share one sequence. */
export function sequencesOf(rows: readonly TraceRow[], vms: readonly NamedVm[], { forMs, interpolation }: { readonly forMs: number; readonly interpolation: Interpolation }): readonly (LoadSequence | undefined)[] {
  const stepMs = traceStepMs(rows, forMs, interpolation)
  const steps = Math.max(1, Math.ceil(forMs / stepMs))
  const tests = new Map([...new Set(rows.map(({ pattern }) => pattern))].map((pattern) => [pattern, patternOf(pattern)]))
  const shared = new Map<string, LoadSequence>()
  return vms.map(({ name, host }) => {
    const own: number[] = []
    rows.forEach(({ of, pattern }, i) => {
      const fits = tests.get(pattern) as (name: string) => boolean
      if ((of !== 'host' && fits(name)) || (of !== 'vm' && fits(host))) own.push(i)
    })
    if (own.length === 0) return undefined
    const key = own.join(',')
    const sequence = shared.get(key) ?? { cpuRatios: valuesOf(own.map((i) => rows[i] as TraceRow), steps, stepMs, interpolation), stepMs }
    shared.set(key, sequence)
    return sequence
  })
}

function valuesOf(rows: readonly TraceRow[], steps: number, stepMs: number, interpolation: Interpolation): readonly number[] {
  let at = -1
  return Array.from({ length: steps }, (_, step) => {
    const ms = step * stepMs
    while (at + 1 < rows.length && (rows[at + 1] as TraceRow).atMs <= ms) at++
    const before = rows[at], after = rows[at + 1]
    if (before === undefined) return (after as TraceRow).cpuRatio
    if (interpolation === 'step' || after === undefined) return before.cpuRatio
    return before.cpuRatio + (after.cpuRatio - before.cpuRatio) * (ms - before.atMs) / (after.atMs - before.atMs)
  })
}
