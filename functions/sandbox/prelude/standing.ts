// Answers known by number (kept.ts) that stand until the kernel's side says that something has changed: asked again, they are
// given here, without a call and without a promise. A policy asks a hundred machines for their VMs every five seconds of virtual
// time, and most of the time nothing about any of them has changed. Only the sandbox of simulations (../virtual.ts) knows
// answers by number, so that on a node this is one look into an empty table.
//
// What was allowed stands, too: the kernel's side counts a change of rules as a change. Calls answered here spend their budget
// like any other, and are told of, by kind and verb, when the job ends.

import type { ReferenceRecord } from '../../contract.ts'
import { FROM_LANE, STANDING_CALLS } from '../frames.ts'
import { anyAssignments } from './assignments.ts'
import { spendCall } from './host-calls.ts'
import { host, job } from './host.ts'
import { keptAnswer } from './kept.ts'
import { JSONStringify, mapClear, mapForEach, mapGet, mapSet, ReflectDeleteProperty } from './primordials.ts'

interface Standing { readonly target: ReferenceRecord; readonly slot: number }
/** Of one verb, by uuid. `given`: in this job, by kind. */
interface OfVerb { readonly verb: string; readonly answers: Map<string, Standing>; readonly given: Record<string, number> }

const verbs = new Map<string, OfVerb>()
let told: OfVerb[] = []

/** The answer with that number is what `verb` of `target` answers, until further notice. */
export function stand(target: ReferenceRecord, verb: string, slot: number): void {
  let of = mapGet(verbs, verb)
  if (of === undefined) {
    of = { verb, answers: new Map(), given: { __proto__: null } as unknown as Record<string, number> }
    mapSet(verbs, verb, of)
  }
  mapSet(of.answers, target.uuid, { target, slot })
}

/** Undefined: ask. Throws as a call does when its budget is spent. */
export function standingAnswer(target: ReferenceRecord, verb: string, element: number): unknown[] | undefined {
  const of = mapGet(verbs, verb)
  const standing = of === undefined ? undefined : mapGet(of.answers, target.uuid)
  if (of === undefined || standing === undefined || standing.target.kind !== target.kind || standing.target.home !== target.home || target.cold === true || anyAssignments()) return undefined
  spendCall(verb)
  const { given } = of
  const before = given[target.kind]
  if (before === undefined) told[told.length] = of
  given[target.kind] = (before ?? 0) + 1
  return keptAnswer(standing.slot, undefined, element >= 0 ? element : job.element) as unknown[]
}

/** Something has changed. */
export function forgetStanding(): void { mapForEach(verbs, ({ answers }) => mapClear(answers)) }

/** At the end of a job. */
export function tellStanding(): void {
  if (told.length === 0) return
  const counts: unknown[] = []
  for (let i = 0; i < told.length; i++) {
    const { verb, given } = told[i] as OfVerb
    for (const kind in given) {
      counts[counts.length] = [kind, verb, given[kind]]
      ReflectDeleteProperty(given, kind)
    }
  }
  told = []
  host.post(FROM_LANE.call, job.id, 0, 0, 0, STANDING_CALLS, JSONStringify(counts) as string, undefined)
}
