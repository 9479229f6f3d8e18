// Whether a condition of a transaction holds for the entry of its key: as the embedded store judges it, and as those judge it
// who were told that a condition failed and ask which one. Pure.

import type { StoreCompare, StoreEntry } from './contract.ts'

/** `entry` undefined: the key is not there, and its revisions count as 0. */
export function conditionHolds(compare: StoreCompare, entry: StoreEntry | undefined): boolean {
  if (compare.field === 'value') return entry !== undefined && (Buffer.compare(entry.value, compare.than) === 0) === (compare.is === '=')
  const value = entry?.[compare.field] ?? 0
  switch (compare.is) {
    case '=': return value === compare.than
    case '!=': return value !== compare.than
    case '<': return value < compare.than
    case '>': return value > compare.than
  }
}
