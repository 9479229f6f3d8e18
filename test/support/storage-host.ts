// A host with nothing but storage and networks, for tests: a HostContext over an object table.
//
// createDirectoryDriver is a hypervisor as far as storage sees it: its pools are directories, its volumes the files that
// were there at the last refresh (as libvirt's), and domains are set by the test.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock, systemRandom } from '../../fabric/base.ts'
import type { Call, DomainRecord, HypervisorDriver, Inventory, PoolRecord, StorageDriver, VolumeRecord } from '../../rmo/driver/contract.ts'
import type { HostContext } from '../../rmo/host/contract.ts'
import { probeFile } from '../../rmo/host/storage/disk-files.ts'
import { createExclusive } from '../../rmo/host/exclusive.ts'
import { createHub } from '../../rmo/host/hub.ts'
import { createNetworkRoom } from '../../rmo/host/network/network-room.ts'
import type { NetworkRoom } from '../../rmo/host/network/network-room.ts'
import { createStorageRoom } from '../../rmo/host/storage/storage-room.ts'
import type { StorageRoom } from '../../rmo/host/storage/storage-room.ts'
import { RMO, createLocalObjects, rmoKinds } from '../../rmo/mod.ts'
import type { LocalObjects, ObjectEvent } from '../../rmo/mod.ts'
import { namedUuid } from '../../rmo/uuid.ts'

/** Why a test that needs these programs is skipped; false when all are here. */
export async function absent(...tools: readonly string[]): Promise<string | false> {
  for (const tool of tools) {
    const found = await promisify(execFile)(tool, ['--version']).then(() => true, (error: { code?: unknown }) => error.code !== 'ENOENT')
    if (!found) return `absent: ${tool}`
  }
  return false
}

export const call: Call = { remainingMs: () => 30_000 }
const NAMESPACE = '6b756d6f-6920-8000-8000-000000000001'

export interface DirectoryDriver extends HypervisorDriver { domains_: DomainRecord[] }

const refused = async (): Promise<never> => { throw new Error('not in this test') }

/** Pools by name -> directory, started. */
export function createDirectoryDriver(directories: Readonly<Record<string, string>>): DirectoryDriver {
  const pools = new Map<string, { name: string; path: string; active: boolean; autostart: boolean; volumes: VolumeRecord[] }>()
  for (const [name, path] of Object.entries(directories)) pools.set(namedUuid(NAMESPACE, path), { name, path, active: true, autostart: true, volumes: [] })
  const poolOf = (key: string) => {
    const found = pools.get(key) ?? [...pools.values()].find(({ name }) => name === key)
    if (found === undefined) throw new Error(`no pool ${key}`)
    return found
  }
  const recordOf = ([uuid, { name, path, active, autostart }]: [string, ReturnType<typeof poolOf>]): PoolRecord =>
    ({ uuid, name, type: 'dir', path, active, autostart, capacityBytes: 1e9, allocationBytes: 0, availableBytes: 1e9 })
  const refresh = async (key: string): Promise<void> => {
    const pool = poolOf(key)
    const uuid = [...pools].find(([, each]) => each === pool)?.[0] ?? ''
    const found: VolumeRecord[] = []
    for (const name of await readdir(pool.path)) {
      const path = join(pool.path, name)
      const facts = await probeFile(path).catch(() => undefined)
      if (facts === undefined) continue
      found.push({
        uuid: namedUuid(uuid, name), pool: pool.name, name, path, format: facts.format, capacityBytes: facts.capacityBytes, allocationBytes: (await stat(path)).blocks * 512,
        ...(facts.backing === undefined ? {} : { backingPath: facts.backing.path }),
      })
    }
    pool.volumes = found
  }
  const storage: StorageDriver = {
    async definePool({ uuid, name, path, autostart }) {
      const own = uuid ?? namedUuid(NAMESPACE, path)
      const pool = { name, path, active: false, autostart, volumes: [] }
      pools.set(own, pool)
      return recordOf([own, pool])
    },
    async startPool(uuid) { poolOf(uuid).active = true; await refresh(uuid) },
    async stopPool(uuid) { poolOf(uuid).active = false },
    async undefinePool(uuid) { pools.delete(uuid) },
    refreshPool: refresh,
    async setAutostart(uuid, autostart) { poolOf(uuid).autostart = autostart },
    createVolume: refused, copyVolume: refused, resizeVolume: refused, deleteVolume: refused, uploadVolume: refused,
  }
  const driver: DirectoryDriver = {
    name: 'libvirt', uri: 'test:directories', domains_: [], connected: true,
    open: async () => {}, close: async () => {}, onEvent: () => () => {}, facts: refused, stats: async () => [],
    domains: {} as HypervisorDriver['domains'], networks: {} as HypervisorDriver['networks'], storage,
    inventory: async () => ({
      domains: driver.domains_, pools: [...pools].map(recordOf), volumes: [...pools.values()].flatMap(({ active, volumes }) => active ? volumes : []),
      networks: [], snapshots: [], failures: [],
    }),
  }
  return driver
}

export interface StorageHost {
  readonly context: HostContext
  readonly storage: StorageRoom
  readonly networks: NetworkRoom
  readonly objects: LocalObjects
  readonly events: { readonly kind: string; readonly uuid: string; readonly event: ObjectEvent }[]
  resync(): Promise<void>
  close(): void
}

export async function openStorageHost(driver: HypervisorDriver, { hostName = 'alpha', machineUuid = 'aaaaaaaa-0000-8000-8000-000000000001', directory = tmpdir() }: { readonly hostName?: string; readonly machineUuid?: string; readonly directory?: string } = {}): Promise<StorageHost> {
  const objects = createLocalObjects({ forwardsMax: 16 })
  const self = '01'.repeat(32)
  const hub = createHub((error) => { throw error })
  const events: StorageHost['events'] = []
  let inventory: Inventory = { domains: [], pools: [], volumes: [], networks: [], snapshots: [], failures: [] }
  const resync = async (): Promise<void> => {
    inventory = await driver.inventory(call)
    storage.sync(inventory, 0)
    networks.sync(inventory, 0)
  }
  const context: HostContext = {
    self, machineUuid, hostName: () => hostName, driver, objects, clock: systemClock, random: systemRandom, directory, resync,
    inventory: () => inventory,
    facts: () => undefined,
    connected: () => true,
    exclusive: createExclusive(() => hostName),
    publish(kind, uuid, event) { events.push({ kind, uuid, event }); hub.publish(kind, uuid, event) },
    subscribe: (kind, uuid, listener) => hub.subscribe(kind, uuid, listener),
    reference(kind, uuid) {
      const object = objects.get(kind, uuid)
      if (object === undefined) throw RMO.OBJECT_UNKNOWN({ kind, uuid, node: hostName })
      const attributes = rmoKinds.kindOf(kind).observe(object.local)
      return { kind, uuid, home: self, name: String(attributes['name']), attributes }
    },
    call: ({ signal, remainingMs }) => ({ signal, remainingMs }),
  }
  const storage = createStorageRoom(context)
  const networks = createNetworkRoom(context)
  for (const pool of (await driver.inventory(call)).pools) if (pool.active) await driver.storage.refreshPool(pool.uuid, call)
  await resync()
  return { context, storage, networks, objects, events, resync, close: () => storage.stop() }
}

/** A directory of this test's own, removed after it. */
export async function scratch(t: { teardown(work: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kumoi-storage-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}
