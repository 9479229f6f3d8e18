// What flows from a run to the user: batches of values and failures, with where they came from; and
// the pure operations on them (order, gaps, outcomes, the one error of a failed map).

import { CodedError, fromErrorRecord } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { Failure, Outcome } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'

export interface Entry { readonly index: number; readonly value: unknown; readonly node: NodeId; readonly nodeName: string }
export interface FailedEntry {
  readonly index: number
  readonly failure: Failure
  readonly node: NodeId | undefined
  readonly nodeName: string | undefined
  readonly element: string | undefined
  /** Tells a stack in the lines of the files that the user wrote. */
  readonly relocate?: (stack: string) => string
}

/** Results of source elements [from, from + count). */
export interface Batch {
  readonly from: number
  readonly count: number
  readonly entries: readonly Entry[]
  /** Values of the entries, for whoever does not ask where they came from: a hundred thousand entries cost more than the map. */
  readonly values: readonly unknown[]
  readonly failed: readonly FailedEntry[]
}

export function batchOf(from: number, count: number, entries: readonly Entry[], failed: readonly FailedEntry[] = []): Batch {
  return { from, count, entries, failed, get values() { return entries.map((entry) => entry.value) } }
}

/** A batch of values whose entries are made when first asked for. */
export function batchOfValues(from: number, count: number, values: readonly unknown[], place: () => readonly Entry[]): Batch {
  let entries: readonly Entry[] | undefined
  return { from, count, values, failed: [], get entries() { return entries ??= place() } }
}

export function valuesOf(batches: readonly Batch[]): unknown[] {
  const values: unknown[] = []
  for (const batch of batches) for (const value of batch.values) values.push(value)
  return values
}

/** Batches in element order, whatever order they arrive in. Bounded by the relay's window, not here. */
export async function* inOrder(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
  const early = new Map<number, Batch>()
  let next = 0
  for await (const batch of batches) {
    early.set(batch.from, batch)
    for (let ready = early.get(next); ready !== undefined; ready = early.get(next)) {
      early.delete(next)
      next += ready.count
      yield ready
    }
  }
  // Only an early-ending run (find, some) leaves gaps.
  yield* [...early.values()].sort((a, b) => a.from - b.from)
}

/** Which of the elements [0, total) have had an outcome. */
export class Coverage {
  #spans: { from: number; to: number }[] = []
  add(from: number, count: number): void {
    const last = this.#spans.at(-1)
    if (last !== undefined && last.to === from) last.to += count
    else this.#spans.push({ from, to: from + count })
  }
  /** Spans of [0, total) without an outcome. */
  gaps(total: number): { readonly from: number; readonly count: number }[] {
    const gaps: { from: number; count: number }[] = []
    let next = 0
    for (const span of this.#spans.sort((a, b) => a.from - b.from)) {
      if (next >= total) break
      if (span.from > next) gaps.push({ from: next, count: Math.min(span.from, total) - next })
      next = Math.max(next, span.to)
    }
    if (next < total) gaps.push({ from: next, count: total - next })
    return gaps
  }
}

/** One outcome for each entry and failure, in the order of the batches. */
export function outcomesOf(batches: readonly Batch[]): Outcome<unknown>[] {
  const outcomes: Outcome<unknown>[] = []
  for (const batch of batches) {
    for (const { index, value, node, nodeName } of batch.entries) outcomes.push({ status: 'value', index, value, node, nodeName })
    for (const failed of batch.failed) outcomes.push(failedOutcome(failed))
  }
  return outcomes
}

function failedOutcome(failed: FailedEntry): Outcome<unknown> {
  const { index, node, nodeName, element, failure, relocate } = failed
  const error = fromErrorRecord(failure.error)
  if (relocate !== undefined) relocateLater(error, relocate)
  return { status: failure.status, index, node, nodeName, element, error, mayHaveRun: failure.mayHaveRun }
}

/** When a stack is first read: asking the engine where a function was written takes tens of milliseconds. */
function relocateLater(error: Error, relocate: (stack: string) => string): void {
  const { stack } = error
  if (stack !== undefined) {
    let told: string | undefined
    Object.defineProperty(error, 'stack', {
      configurable: true, enumerable: false,
      get: () => told ??= relocate(stack),
      set: (value: string) => { told = value },
    })
  }
  if (error.cause instanceof Error) relocateLater(error.cause, relocate)
}

/** The one error of a failed map; holds every outcome. */
export class MapError extends CodedError {
  readonly outcomes: readonly Outcome<unknown>[]
  constructor(outcomes: readonly Outcome<unknown>[]) {
    const failed = outcomes.filter((outcome) => outcome.status !== 'value')
    const first = failed[0]
    const where = first === undefined ? '' : first.nodeName ?? first.element ?? `element ${first.index}`
    const what = first !== undefined && 'error' in first ? `${where}: ${first.error.message}` : ''
    const like = FUNCTIONS.MAP_FAILED({ failed: failed.length, total: outcomes.length, first: what })
    super(like.message, { code: like.code, details: like.details, ...(first !== undefined && 'error' in first ? { cause: first.error } : {}) })
    this.outcomes = outcomes
    Object.defineProperty(this, 'outcomes', { enumerable: false })
  }
}
