// Settings of elastic groups, as users give them and as the store keeps them (ElasticSpec). Pure.

import { integer, list, optional, record, text } from '../../rmo/base.ts'
import type { Type } from '../../rmo/base.ts'
import type { ElasticSpec } from '../cloud/contract.ts'
import type { ElasticityWish } from './interfaces.ts'
import { milliseconds, poolName, share, shortText } from './types.ts'

const MEMBERS_MAX = 4_096
const HOLD_MAX = 1_000
const SCHEDULE_MAX = 64
const members = integer({ unit: 'count', max: MEMBERS_MAX })
const aStep = integer({ unit: 'count', min: 1, max: MEMBERS_MAX })
const CPU = 'cpu'

const metricName = text({ charsMax: 256, pattern: /^\S+$/, expected: '"cpu", or the name of a deployed function' })
/** By name; as it stands in a spec too. */
const metric: Type<string> = {
  ...metricName,
  check(value, at) {
    if (typeof value !== 'object' || value === null) return metricName.check(value, at)
    const { type, name } = value as Partial<Extract<ElasticSpec['metric'], { name: string }>>
    return metricName.check((type as string) === CPU ? CPU : name, at)
  },
}

/** Every setting of a group with its type. */
export const ELASTICITY_FIELDS = {
  out: share, in: share, min: members, max: integer({ unit: 'count', min: 1, max: MEMBERS_MAX }),
  metric,
  hold: integer({ unit: 'count', min: 1, max: HOLD_MAX }), periodMs: integer({ unit: 'milliseconds', min: 100 }),
  warmUpMs: milliseconds, cooldownOutMs: milliseconds, cooldownInMs: milliseconds,
  stepOut: aStep, stepIn: aStep, margin: share, flightMs: integer({ unit: 'milliseconds', min: 1 }), drainMs: milliseconds,
  readyText: text({ charsMax: 1_024 }),
  schedule: list(record({ from: shortText, to: shortText, min: optional(members), max: optional(members) }), { itemsMax: SCHEDULE_MAX }),
} as const
export type ElasticitySettings = { readonly [K in keyof typeof ELASTICITY_FIELDS]: (typeof ELASTICITY_FIELDS)[K] extends Type<infer T> ? T : never }

const { max, ...others } = ELASTICITY_FIELDS
/** What createElasticity() takes: `max` is mandatory. */
export const newElasticity = record({ name: optional(poolName), max, ...Object.fromEntries(Object.entries(others).map(([key, type]) => [key, optional(type as Type<unknown>)])) }) as unknown as Type<ElasticityWish>

/** All settings of a group as it is; what is left out, as what it means. */
export const settingsOfGroup = ({ metric: measured, readyText = '', schedule = [], ...spec }: ElasticSpec): ElasticitySettings =>
  ({ ...spec, metric: measured.type === 'cpu' ? CPU : measured.name, readyText, schedule })

/** Some settings, as a change of the spec. */
export const changeOfGroup = ({ metric: measured, ...change }: Partial<ElasticitySettings>): Partial<ElasticSpec> =>
  ({ ...change, ...(measured === undefined ? {} : { metric: measured === CPU ? { type: 'cpu' } : { type: 'function', name: measured } }) })
