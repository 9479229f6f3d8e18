// What has changed between two readings of a machine's VMs, for isolates that keep the earlier one (prelude/kept.ts): most of
// the time two or three figures of each. Pure.

import { isDeepStrictEqual } from 'node:util'
import { encodeValue } from '../../functions/mod.ts'

export type Attributes = Readonly<Record<string, unknown>>
/** Figures that have moved on, VM by VM, encoded; undefined: something else has changed. */
export function changesOf(before: readonly Attributes[], now: readonly Attributes[]): Uint8Array | undefined {
  if (before.length !== now.length) return undefined
  const changes: Record<string, unknown>[] = []
  for (const [i, attributes] of now.entries()) {
    const old = before[i] as Attributes
    if (old['uuid'] !== attributes['uuid'] || old['name'] !== attributes['name']) return undefined
    const changed: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(attributes)) {
      if (value === old[name] || isDeepStrictEqual(value, old[name])) continue
      if (typeof value === 'object' || typeof old[name] === 'object') return undefined
      changed[name] = value
    }
    changes.push(changed)
  }
  return encodeValue(changes)
}

export const sameElements = (a: readonly unknown[], b: readonly unknown[]): boolean => a.length === b.length && a.every((element, i) => element === b[i])
