// Migration between simulated hosts, also of different processes, where nothing but a ticket and a text can travel:
//
//   destination  acceptIncoming: memory is held, a ticket answered          completeIncoming: goes on
//   source                              migrate: copies, lets go, answers the handover ^
//
// Never running twice: the source lets go before it answers, the destination begins only then. Files in shared
// directories (SHARED_ROOT, the simulated NFS) go over with their domain; files of other pools do not move.

import { RMO } from '../../errors.ts'
import type { DiskDevice, VmSettings } from '../../settings.ts'
import type { Call, DomainDriver, MigrateOptions, VolumeRecord } from '../contract.ts'
import { begin, carryOut, define, end, givenLoad, newGuest } from './domains.ts'
import { readGuest, writeGuest } from './guest-record.ts'
import type { GuestRecord } from './guest-record.ts'
import { pauseGuest, resumeGuest } from './guest.ts'
import { IMAGE_SUFFIX, isImage, isShared, volumeFor } from './storage.ts'
import { command, idleDomainOf, isActive, job, missingDisk, needMemory, tell, volumeOf } from './world.ts'
import type { Domain, Snapshot, World } from './world.ts'

const MiB = 1024 ** 2
/** Progress reports of one migration. */
const STEPS = 10

interface Handover {
  readonly state: Domain['state']
  readonly reason: string
  readonly guest?: GuestRecord
  readonly saved?: GuestRecord
  readonly snapshots: readonly (Omit<Snapshot, 'guest'> & { readonly guest?: GuestRecord })[]
  readonly currentSnapshot?: string
  readonly volumes: readonly VolumeRecord[]
}

/** Volumes in shared directories that the domain uses, and below them the files they stand on. */
function sharedVolumes(world: World, { devices }: VmSettings): VolumeRecord[] {
  const all = new Map([...world.pools.values()].flatMap((pool) => [...pool.volumes.values()].map((volume) => [volume.path, volume] as const)))
  const found = new Map<string, VolumeRecord>()
  for (const device of devices) {
    let volume = device.type === 'disk' ? volumeOf(world, device) : undefined
    while (volume !== undefined && isShared(volume.path) && !found.has(volume.path)) {
      found.set(volume.path, volume)
      volume = volume.backingPath === undefined ? undefined : all.get(volume.backingPath)
    }
  }
  return [...found.values()]
}

/** The source forgets the files that went over: another host keeps them from now on. Images, and what others need, stay. */
function forgetFiles(world: World, volumes: readonly VolumeRecord[]): void {
  const pools = [...world.pools.values()]
  for (const volume of volumes) {
    const needed = isImage(volume.name) || pools.some((pool) => [...pool.volumes.values()].some(({ backingPath }) => backingPath === volume.path)) ||
      [...world.domains.values()].some(({ settings }) => settings.devices.some((device) => device.type === 'disk' && volumeOf(world, device) === volume))
    if (!needed) pools.find(({ name }) => name === volume.pool)?.volumes.delete(volume.name)
  }
}

/** A disk in a directory that all simulated hosts share: it comes with its domain. */
const comesAlong = (world: World, { path, volume }: DiskDevice): boolean =>
  isShared(path ?? [...world.pools.values()].find(({ name, uuid }) => name === volume?.pool || uuid === volume?.pool)?.path ?? '')

async function copy(world: World, domain: Domain, { bandwidthMiBps, onProgress }: MigrateOptions, call: Call): Promise<void> {
  const { guest } = domain
  if (guest === undefined) return
  const totalBytes = guest.memoryMiB * MiB, startedAtMs = world.clock.nowMs()
  const rate = Math.max(1, Math.min(world.copyMiBps, bandwidthMiBps ?? Infinity))
  const report = (phase: 'copying' | 'switching', done: number): void => onProgress?.({
    phase, totalBytes, doneBytes: done, remainingBytes: totalBytes - done, elapsedMs: world.clock.nowMs() - startedAtMs,
  })
  for (let step = 0; step < STEPS; step++) {
    report('copying', Math.round(totalBytes * step / STEPS))
    await world.gate.pause('migrate', guest.memoryMiB / rate / STEPS * 1_000, call)
    // It was torn away meanwhile; who waits has been told by job().
    if (domain.guest === undefined) return
  }
  report('switching', totalBytes)
}

/** Takes the domain out of this host, as text for the next. */
function letGo(world: World, domain: Domain): string {
  const nowMs = world.clock.nowMs()
  const volumes = sharedVolumes(world, domain.settings)
  const record = (guest: Domain['guest']): { readonly guest?: GuestRecord } => guest === undefined ? {} : { guest: writeGuest(pauseGuest(guest, nowMs), world.clock) }
  const saved = record(domain.saved).guest
  const handover: Handover = {
    state: domain.state, reason: domain.reason, ...record(domain.guest), ...(saved === undefined ? {} : { saved }),
    snapshots: domain.snapshots.map(({ guest, ...rest }) => ({ ...rest, ...record(guest) })),
    ...(domain.currentSnapshot === undefined ? {} : { currentSnapshot: domain.currentSnapshot }),
    volumes,
  }
  // The job is over: nothing of it may be interrupted by the end of the guest here.
  domain.job = undefined
  end(world, domain, 'stopped', 'migrated')
  world.domains.delete(domain.uuid)
  forgetFiles(world, volumes)
  world.touch()
  tell(world, domain, 'migratedOut', 'migrated')
  tell(world, domain, 'undefined', 'migrated')
  return JSON.stringify(handover)
}

function arrive(world: World, uuid: string, text: string | undefined): void {
  const coming = world.incoming.get(uuid)
  if (coming === undefined) {
    if (world.domains.has(uuid)) return
    throw RMO.GONE({ kind: 'VM', name: uuid, reason: `it was not announced at ${world.host}, or was refused since` })
  }
  world.incoming.delete(uuid)
  const handover = text === undefined ? undefined : JSON.parse(text) as Handover
  for (const volume of handover?.volumes ?? []) {
    const pool = [...world.pools.values()].find(({ path }) => volume.path === `${path}/${volume.name}`)
    if (pool !== undefined && !pool.volumes.has(volume.name)) pool.volumes.set(volume.name, volumeFor(pool, volume))
  }
  const domain = define(world, uuid, coming.settings, coming.metadata, true)
  domain.snapshots = handover?.snapshots.map(({ guest, ...rest }) => ({ ...rest, ...(guest === undefined ? {} : { guest: readGuest(guest, world.clock) }) })) ?? []
  domain.currentSnapshot = handover?.currentSnapshot
  if (handover !== undefined && handover.guest === undefined) {
    domain.state = handover.state
    domain.reason = handover.reason
    domain.saved = handover.saved === undefined ? undefined : readGuest(handover.saved, world.clock)
  } else {
    const guest = handover?.guest === undefined ? newGuest(world, uuid, coming.settings) : { ...readGuest(handover.guest, world.clock), ...givenLoad(world, uuid, coming.settings) }
    begin(world, domain, handover?.state === 'paused' ? guest : resumeGuest(guest, world.clock.nowMs()), 'migrated')
  }
  world.touch(domain)
  tell(world, domain, 'migratedIn', 'migrated')
}

export function createMigration(world: World): Pick<DomainDriver, 'acceptIncoming' | 'refuseIncoming' | 'migrate'> & { completeIncoming: NonNullable<DomainDriver['completeIncoming']> } {
  return {
    acceptIncoming: (uuid, settings, metadata, call) => command(world, 'acceptIncoming', call, () => {
      const { name, image, memoryMiB } = settings
      const other = [...world.domains.values()].find((domain) => domain.uuid === uuid || domain.settings.name === name)
      if (other !== undefined) throw RMO.NAME_TAKEN({ kind: 'VM', name: other.settings.name, host: world.host, uuid: other.uuid })
      world.incoming.delete(uuid)
      needMemory(world, name, memoryMiB)
      const known = [...world.pools.values()].flatMap(({ volumes }) => [...volumes.keys()]).filter(isImage).map((file) => file.slice(0, -IMAGE_SUFFIX.length))
      if (image !== undefined && !known.includes(image)) throw RMO.IMAGE_MISSING({ image, host: world.host, known })
      const missing = missingDisk(world, { ...settings, devices: settings.devices.filter((device) => device.type === 'disk' && !comesAlong(world, device)) })
      if (missing !== undefined) throw RMO.MIGRATION_REFUSED({ name, to: world.host, reason: `its disk ${missing} is not there; use a directory that both share` })
      const token = Buffer.from(world.random.bytes(16)).toString('hex')
      world.incoming.set(uuid, { token, settings: structuredClone(settings), metadata: structuredClone(metadata) })
      world.touch()
      return { driver: 'memory', uri: world.uri, token }
    }),
    refuseIncoming: (uuid, call) => command(world, 'refuseIncoming', call, () => {
      if (world.incoming.delete(uuid)) world.touch()
    }),
    migrate: (uuid, ticket, options, call) => command(world, 'migrate', call, async () => {
      const domain = idleDomainOf(world, uuid)
      const { name } = domain.settings
      if (ticket.driver !== 'memory') throw RMO.MIGRATION_REFUSED({ name, to: ticket.uri, reason: `a simulated VM cannot run on ${ticket.driver}` })
      options.onProgress?.({ phase: 'preparing', totalBytes: 0, doneBytes: 0, remainingBytes: 0, elapsedMs: 0 })
      await job(domain, 'migration', () => copy(world, domain, options, call))
      // What it was asked before or meanwhile is done first: it may have stopped.
      if (isActive(domain) && domain.due !== undefined) carryOut(world, domain)
      return letGo(world, domain)
    }),
    completeIncoming: (uuid, handover, call) => command(world, 'completeIncoming', call, () => arrive(world, uuid, handover)),
  }
}
