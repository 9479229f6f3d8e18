// Records of trust in memory, judged as they come: the tables behind the view. No I/O, no clock.
//
// Invariants: a record never goes back (modRevision); epochs never go down; users and settings are not taken away; what a
// node wrote after it was revoked is not taken in. Groups, and through them roles, are those of the user's record now.

import { LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { CertifiedSigner } from '../../fabric/mod.ts'
import type { RightPattern, UserStanding } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { RevokedNodeRecord, RoleRecord, TrustSettings, UserRecord } from './contract.ts'
import { kindOfKey, readRecord, revokedKey, roleKey, SETTINGS_KEY, userKey } from './records.ts'
import type { TrustKind, TrustRecords } from './records.ts'

/** Roles of a fabric that has no record of that name: rights without members. */
export const BUILT_IN_ROLES: readonly RoleRecord[] = [
  { name: 'admin', groups: [], users: [], patterns: ['*:*'] },
  { name: 'operator', groups: [], users: [], patterns: ['*:operate', '*:read', '*:update', '*:watch', 'function:invoke', 'function:run'] },
  { name: 'reader', groups: [], users: [], patterns: ['*:read', '*:watch', 'function:run'] },
]
export const DEFAULT_SETTINGS: TrustSettings = Object.freeze({ tokenEpoch: 0, tokenLifeMs: LIMITS.tokenLifeMsMax })

interface Kept<K extends TrustKind = TrustKind> { readonly kind: K; readonly record: TrustRecords[K]; readonly modRevision: number }

export interface TrustTablesOptions {
  readonly signer: Pick<CertifiedSigner, 'verify'>
  /** A record was not taken in. */
  readonly left: (key: string, error: unknown) => void
}

export class TrustTables {
  readonly #kept = new Map<string, Kept>()
  readonly #options: TrustTablesOptions
  /** Roles of each user, thrown away with each change. */
  #standings = new Map<string, UserStanding>()

  constructor(options: TrustTablesOptions) { this.#options = options }

  /** What changed; undefined: nothing, or the record was left out. */
  put(key: string, value: Uint8Array, modRevision: number): { readonly kind: TrustKind; readonly name: string } | undefined {
    const of = kindOfKey(key)
    const before = this.#kept.get(key)
    if (of === undefined || (before !== undefined && before.modRevision >= modRevision)) return undefined
    try {
      const { record, signer } = readRecord(of.kind, key, value, this.#options.signer)
      const revoked = this.#kept.get(revokedKey(signer))
      if (revoked !== undefined && revoked.modRevision < modRevision) throw KALI.TRUST_UNSIGNED({ key, reason: `node ${signer.slice(0, 8)}, which signed it, had been revoked` })
      if (before !== undefined && epochOf(before) > epochOf({ kind: of.kind, record, modRevision })) throw KALI.TRUST_UNSIGNED({ key, reason: 'it is an older one' })
      this.#kept.set(key, { kind: of.kind, record, modRevision })
      this.#standings = new Map()
      return of
    } catch (error) {
      this.#options.left(key, error)
      return undefined
    }
  }

  /** As put(). */
  remove(key: string): { readonly kind: TrustKind; readonly name: string } | undefined {
    const kept = this.#kept.get(key)
    const of = kindOfKey(key)
    if (kept === undefined || of === undefined) return undefined
    if (kept.kind === 'user' || kept.kind === 'settings') {
      this.#options.left(key, KALI.TRUST_UNSIGNED({ key, reason: 'it was deleted, which nobody of this fabric does' }))
      return undefined
    }
    this.#kept.delete(key)
    this.#standings = new Map()
    return of
  }

  keys(): readonly string[] { return [...this.#kept.keys()] }

  user(name: string): UserRecord | undefined { return this.#record('user', userKey(name)) }
  users(): readonly UserRecord[] { return this.#all('user').toSorted((a, b) => (a.name < b.name ? -1 : 1)) }
  settings(): TrustSettings { return this.#record('settings', SETTINGS_KEY) ?? DEFAULT_SETTINGS }
  revokedNode(node: NodeId): RevokedNodeRecord | undefined { return this.#record('revoked', revokedKey(node)) }
  revokedNodes(): readonly RevokedNodeRecord[] { return this.#all('revoked') }
  role(name: string): readonly RightPattern[] { return (this.#record('role', roleKey(name)) ?? BUILT_IN_ROLES.find((role) => role.name === name))?.patterns ?? [] }
  roles(): readonly (RoleRecord & { readonly builtIn: boolean })[] {
    const own = this.#all('role')
    const builtIn = BUILT_IN_ROLES.filter(({ name }) => !own.some((role) => role.name === name))
    return [...own.map((role) => ({ ...role, builtIn: false })), ...builtIn.map((role) => ({ ...role, builtIn: true }))].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  standing(name: string): UserStanding | undefined {
    const record = this.user(name)
    if (record === undefined) return undefined
    const known = this.#standings.get(name)
    if (known !== undefined) return known
    const { groups, state } = record
    const roles = this.#all('role').filter((role) => role.users.includes(name) || role.groups.some((group) => groups.includes(group))).map((role) => role.name)
    const standing: UserStanding = Object.freeze({ groups, roles, revoked: state === 'revoked' })
    this.#standings.set(name, standing)
    return standing
  }

  #record<K extends TrustKind>(kind: K, key: string): TrustRecords[K] | undefined {
    const kept = this.#kept.get(key)
    return kept?.kind === kind ? kept.record as TrustRecords[K] : undefined
  }
  #all<K extends TrustKind>(kind: K): TrustRecords[K][] {
    return [...this.#kept.values()].flatMap((kept) => (kept.kind === kind ? [kept.record as TrustRecords[K]] : []))
  }
}

/** What of a record only goes up. */
function epochOf({ kind, record }: Kept): number {
  if (kind === 'user') return (record as UserRecord).epoch
  return kind === 'settings' ? (record as TrustSettings).tokenEpoch : 0
}
