// Who is about to use which disk: paths promised to VMs that the inventory does not show yet.
//
// Two VMs that are added at once must not get one file. A claim ends when it is given back, or when the inventory
// shows a domain with that disk (from then on the domain itself is the proof). Pure.

import { LIMITS } from '../../../fabric/base.ts'
import type { Inventory } from '../../driver/contract.ts'
import type { DiskDevice, VmSettings } from '../../settings.ts'
import { disksOf } from './disk-plan.ts'

/** Where a disk's bytes are; undefined: a volume of a pool that is not there. */
export function pathOf(disk: DiskDevice, pools: Inventory['pools'], volumes: Inventory['volumes']): string | undefined {
  if (disk.volume === undefined) return disk.path
  const { pool, name } = disk.volume
  const home = pools.find((each) => each.name === pool)
  return volumes.find((volume) => volume.name === name && (volume.pool === pool || volume.pool === home?.uuid))?.path ?? (home === undefined ? undefined : `${home.path}/${name}`)
}

/** Names of the VMs that have a disk at `path`, but one. */
export function usersOf(path: string, inventory: Inventory, except?: string): readonly string[] {
  return inventory.domains
    .filter((domain) => domain.uuid !== except && disksOf(domain.settings).some((disk) => pathOf(disk, inventory.pools, inventory.volumes) === path))
    .map((domain) => domain.settings.name)
}

export interface Claims {
  /** undefined: it is yours now (or was). Else: the name of the VM that has claimed it. */
  claim(path: string, uuid: string, name: string): string | undefined
  release(path: string, uuid: string): void
  sync(inventory: Inventory): void
}

export function createClaims(): Claims {
  const claims = new Map<string, { readonly uuid: string; readonly name: string }>()
  return {
    claim(path, uuid, name) {
      const other = claims.get(path)
      if (other !== undefined && other.uuid !== uuid) return other.name
      claims.set(path, { uuid, name })
      const oldest = claims.keys().next().value
      if (claims.size > LIMITS.diskClaimsMax && oldest !== undefined) claims.delete(oldest)
      return undefined
    },
    release(path, uuid) {
      if (claims.get(path)?.uuid === uuid) claims.delete(path)
    },
    sync(inventory) {
      if (claims.size === 0) return
      const has = (settings: VmSettings, path: string): boolean => disksOf(settings).some((disk) => pathOf(disk, inventory.pools, inventory.volumes) === path)
      for (const [path, { uuid }] of claims) {
        const domain = inventory.domains.find((each) => each.uuid === uuid)
        if (domain !== undefined && has(domain.settings, path)) claims.delete(path)
      }
    },
  }
}
