// Changes of the records of trust: read, decide, sign, write if nobody came between (LIMITS.trustTries times).
//
// Invariants: an epoch never goes down, also when the store shows an older record than the view has seen; revoking raises it,
// restoring keeps it: tokens of before stay dead. Each change answers once this node's view shows it.
// A login is one write: what the directory says of groups stands from then on for every rule, everywhere.

import { LIMITS, nearest } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { CertifiedSigner, GlobalStore } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import type { RevokedNodeRecord, RoleRecord, TrustSettings, UserRecord } from './contract.ts'
import type { DirectoryUser } from './directory.ts'
import { readRecord, revokedKey, roleKey, SETTINGS_KEY, userKey, writeRecord } from './records.ts'
import type { TrustKind, TrustRecords } from './records.ts'
import { DEFAULT_SETTINGS } from './tables.ts'
import type { NodeTrustView } from './view.ts'

export interface TrustBookOptions {
  readonly store: Pick<GlobalStore, 'get' | 'transact'>
  readonly view: NodeTrustView
  readonly signer: CertifiedSigner
  readonly clock: Clock
}

export interface TrustBook {
  /** What the directory answered, written. Throws USER_REVOKED: then nothing is. */
  login(user: DirectoryUser): Promise<UserRecord>
  /** Cut off, everywhere, tokens and all. Throws USER_UNKNOWN. */
  revokeUser(name: string): Promise<UserRecord>
  restoreUser(name: string): Promise<UserRecord>
  setRole(role: RoleRecord): Promise<RoleRecord>
  /** A built-in role is as it was; another one is gone. Throws ROLE_UNKNOWN. */
  removeRole(name: string): Promise<void>
  /** `change` is asked again when somebody came between. */
  changeSettings(change: (now: TrustSettings) => TrustSettings): Promise<TrustSettings>
  revokeNode(record: RevokedNodeRecord): Promise<void>
  /** Takes the revocation back. */
  readmitNode(node: NodeId): Promise<void>
}

export function createTrustBook({ store, view, signer, clock }: TrustBookOptions): TrustBook {
  const change = async <K extends TrustKind>(kind: K, key: string, seen: TrustRecords[K] | undefined, decide: (now: TrustRecords[K] | undefined) => TrustRecords[K] | 'remove'): Promise<TrustRecords[K] | undefined> => {
    for (let attempt = 0; attempt < LIMITS.trustTries; attempt++) {
      const entry = await store.get(key)
      let now: TrustRecords[K] | undefined
      try {
        now = entry === undefined ? undefined : readRecord(kind, key, entry.value, signer).record
      } catch {
        // Not believed: as if it were not there. What this node has seen before still counts.
      }
      const wanted = decide(newest(kind, now, seen))
      const { succeeded, revision } = await store.transact({
        when: [{ key, field: 'modRevision', is: '=', than: entry?.modRevision ?? 0 }],
        then: [wanted === 'remove' ? { do: 'delete', key } : { do: 'put', key, value: writeRecord(kind, wanted, signer) }],
      })
      if (!succeeded) continue
      await view.until(revision)
      return wanted === 'remove' ? undefined : wanted
    }
    throw KALI.CHANGED({ what: `The record ${key}` })
  }
  const user = async (name: string, decide: (now: UserRecord) => UserRecord): Promise<UserRecord> =>
    await change('user', userKey(name), view.userRecord(name), (now) => {
      if (now === undefined) throw KALI.USER_UNKNOWN({ user: name, near: nearest(name, view.users().map((one) => one.name)) ?? '' })
      return decide(now)
    }) as UserRecord

  return {
    async login({ name, dn, groups }) {
      if (view.userRecord(name) === undefined && view.users().length >= LIMITS.trustUsersMax) throw KALI.TRUST_INVALID({ what: 'the number of users', expected: `at most ${LIMITS.trustUsersMax}`, got: 'one more' })
      return await change('user', userKey(name), view.userRecord(name), (now) => {
        if (now?.state === 'revoked') throw KALI.USER_REVOKED({ user: name })
        return { name, dn, groups: groups.slice(0, LIMITS.userGroupsMax), epoch: now?.epoch ?? 0, state: 'active', lastLoginMs: clock.wallMs() }
      }) as UserRecord
    },
    revokeUser: (name) => user(name, (now) => ({ ...now, state: 'revoked', epoch: now.epoch + 1 })),
    restoreUser: (name) => user(name, (now) => ({ ...now, state: 'active' })),
    async setRole(role) {
      const count = view.roles().filter(({ builtIn, name }) => !builtIn && name !== role.name).length
      if (count >= LIMITS.trustRolesMax) throw KALI.TRUST_INVALID({ what: 'the number of roles', expected: `at most ${LIMITS.trustRolesMax}`, got: 'one more' })
      return await change('role', roleKey(role.name), undefined, () => role) as RoleRecord
    },
    async removeRole(name) {
      await change('role', roleKey(name), undefined, (now) => {
        if (now === undefined) throw KALI.ROLE_UNKNOWN({ role: name, known: view.roles().map((role) => role.name).join(', ') })
        return 'remove'
      })
    },
    changeSettings: async (decide) => await change('settings', SETTINGS_KEY, view.settings(), (now) => decide(now ?? DEFAULT_SETTINGS)) as TrustSettings,
    async revokeNode(record) {
      if (view.revokedNodes().length >= LIMITS.trustRevokedNodesMax) throw KALI.TRUST_INVALID({ what: 'the number of revoked nodes', expected: `at most ${LIMITS.trustRevokedNodesMax}`, got: 'one more' })
      await change('revoked', revokedKey(record.node), undefined, (now) => now ?? record)
    },
    readmitNode: async (node) => { await change('revoked', revokedKey(node), undefined, () => 'remove') },
  }
}

/** The store may have been set back; then what this node has seen is newer. */
function newest<K extends TrustKind>(kind: K, stored: TrustRecords[K] | undefined, seen: TrustRecords[K] | undefined): TrustRecords[K] | undefined {
  if (stored === undefined || seen === undefined) return stored ?? seen
  if (kind === 'user') return (seen as UserRecord).epoch > (stored as UserRecord).epoch ? seen : stored
  return kind === 'settings' && (seen as TrustSettings).tokenEpoch > (stored as TrustSettings).tokenEpoch ? seen : stored
}
