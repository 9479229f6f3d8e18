// Pool: machines that hold VMs by one scheduler (the paper's `global.createPool`, Figures 2 and 3).
//
// The interface for users is in interfaces.ts; here is what each node offers (home/pool.ts) and the declaration. Policies
// use the same object: snapshot(), memory() and act() are theirs, with the rights "pool:read" and "pool:operate". A human's
// word that a host is dead (clear) needs "administer", so that no policy can give it.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { anything, bareReference, boolean, column, defineKind, description, either, integer, newVm, nothing, number, oneOf, optional, parameter, record, text, vmName } from '../../rmo/base.ts'
import type { NewVm, ObjectEvent, PhysicalMachine, VM } from '../../rmo/mod.ts'
import type { ActRequest, ActResult, Choice, DecisionRecord, Explanation, MachineRecord, MemoryRecord, PoolSnapshot, Protection, RuleRecord, SchedulerRef } from '../cloud/contract.ts'
import type { RuleAnswer } from '../cloud/parts.ts'
import { newElasticity } from './elasticity-settings.ts'
import { decisionOptions } from './global.ts'
import { newProtection } from './high-availability-settings.ts'
import type { DecisionOptions, Elasticity, ElasticityWish, HighAvailability, Pool, PoolInfo, PoolMember, PoolStats } from './interfaces.ts'
import { POOL_FIELDS } from './pool-settings.ts'
import type { PoolSettings } from './pool-settings.ts'
import { actRequest, asObject, count, oneOrMany, overcommitRatio, poolName, recordOf, referenceTo, ruleWish, schedulerAttribute, schedulerSetting, shortText } from './types.ts'
import type { OneOrMany } from './types.ts'

// ---------------------------------------------------------------- for the node

export type PoolAttributes = Pick<Pool, 'name' | 'uuid' | 'description' | 'cpuOvercommitRatio' | 'memoryOvercommitRatio' | 'reserveVcpus' | 'reserveMemoryMiB' | 'survivesHosts'
  | 'migrationsPerHost' | 'migrationsPerPool' | 'policies' | 'scheduler' | 'machinesCount' | 'vmsCount' | 'freeVcpus' | 'freeMemoryMiB' | 'bookedRatio'> & { readonly state: 'in-service' | 'frozen' }
export type RuleWish = Omit<RuleRecord, 'pool' | 'hard'> & { readonly hard?: boolean }
export type PlaceWish = ReferenceRecord | { readonly vcpus: number; readonly memoryMiB: number }

export interface LocalPool {
  readonly uuid: string
  attributes(): PoolAttributes
  settings(): PoolSettings
  apply(change: Partial<PoolSettings>, authority: Authority): Promise<void>
  info(): PoolInfo
  stats(): PoolStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  related(kind: string, authority: Authority): Promise<readonly ReferenceRecord[]>
  createVM(settings: NewVm): ReferenceRecord
  createElasticity(vm: ReferenceRecord, spec: ElasticityWish): ReferenceRecord
  createHighAvailability(vm: ReferenceRecord, protection: Partial<Protection>): ReferenceRecord
  add(what: readonly ReferenceRecord[], options: { readonly start?: boolean }, authority: Authority): Promise<readonly ReferenceRecord[]>
  remove(what: readonly ReferenceRecord[], options: { readonly destroy?: boolean; readonly keepMembers?: boolean }, authority: Authority): Promise<void>
  place(vm: PlaceWish, scheduler: SchedulerRef | undefined, authority: Authority): Promise<Choice>
  why(about: ReferenceRecord | string | undefined, authority: Authority): Promise<Explanation>
  setMode(machine: ReferenceRecord, mode: MachineRecord['mode'], authority: Authority): Promise<void>
  rule(rule: RuleWish, authority: Authority): Promise<RuleAnswer>
  removeRule(name: string, authority: Authority): Promise<void>
  rules(): readonly RuleRecord[]
  clear(vm: ReferenceRecord, options: { readonly hostIsDead?: boolean }, authority: Authority): Promise<void>
  migrate(vm: ReferenceRecord, to: ReferenceRecord | undefined, authority: Authority): Promise<ReferenceRecord>
  decisions(options: DecisionOptions, authority: Authority): Promise<readonly DecisionRecord[]>
  snapshot(authority: Authority): Promise<PoolSnapshot>
  memory(policy: string): Promise<MemoryRecord | undefined>
  act(request: ActRequest, authority: Authority): Promise<ActResult>
}

// ---------------------------------------------------------------- declaration

const MEMBERS = ['PhysicalMachine', 'VM', 'Elasticity', 'HighAvailability']
/** One or a list, as a promise may have brought it; see OneOrMany. */
const members = asObject<PoolMember | readonly PoolMember[]>(oneOrMany(...MEMBERS) as never)
const listed = (what: unknown): OneOrMany => what as OneOrMany
const aVm = asObject<VM>(referenceTo('VM'))
const aMachine = asObject<PhysicalMachine>(referenceTo('PhysicalMachine'))
const need = record({ vcpus: integer({ unit: 'count', min: 1 }), memoryMiB: integer({ unit: 'mebibytes', min: 1 }) })
const anAmount = number({ unit: 'mebibytes', min: -Infinity })
const added = { doc: 'What was added, live; a list for a list.', type: anything() }
const nothingSaid = { doc: 'nothing', type: nothing() }
const data = (doc: string) => ({ doc, type: anything() })
const copyBudget = (): number => LIMITS.vmCopyTimeoutMs
const collection = (kind: string, doc: string) => ({ kind, doc, list: (local: LocalPool, authority: Authority) => local.related(kind, authority) })
const modeVerb = (doc: string, mode: MachineRecord['mode']) => ({
  doc, acl: 'operate' as const, idempotent: true, parameters: [parameter('machine', aMachine, 'A machine of the pool.')] as const, result: nothingSaid, budgetMs: copyBudget,
  run: (local: LocalPool, [machine]: readonly [unknown], authority: Authority) => local.setMode(recordOf(machine), mode, authority),
})

export const pool = defineKind<Pool, LocalPool>({
  kind: 'Pool',
  plural: 'pools',
  doc: 'Machines that hold VMs by one scheduler.',
  residence: 'global',
  example: 'pools.dmap(pool => pool.freeVcpus)',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: '"frozen": policies are held; cold before it is added.', type: oneOf('in-service', 'frozen', 'cold'), column: column('STATE') },
    scheduler: { doc: 'What decides where VMs go. Can be set, also to a function (vm, pms) => pm.', type: schedulerAttribute, column: column('SCHEDULER') },
    machinesCount: { doc: 'Machines in it.', type: count, column: column('MACHINES', 'number') },
    vmsCount: { doc: 'VMs in it.', type: count, column: column('VMS', 'number') },
    freeVcpus: { doc: 'Vcpus that can still be booked on machines in service.', type: number({ unit: 'count', min: -Infinity }), column: column('FREE VCPUS', 'number') },
    freeMemoryMiB: { doc: 'Memory that can still be booked on machines in service.', type: anAmount, column: column('FREE', 'mebibytes') },
    bookedRatio: { doc: 'Of vcpus or memory, whichever is scarcer, the share that is booked.', type: number({ unit: 'ratio' }), column: column('BOOKED', 'ratio') },
    cpuOvercommitRatio: { doc: 'Vcpus per core that may be booked.', type: overcommitRatio, column: column('CPU OVER', 'number', true) },
    memoryOvercommitRatio: { doc: 'Memory per memory that may be booked.', type: overcommitRatio, column: column('MEMORY OVER', 'number', true) },
    reserveVcpus: { doc: 'Kept free on each machine.', type: POOL_FIELDS.reserveVcpus, column: column('RESERVE VCPUS', 'number', true) },
    reserveMemoryMiB: { doc: 'Kept free on each machine.', type: POOL_FIELDS.reserveMemoryMiB, column: column('RESERVE', 'mebibytes', true) },
    survivesHosts: { doc: 'Room is kept for the VMs of so many machines.', type: POOL_FIELDS.survivesHosts, column: column('SURVIVES', 'number') },
    migrationsPerHost: { doc: 'Live migrations at once that leave or reach one machine.', type: POOL_FIELDS.migrationsPerHost, column: column('MIGRATIONS HOST', 'number', true) },
    migrationsPerPool: { doc: 'Live migrations at once in the pool.', type: POOL_FIELDS.migrationsPerPool, column: column('MIGRATIONS', 'number', true) },
    policies: { doc: 'Policies that act on it, by function name.', type: POOL_FIELDS.policies, column: column('POLICIES', 'text', true) },
    description: { doc: 'For people. Can be set.', type: description, column: column('DESCRIPTION', 'text', true) },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  settings: {
    fields: POOL_FIELDS,
    read: (local) => local.settings(),
    apply: (local, change, authority) => local.apply(change as Partial<PoolSettings>, authority),
  },
  // Cold, it is its settings; there is nothing to put into it before it exists.
  coldVerbs: {},
  verbs: {
    createVM: {
      doc: 'A cold VM with defaults filled in; add() places it.', acl: 'create', idempotent: true,
      parameters: [parameter('settings', optional(newVm), 'name, memoryMiB, vcpus, image, devices, context, ...')],
      result: { doc: 'The VM, cold.', type: aVm },
      run: (local, [settings]) => bareReference(local.createVM(settings ?? {})),
    },
    createElasticity: {
      doc: 'A cold elastic group of VMs like this one.', acl: 'create', idempotent: true,
      parameters: [parameter('vm', aVm as never, 'What its members are like; cold or live.'), parameter('spec', newElasticity, 'out, in, min, max, hold, periodMs, ...')],
      result: { doc: 'The group, cold.', type: asObject<Elasticity>(referenceTo('Elasticity')) },
      run: (local, [vm, spec]) => bareReference(local.createElasticity(recordOf(vm), spec)),
    },
    createHighAvailability: {
      doc: 'A cold protection of this VM.', acl: 'create', idempotent: true,
      parameters: [parameter('vm', aVm as never, 'What is kept running; cold or live.'), parameter('protection', optional(newProtection), 'restarts, relocations, windowMs, onGuestShutdown, priority.')],
      result: { doc: 'The protection, cold.', type: asObject<HighAvailability>(referenceTo('HighAvailability')) },
      run: (local, [vm, protection]) => bareReference(local.createHighAvailability(recordOf(vm), protection ?? {})),
    },
    add: {
      doc: 'Takes in machines, VMs, groups and protections: one, a list or a collection.', acl: 'create', idempotent: true,
      parameters: [parameter('what', members as never, 'A cold VM is placed, made and started; a live one is managed from now on.'), parameter('options', optional(record({ start: optional(boolean()) })), 'start: false makes a cold VM without starting it.')],
      result: added,
      budgetMs: copyBudget,
      async run(local, [what, options], authority) {
        const { many, records } = listed(what)
        const live = (await local.add(records, options ?? {}, authority)).map(bareReference)
        return many ? live : live[0]
      },
    },
    remove: {
      doc: 'Takes machines, VMs, groups or protections out.', acl: 'delete', idempotent: true,
      parameters: [parameter('what', members as never, 'Which.'), parameter('options', optional(record({ destroy: optional(boolean()), keepMembers: optional(boolean()) })), 'destroy: also stops and removes the VM; keepMembers: of a group.')],
      result: nothingSaid,
      budgetMs: copyBudget,
      run: (local, [what, options], authority) => local.remove(listed(what).records, options ?? {}, authority),
    },
    place: {
      doc: 'Where a VM would go, and why not elsewhere; nothing is done.', acl: 'read', idempotent: true,
      parameters: [parameter('vm', either(referenceTo('VM'), need) as never, 'A VM, or {vcpus, memoryMiB}.'), parameter('options', optional(record({ scheduler: optional(schedulerSetting) })) as never, 'scheduler: another than the pool\'s.')],
      result: data('{ranked, refused, chosen, ...}'),
      run: (local, [vm, options], authority) => local.place(vm as unknown as PlaceWish, (options as { readonly scheduler?: SchedulerRef } | undefined)?.scheduler, authority),
    },
    why: {
      doc: 'What explains the present state of the pool or of an object of it.', acl: 'read', idempotent: true,
      parameters: [parameter('about', optional(either(referenceTo(...MEMBERS), shortText)) as never, 'An object, its name or its uuid; left out: the pool.')],
      result: data('{about, summary, intent, placement, notes, decisions, ...}'),
      run: (local, [about], authority) => local.why(about as unknown as ReferenceRecord | string | undefined, authority),
    },
    drain: modeVerb('Moves its VMs off; resolves when it is empty and in maintenance.', 'draining') as never,
    maintain: modeVerb('Nothing is placed there any more; one that runs VMs of the pool is refused (drain it).', 'maintenance') as never,
    serve: modeVerb('It is in service again.', 'in-service') as never,
    rule: {
      doc: 'VMs together or apart, on machines or not; infeasible ones are refused.', acl: 'update', idempotent: true,
      parameters: [parameter('rule', ruleWish, 'name, type, vms, machines, hard (default true).')],
      result: data('{unkept: other rules that cannot be kept now}'),
      run: (local, [rule], authority) => local.rule(rule, authority),
    },
    removeRule: { doc: 'Forgets a rule.', acl: 'update', idempotent: true, parameters: [parameter('name', poolName, 'Which.')], result: nothingSaid, run: (local, [name], authority) => local.removeRule(name, authority) },
    rules: { doc: 'Its rules.', acl: 'read', idempotent: true, parameters: [], result: data('rules'), run: (local) => local.rules() },
    clear: {
      doc: 'A human\'s word that a VM that was given up may be tried again.', acl: 'administer', idempotent: true,
      parameters: [parameter('vm', aVm as never, 'Which.'), parameter('options', optional(record({ hostIsDead: optional(boolean()) })), 'hostIsDead: its host is off for certain.')],
      result: nothingSaid,
      run: (local, [vm, options], authority) => local.clear(recordOf(vm), options ?? {}, authority),
    },
    migrate: {
      doc: 'Moves a VM to a machine of the pool, live.', acl: 'operate', idempotent: true,
      parameters: [parameter('vm', aVm as never, 'Which.'), parameter('to', optional(aMachine) as never, 'Where to; left out: as the scheduler says.')],
      result: { doc: 'The VM.', type: aVm },
      budgetMs: copyBudget,
      run: async (local, [vm, to], authority) => bareReference(await local.migrate(recordOf(vm), to === undefined ? undefined : recordOf(to), authority)),
    },
    decisions: {
      doc: 'Why things were done or left, newest first.', acl: 'read', idempotent: true,
      parameters: [parameter('options', optional(decisionOptions), 'about: uuid of a VM, a group or a machine; limit.')],
      result: data('decisions'),
      run: (local, [options], authority) => local.decisions(options ?? {}, authority),
    },
    snapshot: { doc: 'What policies see: machines, VMs, groups and rules as of now.', acl: 'read', idempotent: true, parameters: [], result: data('a snapshot'), run: (local, _args, authority) => local.snapshot(authority) },
    memory: { doc: 'What a policy remembered of its last round.', acl: 'read', idempotent: true, parameters: [parameter('policy', shortText, 'Its name.')], result: data('{round, atMs, memory}, or nothing'), run: (local, [policy]) => local.memory(policy) },
    act: {
      doc: 'What a policy proposes in one round; each is checked, and carried out or refused.', acl: 'operate', idempotent: false,
      parameters: [parameter('request', actRequest, '{policy, round, memory, proposals}.')],
      result: data('{round, results}'),
      budgetMs: copyBudget,
      run: (local, [request], authority) => local.act(request, authority),
    },
  },
  collections: {
    machines: collection('PhysicalMachine', 'Machines in it.'),
    vms: collection('VM', 'VMs in it.'),
    elasticities: collection('Elasticity', 'Its elastic groups.'),
    highAvailabilities: collection('HighAvailability', 'Protections of its VMs.'),
  },
  references: {},
  events: {
    machineAdded: { doc: 'A machine was taken in.', fields: { machine: text(), name: text() } },
    machineRemoved: { doc: 'A machine was taken out.', fields: { machine: text(), name: text() } },
    machineMode: { doc: 'A machine is in service, drained or maintained.', fields: { machine: text(), name: text(), mode: text() } },
    vmAdded: { doc: 'A VM was taken in.', fields: { vm: text(), name: vmName } },
    vmRemoved: { doc: 'A VM was taken out.', fields: { vm: text(), name: vmName } },
    vmPlaced: { doc: 'It was decided where a VM is to be.', fields: { vm: text(), name: vmName, machine: text(), epoch: integer({ unit: 'count' }), reason: text() } },
    decided: { doc: 'Something about a VM was decided.', fields: { id: text(), vm: text(), name: vmName, by: text(), reason: text() } },
    changed: { doc: 'Settings changed.', fields: { name: poolName } },
    gone: { doc: 'It was removed. Ends the watch.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
