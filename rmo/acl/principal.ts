// Principals as texts, parsed: who it is, and how he was narrowed. The grammar stands in contract.ts; deployed functions'
// part of it in functions/principal.ts. On the path of every call, so that parsed texts are kept (policy.ts). Pure.
//
// Invariants: one text is one principal (nothing is repaired, folded or trimmed: "user:Alice" is nobody); a text that is not
// in the grammar to its last character is nobody; what is composed narrows, and composing parses back to the same.
// Source: reliability.md 4.3, 4.4 (one canonical name for rules and audit).

import { parseRights } from './patterns.ts'
import type { RightPattern } from './contract.ts'

/** What stands before the first "/". 'service': a part of a member node ("system:agent", "node:0a1b2c3d"); 'nobody': who did not say who he is. */
export type PrincipalRoot =
  | { readonly type: 'local'; readonly uid: number; readonly text: string }
  | { readonly type: 'user'; readonly name: string; readonly text: string }
  | { readonly type: 'service'; readonly text: string }
  | { readonly type: 'nobody'; readonly text: string }

/** By name: sees and watches, and what rules that name it so add. By patterns: these only. */
export type Narrowing =
  | { readonly by: 'name'; /** The whole text up to here: "local:0/tenant". */ readonly principal: string }
  | { readonly by: 'rights'; readonly patterns: readonly RightPattern[] }

export interface ParsedPrincipal { readonly text: string; readonly root: PrincipalRoot; readonly narrowings: readonly Narrowing[] }

/** Canonical names of users, groups and roles: kali/trust makes them so, nobody repairs them here. */
export const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/
const LOCAL = /^local:(0|[1-9]\d{0,9})$/
const SERVICE = /^(?:node:[0-9a-f]{8}|system:[a-z][a-z0-9-]{0,30})$/
/** The door that asks for no token, and whoever has not logged in. */
const NOBODY: ReadonlySet<string> = new Set(['nobody', 'http:open'])
const NARROWED_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/
/** Longer than any that is made; a text beyond it is not even looked at. */
const CHARS_MAX = 1_024
const NARROWINGS_MAX = 8

function rootOf(text: string): PrincipalRoot | undefined {
  const local = LOCAL.exec(text)
  if (local !== null) return { type: 'local', uid: Number(local[1]), text }
  if (text.startsWith('user:') && NAME.test(text.slice(5))) return { type: 'user', name: text.slice(5), text }
  if (NOBODY.has(text)) return { type: 'nobody', text }
  return SERVICE.test(text) ? { type: 'service', text } : undefined
}

/** Undefined: not in the grammar, so nobody. Functions' principals are taken apart before (function-policy.ts) and are none here. */
export function parsePrincipal(text: string): ParsedPrincipal | undefined {
  if (text.length > CHARS_MAX) return undefined
  const [first = '', ...segments] = text.split('/')
  const root = rootOf(first)
  if (root === undefined || segments.length > NARROWINGS_MAX) return undefined
  const narrowings: Narrowing[] = []
  let upTo = first
  for (const segment of segments) {
    upTo += `/${segment}`
    if (!segment.includes(':')) {
      if (!NARROWED_NAME.test(segment)) return undefined
      narrowings.push({ by: 'name', principal: upTo })
    } else {
      const patterns = segment.split('+')
      if (parseRights(patterns) === undefined) return undefined
      narrowings.push({ by: 'rights', patterns })
    }
  }
  return { text, root, narrowings }
}

/** The administrator of a member machine, un-narrowed: he finds every object, or he could not repair its rules. */
export const isAdministrator = (principal: string): boolean => LOCAL.test(principal)

/** "user:alice" of a canonical name; throws nothing: undefined when it is not one. */
export const userPrincipal = (name: string): string | undefined => (NAME.test(name) ? `user:${name}` : undefined)

/**
 * `principal` with these rights only: "user:alice/vm:read+vm:start". No patterns: none at all would be nobody, so it is
 * undefined, as for one that is not in the grammar. Narrowed again and again, each holds.
 */
export function narrowPrincipal(principal: string, patterns: readonly RightPattern[]): string | undefined {
  // A word without a kind would be read as a name.
  const full = patterns.map((pattern) => (pattern.includes(':') ? pattern : `*:${pattern}`))
  if (full.length === 0 || parseRights(patterns) === undefined) return undefined
  const text = `${principal}/${full.join('+')}`
  return parsePrincipal(text) === undefined ? undefined : text
}

/** What a rule may name: contract.ts RulePrincipal, or a principal narrowed by names. In words what is wrong; undefined: nothing. */
export function rulePrincipalProblem(text: string): string | undefined {
  const expected = 'a principal such as "user:alice", "group:ops", "role:operator", "local:0", "local:0/tenant", "fn:NAME" or "*"'
  if (text === '*') return undefined
  const [, type = '', name = ''] = /^(group|role|fn):(.*)$/s.exec(text) ?? []
  if (type !== '') return (RULE_NAMES.get(type) ?? NAME).test(name) ? undefined : expected
  const parsed = parsePrincipal(text)
  return parsed === undefined || parsed.narrowings.some(({ by }) => by === 'rights') ? expected : undefined
}
/** Groups may have single spaces inside (kali/trust/names.ts). */
const RULE_NAMES: ReadonlyMap<string, RegExp> = new Map([['fn', /^[a-z0-9][a-z0-9-]{0,62}$/], ['group', /^(?=.{1,128}$)[a-z0-9][a-z0-9._-]*(?: [a-z0-9._-]+)*$/]])
