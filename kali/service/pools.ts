// Pools, their quotas and rules, and the mode of the whole cloud: checked, written, seen by this node before it is answered.

import { nearest } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { PoolRecord, PoolSnapshot, SchedulerRef } from '../cloud/contract.ts'
import type { CloudService, PoolChange, RuleAnswer } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { bindScheduler } from '../placement/ranking.ts'
import { SCHEDULERS } from '../placement/schedulers/index.ts'
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

  /** One that places nothing would be found out by the first VM that has to be placed, at night. Throws KALI_ERR_SCHEDULER_UNKNOWN, KALI_ERR_SCHEDULER_INVALID. */
  const assertScheduler = async (scheduler: SchedulerRef | undefined): Promise<void> => {
    if (scheduler?.type === 'builtin') bindScheduler(scheduler)
    if (scheduler?.type !== 'function' || desk.functions === undefined) return
    const deployed = await desk.functions()
    if (deployed.includes(scheduler.name)) return
    const builtin = SCHEDULERS.map(({ name }) => name)
    const near = nearest(scheduler.name, [...builtin, ...deployed])
    throw KALI.SCHEDULER_UNKNOWN({ name: scheduler.name, known: builtin.join(', '), ...(near === undefined ? {} : { near }) })
  }

  /** A rule is only asked about when it is made; VMs and machines that came and went since may have broken it. */
  const unkeptOf = (snapshot: PoolSnapshot, made: string): RuleAnswer['unkept'] => snapshot.rules.filter(({ hard, name }) => hard && name !== made).flatMap((rule) => {
    const reason = desk.infeasible(rule, { ...snapshot, rules: snapshot.rules.filter(({ name }) => name !== rule.name) })
    return reason === undefined ? [] : [{ rule: rule.name, reason: reason.replace(/\.$/, '') }]
  })

  return {
    async addPool({ uuid, name, ...draft }, by) {
      await assertScheduler(draft.scheduler)
      const pool: PoolRecord = changed({ ...DEFAULTS, uuid, name, createdBy: by.principal, createdAtMs: desk.wallMs() }, draft)
      await withPolicies(pool, by)
      return bareOf(await desk.seen(await book.createPool(pool)))
    },
    async changePool(uuid, change, by) {
      desk.poolOf(uuid)
      await assertScheduler(change.scheduler)
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
      return { unkept: unkeptOf(await desk.snapshot(rule.pool), rule.name) }
    },
    async removeRule(pool, name) {
      desk.poolOf(pool)
      await book.removeRule(pool, name)
      await desk.shows(() => view.rules(pool).every((rule) => rule.name !== name), `that rule ${name} is gone`)
    },

    async putQuota(quota) {
      await book.putQuota(quota)
      // By value: the store keeps fields in an order of its own.
      const { limit } = quota
      await desk.shows(() => {
        const present = view.quota(quota.scope)?.limit
        return limit === null ? present === undefined : present !== undefined && (['vms', 'vcpus', 'memoryMiB'] as const).every((what) => present[what] === limit[what])
      }, `the quota of ${quota.scope}`)
    },
    async setMode(mode, reason, by) {
      const atMs = desk.wallMs()
      await book.setMode({ mode, by: by.principal, atMs, reason })
      await desk.shows(() => view.mode().mode === mode && view.mode().atMs >= atMs, `the mode ${mode}`)
    },
  }
}
