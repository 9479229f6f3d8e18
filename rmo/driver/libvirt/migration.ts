// Migration between libvirt hosts.
//
//   destination acceptIncoming -> ticket -> source migrate (its libvirtd talks to the destination's) -> runs there
//
// libvirt itself guards the switch (begin, prepare, perform, finish, confirm): the guest runs on exactly one side, and a
// failure before "finish" leaves it running at the source. What libvirt cannot know is whether both hosts see the same
// files: the destination says what it sees (inode and size, which shared storage shows alike), the source compares.

import { stat } from 'node:fs/promises'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { CodedError } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { VmSettings } from '../../settings.ts'
import type { Call, DomainRecord, MigrateOptions, MigrationProgress, MigrationTicket } from '../contract.ts'
import type { Calls } from './calls.ts'
import { ERROR } from './failure.ts'
import type { RawFacts } from './operations/connection.ts'
import type { JobProgress, MigrateArguments } from './operations/migration.ts'

export interface MigrationOptions {
  readonly calls: Calls
  /** How other hosts' libvirtd reach this one ("qemu+tls://HOST/system"); without it nothing comes in. */
  readonly migrationUri?: string
  /** Where QEMU's own stream goes ("tcp://HOST"); libvirt's choice when left out. */
  readonly transportUri?: string
}
export interface Migration {
  acceptIncoming(uuid: string, settings: VmSettings, call: Call): Promise<MigrationTicket>
  refuseIncoming(uuid: string, call: Call): Promise<void>
  migrate(uuid: string, ticket: MigrationTicket, options: MigrateOptions, call: Call): Promise<void>
  /** It has come (or was given up): what was reserved for it is free again. */
  release(uuid: string): void
}
/** A file as a host sees it; shared storage shows the same on both. */
interface SeenFile { readonly path: string; readonly inode: string; readonly bytes: number }

const MIB = 2 ** 20
const diskPaths = (settings: VmSettings): string[] =>
  settings.devices.flatMap((device) => device.type === 'disk' && device.path !== undefined ? [device.path] : [])

async function see(path: string): Promise<SeenFile | undefined> {
  try {
    const { ino, size } = await stat(path, { bigint: true })
    return { path, inode: String(ino), bytes: Number(size) }
  } catch {
    return undefined
  }
}

export function createMigration({ calls, migrationUri, transportUri }: MigrationOptions): Migration {
  /** Bytes of memory promised to guests on their way here; a promise ends with arrival, refusal, or its call's deadline twice over. */
  const promised = new Map<string, { readonly bytes: number; readonly untilMs: number }>()
  const { clock, uri } = calls

  function promisedBytes(): number {
    let sum = 0
    for (const [uuid, { bytes, untilMs }] of promised) {
      if (untilMs < clock.nowMs()) promised.delete(uuid)
      else sum += bytes
    }
    return sum
  }

  async function acceptIncoming(uuid: string, settings: VmSettings, call: Call): Promise<MigrationTicket> {
    const refuse = (reason: string): CodedError => RMO.MIGRATION_REFUSED({ name: settings.name, to: uri, reason })
    if (migrationUri === undefined) throw refuse('this host does not say how its libvirt is reached; start its node with "kumoi up --migration-uri qemu+tls://HOST/system"')
    const domains = await calls.call('domainList', {}, call) as readonly DomainRecord[]
    const same = domains.find((domain) => domain.uuid === uuid || domain.settings.name === settings.name)
    if (same !== undefined) throw RMO.NAME_TAKEN({ kind: 'VM', name: settings.name, host: uri, uuid: same.uuid })
    const paths = diskPaths(settings)
    const seen = await Promise.all(paths.map(see))
    const unseen = paths.filter((_, at) => seen[at] === undefined)
    if (unseen.length > 0) throw refuse(`it does not see ${unseen.join(', ')}; put the disks into a directory that both hosts share`)
    const bytes = settings.memoryMiB * MIB
    const { freeBytes } = await calls.call('connectionFacts', {}, call) as RawFacts
    const free = freeBytes - promisedBytes()
    if (free < bytes) throw RMO.NO_CAPACITY({ what: `VM ${settings.name}`, host: uri, wanted: `${settings.memoryMiB} MiB of memory`, free: `${Math.max(0, Math.floor(free / MIB))} MiB` })
    promised.set(uuid, { bytes, untilMs: clock.nowMs() + 2 * Math.max(call.remainingMs(), LIMITS.callTimeoutMs) })
    return { driver: 'libvirt', uri: migrationUri, ...(transportUri === undefined ? {} : { transportUri }), token: JSON.stringify(seen) }
  }

  async function refuseIncoming(uuid: string, call: Call): Promise<void> {
    promised.delete(uuid)
    await calls.call('domainDiscard', { uuid }, call)
  }

  async function migrate(uuid: string, ticket: MigrationTicket, options: MigrateOptions, call: Call): Promise<void> {
    const to = ticket.uri
    const source = await calls.call('domainGet', { uuid }, call) as DomainRecord | undefined
    if (source === undefined) throw RMO.GONE({ kind: 'VM', name: uuid, reason: 'this host does not have it' })
    const { name } = source.settings
    if (ticket.driver !== 'libvirt') throw RMO.MIGRATION_REFUSED({ name, to, reason: `it is run by another driver (${ticket.driver})` })
    const other = await differentFile(ticket)
    if (other !== undefined) throw RMO.MIGRATION_REFUSED({ name, to, reason: `${other} there is another file than here; the disks must be in a directory that both hosts share` })
    const args: MigrateArguments = {
      uuid, uri: to, live: options.live, sharedDisks: true,
      ...(ticket.transportUri === undefined ? {} : { transportUri: ticket.transportUri }),
      ...(options.bandwidthMiBps === undefined ? {} : { bandwidthMiBps: options.bandwidthMiBps }),
    }
    // Cancelling goes to the job, not to the call that waits for it: only libvirt knows on which side the guest is then.
    const steady: Call = { remainingMs: () => call.remainingMs() }
    let phase: MigrationProgress['phase'] = 'preparing'
    let cancelled = false
    const cancel = (): void => {
      cancelled = true
      calls.call('domainAbort', { uuid }, { remainingMs: () => LIMITS.libvirtCallTimeoutMs }).catch(() => undefined)
    }
    const done = new AbortController()
    const progress = follow(uuid, options, done.signal, (at) => {
      phase = at
      // Asked for before the job began, it had nothing to end.
      if (cancelled) cancel()
    })
    call.signal?.addEventListener('abort', cancel, { once: true })
    try {
      if (call.signal?.aborted === true) throw RMO.MIGRATION_FAILED({ name, to, phase, reason: 'it was cancelled', left: 'It still runs here.' })
      await calls.call('domainMigrate', args, steady)
    } catch (error) {
      throw await explain(error, { uuid, name, to, phase, cancelled })
    } finally {
      done.abort()
      call.signal?.removeEventListener('abort', cancel)
      await progress
    }
  }

  /** Path of a disk that is not the same file on both hosts. */
  async function differentFile(ticket: MigrationTicket): Promise<string | undefined> {
    for (const there of JSON.parse(ticket.token ?? '[]') as readonly SeenFile[]) {
      const here = await see(there.path)
      if (here !== undefined && (here.inode !== there.inode || here.bytes !== there.bytes)) return there.path
    }
    return undefined
  }

  /** Reports progress until `done`; a figure that cannot be read is left out. */
  async function follow(uuid: string, options: MigrateOptions, done: AbortSignal, onPhase: (phase: MigrationProgress['phase']) => void): Promise<void> {
    const short: Call = { remainingMs: () => LIMITS.libvirtCallTimeoutMs }
    let downtimeMs = options.downtimeMsMax
    let copied = false
    while (!done.aborted) {
      const job = await calls.call('domainProgress', { uuid }, short).catch(() => undefined) as JobProgress | undefined
      // After its end the job counts from nothing again.
      if (job !== undefined && !done.aborted && !(copied && job.totalBytes === 0)) {
        if (downtimeMs !== undefined && job.totalBytes > 0) {
          await calls.call('domainSetDowntime', { uuid, downtimeMs }, short).catch(() => undefined)
          downtimeMs = undefined
        }
        copied ||= job.totalBytes > 0
        const phase = !copied ? 'preparing' : job.remainingBytes > 0 ? 'copying' : 'switching'
        onPhase(phase)
        options.onProgress?.({ phase, ...job })
      }
      await new Promise<void>((resolve) => {
        const timer = clock.after(LIMITS.libvirtProgressMs, resolve, { background: true })
        done.addEventListener('abort', () => { timer.cancel(); resolve() }, { once: true })
      })
    }
  }

  interface Failed { readonly uuid: string; readonly name: string; readonly to: string; readonly phase: string; readonly cancelled: boolean }
  /** What went wrong, and above all: where the guest is now. */
  async function explain(error: unknown, { uuid, name, to, phase, cancelled }: Failed): Promise<unknown> {
    const code = errorCode(error)
    if (code === RMO.STATE_INVALID.code || code === RMO.GONE.code || code === RMO.MIGRATION_FAILED.code) return error
    const details = (error as CodedError).details as { readonly number?: number; readonly text?: string } | undefined
    const short: Call = { remainingMs: () => LIMITS.libvirtCallTimeoutMs }
    const now = await calls.call('domainGet', { uuid }, short).catch(() => 'unknown') as DomainRecord | undefined | 'unknown'
    const left = now === 'unknown' ? 'Where it runs is not known: look at both hosts.'
      : now === undefined ? 'It is no longer here: look at the destination.'
      : `It is still here, ${now.state}.`
    const reason = cancelled && details?.number === ERROR.aborted ? 'it was cancelled' : details?.text ?? (error instanceof Error ? error.message : String(error))
    return RMO.MIGRATION_FAILED({ ...details, name, to, phase, reason, left }, { cause: error, outcome: now === 'unknown' || now === undefined ? 'unknown' : 'failed' })
  }

  return { acceptIncoming, refuseIncoming, migrate, release: (uuid) => { promised.delete(uuid) } }
}
