// The home side of a machine's resources: what the rooms (vms, storage, networks, switches) share.
//
//   driver --inventory, events, stats--> host --sync--> rooms --add/remove--> LocalObjects
//   kind's verb --> room's local object --> exclusive(key) --> driver command --> resync
//
// Level-based: a room compares what there is with the objects it has, after every event, after every change of our own,
// and each LIMITS.hostResyncMs; events only shorten the wait. Types only.

import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { Call, DomainStats, DriverEvent, HostFacts, HypervisorDriver, Inventory } from '../driver/contract.ts'
import type { LocalObjects, ObjectEvent } from '../object.ts'

export interface HostContext {
  readonly self: NodeId
  /** Uuid of the PhysicalMachine that this host is, and its name. */
  readonly machineUuid: string
  hostName(): string
  readonly driver: HypervisorDriver
  readonly objects: LocalObjects
  readonly clock: Clock
  readonly random: Random
  /** Latest known; empty until the first connection. */
  inventory(): Inventory
  facts(): HostFacts | undefined
  connected(): boolean
  /** Reads everything again and syncs the rooms; callers at the same time share one reading. */
  resync(): Promise<void>
  /** Serialises changes of one object ("VM/<uuid>", "name/<name>"). */
  exclusive<T>(key: string, work: () => Promise<T>): Promise<T>
  publish(kind: string, uuid: string, event: ObjectEvent): void
  /** What a VM shows is no longer what it was. */
  readonly changed?: (() => void) | undefined
  subscribe(kind: string, uuid: string, listener: (event: ObjectEvent) => void): () => void
  /** Reference with attributes as of now; throws RMO_ERR_OBJECT_UNKNOWN. */
  reference(kind: string, uuid: string): ReferenceRecord
  /** The node that has this object, of all that live; absent where a host stands alone. Throws RMO_ERR_LIST_INCOMPLETE when one of them does not answer. */
  holder?(kind: string, uuid: string, authority: Authority): Promise<NodeId | undefined>
  /** A verb's time as a driver call's. */
  call(authority: Pick<Authority, 'signal' | 'remainingMs'>): Call
  /** A directory of this node for what belongs to no pool (seeds, saved notes). */
  readonly directory: string
}

/**
 * Who else has a say about VMs of this host (kali's guard): asked by users' verbs, and right before anything is set going.
 * Both with the lock of the VM held; a rejection is the verb's.
 */
export interface VmGuard {
  /** Before a verb is carried out: 'start' | 'stop' | 'destroy' | 'save' | 'remove' | 'migrate'. */
  asked(vm: { readonly uuid: string; readonly name: string }, verb: GuardedVerb, authority: Authority): Promise<void>
  /**
   * Right before the driver sets it going, or lets it come. `epoch`: of the domain's own metadata; of one that arrives by
   * migration it is the source's. What is answered is asked right after: false, and the VM is destroyed at once.
   */
  beforeRun(vm: { readonly uuid: string; readonly name: string; readonly epoch?: number; readonly arrives?: 'by-migration' }): Promise<() => boolean>
}
export type GuardedVerb = 'start' | 'stop' | 'destroy' | 'save' | 'remove' | 'migrate'

/** One room: owns the local objects of some kinds. */
export interface HostRoom {
  /** `readFrom`: number of the last event or own change before the reading began; what is numbered higher is newer than the reading. */
  sync(inventory: Inventory, readFrom: number): void
  onEvent?(event: DriverEvent): void
  onStats?(stats: readonly DomainStats[], atMs: number, how?: 'shown' | 'silent'): void
  stop?(): void
}

/** Bridges and ports of one host, Linux or Open vSwitch (rmo/driver/ovs, rmo/driver/bridge). */
export interface SwitchRecord { readonly uuid: string; readonly name: string; readonly type: 'linux' | 'openvswitch'; readonly datapath: string; readonly up: boolean }
export interface PortRecord {
  readonly uuid: string
  readonly name: string
  readonly switchUuid: string
  readonly vlanTag: number
  readonly trunkTags: readonly number[]
  readonly rateKiBps: number
  readonly linkUp: boolean
  readonly mac?: string
  /** VM whose interface it is, when the switch was told (Open vSwitch: external_ids vm-id). */
  readonly vmUuid?: string
  readonly receivedBytes: number
  readonly sentBytes: number
}
export interface SwitchDriver {
  open(): Promise<void>
  close(): Promise<void>
  /** What there is now. */
  inventory(): Promise<{ readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] }>
  /** Something changed: take inventory again. */
  onChange(listener: () => void): () => void
  createSwitch(name: string, type: 'linux' | 'openvswitch', call: Call): Promise<SwitchRecord>
  removeSwitch(uuid: string, call: Call): Promise<void>
  addPort(switchUuid: string, port: { readonly name: string; readonly vlan?: { readonly tag: number } | { readonly trunk: readonly number[] }; readonly rateKiBps?: number; readonly internal?: boolean }, call: Call): Promise<PortRecord>
  changePort(uuid: string, change: { readonly vlanTag?: number; readonly trunkTags?: readonly number[]; readonly rateKiBps?: number }, call: Call): Promise<void>
  removePort(uuid: string, call: Call): Promise<void>
  /** 'linux' | 'openvswitch' by name; undefined when there is no such bridge. */
  typeOf(bridge: string): 'linux' | 'openvswitch' | undefined
}
