// What there is on one simulated host, and the few helpers that all its commands share.
//
//   driver.ts -> domains.ts, snapshots.ts, migration.ts, storage.ts, networks.ts -> World
//
// Time passes lazily: a guest that was asked to shut down or reboot has a due time, and `settle` carries out all that
// is due before anything is read or changed. One timer, for the earliest due time, only makes the events punctual.
// Records are made once per change and handed out frozen: while nothing changes, reading costs nothing.

import { dirname } from 'node:path'
import type { Clock, Random } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { DiskDevice, VmSettings } from '../../settings.ts'
import type { Call, DomainMetadata, DomainRecord, DomainState, DriverEvent, NetworkRecord, PoolRecord, SnapshotRecord, VolumeRecord } from '../contract.ts'
import type { CallGate } from './call-gate.ts'
import type { Guest } from './guest.ts'
import type { Trace } from './trace.ts'

/** virErrorNumber VIR_ERR_SYSTEM_ERROR. */
const SYSTEM_ERROR = 38

export interface Capacity { readonly cores: number; readonly memoryMiB: number; readonly storageMiB: number }

export interface Snapshot { readonly name: string; readonly content: 'disk' | 'memory'; readonly createdAtMs: number; readonly state: DomainState; readonly settings: VmSettings; readonly guest?: Guest; readonly parent?: string; readonly description?: string }

/** The load of a VM, wherever it runs; undefined: its own. */
export type MemoryLoad = (uuid: string, settings: VmSettings) => Trace | undefined

/** What a serial console's other end hears. */
export interface ConsoleEnd { hear(text: string): void; hangUp(reason: string): void }

export interface Domain {
  readonly uuid: string
  settings: VmSettings
  metadata: DomainMetadata
  managed: boolean
  state: DomainState
  reason: string
  /** There is one while it is running, paused or stopping. */
  guest?: Guest | undefined
  /** Memory of a saved one. */
  saved?: Guest | undefined
  pid?: number | undefined
  /** What the guest was asked to do, and when it will have done it. */
  due?: { readonly atMs: number; readonly what: 'shutdown' | 'reboot' } | undefined
  /** Something long under way; other changes wait for its end, destroy and faults end it. */
  job?: { readonly name: string; readonly interrupt: (error: Error) => void } | undefined
  snapshots: readonly Snapshot[]
  currentSnapshot?: string | undefined
  readonly consoles: Set<ConsoleEnd>
  /** Made from the above when next asked for. */
  record?: DomainRecord | undefined
}

export interface Pool { readonly uuid: string; readonly name: string; readonly type: PoolRecord['type']; readonly path: string; autostart: boolean; active: boolean; readonly volumes: Map<string, VolumeRecord> }
/** A domain that was announced and has not come yet; its memory is held for it. */
export interface Incoming { readonly token: string; readonly settings: VmSettings; readonly metadata: DomainMetadata }

export interface World {
  readonly host: string
  readonly uuid: string
  readonly uri: string
  readonly clock: Clock
  readonly random: Random
  readonly gate: CallGate
  readonly capacity: Capacity
  readonly bootMs: number
  readonly shutdownMs: number
  readonly copyMiBps: number
  readonly load: MemoryLoad | undefined
  /** 1; more: everything that reads or writes a disk takes so much longer. */
  slowness: number
  readonly domains: Map<string, Domain>
  readonly incoming: Map<string, Incoming>
  readonly pools: Map<string, Pool>
  /** Files of pools that were forgotten, by their directory: there again when it becomes a pool again. */
  readonly leftFiles: Map<string, readonly VolumeRecord[]>
  readonly networks: Map<string, NetworkRecord>
  emit(event: DriverEvent): void
  /** Carries out what is due. */
  settle(): void
  /** Something of it changed: its record is made anew, the state file written soon. */
  touch(domain?: Domain): void
  /** Resolves when all changes so far are in the state file. */
  written(): Promise<void>
}

/** One command: passes the gate, works on what is there now, resolves when that is kept. */
export function command<T>(world: World, operation: string, call: Call, work: () => T | Promise<T>): Promise<T> {
  return world.gate.run(operation, call, async () => {
    world.settle()
    const result = await work()
    await world.written()
    return result
  })
}

/** The domain of that uuid; throws RMO_ERR_GONE. */
export function domainOf({ domains, host }: World, uuid: string): Domain {
  const domain = domains.get(uuid)
  if (domain === undefined) throw RMO.GONE({ kind: 'VM', name: uuid, reason: `${host} has no domain with this uuid` })
  return domain
}

export const invalidState = (domain: Domain, operation: string, needs: string): Error =>
  RMO.STATE_INVALID({ kind: 'VM', name: domain.settings.name, operation, state: domain.state, needs })

/** A domain free to be changed; throws RMO_ERR_IN_USE while something long goes on with it. */
export function idleDomainOf(world: World, uuid: string): Domain {
  const domain = domainOf(world, uuid)
  if (domain.job !== undefined) throw RMO.IN_USE({ kind: 'VM', name: domain.settings.name, by: [domain.job.name] })
  return domain
}

export const isActive = (domain: Domain): domain is Domain & { guest: Guest } => domain.guest !== undefined

export function tell(world: World, domain: Domain, event: (DriverEvent & { readonly type: 'domain' })['event'], detail: string): void {
  world.emit({ type: 'domain', uuid: domain.uuid, name: domain.settings.name, atMs: world.clock.wallMs(), event, detail })
}
export function signal(world: World, domain: Domain, event: (DriverEvent & { readonly type: 'domain-signal' })['event'], detail: string): void {
  world.emit({ type: 'domain-signal', uuid: domain.uuid, name: domain.settings.name, atMs: world.clock.wallMs(), event, detail })
}

/** Memory that no guest and no announced one has. */
export function freeMemoryMiB({ capacity, domains, incoming }: World): number {
  let used = 0
  for (const { guest } of domains.values()) used += guest?.memoryMiB ?? 0
  for (const { settings } of incoming.values()) used += settings.memoryMiB
  return capacity.memoryMiB - used
}
export function needMemory(world: World, name: string, memoryMiB: number): void {
  const free = freeMemoryMiB(world)
  if (memoryMiB > free) throw RMO.NO_CAPACITY({ what: name, host: world.host, wanted: `${memoryMiB} MiB`, free: `${Math.max(0, free)} MiB` })
}

/** Work on `mib` mebibytes, in real or simulated time. */
export const copying = (world: World, operation: string, mib: number, call: Call): Promise<void> =>
  world.gate.pause(operation, mib / world.copyMiBps * world.slowness * 1_000, call)

/** Something long on one domain. Rejects when its call ends, or when the domain is torn away from under it. */
export async function job<T>(domain: Domain, name: string, work: () => Promise<T>): Promise<T> {
  const interrupted = Promise.withResolvers<never>()
  domain.job = { name, interrupt: interrupted.reject }
  try {
    return await Promise.race([work(), interrupted.promise])
  } finally {
    domain.job = undefined
  }
}

/** Every network it is plugged into must be there and active; throws RMO_ERR_GONE or RMO_ERR_STATE_INVALID. */
export function needNetworks({ networks, host }: World, { devices }: VmSettings): void {
  for (const device of devices) {
    if (device.type !== 'interface' || device.network === undefined) continue
    const network = [...networks.values()].find(({ name }) => name === device.network)
    if (network === undefined) throw RMO.GONE({ kind: 'Network', name: device.network, reason: `${host} has no network of this name` })
    if (!network.active) throw RMO.STATE_INVALID({ kind: 'Network', name: network.name, operation: 'plugging into it', state: 'inactive', needs: 'active' })
  }
}

/** The value itself, frozen to its last part: records are handed out as they are. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) frozen(part)
  }
  return value
}

// ---------------------------------------------------------------- records

function snapshotRecord(domain: Domain, { name, content, createdAtMs, state, parent, description }: Snapshot): SnapshotRecord {
  return {
    name, domain: domain.uuid, createdAtMs, state, content, current: name === domain.currentSnapshot,
    ...(parent === undefined ? {} : { parent }), ...(description === undefined ? {} : { description }),
  }
}
export const snapshotRecords = (domain: Domain): readonly SnapshotRecord[] => domain.snapshots.map((snapshot) => snapshotRecord(domain, snapshot))

export function domainRecord(domain: Domain): DomainRecord {
  return domain.record ??= Object.freeze({
    uuid: domain.uuid, state: domain.state, reason: domain.reason, settings: domain.settings,
    managed: domain.managed, persistent: true, ...(domain.pid === undefined ? {} : { pid: domain.pid }), metadata: domain.metadata,
  })
}

// ---------------------------------------------------------------- files

/** Where a disk's bytes are; undefined: nowhere that this host knows of. */
export function volumeOf({ pools }: World, disk: DiskDevice): VolumeRecord | undefined {
  for (const pool of pools.values()) {
    if (disk.volume !== undefined && disk.volume.pool !== pool.name && disk.volume.pool !== pool.uuid) continue
    for (const volume of disk.volume === undefined ? pool.volumes.values() : [pool.volumes.get(disk.volume.name)]) {
      if (volume !== undefined && (disk.volume !== undefined || volume.path === disk.path)) return volume
    }
  }
  return undefined
}

/** The first disk that is not there. A file in a directory that is no pool's is taken to be there: nothing is known of it. */
export function missingDisk(world: World, settings: VmSettings): string | undefined {
  for (const device of settings.devices) {
    if (device.type !== 'disk' || volumeOf(world, device) !== undefined) continue
    const { path, volume } = device
    if (volume !== undefined) return `${volume.pool}/${volume.name}`
    if (path !== undefined && [...world.pools.values()].some((pool) => pool.path === dirname(path))) return path
  }
  return undefined
}

/** What libvirt says when QEMU finds no file. */
export const noSuchFile = (operation: string, name: string, path: string): Error =>
  RMO.DRIVER_FAILED({ operation, name, number: SYSTEM_ERROR, text: `Cannot access storage file '${path}': No such file or directory` })
