// Which V8 may run other people's code. A node whose engine is older than the newest security release this version of Kumoi
// was made with, or is on the list of bad ones, serves everything but user code (reliability.md 3.3: a fix of V8 is in
// within 72 hours: raise MINIMUM, or add a row, and publish). Pure.

import { FUNCTIONS } from '../../errors.ts'

/** V8 of Node 24.21, the pinned runtime. Raised with each security release of Node 24. */
export const MINIMUM = '13.6.233.17-node.53'

export interface BadEngine {
  /** First and last bad version of one line, both included; -node.N counts. */
  readonly from: string
  readonly to: string
  readonly why: string
  /** Day on which the row was added. */
  readonly since: string
}

/** Releases above MINIMUM that turned out bad: none so far. Older ones need no row. */
export const BAD: readonly BadEngine[] = []

/** "13.6.233.17-node.53" as [13, 6, 233, 17, 53]; undefined for anything else. */
export function engineParts(version: string): readonly number[] | undefined {
  const found = /^(\d{1,5})\.(\d{1,5})\.(\d{1,5})\.(\d{1,5})(?:-node\.(\d{1,5}))?$/.exec(version)
  return found === null ? undefined : found.slice(1).map((part) => Number(part ?? 0))
}

/** Below zero when a is older. Both well formed. */
export function compareEngines(a: string, b: string): number {
  const left = engineParts(a) ?? []
  const right = engineParts(b) ?? []
  for (let i = 0; i < left.length; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Why this engine may not run user code; undefined when it may. */
export function engineRefusal(version: string, minimum: string = MINIMUM, bad: readonly BadEngine[] = BAD): string | undefined {
  if (engineParts(version) === undefined) return 'its version cannot be read'
  if (compareEngines(version, minimum) < 0) return `it is older than ${minimum}, which mends security faults`
  const row = bad.find(({ from, to }) => compareEngines(version, from) >= 0 && compareEngines(version, to) <= 0)
  return row === undefined ? undefined : `${row.why} (listed ${row.since})`
}

/** Throws SANDBOX_ENGINE. */
export function admitEngine(version: string): void {
  const reason = engineRefusal(version)
  if (reason !== undefined) throw FUNCTIONS.SANDBOX_ENGINE({ version, reason })
}
