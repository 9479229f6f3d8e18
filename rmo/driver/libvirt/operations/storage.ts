// Storage pools and volumes, as operations in a worker thread (operation.ts).
//
// Pools and volumes are found by name (a pool by its uuid too). What is asked for and there already succeeds: starting an
// active pool, deleting a volume that is gone. A pool learns of files that others made or removed only by a refresh,
// so a volume that it does not know is looked for once more after one.
// Source: libvirt-storage.h; virStoragePoolInfo is state (int), then capacity, allocation, available (64 bits each).

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { LIMITS } from '../../../../fabric/base.ts'
import { namedUuid } from '../../../uuid.ts'
import type { PoolRecord, VolumeRecord, VolumeWish } from '../../contract.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { uuidOf, withList } from '../memory.ts'
import { LibvirtFailure, present, succeeded, using } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { remembered } from '../xml/remembered.ts'
import { poolXml, readPool, readVolume, volumeXml } from '../xml/storage.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const POOL_INFO_BYTES = 32
const [CAPACITY_AT, ALLOCATION_AT, AVAILABLE_AT] = [8, 16, 24] as const

const readKnownPool = remembered(readPool)
const readKnownVolume = remembered(readVolume)

/** What a pool, by uuid or name, is called with. */
interface PoolArgs { readonly pool: string }
interface VolumeArgs extends PoolArgs { readonly name: string }
interface WishArgs extends PoolArgs { readonly wish: VolumeWish }

const numberOf = (error: unknown): number | undefined => error instanceof LibvirtFailure ? error.failure.number : undefined

// ---------------------------------------------------------------- pools

function withPool<T>({ lib, connection }: OperationContext, name: string, work: (pool: Pointer) => T): T {
  const found = UUID.test(name) ? lib.virStoragePoolLookupByUUIDString(connection, name) : null
  const pool = present(found ?? lib.virStoragePoolLookupByName(connection, name), lib, 'virStoragePoolLookupByName')
  return using(pool, lib.virStoragePoolFree, work)
}

const isActive = (lib: Library, pool: Pointer): boolean => succeeded(lib.virStoragePoolIsActive(pool), lib, 'virStoragePoolIsActive') === 1

function poolRecord(lib: Library, pool: Pointer): PoolRecord {
  const info = Buffer.alloc(POOL_INFO_BYTES)
  const active = isActive(lib, pool)
  succeeded(lib.virStoragePoolGetInfo(pool, info), lib, 'virStoragePoolGetInfo')
  const autostart = [0]
  // A transient pool cannot be started with the host: that is no failure.
  const known = lib.virStoragePoolGetAutostart(pool, autostart) === 0
  const size = (offset: number): number => active ? Number(info.readBigUInt64LE(offset)) : 0
  return {
    ...readKnownPool(present(lib.virStoragePoolGetXMLDesc(pool, 0), lib, 'virStoragePoolGetXMLDesc')),
    active, autostart: known && autostart[0] === 1,
    capacityBytes: size(CAPACITY_AT), allocationBytes: size(ALLOCATION_AT), availableBytes: size(AVAILABLE_AT),
  }
}

/** Pools that vanish while they are listed are left out. */
function poolList({ lib, connection }: OperationContext): PoolRecord[] {
  return withList((out) => succeeded(lib.virConnectListAllStoragePools(connection, out, 0), lib, 'virConnectListAllStoragePools'), lib.virStoragePoolFree,
    (pool) => unlessGone(() => poolRecord(lib, pool), [ERROR.noPool])).flat()
}

/** Defines, and makes the directory: here, not at a start, which must not put an empty directory where a file system is not mounted. */
function poolDefine({ lib, connection }: OperationContext, args: { readonly uuid?: string; readonly name: string; readonly path: string; readonly autostart: boolean }): PoolRecord {
  const known = args.uuid === undefined ? null : lib.virStoragePoolLookupByUUIDString(connection, args.uuid)
  if (known !== null) lib.virStoragePoolFree(known)
  return using(present(lib.virStoragePoolDefineXML(connection, poolXml(args), 0), lib, 'virStoragePoolDefineXML'), lib.virStoragePoolFree, (pool) => {
    try {
      if (!isActive(lib, pool)) succeeded(lib.virStoragePoolBuild(pool, 0), lib, 'virStoragePoolBuild')
      succeeded(lib.virStoragePoolSetAutostart(pool, args.autostart ? 1 : 0), lib, 'virStoragePoolSetAutostart')
    } catch (error) {
      if (known === null) lib.virStoragePoolUndefine(pool)
      throw error
    }
    return poolRecord(lib, pool)
  })
}

function poolStart(context: OperationContext, { pool }: PoolArgs): void {
  const { lib } = context
  withPool(context, pool, (found) => { if (!isActive(lib, found)) succeeded(lib.virStoragePoolCreate(found, 0), lib, 'virStoragePoolCreate') })
}
function poolStop(context: OperationContext, { pool }: PoolArgs): void {
  const { lib } = context
  withPool(context, pool, (found) => { if (isActive(lib, found)) succeeded(lib.virStoragePoolDestroy(found), lib, 'virStoragePoolDestroy') })
}
function poolUndefine(context: OperationContext, { pool }: PoolArgs): void {
  const { lib } = context
  unlessGone(() => withPool(context, pool, (found) => succeeded(lib.virStoragePoolUndefine(found), lib, 'virStoragePoolUndefine')), [ERROR.noPool])
}
function poolRefresh(context: OperationContext, { pool }: PoolArgs): void {
  const { lib } = context
  withPool(context, pool, (found) => succeeded(lib.virStoragePoolRefresh(found, 0), lib, 'virStoragePoolRefresh'))
}

function poolSetAutostart(context: OperationContext, { pool, autostart }: PoolArgs & { readonly autostart: boolean }): void {
  const { lib } = context
  withPool(context, pool, (found) => succeeded(lib.virStoragePoolSetAutostart(found, autostart ? 1 : 0), lib, 'virStoragePoolSetAutostart'))
}

/** [value], or [] when libvirt says that the thing is not there (any more). */
function unlessGone<T>(work: () => T, numbers: readonly number[]): T[] {
  try {
    return [work()]
  } catch (error) {
    if (numbers.includes(numberOf(error) ?? 0)) return []
    throw error
  }
}

// ---------------------------------------------------------------- volumes

interface PoolName { readonly uuid: string; readonly name: string }
const nameOf = (lib: Library, pool: Pointer): PoolName => ({ uuid: uuidOf(lib.virStoragePoolGetUUIDString, pool), name: lib.virStoragePoolGetName(pool) ?? '' })

function volumeRecord(lib: Library, pool: PoolName, volume: Pointer): VolumeRecord {
  const read = readKnownVolume(present(lib.virStorageVolGetXMLDesc(volume, 0), lib, 'virStorageVolGetXMLDesc'))
  return { ...read, uuid: namedUuid(pool.uuid, read.name), pool: pool.name }
}

/** Of all active pools. Pools and volumes that vanish while they are listed are left out. */
function volumeList({ lib, connection }: OperationContext): VolumeRecord[] {
  const ofPool = (pool: Pointer): VolumeRecord[] => {
    const name = nameOf(lib, pool)
    return withList((out) => succeeded(lib.virStoragePoolListAllVolumes(pool, out, 0), lib, 'virStoragePoolListAllVolumes'), lib.virStorageVolFree,
      (volume) => unlessGone(() => volumeRecord(lib, name, volume), [ERROR.noVolume])).flat()
  }
  return withList((out) => succeeded(lib.virConnectListAllStoragePools(connection, out, 0), lib, 'virConnectListAllStoragePools'), lib.virStoragePoolFree,
    (pool) => isActive(lib, pool) ? unlessGone(() => ofPool(pool), [ERROR.noPool, ERROR.operationInvalid]).flat() : []).flat()
}

/** null: not there, not after a refresh either. */
function findVolume(lib: Library, pool: Pointer, name: string): Pointer | null {
  const known = lib.virStorageVolLookupByName(pool, name)
  if (known !== null) return known
  succeeded(lib.virStoragePoolRefresh(pool, 0), lib, 'virStoragePoolRefresh')
  return lib.virStorageVolLookupByName(pool, name)
}
function withVolume<T>(lib: Library, pool: Pointer, name: string, work: (volume: Pointer) => T): T {
  return using(present(findVolume(lib, pool, name), lib, 'virStorageVolLookupByName'), lib.virStorageVolFree, work)
}

function volumeCreate(context: OperationContext, { pool, wish }: WishArgs): VolumeRecord {
  const { lib } = context
  return withPool(context, pool, (found) => {
    const capacityBytes = wish.capacityBytes ?? (wish.backing === undefined ? 0 : capacityOf(context, wish.backing))
    const made = present(lib.virStorageVolCreateXML(found, volumeXml({ ...wish, capacityBytes }), 0), lib, 'virStorageVolCreateXML')
    return using(made, lib.virStorageVolFree, (volume) => volumeRecord(lib, nameOf(lib, found), volume))
  })
}

const QCOW2_MAGIC = 0x514649fb
const QCOW2_SIZE_AT = 24
/** Of a backing file: as its pool knows it, else as the file itself says. */
function capacityOf({ lib, connection }: OperationContext, backing: NonNullable<VolumeWish['backing']>): number {
  const volume = lib.virStorageVolLookupByPath(connection, backing.path)
  if (volume !== null) {
    return using(volume, lib.virStorageVolFree, () => readKnownVolume(present(lib.virStorageVolGetXMLDesc(volume, 0), lib, 'virStorageVolGetXMLDesc')).capacityBytes)
  }
  try {
    if (backing.format === 'raw') return statSync(backing.path).size
    const file = openSync(backing.path, 'r')
    try {
      const header = Buffer.alloc(QCOW2_SIZE_AT + 8)
      if (readSync(file, header, 0, header.length, 0) === header.length && header.readUInt32BE(0) === QCOW2_MAGIC) return Number(header.readBigUInt64BE(QCOW2_SIZE_AT))
    } finally { closeSync(file) }
  } catch (error) {
    throw new LibvirtFailure({ what: 'backing file', number: ERROR.noVolume, domain: 0, text: error instanceof Error ? error.message : String(error) })
  }
  throw new LibvirtFailure({ what: 'backing file', number: ERROR.operationFailed, domain: 0, text: `${backing.path} is no qcow2 file` })
}

/** A full copy, overlays flattened, by the hypervisor's qemu-img: as long as there are bytes. */
function volumeCopy(context: OperationContext, { pool, source, wish }: WishArgs & { readonly source: string }): VolumeRecord {
  const { lib } = context
  return withPool(context, pool, (found) => withVolume(lib, found, source, (from) => {
    const { capacityBytes } = readKnownVolume(present(lib.virStorageVolGetXMLDesc(from, 0), lib, 'virStorageVolGetXMLDesc'))
    const xml = volumeXml({ ...wish, capacityBytes: Math.max(capacityBytes, wish.capacityBytes ?? 0) })
    const made = present(lib.virStorageVolCreateXMLFrom(found, xml, from, 0), lib, 'virStorageVolCreateXMLFrom')
    return using(made, lib.virStorageVolFree, (volume) => volumeRecord(lib, nameOf(lib, found), volume))
  }))
}

/** Grows; libvirt refuses to shrink. */
function volumeResize(context: OperationContext, { pool, name, capacityBytes }: VolumeArgs & { readonly capacityBytes: number }): void {
  const { lib } = context
  withPool(context, pool, (found) => withVolume(lib, found, name, (volume) => {
    succeeded(lib.virStorageVolResize(volume, capacityBytes, 0), lib, 'virStorageVolResize')
  }))
}

function volumeDelete(context: OperationContext, { pool, name }: VolumeArgs): void {
  const { lib } = context
  withPool(context, pool, (found) => {
    const volume = findVolume(lib, found, name)
    if (volume !== null) using(volume, lib.virStorageVolFree, () => succeeded(lib.virStorageVolDelete(volume, 0), lib, 'virStorageVolDelete'))
  })
}

/** The bytes are the file, whatever its format: made raw of that size, then read anew so that the pool sees the format. */
function volumeUpload(context: OperationContext, { pool, wish, bytes }: WishArgs & { readonly bytes: Uint8Array }): VolumeRecord {
  const { lib, connection } = context
  return withPool(context, pool, (found) => {
    const xml = volumeXml({ name: wish.name, format: 'raw', capacityBytes: bytes.length })
    return using(present(lib.virStorageVolCreateXML(found, xml, 0), lib, 'virStorageVolCreateXML'), lib.virStorageVolFree, (volume) => {
      try {
        if (bytes.length > 0) send(lib, connection, volume, bytes)
      } catch (error) {
        lib.virStorageVolDelete(volume, 0)
        throw error
      }
      if (wish.format !== 'raw') succeeded(lib.virStoragePoolRefresh(found, 0), lib, 'virStoragePoolRefresh')
      return volumeRecord(lib, nameOf(lib, found), volume)
    })
  })
}

function send(lib: Library, connection: Pointer, volume: Pointer, bytes: Uint8Array): void {
  using(present(lib.virStreamNew(connection, 0), lib, 'virStreamNew'), lib.virStreamFree, (stream) => {
    succeeded(lib.virStorageVolUpload(volume, stream, 0, bytes.length, 0), lib, 'virStorageVolUpload')
    try {
      for (let at = 0; at < bytes.length;) {
        const chunk = bytes.subarray(at, at + LIMITS.uploadChunkBytes)
        at += succeeded(lib.virStreamSend(stream, chunk, chunk.length), lib, 'virStreamSend')
      }
    } catch (error) {
      lib.virStreamAbort(stream)
      throw error
    }
    succeeded(lib.virStreamFinish(stream), lib, 'virStreamFinish')
  })
}

export const storageOperations: Operations = {
  poolList, poolDefine, poolStart, poolStop, poolUndefine, poolRefresh, poolSetAutostart,
  volumeList, volumeCreate, volumeCopy, volumeResize, volumeDelete, volumeUpload,
}
