// What a deployed function may do with objects: its rights ("vm:read", "pm:execute"), within what its deployer may do,
// and, for a singleton, only while its epoch is the present one. Stands before the node's own policy at the one gate.
//
//   principal fn:NAME@VERSION#EPOCH/DEPLOYER -> rights of that version -> fence (changing verbs) -> policy, as the deployer
//
// The rights belong to the version that runs, not to the latest one: a deploy does not change what a running call may do.

import { parseFunctionPrincipal } from '../functions/base.ts'
import type { FunctionPrincipal } from '../functions/mod.ts'
import { anyCovers, parseRight, patternProblem } from './acl/patterns.ts'
import { RMO } from './errors.ts'
import { ACL_VERBS } from './gate.ts'
import type { AclVerb, GateRequest, Policy } from './gate.ts'
import type { Kind } from './kind.ts'
import { kindNames, namesKind } from './kind-names.ts'
import type { KindRegistry } from './registry.ts'

export interface FunctionRulesOptions {
  readonly kinds: KindRegistry
  /** A version (first 12 hex); undefined when nobody knows it. A promise where a call is ahead of what this node has seen. */
  versionOf(name: string, version: string): FunctionRights | Promise<FunctionRights>
  /** Rejects unless the epoch is the present one of that singleton (Holders.check). */
  fence(name: string, epoch: number): Promise<void>
}

export interface FunctionRules {
  /** For function principals; everyone else goes straight to `otherwise`. */
  policy(otherwise: Policy): Policy
  /** Why `principal` may not see objects of that kind in listings and as elements; undefined: it may. */
  unreadable(kind: string, principal: string): Error | undefined | Promise<Error | undefined>
}
type FunctionRights = { readonly rights: readonly string[]; readonly singleton: boolean } | undefined

/** What leads to the objects of a machine is readable for whoever may do anything with any of them. */
const WAY_TO_OBJECTS: ReadonlySet<string> = new Set(['PhysicalMachine', 'VMM'])

const namesAny = (text: string, kind: Kind): boolean => {
  const of = parseRight(text)?.kind
  return of !== undefined && (of === '*' || kindNames(kind).has(of))
}
const kindsText = (kinds: KindRegistry): string => `a kind that exists (${kinds.kinds.map((kind) => kind.plural.replace(/s$/, '')).join(', ')})`

/** What would be right instead of a kind's name; undefined: it names one. */
export const kindProblem = (name: string, kinds: KindRegistry): string | undefined =>
  kinds.kinds.some((kind) => namesKind(name, kind)) ? undefined : kindsText(kinds)

/** What is wrong with a right of a manifest as it is written, in words; undefined: nothing. "function:invoke" and the like are not objects' and not checked here. */
export const rightProblem = (right: string, kinds: KindRegistry): string | undefined =>
  right.includes(':') ? patternProblem(right, kinds, 'objects only') : 'a kind and a verb, such as "vm:read"'

export function createFunctionRules({ kinds, versionOf, fence }: FunctionRulesOptions): FunctionRules {
  /** The kind whose objects a verb answers: reading pm.vms is reading VMs. */
  const answered = (kind: Kind, verb: string): Kind => {
    const of = kind.collections[verb]?.kind ?? kind.references[verb]?.kind
    return of === undefined ? kind : kinds.kindOf(of)
  }
  const allows = (rights: readonly string[], kind: Kind, verb: string, acl: AclVerb): boolean =>
    anyCovers(rights, kind, verb, acl) || (acl === 'read' && WAY_TO_OBJECTS.has(kind.kind) && kinds.kinds.some((any) => rights.some((right) => namesAny(right, any))))
  const missing = (kind: Kind, acl: AclVerb): string => `the function has no right "${kind.plural.replace(/s$/, '')}:${acl}"; add it to its rights and deploy it again`

  const unknown = ({ name, version }: FunctionPrincipal): string => `no version ${version} of function ${name} is known`

  const judge = (caller: FunctionPrincipal, version: FunctionRights, request: GateRequest, otherwise: Policy): ReturnType<Policy> => {
    if (version === undefined) return { allowed: false, reason: unknown(caller) }
    const own = kinds.kindOf(request.kind), kind = answered(own, request.verb)
    if (!allows(version.rights, kind, kind === own ? request.verb : request.acl, request.acl)) return { allowed: false, reason: missing(kind, request.acl) }
    // Rules that deny "fn:NAME" hold for it, too.
    const asDeployer = { ...request, principal: caller.deployer, via: caller.name }
    if (!ACL_VERBS[request.acl].privileged) return otherwise(asDeployer)
    // Its filter, and its module code while it is loaded, run on any node in no epoch: they look, and change nothing.
    if (caller.epoch === undefined) return version.singleton ? { allowed: false, reason: 'a singleton changes things only in its run, under its epoch; not in a filter, and not while its file is loaded' } : otherwise(asDeployer)
    return fence(caller.name, caller.epoch).then(() => otherwise(asDeployer))
  }
  const readable = (caller: FunctionPrincipal, version: FunctionRights, kind: Kind, principal: string): Error | undefined => {
    if (version !== undefined && allows(version.rights, kind, 'read', 'read')) return undefined
    return RMO.DENIED({ principal, kind: kind.kind, name: kind.plural, verb: 'list', acl: 'read', reason: version === undefined ? unknown(caller) : missing(kind, 'read') })
  }

  return {
    policy: (otherwise) => (request) => {
      const caller = parseFunctionPrincipal(request.principal)
      if (caller === undefined) return otherwise(request)
      return after(versionOf(caller.name, caller.version), (version) => judge(caller, version, request, otherwise))
    },
    unreadable(name, principal) {
      const caller = parseFunctionPrincipal(principal)
      if (caller === undefined) return undefined
      return after(versionOf(caller.name, caller.version), (version) => readable(caller, version, kinds.kindOf(name), principal))
    },
  }
}

/** At once when it is there: a promise would cost every read of an object a turn. */
const after = <T, U>(value: T | Promise<T>, use: (value: T) => U | Promise<U>): U | Promise<U> => (value instanceof Promise ? value.then(use) : use(value))
