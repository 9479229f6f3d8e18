// The judgement of the gate: may this principal do this verb to this object, and which rule or role says so.
//
//   request -> principal parsed -> standing of the user -> narrowings -> rules that deny -> rules that allow -> roles -> administrator
//
// Invariants: rules of the whole chain of the object count (Ancestors), a denying one wins wherever it stands; the one exception
// is the machine's administrator, who can always repair rules; nothing that is not said is allowed. No answer is kept: rules,
// roles and standing are read at each question, only their compiled form is kept, by the identity of what it was made of.

import { LIMITS } from '../../fabric/base.ts'
import { parseFunctionPrincipal } from '../../functions/base.ts'
import { ACL_VERBS } from '../gate.ts'
import type { AclVerb, GateRequest } from '../gate.ts'
import { kindNames } from '../kind-names.ts'
import type { NamedKind } from '../kind-names.ts'
import type { AclRule } from '../object.ts'
import type { Ancestors, Explained, ObjectKey, TrustView, UserStanding } from './contract.ts'
import { anyCovers, covers, parseRight } from './patterns.ts'
import type { ParsedRight } from './patterns.ts'
import { parsePrincipal } from './principal.ts'
import type { ParsedPrincipal } from './principal.ts'
import { SERVICE_RIGHTS, serviceRight } from './rights.ts'

export interface AccessPolicyOptions {
  readonly kinds: { kindOf(name: string): NamedKind }
  /** The rules of one object, the same array while they are the same. */
  readonly rulesOf: (of: ObjectKey) => readonly AclRule[]
  readonly ancestors: Ancestors
  readonly trust: TrustView
  /** Further principals of the node itself and what each may do: "system:agent", "local:0/ci". */
  readonly grants?: Readonly<Record<string, readonly AclVerb[]>>
  /** The object whose rules hold for everything, and for what is asked of a node itself. Left out: there is none. */
  readonly global?: ObjectKey
}
export type AccessRequest = Pick<GateRequest, 'principal' | 'kind' | 'uuid' | 'verb' | 'acl' | 'via'>

export interface AccessPolicy {
  /** At once, from what this node has. */
  judge(request: AccessRequest): Explained
  /** A right that is not of an object ("function:deploy", rights.ts). A running function has none of them. */
  may(principal: string, right: string): Explained
}

interface CompiledRule { readonly rule: AclRule; readonly rights: readonly ParsedRight[] }
interface CompiledRules { readonly deny: readonly CompiledRule[]; readonly allow: readonly CompiledRule[] }
/** Who asks: what rules may call him. */
interface Subject { readonly parsed: ParsedPrincipal; readonly standing: UserStanding | undefined; readonly version: number; readonly names: ReadonlySet<string>; readonly denied: ReadonlySet<string> }

/** What a principal narrowed by a name may ask of a node, beside looking at objects: to compute, as itself, and to read what came of it. */
const NARROWED_MAY: ReadonlySet<string> = new Set(['function:run', 'function:invoke', 'function:emit', 'function:calls', 'function:logs'])
const SERVICES: ReadonlyMap<string, NamedKind> = new Map([...SERVICE_RIGHTS.keys()].map((kind) => [kind, { kind, plural: kind }]))

const no = (reason: string): Explained => ({ allowed: false, reason })
const yes = (reason: string): Explained => ({ allowed: true, reason })
interface FoundRule { readonly on: ObjectKey; readonly rule: AclRule; /** Of the object itself, not of what it is part of. */ readonly own: boolean }
const byRule = ({ on: { kind, uuid }, rule: { effect, principal, verbs }, own }: FoundRule): Explained => ({
  allowed: effect === 'allow', rule: { on: { kind, uuid }, effect, principal, verbs },
  reason: `a rule of ${own ? 'the object' : kind === 'Global' ? 'the whole fabric' : `its ${kind}`} ${effect === 'deny' ? 'denies it (see its acls())' : 'allows it'}`,
})

const compiledRules = new WeakMap<readonly AclRule[], CompiledRules>()
function compile(rules: readonly AclRule[]): CompiledRules {
  const known = compiledRules.get(rules)
  if (known !== undefined) return known
  const all = rules.map((rule): CompiledRule => ({ rule, rights: rule.verbs.map(parseRight).filter((right) => right !== undefined) }))
  const made = { deny: all.filter(({ rule }) => rule.effect === 'deny'), allow: all.filter(({ rule }) => rule.effect === 'allow') }
  // An empty list may be everybody's.
  if (rules.length > 0) compiledRules.set(rules, made)
  return made
}

export function createAccessPolicy({ kinds, rulesOf, ancestors, trust, grants: granted = {}, global }: AccessPolicyOptions): AccessPolicy {
  const grants = new Map(Object.entries(granted))
  const subjects = new Map<string, Subject>()

  const subjectOf = (text: string): Subject | undefined => {
    const known = subjects.get(text)
    const version = trust.version
    if (known !== undefined && known.version === version) return known
    const parsed = parsePrincipal(text)
    if (parsed === undefined) return undefined
    const { root } = parsed
    const standing = root.type === 'user' ? trust.user(root.name) : undefined
    const standsFor = standing === undefined ? [] : [...standing.groups.map((group) => `group:${group}`), ...standing.roles.map((role) => `role:${role}`)]
    const narrowed = parsed.narrowings.flatMap((narrowing) => (narrowing.by === 'name' ? [narrowing.principal] : []))
    const names = new Set(['*', ...(root.type === 'nobody' ? [] : [root.text]), ...standsFor])
    const subject = { parsed, standing, version, names, denied: new Set([...names, root.text, ...narrowed]) }
    subjects.delete(text)
    subjects.set(text, subject)
    const oldest = subjects.keys().next().value
    if (subjects.size > LIMITS.aclSubjectsMax && oldest !== undefined) subjects.delete(oldest)
    return subject
  }

  const decide = (subject: Subject, { principal, verb, acl, via }: AccessRequest, kind: NamedKind, chain: readonly ObjectKey[], service: string | undefined): Explained => {
    const { parsed: { root, narrowings }, standing, names, denied } = subject
    if (root.type === 'user' && standing === undefined) return no(`nobody of the name ${root.name} has logged in, or he was removed`)
    if (standing?.revoked === true) return no('the user was cut off ("kumoi user")')
    const compiled = chain.map((on) => compile(rulesOf(on)))
    const kindWords = kindNames(kind)
    const find = (effect: AclRule['effect'], who: (principal: string) => boolean): FoundRule | undefined => {
      for (let i = 0; i < compiled.length; i++) {
        for (const { rule, rights } of compiled[i]?.[effect] ?? []) {
          if (!who(rule.principal)) continue
          for (const right of rights) if (covers(right, kindWords, verb, acl)) return { on: chain[i] as ObjectKey, rule, own: i === 0 }
        }
      }
      return undefined
    }

    for (const narrowing of narrowings) {
      if (narrowing.by === 'rights') {
        if (!anyCovers(narrowing.patterns, kind, verb, acl)) return no(`it is narrowed to ${narrowing.patterns.join(', ')}`)
      } else if (ACL_VERBS[acl].privileged && grants.get(narrowing.principal)?.includes(acl) !== true && !(service !== undefined && NARROWED_MAY.has(service))
        && find('allow', (name) => name === narrowing.principal || name === '*') === undefined) {
        return no('a narrowed principal may only see and watch; run without "as", or grant it on that node')
      }
    }
    const repair = acl === 'administer' && root.type === 'local' && narrowings.length === 0 && via === undefined
    const denying = repair ? undefined : find('deny', (name) => denied.has(name) || (via !== undefined && name === `fn:${via}`))
    if (denying !== undefined) return byRule(denying)
    const allowing = find('allow', (name) => names.has(name))
    if (allowing !== undefined) return byRule(allowing)
    const role = standing?.roles.find((name) => anyCovers(trust.role(name), kind, verb, acl))
    if (role !== undefined) return yes(`the role ${role} allows it`)
    if (root.type === 'local') return yes(narrowings.length === 0 ? 'local administrator' : 'narrowed local principal')
    if (grants.get(principal)?.includes(acl) === true) return yes('granted by the node')
    return no(root.type === 'user' ? 'no rule and no role allows it; ask for it ("kumoi acl grant")'
      : root.type === 'nobody' ? 'nobody is logged in; log in ("kumoi login")' : 'the principal is not known to this node; log in again')
  }

  return {
    judge(request) {
      const subject = subjectOf(request.principal)
      if (subject === undefined) return no('the principal is not known to this node; log in again')
      return decide(subject, request, kinds.kindOf(request.kind), ancestors(request), undefined)
    },
    may(principal, right) {
      const asked = serviceRight(right)
      const kind = asked === undefined ? undefined : SERVICES.get(asked.kind)
      if (asked === undefined || kind === undefined) return no(`there is no right "${right}"`)
      if (parseFunctionPrincipal(principal) !== undefined) return no('a running function may not, whatever its rights')
      const subject = subjectOf(principal)
      if (subject === undefined) return no('the principal is not known to this node; log in again')
      return decide(subject, { principal, uuid: '', ...asked }, kind, global === undefined ? [] : [global], right)
    },
  }
}

/** Nobody is known: a node without users. */
export const NO_USERS: TrustView = Object.freeze({ user: () => undefined, role: () => [], version: 0 })

/** For nodes without rules and users: who holds the node's socket is its administrator; narrowed, he sees and watches, and has `grants`. */
export function localPolicy({ grants }: Pick<AccessPolicyOptions, 'grants'> = {}): (request: GateRequest) => Explained {
  const { judge } = createAccessPolicy({ kinds: { kindOf: named }, rulesOf: () => NO_RULES, ancestors: () => [], trust: NO_USERS, ...(grants === undefined ? {} : { grants }) })
  return judge
}
const NO_RULES: readonly AclRule[] = Object.freeze([])
const named = (kind: string): NamedKind => ({ kind, plural: kind })
