// The eleven common members of every kind (the paper's Table II), declared once.
//
// name and uuid are attributes; info, stats and dump every kind has; watch and unwatch are streams, so
// references offer them and sandboxes do not; patch, acls, account and audit
// are the home's own, the same for all kinds (common-verbs.ts).

import { LIMITS } from '../fabric/base.ts'
import { parseRight } from './acl/patterns.ts'
import { rulePrincipalProblem } from './acl/principal.ts'
import { anything, dictionary, integer, list, oneOf, optional, record, shown, text, uuid } from './schema.ts'
import { RMO } from './errors.ts'
import type { AclVerb } from './gate.ts'
import type { AclRule } from './object.ts'
import type { Type } from './schema.ts'
import type { Attribute, Parameter, ResultSpec } from './verb.ts'

export const COMMON_ATTRIBUTES = {
  name: { doc: 'Name for people; not unique.', type: text(), column: { header: 'NAME', format: 'text' } },
  uuid: { doc: 'Identity for ever.', type: uuid(), column: { header: 'UUID', format: 'text', wide: true } },
} as const satisfies Readonly<Record<string, Attribute<string>>>

export interface CommonVerb {
  readonly doc: string
  readonly acl: AclVerb
  readonly idempotent: boolean
  readonly parameters: readonly Parameter<unknown>[]
  readonly result: ResultSpec
}
export type CommonVerbName = 'info' | 'stats' | 'dump' | 'patch' | 'acls' | 'account' | 'audit'

/** A text that `problem` has nothing to say against. */
const worded = (expected: string, problem: (text: string) => string | undefined, charsMax: number): Type<string> => ({
  expected, unit: undefined,
  check(value, at) {
    const checked = text({ charsMax, expected }).check(value, at)
    const better = problem(checked)
    if (better === undefined) return checked
    throw RMO.ARGUMENT_INVALID({ call: at.call, path: at.path, expected: better, got: shown(value) })
  },
})
const RIGHT = 'a right such as "vm:start", "*:read" or "read"'

/** Rules as acls() takes them, and as they travel with an object. */
export const ACL_RULES: Type<readonly AclRule[]> = list(record({
  effect: oneOf('allow', 'deny'),
  principal: worded('a principal such as "user:alice"', rulePrincipalProblem, 256),
  verbs: list(worded(RIGHT, (verb) => (parseRight(verb) === undefined ? RIGHT : undefined), 128), { itemsMax: LIMITS.aclRuleVerbsMax }),
}), { itemsMax: LIMITS.aclRulesMax })

const plain = (doc: string): ResultSpec => ({ doc, type: anything() })

export const COMMON_VERBS: Readonly<Record<CommonVerbName, CommonVerb>> = {
  info: { doc: 'What it is: what changes seldom.', acl: 'read', idempotent: true, parameters: [], result: plain('a record of the kind') },
  stats: { doc: 'How it does: counters and gauges, read now.', acl: 'read', idempotent: true, parameters: [], result: plain('a record of the kind') },
  dump: { doc: 'The object as data.', acl: 'read', idempotent: true, parameters: [], result: plain('{kind, uuid, name, attributes, settings, version}') },
  patch: {
    doc: 'Changes settings, if its version is still the one named.', acl: 'update', idempotent: false,
    parameters: [
      { name: 'change', type: dictionary(anything()), doc: 'Settings to change.' },
      { name: 'options', type: optional(record({ version: optional(text()) })), doc: 'version: what the change was made from.' },
    ],
    result: plain('{version, operation}'),
  },
  acls: {
    doc: 'Who may do what with it; with rules, replaces them.', acl: 'administer', idempotent: true,
    parameters: [
      { name: 'rules', type: optional(ACL_RULES), doc: 'The new rules, all of them.' },
      { name: 'options', type: optional(record({ was: optional(ACL_RULES) })), doc: 'was: the rules that the change was made from; others by now, and nothing is changed.' },
    ],
    result: plain('access rules'),
  },
  account: { doc: 'What was used, by whom.', acl: 'read', idempotent: true, parameters: [], result: plain('usage records') },
  audit: {
    doc: 'What was done to it, by whom.', acl: 'administer', idempotent: true,
    parameters: [{ name: 'options', type: optional(record({ recordsMax: optional(integer({ unit: 'count', min: 1, max: LIMITS.auditAnswerMax })) })), doc: 'recordsMax: how many of the newest.' }],
    result: plain('audit records'),
  },
}

/** Stream verbs: of references, never of sandbox handles. */
export const WATCH_VERBS = {
  watch: { doc: 'Its events from now on.', acl: 'watch' },
  unwatch: { doc: 'Ends every watch opened through this reference.', acl: 'watch' },
} as const satisfies Readonly<Record<string, { readonly doc: string; readonly acl: AclVerb }>>
