// Contract of a driver: one hypervisor as rmo/host sees it. Implementations: libvirt (driver/libvirt),
// memory (driver/memory); one conformance suite for all (test/conformance/driver.ts).
//
// A driver carries out commands, says what there is now (inventory, by level), counts (stats, one call for all
// domains), and tells of changes (events, which only shorten the wait: whoever misses one sees it at the next
// inventory). It keeps no policy and no object table: that is rmo/host. Every call has a deadline
// (`Call.remainingMs`); none blocks the node. Commands are idempotent where the state they ask for is there already
// (starting a running domain succeeds). Errors are coded (rmo/errors.ts, rows DRIVER_*): details carry the driver's own
// number and text.

import type { Device, VmSettings } from '../settings.ts'

/** How long one call may take, and who may end it. */
export interface Call { readonly signal?: AbortSignal; remainingMs(): number }

export type DomainState = 'running' | 'paused' | 'stopping' | 'stopped' | 'crashed' | 'saved'

/** One domain as of now. */
export interface DomainRecord {
  readonly uuid: string
  readonly state: DomainState
  /** Why it is in that state, in the driver's word: "booted", "shutdown", "destroyed", "crashed", "migrated", ... */
  readonly reason: string
  readonly settings: VmSettings
  /** Made by Kumoi (has its metadata); others are seen and can be adopted. */
  readonly managed: boolean
  /** false: transient, vanishes when it stops. */
  readonly persistent: boolean
  /** Process id of the emulator, when known. */
  readonly pid?: number
  /** What Kumoi keeps with the domain itself, so that a new node finds it (libvirt: metadata element). */
  readonly metadata?: DomainMetadata
}
export interface DomainMetadata {
  readonly image?: string
  readonly instanceId?: string
  readonly context?: VmSettings['context']
  readonly labels?: Readonly<Record<string, string>>
  /** Placement epoch (kali); a host refuses to start a stale one. */
  readonly epoch?: number
  readonly createdBy?: string
  readonly createdAtMs?: number
}

/** Counters since the domain started, gauges as of now. One bulk call gives all domains. */
export interface DomainStats {
  readonly uuid: string
  readonly state: DomainState
  /** CPU time used by the guest, all vcpus together. */
  readonly cpuNs: bigint
  readonly vcpus: number
  readonly memoryBytes: number
  /** What the guest uses of it, when its balloon driver says so. */
  readonly memoryUsedBytes?: number
  readonly disks: readonly { readonly target: string; readonly path?: string; readonly reads: number; readonly readBytes: number; readonly writes: number; readonly writtenBytes: number; readonly capacityBytes?: number; readonly allocationBytes?: number }[]
  readonly interfaces: readonly { readonly target: string; readonly receivedBytes: number; readonly receivedPackets: number; readonly receiveErrors: number; readonly receiveDrops: number; readonly sentBytes: number; readonly sentPackets: number; readonly sendErrors: number; readonly sendDrops: number }[]
}

export interface PoolRecord {
  readonly uuid: string
  readonly name: string
  readonly type: 'dir' | 'netfs' | 'other'
  readonly path: string
  readonly active: boolean
  readonly autostart: boolean
  readonly capacityBytes: number
  readonly allocationBytes: number
  readonly availableBytes: number
}
export interface VolumeRecord {
  /** Stable: version 5 of (pool uuid, name). */
  readonly uuid: string
  readonly pool: string
  readonly name: string
  readonly path: string
  readonly format: 'qcow2' | 'raw' | 'iso' | 'other'
  readonly capacityBytes: number
  readonly allocationBytes: number
  /** Path of the file that this is an overlay of. */
  readonly backingPath?: string
}
export interface NetworkRecord {
  readonly uuid: string
  readonly name: string
  readonly bridge: string
  readonly active: boolean
  readonly autostart: boolean
  readonly persistent: boolean
  readonly forward: 'none' | 'nat' | 'route' | 'bridge' | 'other'
  /** CIDR of the host's end, when it has one. */
  readonly address?: string
}
export interface SnapshotRecord {
  readonly name: string
  readonly domain: string
  readonly createdAtMs: number
  readonly state: DomainState
  /** 'disk': disks only; 'memory': disks and memory. */
  readonly content: 'disk' | 'memory'
  readonly parent?: string
  readonly current: boolean
  readonly description?: string
}

/** All there is, at one moment. `failures` names rooms that could not be read; what they hold is unknown, not gone. */
export interface Inventory {
  readonly domains: readonly DomainRecord[]
  readonly pools: readonly PoolRecord[]
  readonly volumes: readonly VolumeRecord[]
  readonly networks: readonly NetworkRecord[]
  readonly snapshots: readonly SnapshotRecord[]
  readonly failures: readonly { readonly room: 'domains' | 'pools' | 'volumes' | 'networks' | 'snapshots'; readonly error: Error }[]
}

export interface HostFacts {
  /** Of the hypervisor's host as the hypervisor says it. */
  readonly uuid: string
  readonly hostname: string
  readonly hypervisor: string
  readonly version: string
  readonly cores: number
  readonly memoryBytes: number
  readonly cpuModel?: string
}

export type DriverEvent =
  /** `event` of libvirt's lifecycle: what happened; `state` as of then when the driver knows. */
  | { readonly type: 'domain'; readonly uuid: string; readonly name: string; readonly atMs: number; readonly event: 'defined' | 'undefined' | 'started' | 'suspended' | 'resumed' | 'stopped' | 'shutdown' | 'crashed' | 'migratedOut' | 'migratedIn' | 'saved'; readonly detail: string }
  /** 'emulatorDied': killed, or ended with a failure, just now; `detail`: how. The hypervisor may not have noticed: it says 'crashed' later, and till then counts it as running. Not every driver can tell. */
  | { readonly type: 'domain-signal'; readonly uuid: string; readonly name: string; readonly atMs: number; readonly event: 'reboot' | 'watchdog' | 'ioError' | 'balloon' | 'agent' | 'deviceAdded' | 'deviceRemoved' | 'deviceRemovalFailed' | 'metadata' | 'migration' | 'emulatorDied'; readonly detail: string; readonly value?: number }
  | { readonly type: 'pool' | 'network' | 'volume'; readonly uuid: string; readonly name: string; readonly atMs: number; readonly event: string }
  /** The connection was lost or is there (again): all that was missed must be read by inventory. */
  | { readonly type: 'connection'; readonly atMs: number; readonly connected: boolean; readonly reason: string }

export interface MigrationProgress { readonly phase: 'preparing' | 'copying' | 'switching' | 'finishing'; readonly totalBytes: number; readonly doneBytes: number; readonly remainingBytes: number; readonly elapsedMs: number }
/** Where an incoming domain is sent: made by the destination's acceptIncoming, opaque to all but its driver. */
export interface MigrationTicket { readonly driver: string; readonly uri: string; readonly transportUri?: string; readonly token?: string }
export interface MigrateOptions { readonly live: boolean; readonly bandwidthMiBps?: number; readonly downtimeMsMax?: number; onProgress?(progress: MigrationProgress): void }

/** A serial console: bytes both ways until either side closes. */
export interface ConsoleChannel {
  write(bytes: Uint8Array): Promise<void>
  onData(listener: (bytes: Uint8Array) => void): void
  onClose(listener: (reason: string) => void): void
  close(): void
}

export interface DomainDriver {
  /** Makes it, or changes a stopped one of the same uuid (fields that Kumoi does not know are kept). Running ones: changes what can be changed live, and the rest for the next start. */
  define(uuid: string, settings: VmSettings, metadata: DomainMetadata, call: Call): Promise<DomainRecord>
  /** Removes the definition with its saved state and snapshot records; disks are left. A running one is refused. */
  undefine(uuid: string, call: Call): Promise<void>
  /** From stopped, crashed or saved (then it goes on where it was). */
  start(uuid: string, options: { readonly paused?: boolean }, call: Call): Promise<void>
  /** Asks the guest; resolves when asked. */
  shutdown(uuid: string, call: Call): Promise<void>
  reboot(uuid: string, call: Call): Promise<void>
  /** Pulls the plug. */
  destroy(uuid: string, call: Call): Promise<void>
  suspend(uuid: string, call: Call): Promise<void>
  resume(uuid: string, call: Call): Promise<void>
  /** Memory to disk, then stopped; start() restores. */
  save(uuid: string, call: Call): Promise<void>
  /** Hot-plug when it runs, and for the next start. */
  attach(uuid: string, device: Device, call: Call): Promise<void>
  /** By target or mac. Resolves when the guest has let go. */
  detach(uuid: string, device: Device, call: Call): Promise<void>
  setAutostart(uuid: string, autostart: boolean, call: Call): Promise<void>
  /** One domain as of now; undefined when there is none. */
  get(uuid: string, call: Call): Promise<DomainRecord | undefined>
  /** The driver's own text of it (libvirt: XML), for people and for dumps. */
  describe(uuid: string, call: Call): Promise<string>
  openConsole(uuid: string, call: Call): Promise<ConsoleChannel>
  /** Destination: may this come here? Answers where to send it. Refuses by capacity, name, image, disks that it cannot see. */
  acceptIncoming(uuid: string, settings: VmSettings, metadata: DomainMetadata, call: Call): Promise<MigrationTicket>
  /** Destination: it did not come; gives back what acceptIncoming reserved and removes what is half there. */
  refuseIncoming(uuid: string, call: Call): Promise<void>
  /**
   * Source: sends it; resolves when it runs there and is gone here. Aborting the call's signal cancels; then it still runs
   * here. Between two processes of the memory driver nothing travels by itself: it resolves, when it is gone here, with
   * the text that the destination's completeIncoming takes. Others resolve with nothing.
   */
  migrate(uuid: string, ticket: MigrationTicket, options: MigrateOptions, call: Call): Promise<string | void>
  /**
   * Destination, after migrate has resolved: it is complete; goes on here in the state it had there. Left out where the
   * hypervisor does this itself (libvirt). Idempotent; without `handover` (lost with the source's node) the guest
   * boots anew from the settings that acceptIncoming was given.
   */
  completeIncoming?(uuid: string, handover: string | undefined, call: Call): Promise<void>
  createSnapshot(uuid: string, snapshot: { readonly name: string; readonly content: 'disk' | 'memory'; readonly description?: string }, call: Call): Promise<SnapshotRecord>
  revertSnapshot(uuid: string, name: string, call: Call): Promise<void>
  deleteSnapshot(uuid: string, name: string, call: Call): Promise<void>
}

export interface VolumeWish {
  readonly name: string
  readonly format: 'qcow2' | 'raw'
  /** Default: the backing file's. */
  readonly capacityBytes?: number
  /** Makes an overlay: no byte of it is copied. */
  readonly backing?: { readonly path: string; readonly format: 'qcow2' | 'raw' }
}
export interface StorageDriver {
  definePool(pool: { readonly uuid?: string; readonly name: string; readonly path: string; readonly autostart: boolean }, call: Call): Promise<PoolRecord>
  startPool(uuid: string, call: Call): Promise<void>
  stopPool(uuid: string, call: Call): Promise<void>
  undefinePool(uuid: string, call: Call): Promise<void>
  refreshPool(uuid: string, call: Call): Promise<void>
  /** Started with the host. */
  setAutostart(uuid: string, autostart: boolean, call: Call): Promise<void>
  createVolume(pool: string, wish: VolumeWish, call: Call): Promise<VolumeRecord>
  /** A full copy; `onProgress` from 0 to 1. */
  copyVolume(pool: string, source: string, wish: VolumeWish, call: Call, onProgress?: (ratio: number) => void): Promise<VolumeRecord>
  resizeVolume(pool: string, name: string, capacityBytes: number, call: Call): Promise<void>
  deleteVolume(pool: string, name: string, call: Call): Promise<void>
  /** Writes bytes into a new volume (seeds, small images). */
  uploadVolume(pool: string, wish: VolumeWish, bytes: Uint8Array, call: Call): Promise<VolumeRecord>
}
export interface NetworkDriver {
  define(network: { readonly uuid?: string; readonly name: string; readonly bridge?: string; readonly forward: 'none' | 'nat' | 'route' | 'bridge'; readonly address?: string; readonly autostart: boolean }, call: Call): Promise<NetworkRecord>
  start(uuid: string, call: Call): Promise<void>
  stop(uuid: string, call: Call): Promise<void>
  undefine(uuid: string, call: Call): Promise<void>
  /** Started with the host. */
  setAutostart(uuid: string, autostart: boolean, call: Call): Promise<void>
}

export interface HypervisorDriver {
  readonly name: 'libvirt' | 'memory'
  /** What it is connected to: "qemu:///system", "memory:host1". */
  readonly uri: string
  /** First connection; keeps trying in the background when the hypervisor is not there yet (a 'connection' event tells). Rejects only when it can never be (no library, bad URI). */
  open(): Promise<void>
  /** Lets go of the hypervisor; guests go on. Idempotent. */
  close(): Promise<void>
  readonly connected: boolean
  onEvent(listener: (event: DriverEvent) => void): () => void
  facts(call: Call): Promise<HostFacts>
  inventory(call: Call): Promise<Inventory>
  /** All active domains, one call to the hypervisor. */
  stats(call: Call): Promise<readonly DomainStats[]>
  readonly domains: DomainDriver
  readonly storage: StorageDriver
  readonly networks: NetworkDriver
}
