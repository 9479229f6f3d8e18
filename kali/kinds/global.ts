// Global: the data center as one object (the paper's `global`). There is one, and its uuid is the same in every fabric.
//
// What it answers comes from the node that is asked: its view of the global store, and its CloudService (home/global.ts).

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { anything, bareReference, boolean, column, defineKind, integer, nothing, oneOf, optional, parameter, record, text } from '../../rmo/base.ts'
import type { ObjectEvent } from '../../rmo/mod.ts'
import type { Amounts, DecisionRecord, ModeRecord } from '../cloud/contract.ts'
import type { DecisionOptions, Global, GlobalInfo, GlobalStats, NewPool, Pool, QuotaAnswer, QuotaRow } from './interfaces.ts'
import { newPool } from './pool-settings.ts'
import { asObject, count, nullable, poolName, reasonText, recordOf, referenceTo, shortText } from './types.ts'

// ---------------------------------------------------------------- for the node

export type GlobalAttributes = Pick<Global, 'name' | 'uuid' | 'state' | 'reason' | 'store' | 'poolsCount' | 'machinesCount' | 'vmsCount'>

export interface LocalGlobal {
  attributes(): GlobalAttributes
  info(): GlobalInfo
  stats(): GlobalStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  createPool(settings: NewPool): ReferenceRecord
  add(pool: ReferenceRecord, authority: Authority): Promise<ReferenceRecord>
  remove(pool: ReferenceRecord, options: { readonly force?: boolean }, authority: Authority): Promise<void>
  mode(mode: ModeRecord['mode'], reason: string, authority: Authority): Promise<void>
  /** `limit` undefined: only read. */
  quota(scope: string, limit: Partial<Amounts> | null | undefined, authority: Authority): Promise<QuotaAnswer>
  quotas(): Promise<readonly QuotaRow[]>
  decisions(options: DecisionOptions, authority: Authority): Promise<readonly DecisionRecord[]>
  related(kind: string, authority: Authority): Promise<readonly ReferenceRecord[]>
}

/** Of the one object, in every fabric. */
export const GLOBAL_UUID = '6b756d6f-6900-4000-8000-676c6f62616c'

// ---------------------------------------------------------------- declaration

const mode = oneOf('armed', 'freeze')
const limits = record({ vms: optional(count), vcpus: optional(count), memoryMiB: optional(integer({ unit: 'mebibytes' })) })
export const decisionOptions = record({ about: optional(shortText), limit: optional(integer({ unit: 'count', min: 1, max: 1_000 })) })
const aPool = asObject<Pool>(referenceTo('Pool'))
const collection = (kind: string, doc: string) => ({ kind, doc, list: (local: LocalGlobal, authority: Authority) => local.related(kind, authority) })

export const globalKind = defineKind<Global, LocalGlobal>({
  kind: 'Global',
  plural: 'globals',
  doc: 'The data center as one object.',
  residence: 'global',
  example: 'globals.map(global => global.poolsCount)',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: '"armed"; "freeze": policies neither restart nor move anything.', type: mode, column: column('STATE') },
    reason: { doc: 'Why it is in that state.', type: text(), column: column('REASON', 'text', true) },
    store: { doc: 'Whether this node reaches the global store.', type: oneOf('reachable', 'away'), column: column('STORE') },
    poolsCount: { doc: 'Pools.', type: count, column: column('POOLS', 'number') },
    machinesCount: { doc: 'Machines in pools.', type: count, column: column('MACHINES', 'number') },
    vmsCount: { doc: 'VMs in pools.', type: count, column: column('VMS', 'number') },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  verbs: {
    createPool: {
      doc: 'A cold pool; nothing exists until add().', acl: 'create', idempotent: true,
      parameters: [parameter('settings', newPool, 'name, description, scheduler, cpuOvercommitRatio, ...')],
      result: { doc: 'The pool, cold.', type: aPool },
      run: (local, [settings]) => bareReference(local.createPool(settings)),
    },
    add: {
      doc: 'Makes the pool.', acl: 'create', idempotent: true,
      parameters: [parameter('pool', aPool, 'A cold pool, of createPool().')],
      result: { doc: 'The pool, live.', type: aPool },
      run: async (local, [pool], authority) => bareReference(await local.add(recordOf(pool), authority)),
    },
    remove: {
      doc: 'Removes a pool that has nothing in it.', acl: 'delete', idempotent: true,
      parameters: [parameter('pool', aPool, 'Which.'), parameter('options', optional(record({ force: optional(boolean()) })), 'force: takes everything out first; VMs go on, managed no more.')],
      result: { doc: 'nothing', type: nothing() },
      budgetMs: () => LIMITS.vmCopyTimeoutMs,
      run: (local, [pool, options], authority) => local.remove(recordOf(pool), options ?? {}, authority),
    },
    mode: {
      doc: 'What policies and hosts may do by themselves.', acl: 'administer', idempotent: true,
      parameters: [parameter('mode', mode, '"armed" or "freeze".'), parameter('reason', reasonText, 'For the others.')],
      result: { doc: 'nothing', type: nothing() },
      run: (local, [to, reason], authority) => local.mode(to, reason, authority),
    },
    quota: {
      doc: 'Limit and use of a pool, a user, a group or an account; with a limit, sets it.', acl: 'administer', idempotent: true,
      parameters: [
        parameter('scope', shortText, '"pool:NAME", "user:NAME", "group:NAME" or "account/PRINCIPAL".'),
        parameter('limit', optional(nullable(limits)), 'vms, vcpus, memoryMiB, each if limited; null: no limit.'),
      ],
      result: { doc: '{scope, limit, booked}', type: anything() },
      run: (local, [scope, limit], authority) => local.quota(scope, limit, authority),
    },
    quotas: {
      doc: 'All limits, and what is booked of them.', acl: 'read', idempotent: true,
      parameters: [],
      result: { doc: 'rows of {scope, limit, booked}', type: anything() },
      run: (local) => local.quotas(),
    },
    decisions: {
      doc: 'Why things were done or left, newest first.', acl: 'read', idempotent: true,
      parameters: [parameter('options', optional(decisionOptions), 'about: uuid of a VM, a group or a machine; limit.')],
      result: { doc: 'decisions', type: anything() },
      run: (local, [options], authority) => local.decisions(options ?? {}, authority),
    },
  },
  collections: {
    pools: collection('Pool', 'All pools.'),
    elasticities: collection('Elasticity', 'All elastic groups.'),
    highAvailabilities: collection('HighAvailability', 'All protections of VMs.'),
    pms: collection('PhysicalMachine', 'All machines, in pools or not.'),
    vms: collection('VM', 'All VMs, in pools or not.'),
    images: collection('Image', 'All images.'),
  },
  references: {},
  events: {
    poolAdded: { doc: 'A pool was made.', fields: { pool: text(), name: poolName } },
    poolRemoved: { doc: 'A pool was removed.', fields: { pool: text(), name: poolName } },
    mode: { doc: 'What may be done by itself changed.', fields: { mode, by: text(), reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
