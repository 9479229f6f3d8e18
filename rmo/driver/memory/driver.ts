// The memory driver: a simulated host behind the driver contract (rmo/driver/contract.ts), for tests, research and
// machines without a hypervisor. What libvirt does with QEMU happens here to records, on real or virtual time.
//
//   createMemoryDriver -> World (world.ts) <- domains, snapshots, migration, storage, networks, faults
//
// Idle VMs cost nothing: no timer, counters are computed from the clock when read (guest.ts). Events are told in the
// next microtask, never from within the call that caused them; while disconnected they are lost, as on a real one.

import type { Clock, Random, Timer } from '../../../fabric/base.ts'
import { namedUuid } from '../../uuid.ts'
import type { VmSettings } from '../../settings.ts'
import type { DriverEvent, HypervisorDriver, Inventory } from '../contract.ts'
import { createCallGate } from './call-gate.ts'
import { begin, carryOut, createDomains, newGuest } from './domains.ts'
import { createFaults } from './faults.ts'
import type { MemoryFaults } from './faults.ts'
import { agedGuest, loadRatio, memoryUsedMiB } from './guest.ts'
import { createMigration } from './migration.ts'
import { createNetworks } from './networks.ts'
import { createSnapshots } from './snapshots.ts'
import { createStateFile } from './state-file.ts'
import type { StateFile } from './state-file.ts'
import { worldStats } from './stats.ts'
import { addPool, createStorage, IMAGE_SUFFIX, poolRecord, SHARED_ROOT, volumeFor } from './storage.ts'
import { command, domainRecord, snapshotRecords } from './world.ts'
import type { Capacity, Domain, MemoryLoad, Pool, World } from './world.ts'

export interface MemoryDriverOptions {
  /** Of the simulated host; its uuid and those of its pools and networks follow from it. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly uuid?: string
  /** Default: 8 cores, 16 GiB of memory, 100 GiB in each pool. */
  readonly capacity?: Capacity
  /** Until a guest is up and hears a shutdown; default 1,000. settings.simulate.bootMs of a VM comes first. */
  readonly bootMs?: number
  /** From the asking to the end; default 300. */
  readonly shutdownMs?: number
  /** How fast memory and disks are copied; default 2,000. */
  readonly copyMiBps?: number
  /** In the pool "images", which all simulated hosts share; default: guest, 64 MiB. */
  readonly images?: readonly { readonly name: string; readonly sizeMiB: number }[]
  /** File that keeps what there is over restarts of the node; default: none. */
  readonly state?: string
  /** Comes before what settings say of a VM's load; must not change its mind. */
  readonly load?: MemoryLoad
  /** Run from the start, for some time already, unless the state file knows better. */
  readonly guests?: readonly { readonly uuid: string; readonly settings: VmSettings }[]
}

export interface MemoryDriver extends HypervisorDriver {
  readonly name: 'memory'
  readonly faults: MemoryFaults
  readonly cores: number
  /** The host itself, as of now; no call, works also while disconnected. */
  figures(): HostFigures
}
export interface HostFigures { readonly cpuRatio: number; readonly running: number; readonly memoryTotalMiB: number; readonly memoryUsedMiB: number }

const CAPACITY: Capacity = { cores: 8, memoryMiB: 16_384, storageMiB: 102_400 }
const IMAGES = [{ name: 'guest', sizeMiB: 64 }]
/** Namespace of simulated uuids: the same name is the same host, pool and network everywhere. */
const NAMESPACE = '6b756d6f-6920-5369-8d75-6c6174656421'
const MiB = 1024 ** 2
/** How long the VMs of a fleet may have run when it is made: they are not in step. */
const GUEST_AGE_MS_MAX = 3_600_000

function addDefaults(world: World, images: NonNullable<MemoryDriverOptions['images']>): void {
  const pool = (name: string, path: string, owner: string): Pool => addPool(world, { uuid: namedUuid(owner, `pool/${name}`), name, path, autostart: true, active: true })
  pool('default', '/var/lib/simulated/default', world.uuid)
  pool('nfs', SHARED_ROOT, NAMESPACE)
  const shared = pool('images', `${SHARED_ROOT}/images`, NAMESPACE)
  for (const { name, sizeMiB } of images) {
    const file = `${name}${IMAGE_SUFFIX}`
    shared.volumes.set(file, volumeFor(shared, { name: file, format: 'qcow2', capacityBytes: sizeMiB * MiB, allocationBytes: sizeMiB * MiB }))
  }
  const uuid = namedUuid(world.uuid, 'network/default')
  world.networks.set(uuid, Object.freeze({ uuid, name: 'default', bridge: 'virbr0', active: true, autostart: true, persistent: true, forward: 'nat' as const, address: '192.168.122.1/24' }))
}

/** A VM that runs for some time already; settings are taken as they are. */
function addGuest(world: World, uuid: string, settings: VmSettings): void {
  const domain: Domain = { uuid, settings, metadata: {}, managed: true, state: 'stopped', reason: 'defined', snapshots: [], consoles: new Set() }
  world.domains.set(uuid, domain)
  begin(world, domain, agedGuest(newGuest(world, uuid, settings), world.random.int(GUEST_AGE_MS_MAX)), 'booted')
}

function inventoryOf(world: World): Inventory {
  const domains = [...world.domains.values()], pools = [...world.pools.values()]
  return {
    domains: domains.map(domainRecord), pools: pools.map((pool) => poolRecord(world, pool)),
    volumes: pools.flatMap((pool) => pool.active ? [...pool.volumes.values()] : []),
    networks: [...world.networks.values()], snapshots: domains.flatMap((domain) => domain.snapshots.length === 0 ? [] : snapshotRecords(domain)), failures: [],
  }
}

function figuresOf(world: World): HostFigures {
  const nowMs = world.clock.nowMs()
  let cpus = 0, running = 0, memory = 0
  for (const { guest } of world.domains.values()) {
    if (guest === undefined) continue
    running++
    cpus += guest.vcpus * loadRatio(guest, nowMs)
    memory += memoryUsedMiB(guest, nowMs) ?? guest.memoryMiB
  }
  return { cpuRatio: Math.min(1, cpus / world.capacity.cores), running, memoryTotalMiB: world.capacity.memoryMiB, memoryUsedMiB: Math.min(world.capacity.memoryMiB, memory) }
}

export function createMemoryDriver(options: MemoryDriverOptions): MemoryDriver {
  const { name, clock, random, capacity = CAPACITY, bootMs = 1_000, shutdownMs = 300, copyMiBps = 2_000, images = IMAGES, state } = options
  const uri = `memory:${name}`
  const gate = createCallGate({ uri, clock })
  const listeners = new Set<(event: DriverEvent) => void>()
  let untold: DriverEvent[] = []
  let opening: Promise<void> | undefined
  let nextDueMs = Infinity
  let timer: Timer | undefined

  const emit = (event: DriverEvent): void => {
    if (!gate.connected() && event.type !== 'connection') return
    untold.push(event)
    if (untold.length > 1) return
    queueMicrotask(() => {
      const events = untold
      untold = []
      for (const each of events) for (const listener of listeners) listener(each)
    })
  }
  const arm = (): void => {
    nextDueMs = Infinity
    for (const { due, guest } of world.domains.values()) if (due !== undefined && guest?.sinceMs !== undefined) nextDueMs = Math.min(nextDueMs, due.atMs)
    timer?.cancel()
    timer = nextDueMs === Infinity || !gate.connected() ? undefined : clock.after(nextDueMs - clock.nowMs(), ring, { background: true })
  }
  /** Timers of the system may ring a little early. */
  const ring = (): void => {
    settle()
    if (nextDueMs > clock.nowMs()) arm()
  }
  const settle = (): void => {
    const nowMs = clock.nowMs()
    if (nowMs < nextDueMs) return
    for (const domain of [...world.domains.values()]) if (domain.due !== undefined && domain.due.atMs <= nowMs) carryOut(world, domain)
    arm()
  }
  const world: World = {
    host: name, uuid: options.uuid ?? namedUuid(NAMESPACE, `host/${name}`), uri, clock, random, gate, capacity, bootMs, shutdownMs, copyMiBps, load: options.load,
    slowness: 1, domains: new Map(), incoming: new Map(), pools: new Map(), leftFiles: new Map(), networks: new Map(),
    emit, settle,
    touch(domain) {
      if (domain !== undefined) {
        domain.record = undefined
        if (domain.due !== undefined || nextDueMs !== Infinity) arm()
      }
      // Not before it was read: what is there would be lost.
      if (file === undefined || opening === undefined) return
      file.touch()
      // What no command waits for (a shutdown that ends, a fault) is kept as well; a command that waits says what failed.
      queueMicrotask(() => { file.written().catch(() => {}) })
    },
    written: () => file?.written() ?? Promise.resolve(),
  }
  const file: StateFile | undefined = state === undefined ? undefined : createStateFile(state, world)
  addDefaults(world, images)
  for (const { uuid, settings } of options.guests ?? []) addGuest(world, uuid, settings)

  const setConnected = (connected: boolean, reason: string): void => {
    if (gate.connected() === connected) return
    gate.setConnected(connected)
    emit({ type: 'connection', atMs: clock.wallMs(), connected, reason })
    settle()
    arm()
  }
  const facts = { uuid: world.uuid, hostname: name, hypervisor: 'simulated', version: '1', cores: capacity.cores, memoryBytes: capacity.memoryMiB * MiB, cpuModel: 'simulated' }
  return {
    name: 'memory', uri, cores: capacity.cores,
    async open() {
      await (opening ??= file?.load() ?? Promise.resolve())
      setConnected(true, 'connected')
    },
    async close() {
      setConnected(false, 'closed')
      for (const { consoles } of world.domains.values()) for (const console of consoles) console.hangUp('the driver was closed')
      await world.written()
    },
    get connected() { return gate.connected() },
    onEvent(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    facts: (call) => command(world, 'facts', call, () => facts),
    inventory: (call) => command(world, 'inventory', call, () => inventoryOf(world)),
    stats: (call) => command(world, 'stats', call, () => worldStats(world)),
    domains: { ...createDomains(world), ...createSnapshots(world), ...createMigration(world) },
    storage: createStorage(world),
    networks: createNetworks(world),
    faults: createFaults(world, setConnected),
    figures: () => figuresOf(world),
  }
}
