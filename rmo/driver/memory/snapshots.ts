// Snapshots of simulated domains: of the disks only, or of the disks and the memory, which is then gone on from.

import { RMO } from '../../errors.ts'
import { LIMITS } from '../../../fabric/base.ts'
import type { DomainDriver } from '../contract.ts'
import { begin, end } from './domains.ts'
import { pauseGuest, resumeGuest } from './guest.ts'
import { command, copying, domainOf, frozen, idleDomainOf, invalidState, isActive, job, needMemory, snapshotRecords, tell } from './world.ts'
import type { Domain, Snapshot, World } from './world.ts'

function snapshotOf(domain: Domain, name: string): Snapshot {
  const snapshot = domain.snapshots.find((each) => each.name === name)
  if (snapshot === undefined) throw RMO.GONE({ kind: 'Snapshot', name, reason: `${domain.settings.name} has no such snapshot` })
  return snapshot
}

/** Back to how it was: with its memory, or stopped with its disks of then. The name of today is kept. */
function revert(world: World, domain: Domain, { name, settings, guest, state }: Snapshot): void {
  if (guest !== undefined && !isActive(domain)) needMemory(world, domain.settings.name, guest.memoryMiB)
  const wasActive = isActive(domain)
  if (wasActive) end(world, domain, 'stopped', 'from-snapshot')
  domain.settings = frozen({ ...settings, name: domain.settings.name })
  domain.saved = undefined
  domain.currentSnapshot = name
  if (guest === undefined) {
    domain.state = 'stopped'
    domain.reason = 'from-snapshot'
    if (wasActive) tell(world, domain, 'stopped', 'from-snapshot')
  } else {
    begin(world, domain, state === 'paused' ? guest : resumeGuest(guest, world.clock.nowMs()), 'from-snapshot')
    tell(world, domain, 'started', 'from-snapshot')
    if (state === 'paused') tell(world, domain, 'suspended', 'from-snapshot')
  }
  world.touch(domain)
}

export function createSnapshots(world: World): Pick<DomainDriver, 'createSnapshot' | 'revertSnapshot' | 'deleteSnapshot'> {
  return {
    createSnapshot: (uuid, { name, content, description }, call) => command(world, 'createSnapshot', call, async () => {
      const domain = idleDomainOf(world, uuid)
      if (domain.snapshots.some((each) => each.name === name)) throw RMO.ALREADY_EXISTS({ what: `Snapshot ${name} of ${domain.settings.name}`, host: world.host })
      if (domain.snapshots.length >= LIMITS.memorySnapshotsMax) throw RMO.NO_SPACE({ what: `snapshot ${name}`, path: domain.settings.name, reason: `it has ${LIMITS.memorySnapshotsMax} already` })
      const { guest } = domain
      if (content === 'memory') {
        if (guest === undefined || domain.state === 'stopping') throw invalidState(domain, 'a snapshot with memory', 'running or paused')
        await job(domain, 'snapshot', () => copying(world, 'createSnapshot', guest.memoryMiB, call))
      }
      const { state, settings, currentSnapshot } = domain
      const memory = content === 'memory' && domain.guest !== undefined ? { state, guest: pauseGuest(domain.guest, world.clock.nowMs()) } : { state: 'stopped' as const }
      domain.snapshots = [...domain.snapshots, {
        name, content, createdAtMs: world.clock.wallMs(), settings, ...memory,
        ...(currentSnapshot === undefined ? {} : { parent: currentSnapshot }), ...(description === undefined ? {} : { description }),
      }]
      domain.currentSnapshot = name
      world.touch(domain)
      const made = snapshotRecords(domain).at(-1)
      if (made === undefined) throw RMO.GONE({ kind: 'Snapshot', name, reason: 'it was deleted meanwhile' })
      return made
    }),
    revertSnapshot: (uuid, name, call) => command(world, 'revertSnapshot', call, () => {
      const domain = idleDomainOf(world, uuid)
      revert(world, domain, snapshotOf(domain, name))
    }),
    deleteSnapshot: (uuid, name, call) => command(world, 'deleteSnapshot', call, () => {
      const domain = domainOf(world, uuid)
      const { parent } = snapshotOf(domain, name)
      // Its children stand on its parent from now on.
      domain.snapshots = domain.snapshots.filter((each) => each.name !== name).map((each) => {
        if (each.parent !== name) return each
        const { parent: _gone, ...rest } = each
        return parent === undefined ? rest : { ...rest, parent }
      })
      if (domain.currentSnapshot === name) domain.currentSnapshot = parent
      world.touch(domain)
    }),
  }
}
