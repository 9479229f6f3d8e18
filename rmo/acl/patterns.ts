// Rights as texts: KIND:VERB, compiled to a question that costs a few comparisons. The same grammar in rules, roles,
// narrowings and the rights of functions' manifests.
//
//   "vm:start"   that verb of VMs           "vm:operate"   all verbs of VMs that ACL_VERBS calls so
//   "*:read"     reading anything           "function:deploy"   what is asked of the node itself (rights.ts)
//
// A kind is named as people do (kind-names.ts: "vm", "vms", "VM"). A word that is both a verb's name and a category means
// both. Pure; own tables are Maps and Sets, so that "__proto__" is a name like any other and names nothing.

import { ACL_VERBS } from '../gate.ts'
import type { AclVerb } from '../gate.ts'
import { kindNames, namesKind } from '../kind-names.ts'
import type { NamedKind } from '../kind-names.ts'
import type { KindRegistry } from '../registry.ts'
import type { RightPattern } from './contract.ts'
import { SERVICE_RIGHTS } from './rights.ts'

const PATTERN = /^(?:([A-Za-z][A-Za-z0-9-]{0,62}|\*):)?([A-Za-z][A-Za-z0-9]{0,62}|\*)$/

/** A kind's name in lower case or "*", and a verb, a category or "*". */
export interface ParsedRight { readonly kind: string; readonly verb: string }

/** Undefined: not in the grammar. A single word is of any kind; "*" alone is not a right. */
export function parseRight(text: RightPattern): ParsedRight | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [, kind, verb = ''] = match
  if (kind === undefined && verb === '*') return undefined
  return { kind: (kind ?? '*').toLowerCase(), verb }
}

/** All of them, or undefined when one is not in the grammar. */
export function parseRights(texts: readonly RightPattern[]): readonly ParsedRight[] | undefined {
  const parsed = texts.map(parseRight)
  return parsed.every((right) => right !== undefined) ? parsed : undefined
}

export const categories: ReadonlySet<string> = new Set(Object.keys(ACL_VERBS))

/** Whether one right covers a verb of a kind. `names`: of kindNames(), asked once for many. */
export const covers = ({ kind: of, verb: word }: ParsedRight, names: ReadonlySet<string>, verb: string, acl: AclVerb): boolean =>
  (word === verb || word === acl || word === '*') && (of === '*' || names.has(of))

/** Whether any of the texts does; those that are not in the grammar cover nothing. Kept by the list's identity. */
export function anyCovers(texts: readonly RightPattern[], kind: NamedKind, verb: string, acl: AclVerb): boolean {
  const names = kindNames(kind)
  return compiled(texts).some((right) => covers(right, names, verb, acl))
}

const lists = new WeakMap<readonly RightPattern[], readonly ParsedRight[]>()
function compiled(texts: readonly RightPattern[]): readonly ParsedRight[] {
  const known = lists.get(texts)
  if (known !== undefined) return known
  const parsed = texts.map(parseRight).filter((right) => right !== undefined)
  lists.set(texts, parsed)
  return parsed
}

const singular = (plural: string): string => plural.replace(/s$/, '')

/** What is wrong with a right as it is written, in words; undefined: nothing. `services`: whether it may name what is asked of a node. */
export function patternProblem(text: RightPattern, { kinds }: Pick<KindRegistry, 'kinds'>, services: 'with services' | 'objects only' = 'with services'): string | undefined {
  const right = parseRight(text)
  if (right === undefined) return 'a kind and a verb, such as "vm:read"'
  const of = services === 'with services' ? [...SERVICE_RIGHTS.keys()] : []
  const named = kinds.filter((kind) => namesKind(right.kind, kind))
  const service = SERVICE_RIGHTS.get(right.kind)
  if (right.kind !== '*' && named.length === 0 && (service === undefined || services === 'objects only')) return `a kind that exists (${[...kinds.map((kind) => singular(kind.plural)), ...of].join(', ')})`
  if (right.verb === '*' || categories.has(right.verb)) return undefined
  const verbs = [...new Set((right.kind === '*' ? kinds : named).flatMap((kind) => [...kind.operations.keys(), ...Object.keys(kind.streams)]))]
  if (verbs.includes(right.verb) || (right.kind === '*' ? [...SERVICE_RIGHTS.values()].some((rights) => rights.has(right.verb)) : service?.has(right.verb) === true)) return undefined
  return `one of the verbs ${[...categories, ...(service === undefined ? [] : service.keys()), ...(right.kind === '*' ? [] : verbs)].join(', ')}`
}
