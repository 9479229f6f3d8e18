// How a reference prints: its kind, its name, and what a narrow table would show of it.

import type { InspectOptionsStylized } from 'node:util'
import { REFERENCE } from '../functions/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import type { Kind } from './kind.ts'

/** Ratios to two digits; everything else as it is. */
const rounded = (value: unknown, unit: string | undefined): unknown =>
  typeof value === 'number' && (unit === 'ratio' || unit === 'runnable-tasks') ? Math.round(value * 100) / 100 : value

type Inspect = (value: unknown, options: object) => string

/** `[util.inspect.custom]` of a kind's references: PhysicalMachine alpha { state: 'alive', cpuRatio: 0.12, ... }; VM web1 (cold) { ...its settings }. */
export const createInspect = (kind: Kind) =>
  function inspectReference(this: { readonly [REFERENCE]: ReferenceRecord }, depth: number, options: InspectOptionsStylized, inspect: Inspect): string {
    const { name, attributes, cold } = this[REFERENCE]
    const head = `${options.stylize(kind.kind, 'special')} ${name}${cold === true ? ' (cold)' : ''}`
    if (depth < 0) return `[${head}]`
    const shown: Record<string, unknown> = {}
    if (cold === true) {
      for (const [key, value] of Object.entries(attributes)) if (key !== 'name' && value !== undefined) shown[key] = value
      return `${head} ${inspect(shown, options)}`
    }
    for (const [key, { column, type }] of Object.entries(kind.attributes)) {
      if (key === 'name' || column === 'none' || column.wide === true || !Object.hasOwn(attributes, key)) continue
      shown[key] = rounded(attributes[key], type.unit)
    }
    return `${head} ${inspect(shown, options)}`
  }
