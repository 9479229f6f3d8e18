// Removals under way, written down before the definition goes: a node that is killed between the definition and the disks
// finds here, when it starts again, whose disks are still to go. Without this nobody would know of them any more.

import type { LocalStore } from '../../../fabric/mod.ts'
import type { VmSettings } from '../../settings.ts'

interface Removal { readonly uuid: string; readonly settings: VmSettings }

export interface Removals {
  /** Durable when it resolves. */
  begin(removal: Removal): Promise<void>
  end(uuid: string): Promise<void>
  open(): readonly Removal[]
}

/** One removal a VM; more than a host has VMs are never open. */
const OPEN_MAX = 65_536

/** Hosts of one node share its store. */
export function createRemovals(store: Pick<LocalStore, 'range' | 'write'>, machineUuid: string): Removals {
  const prefix = `removal/${machineUuid}/`
  return {
    begin: (removal) => store.write([{ key: prefix + removal.uuid, value: JSON.stringify(removal) }]),
    end: (uuid) => store.write([{ key: prefix + uuid, value: undefined }]),
    open: () => store.range({ prefix, limit: OPEN_MAX }).map(({ value }) => JSON.parse(value) as Removal),
  }
}
