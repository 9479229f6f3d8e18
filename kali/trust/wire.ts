// Methods of trust and what travels in them; loaded by shells too.
//
//   of a connection   trust.challenge -> { fabric, node, nonce }         trust.present { token, proof } -> WhoAmI
//                     trust.login { user, password, holder, verbs, nodes, calls, lifeMs } -> { token, ... }
//                     trust.renew -> { token, ... }                      trust.whoami -> WhoAmI
//   of administrators trust.show, trust.user.*, trust.role.*, trust.rotate, trust.ldap.*

import type { NodeId } from '../../fabric/base.ts'
import type { LdapSettings, RevokedNodeRecord, RoleRecord, UserRecord } from './contract.ts'

export const TRUST_METHODS = {
  challenge: 'trust.challenge', present: 'trust.present', login: 'trust.login', renew: 'trust.renew', whoami: 'trust.whoami',
  show: 'trust.show', users: 'trust.user.list', revoke: 'trust.user.revoke', restore: 'trust.user.restore',
  roles: 'trust.role.list', setRole: 'trust.role.set', removeRole: 'trust.role.rm', rotate: 'trust.rotate',
  ldapSet: 'trust.ldap.set', ldapRemove: 'trust.ldap.rm', ldapTest: 'trust.ldap.test',
} as const

export interface Challenge { readonly fabric: NodeId; readonly node: NodeId; readonly nonce: string }

export interface LoginBody {
  readonly user: string
  readonly password: string
  /** Hex public key. */
  readonly holder: string
  readonly verbs: readonly string[]
  /** Names or ids of nodes. */
  readonly nodes: readonly string[]
  readonly calls?: number
  readonly lifeMs?: number
}

/** A token, and what its holder need know of it. Times are the node's wall clock. */
export interface LoginAnswer {
  readonly token: string
  readonly fabric: NodeId
  readonly principal: string
  readonly user: string
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  readonly renewableUntilMs: number
}

export interface WhoAmI {
  /** "local:0", "user:alice/vm:read", "nobody". */
  readonly principal: string
  readonly node: string
  readonly fabric: NodeId
  /** Of a user. */
  readonly user?: {
    readonly name: string
    readonly groups: readonly string[]
    readonly roles: readonly string[]
    readonly verbs: readonly string[]
    readonly nodes: readonly NodeId[]
    readonly calls?: number
    readonly expiresAtMs: number
    readonly renewableUntilMs: number
  }
}

export type UserRow = UserRecord & { readonly roles: readonly string[]; readonly sessions: number }
export type RoleRow = RoleRecord & { readonly builtIn: boolean }
export interface TrustShown {
  readonly ldap: LdapSettings | null
  readonly ldapPassword: boolean
  readonly tokenEpoch: number
  readonly tokenLifeMs: number
  readonly users: number
  readonly roles: number
  readonly sessions: readonly { readonly user: string; readonly principal: string; readonly door: string; readonly sinceMs: number; readonly expiresAtMs: number }[]
  readonly revokedNodes: readonly RevokedNodeRecord[]
}

/** One step of `trust ldap test`: the last one is not ok if something failed. */
export interface LdapStep { readonly step: string; readonly ok: boolean; readonly says: string }
