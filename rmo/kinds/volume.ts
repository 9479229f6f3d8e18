// Volume: one disk in a storage pool, of a VM or of nobody. Implemented by rmo/host/storage/storage-room.ts.

import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { defineKind, parameter } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, bareReference, byteCount, list, nothing, oneOf, optional, record, reference, text } from '../schema.ts'
import type { Type } from '../schema.ts'
import { changed } from '../version.ts'
import type { Volume } from './interfaces.ts'
import type { Budget } from './physical-machine.ts'
import { column, lifeEvents, watchEvents } from './room-object.ts'
import { volumeName } from './storage-pool.ts'

export type VolumeAttributes = Pick<Volume, 'name' | 'uuid' | 'pool' | 'path' | 'host' | 'format' | 'capacityBytes' | 'allocationBytes' | 'backingPath' | 'usedBy'>

export interface LocalVolume {
  attributes(): VolumeAttributes
  onEvent(listener: (event: ObjectEvent) => void): () => void
  /** Name of the image that it is; undefined: none. */
  image(): string | undefined
  resize(capacityBytes: number, authority: Authority): Promise<void>
  clone(options: { readonly name: string; readonly disks?: 'overlay' | 'full' }, budget: Budget): Promise<ReferenceRecord>
  remove(authority: Authority): Promise<void>
}

export const volume = defineKind<Volume, LocalVolume>({
  kind: 'Volume',
  plural: 'volumes',
  doc: 'A disk in a storage pool.',
  residence: 'hosted',
  example: 'volumes.filter(volume => volume.usedBy.length === 0)',
  observe: (local) => local.attributes(),
  attributes: {
    pool: { doc: 'Name of its pool.', type: text(), column: column('POOL') },
    path: { doc: 'Its file.', type: text(), column: column('PATH', 'text', true) },
    host: { doc: 'Name of the machine it is on.', type: text(), column: column('HOST') },
    format: { doc: 'How its file is written.', type: oneOf('qcow2', 'raw', 'iso', 'other'), column: column('FORMAT') },
    capacityBytes: { doc: 'Size in the guest.', type: byteCount(), column: column('SIZE', 'bytes') },
    allocationBytes: { doc: 'What its file takes.', type: byteCount(), column: column('USED', 'bytes') },
    backingPath: { doc: 'File it is an overlay of; "" when none.', type: text(), column: column('BACKING', 'text', true) },
    usedBy: { doc: 'Names of the VMs of this host that use it.', type: list(text()), column: column('VMS') },
  },
  common: {
    info: (local) => {
      const image = local.image()
      return { ...local.attributes(), ...(image === undefined ? {} : { image }) }
    },
    stats: (local) => {
      const { capacityBytes, allocationBytes, usedBy } = local.attributes()
      return { capacityBytes, allocationBytes, users: usedBy.length }
    },
  },
  verbs: {
    resize: {
      doc: 'Makes it larger; the VM that uses it must be stopped.', acl: 'update', idempotent: true,
      parameters: [parameter('capacityBytes', byteCount({ min: 1 }), 'New size in the guest; not smaller than now.')],
      result: { doc: '{version, operation}', type: anything() },
      run: async (local, [capacityBytes], authority) => {
        await local.resize(capacityBytes, authority)
        return changed({}, authority)
      },
    },
    clone: {
      doc: 'Another volume with the same contents: an overlay (of an image only) or a full copy.', acl: 'create', idempotent: false,
      parameters: [parameter('options', record({ name: volumeName, disks: optional(oneOf('overlay', 'full')) }), 'name; disks: "overlay" (default for an image) or "full" (default for any other).')],
      result: { doc: 'the new Volume', type: reference('Volume') as unknown as Type<Volume> },
      run: async (local, [options], authority) => bareReference(await local.clone(options, authority)),
    },
    remove: { doc: 'Deletes it; refused while a VM or an overlay needs it.', acl: 'delete', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.remove(authority) },
  },
  collections: {},
  references: {},
  events: lifeEvents,
  watch: watchEvents<LocalVolume>(),
})
