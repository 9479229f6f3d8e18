// What the verbs of a VM work with: the host, the room that holds the VMs, storage, other nodes. Types only.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { Call, DomainRecord, SnapshotRecord } from '../../driver/contract.ts'
import type { MigrateVmOptions, MigrationRecord } from '../../kinds/interfaces.ts'
import type { HostContext, HostRoom, VmGuard } from '../contract.ts'
import type { HostParts, HostPeers } from '../parts.ts'
import type { Removals } from './removals.ts'
import type { VmRules } from './vm-rules.ts'
import type { HostVm } from './vm.ts'

export interface VmRoom extends HostRoom {
  get(uuid: string): HostVm | undefined
  byName(name: string): HostVm | undefined
  list(): readonly HostVm[]
  /** As of now in the hypervisor; throws RMO_ERR_GONE when it is not there any more. */
  current(vm: HostVm, call: Call): Promise<DomainRecord>
  /** What a change of our own has led to; newer than any reading that has begun before. */
  remember(record: DomainRecord): HostVm
  /** Reads one VM after a change of our own; what cannot be read is left to the next reading. */
  refresh(uuid: string): Promise<void>
  /** It is gone from this host; with `moved`, to another one. */
  forget(uuid: string, reason: string, moved?: { readonly home: string; readonly to: string }): void
  rememberSnapshot(record: SnapshotRecord): ReferenceRecord
  /** MAC addresses that VMs of this host have, or are about to. */
  macsTaken(): ReadonlySet<string>
  /** Keeps addresses for a change under way; the answer lets go. */
  reserveMacs(macs: readonly string[]): () => void
}

export interface Migrations {
  migrate(vm: HostVm, to: ReferenceRecord, options: MigrateVmOptions, authority: Authority): Promise<ReferenceRecord>
  /** Of the VM's last migration from or to here. */
  last(uuid: string): MigrationRecord | undefined
  /** Throws RMO_ERR_STATE_INVALID while an interrupted migration may have left it running elsewhere: it must not be started here. Looks at both sides first. Under the VM's lock. */
  assertSettled(uuid: string): Promise<void>
  /**
   * Throws RMO_ERR_ALREADY_EXISTS for a VM that was here and moved on: made here again (an add() that is repeated after its
   * answer was lost), it would run twice on the same disks. Asks where it went; rejects when that does not answer.
   */
  assertNotElsewhere(uuid: string, authority: Authority): Promise<void>
  /** The cloud has placed it here since, in one transaction: what is noted of an older migration away counts no more. */
  overrule(uuid: string): Promise<void>
  /** On its way here: neither an object yet nor a free name. */
  expectsUuid(uuid: string): boolean
  expectsName(name: string, uuid: string): boolean
}

export interface VmContext {
  readonly host: HostContext
  readonly room: VmRoom
  readonly vmmUuid: string
  readonly peers: HostPeers
  parts(): HostParts
  migrations(): Migrations
  readonly removals: Removals
  readonly rules: VmRules
  /** Left out where nobody else has a say. */
  readonly guard?: VmGuard | undefined
  /** A driver call of the host's own, for so long. */
  ownCall(timeoutMs: number): Call
  /** The gate's answer for VMs that come from elsewhere: may this principal create here? */
  admit(authority: Authority): Promise<void>
}
