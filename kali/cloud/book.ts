// Every write of the cloud, each one transaction: pools, machines, groups, rules, quotas, the mode, memories of policies; VMs
// are in intents.ts, decisions in decisions.ts, how a transaction is made in transactions.ts.
//
// Invariants: what was read for a write is bound by it, so two nodes never both win; whatever joins a pool or leaves it (a
// machine, a VM, a group) changes the pool's counter record, whoever comes to be on a machine changes the machine's: so "is it empty?" is
// asked of the view once that has seen the record's revision, and holds for as long as that revision does.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Random } from '../../fabric/base.ts'
import type { GlobalStore, Log, StoreOperation } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import { NOTHING } from './bookings.ts'
import type { CloudView, Stored } from './contract.ts'
import { createDecisions } from './decisions.ts'
import { createIntents } from './intents.ts'
import { CLOUD_KEYS } from './keys.ts'
import type { CloudBook } from './parts.ts'
import type { GroupsOf } from './owners.ts'
import { decodeRecord, encodeRecord, RECORDS, storedRecord } from './read.ts'
import type { RecordKind } from './read.ts'
import type { GroupRecord, MachineRecord, PoolRecord } from './records.ts'
import { createTransactions } from './transactions.ts'
import type { Body, Found } from './transactions.ts'

export interface CloudBookOptions {
  readonly store: GlobalStore
  readonly view: CloudView
  readonly clock: Clock
  readonly random: Random
  /** Groups of users, whose quotas bookings count in too; left out: nobody is in any. */
  readonly groupsOf?: GroupsOf
  /** Told of decisions that could not be written down. */
  readonly log?: Pick<Log, 'warn'>
}

const put = <T extends object>(key: string, kind: RecordKind<T>, record: T): StoreOperation => ({ do: 'put', key, value: encodeRecord(kind, record) })
const name = (key: string, uuid: string): StoreOperation => ({ do: 'put', key, value: new TextEncoder().encode(uuid) })
const gone = (key: string): StoreOperation => ({ do: 'delete', key })
const poolScope = (uuid: string): `pool/${string}` => `pool/${uuid}`

export function createCloudBook({ store, view, clock, random, log, groupsOf = () => [] }: CloudBookOptions): CloudBook {
  const transactions = createTransactions({ store, clock, random })

  /** Something comes to a pool or leaves it: its counter is written again as it is, so that whoever judges what the pool has must look again. */
  function* touch(pool: string): Generator<readonly string[], readonly StoreOperation[], readonly Found[]> {
    const key = CLOUD_KEYS.booked(poolScope(pool))
    const [counter] = yield [key]
    return counter === undefined ? [] : [{ do: 'put', key, value: counter.value }]
  }
  function* joining(pool: string): Generator<readonly string[], readonly StoreOperation[], readonly Found[]> {
    const [there] = yield [CLOUD_KEYS.pool(pool), CLOUD_KEYS.booked(poolScope(pool))]
    if (there === undefined) throw KALI.POOL_UNKNOWN({ pool })
    return yield* touch(pool)
  }

  /**
   * Tries `body` with the view at least as new as the records in `keys`: what they say of emptiness is then known here.
   * `view.until` cannot be awaited within a transaction, so a body that finds the view too old says so.
   */
  const withView = async <T>(what: string, body: Body<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await transactions.run(what, body)
      } catch (error) {
        if (!(error instanceof ViewBehind)) throw error
        if (tries >= LIMITS.cloudAttempts) throw KALI.CHANGED({ what })
        await view.until(error.revision)
      }
    }
  }

  return {
    ...createIntents({ store, view, transactions, groupsOf }),
    ...createDecisions({ store, random, log }),

    // ---------------------------------------------------------------- pools

    createPool: (pool) => transactions.run(`Pool ${pool.name}`, function* () {
      const [there, named] = yield [CLOUD_KEYS.pool(pool.uuid), CLOUD_KEYS.poolName(pool.name)]
      if (named !== undefined) throw KALI.NAME_TAKEN({ what: 'pool', name: pool.name })
      if (there !== undefined) throw KALI.CHANGED({ what: `Pool ${pool.name}` })
      return {
        write: [put(CLOUD_KEYS.pool(pool.uuid), RECORDS.pool, pool), name(CLOUD_KEYS.poolName(pool.name), pool.uuid), put(CLOUD_KEYS.booked(poolScope(pool.uuid)), RECORDS.amounts, NOTHING)],
        done: (revision) => ({ ...pool, revision }),
      }
    }),

    changePool: (uuid, change) => transactions.run(`Pool ${uuid}`, function* (): ReturnType<Body<Stored<PoolRecord>>> {
      const [found] = yield [CLOUD_KEYS.pool(uuid)]
      if (found === undefined) throw KALI.POOL_UNKNOWN({ pool: uuid })
      const before = decodeRecord(RECORDS.pool, found.value)
      const after = { ...change(before), uuid }
      const write = [put(CLOUD_KEYS.pool(uuid), RECORDS.pool, after)]
      if (after.name !== before.name) {
        const [taken] = yield [CLOUD_KEYS.poolName(after.name)]
        if (taken !== undefined) throw KALI.NAME_TAKEN({ what: 'pool', name: after.name })
        write.push(gone(CLOUD_KEYS.poolName(before.name)), name(CLOUD_KEYS.poolName(after.name), uuid))
      }
      return { write, done: (revision) => ({ ...after, revision }) }
    }),

    removePool: (uuid) => withView(`Pool ${uuid}`, function* (): ReturnType<Body<void>> {
      const counterKey = CLOUD_KEYS.booked(poolScope(uuid))
      const [found, counter] = yield [CLOUD_KEYS.pool(uuid), counterKey]
      if (found === undefined) throw KALI.POOL_UNKNOWN({ pool: uuid })
      seenBy(view, counter)
      const pool = decodeRecord(RECORDS.pool, found.value)
      const holds = [[view.machines(uuid).length, 'machine'], [view.intents({ pool: uuid }).length, 'VM'], [view.groups(uuid).length, 'group']] as const
      const text = holds.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`).join(', ')
      if (text !== '') throw KALI.NOT_EMPTY({ what: `Pool ${pool.name}`, holds: text })
      return {
        write: [
          gone(CLOUD_KEYS.pool(uuid)), gone(CLOUD_KEYS.poolName(pool.name)), gone(counterKey), gone(CLOUD_KEYS.quota(poolScope(uuid))), gone(CLOUD_KEYS.access('Pool', uuid)),
          ...[CLOUD_KEYS.rulesOf(uuid), CLOUD_KEYS.memoriesOf(uuid), CLOUD_KEYS.decisionsOf(uuid)].map((prefix) => ({ do: 'delete-prefix', prefix }) as const),
        ],
        done() {},
      }
    }),

    // ---------------------------------------------------------------- machines

    joinMachine: (machine) => transactions.run(`Machine ${machine.name}`, function* (): ReturnType<Body<Stored<MachineRecord>>> {
      const [found] = yield [CLOUD_KEYS.machine(machine.uuid)]
      if (found !== undefined) {
        const { pool } = decodeRecord(RECORDS.machine, found.value)
        throw KALI.MACHINE_TAKEN({ machine: machine.name, pool: view.pool(pool)?.name ?? pool })
      }
      const joined: MachineRecord = { ...machine, booked: NOTHING }
      const join = yield* joining(machine.pool)
      return { write: [put(CLOUD_KEYS.machine(machine.uuid), RECORDS.machine, joined), ...join], done: (revision) => ({ ...joined, revision }) }
    }),

    changeMachine: (uuid, change) => transactions.run(`Machine ${view.machine(uuid)?.name ?? uuid}`, function* (): ReturnType<Body<Stored<MachineRecord>>> {
      const [found] = yield [CLOUD_KEYS.machine(uuid)]
      if (found === undefined) throw unknownMachine(uuid)
      const before = decodeRecord(RECORDS.machine, found.value)
      // What is booked is for bookings.ts to say, and its pool for join and leave.
      const after: MachineRecord = { ...change(before), uuid, pool: before.pool, booked: before.booked }
      return { write: [put(CLOUD_KEYS.machine(uuid), RECORDS.machine, after)], done: (revision) => ({ ...after, revision }) }
    }),

    leaveMachine: (uuid) => withView(`Machine ${view.machine(uuid)?.name ?? uuid}`, function* (): ReturnType<Body<void>> {
      const [found] = yield [CLOUD_KEYS.machine(uuid)]
      if (found === undefined) throw unknownMachine(uuid)
      seenBy(view, found)
      const on = view.intents({ machine: uuid })
      const [first] = on
      const machine = decodeRecord(RECORDS.machine, found.value)
      if (first !== undefined) throw KALI.NOT_EMPTY({ what: `Machine ${machine.name}`, holds: on.length === 1 ? `VM ${first.name}` : `${on.length} VMs` })
      return { write: [gone(CLOUD_KEYS.machine(uuid)), ...yield* touch(machine.pool)], done() {} }
    }),

    // ---------------------------------------------------------------- groups, rules, quotas, mode

    putGroup: (group, expect) => withView(`Group ${group.name}`, function* (): ReturnType<Body<Stored<GroupRecord>>> {
      const key = CLOUD_KEYS.group(group.uuid)
      const counterKey = CLOUD_KEYS.booked(poolScope(group.pool))
      const [found, counter] = yield [key, counterKey]
      if (expect !== 'new' && found === undefined) throw KALI.GROUP_UNKNOWN({ group: group.name })
      if ((found?.modRevision ?? 'new') !== expect) throw KALI.CHANGED({ what: `Group ${group.name}` })
      const before = found && decodeRecord(RECORDS.group, found.value)
      if (before !== undefined && before.pool !== group.pool) throw KALI.RECORD_INVALID({ what: `the pool of group ${group.name}`, expected: before.pool, got: group.pool })
      const write = [put(key, RECORDS.group, group)]
      if (before?.name !== group.name) {
        // A group's name is unique in its pool; every new one changes the pool's counter record.
        seenBy(view, counter)
        if (view.groups(group.pool).some(({ uuid, name }) => name === group.name && uuid !== group.uuid)) throw KALI.NAME_TAKEN({ what: 'group', name: group.name })
        write.push(...yield* joining(group.pool))
      }
      return { write, done: (revision) => ({ ...group, revision }) }
    }),

    async removeGroup(uuid) {
      await transactions.run(`Group ${uuid}`, function* (): ReturnType<Body<void>> {
        const [found] = yield [CLOUD_KEYS.group(uuid)]
        if (found === undefined) throw KALI.GROUP_UNKNOWN({ group: uuid })
        return { write: [gone(CLOUD_KEYS.group(uuid)), gone(CLOUD_KEYS.access('Elasticity', uuid)), ...yield* touch(decodeRecord(RECORDS.group, found.value).pool)], done() {} }
      })
    },

    putRule: (rule) => transactions.run(`Rule ${rule.name}`, function* (): ReturnType<Body<void>> {
      const [pool] = yield [CLOUD_KEYS.pool(rule.pool), CLOUD_KEYS.rule(rule.pool, rule.name)]
      if (pool === undefined) throw KALI.POOL_UNKNOWN({ pool: rule.pool })
      return { write: [put(CLOUD_KEYS.rule(rule.pool, rule.name), RECORDS.rule, rule)], done() {} }
    }),

    removeRule: (pool, rule) => transactions.run(`Rule ${rule}`, function* (): ReturnType<Body<void>> {
      const [found] = yield [CLOUD_KEYS.rule(pool, rule)]
      if (found === undefined) throw KALI.RULE_UNKNOWN({ pool: view.pool(pool)?.name ?? pool, rule })
      return { write: [gone(CLOUD_KEYS.rule(pool, rule))], done() {} }
    }),

    putQuota: (quota) => transactions.run(`Quota of ${quota.scope}`, function* (): ReturnType<Body<void>> {
      const key = CLOUD_KEYS.quota(quota.scope)
      const pool = quota.scope.startsWith('pool/') ? quota.scope.slice('pool/'.length) : undefined
      const [, there] = yield [key, ...(pool === undefined ? [] : [CLOUD_KEYS.pool(pool)])]
      if (pool !== undefined && there === undefined) throw KALI.POOL_UNKNOWN({ pool })
      return { write: [quota.limit === null ? gone(key) : put(key, RECORDS.quota, { scope: quota.scope, limit: quota.limit })], done() {} }
    }),

    async booked(scope) {
      const entry = await store.get(CLOUD_KEYS.booked(scope))
      return entry === undefined ? NOTHING : decodeRecord(RECORDS.amounts, entry.value)
    },

    async setMode(mode) { await store.transact({ then: [put(CLOUD_KEYS.mode, RECORDS.mode, mode)] }) },

    setAccess: ({ kind, uuid }, rules, when) => transactions.run(`The access rules of ${kind} ${uuid}`, function* (): ReturnType<Body<number>> {
      const key = CLOUD_KEYS.access(kind, uuid)
      const [found, pool, group] = yield [key, CLOUD_KEYS.pool(uuid), CLOUD_KEYS.group(uuid)]
      if (kind === 'Pool' && pool === undefined) throw KALI.POOL_UNKNOWN({ pool: uuid })
      if (kind === 'Elasticity' && group === undefined) throw KALI.GROUP_UNKNOWN({ group: uuid })
      if (when?.(found && decodeRecord(RECORDS.access, found.value).rules) === false) throw KALI.CHANGED({ what: `The access rules of ${kind} ${uuid}` })
      return { write: rules === undefined ? found === undefined ? [] : [gone(key)] : [put(key, RECORDS.access, { rules })], done: (revision) => revision }
    }),

    // ---------------------------------------------------------------- memories of policies

    async memory(policy, pool) {
      const entry = await store.get(CLOUD_KEYS.memory(policy, pool))
      return entry && decodeRecord(RECORDS.memory, entry.value)
    },

    remember: (policy, pool, round, memory) => transactions.run(`The memory of ${policy}`, function* (): ReturnType<Body<void>> {
      const key = CLOUD_KEYS.memory(policy, pool)
      const [found, there] = yield [key, CLOUD_KEYS.pool(pool)]
      if (there === undefined) throw KALI.POOL_UNKNOWN({ pool })
      const present = found && storedRecord(RECORDS.memory, found)
      if ((present?.round ?? 0) !== round) throw KALI.CHANGED({ what: `The memory of ${policy} (round ${round}, now ${present?.round ?? 0})` })
      return { write: [put(key, RECORDS.memory, { round: round + 1, atMs: clock.wallMs(), memory })], done() {} }
    }),
  }
}

/** The view has not yet seen a revision that the answer depends on. */
class ViewBehind extends Error {
  readonly revision: number
  constructor(revision: number) {
    super(`the view is behind revision ${revision}`)
    this.revision = revision
  }
}
function seenBy(view: CloudView, entry: Found): void {
  if (entry !== undefined && view.revision < entry.modRevision) throw new ViewBehind(entry.modRevision)
}

const unknownMachine = (uuid: string): Error => KALI.MACHINE_UNKNOWN({ machine: uuid, where: 'any pool' })
