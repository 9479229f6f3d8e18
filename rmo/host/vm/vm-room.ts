// The room of the VMs and their snapshots: one local object a domain, made, changed and removed as the domain is.
//
//   driver event --> told at once           reading --> compared with what was told; what events missed is told now
//
// Numbers decide what is newer: each event and each change of our own takes the next one, and a reading knows only what
// had happened when it began. A level that differs from what was told is told only if it still differs after
// LIMITS.hostEventGraceMs, because the event may be on its way: so nothing is told twice and nothing is left out.

import { LIMITS } from '../../../fabric/base.ts'
import type { Call, DomainRecord, DriverEvent, Inventory, SnapshotRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { ObjectEvent } from '../../object.ts'
import { levelOf } from '../../vm-state.ts'
import { createEmulatorDeaths } from './emulator-deaths.ts'
import { changedByEvent, toldByLevel } from './vm-events.ts'
import { HostSnapshot } from './snapshots.ts'
import type { VmContext, VmRoom } from './vm-context.ts'
import { HostVm } from './vm.ts'
import type { Numbers } from '../numbers.ts'

/** What is passed on to watchers as a 'signal'. */
const SIGNALS: ReadonlySet<string> = new Set(['watchdog', 'ioError', 'balloon', 'agent', 'deviceAdded', 'deviceRemoved'])

export interface VmRoomOptions {
  readonly context: VmContext
  readonly numbers: Numbers
  /** Asks for a reading some time from now. */
  later(delayMs: number): void
}

export function createVmRoom({ context, numbers, later }: VmRoomOptions): VmRoom {
  const { host, vmmUuid } = context
  const vms = new Map<string, HostVm>()
  const snapshots = new Map<string, HostSnapshot>()
  /** Removed by ourselves: an older reading must not bring them back. */
  const forgotten = new Map<string, number>()
  const reserved = new Map<string, number>()
  const deaths = createEmulatorDeaths({ clock: host.clock, later })
  const wallMs = (): number => Math.round(host.clock.wallMs())

  const tellVmm = (event: ObjectEvent & Readonly<Record<string, unknown>>): void => host.publish('VMM', vmmUuid, event)
  const tell = (vm: HostVm, event: ObjectEvent & Readonly<Record<string, unknown>>): void => {
    host.publish('VM', vm.uuid, event)
    tellVmm({ type: 'vm', atMs: event.atMs, uuid: vm.uuid, name: vm.name, event: event.type, state: vm.gone === undefined ? vm.record.state : 'gone' })
  }
  const tellState = (vm: HostVm, type: string, atMs: number): void => {
    const { state, reason } = vm.record
    vm.told = levelOf(state)
    vm.differsSinceMs = undefined
    tell(vm, { type, atMs, state, reason })
  }
  const see = (vm: HostVm, record: DomainRecord): void => {
    if (vm.see(record)) tell(vm, { type: 'changed', atMs: wallMs(), version: vm.version() })
  }

  const add = (record: DomainRecord, number: number): HostVm => {
    const vm = new HostVm(context, record, number)
    vms.set(vm.uuid, vm)
    host.objects.add({ kind: 'VM', uuid: vm.uuid, local: vm, partOf: () => ({ kind: 'PhysicalMachine', uuid: host.machineUuid }) })
    tellVmm({ type: 'vmAdded', atMs: wallMs(), uuid: vm.uuid, name: vm.name })
    tell(vm, { type: 'defined', atMs: wallMs(), version: vm.version() })
    return vm
  }
  const dropSnapshot = (snapshot: HostSnapshot, reason: string): void => {
    snapshots.delete(snapshot.uuid)
    host.objects.remove('Snapshot', snapshot.uuid, { name: snapshot.record.name, reason })
    host.publish('Snapshot', snapshot.uuid, { type: 'gone', atMs: wallMs(), reason } as ObjectEvent)
  }
  const forget: VmRoom['forget'] = (uuid, reason, moved) => {
    const vm = vms.get(uuid)
    if (vm === undefined) return
    vms.delete(uuid)
    forgotten.set(uuid, numbers.next())
    host.objects.remove('VM', uuid, moved !== undefined && moved.home !== host.self ? moved.home : { name: vm.name, reason })
    for (const snapshot of [...snapshots.values()]) if (snapshot.record.domain === uuid) dropSnapshot(snapshot, reason)
    vm.end(reason)
    tell(vm, moved === undefined ? { type: 'gone', atMs: wallMs(), reason } : { type: 'migrated', atMs: wallMs(), ...moved })
    tellVmm({ type: 'vmRemoved', atMs: wallMs(), uuid, name: vm.name })
  }

  /** By level: what no event has told. */
  const compare = (vm: HostVm): void => {
    if (vm.moving) return
    if (levelOf(vm.record.state) === vm.told) { vm.differsSinceMs = undefined; return }
    const nowMs = host.clock.nowMs()
    vm.differsSinceMs ??= nowMs
    const waitMs = vm.differsSinceMs + LIMITS.hostEventGraceMs - nowMs
    if (waitMs > 0) later(waitMs)
    else tellState(vm, toldByLevel(vm.told, vm.record), wallMs())
  }

  const syncDomains = (domains: readonly DomainRecord[], readFrom: number): void => {
    const present = new Set<string>()
    for (const record of domains) {
      present.add(record.uuid)
      const vm = vms.get(record.uuid)
      if (vm === undefined) {
        // One that migrates here is its source's until it has come.
        if ((forgotten.get(record.uuid) ?? -1) <= readFrom && !context.migrations().expectsUuid(record.uuid)) add(record, readFrom)
        continue
      }
      if (vm.touched > readFrom || deaths.doubts(vm, record)) continue
      see(vm, record)
      compare(vm)
    }
    for (const vm of [...vms.values()]) {
      if (!present.has(vm.uuid) && vm.touched <= readFrom && !vm.moving) forget(vm.uuid, 'it is not in the hypervisor any more')
    }
    for (const [uuid, number] of forgotten) if (number <= readFrom) forgotten.delete(uuid)
  }
  const keepSnapshot = (record: SnapshotRecord): HostSnapshot => {
    const uuid = HostSnapshot.uuidOf(record)
    const present = snapshots.get(uuid)
    if (present !== undefined) {
      if (present.see(record)) host.publish('Snapshot', uuid, { type: 'changed', atMs: wallMs(), current: record.current } as ObjectEvent)
      return present
    }
    const snapshot = new HostSnapshot(context, record)
    snapshots.set(uuid, snapshot)
    host.objects.add({ kind: 'Snapshot', uuid, local: snapshot, partOf: () => ({ kind: 'VM', uuid: snapshot.vm().uuid }) })
    return snapshot
  }

  const room: VmRoom = {
    get: (uuid) => vms.get(uuid),
    byName: (name) => { for (const vm of vms.values()) if (vm.name === name) return vm; return undefined },
    list: () => [...vms.values()],
    forget,
    async current(vm, call: Call) {
      if (vm.gone === undefined) {
        let number = numbers.next()
        let record = await host.driver.domains.get(vm.uuid, call)
        if (record !== undefined && deaths.doubts(vm, record)) {
          await deaths.confirmed(vm, call)
          number = numbers.next()
          record = await host.driver.domains.get(vm.uuid, call)
        }
        if (record !== undefined) {
          // An event that came meanwhile is newer.
          if (vm.touched <= number) { vm.touched = number; see(vm, record) }
          return record
        }
        forget(vm.uuid, 'it is not in the hypervisor any more')
      }
      throw RMO.GONE({ kind: 'VM', name: vm.name, reason: vm.gone ?? 'it was removed' })
    },
    remember(record) {
      const vm = vms.get(record.uuid)
      const number = numbers.next()
      forgotten.delete(record.uuid)
      if (vm === undefined) return add(record, number)
      vm.touched = number
      vm.diedAtMs = undefined
      see(vm, record)
      return vm
    },
    async refresh(uuid) {
      const vm = vms.get(uuid)
      if (vm === undefined) return
      try {
        await room.current(vm, context.ownCall(LIMITS.hostReadTimeoutMs))
      } catch { /* gone is told already; anything else is seen at the next reading */ }
      later(LIMITS.hostEventGraceMs)
    },
    rememberSnapshot(record) {
      const snapshot = keepSnapshot(record)
      snapshot.touched = numbers.next()
      return host.reference('Snapshot', snapshot.uuid)
    },
    macsTaken() {
      const taken = new Set(reserved.keys())
      for (const vm of vms.values()) for (const device of vm.record.settings.devices) if (device.type === 'interface' && device.mac !== undefined) taken.add(device.mac)
      return taken
    },
    reserveMacs(macs) {
      for (const mac of macs) reserved.set(mac, (reserved.get(mac) ?? 0) + 1)
      return () => {
        for (const mac of macs) {
          const users = (reserved.get(mac) ?? 1) - 1
          if (users === 0) reserved.delete(mac)
          else reserved.set(mac, users)
        }
      }
    },

    sync(inventory: Inventory, readFrom: number) {
      const failed = new Set(inventory.failures.map((failure) => failure.room))
      if (!failed.has('domains')) syncDomains(inventory.domains, readFrom)
      if (failed.has('snapshots')) return
      const present = new Set(inventory.snapshots.map((record) => keepSnapshot(record).uuid))
      for (const snapshot of [...snapshots.values()]) if (!present.has(snapshot.uuid) && snapshot.touched <= readFrom) dropSnapshot(snapshot, 'it was removed')
    },
    onEvent(event: DriverEvent) {
      if (event.type !== 'domain' && event.type !== 'domain-signal') return
      const vm = vms.get(event.uuid)
      if (vm === undefined) return
      vm.touched = numbers.now()
      const atMs = Math.round(event.atMs)
      if (event.type === 'domain-signal') {
        if (event.event === 'emulatorDied') {
          deaths.died(vm, () => {
            vm.touched = numbers.next()
            vm.see({ ...vm.record, state: 'crashed', reason: `emulator ended: ${event.detail}` })
            tellState(vm, 'crashed', atMs)
          })
        } else if (event.event === 'reboot') tell(vm, { type: 'rebooted', atMs, state: vm.record.state, reason: event.detail })
        else if (SIGNALS.has(event.event)) tell(vm, { type: 'signal', atMs, signal: event.event, detail: event.detail })
        return
      }
      vm.lifecycle++
      vm.leaving = event.event === 'shutdown' || (vm.leaving && event.event !== 'started' && event.event !== 'resumed')
      const change = changedByEvent(event)
      if (change === undefined || vm.moving) return
      // Its end was told already: only what it was, if not a crash, is news. Whatever it did before is not.
      const wasDead = vm.diedAtMs !== undefined
      if (wasDead && (change.type === 'suspended' || change.type === 'resumed')) return
      vm.diedAtMs = undefined
      // libvirt says of a start first "resumed" (or "suspended"), then "started": only the latter is told.
      const boots = vm.told === 'off' && change.type !== 'started' && levelOf(change.state) !== 'off'
      const state = change.type === 'started' && vm.told === 'off' && vm.record.state === 'paused' ? 'paused' : change.state
      vm.see({ ...vm.record, state, reason: change.reason })
      if (boots) later(LIMITS.hostEventGraceMs)
      else if (levelOf(change.state) !== vm.told || (wasDead && change.type !== 'crashed')) tellState(vm, change.type, atMs)
      else vm.differsSinceMs = undefined
    },
    onStats(stats, atMs, how) {
      for (const each of stats) vms.get(each.uuid)?.sample(each, atMs, how)
    },
    stop() { for (const vm of vms.values()) vm.end('its node stops') },
  }
  return room
}
