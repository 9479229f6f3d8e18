// HighAvailability: a VM that is kept running (the paper's pool.createHighAvailability, Figure 5).
//
// A view of the VM's intent: its protection, how often it was tried, and why it is where it is. Rules: cloud.md section 5.

import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { column, defineKind, nothing, oneOf, record, text } from '../../rmo/base.ts'
import type { ObjectEvent } from '../../rmo/mod.ts'
import type { Protection } from '../cloud/contract.ts'
import { PROTECTION_FIELDS } from './high-availability-settings.ts'
import type { HighAvailability, HighAvailabilityInfo, HighAvailabilityState, HighAvailabilityStats } from './interfaces.ts'
import { count } from './types.ts'

// ---------------------------------------------------------------- for the node

export type LiveProtectionState = Exclude<HighAvailabilityState, 'cold'>
export type HighAvailabilityAttributes = Pick<HighAvailability, 'name' | 'uuid' | 'pool' | 'host' | 'restarts' | 'relocations' | 'windowMs' | 'onGuestShutdown' | 'priority' | 'restartsUsed' | 'relocationsUsed' | 'error'> & { readonly state: LiveProtectionState }

export interface LocalHighAvailability {
  readonly uuid: string
  attributes(): HighAvailabilityAttributes
  settings(): Protection
  apply(change: Partial<Protection>, authority: Authority): Promise<void>
  info(): HighAvailabilityInfo
  stats(): HighAvailabilityStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  vm(authority: Authority): Promise<ReferenceRecord>
  remove(authority: Authority): Promise<void>
}

// ---------------------------------------------------------------- declaration

const state = oneOf('protected', 'arming', 'restarting', 'waiting', 'error', 'off', 'cold')
const fields = PROTECTION_FIELDS

export const highAvailability = defineKind<HighAvailability, LocalHighAvailability>({
  kind: 'HighAvailability',
  plural: 'highAvailabilities',
  doc: 'A VM that is kept running.',
  residence: 'global',
  example: 'highAvailabilities.dfilter(ha => ha.state === "error")',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: 'protected, arming, restarting, waiting for room, error (given up), off; cold before it is added.', type: state, column: column('STATE') },
    pool: { doc: 'Name of its pool.', type: text(), column: column('POOL') },
    host: { doc: 'Machine that has it; "" when none.', type: text(), column: column('HOST') },
    restartsUsed: { doc: 'Restarts in place, of those allowed in the window.', type: count, column: column('RESTARTS', 'number') },
    relocationsUsed: { doc: 'Restarts on other machines, of those allowed in the window.', type: count, column: column('RELOCATIONS', 'number') },
    error: { doc: 'Why it was given up; "" while it was not.', type: text(), column: column('ERROR') },
    restarts: { doc: 'Restarts in place that are allowed in the window.', type: fields.restarts, column: column('RESTARTS MAX', 'number', true) },
    relocations: { doc: 'Restarts on other machines that are allowed in the window.', type: fields.relocations, column: column('RELOCATIONS MAX', 'number', true) },
    windowMs: { doc: 'After so long a time of running they count from zero.', type: fields.windowMs, column: column('WINDOW MS', 'number', true) },
    onGuestShutdown: { doc: 'The guest shut itself down: leave it off, or start it again.', type: fields.onGuestShutdown, column: column('ON SHUTDOWN', 'text', true) },
    priority: { doc: 'Higher first when room is short.', type: fields.priority, column: column('PRIORITY', 'number', true) },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  settings: {
    fields,
    read: (local) => ({ ...local.settings() }),
    apply: (local, change, authority) => local.apply(change as Partial<Protection>, authority),
  },
  coldVerbs: {},
  verbs: {
    remove: { doc: 'Ends the protection; the VM goes on.', acl: 'delete', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.remove(authority) },
  },
  collections: {},
  references: { vm: { kind: 'VM', doc: 'What is kept running.', get: (local, authority) => local.vm(authority) } },
  events: {
    state: { doc: 'Its state changed.', fields: { state, before: state, host: text(), reason: text() } },
    changed: { doc: 'Settings changed.', fields: { name: text() } },
    gone: { doc: 'The protection ended. Ends the watch.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
