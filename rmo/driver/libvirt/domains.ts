// DomainDriver over libvirt: each method is one operation in a thread; what needs waiting (detach) waits here.

import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call, DomainDriver, DomainRecord, DriverEvent, SnapshotRecord } from '../contract.ts'
import type { Calls } from './calls.ts'
import type { Consoles } from './console.ts'
import type { Migration } from './migration.ts'
import type { DomainFlavour } from './xml/domain.ts'

export interface DomainsOptions {
  readonly calls: Calls
  readonly consoles: Consoles
  readonly migration: Migration
  /** How new domains run here. */
  flavour(call: Call): Promise<DomainFlavour>
  onEvent(listener: (event: DriverEvent) => void): () => void
}

export function createLibvirtDomains({ calls, consoles, migration, flavour, onEvent }: DomainsOptions): DomainDriver {
  const run = async (name: string, args: object, call: Call): Promise<void> => { await calls.call(name, args, call) }

  /** A guest lets go of a device when it likes; libvirt tells by event. */
  async function detached(uuid: string, device: unknown, call: Call): Promise<void> {
    const timeoutMs = call.remainingMs()
    for (;;) {
      const changed = nextChange(uuid, call)
      try {
        if (await calls.call('domainHasDevice', { uuid, device }, call) === false) return
        if (!await changed.happened) throw RMO.DRIVER_TIMEOUT({ uri: calls.uri, operation: 'detach (the guest has not let go of the device)', timeoutMs })
      } finally {
        changed.stop()
      }
    }
  }

  function nextChange(uuid: string, call: Call): { readonly happened: Promise<boolean>; stop(): void } {
    let stop = (): void => undefined
    const happened = new Promise<boolean>((resolve) => {
      const off = onEvent((event) => {
        if (!('uuid' in event) || event.uuid !== uuid) return
        if (event.type === 'domain' || (event.type === 'domain-signal' && (event.event === 'deviceRemoved' || event.event === 'deviceRemovalFailed'))) resolve(true)
      })
      const timer = calls.clock.after(Math.max(0, Math.min(call.remainingMs(), LIMITS.libvirtDetachTimeoutMs)), () => resolve(false), { background: true })
      const onAbort = (): void => resolve(false)
      call.signal?.addEventListener('abort', onAbort, { once: true })
      stop = () => { off(); timer.cancel(); call.signal?.removeEventListener('abort', onAbort); resolve(false) }
    })
    return { happened, stop: () => stop() }
  }

  return {
    async define(uuid, settings, metadata, call) {
      const args = { uuid, name: settings.name, settings, metadata, flavour: await flavour(call) }
      return await calls.call('domainDefine', args, call) as DomainRecord
    },
    undefine: (uuid, call) => run('domainUndefine', { uuid }, call),
    start: (uuid, options, call) => run('domainStart', { uuid, paused: options.paused === true }, call),
    shutdown: (uuid, call) => run('domainShutdown', { uuid }, call),
    reboot: (uuid, call) => run('domainReboot', { uuid }, call),
    destroy: (uuid, call) => run('domainDestroy', { uuid }, call),
    suspend: (uuid, call) => run('domainSuspend', { uuid }, call),
    resume: (uuid, call) => run('domainResume', { uuid }, call),
    save: (uuid, call) => run('domainSave', { uuid }, call),
    attach: (uuid, device, call) => run('domainAttach', { uuid, device }, call),
    async detach(uuid, device, call) {
      const gone = await calls.call('domainDetach', { uuid, device }, call)
      if (gone !== true) await detached(uuid, device, call)
    },
    setAutostart: (uuid, autostart, call) => run('domainSetAutostart', { uuid, autostart }, call),
    get: async (uuid, call) => await calls.call('domainGet', { uuid }, call) as DomainRecord | undefined,
    describe: async (uuid, call) => await calls.call('domainDescribe', { uuid }, call) as string,
    openConsole: (uuid, call) => consoles.open(uuid, call),
    acceptIncoming: (uuid, settings, _metadata, call) => migration.acceptIncoming(uuid, settings, call),
    refuseIncoming: (uuid, call) => migration.refuseIncoming(uuid, call),
    migrate: (uuid, ticket, options, call) => migration.migrate(uuid, ticket, options, call),
    createSnapshot: async (uuid, snapshot, call) => await calls.call('snapshotCreate', { uuid, snapshot }, call, { kind: 'Snapshot', name: snapshot.name }) as SnapshotRecord,
    async revertSnapshot(uuid, name, call) { await calls.call('snapshotRevert', { uuid, snapshot: name }, call, { kind: 'Snapshot', name }) },
    async deleteSnapshot(uuid, name, call) { await calls.call('snapshotDelete', { uuid, snapshot: name }, call, { kind: 'Snapshot', name }) },
  }
}
