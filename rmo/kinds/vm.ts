// VM: a virtual machine. Its life is the domain's life in the hypervisor, whoever changes it.
//
// The interface for users is in interfaces.ts; here is what the home offers (rmo/host/vm/vm.ts) and the declaration.
// cpuRatio is the share of its vcpus over the last LIMITS.hostCpuWindowMs, sampled each LIMITS.hostSampleMs.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { ByteChannel } from '../byte-streams.ts'
import { diskRights } from '../further-rights.ts'
import { defineKind, parameter } from '../kind.ts'
import type { Changed, ObjectEvent } from '../object.ts'
import { anything, bareReference, boolean, byteCount, either, integer, list, number, oneOf, optional, ratio, record, reference, text } from '../schema.ts'
import type { Type } from '../schema.ts'
import { VM_FIELDS, description, device, devicePart, devices, guestContext, labels, macAddress, memoryMiB, vcpus, vmName } from '../vm-schema.ts'
import type { CloneOptions, Device, GuestContext, MigrateVmOptions, Snapshot, VM, VmEvent, VmInfo, VmSettings, VmStats } from './interfaces.ts'
import type { PhysicalMachine } from './physical-machine.ts'
import { column } from './room-object.ts'

// ---------------------------------------------------------------- for the node

export type VmAttributes = Pick<VM, 'name' | 'uuid' | 'memoryMiB' | 'vcpus' | 'autostart' | 'description' | 'labels' | 'image' | 'host' | 'cpuRatio' | 'memoryUsedMiB' | 'uptimeSeconds' | 'managed' | 'macs' | 'devices'> & { readonly state: VmStats['state'] }
export type CloneWish = Omit<CloneOptions, 'to'> & { readonly to?: ReferenceRecord }
export type SnapshotWish = NonNullable<Parameters<VM['snapshot']>[0]>
export type SerialWish = NonNullable<Parameters<VM['serial']>[0]>
export interface VmSample { readonly cpuRatio: number; readonly memoryUsedBytes?: number }

/** One VM of this host; implemented by rmo/host/vm/vm.ts. */
export interface LocalVm {
  readonly uuid: string
  /** Principal of who made it; undefined: nobody says (it was there). */
  readonly createdBy: string | undefined
  /** The same frozen object while nothing changed. */
  attributes(): VmAttributes
  settings(): VmSettings
  info(authority: Authority): Promise<VmInfo>
  stats(): VmStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  /** Calls back after each sample; the answer stops it. */
  onSample(listener: (sample: VmSample, atMs: number) => void): () => void
  apply(change: Partial<VmSettings>, authority: Authority): Promise<void>
  addDevice(wish: Device, authority: Authority): Promise<Changed>
  removeDevice(part: Partial<Device>, authority: Authority): Promise<Changed>
  setContext(context: GuestContext, options: { readonly again?: boolean }, authority: Authority): Promise<Changed>
  start(options: { readonly paused?: boolean }, authority: Authority): Promise<void>
  stop(options: { readonly force?: boolean; readonly timeoutMs?: number }, authority: Authority): Promise<void>
  destroy(authority: Authority): Promise<void>
  reboot(authority: Authority): Promise<void>
  suspend(authority: Authority): Promise<void>
  resume(authority: Authority): Promise<void>
  save(authority: Authority): Promise<void>
  migrate(to: ReferenceRecord, options: MigrateVmOptions, authority: Authority): Promise<ReferenceRecord>
  clone(wish: CloneWish, authority: Authority): Promise<ReferenceRecord>
  snapshot(wish: SnapshotWish, authority: Authority): Promise<ReferenceRecord>
  console(authority: Authority): Promise<ByteChannel>
  serial(wish: SerialWish, authority: Authority): Promise<string>
  /** What of this host belongs to it. */
  related(kind: 'Volume' | 'Snapshot' | 'Port'): readonly ReferenceRecord[]
  pm(): ReferenceRecord
  vmm(): ReferenceRecord
  /** Units that ran since the last question. */
  used(): Readonly<Record<string, number>>
}

// ---------------------------------------------------------------- declaration

const CPU_ABOVE_DEFAULT = 0.9
/** 'cpuBelow' needs the ratio this far under the threshold, so that a ratio near it does not flap. */
const CPU_HYSTERESIS = 0.05

const state = oneOf('running', 'paused', 'stopping', 'stopped', 'crashed', 'saved')
const waitMs = integer({ unit: 'milliseconds', min: 1, max: LIMITS.callTimeoutMsMax })
const version = text({ charsMax: 64 })
const aVm = { doc: 'The VM.', type: reference('VM') }
const itsState = { state, reason: text() }
const nothing = { doc: 'nothing', type: anything() }
const changed = { doc: '{version, operation}', type: anything() }
/** References arrive as their records; the interface shows users the object. */
const machine = reference('PhysicalMachine') as unknown as Type<PhysicalMachine>
const recordOf = (object: unknown): ReferenceRecord => object as ReferenceRecord
const copyBudget = (): number => LIMITS.vmCopyTimeoutMs

/** Every setting, those left out as what they mean: dumps show all that can be set, and leaving one out is no other version. */
export const allSettings = (settings: VmSettings): VmSettings & Readonly<Record<string, unknown>> =>
  ({ image: '', autostart: false, description: '', labels: {}, ...settings })

export const vm = defineKind<VM, LocalVm>({
  kind: 'VM',
  plural: 'vms',
  doc: 'A virtual machine.',
  residence: 'hosted',
  example: 'pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > 0.9)).flat()',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: 'running, paused, stopping, stopped, crashed, saved; cold before it is added.', type: either(state, oneOf('cold')), column: column('STATE') },
    host: { doc: 'Machine it lives on.', type: text(), column: column('HOST') },
    cpuRatio: { doc: 'Share of its vcpus in use over the last 5 s.', type: ratio(), column: column('CPU', 'ratio') },
    vcpus: { doc: 'Virtual processors.', type: vcpus, column: column('VCPUS', 'number') },
    memoryMiB: { doc: 'Memory it was given.', type: memoryMiB, column: column('MEMORY', 'mebibytes') },
    memoryUsedMiB: { doc: 'Memory in use as its balloon says; else what it was given, 0 when off.', type: number({ unit: 'mebibytes' }), column: column('USED', 'mebibytes', true) },
    uptimeSeconds: { doc: 'Since it was started, as far as this node saw; 0 when off.', type: number({ unit: 'seconds' }), column: column('UPTIME', 'duration') },
    image: { doc: 'Image that its disks are overlays of; "" when none.', type: text(), column: column('IMAGE') },
    autostart: { doc: 'Started with the host.', type: boolean(), column: column('AUTOSTART', 'text', true) },
    managed: { doc: 'Made or adopted by Kumoi.', type: boolean(), column: column('MANAGED', 'text', true) },
    macs: { doc: 'MAC addresses of its interfaces.', type: list(macAddress), column: column('MACS', 'text', true) },
    description: { doc: 'For people.', type: description, column: column('DESCRIPTION', 'text', true) },
    labels: { doc: 'Keys and values of the user\'s own.', type: labels, column: 'none' },
    devices: { doc: 'Disks and interfaces.', type: devices, column: 'none' },
  },
  common: {
    async info(local, authority, home) {
      const info = await local.info(authority)
      if (info.settings.context === undefined || await home.allows('inspect')) return info
      const { context: _, ...settings } = info.settings
      // The hypervisor's own text has all of them.
      return { ...info, settings, definition: '', concealed: ['context', 'definition'] }
    },
    stats: (local) => local.stats(),
  },
  settings: {
    fields: VM_FIELDS,
    secret: ['context'],
    read: (local) => allSettings(local.settings()),
    apply: (local, change, authority) => local.apply(change as Partial<VmSettings>, authority),
    also: (local, change) => diskRights((change as { readonly devices?: unknown } | undefined)?.devices, local.settings().devices),
  },
  coldVerbs: {
    add: { setting: 'devices', how: 'append' },
    remove: { setting: 'devices', how: 'remove' },
    context: { setting: 'context', how: 'set' },
  },
  verbs: {
    add: {
      doc: 'Adds a device, also while it runs.', acl: 'update', idempotent: false,
      parameters: [parameter('device', device, 'FileDisk..., Bridge..., or plain data.')],
      result: changed,
      also: ([wish], local) => diskRights([wish], local.settings().devices),
      run: (local, [wish], authority) => local.addDevice(wish, authority),
    },
    remove: {
      doc: 'Takes a device away, also while it runs.', acl: 'update', idempotent: true,
      parameters: [parameter('device', devicePart, 'Named by target, mac, path or volume.')],
      result: changed,
      run: (local, [part], authority) => local.removeDevice(part, authority),
    },
    context: {
      doc: 'What the guest is told at its next first boot.', acl: 'update', idempotent: true,
      parameters: [
        parameter('context', guestContext, 'Host name, users, runcmd, ...: cloud-init user-data as data.'),
        parameter('options', optional(record({ again: optional(boolean()) })), 'again: a new instance id, so that the next boot is a first boot.'),
      ],
      result: changed,
      run: (local, [context, options], authority) => local.setContext(context, options ?? {}, authority),
    },
    start: {
      doc: 'Starts it; a saved one goes on where it was.', acl: 'operate', idempotent: true,
      parameters: [parameter('options', optional(record({ paused: optional(boolean()) })), 'paused: its processors stand still until resume().')],
      result: nothing,
      run: (local, [options], authority) => local.start(options ?? {}, authority),
    },
    stop: {
      doc: 'Asks the guest to stop and waits until it has.', acl: 'operate', idempotent: true,
      parameters: [parameter('options', optional(record({ force: optional(boolean()), timeoutMs: optional(waitMs) })), 'force: pulls the plug after timeoutMs (default 30,000).')],
      result: nothing,
      budgetMs: ([options]) => (options?.timeoutMs ?? LIMITS.vmStopTimeoutMs) + LIMITS.vmStopReserveMs,
      run: (local, [options], authority) => local.stop(options ?? {}, authority),
    },
    destroy: { doc: 'Pulls the plug.', acl: 'operate', idempotent: true, parameters: [], result: nothing, run: (local, _args, authority) => local.destroy(authority) },
    reboot: { doc: 'Asks the guest to boot again.', acl: 'operate', idempotent: false, parameters: [], result: nothing, run: (local, _args, authority) => local.reboot(authority) },
    suspend: { doc: 'Its processors stand still.', acl: 'operate', idempotent: true, parameters: [], result: nothing, run: (local, _args, authority) => local.suspend(authority) },
    resume: { doc: 'It goes on after suspend().', acl: 'operate', idempotent: true, parameters: [], result: nothing, run: (local, _args, authority) => local.resume(authority) },
    save: { doc: 'Memory to disk; start() goes on from there.', acl: 'operate', idempotent: true, parameters: [], result: nothing, budgetMs: copyBudget, run: (local, _args, authority) => local.save(authority) },
    migrate: {
      doc: 'Moves it to another machine, live unless it is stopped.', acl: 'operate', idempotent: true,
      parameters: [
        parameter('to', machine, 'Where to.'),
        parameter('options', optional(record({
          live: optional(boolean()), bandwidthMiBps: optional(integer({ unit: 'count', min: 1 })), downtimeMsMax: optional(integer({ unit: 'milliseconds', min: 1 })),
        })), 'live: false pauses it meanwhile; bandwidthMiBps, downtimeMsMax.'),
      ],
      result: aVm,
      budgetMs: copyBudget,
      run: async (local, [to, options], authority) => bareReference(await local.migrate(recordOf(to), options ?? {}, authority)),
    },
    clone: {
      doc: 'Makes another like it, with an identity of its own.', acl: 'create', idempotent: false,
      parameters: [parameter('options', optional(record({
        name: optional(vmName), to: optional(machine), context: optional(guestContext), start: optional(boolean()), disks: optional(oneOf('overlay', 'full')),
      })), 'name, to, context, start, disks: "overlay" (nothing is copied) or "full".')],
      result: aVm,
      budgetMs: copyBudget,
      run: async (local, [options], authority) => {
        const { to, ...wish } = options ?? {}
        return bareReference(await local.clone(to === undefined ? wish : { ...wish, to: recordOf(to) }, authority))
      },
    },
    snapshot: {
      doc: 'Keeps its disks, and its memory when it runs, to go back to.', acl: 'create', idempotent: false,
      parameters: [parameter('options', optional(record({
        name: optional(vmName), content: optional(oneOf('disk', 'memory')), description: optional(description),
      })), 'name; content: "disk" or "memory" (default: memory when it runs); description.')],
      result: { doc: 'The snapshot.', type: reference('Snapshot') as unknown as Type<Snapshot> },
      budgetMs: copyBudget,
      run: async (local, [options], authority) => bareReference(await local.snapshot(options ?? {}, authority)),
    },
    serial: {
      doc: 'What its serial console said lately; with input, what it says to that.', acl: 'execute', idempotent: false,
      parameters: [parameter('options', optional(record({ input: optional(text({ charsMax: 4_096 })), until: optional(text({ charsMax: 1_024 })), timeoutMs: optional(waitMs) })), 'input: sent first; until: waits for this text, at most timeoutMs.')],
      result: { doc: 'text, at most 64 KiB', type: text() },
      budgetMs: ([options]) => (options?.timeoutMs ?? LIMITS.vmSerialTimeoutMs) + LIMITS.vmStopReserveMs,
      run: (local, [options], authority) => local.serial(options ?? {}, authority),
    },
  },
  streams: { console: { doc: 'The serial console, bytes both ways; one reader at a time.', acl: 'execute', open: (local, authority) => local.console(authority) } },
  collections: {
    volumes: { kind: 'Volume', doc: 'Volumes that are its disks.', list: async (local) => local.related('Volume') },
    snapshots: { kind: 'Snapshot', doc: 'Its snapshots.', list: async (local) => local.related('Snapshot') },
    ports: { kind: 'Port', doc: 'Switch ports of its interfaces.', list: async (local) => local.related('Port') },
  },
  references: {
    pm: { kind: 'PhysicalMachine', doc: 'Machine it lives on.', get: async (local) => local.pm() },
    vmm: { kind: 'VMM', doc: 'Monitor that runs it.', get: async (local) => local.vmm() },
  },
  events: {
    started: { doc: 'It runs.', fields: itsState },
    suspended: { doc: 'Its processors stand still.', fields: itsState },
    resumed: { doc: 'It goes on.', fields: itsState },
    stopped: { doc: 'It is off.', fields: itsState },
    crashed: { doc: 'It ended by itself: the guest panicked or its emulator died.', fields: itsState },
    saved: { doc: 'Its memory is on disk and it is off.', fields: itsState },
    rebooted: { doc: 'The guest booted again.', fields: itsState },
    defined: { doc: 'It is there.', fields: { version } },
    changed: { doc: 'Settings changed, by whomever.', fields: { version } },
    migrating: { doc: 'Progress of a migration.', fields: { phase: oneOf('preparing', 'copying', 'switching', 'finishing'), totalBytes: byteCount(), doneBytes: byteCount(), remainingBytes: byteCount(), elapsedMs: number({ unit: 'milliseconds' }) } },
    copying: { doc: 'Progress of a full copy of its disks, for a clone of that name.', fields: { name: text(), ratio: ratio() } },
    migrated: { doc: 'It lives on another machine now.', fields: { to: text(), home: text() } },
    gone: { doc: 'It was removed. Ends the watch.', fields: { reason: text() } },
    signal: { doc: 'Watchdog, I/O error, balloon, agent, device.', fields: { signal: oneOf('watchdog', 'ioError', 'balloon', 'agent', 'deviceAdded', 'deviceRemoved'), detail: text() } },
    cpuAbove: { doc: 'cpuRatio reached the threshold.', fields: { cpuRatio: ratio(), thresholdRatio: ratio() } },
    cpuBelow: { doc: 'cpuRatio fell 0.05 under the threshold again.', fields: { cpuRatio: ratio(), thresholdRatio: ratio() } },
    sampled: { doc: 'Figures, when asked for with sampleEveryMs.', fields: { cpuRatio: ratio(), memoryUsedBytes: optional(byteCount()) } },
  },
  watch: {
    options: record({
      cpuAboveRatio: optional(ratio()),
      sampleEveryMs: optional(integer({ unit: 'milliseconds', min: 1, max: LIMITS.callTimeoutMsMax })),
    }),
    start(local, options, emit) {
      const thresholdRatio = options.cpuAboveRatio ?? CPU_ABOVE_DEFAULT
      let above = false
      let sampledAtMs = -Infinity
      const stopEvents = local.onEvent(emit)
      const stopSamples = local.onSample(({ cpuRatio, memoryUsedBytes }, atMs) => {
        const now = above ? cpuRatio > thresholdRatio - CPU_HYSTERESIS : cpuRatio >= thresholdRatio
        if (now !== above) {
          above = now
          emit({ type: above ? 'cpuAbove' : 'cpuBelow', atMs, cpuRatio, thresholdRatio } as VmEvent)
        }
        if (options.sampleEveryMs !== undefined && atMs - sampledAtMs >= options.sampleEveryMs) {
          sampledAtMs = atMs
          emit({ type: 'sampled', atMs, cpuRatio, ...memoryUsedBytes === undefined ? {} : { memoryUsedBytes } } as VmEvent)
        }
      })
      return () => { stopEvents(); stopSamples() }
    },
  },
})
