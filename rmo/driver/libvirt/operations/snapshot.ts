// Snapshots: internal ones, inside the qcow2 files, with the memory of a running guest or of a stopped guest's disks.
//
// Not the external kind (a new overlay per snapshot): libvirt before 9.9 can neither revert to nor delete those.

import type { SnapshotRecord } from '../../contract.ts'
import { isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { withList } from '../memory.ts'
import { LibvirtFailure, present, succeeded, using } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { readDomain } from '../xml/domain.ts'
import { readSnapshot, snapshotXml } from '../xml/snapshot.ts'
import { definitionOf, stateOf, withDomain } from './domain-record.ts'

interface Named { readonly uuid: string; readonly snapshot: string }
interface Wish { readonly uuid: string; readonly snapshot: { readonly name: string; readonly content: 'disk' | 'memory'; readonly description?: string } }
const REVERT_FORCE = 4

const recordOf = (lib: Library, snapshot: Pointer): SnapshotRecord => ({
  ...readSnapshot(present(lib.virDomainSnapshotGetXMLDesc(snapshot, 0), lib, 'virDomainSnapshotGetXMLDesc')),
  current: lib.virDomainSnapshotIsCurrent(snapshot, 0) === 1,
})

const invalid = (text: string): LibvirtFailure => new LibvirtFailure({ what: 'virDomainSnapshotCreateXML', number: ERROR.operationInvalid, domain: 0, text })

function create(context: OperationContext, { uuid, snapshot }: Wish): SnapshotRecord {
  const { lib } = context
  return withDomain(context, uuid, (domain) => {
    const active = isActive(stateOf(lib, domain).state)
    if (active && snapshot.content === 'disk') throw invalid('running, and a snapshot of disks only needs it stopped; take one with content "memory"')
    if (!active && snapshot.content === 'memory') throw invalid('not running: it has no memory to keep; take one with content "disk"')
    const disks = readDomain(definitionOf(lib, domain)).settings.devices.flatMap((device) => device.type === 'disk' ? [device] : [])
    const leftOut = disks.flatMap((disk) => (disk.format !== 'qcow2' || disk.device === 'cdrom' || disk.readOnly === true) && disk.target !== undefined ? [disk.target] : [])
    const made = present(lib.virDomainSnapshotCreateXML(domain, snapshotXml({ ...snapshot, leftOut }), 0), lib, 'virDomainSnapshotCreateXML')
    return using(made, lib.virDomainSnapshotFree, (of) => recordOf(lib, of))
  })
}

const withSnapshot = <T>(context: OperationContext, { uuid, snapshot }: Named, work: (snapshot: Pointer) => T): T => withDomain(context, uuid, (domain) =>
  using(present(context.lib.virDomainSnapshotLookupByName(domain, snapshot, 0), context.lib, 'virDomainSnapshotLookupByName'), context.lib.virDomainSnapshotFree, work))

/** Forced: a guest that runs with other devices now is started anew from the snapshot instead of being refused. */
function revert(context: OperationContext, named: Named): void {
  withSnapshot(context, named, (snapshot) => succeeded(context.lib.virDomainRevertToSnapshot(snapshot, REVERT_FORCE), context.lib, 'virDomainRevertToSnapshot'))
}
/** Its children keep what they need: an internal snapshot holds all of its own blocks. */
function remove(context: OperationContext, named: Named): void {
  withSnapshot(context, named, (snapshot) => succeeded(context.lib.virDomainSnapshotDelete(snapshot, 0), context.lib, 'virDomainSnapshotDelete'))
}

/** Snapshots of all domains. Asking a domain for their number reads memory of the daemon only. */
function list({ lib, connection }: OperationContext): SnapshotRecord[] {
  return withList((out) => succeeded(lib.virConnectListAllDomains(connection, out, 0), lib, 'virConnectListAllDomains'), lib.virDomainFree, (domain) => {
    // A hypervisor without snapshots, or a domain that has just gone, has none.
    if (lib.virDomainSnapshotNum(domain, 0) <= 0) return []
    return withList((out) => Math.max(0, lib.virDomainListAllSnapshots(domain, out, 0)), lib.virDomainSnapshotFree, (snapshot) => recordOf(lib, snapshot))
  }).flat()
}

export const snapshotOperations: Operations = { snapshotCreate: create, snapshotRevert: revert, snapshotDelete: remove, snapshotList: list }
