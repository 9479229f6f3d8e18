// Snapshot: a VM's disks, and its memory when it ran, at one moment. Lives with its VM. Implemented by
// rmo/host/vm/snapshots.ts; its uuid is made of the VM's uuid and its name, so that it survives a restart of the node.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { defineKind } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, boolean, oneOf, number, record, text } from '../schema.ts'
import type { Snapshot, SnapshotInfo } from './interfaces.ts'
import { column } from './room-object.ts'

export type SnapshotAttributes = Pick<Snapshot, 'name' | 'uuid' | 'vmName' | 'state' | 'content' | 'current' | 'createdAtMs'>
export interface LocalSnapshot {
  readonly uuid: string
  attributes(): SnapshotAttributes
  info(): SnapshotInfo
  onEvent(listener: (event: ObjectEvent) => void): () => void
  revert(authority: Authority): Promise<void>
  remove(authority: Authority): Promise<void>
  vm(): ReferenceRecord
}

const nothing = { doc: 'nothing', type: anything() }

export const snapshot = defineKind<Snapshot, LocalSnapshot>({
  kind: 'Snapshot',
  plural: 'snapshots',
  doc: 'A VM at one moment, to go back to.',
  residence: 'hosted',
  example: 'pms.dmap(pm => pm.vms.map(vm => vm.snapshots)).flat()',
  observe: (local) => local.attributes(),
  attributes: {
    vmName: { doc: 'Its VM.', type: text(), column: column('VM') },
    state: { doc: 'State of the VM then.', type: oneOf('running', 'paused', 'stopping', 'stopped', 'crashed', 'saved'), column: column('STATE') },
    content: { doc: '"disk": disks only; "memory": disks and memory.', type: oneOf('disk', 'memory'), column: column('CONTENT') },
    current: { doc: 'The one that the VM stands on.', type: boolean(), column: column('CURRENT') },
    createdAtMs: { doc: 'When, wall clock.', type: number({ unit: 'milliseconds' }), column: column('CREATED', 'number', true) },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.attributes(),
  },
  verbs: {
    revert: {
      doc: 'The VM is again as it was then; what came after is lost.', acl: 'operate', idempotent: true, parameters: [], result: nothing,
      budgetMs: () => LIMITS.vmCopyTimeoutMs,
      run: (local, _args, authority) => local.revert(authority),
    },
    remove: {
      doc: 'Forgets the snapshot; the VM stays as it is.', acl: 'delete', idempotent: true, parameters: [], result: nothing,
      budgetMs: () => LIMITS.vmCopyTimeoutMs,
      run: (local, _args, authority) => local.remove(authority),
    },
  },
  collections: {},
  references: { vm: { kind: 'VM', doc: 'Its VM.', get: async (local) => local.vm() } },
  events: {
    changed: { doc: 'It became the current one, or is not any more.', fields: { current: boolean() } },
    gone: { doc: 'It was removed. Ends the watch.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
