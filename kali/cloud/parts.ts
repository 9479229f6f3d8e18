// What the parts of the cloud on one node are to each other: book (writes), service (what users and policies ask for),
// lease (may this node run protected VMs?), agent (carries out intents). kali/cloud.ts puts them together. Types only.

import type { NodeId } from '../../fabric/base.ts'
import type { StoreCompare } from '../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { AclRule, DomainState, VmSettings } from '../../rmo/mod.ts'
import type {
  ActRequest, ActResult, Choice, CloudView, DecisionRecord, ElasticSpec, Explanation, GroupRecord, HaTimings, IntentRecord, MachineRecord, MemoryRecord, ModeRecord, PoolRecord, PoolSnapshot,
  Protection, QuotaRecord, RuleRecord, SchedulerRef, StatusRecord, Stored,
} from './contract.ts'

// ---------------------------------------------------------------- book: every write of the cloud, each one transaction

export interface ChangeOptions {
  /** Further conditions of the transaction: `lease/NODE` is not there, ... Not met: KALI_ERR_CHANGED. */
  readonly when?: readonly StoreCompare[]
  /**
   * Why a VM that is armed on its machine may leave it although that machine's lease stands: it rejoined and has not the VM, a
   * human's word. Left out: the book itself refuses (KALI_ERR_NOT_TAKEABLE) unless the lease is gone, in the same transaction,
   * or the VM moves by live migration (origin 'migrate').
   */
  readonly proof?: string
  readonly signal?: AbortSignal
}

/** Throws KALI_ERR_NO_ROOM, KALI_ERR_QUOTA, KALI_ERR_NAME_TAKEN, KALI_ERR_CHANGED (somebody else was first), KALI_ERR_POOL_UNKNOWN, ..., STORE_*. */
export interface CloudBook {
  createPool(pool: PoolRecord): Promise<Stored<PoolRecord>>
  changePool(uuid: string, change: (present: PoolRecord) => PoolRecord): Promise<Stored<PoolRecord>>
  /** Refused while it has machines, VMs or groups (KALI_ERR_NOT_EMPTY). */
  removePool(uuid: string): Promise<void>
  /** Refused while it is in a pool (KALI_ERR_MACHINE_TAKEN). */
  joinMachine(machine: Omit<MachineRecord, 'booked'>): Promise<Stored<MachineRecord>>
  changeMachine(uuid: string, change: (present: MachineRecord) => MachineRecord): Promise<Stored<MachineRecord>>
  /** Refused while intents name it. */
  leaveMachine(uuid: string): Promise<void>
  /** A new intent, booked in the same transaction when `booked`. */
  intend(intent: IntentRecord, options?: ChangeOptions): Promise<Stored<IntentRecord>>
  /**
   * Reads the intent from the store, lets `change` make the next one (undefined: leave it), and writes it if nobody was
   * faster, with bookings of machine, pool and account moved by the difference; else again, a few times. Machine and epoch
   * change together or it is refused.
   */
  change(vm: string, change: (present: Stored<IntentRecord>) => IntentRecord | undefined, options?: ChangeOptions): Promise<Stored<IntentRecord> | undefined>
  /** Forgets the intent and its status; bookings are given back. */
  forget(vm: string, when: (present: Stored<IntentRecord>) => boolean): Promise<void>
  /** Written only while the intent names this machine in this epoch. */
  status(status: StatusRecord): Promise<void>
  putGroup(group: GroupRecord, expect: 'new' | number): Promise<Stored<GroupRecord>>
  removeGroup(uuid: string): Promise<void>
  putRule(rule: RuleRecord): Promise<void>
  removeRule(pool: string, name: string): Promise<void>
  putQuota(quota: QuotaRecord | { readonly scope: QuotaRecord['scope']; readonly limit: null }): Promise<void>
  booked(scope: QuotaRecord['scope']): Promise<{ readonly vms: number; readonly vcpus: number; readonly memoryMiB: number }>
  setMode(mode: ModeRecord): Promise<void>
  /** Access rules of an object, all of them; undefined: no record of any. Answers the revision at which they stand. They go with their object. `when` says no: KALI_ERR_CHANGED. */
  setAccess(of: { readonly kind: string; readonly uuid: string }, rules: readonly AclRule[] | undefined, when?: (present: readonly AclRule[] | undefined) => boolean): Promise<number>
  /** Memory of a policy for a pool; undefined: none yet. */
  memory(policy: string, pool: string): Promise<MemoryRecord | undefined>
  /** Replaces round n by n + 1 (n = 0: none yet); KALI_ERR_CHANGED when somebody else did. */
  remember(policy: string, pool: string, round: number, memory: unknown): Promise<void>
  /** Bounded per pool (LIMITS.decisionsKept): the oldest go. Never in the way of what it is about: failures are logged. */
  decided(decision: DecisionRecord): Promise<void>
  /** Newest first. */
  decisions(pool: string, options?: { readonly about?: string; readonly limit?: number }): Promise<readonly DecisionRecord[]>
  /** Linearizable, for the guard: the intent as it is now in the store. */
  read(vm: string, options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<Stored<IntentRecord> | undefined>
}

// ---------------------------------------------------------------- lease: may this node run protected VMs?

export interface HostLease {
  readonly timings: HaTimings
  /** New at each start. */
  readonly boot: string
  /** Resolves when lease and watchdog stand for this VM (the first one makes them); `pid` of its emulator as soon as there is one. Rejects with KALI_ERR_LEASE_LOST. */
  arm(vm: { readonly uuid: string; readonly name: string; readonly pid?: number }): Promise<void>
  /** It is gone from this host, stopped, or protected no more; the last one lets go of lease and watchdog. */
  disarm(vm: string): Promise<void>
  /** Held, and younger than the give-up age, now. */
  readonly held: boolean
  /** Held, and lease and watchdog stand for this VM in this life of the node. */
  isArmed(vm: string): boolean
  /** Since the last renewal was *sent*, ms; Infinity: none. */
  ageMs(): number
  /** Whether it is held changed. */
  onChange(listener: (held: boolean) => void): () => void
  stop(): Promise<void>
}

/** Kept by kali, asked by rmo/host, which defines it: users' verbs on VMs with an intent become intents, and nothing is set going that must not be. */
export type { VmGuard } from '../../rmo/mod.ts'

// ---------------------------------------------------------------- agent: one hypervisor as the agent uses it (over rmo/host)

export interface AgentDomain { readonly uuid: string; readonly name: string; readonly state: DomainState; readonly reason: string; readonly settings: VmSettings; readonly pid?: number; readonly epoch?: number; readonly cpuRatio: number }
export interface AgentHost {
  readonly machine: { readonly uuid: string; readonly name: string; readonly node: NodeId }
  /** The first inventory has been read. */
  readonly ready: Promise<void>
  connected(): boolean
  domains(): readonly AgentDomain[]
  domain(vm: string): AgentDomain | undefined
  /** Something of a domain changed (state, settings, came, went). `crashed`, `shut-down`: why it ended, as the hypervisor said. */
  onChange(listener: (vm: string, ended?: 'crashed' | 'shut-down' | 'destroyed') => void): () => void
  /** Makes it from settings, disks and seed included. */
  create(intent: IntentRecord, signal: AbortSignal): Promise<void>
  /** Defines it on disks that are there. */
  restore(intent: IntentRecord, signal: AbortSignal): Promise<void>
  start(vm: string, signal: AbortSignal): Promise<void>
  /** Asks the guest, and pulls the plug after `patienceMs`. */
  stop(vm: string, patienceMs: number, signal: AbortSignal): Promise<void>
  /** At once, whatever hangs. */
  destroy(vm: string, signal: AbortSignal): Promise<void>
  remove(vm: string, options: { readonly keepDisks: boolean }, signal: AbortSignal): Promise<void>
  migrate(vm: string, to: { readonly uuid: string; readonly node: NodeId; readonly name: string }, signal: AbortSignal): Promise<void>
  /** A migration away has begun of which nobody knows yet where it has ended: nothing may be concluded. */
  unsettled(vm: string): boolean
  /** Writes the placement epoch into the domain's own metadata, and takes it out of the hypervisor's autostart; 0: takes the epoch out. */
  stamp(vm: string, epoch: number, signal: AbortSignal): Promise<void>
  /** What its serial console said lately. */
  serial(vm: string, signal: AbortSignal): Promise<string>
}

// ---------------------------------------------------------------- service: what users' verbs and policies ask for

export interface PoolDraft { readonly uuid: string; readonly name: string; readonly description?: string; readonly overcommit?: Partial<PoolRecord['overcommit']>; readonly reserve?: Partial<PoolRecord['reserve']>; readonly survivesHosts?: number; readonly scheduler?: SchedulerRef; readonly migrations?: Partial<PoolRecord['migrations']>; readonly policies?: readonly string[] }
export type PoolChange = Partial<Omit<PoolDraft, 'uuid'>>
export interface GroupDraft { readonly uuid: string; readonly name?: string; readonly vm: ReferenceRecord; readonly spec: Partial<ElasticSpec> & Pick<ElasticSpec, 'max'> }

export interface RuleAnswer { readonly unkept: readonly { readonly rule: string; readonly reason: string }[] }

/** Every method checks, writes through the book, waits until this node's view has it, and answers. Authority: who asks (quota, audit). */
export interface CloudService {
  readonly view: CloudView
  addPool(draft: PoolDraft, by: Authority): Promise<PoolRecord>
  changePool(uuid: string, change: PoolChange, by: Authority): Promise<PoolRecord>
  /** `force`: takes machines out and stops managing VMs first; VMs go on running. */
  removePool(uuid: string, options: { readonly force?: boolean }, by: Authority): Promise<void>
  addMachine(pool: string, machine: ReferenceRecord, by: Authority): Promise<MachineRecord>
  removeMachine(pool: string, machine: string, by: Authority): Promise<void>
  /** 'draining' resolves when it is empty (or rejects saying what could not be moved); a machine that is empty goes on to 'maintenance'. */
  setMachineMode(machine: string, mode: MachineRecord['mode'], by: Authority): Promise<MachineRecord>
  /** A cold VM: placed by the scheduler, made, started, answered when it runs. A live one on a machine of the pool: managed from now on. */
  addVm(pool: string, vm: ReferenceRecord, options: { readonly start?: boolean }, by: Authority): Promise<{ readonly vm: string; readonly choice?: Choice }>
  /** Managed no more (the VM goes on). `destroy`: stopped and removed with its disks. */
  removeVm(pool: string, vm: string, options: { readonly destroy?: boolean }, by: Authority): Promise<void>
  /** Refused when it could not run elsewhere (KALI_ERR_NOT_MOVABLE says what is missing), with fewer than three nodes (KALI_ERR_TWO_NODES). */
  protect(pool: string, vm: ReferenceRecord, protection: Partial<Protection>, by: Authority): Promise<IntentRecord>
  unprotect(vm: string, by: Authority): Promise<void>
  /** A human's word: tries begin anew. With `hostIsDead` (proof of death, audited): its host is said to be off for certain. */
  clear(vm: string, options: { readonly hostIsDead?: boolean }, by: Authority): Promise<IntentRecord>
  /** Live, to a machine of the pool (left out: by the scheduler), through the intent; resolves when it runs there. */
  migrateVm(pool: string, vm: string, to: string | undefined, by: Authority): Promise<void>
  addGroup(pool: string, draft: GroupDraft, by: Authority): Promise<GroupRecord>
  changeGroup(uuid: string, change: { readonly spec?: Partial<ElasticSpec>; readonly paused?: boolean }, by: Authority): Promise<GroupRecord>
  /** Members are destroyed unless `keepMembers`; the original never. */
  removeGroup(uuid: string, options: { readonly keepMembers?: boolean }, by: Authority): Promise<void>
  /** Refused when it cannot be kept with the machines and VMs there are (KALI_ERR_RULE_INFEASIBLE). */
  /** `unkept`: other hard rules of the pool that cannot be kept as things are. */
  putRule(rule: RuleRecord, by: Authority): Promise<RuleAnswer>
  removeRule(pool: string, name: string, by: Authority): Promise<void>
  putQuota(quota: QuotaRecord | { readonly scope: QuotaRecord['scope']; readonly limit: null }, by: Authority): Promise<void>
  setMode(mode: ModeRecord['mode'], reason: string, by: Authority): Promise<void>
  snapshot(pool: string, by: Authority): Promise<PoolSnapshot>
  /** What a policy remembers for this pool, and the round to name in its next ActRequest; round 0: nothing yet. */
  memory(pool: string, policy: string, by: Authority): Promise<{ readonly round: number; readonly memory: unknown }>
  act(pool: string, request: ActRequest, by: Authority): Promise<ActResult>
  /** Where it would go, by the pool's scheduler or another; nothing is done. */
  tryPlace(pool: string, vm: ReferenceRecord | { readonly vcpus: number; readonly memoryMiB: number }, scheduler: SchedulerRef | undefined, by: Authority): Promise<Choice>
  /** `about`: uuid or name of a VM, a group or a machine; left out: the pool. */
  why(pool: string, about: string | undefined, by: Authority): Promise<Explanation>
  decisions(pool: string, options: { readonly about?: string; readonly limit?: number }, by: Authority): Promise<readonly DecisionRecord[]>
}
