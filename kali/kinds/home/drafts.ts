// Groups and protections that are cold: what they will be about travels in their attributes, because nothing of them exists.

import type { ReferenceRecord } from '../../../functions/mod.ts'
import { RMO } from '../../../rmo/base.ts'
import type { ElasticSpec, Protection } from '../../cloud/contract.ts'
import { ELASTICITY_FIELDS, changeOfGroup } from '../elasticity-settings.ts'
import type { ElasticitySettings } from '../elasticity-settings.ts'
import { PROTECTION_FIELDS } from '../high-availability-settings.ts'

type Fields = Readonly<Record<string, { check(value: unknown, at: { readonly call: string; readonly path: string }): unknown }>>

/** What of a cold object's attributes are settings, checked again: nobody's word is taken for them. */
export const settingsIn = (fields: Fields, { attributes }: ReferenceRecord, call: string): Readonly<Record<string, unknown>> => Object.fromEntries(
  Object.entries(attributes).flatMap(([key, value]) => (Object.hasOwn(fields, key) && value !== undefined ? [[key, fields[key]?.check(value, { call, path: key })]] : [])))

/** The VM as plain data: a reference in a reference would be made an object on the way. */
const OF = 'of'
export const draftOf = (vm: ReferenceRecord): Readonly<Record<string, unknown>> =>
  ({ [OF]: { kind: vm.kind, uuid: vm.uuid, home: vm.home, name: vm.name, attributes: vm.attributes, ...(vm.cold === true ? { cold: true } : {}) } })

/** The VM that a draft is about. */
export function vmOf(draft: ReferenceRecord, call: string): ReferenceRecord {
  const found = draft.attributes[OF] as Partial<ReferenceRecord> | undefined
  if (typeof found !== 'object' || found === null || found.kind !== 'VM' || typeof found.uuid !== 'string' || typeof found.home !== 'string' || typeof found.name !== 'string' || typeof found.attributes !== 'object') {
    throw RMO.ARGUMENT_INVALID({ call, path: 'what', expected: `a ${draft.kind} of this pool's create${draft.kind}()`, got: `one that names no VM (${draft.name})` })
  }
  return { kind: 'VM', uuid: found.uuid, home: found.home, name: found.name, attributes: found.attributes, ...(found.cold === true ? { cold: true as const } : {}) }
}

export function specOf(draft: ReferenceRecord): Partial<ElasticSpec> & Pick<ElasticSpec, 'max'> {
  const { readyText, ...spec } = changeOfGroup(settingsIn(ELASTICITY_FIELDS as unknown as Fields, draft, 'Pool.add') as Partial<ElasticitySettings>)
  if (spec.max === undefined) throw RMO.ARGUMENT_INVALID({ call: 'Pool.add', path: 'max', expected: 'the greatest number of members', got: 'nothing' })
  return { ...spec, max: spec.max, ...(readyText === undefined || readyText === '' ? {} : { readyText }) }
}

export const protectionOf = (draft: ReferenceRecord): Partial<Protection> => settingsIn(PROTECTION_FIELDS as unknown as Fields, draft, 'Pool.add') as Partial<Protection>
