// Image: an immutable disk that VMs' disks are overlays of. Implemented by rmo/host/storage/images.ts and storage-room.ts.

import { LIMITS } from '../../fabric/base.ts'
import { defineKind } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, byteCount, integer, nothing, oneOf, text } from '../schema.ts'
import type { Image } from './interfaces.ts'
import type { Budget } from './physical-machine.ts'
import { column, lifeEvents, watchEvents } from './room-object.ts'

export type ImageAttributes = Pick<Image, 'name' | 'uuid' | 'pool' | 'path' | 'host' | 'format' | 'sizeBytes' | 'capacityBytes' | 'checksum' | 'overlays' | 'description'>

export interface LocalImage {
  attributes(): ImageAttributes
  onEvent(listener: (event: ObjectEvent) => void): () => void
  importedAtMs(): number
  describe(description: string, budget: Budget): Promise<void>
  verify(budget: Budget): Promise<{ readonly intact: boolean; readonly checksum: string }>
  remove(budget: Budget): Promise<void>
}

const description = text({ charsMax: LIMITS.imageDescriptionCharsMax, expected: `at most ${LIMITS.imageDescriptionCharsMax} characters` })

export const image = defineKind<Image, LocalImage>({
  kind: 'Image',
  plural: 'images',
  doc: 'An immutable disk that VMs are made from.',
  residence: 'hosted',
  example: 'images.map(image => image.name)',
  observe: (local) => local.attributes(),
  attributes: {
    pool: { doc: 'Name of its pool.', type: text(), column: column('POOL') },
    path: { doc: 'Its file.', type: text(), column: column('PATH', 'text', true) },
    host: { doc: 'Name of the machine it is on.', type: text(), column: column('HOST') },
    format: { doc: 'How its file is written.', type: oneOf('qcow2', 'raw', 'iso', 'other'), column: column('FORMAT') },
    sizeBytes: { doc: 'Length of its file.', type: byteCount(), column: column('FILE', 'bytes') },
    capacityBytes: { doc: 'Size in the guest.', type: byteCount(), column: column('SIZE', 'bytes') },
    checksum: { doc: 'SHA-256 of the file when it was imported.', type: text(), column: column('SHA256', 'text', true) },
    overlays: { doc: 'Disks that stand on it, as far as this host sees.', type: integer({ unit: 'count' }), column: column('OVERLAYS', 'number') },
    description: { doc: 'For people. Can be set.', type: description, column: column('DESCRIPTION', 'text', true) },
  },
  common: {
    info: (local) => ({ ...local.attributes(), importedAtMs: local.importedAtMs() }),
    stats: (local) => {
      const { sizeBytes, overlays } = local.attributes()
      return { sizeBytes, overlays }
    },
  },
  settings: {
    fields: { description },
    read: (local) => ({ description: local.attributes().description }),
    apply: async (local, change, authority) => { if (typeof change.description === 'string') await local.describe(change.description, authority) },
  },
  verbs: {
    verify: { doc: 'Reads the file again and compares the checksum; an intact one is sealed again.', acl: 'operate', idempotent: true, parameters: [], result: { doc: '{intact, checksum}', type: anything() }, run: (local, _args, authority) => local.verify(authority) },
    remove: { doc: 'Deletes it; refused while overlays stand on it.', acl: 'delete', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.remove(authority) },
  },
  collections: {},
  references: {},
  events: {
    ...lifeEvents,
    corrupted: { doc: 'verify() found other bytes than were imported.', fields: { checksum: text() } },
  },
  watch: watchEvents<LocalImage>(),
})
