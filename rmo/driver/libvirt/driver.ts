// The libvirt driver: HypervisorDriver over libvirt.so.0, composed of its parts.
//
//   connection (heals) + threads (bounded) -> calls -> domains, storage, networks, consoles, migration
//   event thread -> DriverEvents, stamped here
//
// Loaded by dynamic import (rmo/mod.ts), and koffi only inside its threads: a node without libvirt never touches either.

import type { Clock, Random } from '../../../fabric/base.ts'
import type { Call, DomainRecord, DomainStats, DriverEvent, HostFacts, HypervisorDriver, Inventory, NetworkRecord, PoolRecord, SnapshotRecord, VolumeRecord } from '../contract.ts'
import { namedUuid } from '../../uuid.ts'
import { createCalls } from './calls.ts'
import { createConnection } from './connection.ts'
import { createConsoles } from './console.ts'
import { isActive } from './domain-state.ts'
import { createLibvirtDomains } from './domains.ts'
import { createIncoming } from './incoming.ts'
import { createMigration } from './migration.ts'
import { createLibvirtNetworks } from './networks.ts'
import type { RawFacts } from './operations/connection.ts'
import { createLibvirtStorage } from './storage.ts'
import { createThreads } from './threads.ts'
import { readCapabilities } from './xml/capabilities.ts'
import type { DomainFlavour } from './xml/domain.ts'

export interface LibvirtDriverOptions {
  /** "qemu:///system", "qemu:///system?socket=PATH", "test:///default", "qemu+tls://HOST/system", ... */
  readonly uri: string
  readonly clock: Clock
  readonly random: Random
  /** How other hosts' libvirtd reach this one; without it no VM can migrate here. */
  readonly migrationUri?: string
  /** Where the guest's memory is sent to ("tcp://HOST"). */
  readonly transportUri?: string
  /** Where libvirtd writes NAME.pid of each guest; default /run/libvirt/qemu for qemu:///system, else none: deaths of emulators are told when libvirt tells them. */
  readonly stateDirectory?: string
  /** Threads that wait in libvirt; default LIMITS.libvirtThreadsMax. */
  readonly threads?: number
}

/** libvirt's version number: major * 1,000,000 + minor * 1,000 + release. */
const versionText = (version: number): string => `${Math.floor(version / 1e6)}.${Math.floor(version / 1e3) % 1e3}.${version % 1e3}`
/** A hypervisor that has no uuid (test:///) gets one of its URI and host name. */
const NO_UUID = '00000000-0000-0000-0000-000000000000'
const ROOMS = 5
const STATE_DIRECTORY = '/run/libvirt/qemu'
/** Emulators of this machine, started by the system's libvirtd. */
const LOCAL_SYSTEM = /^qemu:\/\/\/system(\?|$)/
const HYPERVISORS: Readonly<Record<string, string>> = { QEMU: 'qemu', TEST: 'test', Xen: 'xen', LXC: 'lxc' }

export function createLibvirtDriver(options: LibvirtDriverOptions): HypervisorDriver {
  const { uri, clock, random } = options
  const threads = createThreads({ clock, ...(options.threads === undefined ? {} : { threads: options.threads }) })
  const calls = createCalls({ uri, clock, threads })
  const listeners = new Set<(event: DriverEvent) => void>()
  const emit = (event: DriverEvent): void => { for (const listener of [...listeners]) listener(event) }
  const onEvent = (listener: (event: DriverEvent) => void): (() => void) => {
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }
  const migration = createMigration({ calls, ...(options.migrationUri === undefined ? {} : { migrationUri: options.migrationUri }), ...(options.transportUri === undefined ? {} : { transportUri: options.transportUri }) })
  /** Of this connection; another daemon may answer after the next. */
  let flavour: Promise<DomainFlavour> | undefined

  const incoming = createIncoming()
  const connection = createConnection({
    calls, clock, random, stateDirectory: options.stateDirectory ?? (LOCAL_SYSTEM.test(uri) ? STATE_DIRECTORY : undefined),
    onEvent(raw) {
      const seen = incoming.see(raw)
      if (seen === undefined) return
      const event = { ...seen, atMs: clock.wallMs() }
      if (event.type === 'domain' && event.event === 'migratedIn') migration.release(event.uuid)
      emit(event)
    },
    onState(connected, reason) {
      flavour = undefined
      incoming.forget()
      if (!connected) consoles.closeAll(reason)
      emit({ type: 'connection', atMs: clock.wallMs(), connected, reason })
    },
  })
  const consoles = createConsoles(calls, () => connection.events)
  const facts = async (call: Call): Promise<RawFacts> => await calls.call('connectionFacts', {}, call) as RawFacts

  function currentFlavour(call: Call): Promise<DomainFlavour> {
    const found = flavour ?? calls.call('connectionFlavour', {}, call) as Promise<DomainFlavour>
    flavour = found
    found.catch(() => { if (flavour === found) flavour = undefined })
    return found
  }

  /** Rooms are read side by side; one that fails leaves the others readable. */
  async function inventory(call: Call): Promise<Inventory> {
    const failures: { room: Inventory['failures'][number]['room']; error: Error }[] = []
    const read = async <T>(room: Inventory['failures'][number]['room'], name: string): Promise<readonly T[]> => {
      try {
        return await calls.call(name, {}, call) as readonly T[]
      } catch (error) {
        failures.push({ room, error: error instanceof Error ? error : new Error(String(error)) })
        return []
      }
    }
    const [domains, pools, volumes, networks, snapshots] = await Promise.all([
      read<DomainRecord>('domains', 'domainList'), read<PoolRecord>('pools', 'poolList'), read<VolumeRecord>('volumes', 'volumeList'),
      read<NetworkRecord>('networks', 'networkList'), read<SnapshotRecord>('snapshots', 'snapshotList'),
    ])
    // Nothing could be read: that is no inventory, but a hypervisor that is not there.
    if (failures.length === ROOMS) throw failures[0]?.error
    connection.running(domains.flatMap(({ uuid, state, settings: { name } }) => isActive(state) ? [{ uuid, name }] : []))
    return { domains, pools, volumes, networks, snapshots, failures }
  }

  return {
    name: 'libvirt', uri,
    open: () => connection.open(),
    async close() {
      consoles.closeAll('the driver was closed')
      await connection.close()
      await threads.close()
      listeners.clear()
    },
    get connected() { return connection.connected },
    onEvent,
    async facts(call): Promise<HostFacts> {
      const raw = await facts(call)
      const host = readCapabilities(raw.capabilities)
      return {
        uuid: host.uuid === '' ? namedUuid(NO_UUID, `${uri} ${raw.hostname}`) : host.uuid, hostname: raw.hostname, hypervisor: HYPERVISORS[raw.type] ?? raw.type.toLowerCase(), version: versionText(raw.version),
        cores: raw.cores, memoryBytes: raw.memoryBytes, ...(host.cpuModel === undefined ? {} : { cpuModel: host.cpuModel }),
      }
    },
    inventory,
    stats: async (call) => await calls.call('domainStats', {}, call) as readonly DomainStats[],
    domains: createLibvirtDomains({ calls, consoles, migration, flavour: currentFlavour, onEvent }),
    storage: createLibvirtStorage(calls),
    networks: createLibvirtNetworks(calls),
  }
}
