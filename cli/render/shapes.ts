// Telling apart what a result can be, without disturbing it: a reference is a proxy whose every other
// property may start a call, so its record is looked for first and nothing else is touched.

import { referenceOf } from '../../functions/base.ts'
import type { FunctionRow, Outcome, ReferenceRecord } from '../../functions/mod.ts'

export { referenceOf }
export type Reference = ReferenceRecord

/** A plain object: made by {} or Object.create(null), in this realm or another. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || referenceOf(value) !== undefined) return false
  const proto: unknown = Object.getPrototypeOf(value)
  return proto === null || Object.getPrototypeOf(proto) === null
}

const STATUSES: ReadonlySet<unknown> = new Set(['value', 'error', 'crash', 'out-of-memory', 'timeout', 'cancelled', 'unreachable'])

const isOutcome = (value: unknown): value is Outcome<unknown> =>
  isRecord(value) && STATUSES.has(value['status']) && typeof value['index'] === 'number' && ('value' in value || 'mayHaveRun' in value)

/** What `functions.list()` answers for each function. */
export const isFunctionRow = (value: unknown): value is FunctionRow =>
  isRecord(value) && typeof value['name'] === 'string' && isRecord(value['record']) && isRecord(value['record']['aliases']) && isRecord(value['manifest']) && Array.isArray(value['versions'])

export const areOutcomes = (value: unknown): value is readonly Outcome<unknown>[] =>
  Array.isArray(value) && value.length > 0 && value.every(isOutcome)

/** The outcomes that an error of a partly failed map holds, in `outcomes` or `details.outcomes`. */
export function outcomesOf(error: unknown): readonly Outcome<unknown>[] | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const direct: unknown = (error as { outcomes?: unknown }).outcomes
  if (areOutcomes(direct)) return direct
  const inDetails: unknown = (error as { details?: { outcomes?: unknown } }).details?.outcomes
  return areOutcomes(inDetails) ? inDetails : undefined
}

/** Something that `await` would wait for and that is not a reference. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (referenceOf(value) !== undefined) return false
  return (typeof value === 'object' || typeof value === 'function') && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** A collection: it can say what became of each element. */
export function isCollection(value: unknown): value is PromiseLike<unknown[]> & { settled(): Promise<Outcome<unknown>[]> } {
  return isThenable(value) && typeof (value as { settled?: unknown }).settled === 'function'
}
