// Refreshes of pools: libvirt sees files that it did not make itself only after one, and one reads every header in the
// directory. After a disk is made or removed it runs in the background, and requests during a run share the next one.

import { LIMITS } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import type { HostContext } from '../contract.ts'
import type { DiskStore } from './disk-store.ts'

export interface PoolRefresh {
  /** In the background: the pool with that directory, when there is one. */
  soon(directory: string): void
  /** And the inventory read again. */
  now(uuid: string, call: Call): Promise<void>
  stop(): void
}

export function createPoolRefresh(context: HostContext, { needsRefresh }: Pick<DiskStore, 'needsRefresh'>): PoolRefresh {
  const wanted = new Set<string>()
  let running = false
  let stopped = false

  const now: PoolRefresh['now'] = async (uuid, call) => {
    const pool = context.inventory().pools.find((each) => each.uuid === uuid)
    if (needsRefresh && pool?.active === true) await context.driver.storage.refreshPool(uuid, call)
    await context.resync()
  }
  const drain = async (): Promise<void> => {
    running = true
    while (wanted.size > 0 && !stopped) {
      const uuids = [...wanted]
      wanted.clear()
      const endsAtMs = context.clock.nowMs() + LIMITS.undoTimeoutMs
      const call: Call = { remainingMs: () => Math.max(0, endsAtMs - context.clock.nowMs()) }
      // What fails here is seen at the next resync; nobody waits for it.
      for (const uuid of uuids) await context.driver.storage.refreshPool(uuid, call).catch(() => {})
      await context.resync().catch(() => {})
    }
    running = false
  }
  return {
    now,
    soon(directory) {
      if (!needsRefresh || stopped) return
      const pool = context.inventory().pools.find(({ path, active }) => active && path === directory)
      if (pool === undefined) return
      wanted.add(pool.uuid)
      if (!running) void drain()
    },
    stop() { stopped = true },
  }
}
