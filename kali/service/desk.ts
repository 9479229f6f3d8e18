// What all parts of the service share: the options, finding records by uuid or name, snapshots, journal entries, and writing
// so that the caller's next question already shows it.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { settingsOf } from '../../rmo/base.ts'
import type { VmSettings } from '../../rmo/mod.ts'
import type { Choice, CloudAction, DecisionRecord, GroupRecord, IntentRecord, MachineRecord, MachineView, PoolRecord, PoolSnapshot, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { createLeaseAges } from './lease-ages.ts'
import type { LeaseAges } from './lease-ages.ts'
import { readMetrics } from './metrics.ts'
import { createObserver } from './observation.ts'
import type { Observer } from './observation.ts'
import type { CloudServiceOptions } from './options.ts'
import { powerByCores, snapshotOf } from './snapshot.ts'
import { waitFor } from './waiting.ts'

export interface Journal { readonly pool: string; readonly policy: string; readonly about: readonly string[]; readonly action: CloudAction['do'] | 'none'; readonly reason: string; readonly outcome: DecisionRecord['outcome']; readonly choice?: Choice; readonly details?: Readonly<Record<string, unknown>>; readonly id?: string }

/** Who decided, as it stands in an intent. */
export interface Decided { readonly decision: string; readonly decidedBy: string; readonly decidedAtMs: number; readonly reason: string }

const ID_BYTES = 6

export interface Desk extends CloudServiceOptions {
  readonly observer: Observer
  readonly leases: LeaseAges
  /** Machines that VMs on their way have left by this node's order, by VM; no record has them once the target has spoken. */
  readonly leaving: Map<string, { readonly epoch: number; readonly from: string }>
  /** KALI_ERR_POOL_UNKNOWN. */
  poolOf(uuid: string): Stored<PoolRecord>
  /** By uuid or name; KALI_ERR_MACHINE_UNKNOWN. */
  machineOf(uuidOrName: string, pool?: string): Stored<MachineRecord>
  /** By uuid, or by name in a pool; KALI_ERR_VM_UNKNOWN. */
  vmOf(uuidOrName: string, pool?: string): Stored<IntentRecord>
  groupOf(uuid: string): Stored<GroupRecord>
  contactMs(): number
  memberOf(node: NodeId): MachineView['member']
  wallMs(): number
  snapshot(pool: string, options?: { readonly metrics?: true; readonly fresh?: boolean }): Promise<PoolSnapshot>
  /** A new decision of somebody, to be put into an intent and its journal entry. */
  decide(by: string, reason: string): Decided
  journal(entry: Journal): Promise<void>
  /** Resolves when this node's view shows a write. */
  seen<T extends { readonly revision: number } | undefined>(stored: T): Promise<T>
  /** Resolves when this node's view shows what a write without a revision has done. */
  shows(look: () => boolean, what: string): Promise<void>
  /** All settings of a VM that lives. */
  settingsOfLive(vm: ReferenceRecord, by: Authority): Promise<VmSettings>
  close(): void
}

export function createDesk(options: CloudServiceOptions): Desk {
  const { view, book, clock, random, timings, log, members } = options
  const observer = createObserver(options)
  const leases = createLeaseAges({ view, clock })

  const desk: Desk = {
    ...options, observer, leases, leaving: new Map(),
    poolOf(uuid) {
      const pool = view.pool(uuid)
      if (pool === undefined) throw KALI.POOL_UNKNOWN({ pool: uuid })
      return pool
    },
    machineOf(uuidOrName, pool) {
      const found = view.machine(uuidOrName) ?? view.machines(pool).find(({ name }) => name === uuidOrName)
      if (found === undefined || (pool !== undefined && found.pool !== pool)) throw KALI.MACHINE_UNKNOWN({ machine: uuidOrName, where: pool === undefined ? 'any pool' : `pool ${view.pool(pool)?.name ?? pool}` })
      return found
    },
    vmOf(uuidOrName, pool) {
      const found = view.intent(uuidOrName) ?? (pool === undefined ? undefined : view.intents({ pool }).find(({ name }) => name === uuidOrName))
      if (found === undefined || (pool !== undefined && found.pool !== pool)) throw KALI.VM_UNKNOWN({ vm: uuidOrName })
      return found
    },
    groupOf(uuid) {
      const group = view.group(uuid)
      if (group === undefined) throw KALI.GROUP_UNKNOWN({ group: uuid })
      return group
    },
    contactMs() {
      const sinceMs = view.contactSinceMs()
      return sinceMs === undefined ? 0 : Math.max(0, clock.nowMs() - sinceMs)
    },
    memberOf: (node) => members().find(({ id }) => id === node)?.state ?? 'unknown',
    wallMs: () => Math.round(clock.wallMs()),
    async snapshot(pool, { metrics, fresh } = {}) {
      const { revision: _revision, ...record } = desk.poolOf(pool)
      const states = new Map(members().map(({ id, state }) => [id, state]))
      const observation = await observer.read(fresh === true ? { fresh } : {})
      const make = (values: PoolSnapshot['metrics']): PoolSnapshot => snapshotOf({
        view, observation, pool: record, atMs: desk.wallMs(), contactMs: desk.contactMs(), timings, metrics: values,
        memberOf: (node) => states.get(node) ?? 'unknown', leaseOf: (node) => leases.of(node), powerOf: options.power ?? powerByCores,
      })
      const bare = make({})
      if (metrics === undefined || !bare.groups.some(({ spec }) => spec.metric.type === 'function')) return bare
      return make(await readMetrics(bare, options))
    },
    decide: (by, reason) => ({ decision: Buffer.from(random.bytes(ID_BYTES)).toString('hex'), decidedBy: by, decidedAtMs: desk.wallMs(), reason }),
    async journal({ id, ...entry }) {
      try {
        await book.decided({ id: id ?? Buffer.from(random.bytes(ID_BYTES)).toString('hex'), atMs: desk.wallMs(), ...entry })
      } catch (error) {
        log.warn('a decision could not be journaled', { pool: entry.pool, action: entry.action, code: errorCode(error) ?? String(error) })
      }
    },
    async seen(stored) {
      if (stored !== undefined) await view.until(stored.revision)
      return stored
    },
    async shows(look, what) {
      const shown = await waitFor(() => look() ? true : undefined, { view, clock, timeoutMs: LIMITS.cloudSeenMs })
      if (shown === undefined) throw KALI.STORE_AWAY({ what, waitedMs: LIMITS.cloudSeenMs })
    },
    settingsOfLive: async (vm, by) => options.settingsOf === undefined ? settingsOf({ ...vm.attributes, name: vm.name }, { call: 'Pool.add', path: 'vm' }) : options.settingsOf(vm, by),
    close: () => leases.stop(),
  }
  return desk
}

/** A record without its revision, as it is written. */
export function bareOf<T extends object>(stored: Stored<T>): T {
  const { revision: _revision, ...record } = stored
  return record as unknown as T
}
