// Messages of rmo.migration, node to node: what the two sides of a migration say to each other.
//
//   source                          destination
//     accept {id, uuid, settings} ->   checks, reserves        -> ticket
//     (driver.migrate: the hypervisors talk)
//     complete {id, uuid, handover} -> goes on, object is there -> state
//     refuse {id, uuid} ->             gives back what it reserved
//     status {id, uuid} ->             what is there now       (asked by either side)
//     find {id, uuid} ->               the same, there or wherever it moved on to
//
// Access rules go with the VM; its audit and account are of what happened at each host, and stay there.

import type { DomainMetadata, DomainState, MigrationTicket } from '../../driver/contract.ts'
import { ACL_RULES } from '../../common.ts'
import type { VmSettings } from '../../settings.ts'
import { anything, boolean, dictionary, integer, oneOf, optional, record, text, uuid } from '../../schema.ts'
import type { Infer } from '../../schema.ts'
import { vmSettings } from '../../vm-schema.ts'
import type { Side } from './migration-note.ts'

export const MIGRATION_METHOD = 'rmo.migration'

const id = text({ charsMax: 64, pattern: /^[0-9a-f-]+$/ })
const body = record({
  step: oneOf('accept', 'complete', 'refuse', 'status', 'find'),
  id, uuid: uuid(),
  /** Whose host is meant: the destination's machine for accept, complete and refuse, the asked one's for status. */
  machine: uuid(),
  /** Of the one who speaks. */
  speaker: uuid(),
  from: optional(text({ charsMax: 255 })), to: optional(text({ charsMax: 255 })),
  state: optional(oneOf('running', 'paused', 'stopping', 'stopped', 'crashed', 'saved')),
  settings: optional(vmSettings),
  metadata: optional(dictionary(anything())),
  /** Access rules of the VM, with accept and, as they are then, with complete. */
  rules: optional(ACL_RULES),
  handover: optional(text({ charsMax: 16 * 1024 * 1024 })),
})
export type MigrationMessage = Infer<typeof body>
const place = { call: MIGRATION_METHOD, path: 'message' }
export const readMessage = (value: unknown): MigrationMessage => body.check(value, place)

const metadataBody = record({
  image: optional(text()), instanceId: optional(text()), context: optional(dictionary(anything())), labels: optional(dictionary(text())),
  epoch: optional(integer({ unit: 'count' })), createdBy: optional(text()), createdAtMs: optional(integer({ unit: 'milliseconds' })),
})
export const readMetadata = (value: unknown): DomainMetadata => metadataBody.check(value, { ...place, path: 'message.metadata' }) as DomainMetadata

const ticket = record({ driver: text(), uri: text(), transportUri: optional(text()), token: optional(text()) })
export const readTicket = (value: unknown): MigrationTicket => ticket.check(value, { call: MIGRATION_METHOD, path: 'ticket' })
const status = record({ state: oneOf('running', 'paused', 'stopping', 'stopped', 'crashed', 'saved', 'absent'), migrating: boolean() })
/** `migrating`: this side still works on it. */
export interface MigrationStatus { readonly state: Exclude<Side, 'unknown'>; readonly migrating: boolean }
export const readStatus = (value: unknown): MigrationStatus => status.check(value, { call: MIGRATION_METHOD, path: 'status' })

/** Plain data as messages carry it: nothing undefined, nothing but JSON. */
export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

export interface Announcement { readonly settings: VmSettings; readonly metadata: DomainMetadata; readonly state: DomainState }
