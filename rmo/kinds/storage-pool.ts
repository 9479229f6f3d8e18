// StoragePool: a directory of volumes on one host. Several hosts may have the same one (a mounted NFS directory under one
// uuid): each has the object, listings show it once a host. Implemented by rmo/host/storage/storage-room.ts.

import { LIMITS } from '../../fabric/base.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import { MACHINE_READ } from '../further-rights.ts'
import { defineKind, parameter } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { bareReference, boolean, byteCount, nothing, oneOf, optional, ratio, record, reference, text } from '../schema.ts'
import type { Type } from '../schema.ts'
import type { Image, StoragePool, Volume } from './interfaces.ts'
import type { Budget } from './physical-machine.ts'
import { column, lifeEvents, watchEvents } from './room-object.ts'

export type PoolAttributes = Pick<StoragePool, 'name' | 'uuid' | 'state' | 'type' | 'path' | 'host' | 'autostart' | 'capacityBytes' | 'usedBytes' | 'freeBytes'>
export type NewVolume = Parameters<StoragePool['createVolume']>[0]
export type NewImage = Parameters<StoragePool['importImage']>[0]

export interface LocalPool {
  attributes(): PoolAttributes
  onEvent(listener: (event: ObjectEvent) => void): () => void
  volumes(): readonly ReferenceRecord[]
  images(): number
  start(budget: Budget): Promise<void>
  stop(budget: Budget): Promise<void>
  refresh(budget: Budget): Promise<void>
  setAutostart(autostart: boolean, budget: Budget): Promise<void>
  createVolume(volume: NewVolume, budget: Budget): Promise<ReferenceRecord>
  importImage(image: NewImage, budget: Budget): Promise<ReferenceRecord>
  remove(budget: Budget): Promise<void>
}

/** Of a volume: a file name without a path, which Kumoi's own paperwork does not use. */
export const volumeName = text({ charsMax: 200, pattern: /^(?!\.)(?!.*\.(?:image|disk)\.json$)[^/\p{Cc}]+$/u, expected: 'a file name that does not begin with a dot' })
const imageNameText = text({ charsMax: LIMITS.imageNameCharsMax, pattern: /^[A-Za-z0-9][A-Za-z0-9._-]*$/, expected: `at most ${LIMITS.imageNameCharsMax} letters, digits, dots, dashes and underscores, the first one a letter or digit` })
const source = text({ charsMax: 4_096, pattern: /^(\/|file:)[^\0]*$/, expected: 'an absolute path, or a file: URL' })
const autostart = boolean()

export const storagePool = defineKind<StoragePool, LocalPool>({
  kind: 'StoragePool',
  plural: 'storagePools',
  doc: 'A directory of volumes on one host.',
  residence: 'hosted',
  example: 'storagePools.filter(pool => pool.freeBytes < 2 ** 30)',
  observe: (pool) => pool.attributes(),
  attributes: {
    state: { doc: 'Whether its volumes can be used.', type: oneOf('active', 'inactive'), column: column('STATE') },
    type: { doc: 'A plain directory, a mounted one, or what only the hypervisor knows.', type: oneOf('dir', 'netfs', 'other'), column: column('TYPE') },
    path: { doc: 'Its directory.', type: text(), column: column('PATH') },
    host: { doc: 'Name of the machine it is on.', type: text(), column: column('HOST') },
    autostart: { doc: 'Started with the host. Can be set.', type: autostart, column: column('AUTOSTART', 'text', true) },
    capacityBytes: { doc: 'Size of the file system under it.', type: byteCount(), column: column('SIZE', 'bytes') },
    usedBytes: { doc: 'In use there, by whomever.', type: byteCount(), column: column('USED', 'bytes') },
    freeBytes: { doc: 'Free there.', type: byteCount(), column: column('FREE', 'bytes') },
  },
  common: {
    info: (pool) => ({ ...pool.attributes(), volumes: pool.volumes().length, images: pool.images() }),
    stats: (pool) => {
      const { state, capacityBytes, usedBytes, freeBytes } = pool.attributes()
      return { state, capacityBytes, usedBytes, freeBytes, volumes: pool.volumes().length, images: pool.images() }
    },
  },
  settings: {
    fields: { autostart },
    read: (pool) => ({ autostart: pool.attributes().autostart }),
    apply: async (pool, change, authority) => { if (typeof change.autostart === 'boolean') await pool.setAutostart(change.autostart, authority) },
  },
  verbs: {
    start: { doc: 'Makes its volumes usable.', acl: 'operate', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (pool, _args, authority) => pool.start(authority) },
    stop: { doc: 'Takes it out of use; its files stay.', acl: 'operate', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (pool, _args, authority) => pool.stop(authority) },
    refresh: { doc: 'Looks at the directory again.', acl: 'operate', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (pool, _args, authority) => pool.refresh(authority) },
    createVolume: {
      doc: 'A new volume: empty, or an overlay of an image.', acl: 'create', idempotent: false,
      parameters: [parameter('volume', record({ name: volumeName, format: optional(oneOf('qcow2', 'raw')), capacityBytes: optional(byteCount({ min: 1 })), image: optional(imageNameText) }), 'name, format (default "qcow2"), capacityBytes (default: the image\'s), image.')],
      result: { doc: 'the Volume', type: reference('Volume') as unknown as Type<Volume> },
      run: async (pool, [volume], authority) => bareReference(await pool.createVolume(volume, authority)),
    },
    importImage: {
      doc: 'Copies a file of the host in as an immutable image; the same bytes again are done already.', acl: 'create', idempotent: true,
      parameters: [parameter('image', record({ name: imageNameText, path: source, description: optional(text({ charsMax: LIMITS.imageDescriptionCharsMax })) }), 'name, path, description.')],
      result: { doc: 'the Image', type: reference('Image') as unknown as Type<Image> },
      also: () => [MACHINE_READ],
      run: async (pool, [image], authority) => bareReference(await pool.importImage(image, authority)),
    },
    remove: { doc: 'Forgets the pool; its files are left.', acl: 'delete', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (pool, _args, authority) => pool.remove(authority) },
  },
  collections: { volumes: { kind: 'Volume', doc: 'Its volumes.', list: async (pool) => pool.volumes() } },
  references: {},
  events: {
    ...lifeEvents,
    started: { doc: 'Its volumes can be used.', fields: { name: text() } },
    copying: { doc: 'Progress of an import: how much of the image is here and checked.', fields: { name: text(), ratio: ratio() } },
    stopped: { doc: 'Its volumes cannot be used any more.', fields: { name: text() } },
  },
  watch: watchEvents<LocalPool>(),
})
