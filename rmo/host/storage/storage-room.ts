// The storage of this host: pools, volumes and images as objects, and the disks of its VMs.
//
//   inventory --sync--> pools, volumes (paperwork left out)
//             --scan (images.ts)--> images, with the overlays that stand on them
//   DiskMaker (disks.ts) --onMade, onRemoved--> refresh of that pool in the background
//
// Where disks are is decided here, once: files of the host, or a simulated host's records. Shared pools (the same uuid
// on several hosts) are objects of each host.

import { dirname } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'
import type { ReferenceRecord } from '../../../functions/mod.ts'
import type { Inventory, PoolRecord } from '../../driver/contract.ts'
import type { ImageAttributes, LocalImage } from '../../kinds/image.ts'
import type { Budget } from '../../kinds/physical-machine.ts'
import type { LocalPool, PoolAttributes } from '../../kinds/storage-pool.ts'
import type { LocalVolume, VolumeAttributes } from '../../kinds/volume.ts'
import type { NewPool } from '../../kinds/vmm.ts'
import { createClaims, pathOf } from './claims.ts'
import type { HostContext, HostRoom } from '../contract.ts'
import { createDiskFiles } from './disk-files.ts'
import { disksOf } from './disk-plan.ts'
import { createDiskRecords } from './disk-records.ts'
import type { DiskStore, ImageStore } from './disk-store.ts'
import { createDiskTools } from './disk-tools.ts'
import { createDiskMaker } from './disks.ts'
import { createHolds } from './holds.ts'
import { createImageFiles } from './image-files.ts'
import { createImageCatalog } from './images.ts'
import { createObjectTable } from '../object-table.ts'
import type { DiskMaker } from '../parts.ts'
import { createPoolRefresh } from './pool-refresh.ts'
import { createPoolVerbs } from './pool-verbs.ts'
import { createUnfinished, isPaperwork } from './unfinished.ts'
import { createVolumeVerbs } from './volume-verbs.ts'

export interface StorageRoom extends HostRoom {
  readonly disks: DiskMaker
  /** Defines and starts it, its directory made when absent; the same wish again is done already. Throws NAME_TAKEN. */
  createPool(pool: NewPool, budget: Budget): Promise<ReferenceRecord>
  stop(): void
}

function storesOf(context: HostContext): { readonly disks: DiskStore; readonly images: ImageStore } {
  const { driver, clock, random, machineUuid } = context
  const hostName = (): string => context.hostName()
  if (driver.name === 'memory') return createDiskRecords({ driver, hostName, clock, random })
  const tools = createDiskTools({ machine: hostName, clock })
  const unfinished = createUnfinished({ machineUuid, hostName, random })
  return { disks: createDiskFiles({ tools, unfinished, hostName, clock, random }), images: createImageFiles({ tools, unfinished, hostName, clock }) }
}

export function createStorageRoom(context: HostContext): StorageRoom {
  const stores = storesOf(context)
  const claims = createClaims()
  const holds = createHolds()
  /** Path of a disk -> what it stands on, until the inventory shows it. */
  const fresh = new Map<string, string>()
  const refresh = createPoolRefresh(context, stores.disks)
  const images = createImageCatalog({
    context, store: stores.images, disks: stores.disks, holds,
    newOverlaysOf: (path) => [...fresh].filter(([, base]) => base === path).map(([overlay]) => overlay),
    onChange: () => showImages(),
  })
  const touched = (path: string): void => refresh.soon(dirname(path))
  const disks = createDiskMaker({
    context, store: stores.disks, images, claims, holds,
    onMade(path, base) {
      if (base !== undefined) fresh.set(path, base)
      const oldest = fresh.keys().next().value
      if (fresh.size > LIMITS.diskClaimsMax && oldest !== undefined) fresh.delete(oldest)
      showImages()
      touched(path)
    },
    onRemoved(path) {
      fresh.delete(path)
      showImages()
      touched(path)
    },
  })

  const poolVerbs = createPoolVerbs({ context, images, disks: stores.disks, holds, refresh })
  const volumeVerbs = createVolumeVerbs({ context, images, disks: stores.disks, holds })
  const references = (kind: string, uuids: readonly string[]): readonly ReferenceRecord[] => uuids.map((uuid) => context.reference(kind, uuid))

  const pools = createObjectTable<PoolAttributes, LocalPool>(context, {
    kind: 'StoragePool',
    make: (uuid, attributes) => ({
      attributes,
      onEvent: (listener) => context.subscribe('StoragePool', uuid, listener),
      volumes: () => references('Volume', volumes.list().filter(({ pool }) => pool === attributes().name).map((volume) => volume.uuid)),
      images: () => images.list().filter(({ pool }) => pool.uuid === uuid).length,
      ...poolVerbs.of(uuid),
    }),
    changes: (before, after) => [
      ...(before.state === after.state ? [] : [after.state === 'active' ? 'started' : 'stopped']),
      ...(before.name === after.name && before.path === after.path && before.autostart === after.autostart ? [] : ['changed']),
    ],
  })
  const volumes = createObjectTable<VolumeAttributes, LocalVolume>(context, {
    kind: 'Volume',
    make: (uuid, attributes) => ({
      attributes,
      onEvent: (listener) => context.subscribe('Volume', uuid, listener),
      image: () => images.at(attributes().path)?.note.name,
      ...volumeVerbs.of(attributes),
    }),
    changes: ({ allocationBytes: _, ...before }, { allocationBytes: __, ...after }) => JSON.stringify(before) === JSON.stringify(after) ? [] : ['changed'],
  })
  const imageObjects = createObjectTable<ImageAttributes, LocalImage>(context, {
    kind: 'Image',
    make: (uuid, attributes) => ({
      attributes,
      onEvent: (listener) => context.subscribe('Image', uuid, listener),
      importedAtMs: () => images.get(uuid).note.importedAtMs,
      describe: (description) => images.describe(uuid, description),
      verify: (budget) => images.verify(uuid, context.call(budget)),
      async remove(budget) {
        const { pool } = images.get(uuid)
        await images.remove(uuid, context.call(budget))
        await refresh.now(pool.uuid, context.call(budget))
      },
    }),
    changes: ({ overlays: _, ...before }, { overlays: __, ...after }) => JSON.stringify(before) === JSON.stringify(after) ? [] : ['changed'],
  })

  const poolAttributes = ({ uuid, name, active, type, path, autostart, capacityBytes, allocationBytes, availableBytes }: PoolRecord): PoolAttributes => ({
    name, uuid, state: active ? 'active' : 'inactive', type, path, host: context.hostName(), autostart, capacityBytes, usedBytes: allocationBytes, freeBytes: availableBytes,
  })
  const users = ({ domains, pools, volumes }: Inventory): ReadonlyMap<string, readonly string[]> => {
    const found = new Map<string, string[]>()
    for (const { settings } of domains) {
      for (const disk of disksOf(settings)) {
        const path = pathOf(disk, pools, volumes)
        if (path !== undefined) found.set(path, [...found.get(path) ?? [], settings.name])
      }
    }
    return found
  }
  function showImages(): void {
    const overlays = new Map<string, Set<string>>()
    const stands = (overlay: string, base: string): void => { overlays.set(base, (overlays.get(base) ?? new Set()).add(overlay)) }
    for (const { path, backingPath } of context.inventory().volumes) if (backingPath !== undefined) stands(path, backingPath)
    for (const [path, base] of fresh) stands(path, base)
    imageObjects.sync(images.list().map(({ uuid, path, pool, note }) => ({
      name: note.name, uuid, pool: pool.name, path, host: context.hostName(), format: note.format, sizeBytes: note.sizeBytes, capacityBytes: note.capacityBytes,
      checksum: note.checksum, overlays: overlays.get(path)?.size ?? 0, description: note.description,
    })))
  }

  return {
    disks,
    createPool: (pool, budget) => poolVerbs.create(pool, context.call(budget)),
    sync(inventory) {
      const unknown = new Set(inventory.failures.map(({ room }) => room))
      if (!unknown.has('domains')) claims.sync(inventory)
      if (unknown.has('pools')) return
      pools.sync(inventory.pools.map(poolAttributes))
      if (unknown.has('volumes')) return
      const namesOfPools = new Map(inventory.pools.flatMap(({ uuid, name }) => [[uuid, name], [name, name]]))
      const usedBy = users(inventory)
      volumes.sync(inventory.volumes.filter(({ name }) => !isPaperwork(name)).map((volume) => ({
        name: volume.name, uuid: volume.uuid, pool: namesOfPools.get(volume.pool) ?? volume.pool, path: volume.path, host: context.hostName(), format: volume.format,
        capacityBytes: volume.capacityBytes, allocationBytes: volume.allocationBytes, backingPath: volume.backingPath ?? '', usedBy: usedBy.get(volume.path) ?? [],
      })))
      for (const { path } of inventory.volumes) fresh.delete(path)
      showImages()
      // A scan reads sidecars; what it finds is shown when it has ended. A failure is the next scan's matter.
      images.scan().catch(() => {})
    },
    stop() {
      images.stop()
      refresh.stop()
    },
  }
}
