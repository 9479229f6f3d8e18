// Contract of access rules: who is asking, which objects' rules count, what a rule can say. Implemented in this folder;
// what a user is comes from kali/trust through TrustView, so that rmo/ knows neither LDAP nor tokens.
//
//   principal                       is
//   local:UID                       the administrator of a member machine: whoever holds a node's own socket
//   user:NAME                       somebody who logged in; his groups and roles are what TrustView says now, not what a token says
//   fn:NAME@VERSION#EPOCH/DEPLOYER  a deployed function: its version's rights, within its deployer's (functions/principal.ts)
//   P/NARROWING                     P, narrowed: by a name ("local:0/tenant": sees and watches), or by patterns joined by "+"
//                                   ("user:alice/vm:read+vm:start": these only). Narrowings add up; nothing widens.
//
// A rule stands on an object and holds for it and everything below: global > pool > machine > VM > what is the VM's.
// Order of judgement: narrowing, then any rule that denies on any object of the chain, then any that allows, then the
// roles of the user, then the machine's administrator. Nobody else may anything.

import type { Decision } from '../gate.ts'

/** "vm:start" (a verb of a kind), "vm:operate" (what ACL_VERBS calls it), "*:read", "*:*"; without a kind ("read"): "*:read". */
export type RightPattern = string
/** "user:alice", "group:ops", "role:operator", "local:0", "fn:NAME" (any version, any deployer), "*". */
export type RulePrincipal = string

export interface ObjectKey { readonly kind: string; readonly uuid: string }

/** What is known of a user at this moment, on this node. Must answer at once. */
export interface UserStanding {
  readonly groups: readonly string[]
  readonly roles: readonly string[]
  /** Cut off: nothing is allowed, whatever rules say. */
  readonly revoked: boolean
}
export interface TrustView {
  /** Undefined: nobody of that name has logged in, or he was removed. */
  user(name: string): UserStanding | undefined
  /** Patterns of a role on the whole fabric; none for one that is not known. */
  role(name: string): readonly RightPattern[]
  /** Rises when anything of the above changes: caches of decisions hang on it. */
  readonly version: number
}

/** Objects whose rules hold for `of`, itself first, the global object last. At once, from what this node has. */
export type Ancestors = (of: ObjectKey) => readonly ObjectKey[]

/** Why a principal may or may not: for `acl why` and messages. */
export type Explained = Decision & { readonly rule?: { readonly on: ObjectKey; readonly effect: 'allow' | 'deny'; readonly principal: RulePrincipal; readonly verbs: readonly RightPattern[] } }
