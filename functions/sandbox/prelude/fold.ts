// Terminals that fold the outputs of a chunk into one partial result: order kept, so an associative
// operator is enough. Partials of chunks are combined by running the same terminal over them.

import type { LoadedPlan } from './plan.ts'
import { SandboxError } from './error-capture.ts'

/** An array of one value; empty when there is none (reduce, min, max and find over nothing). */
export interface Folded { readonly values: unknown[]; readonly decided: boolean }

const none: Folded = { values: [], decided: false }
const one = (value: unknown): Folded => ({ values: [value], decided: false })

function flatten(outputs: readonly unknown[], single: boolean): readonly unknown[] {
  if (single) return outputs
  const flat: unknown[] = []
  for (let i = 0; i < outputs.length; i++) {
    const list = outputs[i] as unknown[]
    if (list === undefined) continue
    for (let j = 0; j < list.length; j++) flat[flat.length] = list[j]
  }
  return flat
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && typeof (value as { then?: unknown }).then === 'function'

function combine(op: (a: unknown, b: unknown) => unknown, total: unknown, values: readonly unknown[], from: number): Folded | Promise<Folded> {
  for (let i = from; i < values.length; i++) {
    total = op(total, values[i])
    if (isPromise(total)) return combineAsync(op, total, values, i + 1)
  }
  return one(total)
}

async function combineAsync(op: (a: unknown, b: unknown) => unknown, first: PromiseLike<unknown>, values: readonly unknown[], from: number): Promise<Folded> {
  let total = await first
  for (let i = from; i < values.length; i++) total = await op(total, values[i])
  return one(total)
}

function needNumber(value: unknown, verb: string, bigints: boolean): void {
  if (typeof value === 'number' || (bigints && typeof value === 'bigint')) return
  throw new SandboxError('FUNCTIONS_ERR_SANDBOX_NOT_A_NUMBER', `d${verb} needs numbers, got ${value === null ? 'null' : typeof value}; map to numbers first`)
}

function sum(values: readonly unknown[]): Folded {
  let total: number | bigint = typeof values[0] === 'bigint' ? 0n : 0
  for (let i = 0; i < values.length; i++) {
    needNumber(values[i], 'sum', true)
    total = (total as number) + (values[i] as number)
  }
  return one(total)
}

function extreme(values: readonly unknown[], verb: 'min' | 'max'): Folded {
  if (values.length === 0) return none
  let best = values[0] as number
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    needNumber(value, verb, false)
    if (value !== value || (verb === 'min' ? value < best : value > best)) best = value
  }
  return one(best)
}

type Annotated = readonly [unknown, unknown]

export function fold(plan: LoadedPlan, outputs: readonly unknown[]): Folded | Promise<Folded> {
  const values = flatten(outputs, plan.single !== undefined)
  switch (plan.terminal) {
    case 'reduce': return values.length === 0 ? none : combine(plan.operator, values[0], values, 1)
    // A chunk without outputs adds nothing, not even the initial value: the caller has that.
    case 'fold': return values.length === 0 ? none : combine(plan.operator, plan.initial(), values, 0)
    case 'count': return one(values.length)
    case 'sum': return sum(values)
    case 'min': case 'max': return extreme(values, plan.terminal)
    case 'group': {
      const groups = new Map<unknown, unknown[]>()
      for (const [key, value] of values as readonly Annotated[]) {
        const group = groups.get(key)
        if (group === undefined) groups.set(key, [value])
        else group.push(value)
      }
      return one(groups)
    }
    case 'some': { const found = (values as readonly Annotated[]).some(([yes]) => yes); return { values: [found], decided: found } }
    case 'every': { const held = (values as readonly Annotated[]).every(([yes]) => yes); return { values: [held], decided: !held } }
    case 'find': {
      const found = (values as readonly Annotated[]).find(([yes]) => yes)
      return found === undefined ? none : { values: [found[1]], decided: true }
    }
    default: return none
  }
}
