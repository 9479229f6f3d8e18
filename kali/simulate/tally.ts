// What is counted while a simulation runs, and the report made of it. Pure but for being told.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { CallRecord, InvokeOutcome, LogLine, Observer } from '../../functions/mod.ts'
import type { FunctionReport, Point, VerbReport } from './contract.ts'

type Counts = Record<string, number>
const count = (counts: Counts, key: string, by = 1): void => { counts[key] = (counts[key] ?? 0) + by }
const sorted = (counts: Counts): Readonly<Counts> => Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))

interface FunctionTally { calls: number; errors: number; readonly causes: Counts; readonly lines: Counts; readonly counts: Counts; firstError: FunctionReport['firstError'] }
interface VerbTally { readonly kind: string; readonly verb: string; calls: number; readonly failed: Counts; readonly objects: Map<string, number> }

const OBJECTS_SHOWN = 10
/** Objects that one verb's calls are counted by; beyond it they are only counted. */
const OBJECTS_MAX = 100_000

export interface TallyOptions {
  nowMs(): number
  onLine?(line: LogLine): void
  onError?(): void
}

export class Tally implements Observer {
  readonly #options: TallyOptions
  readonly #functions = new Map<string, FunctionTally>()
  readonly #verbs = new Map<string, VerbTally>()
  readonly emitted: Counts = {}
  readonly stateChanges: Counts = {}
  readonly warnings: Counts = {}
  readonly points: Point[] = []
  calls = 0
  errors = 0
  ticks = 0
  changes = 0

  constructor(options: TallyOptions) { this.#options = options }

  called(call: CallRecord, outcome: { readonly status: InvokeOutcome['status']; readonly error?: { readonly code: string; readonly message: string; readonly stack?: string } }): void {
    const of = this.#of(call.name)
    this.calls++
    of.calls++
    count(of.causes, call.cause)
    if (call.cause === 'every' || call.cause === 'cron') this.ticks++
    if (outcome.status === 'value') return
    this.errors++
    of.errors++
    const { code = '', message = '', stack } = outcome.error ?? {}
    of.firstError ??= { atMs: this.#options.nowMs(), status: outcome.status, code, message, callId: call.callId, ...(stack === undefined ? {} : { stack }) }
    this.#options.onError?.()
  }

  line(line: LogLine): void {
    count(this.#of(line.name).lines, line.level)
    this.#options.onLine?.(line)
  }

  count(name: string, what: string, by = 1): void { count(this.#of(name).counts, what, by) }

  /** A verb of an object has been carried out, or not; `calls` times. `object` undefined: a reading one. */
  verb(kind: string, verb: string, object: string | undefined, error: unknown, calls = 1): void {
    const key = `${kind}.${verb}`
    let of = this.#verbs.get(key)
    if (of === undefined) {
      of = { kind, verb, calls: 0, failed: {}, objects: new Map() }
      this.#verbs.set(key, of)
    }
    of.calls += calls
    if (error !== undefined) count(of.failed, errorCode(error) ?? 'unknown')
    if (object === undefined) return
    if (error === undefined) this.changes++
    if (of.objects.size < OBJECTS_MAX || of.objects.has(object)) of.objects.set(object, (of.objects.get(object) ?? 0) + 1)
  }

  systemCall(verb: string, argument: unknown): void {
    if (verb === 'emit') count(this.emitted, String(argument))
    else if (verb === 'state.put' || verb === 'state.delete') count(this.stateChanges, String(argument))
  }

  warn(text: string): void { count(this.warnings, text) }

  point(point: Omit<Point, 'calls' | 'errors' | 'changes'>): void {
    if (this.points.length < LIMITS.simulatePointsMax + 2) this.points.push({ ...point, calls: this.calls, errors: this.errors, changes: this.changes })
  }

  functions(versions: ReadonlyMap<string, string>): readonly FunctionReport[] {
    return [...versions].map(([name, version]) => {
      const { calls, errors, causes, lines, counts, firstError } = this.#of(name)
      return { name, version, calls, errors, causes: sorted(causes), lines: sorted(lines), counts: sorted(counts), ...(firstError === undefined ? {} : { firstError }) }
    })
  }

  verbs(): readonly VerbReport[] {
    return [...this.#verbs.values()].sort((a, b) => (`${a.kind}.${a.verb}` < `${b.kind}.${b.verb}` ? -1 : 1)).map(({ kind, verb, calls, failed, objects }) => ({
      kind, verb, calls, failed: sorted(failed), objectsInAll: objects.size,
      objects: [...objects].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, OBJECTS_SHOWN).map(([name, calls]) => ({ name, calls })),
    }))
  }

  #of(name: string): FunctionTally {
    let of = this.#functions.get(name)
    if (of === undefined) {
      of = { calls: 0, errors: 0, causes: {}, lines: {}, counts: {}, firstError: undefined }
      this.#functions.set(name, of)
    }
    return of
  }
}
