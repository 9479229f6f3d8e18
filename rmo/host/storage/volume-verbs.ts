// What can be done with a volume. An image is changed through its Image object only; a volume that a VM uses, or that
// overlays stand on, is not pulled from under them.

import type { Authority } from '../../../functions/mod.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { LocalVolume, VolumeAttributes } from '../../kinds/volume.ts'
import { isActive } from '../../vm-state.ts'
import { usersOf } from './claims.ts'
import type { HostContext } from '../contract.ts'
import { createDiskChain } from './disk-chain.ts'
import type { DiskStore } from './disk-store.ts'
import type { Holds } from './holds.ts'
import type { ImageCatalog } from './images.ts'

export interface VolumeVerbs { of(attributes: () => VolumeAttributes): Pick<LocalVolume, 'resize' | 'clone' | 'remove'> }
export interface VolumeVerbsOptions { readonly context: HostContext; readonly images: ImageCatalog; readonly disks: DiskStore; readonly holds: Holds }

export function createVolumeVerbs({ context, images, disks, holds }: VolumeVerbsOptions): VolumeVerbs {
  const { storage } = context.driver
  const chain = createDiskChain({ store: disks, images, hostName: () => context.hostName() })
  const refuseImage = ({ name, path }: VolumeAttributes, operation: string): void => {
    const image = images.at(path)
    if (image !== undefined) throw RMO.STATE_INVALID({ kind: 'Volume', name, operation, state: `image ${image.note.name}`, needs: 'to be no image; use the Image object' })
  }
  const overlaysOf = async (path: string, call: Call): Promise<readonly string[]> =>
    [...new Set([...context.inventory().volumes.filter(({ backingPath }) => backingPath === path).map((volume) => volume.path), ...await disks.overlaysBeside(path, call)])].sort()
  const running = (path: string): readonly string[] => {
    const inventory = context.inventory()
    return usersOf(path, { ...inventory, domains: inventory.domains.filter(({ state }) => isActive(state)) })
  }

  /** Hosts share directories: what Kumoi made for a VM of another machine is not in this one's inventory. */
  const ownerElsewhere = async (path: string, authority: Authority): Promise<readonly string[]> => {
    const owner = await disks.ownerOf(path)
    if (owner === undefined || context.inventory().domains.some(({ uuid }) => uuid === owner)) return []
    return await context.holder?.('VM', owner, authority) === undefined ? [] : [`VM ${owner} of another machine`]
  }

  return {
    of: (attributes) => ({
      resize: (capacityBytes, authority) => context.exclusive(`disk/${attributes().path}`, async () => {
        const { name, pool, path, capacityBytes: now } = attributes()
        if (capacityBytes === now) return
        refuseImage(attributes(), 'resize')
        if (capacityBytes < now) throw RMO.ARGUMENT_INVALID({ call: 'Volume.resize', path: 'capacityBytes', expected: `at least ${now}, its size now (making a disk smaller cuts off what the guest has there)`, got: String(capacityBytes) })
        const call = context.call(authority)
        const by = [...running(path), ...await ownerElsewhere(path, authority), ...await overlaysOf(path, call)]
        if (by.length > 0) throw RMO.IN_USE({ kind: 'Volume', name, by })
        await storage.resizeVolume(pool, name, capacityBytes, call)
        await context.resync()
      }),
      clone: ({ name, disks: how }, budget) => context.exclusive(`disk/${attributes().path}`, async () => {
        const { name: source, pool, path, format, capacityBytes } = attributes()
        const call = context.call(budget)
        const image = images.at(path)
        if (how === 'overlay' && image === undefined) throw RMO.STATE_INVALID({ kind: 'Volume', name: source, operation: 'clone as an overlay', state: 'not an image and may change', needs: 'to be one; import it as an image, or clone it with disks: "full"' })
        if (image !== undefined && how !== 'full') {
          const { backing } = await images.use(image.note.name, call)
          const made = await holds.use(path, () => storage.createVolume(pool, { name, format: 'qcow2', capacityBytes, backing }, call))
          await context.resync()
          return context.reference('Volume', made.uuid)
        }
        const by = running(path)
        if (by.length > 0) throw RMO.IN_USE({ kind: 'Volume', name: source, by })
        // The hypervisor copies by the format that it found in the bytes: what they claim to stand on must be ours.
        const facts = await disks.probe(path, call)
        if (facts !== undefined) await chain.check(path, facts, call)
        const made = await storage.copyVolume(pool, source, { name, format: format === 'qcow2' ? 'qcow2' : 'raw' }, call)
        await context.resync()
        return context.reference('Volume', made.uuid)
      }),
      remove: (authority) => context.exclusive(`disk/${attributes().path}`, async () => {
        const { name, pool, path } = attributes()
        refuseImage(attributes(), 'remove')
        const call = context.call(authority)
        await holds.remove(path, async () => {
          const by = [...usersOf(path, context.inventory()), ...await ownerElsewhere(path, authority), ...await overlaysOf(path, call)]
          if (by.length > 0) throw RMO.IN_USE({ kind: 'Volume', name, by })
          await storage.deleteVolume(pool, name, call)
          // Its note, when Kumoi made it for a VM.
          await disks.remove(path, call)
        })
        await context.resync()
      }),
    }),
  }
}
