// The cloud's objects as users hold them: Global, Pool, Elasticity, HighAvailability. Types only; the declarations that keep
// these promises stand beside this file, one kind a file.
//
// Pools, groups and protections are cold when they are created (their settings, nothing exists yet) and live when they have
// been added: global.add(pool), pool.add(group). All live in the global store: every node serves them, and a reference made
// on one node works on every other.

import type { Collection } from '../../functions/mod.ts'
import type { Image, LostEvent, NewVm, ObjectEvent, PhysicalMachine, ResourceObject, VM } from '../../rmo/mod.ts'
import type { ActRequest, ActResult, Amounts, Choice, DecisionRecord, ElasticSpec, Explanation, MemoryRecord, ModeRecord, PoolSnapshot, Protection, QuotaScope, RuleRecord, SchedulerRef } from '../cloud/contract.ts'
import type { RuleAnswer } from '../cloud/parts.ts'
import type { UserScheduler } from '../placement/user-scheduler.ts'

// ---------------------------------------------------------------- Global

export interface GlobalInfo { readonly name: string; readonly uuid: string; readonly mode: ModeRecord; readonly revision: number; /** This node's contact with the store without a gap; undefined: it has none now. */ readonly contactMs?: number }
export interface GlobalStats { readonly atMs: number; readonly pools: number; readonly machines: number; readonly vms: number; readonly groups: number; readonly protectedVms: number; readonly pendingVms: number }
export type GlobalEvent =
  | ({ readonly type: 'poolAdded' | 'poolRemoved'; readonly pool: string; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'mode'; readonly mode: ModeRecord['mode']; readonly by: string; readonly reason: string } & ObjectEvent)
  | LostEvent
/** One limit; `scope` as it is written: "pool/web", "user:alice", "group:lab", "account/local:0". */
export interface QuotaRow { readonly scope: string; readonly limit: Partial<Amounts>; readonly booked: Amounts }
export interface QuotaAnswer { readonly scope: QuotaScope; readonly limit: Partial<Amounts>; readonly booked: Amounts }
export interface DecisionOptions { /** uuid of a VM, a group or a machine; left out: all. */ readonly about?: string; /** At most so many, newest first; default 100. */ readonly limit?: number }
export interface NewPool {
  readonly name: string
  readonly description?: string
  /** 'rank' (default), 'packing', ...; "function:NAME" of a deployed one; or a function (vm, pms) => pm. */
  readonly scheduler?: string | SchedulerFunction | SchedulerRef
  /** Vcpus per core, and memory per memory, that may be booked; 1 is none over. */
  readonly cpuOvercommitRatio?: number
  readonly memoryOvercommitRatio?: number
  /** Kept free on each machine for the host itself. */
  readonly reserveVcpus?: number
  readonly reserveMemoryMiB?: number
  /** Refuse what would leave no room for the VMs of this many of its largest machines; 0 (default): no promise. */
  readonly survivesHosts?: number
  /** Live migrations at once. */
  readonly migrationsPerHost?: number
  readonly migrationsPerPool?: number
  /** Policies that act on it, by function name. */
  readonly policies?: readonly string[]
}

/** The data center as one object: what is not any single machine's. There is one; `dc.global`. */
export interface Global extends ResourceObject<GlobalInfo, GlobalStats, GlobalEvent> {
  /** 'freeze': policies neither restart nor move anything. */
  readonly state: ModeRecord['mode']
  /** Why it is in that state, as whoever set it said. */
  readonly reason: string
  /** Whether the connected node reaches the global store; 'away': what is shown is as last known, and nothing can be changed. */
  readonly store: 'reachable' | 'away'
  readonly poolsCount: number
  readonly machinesCount: number
  readonly vmsCount: number
  readonly pools: Collection<Pool>
  readonly elasticities: Collection<Elasticity>
  readonly highAvailabilities: Collection<HighAvailability>
  readonly pms: Collection<PhysicalMachine>
  readonly vms: Collection<VM>
  readonly images: Collection<Image>
  /** A cold pool; nothing exists until add(). */
  createPool(settings: NewPool): Promise<Pool>
  /** Makes the pool. KALI_ERR_NAME_TAKEN when another has its name. */
  add(pool: Pool): Promise<Pool>
  /** Refused while it has machines, VMs or groups (KALI_ERR_NOT_EMPTY), unless `force`: the VMs go on, managed no more. */
  remove(pool: Pool, options?: { readonly force?: boolean }): Promise<void>
  /** What policies and hosts may do by themselves; `reason` is for the others. */
  mode(mode: ModeRecord['mode'], reason: string): Promise<void>
  /** Limit and use of "pool:NAME", "user:NAME", "group:NAME" or "account/PRINCIPAL"; with `limit`, sets it; null takes it away. */
  quota(scope: string, limit?: Partial<Amounts> | null): Promise<QuotaAnswer>
  /** All limits, and what is booked of them. */
  quotas(): Promise<readonly QuotaRow[]>
  /** Why things were done or left, over all pools, newest first. */
  decisions(options?: DecisionOptions): Promise<readonly DecisionRecord[]>
}

// ---------------------------------------------------------------- Pool

/** The paper's Figure 3: picks a machine, or orders them, best first. Pure; runs in a sandbox under a time limit. */
export type SchedulerFunction = UserScheduler
export type PoolMember = PhysicalMachine | VM | Elasticity | HighAvailability
export interface ElasticityWish extends Partial<Omit<ElasticSpec, 'metric' | 'max'>> {
  readonly name?: string
  /** Mandatory: load that does not spread never falls. */
  readonly max: number
  /** 'cpu' (default: mean of the ready members), or the name of a deployed function: payload { group, members }, answers a number. */
  readonly metric?: string | ElasticSpec['metric']
}
export interface PoolInfo { readonly name: string; readonly uuid: string; readonly scheduler: SchedulerRef; readonly rules: readonly RuleRecord[]; readonly createdBy: string; readonly createdAtMs: number }
export interface PoolStats {
  readonly atMs: number
  /** What may be booked, and what is. */
  readonly capacity: Amounts
  readonly booked: Amounts
  readonly machines: Readonly<Record<'in-service' | 'draining' | 'maintenance', number>>
  readonly running: number
  /** Asked for and not running yet, and without a machine at all. */
  readonly inFlight: number
  readonly pending: number
  readonly failed: number
}
export type PoolEvent =
  | ({ readonly type: 'machineAdded' | 'machineRemoved'; readonly machine: string; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'machineMode'; readonly machine: string; readonly name: string; readonly mode: string } & ObjectEvent)
  | ({ readonly type: 'vmPlaced'; readonly vm: string; readonly name: string; readonly machine: string; readonly epoch: number; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'vmAdded' | 'vmRemoved'; readonly vm: string; readonly name: string } & ObjectEvent)
  /** Something about a VM was decided: by whom, and why. */
  | ({ readonly type: 'decided'; readonly id: string; readonly vm: string; readonly name: string; readonly by: string; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'changed'; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | LostEvent

/** Machines that hold VMs by one scheduler, with what is booked counted. A machine is in one pool at a time. */
export interface Pool extends ResourceObject<PoolInfo, PoolStats, PoolEvent> {
  name: string
  description: string
  /** For people: "rank", "function:NAME", "closure NAME"; assign one of these, a function (vm, pms) => pm, or a SchedulerRef. */
  get scheduler(): string
  set scheduler(value: string | SchedulerFunction | SchedulerRef)
  cpuOvercommitRatio: number
  memoryOvercommitRatio: number
  reserveVcpus: number
  reserveMemoryMiB: number
  survivesHosts: number
  migrationsPerHost: number
  migrationsPerPool: number
  policies: readonly string[]
  /** 'frozen': policies are held (dc.global.state says how); 'cold': not added yet. */
  readonly state: 'in-service' | 'frozen' | 'cold'
  readonly machinesCount: number
  readonly vmsCount: number
  /** Of machines in service: hardware x over-commit - reserve - booked. */
  readonly freeVcpus: number
  readonly freeMemoryMiB: number
  /** Of vcpus or memory, whichever is scarcer, the share that is booked. */
  readonly bookedRatio: number
  readonly machines: Collection<PhysicalMachine>
  readonly vms: Collection<VM>
  readonly elasticities: Collection<Elasticity>
  readonly highAvailabilities: Collection<HighAvailability>
  /** A cold VM with defaults filled in; pool.add() places it. */
  createVM(settings?: NewVm): Promise<VM>
  /** A cold elastic group of VMs like this one. */
  createElasticity(vm: VM | PromiseLike<VM>, spec: ElasticityWish): Promise<Elasticity>
  /** A cold protection of this VM: kept running over crashes and lost hosts. */
  createHighAvailability(vm: VM | PromiseLike<VM>, protection?: Partial<Protection>): Promise<HighAvailability>
  /**
   * Takes in machines, VMs (a cold one is placed, made and started; a live one is managed from now on), groups and
   * protections; one, a list or a collection. Adding what is there already is no change. KALI_ERR_MACHINE_TAKEN, KALI_ERR_NO_ROOM, ...
   */
  add<T extends PoolMember | readonly PoolMember[]>(what: T | PromiseLike<T>, options?: { readonly start?: boolean }): Promise<T>
  /** The reverse. A VM goes on unless `destroy`; members of a group are destroyed unless `keepMembers`. */
  remove<T extends PoolMember | readonly PoolMember[]>(what: T | PromiseLike<T>, options?: { readonly destroy?: boolean; readonly keepMembers?: boolean }): Promise<void>
  /** Where it would go; nothing is done. */
  place(vm: VM | PromiseLike<VM> | { readonly vcpus: number; readonly memoryMiB: number }, options?: { readonly scheduler?: string | SchedulerFunction | SchedulerRef }): Promise<Choice>
  /** What explains the present state: of the pool, or of an object of it, by itself, its name or its uuid. */
  why(about?: PoolMember | PromiseLike<PoolMember> | string): Promise<Explanation>
  /** Moves its VMs off; resolves when it is empty and in maintenance. */
  drain(machine: PhysicalMachine | PromiseLike<PhysicalMachine>): Promise<void>
  /** Nothing new is placed there; what runs goes on. */
  maintain(machine: PhysicalMachine | PromiseLike<PhysicalMachine>): Promise<void>
  /** Back to work. */
  serve(machine: PhysicalMachine | PromiseLike<PhysicalMachine>): Promise<void>
  /** KALI_ERR_RULE_INFEASIBLE when it cannot be kept with what there is. `unkept`: rules made before that cannot be kept any more. */
  rule(rule: Omit<RuleRecord, 'pool' | 'hard'> & { readonly hard?: boolean }): Promise<RuleAnswer>
  removeRule(name: string): Promise<void>
  rules(): Promise<readonly RuleRecord[]>
  /** A human's word that it may be tried again. `hostIsDead`: its host is off for certain, which allows it to run elsewhere at once. */
  clear(vm: VM | PromiseLike<VM>, options?: { readonly hostIsDead?: boolean }): Promise<void>
  /** Moves it to a machine of the pool, live; without one, where the scheduler says. */
  migrate(vm: VM | PromiseLike<VM>, to?: PhysicalMachine | PromiseLike<PhysicalMachine>): Promise<VM>
  decisions(options?: DecisionOptions): Promise<readonly DecisionRecord[]>
  /** What policies see. */
  snapshot(): Promise<PoolSnapshot>
  /** What a policy remembered; undefined: nothing yet. */
  memory(policy: string): Promise<MemoryRecord | undefined>
  /** What a policy proposes, each checked and carried out or refused. KALI_ERR_CHANGED: another round was first. */
  act(request: ActRequest): Promise<ActResult>
}

// ---------------------------------------------------------------- wrappers of VMs

export interface ElasticityInfo { readonly name: string; readonly uuid: string; readonly pool: string; readonly spec: ElasticSpec; readonly original?: string; readonly account: string; readonly createdAtMs: number }
export interface ElasticityStats { readonly atMs: number; readonly members: number; readonly ready: number; readonly inFlight: number; readonly failed: number }
export type ElasticityEvent =
  | ({ readonly type: 'memberAdded' | 'memberReady' | 'memberRemoved'; readonly vm: string; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'changed'; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | LostEvent

/** VMs alike, as many as their load asks for. Settings as in ElasticSpec; `out` and `in` are thresholds from 0 to 1. */
export interface Elasticity extends ResourceObject<ElasticityInfo, ElasticityStats, ElasticityEvent> {
  out: number
  in: number
  min: number
  max: number
  metric: string
  hold: number
  periodMs: number
  warmUpMs: number
  cooldownOutMs: number
  cooldownInMs: number
  stepOut: number
  stepIn: number
  margin: number
  flightMs: number
  drainMs: number
  readyText: string
  schedule: NonNullable<ElasticSpec['schedule']>
  /** 'suspended': the data center is frozen. */
  readonly state: 'active' | 'paused' | 'suspended' | 'cold'
  /** Name of its pool. */
  readonly pool: string
  readonly membersCount: number
  readonly inFlightCount: number
  readonly vms: Collection<VM>
  /** No member is added or taken away until resume(). */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Members are destroyed unless `keepMembers`; the VM it was made from never. */
  remove(options?: { readonly keepMembers?: boolean }): Promise<void>
}

export interface HighAvailabilityInfo { readonly name: string; readonly uuid: string; readonly pool: string; readonly vm: string; readonly protection: Protection & { readonly armed: boolean }; readonly epoch: number; readonly reason: string; readonly decidedBy: string; readonly decidedAtMs: number }
export interface HighAvailabilityStats { readonly atMs: number; readonly restarts: number; readonly relocations: number; readonly sinceMs: number; /** Of its host's lease, as this node sees it. */ readonly lease: 'held' | 'gone' }
export type HighAvailabilityState = 'protected' | 'arming' | 'restarting' | 'waiting' | 'error' | 'off' | 'cold'
export type HighAvailabilityEvent =
  | ({ readonly type: 'state'; readonly state: HighAvailabilityState; readonly before: HighAvailabilityState; readonly host: string; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'changed'; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | LostEvent

/** A VM that is kept running: started again in place after a crash, elsewhere when its host is lost. */
export interface HighAvailability extends ResourceObject<HighAvailabilityInfo, HighAvailabilityStats, HighAvailabilityEvent> {
  restarts: number
  relocations: number
  windowMs: number
  onGuestShutdown: Protection['onGuestShutdown']
  priority: number
  /** 'arming': its host has no watchdog and lease for it yet; 'waiting': no machine has room; 'error': given up, see pool.why() and pool.clear(); 'off': nobody wants it to run. */
  readonly state: HighAvailabilityState
  readonly pool: string
  /** Name of the machine that has it; "" when none. */
  readonly host: string
  readonly restartsUsed: number
  readonly relocationsUsed: number
  /** Why it was given up; "" while it was not. */
  readonly error: string
  readonly vm: VM
  /** Ends the protection; the VM goes on. */
  remove(): Promise<void>
}
