// One VM of this host: what is known of it (record, figures), and its verbs, each of which goes through the lock of the
// VM to the driver (vm-verbs.ts, vm-change.ts, vm-clone.ts, ...).
//
// attributes() answers the same frozen object while nothing changed: capabilities.ts encodes a VM once per change, so
// that thousands of idle VMs cost nothing. Made by vm-room.ts, which alone calls see(), sample() and end().

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { ByteChannel } from '../../byte-streams.ts'
import type { DomainRecord, DomainStats } from '../../driver/contract.ts'
import type { MigrateVmOptions, VmInfo, VmStats } from '../../kinds/interfaces.ts'
import { allSettings } from '../../kinds/vm.ts'
import type { CloneWish, LocalVm, SerialWish, SnapshotWish, VmAttributes, VmSample } from '../../kinds/vm.ts'
import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Changed, ObjectEvent } from '../../object.ts'
import type { Device, GuestContext, VmSettings } from '../../settings.ts'
import { canonicalText, versionOf } from '../../version.ts'
import { isActive, levelOf } from '../../vm-state.ts'
import type { VmLevel } from '../../vm-state.ts'
import { shareOf, withReading } from './cpu-window.ts'
import type { CpuReading } from './cpu-window.ts'
import { openConsole, readSerial } from './serial.ts'
import { snapshotVm } from './snapshots.ts'
import { addDevice, applyChange, removeDevice, setContext } from './vm-change.ts'
import { cloneVm } from './vm-clone.ts'
import type { VmContext } from './vm-context.ts'
import { operate, stopVm } from './vm-verbs.ts'

const MIB = 1024 * 1024

export class HostVm implements LocalVm {
  readonly uuid: string
  /** Level that watchers were last told of; vm-room.ts compares by it. */
  told: VmLevel
  /** Number of the newest event or own change; a reading that began before knows less. */
  touched: number
  /** Since when the level differs from what was told; undefined: it does not. */
  differsSinceMs: number | undefined
  /** A migration is moving it away: its events here are the migration's steps. */
  moving = false
  /** Changes of our own under way: what happens to it meanwhile is theirs to tell. */
  changing = 0
  /** Lifecycle events of the hypervisor seen so far. */
  lifecycle = 0
  /** The guest, or the hypervisor, has said that it is about to end. */
  leaving = false
  /** Told as crashed because its emulator died; the hypervisor has not said so yet (emulator-deaths.ts). */
  diedAtMs: number | undefined
  readonly #context: VmContext
  #record: DomainRecord
  #attributes: VmAttributes | undefined
  #window: readonly CpuReading[] = []
  #stats: DomainStats | undefined
  #statsAtMs = 0
  #startedAtMs: number | undefined
  #gone: string | undefined
  #activeSinceMs: number | undefined
  #usedMs = { vm: 0, vcpu: 0, memoryMiB: 0 }
  readonly #samples = new Set<(sample: VmSample, atMs: number) => void>()
  readonly #changes = new Set<() => void>()

  constructor(context: VmContext, record: DomainRecord, touched: number) {
    this.#context = context
    this.uuid = record.uuid
    this.#record = record
    this.told = levelOf(record.state)
    this.touched = touched
    this.#turned()
  }

  get record(): DomainRecord { return this.#record }
  get name(): string { return this.#record.settings.name }
  get gone(): string | undefined { return this.#gone }
  get createdBy(): string | undefined { return this.#record.metadata?.createdBy }

  // ---------------------------------------------------------------- for vm-room.ts

  /** Takes over what was read; true when settings differ from before. */
  see(record: DomainRecord): boolean {
    const before = this.#record
    if (record === before) return false
    const otherSettings = record.settings !== before.settings && canonicalText(allSettings(record.settings)) !== canonicalText(allSettings(before.settings))
    const same = !otherSettings && record.state === before.state && record.reason === before.reason && record.managed === before.managed && record.persistent === before.persistent
    this.#settleUse()
    // Equal settings keep their object, so that the next comparison is one of identity.
    this.#record = otherSettings ? record : { ...record, settings: before.settings }
    if (same) return false
    this.#attributes = undefined
    this.#context.host.changed?.()
    this.#turned()
    for (const listener of [...this.#changes]) listener()
    return otherSettings
  }

  /** 'silent': for the window of the ratio only; what is shown stays as it is. */
  sample(stats: DomainStats, atMs: number, how: 'shown' | 'silent' = 'shown'): void {
    if (!isActive(this.#record.state)) return
    this.#window = withReading(this.#window, { atMs, cpuNs: stats.cpuNs, vcpus: stats.vcpus }, LIMITS.hostCpuWindowMs)
    if (how === 'silent' && this.#stats !== undefined) return
    this.#stats = stats
    this.#statsAtMs = this.#context.host.clock.wallMs()
    this.#attributes = undefined
    this.#context.host.changed?.()
    if (this.#samples.size === 0) return
    const sample = { cpuRatio: shareOf(this.#window).cpuRatio, ...stats.memoryUsedBytes === undefined ? {} : { memoryUsedBytes: stats.memoryUsedBytes } }
    for (const listener of [...this.#samples]) listener(sample, this.#statsAtMs)
  }

  /** It is not here any more; verbs under way find out. */
  end(reason: string): void {
    this.#gone ??= reason
    this.#settleUse()
    for (const listener of [...this.#changes]) listener()
  }

  /** What depends on whether it runs. */
  #turned(): void {
    const { clock } = this.#context.host
    if (isActive(this.#record.state)) {
      this.#activeSinceMs ??= clock.nowMs()
      this.#startedAtMs ??= clock.nowMs()
      return
    }
    this.#activeSinceMs = undefined
    this.#startedAtMs = undefined
    this.#window = []
    this.#stats = undefined
  }

  #settleUse(): void {
    if (this.#activeSinceMs === undefined) return
    const nowMs = this.#context.host.clock.nowMs()
    const ranMs = nowMs - this.#activeSinceMs
    const { vcpus, memoryMiB } = this.#record.settings
    this.#usedMs = { vm: this.#usedMs.vm + ranMs, vcpu: this.#usedMs.vcpu + ranMs * vcpus, memoryMiB: this.#usedMs.memoryMiB + ranMs * memoryMiB }
    this.#activeSinceMs = nowMs
  }

  // ---------------------------------------------------------------- reading

  attributes(): VmAttributes {
    if (this.#attributes !== undefined) return this.#attributes
    const { settings, state, managed } = this.#record
    const { host } = this.#context
    const usedBytes = this.#stats?.memoryUsedBytes
    this.#attributes = Object.freeze({
      name: settings.name, uuid: this.uuid, state, host: host.hostName(),
      memoryMiB: settings.memoryMiB, vcpus: settings.vcpus, image: settings.image ?? '',
      autostart: settings.autostart ?? false, description: settings.description ?? '', labels: settings.labels ?? {},
      cpuRatio: shareOf(this.#window).cpuRatio,
      memoryUsedMiB: !isActive(state) ? 0 : usedBytes === undefined ? settings.memoryMiB : Math.round(usedBytes / MIB),
      uptimeSeconds: this.#startedAtMs === undefined ? 0 : Math.floor((host.clock.nowMs() - this.#startedAtMs) / 1_000),
      managed, devices: settings.devices,
      macs: settings.devices.flatMap((device) => device.type === 'interface' && device.mac !== undefined ? [device.mac] : []),
    })
    return this.#attributes
  }

  settings(): VmSettings { return this.#record.settings }
  version(): string { return versionOf(allSettings(this.#record.settings)) }

  async info(authority: Authority): Promise<VmInfo> {
    const { host } = this.#context
    const call = host.call(authority)
    const { settings, managed, persistent, metadata } = await this.#context.room.current(this, call)
    const migration = this.#context.migrations().last(this.uuid)
    return {
      name: settings.name, uuid: this.uuid, host: host.hostName(), driver: host.driver.name, managed, persistent, settings, version: this.version(),
      ...metadata?.createdAtMs === undefined ? {} : { createdAtMs: metadata.createdAtMs },
      ...metadata?.createdBy === undefined ? {} : { createdBy: metadata.createdBy },
      definition: await host.driver.domains.describe(this.uuid, call),
      ...migration === undefined ? {} : { migration },
    }
  }

  stats(): VmStats {
    const stats = this.#stats
    const { settings, state } = this.#record
    return {
      atMs: Math.round(stats === undefined ? this.#context.host.clock.wallMs() : this.#statsAtMs), state, ...shareOf(this.#window),
      cpuSeconds: stats === undefined ? 0 : Number(stats.cpuNs / 1_000_000n) / 1_000,
      memoryBytes: stats?.memoryBytes ?? settings.memoryMiB * MIB,
      ...stats?.memoryUsedBytes === undefined ? {} : { memoryUsedBytes: stats.memoryUsedBytes },
      disks: (stats?.disks ?? []).map(({ target, path, reads, readBytes, writes, writtenBytes }) => ({ target, ...path === undefined ? {} : { path }, reads, readBytes, writes, writtenBytes })),
      interfaces: stats?.interfaces ?? [],
    }
  }

  used(): Readonly<Record<string, number>> {
    this.#settleUse()
    const { vm, vcpu, memoryMiB } = this.#usedMs
    this.#usedMs = { vm: 0, vcpu: 0, memoryMiB: 0 }
    return { vmSeconds: vm / 1_000, vcpuSeconds: vcpu / 1_000, memoryMiBSeconds: memoryMiB / 1_000 }
  }

  onEvent(listener: (event: ObjectEvent) => void): () => void { return this.#context.host.subscribe('VM', this.uuid, listener) }
  onSample(listener: (sample: VmSample, atMs: number) => void): () => void {
    const own = (sample: VmSample, atMs: number): void => listener(sample, atMs)
    this.#samples.add(own)
    return () => { this.#samples.delete(own) }
  }

  related(kind: 'Volume' | 'Snapshot' | 'Port'): readonly ReferenceRecord[] {
    const { host } = this.#context
    const all = host.objects.list(kind).map(({ uuid }) => host.reference(kind, uuid))
    if (kind !== 'Volume') return all.filter(({ attributes }) => attributes.vmName === this.name)
    const disks = this.#record.settings.devices.flatMap((device) => device.type === 'disk' ? [device] : [])
    return all.filter(({ name, attributes: { path, pool } }) => disks.some((disk) => disk.path === undefined ? disk.volume?.name === name && disk.volume.pool === pool : disk.path === path))
  }
  pm(): ReferenceRecord { return this.#context.host.reference('PhysicalMachine', this.#context.host.machineUuid) }
  vmm(): ReferenceRecord { return this.#context.host.reference('VMM', this.#context.vmmUuid) }
  reference(): ReferenceRecord { return this.#context.host.reference('VM', this.uuid) }

  /** Resolves true when it is as wished (or gone: `wished` sees undefined), false after `timeoutMs`. Rejects when the signal aborts. */
  until(wished: (record: DomainRecord | undefined) => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => { timer.cancel(); this.#changes.delete(look); signal.removeEventListener('abort', aborted); settle() }
      const look = (): void => { if (wished(this.#gone === undefined ? this.#record : undefined)) end(() => resolve(true)) }
      const aborted = (): void => end(() => reject(signal.reason as Error))
      const timer = this.#context.host.clock.after(Math.max(0, timeoutMs), () => end(() => resolve(false)), { background: true })
      if (signal.aborted) { aborted(); return }
      signal.addEventListener('abort', aborted, { once: true })
      this.#changes.add(look)
      look()
    })
  }

  // ---------------------------------------------------------------- verbs

  apply(change: Partial<VmSettings>, authority: Authority): Promise<void> { return applyChange(this.#context, this, change, authority) }
  addDevice(wish: Device, authority: Authority): Promise<Changed> { return addDevice(this.#context, this, wish, authority) }
  removeDevice(part: Partial<Device>, authority: Authority): Promise<Changed> { return removeDevice(this.#context, this, part, authority) }
  setContext(context: GuestContext, options: { readonly again?: boolean }, authority: Authority): Promise<Changed> { return setContext(this.#context, this, context, options, authority) }
  start({ paused = false }: { readonly paused?: boolean }, authority: Authority): Promise<void> {
    return operate(this.#context, this, paused ? 'startPaused' : 'start', authority, (domains, call) => domains.start(this.uuid, { paused }, call))
  }
  stop(options: { readonly force?: boolean; readonly timeoutMs?: number }, authority: Authority): Promise<void> { return stopVm(this.#context, this, options, authority) }
  destroy(authority: Authority): Promise<void> { return operate(this.#context, this, 'destroy', authority, (domains, call) => domains.destroy(this.uuid, call)) }
  reboot(authority: Authority): Promise<void> { return operate(this.#context, this, 'reboot', authority, (domains, call) => domains.reboot(this.uuid, call)) }
  suspend(authority: Authority): Promise<void> { return operate(this.#context, this, 'suspend', authority, (domains, call) => domains.suspend(this.uuid, call)) }
  resume(authority: Authority): Promise<void> { return operate(this.#context, this, 'resume', authority, (domains, call) => domains.resume(this.uuid, call)) }
  save(authority: Authority): Promise<void> { return operate(this.#context, this, 'save', authority, (domains, call) => domains.save(this.uuid, call)) }
  migrate(to: ReferenceRecord, options: MigrateVmOptions, authority: Authority): Promise<ReferenceRecord> { return this.#context.migrations().migrate(this, to, options, authority) }
  clone(wish: CloneWish, authority: Authority): Promise<ReferenceRecord> { return cloneVm(this.#context, this, wish, authority) }
  snapshot(wish: SnapshotWish, authority: Authority): Promise<ReferenceRecord> { return snapshotVm(this.#context, this, wish, authority) }
  console(authority: Authority): Promise<ByteChannel> { return openConsole(this.#context, this, authority) }
  serial(wish: SerialWish, authority: Authority): Promise<string> { return readSerial(this.#context, this, wish, authority) }
}

/** Throws RMO_ERR_GONE for a VM that was removed while somebody held it. */
export function assertHere(vm: HostVm): void {
  if (vm.gone !== undefined) throw RMO.GONE({ kind: 'VM', name: vm.name, reason: vm.gone })
}
