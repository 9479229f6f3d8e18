// What the service is given on a node: the other parts of the cloud, and interfaces for all that lies outside of it (other
// machines' objects, deployed functions, the member list). Types only.

import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { Log, Member } from '../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { VmSettings } from '../../rmo/mod.ts'
import type { Choose, CloudView, HaTimings, MachineRecord, MachineView, PoolSnapshot, RuleRecord, VmNeed } from '../cloud/contract.ts'
import type { CloudBook, CloudService } from '../cloud/parts.ts'
import type { TakeoverVote } from '../lease/voters.ts'

/** Kinds of objects that a snapshot is made from. */
export type ObservedKind = 'PhysicalMachine' | 'VMM' | 'VM' | 'Image' | 'StoragePool' | 'Switch' | 'Network'
/** All objects of a kind with attributes; nodes that did not answer are named, what they have is unknown. */
export interface Observed { readonly references: readonly ReferenceRecord[]; readonly failures: readonly { readonly node: NodeId }[] }

export interface CloudServiceOptions {
  readonly view: CloudView
  readonly book: CloudBook
  readonly choose: Choose
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** In force on every node; contact and leases are measured against them. */
  readonly timings: HaTimings
  /** May the armed VMs of that node's machines be taken over, as far as its voters go (kali/lease/voters.ts)? */
  vote(node: NodeId, signal: AbortSignal): Promise<TakeoverVote>
  members(): readonly Pick<Member, 'id' | 'name' | 'state'>[]
  /** By the node's own authority: the answer is shared by all who ask. Who has not answered within `answerMs` is among the failures; after the signal nobody listens any more. */
  observe(kind: ObservedKind, signal: AbortSignal, answerMs: number): Promise<Observed>
  /** All settings of a live VM as its home says (its context is not among its attributes). Default: from its attributes. */
  settingsOf?(vm: ReferenceRecord, by: Authority): Promise<VmSettings>
  /** Names of the deployed functions, as the store has them: a pool's scheduler is one of them. Default: whatever is named is taken for one. */
  functions?(): Promise<readonly string[]>
  /** Calls a deployed function. */
  metric(name: string, payload: unknown, signal: AbortSignal): Promise<unknown>
  /** Deploys the policies of these names that are delivered and not there yet. */
  ensurePolicies(names: readonly string[], by: Authority): Promise<void>
  /** Why a placement would break the pool's promise to survive hosts; undefined: it keeps it. Asked before a VM is protected in a pool with survivesHosts > 0; new VMs are asked about by `choose` itself. */
  admit(snapshot: Pick<PoolSnapshot, 'pool' | 'machines' | 'vms' | 'rules' | 'atMs'>, vm: VmNeed, machine: string): string | undefined
  /** Why a rule cannot be kept; undefined: it can. */
  infeasible(rule: RuleRecord, snapshot: Pick<PoolSnapshot, 'pool' | 'machines' | 'vms' | 'rules' | 'atMs'>): string | undefined
  /** Watts of a machine at no and at full load. Default: a straight line by its cores (snapshot.ts). */
  power?(machine: MachineRecord): Pick<MachineView['power'], 'idleWatts' | 'fullWatts'>
}

export interface RunningCloudService extends CloudService {
  /** Stops watching; calls under way end by themselves. */
  stop(): void
}
