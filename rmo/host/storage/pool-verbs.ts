// What can be done with a storage pool: lock, check, command, and the objects as they are afterwards.

import type { ReferenceRecord } from '../../../functions/mod.ts'
import type { Call, PoolRecord, VolumeRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { LocalPool } from '../../kinds/storage-pool.ts'
import type { NewPool } from '../../kinds/vmm.ts'
import type { ObjectEvent } from '../../object.ts'
import type { HostContext } from '../contract.ts'
import { eachPercent } from './copy-progress.ts'
import { disksOf } from './disk-plan.ts'
import type { DiskStore } from './disk-store.ts'
import type { Holds } from './holds.ts'
import type { ImageCatalog } from './images.ts'
import type { PoolRefresh } from './pool-refresh.ts'

export interface PoolVerbs {
  create(pool: NewPool, call: Call): Promise<ReferenceRecord>
  of(uuid: string): Pick<LocalPool, 'start' | 'stop' | 'refresh' | 'setAutostart' | 'createVolume' | 'importImage' | 'remove'>
}
export interface PoolVerbsOptions { readonly context: HostContext; readonly images: ImageCatalog; readonly disks: DiskStore; readonly holds: Holds; readonly refresh: PoolRefresh }

const textOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

export function createPoolVerbs({ context, images, disks, holds, refresh }: PoolVerbsOptions): PoolVerbs {
  const { storage } = context.driver
  const poolOf = (uuid: string): PoolRecord => {
    const pool = context.inventory().pools.find((each) => each.uuid === uuid)
    if (pool === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'StoragePool', uuid, node: context.hostName() })
    return pool
  }
  /** VMs that name volumes of the pool (those with a path do not need the pool). */
  const users = (name: string, running: 'running' | 'any'): readonly string[] => context.inventory().domains
    .filter(({ state, settings }) => (running === 'any' || state === 'running' || state === 'paused' || state === 'stopping') && disksOf(settings).some((disk) => disk.volume?.pool === name))
    .map(({ settings }) => settings.name)
  const refuseInUse = (name: string, by: readonly string[]): void => {
    if (by.length > 0) throw RMO.IN_USE({ kind: 'StoragePool', name, by })
  }
  const needActive = ({ name, active }: PoolRecord, operation: string): void => {
    if (!active) throw RMO.STATE_INVALID({ kind: 'StoragePool', name, operation, state: 'inactive', needs: 'active' })
  }

  return {
    create: ({ name, path, uuid }, call) => context.exclusive(`name/StoragePool/${name}`, async () => {
      const present = context.inventory().pools.find((pool) => pool.name === name || pool.uuid === uuid)
      if (present !== undefined && (present.name !== name || present.path !== path || (uuid !== undefined && present.uuid !== uuid))) {
        throw RMO.NAME_TAKEN({ kind: 'StoragePool', name: present.name, host: context.hostName(), uuid: present.uuid })
      }
      await disks.makeDirectory(path)
      const pool = present ?? await storage.definePool({ name, path, autostart: true, ...(uuid === undefined ? {} : { uuid }) }, call)
      try {
        if (!pool.active) await storage.startPool(pool.uuid, call)
      } catch (error) {
        if (present === undefined) await storage.undefinePool(pool.uuid, call).catch(() => { throw RMO.PARTLY_DONE({ operation: 'createPool', name, reason: textOf(error), left: [`pool ${name} (${pool.uuid}), not started`] }, { cause: error }) })
        throw error
      }
      await context.resync()
      await images.scan()
      return context.reference('StoragePool', pool.uuid)
    }),

    of(uuid) {
      const change = (call: Call, work: (pool: PoolRecord, call: Call) => Promise<void>): Promise<void> =>
        context.exclusive(`StoragePool/${uuid}`, async () => {
          await work(poolOf(uuid), call)
          await context.resync()
        })
      return {
        start: (budget) => change(context.call(budget), async ({ active }, call) => { if (!active) await storage.startPool(uuid, call) }),
        stop: (budget) => change(context.call(budget), async ({ name, active }, call) => {
          if (!active) return
          refuseInUse(name, users(name, 'running'))
          await storage.stopPool(uuid, call)
        }),
        refresh: (budget) => change(context.call(budget), async (pool, call) => {
          needActive(pool, 'refresh')
          await storage.refreshPool(uuid, call)
        }),
        setAutostart: (autostart, budget) => change(context.call(budget), (_pool, call) => storage.setAutostart(uuid, autostart, call)),
        remove: (budget) => change(context.call(budget), async ({ name, active }, call) => {
          refuseInUse(name, users(name, 'any'))
          if (active) await storage.stopPool(uuid, call)
          await storage.undefinePool(uuid, call)
        }),
        async createVolume({ name, format = 'qcow2', capacityBytes, image }, budget) {
          const call = context.call(budget)
          const pool = poolOf(uuid)
          needActive(pool, 'createVolume')
          if (image === undefined && capacityBytes === undefined) throw RMO.ARGUMENT_INVALID({ call: 'StoragePool.createVolume', path: 'volume.capacityBytes', expected: 'a size, or an image to be an overlay of', got: 'nothing' })
          if (image !== undefined && format !== 'qcow2') throw RMO.ARGUMENT_INVALID({ call: 'StoragePool.createVolume', path: 'volume.format', expected: '"qcow2" for an overlay of an image', got: JSON.stringify(format) })
          const base = image === undefined ? undefined : await images.use(image, call)
          const make = (): Promise<VolumeRecord> => storage.createVolume(pool.name, { name, format, capacityBytes: Math.max(capacityBytes ?? 0, base?.capacityBytes ?? 0), ...(base === undefined ? {} : { backing: base.backing }) }, call)
          // Its image is not removed meanwhile; one that was, while this waited, is missed by use().
          const made = await (base === undefined ? make() : holds.use(base.backing.path, async () => { await images.use(base.image.note.name, call); return make() }))
          await context.resync()
          return context.reference('Volume', made.uuid)
        },
        async importImage(wish, budget) {
          const call = context.call(budget)
          const tell = eachPercent((ratio) => context.publish('StoragePool', uuid, { type: 'copying', atMs: context.clock.wallMs(), name: wish.name, ratio } as ObjectEvent))
          const image = await images.import(poolOf(uuid), wish, call, tell)
          await refresh.now(uuid, call)
          return context.reference('Image', image.uuid)
        },
      }
    },
  }
}
