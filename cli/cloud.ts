// The cloud as commands ask for it: pools, their members and what explains them, by the names people type.
//
// Most of what is shown comes from snapshots (kali/cloud/contract.ts): one answer of one node, of one moment, whole.

import type { DataCenter, Elasticity, HighAvailability, Pool, PoolSnapshot } from '../kali/contract.ts'
import { CLI } from './errors.ts'
import { findObjects, pick, warnOfFailures } from './objects.ts'
import type { Named } from './objects.ts'
import type { Output } from './output.ts'
import { nearest } from './suggest.ts'
import { unknownFunction } from './unknown-function.ts'

export const globalOf = (dc: DataCenter): DataCenter['global'] => dc.global

const POOLS = { kind: 'Pool', one: 'pool', many: 'pools' } as const
const ELASTICITIES = { kind: 'Elasticity', one: 'elastic group', many: 'elastic groups' } as const
const PROTECTED = { kind: 'HighAvailability', one: 'highly available VM', many: 'highly available VMs' } as const

/** Those that come with Kumoi (kali/placement/schedulers). */
const SCHEDULERS: readonly string[] = ['rank', 'packing', 'striping', 'load', 'energy']

const only = <T>(found: readonly T[]): T => {
  const [one] = found
  if (one === undefined) throw new Error('one name gives one object')
  return one
}

export async function allPools(dc: DataCenter, out: Output): Promise<readonly Pool[]> {
  const listing = await dc.list(POOLS.kind)
  warnOfFailures(out, POOLS.many, listing)
  return (listing.objects as readonly Named[] as readonly Pool[]).toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The pool of that name; without a name the only one there is. */
export async function findPool(dc: DataCenter, out: Output, name: string | undefined): Promise<Pool> {
  if (name !== undefined) return only(await findObjects<Pool>(dc, out, POOLS, [name]))
  const pools = await allPools(dc, out)
  const [first] = pools
  if (first === undefined) throw CLI.NO_POOL({})
  if (pools.length > 1) throw CLI.USAGE({ problem: 'Which pool?', hint: `Name one with --pool: ${pools.map((pool) => pool.name).join(', ')}.` })
  return first
}

/** The pool of that name; without a name the one that manages the VM, else the only one there is. */
export async function poolOfVm(dc: DataCenter, out: Output, vm: Named, name: string | undefined): Promise<Pool> {
  const manages = name !== undefined ? undefined : (await poolsNow(dc, out, undefined)).find(({ snapshot }) => snapshot.vms.some(({ uuid }) => uuid === vm.uuid))
  return manages?.pool ?? findPool(dc, out, name)
}

/** A scheduler by name: one that comes with Kumoi, or a deployed function; a typing error must not become a pool that places nothing. */
export async function refuseUnknownScheduler(dc: DataCenter, name: string | undefined): Promise<void> {
  if (name === undefined || SCHEDULERS.includes(name)) return
  const called = name.replace(/^(function|fn):/, '').replace(/@.*$/, '')
  if (await unknownFunction(dc, called) !== undefined) throw CLI.NOT_FOUND({ what: 'scheduler', name, near: nearest(name, SCHEDULERS), known: [...SCHEDULERS, 'function:NAME of a deployed one'], more: 0 })
}

export const findElasticity = async (dc: DataCenter, out: Output, name: string): Promise<Elasticity> => only(await findObjects<Elasticity>(dc, out, ELASTICITIES, [name]))
export const findElasticities = (dc: DataCenter, out: Output, names: readonly string[]): Promise<Elasticity[]> => findObjects<Elasticity>(dc, out, ELASTICITIES, names)
export const findProtected = (dc: DataCenter, out: Output, names: readonly string[]): Promise<HighAvailability[]> => findObjects<HighAvailability>(dc, out, PROTECTED, names)

export interface PoolNow { readonly pool: Pool; readonly snapshot: PoolSnapshot }

/** Pools with what is in them now: all, or the one that is named. */
export async function poolsNow(dc: DataCenter, out: Output, name: string | undefined): Promise<readonly PoolNow[]> {
  const pools = name === undefined ? await allPools(dc, out) : [await findPool(dc, out, name)]
  return Promise.all(pools.map(async (pool) => ({ pool, snapshot: await pool.snapshot() })))
}

/** "hpc*" and "node-?"; everything else stands for itself. */
const patternOf = (glob: string): RegExp => new RegExp(`^${glob.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`)
export const isGlob = (word: string): boolean => /[*?]/.test(word)

/** Machines by names, uuids and globs, each once, in the order of the words; a word that means none is refused. */
export function pickMachines<T extends Named>(words: readonly string[], machines: readonly T[]): readonly T[] {
  const found = words.flatMap((word) => {
    if (!isGlob(word)) return [pick('machine', word, machines)]
    const pattern = patternOf(word)
    const matching = machines.filter(({ name }) => pattern.test(name)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    if (matching.length > 0) return matching
    const known = machines.map(({ name }) => name)
    throw CLI.NOT_FOUND({ what: 'machine like', name: word, near: nearest(word, known), known: known.slice(0, 10), more: Math.max(0, known.length - 10) })
  })
  return [...new Map(found.map((machine) => [machine.uuid, machine])).values()]
}
