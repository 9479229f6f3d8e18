// `kumoi pool create NAME`, `kumoi pool set NAME`: a pool and what it promises. One table of options for both.

import type { DataCenter, NewPool, PoolSnapshot } from '../../../kali/contract.ts'
import { findPool, globalOf, refuseUnknownScheduler } from '../../cloud.ts'
import { defineCommand, integer, repeated, text, withoutDefaults } from '../../command.ts'
import type { OptionValues } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { poolFields } from '../../render/cloud.ts'
import { withDataCenter } from '../../session.ts'
import type { Shell } from '../../session.ts'
import { nearest } from '../../suggest.ts'
import { unknownFunction } from '../../unknown-function.ts'

const MEMORY_MIB_MAX = 64 * 1024 * 1024
const HOSTS_MAX = 1_000
const OVERCOMMIT_MAX = 64
/** Policies that come with Kumoi (kali/policies/deploy.ts); a pool that names one gets it deployed. */
const DELIVERED: readonly string[] = ['kali-ha', 'kali-elasticity', 'kali-consolidation', 'kali-rebalance']

const factor = (written: string): number => {
  const value = /^\d+(\.\d+)?$/.test(written) ? Number(written) : NaN
  if (value >= 0.1 && value <= OVERCOMMIT_MAX) return value
  throw CLI.USAGE({ problem: `kumoi pool: "${written}" is no over-commit factor`, hint: `Write a number from 0.1 to ${OVERCOMMIT_MAX}: 1 books what there is, 2 twice as much.` })
}

const OPTIONS = {
  description: { flags: '--description <text>', help: 'what it is for', parse: text },
  scheduler: { flags: '--scheduler <name>', help: 'rank, packing, striping, load, energy, or function:NAME, a deployed one (default: rank)', parse: text },
  overcommitCpu: { flags: '--overcommit-cpu <n>', help: 'vcpus that may be booked a core (default: 1)', parse: factor },
  overcommitMemory: { flags: '--overcommit-memory <n>', help: 'memory that may be booked by memory that is there (default: 1)', parse: factor },
  reserveCpu: { flags: '--reserve-cpu <n>', help: 'vcpus kept free on each machine', parse: integer(0, 1_000) },
  reserveMemory: { flags: '--reserve-memory <MiB>', help: 'memory kept free on each machine', parse: integer(0, MEMORY_MIB_MAX) },
  survives: { flags: '--survives <n>', help: 'refuse what would leave no room for the VMs of n lost machines (default: 0)', parse: integer(0, HOSTS_MAX) },
  migrationsHost: { flags: '--migrations-host <n>', help: 'live migrations at once from or to a machine', parse: integer(1, HOSTS_MAX) },
  migrationsPool: { flags: '--migrations-pool <n>', help: 'and in the pool in all', parse: integer(1, HOSTS_MAX) },
  policy: { flags: '--policy <name>', help: 'function that acts on it; may be repeated (default: kali-ha, kali-elasticity)', parse: repeated },
} as const

/** What was said, as settings of the pool; what was not said is not there. */
function settingsOf({ description, scheduler, overcommitCpu, overcommitMemory, reserveCpu, reserveMemory, survives, migrationsHost, migrationsPool, policy }: OptionValues<typeof OPTIONS>): Partial<NewPool> {
  const said = {
    description, scheduler, cpuOvercommitRatio: overcommitCpu, memoryOvercommitRatio: overcommitMemory, reserveVcpus: reserveCpu, reserveMemoryMiB: reserveMemory,
    survivesHosts: survives, migrationsPerHost: migrationsHost, migrationsPerPool: migrationsPool, policies: policy,
  }
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
}

/** Promises that cannot be kept as things are; they are kept as soon as they can be. */
async function warnOfEmptyPromises(dc: DataCenter, { out }: Shell, { pool, machines }: PoolSnapshot, wish: OptionValues<typeof OPTIONS>): Promise<void> {
  if (wish.survives !== undefined && machines.length > 0 && wish.survives >= machines.length) {
    out.warn(`${pool.name} has ${machines.length} ${machines.length === 1 ? 'machine' : 'machines'}, so it cannot survive the loss of ${wish.survives}: no VM can be protected there until it has more`)
  }
  for (const name of wish.policy ?? []) {
    if (DELIVERED.includes(name) || await unknownFunction(dc, name.replace(/@.*$/, '')) === undefined) continue
    const near = nearest(name, DELIVERED)
    out.warn(`no function ${name} is deployed${near === undefined ? '' : ` (did you mean ${near}?)`}: nothing acts on ${pool.name} by that name until one is (kumoi deploy)`)
  }
}

export const createCommand = defineCommand({
  name: 'pool create',
  summary: 'Make a pool; machines and VMs are added with `kumoi pool add`',
  operands: '<name>',
  options: OPTIONS,
  examples: [
    { command: 'kumoi pool create hpc', does: 'placed by rank, nothing over-committed' },
    { command: 'kumoi pool create web --scheduler striping --overcommit-cpu 2 --survives 1', does: 'spread, and with room for one lost machine' },
  ],
  output: 'value',
  run: (shell, [name = ''], wish) => withDataCenter(shell, async (dc) => {
    await refuseUnknownScheduler(dc, wish.scheduler)
    const cloud = globalOf(dc)
    const pool = await cloud.add(await cloud.createPool({ name, ...settingsOf(wish) }))
    const snapshot = await pool.snapshot()
    shell.out.result(snapshot.pool, (layout) => poolFields(snapshot, layout))
    await warnOfEmptyPromises(dc, shell, snapshot, wish)
    shell.out.note(`Give it machines: kumoi pool add ${name} MACHINE...`)
    return EXIT.done
  }),
})

export const setCommand = defineCommand({
  name: 'pool set',
  summary: 'Change what a pool promises, and what decides where its VMs go',
  operands: '<pool>',
  details: 'What is not named stays as it is. VMs stay where they are: a new scheduler decides the next placement.',
  options: withoutDefaults(OPTIONS),
  examples: [{ command: 'kumoi pool set hpc --scheduler packing', does: 'fill machines one after another' }, { command: 'kumoi pool set hpc --survives 2', does: 'refused by placements from now on that leave too little room' }],
  output: 'value',
  run: (shell, [name = ''], wish) => withDataCenter(shell, async (dc) => {
    const change = settingsOf(wish)
    if (Object.keys(change).length === 0) throw CLI.USAGE({ problem: 'kumoi pool set: nothing to change', hint: 'See `kumoi pool set --help`.' })
    const pool = await findPool(dc, shell.out, name)
    await refuseUnknownScheduler(dc, wish.scheduler)
    await pool.patch(change)
    const snapshot = await pool.snapshot()
    shell.out.result(snapshot.pool, (layout) => poolFields(snapshot, layout))
    await warnOfEmptyPromises(dc, shell, snapshot, wish)
    return EXIT.done
  }),
})
