// What the host is put together from beside the driver: the rooms of storage, networks and switches, and the way to
// other nodes. Types only; kali/node.ts (or a test) hands the values to createHost.
//
// DiskMaker is what adding, removing and cloning a VM needs of storage: it turns wishes ("an overlay of image guest",
// "this file, made when absent") into devices with paths that exist, and can take every one of them back.

import type { NodeId } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { Call } from '../driver/contract.ts'
import type { NewNetwork, NewPool, NewSwitch } from '../kinds/vmm.ts'
import type { DiskDevice, VmSettings } from '../settings.ts'
import type { HostContext, HostRoom } from './contract.ts'
import type { HostMigrations } from './migration/migration.ts'

/** Settings after something was made for them, and the way back. */
export interface Prepared {
  /** Paths, formats, targets, roles and instanceId filled in; the seed is among the devices. */
  readonly settings: VmSettings
  /** Removes what was made, newest first; answers what could not be removed, in words ("volume default/vm-1.qcow2"). Never rejects. */
  undo(): Promise<readonly string[]>
}

export interface CloneDisks {
  readonly original: { readonly uuid: string; readonly settings: VmSettings }
  readonly uuid: string
  /** Of the clone: new name, MACs, instanceId and context; its disks are still the original's. */
  readonly settings: VmSettings
  readonly how: 'overlay' | 'full'
}

export interface DiskMaker {
  /** For add(): resolves the image, makes automatic disks, overlays and the seed. All or nothing. */
  prepare(uuid: string, settings: VmSettings, call: Call): Promise<Prepared>
  /** Deletes the disks and the seed that Kumoi made for it; others are left. Deleting twice is deleting once. */
  dispose(uuid: string, settings: VmSettings, call: Call): Promise<void>
  /**
   * For clone() of a stopped VM. 'overlay': no byte is copied; where the original has written into its disk, that disk
   * becomes a frozen base of both, and `original` are the original's new settings (a fresh overlay on it).
   */
  cloneDisks(clone: CloneDisks, call: Call, onProgress?: (ratio: number) => void): Promise<Prepared & { readonly original?: VmSettings }>
  /** For context(): a new seed from settings.context and settings.instanceId; the old one stays until the new one is whole. */
  reseed(uuid: string, settings: VmSettings, call: Call): Promise<Prepared>
  /** Of a VM that comes here without its source (placement.ts): an automatic disk that cannot be seen and is made again, as it has no bytes (simulated hosts). */
  remakes?(disk: DiskDevice): boolean
  /** For a VM that is to come here: every file below the disks that this host sees is there. Throws DISK_UNUSABLE naming what is missing. */
  assertWhole?(settings: VmSettings, call: Call): Promise<void>
}

/** The other rooms and what VMM verbs ask of them. A host without them (tests, a bare hypervisor) refuses those verbs. */
export interface HostParts {
  readonly rooms?: readonly HostRoom[]
  readonly disks?: DiskMaker
  createPool?(pool: NewPool, authority: Authority): Promise<ReferenceRecord>
  createNetwork?(network: NewNetwork, authority: Authority): Promise<ReferenceRecord>
  createSwitch?(wish: NewSwitch, authority: Authority): Promise<ReferenceRecord>
  /** What a bridge is, so that an interface need not say: undefined when there is none of that name. */
  typeOfBridge?(name: string): 'linux' | 'openvswitch' | undefined
}
export type MakeParts = (context: HostContext) => HostParts

/** The way to other nodes, on behalf of whoever asked. */
export interface HostPeers {
  /** One method of another member; its errors arrive as CodedErrors. */
  call(node: NodeId, method: string, body: unknown, authority: Authority): Promise<unknown>
  /** One verb of an object anywhere, through the gate of its home. */
  invoke(target: { readonly kind: string; readonly uuid: string; readonly home: NodeId }, verb: string, args: readonly unknown[], authority: Authority): Promise<unknown>
  nameOf(node: NodeId): string
  /** The node that has this object, of all that live. Throws RMO_ERR_LIST_INCOMPLETE when one of them does not answer. */
  holder?(kind: string, uuid: string, authority: Authority): Promise<NodeId | undefined>
  /** Another host of this very node, by its machine: simulated hosts live together in one. */
  sibling?(machineUuid: string): { readonly migrations: HostMigrations } | undefined
}
