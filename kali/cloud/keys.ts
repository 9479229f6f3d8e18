// Keys of the cloud in the global store: the only place that writes them. records.ts names them without their front part.
//
//   cloud/...          watched by every node's view: pools, machines, intents, statuses, groups, rules, leases, quotas, access rules, mode
//   cloud-name/...     uniqueness of names
//   cloud-booked/...   counters of what is booked
//   cloud-memory/...   what policies remember
//   cloud-decision/... why
//   cloud-voters/...   who decides whether a host may be taken over (kali/lease/voters.ts)
//
// One prefix for all that is watched: one watch a node (a watch a kind would be nine thousand at a thousand nodes, of the
// store's ten), and a node sees the changes of a transaction together. Always use these functions: a condition on a key
// that is spelled otherwise would hold for ever.

import { LIMITS } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { StoreCompare } from '../../fabric/mod.ts'
import type { QuotaScope } from './records.ts'

export const CLOUD_PREFIX = 'cloud/'
export const NAME_PREFIX = 'cloud-name/'
export const BOOKED_PREFIX = 'cloud-booked/'
/** Every key of the cloud is under one of these. */
export const CLOUD_PREFIXES = [CLOUD_PREFIX, NAME_PREFIX, BOOKED_PREFIX, 'cloud-memory/', 'cloud-decision/', 'cloud-voters/'] as const

export const CLOUD_KEYS = {
  pool: (uuid: string) => `cloud/pool/${uuid}`,
  machine: (uuid: string) => `cloud/machine/${uuid}`,
  vm: (uuid: string) => `cloud/vm/${uuid}`,
  status: (vm: string) => `cloud/status/${vm}`,
  group: (uuid: string) => `cloud/group/${uuid}`,
  rule: (pool: string, name: string) => `cloud/rule/${pool}/${name}`,
  rulesOf: (pool: string) => `cloud/rule/${pool}/`,
  lease: (node: NodeId) => `cloud/lease/${node}`,
  voters: (node: NodeId) => `cloud-voters/${node}`,
  quota: (scope: QuotaScope) => `cloud/quota/${scope}`,
  access: (kind: string, uuid: string) => `cloud/access/${kind}/${uuid}`,
  mode: 'cloud/mode',
  poolName: (name: string) => `cloud-name/pool/${name}`,
  vmName: (pool: string, name: string) => `cloud-name/vm/${pool}/${name}`,
  booked: (scope: QuotaScope) => `cloud-booked/${scope}`,
  memory: (policy: string, pool: string) => `cloud-memory/${pool}/${policy}`,
  memoriesOf: (pool: string) => `cloud-memory/${pool}/`,
  decisionsOf: (pool: string) => `cloud-decision/${pool}/`,
} as const

/** Condition of a takeover: the old host's lease is not there. */
export const leaseGone = (node: NodeId): StoreCompare => ({ key: CLOUD_KEYS.lease(node), field: 'createRevision', is: '=', than: 0 })

/** Condition of what only the holder of a lease may do. */
export const leaseThere = (node: NodeId): StoreCompare => ({ key: CLOUD_KEYS.lease(node), field: 'createRevision', is: '!=', than: 0 })

export type WatchedType = 'pool' | 'machine' | 'vm' | 'status' | 'group' | 'rule' | 'lease' | 'quota' | 'access' | 'mode'
const WATCHED: ReadonlySet<string> = new Set(['pool', 'machine', 'vm', 'status', 'group', 'rule', 'lease', 'quota', 'access'])

/** What a watched key is of, and the rest of it; undefined: of nothing that is known (a newer node's). */
export function watchedKey(key: string): { readonly type: WatchedType; readonly id: string } | undefined {
  if (key === CLOUD_KEYS.mode) return { type: 'mode', id: 'mode' }
  const slash = key.indexOf('/', CLOUD_PREFIX.length)
  const type = key.slice(CLOUD_PREFIX.length, slash)
  return slash > 0 && WATCHED.has(type) ? { type: type as WatchedType, id: key.slice(slash + 1) } : undefined
}

/** Milliseconds since 1970 have thirteen digits until the year 2286; counters go round. */
const TIME_DIGITS = 13
const COUNT_DIGITS = 6
const NEWEST = 10 ** TIME_DIGITS - 1
const COUNTS = 10 ** COUNT_DIGITS

/** Newest first in the store's order, so that the latest ones are one short range. `tie` tells nodes apart. */
export function decisionKey(pool: string, atMs: number, count: number, tie: string): string {
  const time = String(Math.max(0, NEWEST - Math.trunc(atMs))).padStart(TIME_DIGITS, '0')
  return `${CLOUD_KEYS.decisionsOf(pool)}${time}-${String(COUNTS - 1 - (count % COUNTS)).padStart(COUNT_DIGITS, '0')}-${tie}`
}

/** Undefined when it can be a name of a pool, VM, group or rule; else what it must be. */
export function nameProblem(name: string): string | undefined {
  if (name === '' || name.length > LIMITS.cloudNameCharsMax) return `1 to ${LIMITS.cloudNameCharsMax} characters`
  return !name.isWellFormed() || /[\p{Cc}/]/u.test(name) || name.trim() !== name ? 'text without slashes, control characters, and spaces around it' : undefined
}
