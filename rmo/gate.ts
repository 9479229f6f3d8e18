// The gate: whoever asks, from a shell, a sandbox or another node, every verb passes here before it runs.
//
// A policy answers for one request: the rules of the object (aclPolicy), then the node's own, which knows local
// administrators only. Privileged verbs are logged whether they
// were allowed or not. The gate stands on the object's home: a node never relies on another's check.

import type { Clock, NodeId } from '../fabric/base.ts'
import { RMO } from './errors.ts'
import type { AclRule } from './object.ts'

export interface AclVerbEntry { readonly doc: string; readonly privileged: boolean }

/** What an access rule can grant. Each verb of each kind needs exactly one of these. */
export const ACL_VERBS = {
  read: { doc: 'see attributes, info, stats, dump and collections', privileged: false },
  watch: { doc: 'receive events', privileged: false },
  update: { doc: 'change settings', privileged: true },
  create: { doc: 'make new objects in it', privileged: true },
  delete: { doc: 'remove it', privileged: true },
  operate: { doc: 'start, stop, suspend, migrate', privileged: true },
  execute: { doc: 'run programs on it', privileged: true },
  inspect: { doc: 'read files and consoles of it', privileged: true },
  administer: { doc: 'change who may do what', privileged: true },
} as const satisfies Readonly<Record<string, AclVerbEntry>>
export type AclVerb = keyof typeof ACL_VERBS

export interface GateRequest {
  readonly principal: string
  readonly trace: string
  readonly node: NodeId
  readonly kind: string
  readonly uuid: string
  readonly name: string
  readonly verb: string
  readonly acl: AclVerb
}
export type Decision = { readonly allowed: true; readonly reason: string } | { readonly allowed: false; readonly reason: string }

/** Decides one request. Must be quick; it stands in the path of each call. */
export type Policy = (request: GateRequest) => Decision | Promise<Decision>

/** One line about a privileged verb: when (wall clock), what was asked, and what was decided. */
export interface GateRecord extends GateRequest { readonly atMs: number; readonly allowed: boolean; readonly reason: string }
export type GateLog = (record: GateRecord) => void

export interface Gate {
  /** Resolves when the verb may run; rejects with RMO_ERR_DENIED. */
  pass(request: GateRequest): Promise<void>
}

export interface LocalPolicyOptions {
  /** Further principals and what each may do: "local:0/tenant" -> ['execute']. */
  readonly grants?: Readonly<Record<string, readonly AclVerb[]>>
}

const LOCAL_ADMIN = /^local:\d+$/
const LOCAL_NARROWED = /^local:\d+\/./

/**
 * The node's own rule until objects have ACLs: who holds the node's socket is its administrator
 * ("local:<uid>"); a principal narrowed by its owner ("local:<uid>/name") may see and watch, and what
 * `grants` adds; anyone else nothing.
 */
export function localPolicy(options: LocalPolicyOptions = {}): Policy {
  const grants = new Map(Object.entries(options.grants ?? {}))
  return ({ principal, acl }) => {
    if (LOCAL_ADMIN.test(principal)) return { allowed: true, reason: 'local administrator' }
    if (grants.get(principal)?.includes(acl) === true) return { allowed: true, reason: 'granted by the node' }
    if (!LOCAL_NARROWED.test(principal)) return { allowed: false, reason: 'the principal is not known to this node; log in again' }
    return ACL_VERBS[acl].privileged
      ? { allowed: false, reason: 'a narrowed principal may only see and watch; run without "as", or grant it on that node' }
      : { allowed: true, reason: 'narrowed local principal' }
  }
}

/**
 * The object's own rules before `otherwise`: a rule that denies wins, one that allows is enough. The machine's
 * administrator can always repair the rules themselves.
 */
export function aclPolicy(rulesOf: (of: { readonly kind: string; readonly uuid: string }) => readonly AclRule[], otherwise: Policy): Policy {
  return (request) => {
    const matching = rulesOf(request).filter(({ principal, verbs }) => (principal === '*' || principal === request.principal) && verbs.includes(request.acl))
    const repair = request.acl === 'administer' && LOCAL_ADMIN.test(request.principal)
    if (matching.some(({ effect }) => effect === 'deny') && !repair) return { allowed: false, reason: 'a rule of the object denies it (see its acls())' }
    if (matching.some(({ effect }) => effect === 'allow')) return { allowed: true, reason: 'a rule of the object allows it' }
    return otherwise(request)
  }
}

export interface GateOptions { readonly policy: Policy; readonly log: GateLog; readonly clock: Clock }

export function createGate({ policy, log, clock }: GateOptions): Gate {
  return {
    async pass(request) {
      const answer = policy(request)
      const decision = answer instanceof Promise ? await answer : answer
      if (ACL_VERBS[request.acl].privileged) log({ ...request, atMs: clock.wallMs(), allowed: decision.allowed, reason: decision.reason })
      if (!decision.allowed) {
        const { principal, kind, name, verb, acl } = request
        throw RMO.DENIED({ principal, kind, name, verb, acl, reason: decision.reason })
      }
    },
  }
}
