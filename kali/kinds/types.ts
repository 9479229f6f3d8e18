// Checks that the cloud's kinds share: thresholds, schedulers, references to several kinds, specs of groups, rules.
//
// A scheduler may be given as text ("rank", "function:NAME"), as a SchedulerRef, or as a function, which becomes a
// SchedulerRef at the caller (kali/placement/closure.ts), because functions do not travel.

import { LIMITS } from '../../fabric/base.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import { RMO, anything, boolean, dictionary, integer, list, number, oneOf, optional, record, referenceRecord, shown, text } from '../../rmo/base.ts'
import type { Place, Type } from '../../rmo/base.ts'
import type { ActRequest, SchedulerRef } from '../cloud/contract.ts'
import { schedulerOf } from '../placement/closure.ts'

export const count = integer({ unit: 'count' })
export const poolName: Type<string> = text({ charsMax: 128, pattern: /^(?=.*\S)[^\p{Cc}\p{Cs}/]+$/u, expected: 'a name of 1 to 128 characters without control characters and "/"' })
/** Names the principal, a function or a policy. */
export const shortText = text({ charsMax: 256 })
/** The value, or null. */
export const nullable = <T>(of: Type<T>): Type<T | null> => ({ expected: `${of.expected}, or null`, unit: of.unit, check: (value, at) => (value === null ? null : of.check(value, at)) })
/** What explains a change to others. */
export const reasonText = text({ charsMax: 1_024 })

/** A share from 0 to 1 whose name does not end in "Ratio": out, in, margin. */
export const share: Type<number> = { ...number({ unit: 'ratio', min: 0, max: 1 }), expected: 'a share from 0 to 1', unit: undefined }
const OVERCOMMIT_RATIO_MAX = 64
export const overcommitRatio = number({ unit: 'ratio', min: 0.1, max: OVERCOMMIT_RATIO_MAX })
export const milliseconds = integer({ unit: 'milliseconds' })

// ---------------------------------------------------------------- schedulers

const EXPECTED = 'a scheduler: its name ("rank", "packing", ...), "function:NAME" of a deployed one, or a function (vm, pms) => pm'
const FUNCTION = /^(?:function|fn):(.+)$/
/** What is kept of a function: bounded where it is made (schedulerOf), and again by the size of a record. */
const closure = record({ type: oneOf('closure'), name: shortText, text: text({ charsMax: LIMITS.cloudRecordBytesMax }), codeHash: shortText, environment: text({ charsMax: LIMITS.cloudRecordBytesMax }), environmentHash: shortText })

/** How a scheduler is called for people; what is no closure can be set again by it. */
export const schedulerText = (ref: SchedulerRef): string => (ref.type === 'builtin' ? ref.name : `${ref.type}:${ref.name}`)

/** Any of the ways to name a scheduler, as what is kept of it. */
function schedulerFrom(value: unknown, at: Place): SchedulerRef {
  if (typeof value === 'string') {
    const deployed = FUNCTION.exec(value)?.[1]
    return schedulerOf(deployed === undefined ? value : { type: 'function', name: deployed })
  }
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) throw RMO.ARGUMENT_INVALID({ ...at, expected: EXPECTED, got: shown(value) })
  return (value as { readonly type?: unknown }).type === 'closure' && typeof value === 'object' ? closure.check(value, at) : schedulerOf(value)
}

/** As a setting, at home and as an argument: always the SchedulerRef. */
export const schedulerSetting: Type<SchedulerRef> = { expected: EXPECTED, unit: undefined, check: schedulerFrom, travel: schedulerFrom }
/** As an attribute: text for people; assigned, a function is captured at once, and text is left as it is. */
export const schedulerAttribute: Type<string> = {
  expected: EXPECTED, unit: undefined,
  check(value, at) {
    if (typeof value === 'string' && value.startsWith('closure:')) return value
    const ref = schedulerFrom(value, at)
    return typeof value === 'string' ? value : ref as unknown as string
  },
  show: (value) => (typeof value === 'object' && value !== null ? schedulerText(value as SchedulerRef) : value),
}

// ---------------------------------------------------------------- references

/** References arrive as their records; the interface shows users the object. */
export const asObject = <T>(type: Type<ReferenceRecord>): Type<T> => type as unknown as Type<T>
export const recordOf = (object: unknown): ReferenceRecord => object as ReferenceRecord

/** A reference to one of several kinds, checked to its record. */
export function referenceTo(...kinds: readonly string[]): Type<ReferenceRecord> {
  const expected = `a ${kinds.join(', a ')}`
  return {
    expected, unit: undefined,
    check(value, at) {
      const found = referenceRecord(value)
      if (found === undefined || !kinds.includes(found.kind)) throw RMO.ARGUMENT_INVALID({ ...at, expected, got: found === undefined ? shown(value) : `a ${found.kind}` })
      return found
    },
  }
}

/** One, or a list; checked to a list, which remembers that it was one. */
export interface OneOrMany { readonly many: boolean; readonly records: readonly ReferenceRecord[] }
export function oneOrMany(...kinds: readonly string[]): Type<OneOrMany> {
  const one = referenceTo(...kinds), many = list(one)
  return {
    expected: `${one.expected}, or an array of them`, unit: undefined,
    check: (value, at) => (Array.isArray(value) ? { many: true, records: many.check(value, at) } : { many: false, records: [one.check(value, at)] }),
  }
}

// ---------------------------------------------------------------- rules and policies

const PROPOSALS_MAX = 4_096
const action = dictionary(anything())
/** What a policy asks for; each action is looked at when it is carried out (kali/service). */
export const actRequest = record({
  policy: shortText, round: count, memory: anything(),
  proposals: list(record({ action, reason: reasonText, details: optional(dictionary(anything())) }), { itemsMax: PROPOSALS_MAX }),
}) as unknown as Type<ActRequest>

const names = (what: string): Type<readonly string[]> => ({ ...list(shortText, { itemsMax: 1_024 }), expected: `an array of ${what}` })
export const ruleWish = record({
  name: poolName, type: oneOf('together', 'apart', 'on', 'not-on'), hard: optional(boolean()),
  vms: names('VM names, "label=value" or "group:NAME"'), machines: optional(names('machine names')),
})
