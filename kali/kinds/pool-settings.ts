// Settings of pools, flat for people, and the records of the store they are: { cpuOvercommitRatio: 2 } is
// { overcommit: { cpuRatio: 2, ... } }. Pure.

import { description, integer, list, number, optional, record } from '../../rmo/base.ts'
import type { Type } from '../../rmo/base.ts'
import type { PoolRecord } from '../cloud/contract.ts'
import type { PoolChange } from '../cloud/parts.ts'
import type { NewPool } from './interfaces.ts'
import { overcommitRatio, poolName, schedulerSetting, shortText } from './types.ts'

const COUNT_MAX = 512
const POLICIES_MAX = 16

/** Every setting of a pool with its type. */
export const POOL_FIELDS = {
  name: poolName, description, scheduler: schedulerSetting,
  cpuOvercommitRatio: overcommitRatio, memoryOvercommitRatio: overcommitRatio,
  reserveVcpus: integer({ unit: 'count', max: COUNT_MAX }), reserveMemoryMiB: number({ unit: 'mebibytes' }),
  survivesHosts: integer({ unit: 'count', max: COUNT_MAX }),
  migrationsPerHost: integer({ unit: 'count', min: 1, max: COUNT_MAX }), migrationsPerPool: integer({ unit: 'count', min: 1, max: COUNT_MAX }),
  policies: list(shortText, { itemsMax: POLICIES_MAX }),
} as const

const { name, ...rest } = POOL_FIELDS
/** What createPool() takes. */
export const newPool = record({ name, ...Object.fromEntries(Object.entries(rest).map(([key, type]) => [key, optional(type as Type<unknown>)])) }) as unknown as Type<NewPool>

export type PoolSettings = { readonly [K in keyof typeof POOL_FIELDS]: (typeof POOL_FIELDS)[K] extends Type<infer T> ? T : never }

/** All settings of a pool as it is. */
export const settingsOfPool = ({ name: called, description: said, scheduler, overcommit, reserve, survivesHosts, migrations, policies }: PoolRecord): PoolSettings => ({
  name: called, description: said, scheduler,
  cpuOvercommitRatio: overcommit.cpuRatio, memoryOvercommitRatio: overcommit.memoryRatio,
  reserveVcpus: reserve.vcpus, reserveMemoryMiB: reserve.memoryMiB, survivesHosts,
  migrationsPerHost: migrations.perHost, migrationsPerPool: migrations.perPool, policies,
})

/** `value` without what is undefined; undefined when nothing is left. */
const present = <T extends object>(value: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } | undefined => {
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** Some settings, as a change of the record. */
export function changeOfPool({ cpuOvercommitRatio: cpuRatio, memoryOvercommitRatio: memoryRatio, reserveVcpus, reserveMemoryMiB, migrationsPerHost: perHost, migrationsPerPool: perPool, ...same }: Partial<PoolSettings>): PoolChange {
  return present({
    ...same,
    overcommit: present({ cpuRatio, memoryRatio }), reserve: present({ vcpus: reserveVcpus, memoryMiB: reserveMemoryMiB }), migrations: present({ perHost, perPool }),
  }) ?? {}
}
