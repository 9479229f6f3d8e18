// The cloud between its parts: what a node knows of the records (records.ts), the snapshot that schedulers and policies are
// given, and what policies may ask for. Types only.

import type { NodeId } from '../../fabric/base.ts'
import type { AccessRecord, Amounts, DecisionRecord, GroupRecord, HaTimings, IntentRecord, LeaseRecord, MachineRecord, ModeRecord, PoolRecord, QuotaRecord, QuotaScope, RuleRecord, SchedulerRef, StatusRecord } from './records.ts'

export type * from './records.ts'

// ---------------------------------------------------------------- what a node knows

export type Stored<T> = T & { /** modRevision of its key: the compare-and-swap value. */ readonly revision: number }
/** `key`: uuid of the pool, machine, VM (also of a status) or group; node of a lease; POOL/NAME of a rule; KIND/UUID of access rules; scope of a quota; 'mode'. Told after all changes of one transaction are in the view. */
export type CloudChange = { readonly type: 'pool' | 'machine' | 'vm' | 'status' | 'group' | 'rule' | 'lease' | 'mode' | 'quota' | 'access'; readonly key: string }

/** All records but decisions, memories and bookings, kept equal to the store by one watch. Answers from memory. */
export interface CloudView {
  readonly revision: number
  /** Since when (this node's monotonic clock, ms) the store has answered without a gap; undefined: it does not. */
  contactSinceMs(): number | undefined
  pools(): readonly Stored<PoolRecord>[]
  pool(uuid: string): Stored<PoolRecord> | undefined
  machines(pool?: string): readonly Stored<MachineRecord>[]
  machine(uuid: string): Stored<MachineRecord> | undefined
  intents(of?: { readonly pool?: string; readonly machine?: string; readonly node?: NodeId; readonly group?: string }): readonly Stored<IntentRecord>[]
  intent(vm: string): Stored<IntentRecord> | undefined
  status(vm: string): Stored<StatusRecord> | undefined
  groups(pool?: string): readonly Stored<GroupRecord>[]
  group(uuid: string): Stored<GroupRecord> | undefined
  rules(pool: string): readonly Stored<RuleRecord>[]
  lease(node: NodeId): Stored<LeaseRecord> | undefined
  quota(scope: QuotaScope): Stored<QuotaRecord> | undefined
  quotas(): readonly Stored<QuotaRecord>[]
  /** Of an object of the cloud: Global, Pool, Elasticity, HighAvailability. */
  access(kind: string, uuid: string): Stored<AccessRecord> | undefined
  mode(): ModeRecord
  /** Resolves when this view has everything up to a revision (that of a Stored record that was written; others may never be told); rejects with KALI_ERR_STORE_AWAY after LIMITS.cloudSeenMs. */
  until(revision: number): Promise<void>
  onChange(listener: (change: CloudChange) => void): () => void
}

// ---------------------------------------------------------------- snapshot: what schedulers and policies see

/** A machine as of one moment; plain data, frozen. */
export interface MachineView {
  readonly uuid: string
  readonly name: string
  readonly node: NodeId
  readonly mode: MachineRecord['mode']
  readonly member: 'alive' | 'suspect' | 'dead' | 'left' | 'unknown'
  /** 'gone': the lease key is not there (never armed, or expired). Milliseconds since this node saw it change. */
  readonly lease: { readonly state: 'held' | 'gone'; readonly ageMs: number }
  readonly cores: number
  readonly memoryMiB: number
  readonly booked: Amounts
  /** Running there without an intent. */
  readonly foreign: Amounts
  /** What can still be booked: hardware x over-commit - reserve - booked - foreign. */
  readonly freeVcpus: number
  readonly freeMemoryMiB: number
  readonly cpuRatio: number
  /** Images, storage directories and bridges that it has, by name or path; undefined: not known now (nothing is refused for that). */
  readonly images?: readonly string[]
  readonly storage?: readonly string[]
  readonly bridges?: readonly string[]
  /** Watts by load, of the energy scheduler and consolidation: idle and full. */
  readonly power: { readonly idleWatts: number; readonly fullWatts: number; readonly asleep: boolean }
}
export interface VmView {
  readonly uuid: string
  readonly name: string
  readonly pool: string
  readonly desired: IntentRecord['desired']
  readonly machine?: string
  readonly node?: NodeId
  readonly epoch: number
  readonly vcpus: number
  readonly memoryMiB: number
  readonly labels: Readonly<Record<string, string>>
  readonly protection?: IntentRecord['protection']
  readonly group?: string
  readonly tries: IntentRecord['tries']
  readonly error?: string
  readonly origin: IntentRecord['origin']
  /** When the intent was last decided. */
  readonly decidedAtMs: number
  /** Of the agent, when it is of this epoch. */
  readonly phase?: StatusRecord['phase']
  readonly phaseSinceMs?: number
  /** Of the hypervisor, as the machine's node told; undefined: it did not answer. */
  readonly state?: string
  readonly cpuRatio?: number
  /** Asked for and not running (or not ready, of a group's member) yet: capacity in flight. */
  readonly inFlight: boolean
  readonly images: readonly string[]
  readonly storage: readonly string[]
  readonly bridges: readonly string[]
}
export interface PoolSnapshot {
  readonly atMs: number
  readonly pool: PoolRecord
  readonly mode: ModeRecord['mode']
  /** When a human last set the mode (ModeRecord.atMs; left out: never): what was lost before that, he has seen, and the brake on mass failure is off. */
  readonly modeAtMs?: number
  readonly machines: readonly MachineView[]
  readonly vms: readonly VmView[]
  readonly groups: readonly GroupRecord[]
  readonly rules: readonly RuleRecord[]
  /** How long the answering node has had the store without a gap: takeovers need a whole lease. */
  readonly contactMs: number
  readonly timings: HaTimings
  /** Values of groups' own metrics, by group; undefined: the function failed or has not answered. */
  readonly metrics: Readonly<Record<string, number | undefined>>
}

/** What is to be placed. */
export type VmNeed = Pick<VmView, 'uuid' | 'name' | 'vcpus' | 'memoryMiB' | 'labels' | 'group' | 'images' | 'storage' | 'bridges' | 'protection'> & { readonly priority: number }

/** Where a VM can go, where not and why, and what was chosen. */
export interface Choice {
  readonly scheduler: string
  /** Best first; of a user's scheduler only what he answered. */
  readonly ranked: readonly { readonly machine: string; readonly score: number; readonly parts?: Readonly<Record<string, number>> }[]
  readonly refused: readonly { readonly machine: string; readonly filter: string; readonly reason: string }[]
  readonly chosen?: string
  readonly tookMs: number
  readonly problem?: string
}
export interface PlaceRequest { readonly vm: VmNeed; readonly snapshot: Pick<PoolSnapshot, 'pool' | 'machines' | 'vms' | 'rules' | 'atMs'> & /** For "group:NAME" in rules. */ Partial<Pick<PoolSnapshot, 'groups'>>; /** Machines that are out, with why: it just died there, it is there already. */ readonly avoid?: Readonly<Record<string, string>> }
/** Pure: the same request, the same answer. */
export interface Scheduler {
  readonly name: string
  readonly doc: string
  /** Options with defaults, for help and checks. */
  readonly options: Readonly<Record<string, number | string | boolean>>
  /** Higher is better; only machines that passed the mandatory filters are asked. Parts add up to the score. */
  score(vm: VmNeed, machine: MachineView, request: PlaceRequest, options: Readonly<Record<string, number | string | boolean>>): { readonly score: number; readonly parts?: Readonly<Record<string, number>> }
}
/** Carries out any SchedulerRef: pure ones here, the user's in a sandbox with a time limit (KALI_ERR_SCHEDULER_FAILED). */
export type Choose = (ref: SchedulerRef, request: PlaceRequest, signal: AbortSignal) => Promise<Choice>

// ---------------------------------------------------------------- what policies ask for

export type CloudAction =
  /** A protected VM whose host is lost, or where it cannot be kept running: on another machine, in a new epoch. */
  | { readonly do: 'relocate'; readonly vm: string; readonly epoch: number; readonly to?: string }
  /** Tell its agent to try again. */
  | { readonly do: 'retry'; readonly vm: string; readonly epoch: number }
  /** Place what is pending. */
  | { readonly do: 'place'; readonly vm: string; readonly to?: string }
  /** One more member; `member` numbers it, so that a repeated action is the same member. */
  | { readonly do: 'grow'; readonly group: string; readonly member: string }
  /** Withdraw protection, drain, stop, destroy. */
  | { readonly do: 'shrink'; readonly group: string; readonly vm: string }
  | { readonly do: 'migrate'; readonly vm: string; readonly epoch: number; readonly to?: string }
  | { readonly do: 'give-up'; readonly vm: string; readonly epoch: number; readonly error: string }
  /** Simulated power of an empty machine, for consolidation. */
  | { readonly do: 'sleep' | 'wake'; readonly machine: string }
  /** Says why nothing is done, for people. */
  | { readonly do: 'note'; readonly about: readonly string[]; readonly details?: Readonly<Record<string, unknown>> }
export interface Proposal { readonly action: CloudAction; readonly reason: string; readonly details?: Readonly<Record<string, unknown>> }

/** What a policy is: one pure function. `memory` is what it returned last time for this pool, undefined at first. */
export interface PolicyInput<M> { readonly snapshot: PoolSnapshot; readonly memory: M | undefined; /** Seeded by the round: no other randomness. */ readonly random: () => number }
export interface PolicyOutput<M> { readonly proposals: readonly Proposal[]; readonly memory: M; /** What `why` shows of each VM and group: counters, cooldown left, in flight. */ readonly notes?: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
export type Decide<M> = (input: PolicyInput<M>) => PolicyOutput<M>
/** What is kept of a policy's round (ActRequest.memory, MemoryRecord.memory): its memory, and its notes for `why`. */
export interface PolicyMemory<M = unknown> { readonly memory: M; readonly notes: NonNullable<PolicyOutput<M>['notes']> }

/** One round's decisions, made from the memory of `round` (0: there was none): act() replaces it by that of round + 1, or refuses (KALI_ERR_CHANGED) and does nothing. ActResult.round is the new one. */
export interface ActRequest { readonly policy: string; readonly round: number; readonly memory: unknown; readonly proposals: readonly Proposal[] }
export interface ActResult { readonly round: number; readonly results: readonly { readonly outcome: 'done' | 'refused' | 'nothing'; readonly reason: string }[] }

/** pool.why(x): everything that explains the present state of a VM, a group, or the pool. */
export interface Explanation {
  readonly about: string
  readonly summary: string
  readonly intent?: IntentRecord
  readonly status?: StatusRecord
  readonly lease?: { readonly node: string; readonly state: 'held' | 'gone'; readonly ageMs: number; readonly leaseMs: number }
  /** Where it could go now. */
  readonly placement?: Choice
  readonly notes: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Newest first. */
  readonly decisions: readonly DecisionRecord[]
}
