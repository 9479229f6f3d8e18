// From a completion value to what is printed: promises and collections are awaited, outcomes become a
// table, partial failures print what came back first. Shared by one-liners and the REPL.

import { createRequire } from 'node:module'
import { join } from 'node:path'

import type { Clock } from '../fabric/base.ts'
import type { DataCenter } from '../kali/contract.ts'
import { EXIT } from './errors.ts'
import type { Bindings } from './evaluate.ts'
import type { Output } from './output.ts'
import { functionsTable } from './render/function.ts'
import { columnsOf, referencesTable } from './render/references.ts'
import { areOutcomes, isCollection, isFunctionRow, isThenable, outcomesOf, referenceOf } from './render/shapes.ts'
import type { PeopleLayout } from './render/value.ts'

/** Names that every expression has, beside JavaScript's own: the collections of every kind, and what makes devices. */
export async function bindingsOf(dc: DataCenter): Promise<Bindings> {
  // Loaded with the connection already.
  const { Bridge, Cdrom, FileDisk, FileDiskAuto, mac, NetworkInterface, VolumeDisk } = await import('../rmo/base.ts')
  const { byRank } = await import('../kali/mod.ts')
  return {
    dc, global: dc.global, byRank,
    ...collectionsOf(dc),
    from: dc.from, range: dc.range, load: dc.load, fn: dc.fn, functions: dc.functions,
    Bridge, Cdrom, FileDisk, FileDiskAuto, mac, NetworkInterface, VolumeDisk,
    explain: dc.explain.bind(dc),
    require: createRequire(join(process.cwd(), 'expression.js')),
  }
}

/** pms, vms, ...: one for each kind that this program knows. */
const collectionsOf = (dc: DataCenter): Bindings => Object.fromEntries(Object.entries(dc).filter(([, value]) => isCollection(value)))

/** Waits for what was assigned to objects; answers the exit status, having said what failed and nobody was told. */
export async function settleAssignments(dc: DataCenter, out: Output): Promise<number> {
  try {
    await dc.settled()
    return EXIT.done
  } catch (error) {
    out.progress.stop()
    for (const each of error instanceof AggregateError ? error.errors as unknown[] : [error]) out.error(each)
    return EXIT.failed
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
  out.result(landed, await peopleFor(landed, out.clock))
  return areOutcomes(landed) && landed.some((o) => o.status !== 'value') ? EXIT.failed : EXIT.done
}

/** A list of objects of one kind has the columns that the kind declares; deployed functions those of `kumoi functions`. */
async function peopleFor(landed: unknown, clock: Clock): Promise<((layout: PeopleLayout) => string) | undefined> {
  if (!Array.isArray(landed)) return undefined
  if (landed.length > 0 && landed.every(isFunctionRow)) {
    const { triggerText } = await import('../functions/base.ts')
    return (layout) => functionsTable(landed, triggerText, layout, clock.wallMs())
  }
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
