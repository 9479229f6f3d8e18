// Records of trust as they stand in the global store: canonical JSON, signed by the node that wrote them.
//
//   trust/user/NAME   trust/role/NAME   trust/settings   trust/revoked/NODE
//
// The signature covers the purpose ("kumoi trust user 1"), a zero byte, the key and the canonical JSON without `signature`: no
// signed text can be taken for another kind, and none moved to another key. Nothing of a record is believed before its
// signature, its shape and its key fit together: whoever can write to the store (an etcd outside the fabric) can take
// records away, not make them; what he cannot take back either is said in view.ts.

import { isNodeId, LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { CertifiedSigner } from '../../fabric/mod.ts'
import { canonicalJson, flag, integer, list, object, oneOf, ShapeError, text } from '../../functions/mod.ts'
import type { Reader } from '../../functions/mod.ts'
import { KALI } from '../errors.ts'
import type { LdapSettings, RevokedNodeRecord, RoleRecord, TrustSettings, UserRecord } from './contract.ts'
import { canonicalGroupName, canonicalUserName } from './names.ts'
import { PATTERN } from './patterns.ts'

export const TRUST_PREFIX = 'trust/'

/** What each kind of record is. */
export interface TrustRecords {
  readonly user: UserRecord
  readonly role: RoleRecord
  readonly settings: TrustSettings
  readonly revoked: RevokedNodeRecord
}
export type TrustKind = keyof TrustRecords

export const userKey = (name: string): string => `${TRUST_PREFIX}user/${name}`
export const roleKey = (name: string): string => `${TRUST_PREFIX}role/${name}`
export const SETTINGS_KEY = `${TRUST_PREFIX}settings`
export const revokedKey = (node: NodeId): string => `${TRUST_PREFIX}revoked/${node}`

/** Which record a key is for; undefined: none of ours (a later version's). */
export function kindOfKey(key: string): { readonly kind: TrustKind; readonly name: string } | undefined {
  if (key === SETTINGS_KEY) return { kind: 'settings', name: '' }
  const [, kind, name] = /^trust\/(user|role|revoked)\/(.+)$/.exec(key) ?? []
  return kind === undefined || name === undefined ? undefined : { kind: kind as TrustKind, name }
}

// ---------------------------------------------------------------- shapes

const MS_MAX = Number.MAX_SAFE_INTEGER
const EPOCH_MAX = 1_000_000_000
const REASON_CHARS_MAX = 512
const URL_CHARS_MAX = 1_024
const PEM_CHARS_MAX = 32_768
const named = (canonical: (text: string) => string, expected: string): Reader<string> => (value, path) => {
  let same = false
  try { same = typeof value === 'string' && canonical(value) === value } catch { /* is what is asked here */ }
  if (!same) throw new ShapeError(`${path} is not ${expected}`)
  return value as string
}
export const userName = named(canonicalUserName, 'the canonical name of a user')
export const groupName = named(canonicalGroupName, 'the canonical name of a group')
export const pattern: Reader<string> = text({ like: PATTERN, charsMax: LIMITS.patternCharsMax })
export const nodeId: Reader<NodeId> = (value, path) => {
  if (typeof value !== 'string' || !isNodeId(value)) throw new ShapeError(`${path} is not a node id`)
  return value
}
const line = text({ charsMax: LIMITS.userDnCharsMax })
const ldap = object<LdapSettings>({
  url: text({ charsMax: URL_CHARS_MAX }), startTls: flag, ca: text({ charsMax: PEM_CHARS_MAX }), bindDn: line, userBase: line, userFilter: line, groupBase: line, groupFilter: line,
}, ['ca', 'bindDn', 'groupBase', 'groupFilter'])

/** Every field by name: one that is added to contract.ts is added here, or the type check says so. */
const SHAPES: { readonly [K in TrustKind]: Reader<TrustRecords[K] & Stamp> } = {
  user: object<UserRecord & Stamp>({
    name: userName, dn: line, groups: list(groupName, LIMITS.userGroupsMax), epoch: integer(0, EPOCH_MAX), state: oneOf('active', 'revoked'), lastLoginMs: integer(0, MS_MAX), ...stampShape(),
  }),
  role: object<RoleRecord & Stamp>({
    name: userName, groups: list(groupName, LIMITS.roleMembersMax), users: list(userName, LIMITS.roleMembersMax), patterns: list(pattern, LIMITS.rolePatternsMax), ...stampShape(),
  }),
  settings: object<TrustSettings & Stamp>({
    ldap, tokenEpoch: integer(0, EPOCH_MAX), tokenLifeMs: integer(LIMITS.tokenLifeMsMin, LIMITS.tokenLifeMsMax), ...stampShape(),
  }, ['ldap']),
  revoked: object<RevokedNodeRecord & Stamp>({
    node: nodeId, name: text({ charsMax: 128 }), atMs: integer(0, MS_MAX), by: text({ charsMax: REASON_CHARS_MAX }), reason: text({ charsMax: REASON_CHARS_MAX }), kept: list(nodeId, LIMITS.trustKeptMembersMax), ...stampShape(),
  }, ['kept']),
}

/** Who wrote it. */
interface Stamp { readonly signer: NodeId; readonly signature: string }
function stampShape(): { readonly signer: Reader<NodeId>; readonly signature: Reader<string> } {
  return { signer: nodeId, signature: text({ like: /^[0-9a-f]+$/, charsMax: LIMITS.trustRecordBytesMax }) }
}

// ---------------------------------------------------------------- bytes

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const statement = (kind: TrustKind, key: string, unsigned: object): Uint8Array => encoder.encode(`kumoi trust ${kind} 1\0${key}\0${canonicalJson(unsigned)}`)

export const keyOfRecord = <K extends TrustKind>(kind: K, record: TrustRecords[K]): string =>
  kind === 'user' ? userKey((record as UserRecord).name) : kind === 'role' ? roleKey((record as RoleRecord).name) : kind === 'revoked' ? revokedKey((record as RevokedNodeRecord).node) : SETTINGS_KEY

/** Bytes for the store. Throws TRUST_INVALID for a record that another node could not read. */
export function writeRecord<K extends TrustKind>(kind: K, record: TrustRecords[K], signer: Pick<CertifiedSigner, 'node' | 'sign'>): Uint8Array {
  const unsigned = { ...record, signer: signer.node }
  const signature = signer.sign(statement(kind, keyOfRecord(kind, record), unsigned))
  try {
    SHAPES[kind]({ ...unsigned, signature }, kind)
  } catch (error) {
    throw KALI.TRUST_INVALID({ what: `the record of a ${kind}`, expected: 'within its bounds', got: error instanceof ShapeError ? error.message : String(error) })
  }
  const bytes = encoder.encode(canonicalJson({ ...unsigned, signature }))
  if (bytes.byteLength > LIMITS.trustRecordBytesMax) throw KALI.TRUST_INVALID({ what: `the record of a ${kind}`, expected: `at most ${LIMITS.trustRecordBytesMax} bytes`, got: `${bytes.byteLength}` })
  return bytes
}

export interface OpenedRecord<K extends TrustKind> { readonly record: TrustRecords[K]; readonly signer: NodeId }

/** The record under `key`. Throws TRUST_UNSIGNED. */
export function readRecord<K extends TrustKind>(kind: K, key: string, bytes: Uint8Array, signer: Pick<CertifiedSigner, 'verify'>): OpenedRecord<K> {
  const refuse = (reason: string): never => { throw KALI.TRUST_UNSIGNED({ key, reason }) }
  if (bytes.byteLength > LIMITS.trustRecordBytesMax) refuse(`it has ${bytes.byteLength} bytes`)
  let stamped: TrustRecords[K] & Stamp
  try {
    stamped = SHAPES[kind](JSON.parse(decoder.decode(bytes)) as unknown, 'it')
  } catch (error) {
    return refuse(`it cannot be read: ${error instanceof ShapeError ? error.message : 'it is no JSON'}`)
  }
  const { signature, ...unsigned } = stamped
  if (!signer.verify(stamped.signer, statement(kind, key, unsigned), signature)) refuse(`its signature is not that of node ${stamped.signer.slice(0, 8)} of this fabric, or it was altered or moved`)
  const { signer: by, ...record } = unsigned
  if (keyOfRecord(kind, record as unknown as TrustRecords[K]) !== key) refuse('it is the record of something else')
  return { record: Object.freeze(record) as unknown as TrustRecords[K], signer: by }
}
