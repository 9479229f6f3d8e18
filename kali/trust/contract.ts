// Contract of trust: who users are, what a token says, how a connection becomes a user's. Records stand in the global store
// under trust/, every node holds a view of them (watch) and a copy on disk for when the store is away.
//
//   kumoi login alice -> shell makes a key pair -> trust.login over the node's socket -> LDAP over TLS -> token, signed by the node
//   kumoi ...         -> trust.challenge -> trust.present(token, signature of the challenge by the holder's key) -> this connection is user:alice
//
// A token is verified anywhere without asking anybody (the signer's certificate chain leads to the fabric's key), and is never by
// itself a yes: what the user may do is what rules and roles say now (rmo/acl), and a revoked one is nobody.

import type { NodeId } from '../../fabric/base.ts'
import type { RightPattern } from '../../rmo/mod.ts'

/** trust/user/NAME: written at each login from what the directory says. NAME is canonical (lower case, NFKC). */
export interface UserRecord {
  readonly name: string
  readonly dn: string
  readonly groups: readonly string[]
  /** Tokens issued in an older epoch are refused: raised by revoke. */
  readonly epoch: number
  readonly state: 'active' | 'revoked'
  readonly lastLoginMs: number
}
/** trust/role/NAME */
export interface RoleRecord { readonly name: string; readonly groups: readonly string[]; readonly users: readonly string[]; readonly patterns: readonly RightPattern[] }
/** trust/settings */
export interface TrustSettings {
  readonly ldap?: LdapSettings
  /** Tokens of an older epoch are refused, everybody's: raised by `kumoi key rotate`. */
  readonly tokenEpoch: number
  /** Life of a token; at most LIMITS.tokenLifeMsMax. */
  readonly tokenLifeMs: number
}
export interface LdapSettings {
  /** ldaps://host:636, or ldap://host with startTls */
  readonly url: string
  readonly startTls: boolean
  /** PEM of the authority that signed the server's certificate; left out: those that the machine trusts. */
  readonly ca?: string
  /** Account that searches; left out: anonymous. Its password is a sealed secret of the store, never here. */
  readonly bindDn?: string
  readonly userBase: string
  /** "(uid={name})": {name} is escaped. */
  readonly userFilter: string
  readonly groupBase?: string
  /** "(member={dn})" */
  readonly groupFilter?: string
}
/** trust/revoked/NODE */
export interface RevokedNodeRecord { readonly node: NodeId; readonly name: string; readonly atMs: number; readonly by: string; readonly reason: string; /** Members of that moment: whom the node had admitted counts on, whom it admits from then on does not (fabric/identity/revocation.ts). */ readonly kept?: readonly NodeId[] }

/** What is signed. Times are wall clock; a minute of skew is forgiven. */
export interface TokenClaims {
  readonly v: 1
  readonly id: string
  readonly fabric: string
  readonly issuer: NodeId
  readonly user: string
  readonly groups: readonly string[]
  /** Hex Ed25519 public key: only who has its private half may present the token. */
  readonly holder: string
  /** Nodes that may take it; empty: every member of the fabric. */
  readonly audience: readonly NodeId[]
  /** Narrowing; empty: all that the user may. */
  readonly verbs: readonly RightPattern[]
  /** Calls that one node lets it make; undefined: as many as it lives. */
  readonly budgetCalls?: number
  readonly userEpoch: number
  readonly tokenEpoch: number
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  /** A live session gets new tokens until then, not later: then the directory is asked again. At expiresAtMs: never renewed. */
  readonly renewableUntilMs: number
}
export interface VerifiedToken { readonly claims: TokenClaims; /** "user:alice", with "/vm:read+vm:start" when narrowed. */ readonly principal: string }
