// The host: one hypervisor's resources as objects of this node. Opens the driver in the background, reads the inventory
// and the figures, and keeps the rooms equal to what there is.
//
//   connection, event, own change, timer --readings.ts--> driver.inventory --> rooms.sync --> objects, events
//   timer --> driver.stats (one call for all VMs) --> rooms.onStats
//
// A node starts at once, with or without a hypervisor: until it is there the VMM is 'disconnected' and every driver call
// fails at once (guard.ts). Stopping the host leaves guests running; starting it finds them again.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { LocalStore, Log, RpcRegistry } from '../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { Call, DriverEvent, HostFacts, HypervisorDriver, Inventory } from '../driver/contract.ts'
import { RMO } from '../errors.ts'
import type { LocalObjects, ObjectEvent } from '../object.ts'
import type { KindRegistry } from '../registry.ts'
import { vmmUuidOf } from '../uuid.ts'
import { isActive } from '../vm-state.ts'
import { textOf } from './all-or-nothing.ts'
import type { HostContext, HostRoom, VmGuard } from './contract.ts'
import { createExclusive } from './exclusive.ts'
import { guardDriver } from './guard.ts'
import { createHub } from './hub.ts'
import { createMigrations } from './migration/migration.ts'
import { serveMigrations } from './migration/migration-service.ts'
import type { HostMigrations } from './migration/migration.ts'
import { createNumbers } from './numbers.ts'
import { createOwnObjects } from './own-objects.ts'
import type { HostParts, HostPeers, MakeParts } from './parts.ts'
import { createReadings } from './readings.ts'
import { createPlacement } from './vm/placement.ts'
import type { Placement } from './vm/placement.ts'
import { createRemovals } from './vm/removals.ts'
import type { VmContext, VmRoom } from './vm/vm-context.ts'
import { createVmRoom } from './vm/vm-room.ts'
import { createVmRules } from './vm/vm-rules.ts'
import type { RulesLedger } from './vm/vm-rules.ts'
import { finishRemovals } from './vm/vm-add.ts'
import { createVmm } from './vm/vmm.ts'
import type { HostVmm } from './vm/vmm.ts'

export interface HostOptions {
  readonly self: NodeId
  /** Of the PhysicalMachine that this host is. */
  readonly machineUuid: string
  hostName(): string
  readonly driver: HypervisorDriver
  readonly objects: LocalObjects
  readonly kinds: Pick<KindRegistry, 'kindOf'>
  readonly clock: Clock
  readonly random: Random
  readonly directory: string
  /** Durable notes of migrations; lmdb on a node, memory in simulation. */
  readonly store: Pick<LocalStore, 'get' | 'range' | 'write'>
  readonly peers: HostPeers
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Storage, networks, switches. */
  readonly parts?: MakeParts
  /** Keeps access rules, which go with a VM that migrates. */
  readonly ledger?: RulesLedger
  /** The gate's answer for VMs that migrate here; default: whoever the source's gate let through. */
  admit?(authority: Authority): Promise<void>
  /** Has a say about what is set going, and hears of users' verbs. */
  readonly guard?: VmGuard
  /** libvirt URI under which other hosts reach this one. */
  readonly migrationUri?: string
  /** 'asked': figures are read by sample() only, and the inventory after events only (simulation, where nothing is ever missed). */
  readonly readings?: 'timed' | 'asked'
  /** What a VM shows is no longer what it was; told before anybody reads it (simulation). */
  readonly changed?: () => void
}

export interface Host extends HostContext {
  readonly vmm: HostVmm
  readonly vms: VmRoom
  readonly migrations: HostMigrations
  /** VMs that the cloud has placed here. */
  readonly placement: Placement
  /** Resolves after the first inventory; never when the hypervisor never comes. */
  readonly ready: Promise<void>
  /** Reads the figures of its VMs now. 'silent': as the beginning of a window only. */
  sample(how?: 'shown' | 'silent'): Promise<void>
  /** Serves what other nodes ask of this host (incoming migrations). */
  serve(registry: Pick<RpcRegistry, 'method'>): void
  /** Lets go of the hypervisor; guests go on. Idempotent. */
  stop(): Promise<void>
}

const NOTHING: Inventory = Object.freeze({ domains: [], pools: [], volumes: [], networks: [], snapshots: [], failures: [] })

export function createHost(options: HostOptions): Host {
  const { self, machineUuid, hostName, kinds, clock, random, directory, log, peers } = options
  const objects = createOwnObjects(options.objects)
  const driver = guardDriver(options.driver, clock)
  const vmmUuid = vmmUuidOf(machineUuid)
  const numbers = createNumbers()
  const ready = Promise.withResolvers<void>()
  const hub = createHub((error) => log.warn('a watcher failed', { reason: textOf(error) }))
  let inventory = NOTHING
  let facts: HostFacts | undefined
  let parts: HostParts = {}
  let stopped = false

  const ownCall = (timeoutMs: number): Call => {
    const endsAtMs = clock.nowMs() + timeoutMs
    return { remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
  }
  const reference = (kindName: string, uuid: string): ReferenceRecord => {
    const object = objects.get(kindName, uuid)
    if (object === undefined) throw RMO.OBJECT_UNKNOWN({ kind: kindName, uuid, node: hostName() })
    const attributes = kinds.kindOf(kindName).observe(object.local)
    return { kind: kindName, uuid, home: self, name: String(attributes.name), attributes }
  }
  const eachRoom = (what: string, work: (room: HostRoom) => void): void => {
    for (const room of rooms) {
      try { work(room) } catch (error) { log.warn(`a room of the host failed: ${what}`, { reason: textOf(error) }) }
    }
  }

  const read = async (): Promise<void> => {
    if (!driver.connected) throw RMO.DRIVER_UNAVAILABLE({ uri: driver.uri, reason: 'the connection is down' })
    facts ??= await driver.facts(ownCall(LIMITS.hostReadTimeoutMs))
    const readFrom = numbers.now()
    const fresh = await driver.inventory(ownCall(LIMITS.hostReadTimeoutMs))
    if (stopped) return
    inventory = fresh
    for (const { room, error } of fresh.failures) log.warn('a part of the inventory could not be read', { room, reason: error.message })
    eachRoom('sync', (room) => room.sync(fresh, readFrom))
    vmm.touch()
    ready.resolve()
  }
  const readings = createReadings({ clock, read, intervalMs: options.readings === 'asked' ? Infinity : LIMITS.hostResyncMs })

  // Events and changes of our own are newer than the last reading: whoever decides by the inventory sees them.
  let merged: { readonly of: Inventory; readonly number: number; readonly inventory: Inventory } | undefined
  const asOfNow = (): Inventory => {
    if (merged?.of === inventory && merged.number === numbers.now()) return merged.inventory
    const coming = inventory.domains.filter(({ uuid }) => vms.get(uuid) === undefined && migrations.expectsUuid(uuid))
    merged = { of: inventory, number: numbers.now(), inventory: { ...inventory, domains: [...vms.list().map((vm) => vm.record), ...coming] } }
    return merged.inventory
  }

  const context: HostContext = {
    self, machineUuid, hostName, driver, objects, clock, random, directory,
    inventory: asOfNow,
    facts: () => facts,
    connected: () => driver.connected,
    resync: () => readings.now(),
    exclusive: createExclusive(hostName),
    publish: (kind, uuid, event) => hub.publish(kind, uuid, event),
    subscribe: (kind, uuid, listener) => hub.subscribe(kind, uuid, listener),
    reference, changed: options.changed,
    call: ({ signal, remainingMs }) => ({ signal, remainingMs: () => remainingMs() }),
    holder: async (kind, uuid, authority) => peers.holder?.(kind, uuid, authority),
  }
  const vmContext: VmContext = { host: context, get room() { return vms }, vmmUuid, peers, parts: () => parts, migrations: () => migrations, removals: createRemovals(options.store, machineUuid), rules: createVmRules(options.ledger), guard: options.guard, ownCall, admit: async (authority) => options.admit?.(authority) }
  const vms: VmRoom = createVmRoom({ context: vmContext, numbers, later: (delayMs) => readings.later(delayMs) })
  const migrations = createMigrations({ context: vmContext, store: options.store, log })
  const vmm = createVmm(vmContext, options.migrationUri === undefined ? {} : { migrationUri: options.migrationUri })
  parts = options.parts?.(context) ?? {}
  const rooms: readonly HostRoom[] = [vms, ...parts.rooms ?? []]
  objects.add({ kind: 'VMM', uuid: vmmUuid, local: vmm, partOf: () => ({ kind: 'PhysicalMachine', uuid: machineUuid }) })

  const connection = ({ connected, reason, atMs }: Extract<DriverEvent, { readonly type: 'connection' }>): void => {
    log.info(connected ? 'the hypervisor is there' : 'the hypervisor went away', { uri: driver.uri, reason })
    // Another hypervisor may answer at the same place.
    if (connected) facts = undefined
    context.publish('VMM', vmmUuid, { type: connected ? 'connected' : 'disconnected', atMs: Math.round(atMs), reason } as ObjectEvent)
  }
  const stopEvents = driver.onEvent((event) => {
    if (stopped) return
    numbers.next()
    if (event.type === 'connection') connection(event)
    eachRoom('event', (room) => room.onEvent?.(event))
    vmm.touch()
    readings.later(LIMITS.hostCoalesceMs)
  })

  let sampling = false
  const sample = async (how: 'shown' | 'silent' = 'shown'): Promise<void> => {
    if (sampling || !driver.connected || !vms.list().some((vm) => isActive(vm.record.state))) return
    sampling = true
    try {
      const stats = await driver.stats(ownCall(LIMITS.hostReadTimeoutMs))
      const atMs = clock.nowMs()
      if (!stopped) eachRoom('stats', (room) => room.onStats?.(stats, atMs, how))
    } catch (error) {
      log.warn('figures of the VMs could not be read', { reason: textOf(error) })
    } finally { sampling = false }
  }
  let timer = options.readings === 'asked' ? undefined : clock.after(LIMITS.hostSampleMs, tick, { background: true })
  function tick(): void {
    void sample()
    timer = clock.after(LIMITS.hostSampleMs, tick, { background: true })
  }

  void options.driver.open().then(
    () => { if (!stopped) readings.later(0) },
    (error: unknown) => log.warn('the hypervisor cannot be used', { uri: driver.uri, reason: textOf(error) }))
  void ready.promise.then(() => {
    if (stopped) return
    migrations.recover()
    void finishRemovals(vmContext, log)
  })

  let stopping: Promise<void> | undefined
  const host: Host = Object.assign(context, {
    vmm, vms, migrations, placement: createPlacement(vmContext), ready: ready.promise, sample,
    serve: (registry: Pick<RpcRegistry, 'method'>) => serveMigrations(registry, [host]),
    stop: (): Promise<void> => stopping ??= (async () => {
      stopped = true
      timer?.cancel()
      readings.stop()
      migrations.stop()
      stopEvents()
      eachRoom('stop', (room) => room.stop?.())
      await options.driver.close()
    })(),
  })
  return host
}
