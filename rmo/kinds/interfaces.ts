// Resource-mapped objects as users hold them: virtual machines, storage, networks. Types only; the
// declarations that keep these promises stand beside this file, one kind a file.
//
// A VM is cold (from createVM() or load(): its settings, nothing exists yet, assignments are local) or live
// (a resource exists; an assignment is a patch, ordered before any later call on the object). add() makes it live.

import type { Collection } from '../../functions/mod.ts'
import type { ByteChannel } from '../byte-streams.ts'
import type { DomainState, MigrationProgress } from '../driver/contract.ts'
import type { Changed, LostEvent, ObjectEvent, ResourceObject } from '../object.ts'
import type { Device, DiskDevice, GuestContext, InterfaceDevice, VmSettings } from '../settings.ts'
import type { PhysicalMachine } from './physical-machine.ts'
import type { Port, Switch } from './switch-interfaces.ts'

export type { DomainState } from '../driver/contract.ts'
export type { Port, PortEvent, PortInfo, PortOptions, PortStats, Switch, SwitchEvent, SwitchInfo, SwitchStats } from './switch-interfaces.ts'
export type { Device, DiskDevice, GuestContext, InterfaceDevice, VmSettings } from '../settings.ts'

// ---------------------------------------------------------------- VMM

export interface VmmInfo {
  readonly name: string
  readonly uuid: string
  readonly driver: 'libvirt' | 'memory'
  readonly uri: string
  readonly hypervisor: string
  readonly version: string
  readonly hostUuid: string
  readonly cores: number
  readonly memoryMiB: number
  /** libvirt URI under which other hosts reach this one for migrations; undefined: none was given at start. */
  readonly migrationUri?: string
}
export interface VmmStats { readonly atMs: number; readonly vms: number; readonly running: number; readonly vcpusUsed: number; readonly memoryUsedMiB: number; readonly memoryFreeMiB: number; readonly cpuRatio: number }
export type VmmEvent =
  | ({ readonly type: 'connected' | 'disconnected'; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'vmAdded' | 'vmRemoved'; readonly uuid: string; readonly name: string } & ObjectEvent)
  /** Any event of any VM of this VMM. */
  | ({ readonly type: 'vm'; readonly uuid: string; readonly name: string; readonly event: string; readonly state: DomainState | 'gone' } & ObjectEvent)
  | LostEvent
export type NewVm = Partial<Omit<VmSettings, 'instanceId'>>

/** The virtual machine monitor of one machine (Table I: create, add, read, update, delete, index). */
export interface VMM extends ResourceObject<VmmInfo, VmmStats, VmmEvent> {
  readonly driver: 'libvirt' | 'memory'
  readonly uri: string
  readonly state: 'connected' | 'disconnected'
  readonly hypervisor: string
  readonly version: string
  readonly vmsCount: number
  readonly vcpusUsed: number
  readonly memoryTotalMiB: number
  readonly memoryFreeMiB: number
  readonly vms: Collection<VM>
  readonly images: Collection<Image>
  readonly storagePools: Collection<StoragePool>
  readonly networks: Collection<Network>
  readonly switches: Collection<Switch>
  readonly pm: PhysicalMachine
  /** A cold VM with defaults filled in; nothing exists until add(). */
  createVM(settings?: NewVm): Promise<VM>
  /** Makes the VM: disks, seed, definition. All or nothing. Answers it live. `start`: also starts it. */
  add(vm: VM, options?: { readonly start?: boolean }): Promise<VM>
  /** Removes a stopped VM with the disks that Kumoi made for it; `force`: also a running one, `keepDisks`: not the disks. */
  remove(vm: VM, options?: { readonly force?: boolean; readonly keepDisks?: boolean }): Promise<void>
  /** A VM that somebody else defined becomes one of ours (metadata is added, nothing else changes). */
  adopt(vm: VM): Promise<VM>
  createPool(pool: { readonly name: string; readonly path: string; readonly uuid?: string }): Promise<StoragePool>
  createNetwork(network: { readonly name: string; readonly bridge?: string; readonly forward?: 'none' | 'nat' | 'route' | 'bridge'; readonly address?: string }): Promise<Network>
  /** Default type: 'linux'. A switch that is there already with that type is answered. */
  createSwitch(options: { readonly name: string; readonly type?: 'linux' | 'openvswitch' }): Promise<Switch>
}

// ---------------------------------------------------------------- VM

export interface VmInfo {
  readonly name: string
  readonly uuid: string
  readonly host: string
  readonly driver: string
  readonly managed: boolean
  readonly persistent: boolean
  readonly settings: VmSettings
  readonly version: string
  readonly createdAtMs?: number
  readonly createdBy?: string
  /** The hypervisor's own text: domain XML. */
  readonly definition: string
  /** What was left out, because the caller may not inspect it: its context may hold passwords. */
  readonly concealed?: readonly string[]
  /** The last migration, with its phases. */
  readonly migration?: MigrationRecord
}
export interface MigrationRecord {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly phase: 'preparing' | 'copying' | 'switching' | 'finishing' | 'done' | 'failed' | 'cancelled'
  readonly phases: readonly { readonly phase: string; readonly atMs: number }[]
  readonly error?: string
}
export interface VmStats {
  readonly atMs: number
  readonly state: DomainState
  /** Share of its vcpus in use, 0 to 1, over the last window. */
  readonly cpuRatio: number
  readonly windowMs: number
  readonly cpuSeconds: number
  readonly memoryBytes: number
  readonly memoryUsedBytes?: number
  readonly disks: readonly { readonly target: string; readonly path?: string; readonly reads: number; readonly readBytes: number; readonly writes: number; readonly writtenBytes: number }[]
  readonly interfaces: readonly { readonly target: string; readonly receivedBytes: number; readonly receivedPackets: number; readonly receiveErrors: number; readonly receiveDrops: number; readonly sentBytes: number; readonly sentPackets: number; readonly sendErrors: number; readonly sendDrops: number }[]
}
export interface VmWatchOptions {
  /** 'cpuAbove' when the ratio reaches this, 'cpuBelow' when it has fallen 0.05 under it; default 0.9. */
  readonly cpuAboveRatio?: number
  /** A 'sampled' event at least this far apart; none when left out. */
  readonly sampleEveryMs?: number
}
export type VmEvent =
  | ({ readonly type: 'started' | 'suspended' | 'resumed' | 'stopped' | 'crashed' | 'saved' | 'rebooted'; readonly state: DomainState; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'defined' | 'changed'; readonly version: string } & ObjectEvent)
  | ({ readonly type: 'migrating' } & MigrationProgress & ObjectEvent)
  /** A full copy of its disks is made for a clone of that name; 0 to 1. */
  | ({ readonly type: 'copying'; readonly name: string; readonly ratio: number } & ObjectEvent)
  /** It lives on `to` now; a watch through a shell goes on there by itself. */
  | ({ readonly type: 'migrated'; readonly to: string; readonly home: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | ({ readonly type: 'signal'; readonly signal: 'watchdog' | 'ioError' | 'balloon' | 'agent' | 'deviceAdded' | 'deviceRemoved'; readonly detail: string } & ObjectEvent)
  | ({ readonly type: 'cpuAbove' | 'cpuBelow'; readonly cpuRatio: number; readonly thresholdRatio: number } & ObjectEvent)
  | ({ readonly type: 'sampled'; readonly cpuRatio: number; readonly memoryUsedBytes?: number } & ObjectEvent)
  | LostEvent
export interface CloneOptions {
  readonly name?: string
  /** Where the clone lives; default: where the original does. The disk's file must be visible there. */
  readonly to?: PhysicalMachine
  readonly context?: GuestContext
  readonly start?: boolean
  /** 'overlay' (default): copy-on-write of the stopped original's image or disk; 'full': an independent copy. */
  readonly disks?: 'overlay' | 'full'
}
export interface MigrateVmOptions { readonly live?: boolean; readonly bandwidthMiBps?: number; readonly downtimeMsMax?: number }

export interface VM extends ResourceObject<VmInfo, VmStats, VmEvent, VmWatchOptions> {
  name: string
  memoryMiB: number
  vcpus: number
  autostart: boolean
  description: string
  labels: Readonly<Record<string, string>>
  /** Image that its disks are overlays of; settable while cold. "" when there is none. */
  image: string
  /** 'cold': not added yet. */
  readonly state: DomainState | 'cold'
  /** Name of the machine it lives on. */
  readonly host: string
  readonly cpuRatio: number
  /** Used by the guest as its balloon says; else what it was given. */
  readonly memoryUsedMiB: number
  readonly uptimeSeconds: number
  readonly managed: boolean
  readonly macs: readonly string[]
  readonly devices: readonly Device[]
  readonly volumes: Collection<Volume>
  readonly snapshots: Collection<Snapshot>
  readonly ports: Collection<Port>
  readonly pm: PhysicalMachine
  readonly vmm: VMM
  /** Adds a device: to the settings while cold, plugged in (also hot) when live. */
  add(device: Device): Promise<Changed>
  /** Takes a device away, found by target, mac or path. */
  remove(device: Partial<DiskDevice> | Partial<InterfaceDevice>): Promise<Changed>
  /** What the guest is told at its next first boot. On a live VM: a new seed with the same instance id unless `again`. */
  context(context: GuestContext, options?: { readonly again?: boolean }): Promise<Changed>
  start(options?: { readonly paused?: boolean }): Promise<void>
  /** Asks the guest to stop and waits; `force` pulls the plug when it has not after `timeoutMs` (default 30,000). */
  stop(options?: { readonly force?: boolean; readonly timeoutMs?: number }): Promise<void>
  /** Pulls the plug. */
  destroy(): Promise<void>
  reboot(): Promise<void>
  suspend(): Promise<void>
  resume(): Promise<void>
  /** Memory to disk; start() goes on from there. */
  save(): Promise<void>
  /** To another machine, live unless it is stopped. The reference goes on working. */
  migrate(to: PhysicalMachine, options?: MigrateVmOptions): Promise<VM>
  clone(options?: CloneOptions): Promise<VM>
  snapshot(options?: { readonly name?: string; readonly content?: 'disk' | 'memory'; readonly description?: string }): Promise<Snapshot>
  /** The serial console, bytes both ways; one at a time. */
  console(): Promise<ByteChannel>
  /** Bytes the serial console said lately, at most 64 KiB, as text; with `input`, after sending it and waiting for `until` (a string) or `timeoutMs`. */
  serial(options?: { readonly input?: string; readonly until?: string; readonly timeoutMs?: number }): Promise<string>
}

export interface SnapshotInfo { readonly name: string; readonly uuid: string; readonly vm: string; readonly createdAtMs: number; readonly state: DomainState; readonly content: 'disk' | 'memory'; readonly parent?: string; readonly current: boolean; readonly description?: string }
export interface Snapshot extends ResourceObject<SnapshotInfo> {
  readonly vmName: string
  readonly state: DomainState
  readonly content: 'disk' | 'memory'
  readonly current: boolean
  readonly createdAtMs: number
  readonly vm: VM
  revert(): Promise<void>
  remove(): Promise<void>
}

// ---------------------------------------------------------------- storage

export type StoragePoolEvent =
  | ({ readonly type: 'added' | 'changed' | 'removed' | 'started' | 'stopped'; readonly name: string } & ObjectEvent)
  /** An image of that name is being imported: how much of it is here and checked, 0 to 1. */
  | ({ readonly type: 'copying'; readonly name: string; readonly ratio: number } & ObjectEvent)
  | LostEvent
export interface StoragePool extends ResourceObject<unknown, unknown, StoragePoolEvent> {
  readonly state: 'active' | 'inactive'
  readonly type: 'dir' | 'netfs' | 'other'
  readonly path: string
  readonly host: string
  autostart: boolean
  readonly capacityBytes: number
  readonly usedBytes: number
  readonly freeBytes: number
  readonly volumes: Collection<Volume>
  start(): Promise<void>
  stop(): Promise<void>
  refresh(): Promise<void>
  createVolume(volume: { readonly name: string; readonly format?: 'qcow2' | 'raw'; readonly capacityBytes?: number; readonly image?: string }): Promise<Volume>
  /** Takes an existing file of the host (or a URL of file:) as an immutable image of this pool. */
  importImage(image: { readonly name: string; readonly path: string; readonly description?: string }): Promise<Image>
  /** Forgets the pool; its files are left. */
  remove(): Promise<void>
}
export interface Volume extends ResourceObject {
  readonly pool: string
  readonly path: string
  readonly host: string
  readonly format: 'qcow2' | 'raw' | 'iso' | 'other'
  readonly capacityBytes: number
  readonly allocationBytes: number
  /** File it is an overlay of; "" when none. */
  readonly backingPath: string
  /** Names of the VMs of this host that use it. */
  readonly usedBy: readonly string[]
  resize(capacityBytes: number): Promise<Changed>
  clone(options: { readonly name: string; readonly disks?: 'overlay' | 'full' }): Promise<Volume>
  remove(): Promise<void>
}
export interface Image extends ResourceObject {
  readonly pool: string
  readonly path: string
  readonly host: string
  readonly format: 'qcow2' | 'raw' | 'iso' | 'other'
  readonly sizeBytes: number
  readonly capacityBytes: number
  /** SHA-256 of the file when it was imported. */
  readonly checksum: string
  /** Overlays that stand on it, as far as this host sees. */
  readonly overlays: number
  description: string
  /** Reads the file again and compares the checksum. */
  verify(): Promise<{ readonly intact: boolean; readonly checksum: string }>
  /** Refused while overlays stand on it. */
  remove(): Promise<void>
}

// ---------------------------------------------------------------- networks

export interface Network extends ResourceObject {
  readonly state: 'active' | 'inactive'
  readonly bridge: string
  readonly forward: 'none' | 'nat' | 'route' | 'bridge' | 'other'
  readonly address: string
  readonly host: string
  autostart: boolean
  start(): Promise<void>
  stop(): Promise<void>
  remove(): Promise<void>
}
