// Pools, their quotas and rules, and the mode of the whole cloud: checked, written, seen by this node before it is answered.

import type { Authority } from '../../functions/mod.ts'
import type { PoolRecord } from '../cloud/contract.ts'
import type { CloudService, PoolChange } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { forEach } from './calls.ts'
import { bareOf } from './desk.ts'
import type { Desk } from './desk.ts'

type PoolVerbs = Pick<CloudService, 'addPool' | 'changePool' | 'removePool' | 'putRule' | 'removeRule' | 'putQuota' | 'setMode'>

const POLICIES = ['kali-ha', 'kali-elasticity']
const DEFAULTS: Pick<PoolRecord, 'description' | 'overcommit' | 'reserve' | 'survivesHosts' | 'scheduler' | 'migrations' | 'policies'> = {
  description: '', overcommit: { cpuRatio: 1, memoryRatio: 1 }, reserve: { vcpus: 0, memoryMiB: 0 }, survivesHosts: 0,
  scheduler: { type: 'builtin', name: 'rank' }, migrations: { perHost: 1, perPool: 4 }, policies: POLICIES,
}

type Settings = Omit<PoolRecord, 'uuid' | 'createdBy' | 'createdAtMs'>
function changed<P extends Omit<Settings, 'name'>>(pool: P, { overcommit, reserve, migrations, ...rest }: PoolChange): P {
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  return { ...pool, ...given, overcommit: { ...pool.overcommit, ...overcommit }, reserve: { ...pool.reserve, ...reserve }, migrations: { ...pool.migrations, ...migrations } }
}

export function createPoolVerbs(desk: Desk): PoolVerbs {
  const { view, book } = desk
  /** A policy of the pool's that is delivered with Kumoi is there before the pool counts on it. */
  const withPolicies = async (pool: Pick<PoolRecord, 'policies'>, by: Authority): Promise<void> => { if (pool.policies.length > 0) await desk.ensurePolicies(pool.policies, by) }

  return {
    async addPool({ uuid, name, ...draft }, by) {
      const pool: PoolRecord = changed({ ...DEFAULTS, uuid, name, createdBy: by.principal, createdAtMs: desk.wallMs() }, draft)
      await withPolicies(pool, by)
      return bareOf(await desk.seen(await book.createPool(pool)))
    },
    async changePool(uuid, change, by) {
      desk.poolOf(uuid)
      if (change.policies !== undefined) await withPolicies({ policies: change.policies }, by)
      return bareOf(await desk.seen(await book.changePool(uuid, (present) => changed(present, change))))
    },
    async removePool(uuid, { force = false }) {
      desk.poolOf(uuid)
      if (force) {
        // Groups first: their policy would make new members.
        await forEach(view.groups(uuid), (group) => book.removeGroup(group.uuid))
        await forEach(view.intents({ pool: uuid }), (intent) => book.forget(intent.uuid, ({ pool }) => pool === uuid))
        await desk.shows(() => view.intents({ pool: uuid }).length === 0 && view.groups(uuid).length === 0, `that pool ${uuid} is empty`)
        await forEach(view.machines(uuid), (machine) => book.leaveMachine(machine.uuid))
      }
      await book.removePool(uuid)
      await desk.shows(() => view.pool(uuid) === undefined, `that pool ${uuid} is gone`)
    },

    async putRule(rule) {
      desk.poolOf(rule.pool)
      const reason = desk.infeasible(rule, await desk.snapshot(rule.pool))
      if (reason !== undefined) throw KALI.RULE_INFEASIBLE({ rule: rule.name, reason: reason.replace(/\.$/, '') })
      await book.putRule(rule)
      const text = JSON.stringify(rule.vms)
      await desk.shows(() => view.rules(rule.pool).some(({ name, type, vms }) => name === rule.name && type === rule.type && JSON.stringify(vms) === text), `rule ${rule.name}`)
    },
    async removeRule(pool, name) {
      desk.poolOf(pool)
      await book.removeRule(pool, name)
      await desk.shows(() => view.rules(pool).every((rule) => rule.name !== name), `that rule ${name} is gone`)
    },

    async putQuota(quota) {
      await book.putQuota(quota)
      const text = JSON.stringify(quota.limit)
      await desk.shows(() => JSON.stringify(view.quota(quota.scope)?.limit ?? null) === text, `the quota of ${quota.scope}`)
    },
    async setMode(mode, reason, by) {
      const atMs = desk.wallMs()
      await book.setMode({ mode, by: by.principal, atMs, reason })
      await desk.shows(() => view.mode().mode === mode && view.mode().atMs >= atMs, `the mode ${mode}`)
    },
  }
}
