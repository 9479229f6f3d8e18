// Pools and volumes of a simulated host: records with sizes, no bytes. What lies under SHARED_ROOT is the same for all
// simulated hosts, as an NFS mount would be.

import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import { namedUuid } from '../../uuid.ts'
import type { Call, PoolRecord, StorageDriver, VolumeRecord, VolumeWish } from '../contract.ts'
import { command, copying, isActive, volumeOf } from './world.ts'
import type { Pool, World } from './world.ts'

const MiB = 1024 ** 2
/** What an empty qcow2 file takes: header, tables of one cluster each. */
const EMPTY_QCOW2_BYTES = 196_608
const INVALID_ARGUMENT = 8
const SYSTEM_ERROR = 38

/** Images are volumes of this name: the room for storage (rmo/host/storage/disk-records.ts) knows them by it. */
export const IMAGE_SUFFIX = '.image'
export const isImage = (file: string): boolean => file.endsWith(IMAGE_SUFFIX)

export const SHARED_ROOT = '/nfs'
export const isShared = (path: string): boolean => path === SHARED_ROOT || path.startsWith(`${SHARED_ROOT}/`)

export function poolRecord({ capacity }: World, { uuid, name, type, path, active, autostart, volumes }: Pool): PoolRecord {
  const capacityBytes = capacity.storageMiB * MiB
  let allocationBytes = 0
  for (const volume of volumes.values()) allocationBytes += volume.allocationBytes
  return { uuid, name, type, path, active, autostart, capacityBytes, allocationBytes, availableBytes: Math.max(0, capacityBytes - allocationBytes) }
}

/** A file as a volume of that pool. */
export const volumeFor = (pool: Pick<Pool, 'uuid' | 'name' | 'path'>, file: Omit<VolumeRecord, 'uuid' | 'pool' | 'path'>): VolumeRecord =>
  Object.freeze({ ...file, uuid: namedUuid(pool.uuid, file.name), pool: pool.name, path: `${pool.path}/${file.name}` })

export function addPool(world: World, { uuid, name, path, autostart, active }: { readonly uuid: string; readonly name: string; readonly path: string; readonly autostart: boolean; readonly active: boolean }): Pool {
  const files = world.leftFiles.get(path) ?? []
  world.leftFiles.delete(path)
  const pool: Pool = { uuid, name, type: isShared(path) ? 'netfs' : 'dir', path, autostart, active, volumes: new Map() }
  for (const file of files) pool.volumes.set(file.name, volumeFor(pool, file))
  world.pools.set(uuid, pool)
  return pool
}

/** By uuid or name; throws RMO_ERR_GONE. */
function poolOf({ pools, host }: World, key: string): Pool {
  const pool = pools.get(key) ?? [...pools.values()].find(({ name }) => name === key)
  if (pool === undefined) throw RMO.GONE({ kind: 'StoragePool', name: key, reason: `${host} has no such pool` })
  return pool
}
function activePoolOf(world: World, key: string, operation: string): Pool {
  const pool = poolOf(world, key)
  if (!pool.active) throw RMO.STATE_INVALID({ kind: 'StoragePool', name: pool.name, operation, state: 'inactive', needs: 'active' })
  return pool
}
function volumeIn(pool: Pool, name: string): VolumeRecord {
  const volume = pool.volumes.get(name)
  if (volume === undefined) throw RMO.GONE({ kind: 'Volume', name, reason: `pool ${pool.name} has no such volume` })
  return volume
}

function needSpace(world: World, pool: Pool, what: string, bytes: number): void {
  const { availableBytes } = poolRecord(world, pool)
  if (bytes > availableBytes) throw RMO.NO_SPACE({ what, path: pool.path, reason: `it needs ${bytes} bytes, ${availableBytes} are free` })
}

function needName(world: World, pool: Pool, operation: string, name: string): void {
  if (pool.volumes.has(name)) throw RMO.ALREADY_EXISTS({ what: `Volume ${name} of pool ${pool.name}`, host: world.host })
  if (name === '' || name.includes('/')) throw RMO.DRIVER_FAILED({ operation, name, number: INVALID_ARGUMENT, text: "a volume's name is not empty and has no '/'" })
  if (pool.volumes.size >= LIMITS.memoryVolumesMax) throw RMO.NO_SPACE({ what: name, path: pool.path, reason: `the pool has ${LIMITS.memoryVolumesMax} volumes already` })
}

/** The size that a volume shall have, from its wish or from the file that it stands on. */
function capacityOf(world: World, operation: string, { name, capacityBytes, backing }: VolumeWish): number {
  const base = backing === undefined ? undefined : volumeOf(world, { type: 'disk', path: backing.path, format: backing.format })
  const bytes = capacityBytes ?? base?.capacityBytes
  if (backing !== undefined && base === undefined && capacityBytes === undefined) throw RMO.DRIVER_FAILED({ operation, name, number: SYSTEM_ERROR, text: `Cannot access backing file '${backing.path}': No such file or directory` })
  if (bytes === undefined || bytes < 0) throw RMO.DRIVER_FAILED({ operation, name, number: INVALID_ARGUMENT, text: 'the volume needs a capacity' })
  return bytes
}

function add(world: World, pool: Pool, file: Omit<VolumeRecord, 'uuid' | 'pool' | 'path'>): VolumeRecord {
  const volume = volumeFor(pool, file)
  pool.volumes.set(volume.name, volume)
  told(world, pool, 'refreshed')
  return volume
}

function told(world: World, { uuid, name }: Pick<Pool, 'uuid' | 'name'>, event: string): void {
  world.touch()
  world.emit({ type: 'pool', uuid, name, atMs: world.clock.wallMs(), event })
}

/** Who would lose something with this file: overlays of it, and running domains. */
function usersOf(world: World, volume: VolumeRecord): string[] {
  const overlays = [...world.pools.values()].flatMap((pool) => [...pool.volumes.values()]).filter(({ backingPath }) => backingPath === volume.path).map(({ name }) => name)
  const domains = [...world.domains.values()].filter((domain) => isActive(domain) && domain.settings.devices.some((device) => device.type === 'disk' && volumeOf(world, device) === volume)).map(({ settings }) => settings.name)
  return [...overlays, ...domains]
}

export function createStorage(world: World): StorageDriver {
  const on = <T>(operation: string, call: Call, work: () => T | Promise<T>): Promise<T> => command(world, operation, call, work)
  const activate = (operation: string, active: boolean) => (uuid: string, call: Call): Promise<void> => on(operation, call, () => {
    const pool = poolOf(world, uuid)
    if (pool.active === active) return
    pool.active = active
    told(world, pool, active ? 'started' : 'stopped')
  })
  return {
    definePool: ({ uuid, name, path, autostart }, call) => on('definePool', call, () => {
      const there = [...world.pools.values()].find((pool) => pool.name === name || pool.uuid === uuid)
      if (there !== undefined) {
        if (there.name === name && there.path === path && (uuid === undefined || there.uuid === uuid)) return poolRecord(world, there)
        throw RMO.NAME_TAKEN({ kind: 'StoragePool', name: there.name, host: world.host, uuid: there.uuid })
      }
      if (!path.startsWith('/')) throw RMO.DRIVER_FAILED({ operation: 'definePool', name, number: INVALID_ARGUMENT, text: 'a pool has an absolute path' })
      const pool = addPool(world, { uuid: uuid ?? namedUuid(world.uuid, `pool/${name}`), name, path, autostart, active: false })
      told(world, pool, 'defined')
      return poolRecord(world, pool)
    }),
    startPool: activate('startPool', true),
    stopPool: activate('stopPool', false),
    undefinePool: (uuid, call) => on('undefinePool', call, () => {
      const pool = poolOf(world, uuid)
      if (pool.active) throw RMO.STATE_INVALID({ kind: 'StoragePool', name: pool.name, operation: 'undefine', state: 'active', needs: 'inactive' })
      world.pools.delete(pool.uuid)
      world.leftFiles.set(pool.path, [...pool.volumes.values()])
      told(world, pool, 'undefined')
    }),
    setAutostart: (uuid, autostart, call) => on('setAutostart', call, () => {
      const pool = poolOf(world, uuid)
      if (pool.autostart === autostart) return
      pool.autostart = autostart
      told(world, pool, 'defined')
    }),
    refreshPool: (uuid, call) => on('refreshPool', call, () => told(world, activePoolOf(world, uuid, 'refresh'), 'refreshed')),
    createVolume: (key, wish, call) => on('createVolume', call, () => {
      const pool = activePoolOf(world, key, 'createVolume'), { name, format, backing } = wish
      needName(world, pool, 'createVolume', name)
      const capacityBytes = capacityOf(world, 'createVolume', wish)
      const allocationBytes = format === 'qcow2' ? EMPTY_QCOW2_BYTES : 0
      needSpace(world, pool, name, allocationBytes)
      return add(world, pool, { name, format, capacityBytes, allocationBytes, ...(backing === undefined ? {} : { backingPath: backing.path }) })
    }),
    copyVolume: (key, source, { name, format, capacityBytes }, call, onProgress) => on('copyVolume', call, async () => {
      const pool = activePoolOf(world, key, 'copyVolume'), original = volumeIn(pool, source)
      needName(world, pool, 'copyVolume', name)
      const { allocationBytes } = original
      needSpace(world, pool, name, allocationBytes)
      onProgress?.(0)
      await copying(world, 'copyVolume', allocationBytes / MiB, call)
      // Others went on meanwhile: the place may be taken, the pool full.
      needName(world, pool, 'copyVolume', name)
      needSpace(world, pool, name, allocationBytes)
      onProgress?.(1)
      return add(world, pool, { name, format, capacityBytes: Math.max(capacityBytes ?? 0, original.capacityBytes), allocationBytes })
    }),
    resizeVolume: (key, name, capacityBytes, call) => on('resizeVolume', call, () => {
      const pool = activePoolOf(world, key, 'resizeVolume'), volume = volumeIn(pool, name)
      if (capacityBytes < volume.capacityBytes) throw RMO.DRIVER_FAILED({ operation: 'resizeVolume', name, number: INVALID_ARGUMENT, text: 'a volume cannot be made smaller' })
      add(world, pool, { ...volume, capacityBytes })
    }),
    deleteVolume: (key, name, call) => on('deleteVolume', call, () => {
      const pool = activePoolOf(world, key, 'deleteVolume'), volume = volumeIn(pool, name), by = usersOf(world, volume)
      if (by.length > 0) throw RMO.IN_USE({ kind: 'Volume', name, by })
      pool.volumes.delete(name)
      told(world, pool, 'refreshed')
    }),
    uploadVolume: (key, { name, format, capacityBytes }, bytes, call) => on('uploadVolume', call, async () => {
      const pool = activePoolOf(world, key, 'uploadVolume')
      needName(world, pool, 'uploadVolume', name)
      needSpace(world, pool, name, bytes.length)
      await copying(world, 'uploadVolume', bytes.length / MiB, call)
      needName(world, pool, 'uploadVolume', name)
      return add(world, pool, { name, format, capacityBytes: Math.max(capacityBytes ?? 0, bytes.length), allocationBytes: bytes.length })
    }),
  }
}
