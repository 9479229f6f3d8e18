// Version of an object's settings: a hash of them, so that a change made behind Kumoi's back (virsh edit) is a new
// version too, and no counter has to be kept. Two writers that started from one version cannot both win.

import { createHash } from 'node:crypto'
import type { Authority } from '../functions/mod.ts'
import type { Changed } from './object.ts'

/** Keys in order at every depth, so that equal settings have one text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? `${value}n` : value
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, canonical(item)]))
}

export const canonicalText = (value: unknown): string => JSON.stringify(canonical(value))

/** 16 hex digits. */
export const versionOf = (settings: Readonly<Record<string, unknown>>): string =>
  createHash('sha256').update(canonicalText(settings)).digest('hex').slice(0, 16)

/** What a changing verb answers: the version that its settings have now, and the operation it was. */
export const changed = (settings: Readonly<Record<string, unknown>>, { operation }: Pick<Authority, 'operation'>): Changed =>
  ({ version: versionOf(settings), operation: operation ?? '' })
