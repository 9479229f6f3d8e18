// The images of this host: which there are, whether one may be used, and who stands on it.
//
//   pools --scan (sidecars)--> known images --use(name)--> checked backing file for an overlay
//
// Level-based: each sync of the inventory starts a scan, so that an image which another host imported into a shared
// directory is seen; one scan runs at a time. An image is immutable: a file that is gone, of another size, or changed since
// its import is not used until it has been imported again or verify() found its bytes intact.

import { join } from 'node:path'
import type { Call, Inventory, PoolRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { HostContext } from '../contract.ts'
import type { Holds } from './holds.ts'
import { disksOf } from './disk-plan.ts'
import { pathOf } from './claims.ts'
import type { Backing, DiskStore, ImageNote, ImageStore } from './disk-store.ts'
import { namedUuid } from '../../uuid.ts'

export interface KnownImage { readonly uuid: string; readonly path: string; readonly pool: PoolRecord; readonly note: ImageNote }
export interface UsableImage { readonly image: KnownImage; readonly backing: Backing; readonly capacityBytes: number }

export interface ImageCatalog {
  /** Ordered by name; the pool "default" first among equals. */
  list(): readonly KnownImage[]
  get(uuid: string): KnownImage
  at(path: string): KnownImage | undefined
  /** Looks again at the pools; callers at the same time share one look. */
  scan(): Promise<void>
  /** By name, checked; throws IMAGE_MISSING, IMAGE_CORRUPT. */
  use(name: string, call: Call): Promise<UsableImage>
  import(pool: PoolRecord, image: { readonly name: string; readonly path: string; readonly description?: string }, call: Call, onProgress?: (ratio: number) => void): Promise<KnownImage>
  verify(uuid: string, call: Call): Promise<{ readonly intact: boolean; readonly checksum: string }>
  describe(uuid: string, description: string): Promise<void>
  remove(uuid: string, call: Call): Promise<void>
  stop(): void
}
export interface ImageCatalogOptions {
  readonly context: HostContext
  readonly store: ImageStore
  readonly disks: DiskStore
  readonly holds: Holds
  /** Disks that stand on a file and were made after the last inventory. */
  newOverlaysOf(path: string): readonly string[]
  onChange(): void
}

export function createImageCatalog({ context, store, disks, holds, newOverlaysOf, onChange }: ImageCatalogOptions): ImageCatalog {
  let known: readonly KnownImage[] = []
  let scanning: Promise<void> | undefined
  let stopped = false
  const swept = new Set<string>()

  const toKnown = (pool: PoolRecord, note: ImageNote): KnownImage => ({ uuid: namedUuid(pool.uuid, `image/${note.name}`), path: join(pool.path, note.file), pool, note })
  const rank = ({ note, pool }: KnownImage): string => `${note.name}\0${pool.name === 'default' ? '' : pool.name}`
  const show = (next: readonly KnownImage[]): void => {
    if (stopped) return
    known = [...next].sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    onChange()
  }
  /** Puts one image in place of its earlier self without another scan. */
  const put = (image: KnownImage): KnownImage => {
    show([...known.filter(({ uuid }) => uuid !== image.uuid), image])
    return image
  }

  const look = async (): Promise<void> => {
    const { pools, volumes } = context.inventory()
    const found: KnownImage[] = []
    for (const pool of pools) {
      if (!pool.active) continue
      if (!swept.has(pool.uuid)) {
        swept.add(pool.uuid)
        await store.sweep(pool).catch(() => [])
      }
      for (const note of await store.notes(pool, volumes)) found.push(toKnown(pool, note))
    }
    show(found)
  }
  const scan = (): Promise<void> => {
    scanning ??= look().finally(() => { scanning = undefined })
    return scanning
  }
  const get = (uuid: string): KnownImage => {
    const image = known.find((each) => each.uuid === uuid)
    if (image === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'Image', uuid, node: context.hostName() })
    return image
  }
  const names = (): readonly string[] => [...new Set(known.map(({ note }) => note.name))]
  const missing = (image: string): Error => RMO.IMAGE_MISSING({ image, host: context.hostName(), known: names().filter((name) => name !== image) })

  /** Everything that stands on a file, looked for anew: volumes of all pools, disks of all VMs, files beside it, what was just made. */
  const standingOn = async (path: string, call: Call): Promise<readonly string[]> => {
    const inventory: Inventory = await context.driver.inventory(call)
    const found = new Set<string>([...newOverlaysOf(path), ...await disks.overlaysBeside(path, call)])
    const listed = new Set(inventory.volumes.map((volume) => volume.path))
    for (const volume of inventory.volumes) if (volume.backingPath === path) found.add(volume.path)
    for (const { settings } of inventory.domains) {
      for (const disk of disksOf(settings)) {
        const own = pathOf(disk, inventory.pools, inventory.volumes)
        if (own === undefined || found.has(own)) continue
        if (own === path || (!listed.has(own) && (await disks.probe(own, call).catch(() => undefined))?.backing?.path === path)) found.add(own === path ? `VM ${settings.name}` : own)
      }
    }
    return [...found].sort()
  }

  return {
    list: () => known,
    get, scan,
    at: (path) => known.find((image) => image.path === path),

    async use(name, call) {
      if (!known.some(({ note }) => note.name === name)) await scan()
      const image = known.find(({ note }) => note.name === name)
      if (image === undefined) throw missing(name)
      const corrupt = (reason: string): Error => RMO.IMAGE_CORRUPT({ image: name, path: image.path, reason })
      const facts = await disks.probe(image.path, call)
      if (facts === undefined) throw missing(name)
      if (facts.sizeBytes !== image.note.sizeBytes) throw corrupt(`it has ${facts.sizeBytes} bytes, ${image.note.sizeBytes} were imported`)
      if (facts.unusable !== undefined) throw corrupt(facts.unusable)
      if (!facts.sealed || facts.modifiedAtMs !== image.note.modifiedAtMs) throw corrupt('it was written to, or made writable, since it was imported; if that was harmless, verify() finds it intact and seals it again')
      if (facts.format === 'iso') throw corrupt('it is a CD image, no disk can stand on it; attach it as a cdrom')
      return { image, backing: { path: image.path, format: facts.format }, capacityBytes: facts.capacityBytes }
    },

    import: (pool, { name, path, description }, call, onProgress) => context.exclusive(`image/${pool.uuid}/${name}`, async () => {
      if (!pool.active) throw RMO.STATE_INVALID({ kind: 'StoragePool', name: pool.name, operation: 'importImage', state: 'inactive', needs: 'active' })
      return put(toKnown(pool, await store.take(pool, { name, source: path, description: description ?? '' }, call, onProgress)))
    }),

    async verify(uuid, call) {
      const image = get(uuid)
      if (await disks.probe(image.path, call) === undefined) throw missing(image.note.name)
      const checksum = await store.digest(image.path, call)
      const intact = checksum === image.note.checksum
      if (intact) {
        const modifiedAtMs = await store.seal(image.path)
        if (modifiedAtMs !== image.note.modifiedAtMs) {
          const note = { ...image.note, modifiedAtMs }
          await store.writeNote(image.pool, note)
          put({ ...image, note })
        }
      } else context.publish('Image', uuid, { type: 'corrupted', atMs: context.clock.wallMs(), checksum } as never)
      return { intact, checksum }
    },
    describe: (uuid, description) => context.exclusive(`Image/${uuid}`, async () => {
      const image = get(uuid)
      const note = { ...image.note, description }
      await store.writeNote(image.pool, note)
      put({ ...image, note })
    }),
    remove: (uuid, call) => context.exclusive(`Image/${uuid}`, async () => {
      const image = get(uuid)
      if (disks.needsRefresh) for (const pool of context.inventory().pools) if (pool.active) await context.driver.storage.refreshPool(pool.uuid, call)
      await holds.remove(image.path, async () => {
        const by = await standingOn(image.path, call)
        if (by.length > 0) throw RMO.IN_USE({ kind: 'Image', name: image.note.name, by })
        await store.drop(image.pool, image.note, call)
      })
      show(known.filter((each) => each.uuid !== uuid))
    }),
    stop() { stopped = true },
  }
}
