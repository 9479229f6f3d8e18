// The cloud as commands ask for it: pools, their members and what explains them, by the names people type.
//
// Most of what is shown comes from snapshots (kali/cloud/contract.ts): one answer of one node, of one moment, whole.

import type { Amounts, Choice, DataCenter, DecisionRecord, ElasticSpec, Explanation, ModeRecord, PoolRecord, PoolSnapshot, Protection, RuleRecord, VmView } from '../kali/contract.ts'
import type { PhysicalMachine, VM } from '../rmo/mod.ts'
import { CLI } from './errors.ts'
import { findObjects, pick, warnOfFailures } from './objects.ts'
import type { Named } from './objects.ts'
import type { Output } from './output.ts'
import { nearest } from './suggest.ts'

/** What a pool is made with; all but the name can be left out. */
export type NewPool = { readonly name: string } & Partial<Pick<PoolRecord, 'description' | 'survivesHosts' | 'policies'>> & {
  readonly scheduler?: string
  readonly overcommit?: Partial<PoolRecord['overcommit']>
  readonly reserve?: Partial<PoolRecord['reserve']>
  readonly migrations?: Partial<PoolRecord['migrations']>
}
export interface Elasticity extends Named { pause(): Promise<unknown>; resume(): Promise<unknown>; patch(change: Readonly<Record<string, unknown>>): Promise<unknown> }
export interface HighAvailability extends Named { readonly vm: unknown }

/** The pool as a resource-mapped object (kali/kinds/pool.ts): what of it the commands call. */
export interface Pool extends Named {
  add(object: PhysicalMachine | VM | Elasticity | HighAvailability, options?: { readonly start?: boolean }): Promise<unknown>
  remove(object: PhysicalMachine | VM | Elasticity | HighAvailability, options?: { readonly destroy?: boolean; readonly keepMembers?: boolean }): Promise<unknown>
  createElasticity(vm: VM, spec: Partial<ElasticSpec> & { readonly name?: string }): Promise<Elasticity>
  createHighAvailability(vm: VM, protection?: Partial<Protection>): Promise<HighAvailability>
  place(need: VM | Pick<Amounts, 'vcpus' | 'memoryMiB'>, options?: { readonly scheduler?: string }): Promise<Choice>
  why(about?: string): Promise<Explanation>
  drain(machine: PhysicalMachine): Promise<unknown>
  maintain(machine: PhysicalMachine): Promise<unknown>
  serve(machine: PhysicalMachine): Promise<unknown>
  rule(rule: Omit<RuleRecord, 'pool'>): Promise<unknown>
  removeRule(name: string): Promise<unknown>
  clear(vm: string, options?: { readonly hostIsDead?: boolean }): Promise<unknown>
  snapshot(): Promise<PoolSnapshot>
  decisions(options?: { readonly about?: string; readonly limit?: number }): Promise<readonly DecisionRecord[]>
  patch(change: Readonly<Record<string, unknown>>): Promise<unknown>
}
export interface Global {
  createPool(pool: NewPool): Promise<Pool>
  add(pool: Pool): Promise<Pool>
  remove(pool: Pool, options?: { readonly force?: boolean }): Promise<unknown>
  mode(mode: ModeRecord['mode'], reason: string): Promise<unknown>
}

export const globalOf = (dc: DataCenter): Global => (dc as unknown as { readonly global: Global }).global

const POOLS = { kind: 'Pool', one: 'pool', many: 'pools' } as const
const ELASTICITIES = { kind: 'Elasticity', one: 'elastic group', many: 'elastic groups' } as const
const PROTECTED = { kind: 'HighAvailability', one: 'highly available VM', many: 'highly available VMs' } as const

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

export const findElasticity = async (dc: DataCenter, out: Output, name: string): Promise<Elasticity> => only(await findObjects<Elasticity>(dc, out, ELASTICITIES, [name]))
export const findElasticities = (dc: DataCenter, out: Output, names: readonly string[]): Promise<Elasticity[]> => findObjects<Elasticity>(dc, out, ELASTICITIES, names)
export const findProtected = (dc: DataCenter, out: Output, names: readonly string[]): Promise<HighAvailability[]> => findObjects<HighAvailability>(dc, out, PROTECTED, names)

export interface PoolNow { readonly pool: Pool; readonly snapshot: PoolSnapshot }

/** Pools with what is in them now: all, or the one that is named. */
export async function poolsNow(dc: DataCenter, out: Output, name: string | undefined): Promise<readonly PoolNow[]> {
  const pools = name === undefined ? await allPools(dc, out) : [await findPool(dc, out, name)]
  return Promise.all(pools.map(async (pool) => ({ pool, snapshot: await pool.snapshot() })))
}

/** A managed VM by name, POOL/NAME or uuid, also one that runs nowhere now. */
export async function findManaged(dc: DataCenter, out: Output, wanted: string): Promise<{ readonly pool: Pool; readonly vm: VmView }> {
  const all = (await poolsNow(dc, out, undefined)).flatMap(({ pool, snapshot }) => snapshot.vms.map((vm) => ({ pool, vm, name: vm.name, uuid: vm.uuid, host: pool.name })))
  return pick('VM in a pool', wanted, all)
}

/** The pool that a group is in. */
export async function poolOfGroup(dc: DataCenter, out: Output, group: Named): Promise<Pool> {
  const found = (await poolsNow(dc, out, undefined)).find(({ snapshot }) => snapshot.groups.some(({ uuid }) => uuid === group.uuid))
  if (found === undefined) throw CLI.NOT_FOUND({ what: 'pool with the elastic group', name: group.name, known: [], more: 0 })
  return found.pool
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
