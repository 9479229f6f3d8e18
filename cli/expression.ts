// From a completion value to what is printed: promises and collections are awaited, outcomes become a
// table, partial failures print what came back first. Shared by one-liners and the REPL.

import { createRequire } from 'node:module'
import { join } from 'node:path'

import type { DataCenter } from '../kali/contract.ts'
import { EXIT } from './errors.ts'
import type { Bindings } from './evaluate.ts'
import type { Output } from './output.ts'
import { columnsOf, referencesTable } from './render/references.ts'
import { areOutcomes, isCollection, isThenable, outcomesOf, referenceOf } from './render/shapes.ts'
import type { PeopleLayout } from './render/value.ts'

/** Names that every expression has, beside JavaScript's own. */
export function bindingsOf(dc: DataCenter): Bindings {
  return {
    dc,
    pms: dc.pms,
    from: dc.from.bind(dc),
    range: dc.range.bind(dc),
    explain: dc.explain.bind(dc),
    require: createRequire(join(process.cwd(), 'expression.js')),
  }
}

export interface ShowOptions { readonly merge: boolean }

/** Awaits and prints one completion value; answers the exit status, throws what it rejected with. */
export async function show(value: unknown, out: Output, options: ShowOptions): Promise<number> {
  if (options.merge && isCollection(value)) return showMerged(await value.settled(), out)
  let landed: unknown
  try {
    landed = isThenable(value) ? await value : value
  } catch (error) {
    const outcomes = outcomesOf(error)
    if (outcomes !== undefined) {
      out.progress.stop()
      if (options.merge) out.merged(outcomes.filter((o) => o.status === 'value'))
      else out.partial(outcomes)
    }
    throw error
  }
  out.progress.stop()
  if (options.merge && areOutcomes(landed)) return showMerged(landed, out)
  out.result(landed, await peopleFor(landed))
  return areOutcomes(landed) && landed.some((o) => o.status !== 'value') ? EXIT.failed : EXIT.done
}

/** A list of objects of one kind has the columns that the kind declares. */
async function peopleFor(landed: unknown): Promise<((layout: PeopleLayout) => string) | undefined> {
  if (!Array.isArray(landed)) return undefined
  const kind = referenceOf(landed[0])?.kind
  if (kind === undefined || landed.some((item) => referenceOf(item)?.kind !== kind)) return undefined
  const columns = await columnsOf(kind)
  return columns === undefined ? undefined : (layout) => referencesTable(landed, columns, layout)
}

function showMerged(outcomes: Parameters<Output['merged']>[0], out: Output): number {
  out.progress.stop()
  out.merged(outcomes)
  return outcomes.some((o) => o.status !== 'value') ? EXIT.failed : EXIT.done
}
