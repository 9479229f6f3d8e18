// The storage of a libvirt host: StorageDriver over the operations of operations/storage.ts.
//
// An overlay and an empty volume cost a header; a copy costs its bytes, and its progress is read off the growing file,
// since libvirt tells none. Pools are given by uuid or name, volumes by name.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'
import type { Timer } from '../../../fabric/base.ts'
import type { Call, PoolRecord, StorageDriver, VolumeRecord } from '../contract.ts'
import type { Calls } from './calls.ts'

const STAT_BLOCK_BYTES = 512

export function createLibvirtStorage(calls: Pick<Calls, 'call' | 'clock'>): StorageDriver {
  const run = (name: string, args: object, call: Call, subject: { readonly kind: 'StoragePool' | 'Volume'; readonly name: string }): Promise<unknown> => calls.call(name, args, call, subject)
  const ofPool = (name: string, pool: string, call: Call): Promise<unknown> => run(name, { pool }, call, { kind: 'StoragePool', name: pool })
  const ofVolume = (name: string, args: object, volume: string, call: Call): Promise<unknown> => run(name, args, call, { kind: 'Volume', name: volume })

  /** Tells how much of the copy is on disk until the answered function is called. A hypervisor elsewhere shows no file: then nothing is told. */
  async function follow(pool: string, source: string, name: string, call: Call, tell: (ratio: number) => void): Promise<() => void> {
    const pools = await calls.call('poolList', {}, call) as readonly PoolRecord[]
    const home = pools.find((each) => each.name === pool || each.uuid === pool)
    const from = home === undefined ? undefined : await sizeOf(join(home.path, source))
    if (home === undefined || from === undefined || from === 0) return () => undefined
    let timer: Timer | undefined
    let ended = false
    const look = async (): Promise<void> => {
      const now = await sizeOf(join(home.path, name))
      if (ended) return
      if (now !== undefined) tell(Math.min(now / from, 0.99))
      timer = calls.clock.after(LIMITS.copyProgressMs, () => { void look() })
    }
    void look()
    return () => { ended = true; timer?.cancel() }
  }

  return {
    definePool: async (pool, call) => await run('poolDefine', pool, call, { kind: 'StoragePool', name: pool.name }) as PoolRecord,
    async startPool(uuid, call) { await ofPool('poolStart', uuid, call) },
    async stopPool(uuid, call) { await ofPool('poolStop', uuid, call) },
    async undefinePool(uuid, call) { await ofPool('poolUndefine', uuid, call) },
    async setAutostart(uuid, autostart, call) { await run('poolSetAutostart', { pool: uuid, autostart }, call, { kind: 'StoragePool', name: uuid }) },
    async refreshPool(uuid, call) { await ofPool('poolRefresh', uuid, call) },
    createVolume: async (pool, wish, call) => await ofVolume('volumeCreate', { pool, wish }, wish.name, call) as VolumeRecord,
    async copyVolume(pool, source, wish, call, onProgress) {
      onProgress?.(0)
      const stop = onProgress === undefined ? undefined : await follow(pool, source, wish.name, call, onProgress)
      try {
        const made = await ofVolume('volumeCopy', { pool, source, wish }, wish.name, call) as VolumeRecord
        onProgress?.(1)
        return made
      } finally { stop?.() }
    },
    async resizeVolume(pool, name, capacityBytes, call) { await ofVolume('volumeResize', { pool, name, capacityBytes }, name, call) },
    async deleteVolume(pool, name, call) { await ofVolume('volumeDelete', { pool, name }, name, call) },
    uploadVolume: async (pool, wish, bytes, call) => await ofVolume('volumeUpload', { pool, wish, bytes }, wish.name, call) as VolumeRecord,
  }
}

/** Bytes that a file takes on disk; undefined: there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).blocks * STAT_BLOCK_BYTES
  } catch { return undefined }
}
