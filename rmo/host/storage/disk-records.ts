// Disks and images of a simulated host: volumes of its driver instead of files, and no program is run.
//
// A path in a pool's directory is a volume of that pool; any other path is remembered here. An image is a volume
// named NAME.image, so that hosts that share a simulated pool share its images as well.

import { createHash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import type { Clock, Random } from '../../../fabric/base.ts'
import type { Call, HypervisorDriver, PoolRecord, VolumeRecord } from '../../driver/contract.ts'
import { isShared } from '../../driver/memory/storage.ts'
import { RMO } from '../../errors.ts'
import type { DiskFacts, DiskNote, DiskStore, DiskWish, ImageNote, ImageStore } from './disk-store.ts'

export interface DiskRecordsOptions {
  readonly driver: HypervisorDriver
  hostName(): string
  readonly clock: Clock
  readonly random: Random
}

const IMAGE_SUFFIX = '.image'
const CAPACITY_DEFAULT_BYTES = 1024 ** 3
/** What an empty seed or disk takes on a real host; for tables to look right. */
const SEED_BYTES = 64 * 1024

interface Loose { readonly wish: DiskWish & { readonly capacityBytes: number } }

export function createDiskRecords({ driver, hostName, clock, random }: DiskRecordsOptions): { readonly disks: DiskStore; readonly images: ImageStore } {
  const loose = new Map<string, Loose>()
  const notes = new Map<string, DiskNote>()
  const descriptions = new Map<string, { readonly description: string; readonly importedAtMs: number }>()

  interface Place { readonly pool: PoolRecord | undefined; readonly volume: VolumeRecord | undefined; readonly all: readonly VolumeRecord[] }
  const placeOf = async (path: string, call: Call): Promise<Place> => {
    const { pools, volumes } = await driver.inventory(call)
    return { pool: pools.find((pool) => pool.path === dirname(path)), volume: volumes.find((volume) => volume.path === path), all: volumes }
  }
  const factsOf = (wish: { readonly format: DiskFacts['format']; readonly capacityBytes: number; readonly sizeBytes: number; readonly sealed: boolean; readonly backing?: DiskWish['backing'] }): DiskFacts => ({
    format: wish.format, sizeBytes: wish.sizeBytes, capacityBytes: wish.capacityBytes, modifiedAtMs: 0, sealed: wish.sealed, snapshots: 0,
    // A simulated guest writes nothing, so an overlay always shows its base.
    blank: wish.backing !== undefined, ...(wish.backing === undefined ? {} : { backing: wish.backing }),
  })
  const factsOfVolume = (volume: VolumeRecord, all: readonly VolumeRecord[]): DiskFacts => {
    const base = all.find(({ path }) => path === volume.backingPath)
    return factsOf({
      format: volume.format === 'other' ? 'raw' : volume.format, capacityBytes: volume.capacityBytes, sizeBytes: volume.allocationBytes, sealed: volume.name.endsWith(IMAGE_SUFFIX),
      ...(volume.backingPath === undefined ? {} : { backing: { path: volume.backingPath, format: base?.format === 'raw' ? 'raw' as const : 'qcow2' as const } }),
    })
  }
  const taken = (path: string): Error => RMO.ALREADY_EXISTS({ what: `File ${path}`, host: hostName() })

  const probe = async (path: string, call: Call): Promise<DiskFacts | undefined> => {
    const found = loose.get(path)
    if (found !== undefined) return factsOf({ ...found.wish, sizeBytes: 0, sealed: false })
    const { volume, all } = await placeOf(path, call)
    return volume === undefined ? undefined : factsOfVolume(volume, all)
  }
  const create: DiskStore['create'] = async (path, wish, note, call) => {
    const { pool, volume } = await placeOf(path, call)
    if (volume !== undefined || loose.has(path)) throw taken(path)
    const capacityBytes = wish.capacityBytes ?? (wish.backing === undefined ? CAPACITY_DEFAULT_BYTES : (await probe(wish.backing.path, call))?.capacityBytes ?? CAPACITY_DEFAULT_BYTES)
    if (pool === undefined) loose.set(path, { wish: { ...wish, capacityBytes } })
    else await driver.storage.createVolume(pool.name, { ...wish, name: basename(path), capacityBytes }, call)
    notes.set(path, note)
  }
  const remove: DiskStore['remove'] = async (path, call) => {
    const { pool, volume } = await placeOf(path, call)
    if (pool !== undefined && volume !== undefined) await driver.storage.deleteVolume(pool.name, volume.name, call)
    loose.delete(path)
    notes.delete(path)
  }

  const disks: DiskStore = {
    needsRefresh: false,
    probe, create, remove,
    realPath: async (path) => path,
    makeDirectory: async () => {},
    async copy(source, path, wish, note, call, onProgress) {
      const from = await placeOf(source.path, call)
      const to = await placeOf(path, call)
      if (to.volume !== undefined || loose.has(path)) throw taken(path)
      if (from.volume !== undefined && from.pool !== undefined && from.pool.name === to.pool?.name) {
        await driver.storage.copyVolume(to.pool.name, from.volume.name, { name: basename(path), format: wish.format }, call, onProgress)
        notes.set(path, note)
        return
      }
      const capacityBytes = (await probe(source.path, call))?.capacityBytes
      await create(path, { format: wish.format, ...(capacityBytes === undefined ? {} : { capacityBytes }) }, note, call)
      onProgress?.(1)
    },
    writeSeed: (path, _files, note, call) => create(path, { format: 'raw', capacityBytes: SEED_BYTES }, note, call),
    async rewriteSeed(path, _files, note, call) {
      if (await probe(path, call) !== undefined) return async () => {}
      await create(path, { format: 'raw', capacityBytes: SEED_BYTES }, note, call)
      return () => remove(path, call)
    },
    async share(path, note, call) {
      const base = `${path}.base-${Buffer.from(random.bytes(4)).toString('hex')}`
      await disks.copy({ path, format: 'qcow2' }, base, { format: 'qcow2' }, note, call)
      return { path: base, format: 'qcow2' }
    },
    async roleFor(path, owner) {
      const note = notes.get(path)
      if (note !== undefined) return note.owner === owner ? note.role : undefined
      // Made on another simulated host, before a migration: its name says whose it is.
      if (!basename(path).includes(`-${owner.slice(0, 8)}`)) return undefined
      return path.endsWith('.seed.iso') ? 'seed' : 'root'
    },
    ownerOf: async (path) => notes.get(path)?.owner,
    isUnseen: isShared,
    isBase: async (path) => /\.base-[0-9a-f]{8}$/.test(path),
    async overlaysBeside(path, call) {
      const { all } = await placeOf(path, call)
      return [
        ...all.filter(({ backingPath }) => backingPath === path).map((volume) => volume.path),
        ...[...loose].filter(([, { wish }]) => wish.backing?.path === path).map(([own]) => own),
      ]
    },
  }

  const noteOf = (pool: PoolRecord, volume: VolumeRecord): ImageNote => {
    const name = volume.name.slice(0, -IMAGE_SUFFIX.length)
    const said = descriptions.get(volume.path)
    return {
      name, file: volume.name, format: volume.format === 'other' ? 'raw' : volume.format, sizeBytes: volume.allocationBytes, capacityBytes: volume.capacityBytes,
      checksum: createHash('sha256').update(`${pool.uuid}/${name}`).digest('hex'), importedAtMs: said?.importedAtMs ?? 0, modifiedAtMs: 0, description: said?.description ?? '',
    }
  }
  const images: ImageStore = {
    async notes(pool, volumes) {
      return volumes.filter((volume) => dirname(volume.path) === pool.path && volume.name.endsWith(IMAGE_SUFFIX)).map((volume) => noteOf(pool, volume))
    },
    async take(pool, { name, description }, call) {
      const file = `${name}${IMAGE_SUFFIX}`
      const { all } = await placeOf(`${pool.path}/${file}`, call)
      const there = all.find((volume) => volume.path === `${pool.path}/${file}`)
      if (there !== undefined) return noteOf(pool, there)
      const made = await driver.storage.createVolume(pool.name, { name: file, format: 'qcow2', capacityBytes: CAPACITY_DEFAULT_BYTES }, call)
      descriptions.set(made.path, { description, importedAtMs: clock.wallMs() })
      return noteOf(pool, made)
    },
    writeNote: async (pool, note) => { descriptions.set(`${pool.path}/${note.file}`, note) },
    async digest(path, call) {
      const { pool, volume } = await placeOf(path, call)
      return pool === undefined || volume === undefined ? '' : noteOf(pool, volume).checksum
    },
    seal: async () => 0,
    async drop(pool, note, call) {
      await remove(`${pool.path}/${note.file}`, call)
      descriptions.delete(`${pool.path}/${note.file}`)
    },
    sweep: async () => [],
  }
  return { disks, images }
}
