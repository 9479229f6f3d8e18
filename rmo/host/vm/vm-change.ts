// Changes of a VM's settings: patch and assignment, devices, context. All or nothing, with the VM's lock held.
//
// What was made for a change (a disk, a seed) is removed again when a later step fails; what was plugged is unplugged.

import { LIMITS } from '../../../fabric/base.ts'
import type { Authority } from '../../../functions/mod.ts'
import type { Call, DomainRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { allSettings } from '../../kinds/vm.ts'
import type { Changed } from '../../object.ts'
import type { Device, GuestContext, VmSettings } from '../../settings.ts'
import { randomUuid } from '../../uuid.ts'
import { changed, canonicalText } from '../../version.ts'
import { settingsOf, vmSettings } from '../../vm-schema.ts'
import { isActive, mustDo } from '../../vm-state.ts'
import type { Prepared } from '../parts.ts'
import { reread } from './snapshots.ts'
import { allOrNothing } from '../all-or-nothing.ts'
import type { Steps } from '../all-or-nothing.ts'
import { assertNameFree, metadataOf } from './vm-add.ts'
import { covers, fillInterfaces, findDevice } from './vm-devices.ts'
import { withVm } from './vm-verbs.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'

/** Settings that stay what they were when the VM was added. */
const FIXED = ['image', 'instanceId', 'simulate'] as const
const SETTABLE = ['name', 'memoryMiB', 'vcpus', 'autostart', 'description', 'labels', 'devices', 'context'] as const

const answer = (vm: HostVm, authority: Authority): Changed => changed(allSettings(vm.settings()), authority)

/** Defines again with its metadata kept. */
async function redefine({ host, room }: VmContext, { uuid, metadata, managed }: DomainRecord, settings: VmSettings, call: Call): Promise<void> {
  const kept = managed ? { ...metadata, ...metadataOf(settings, metadata ?? {}) } : metadata ?? {}
  room.remember(await host.driver.domains.define(uuid, settings, kept, call))
}

/** What storage makes for devices that are new; existing ones are left as they are. */
async function prepareNew(context: VmContext, uuid: string, settings: VmSettings, steps: Steps, call: Call): Promise<VmSettings> {
  const { disks } = context.parts()
  const wants = settings.devices.some((device) => device.type === 'disk' && (device.create === 'auto' || device.volume !== undefined))
  if (!wants || disks === undefined) return settings
  // Without its context: the seed that it has stays as it is.
  const { context: told, ...rest } = settings
  const prepared = noted(steps, settings, await disks.prepare(uuid, rest, call))
  return told === undefined ? prepared : { ...prepared, context: told }
}
function noted(steps: Steps, { name }: VmSettings, prepared: Prepared): VmSettings {
  steps.note(`new disks of ${name}`, () => prepared.undo())
  return prepared.settings
}

function filled(context: VmContext, vm: HostVm, name: string, devices: readonly Device[]): readonly Device[] {
  const own = new Set(vm.attributes().macs)
  const taken = new Set([...context.room.macsTaken()].filter((mac) => !own.has(mac)))
  const { typeOfBridge } = context.parts()
  return fillInterfaces(devices, { uuid: vm.uuid, name, host: context.host.hostName(), taken, ...typeOfBridge === undefined ? {} : { typeOfBridge } })
}

/** Plugs and unplugs until the running VM has the devices wished for. */
async function replug(context: VmContext, vm: HostVm, has: readonly Device[], wished: readonly Device[], steps: Steps, call: Call): Promise<void> {
  const { domains } = context.host.driver
  const own = (): Call => context.ownCall(LIMITS.vmUndoTimeoutMs)
  const left = [...has]
  const fresh = wished.filter((device) => {
    const at = left.findIndex((each) => covers(each, device))
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
  for (const device of left) {
    steps.note(`the device ${device.target ?? device.type}`, () => domains.attach(vm.uuid, device, own()))
    await domains.detach(vm.uuid, device, call)
  }
  for (const device of fresh) {
    steps.note(`the device ${device.target ?? device.type}`, () => domains.detach(vm.uuid, device, own()))
    await domains.attach(vm.uuid, device, call)
  }
}

export async function applyChange(context: VmContext, vm: HostVm, change: Partial<VmSettings>, authority: Authority): Promise<void> {
  const present = allSettings(vm.settings())
  const fixed = FIXED.find((key) => key in change && canonicalText(change[key]) !== canonicalText(present[key]))
  if (fixed !== undefined) throw RMO.READ_ONLY({ kind: 'VM', name: vm.name, property: fixed, settable: SETTABLE })
  const locked = (): Promise<void> => withVm(context, vm, authority, (record, call) => changeLocked(context, vm, record, change, call))
  // Names first, then objects: the order of all locks (exclusive.ts).
  await (change.name === undefined ? locked() : context.host.exclusive(`name/${change.name}`, locked))
  if (change.devices !== undefined) await reread(context)
}

async function changeLocked(context: VmContext, vm: HostVm, record: DomainRecord, change: Partial<VmSettings>, call: Call): Promise<void> {
  const { settings, state } = record
  const { domains } = context.host.driver
  mustDo('change', { name: settings.name, state })
  let next = settingsOf({ ...settings, ...change }, { call: 'VM.patch', path: 'change' })
  if (canonicalText(allSettings(next)) === canonicalText(allSettings(settings))) return
  if (next.name !== settings.name) {
    mustDo('rename', { name: settings.name, state })
    await assertNameFree(context, next.name, vm.uuid)
  }
  await allOrNothing('patch', settings.name, async (steps) => {
    if (change.devices !== undefined) {
      next = await prepareNew(context, vm.uuid, next, steps, call)
      next = { ...next, devices: filled(context, vm, next.name, next.devices) }
    }
    if (change.context !== undefined) next = await reseeded(context, vm.uuid, next, steps, call)
    if (change.devices !== undefined && isActive(state)) await replug(context, vm, settings.devices, next.devices, steps, call)
    if ((next.autostart ?? false) !== (settings.autostart ?? false)) {
      steps.note('autostart', () => domains.setAutostart(vm.uuid, settings.autostart ?? false, context.ownCall(LIMITS.vmUndoTimeoutMs)))
      await domains.setAutostart(vm.uuid, next.autostart ?? false, call)
    }
    steps.note(`settings of ${settings.name}`, async () => { await redefine(context, record, settings, context.ownCall(LIMITS.vmUndoTimeoutMs)) })
    await redefine(context, record, next, call)
  })
}

async function reseeded(context: VmContext, uuid: string, settings: VmSettings, steps: Steps, call: Call): Promise<VmSettings> {
  const { disks } = context.parts()
  if (disks === undefined) throw RMO.DRIVER_UNSUPPORTED({ operation: `Making a seed for ${settings.name}`, driver: context.host.driver.name, reason: 'this host has no storage' })
  return noted(steps, settings, await disks.reseed(uuid, settings, call))
}

export async function addDevice(context: VmContext, vm: HostVm, wish: Device, authority: Authority): Promise<Changed> {
  await withVm(context, vm, authority, async (record, call) => {
    const { settings, state } = record
    mustDo('change', { name: settings.name, state })
      await allOrNothing('add', settings.name, async (steps) => {
      const wished = vmSettings.check({ ...settings, devices: [...settings.devices, wish] }, { call: 'VM.add', path: 'device' })
      const prepared = await prepareNew(context, vm.uuid, wished, steps, call)
      const devices = filled(context, vm, settings.name, prepared.devices)
      await replug(context, vm, settings.devices, devices, steps, call)
    })
  })
  await reread(context)
  return answer(vm, authority)
}

export async function removeDevice(context: VmContext, vm: HostVm, part: Partial<Device>, authority: Authority): Promise<Changed> {
  await withVm(context, vm, authority, async ({ settings, state }, call) => {
    mustDo('change', { name: settings.name, state })
    const device = findDevice(settings.devices, part)
    // Removing what is not there is done already.
    if (device !== undefined) await context.host.driver.domains.detach(vm.uuid, device, call)
  })
  await reread(context)
  return answer(vm, authority)
}

export async function setContext(context: VmContext, vm: HostVm, wish: GuestContext, { again = false }: { readonly again?: boolean }, authority: Authority): Promise<Changed> {
  await withVm(context, vm, authority, async (record, call) => {
    const { settings, state } = record
    mustDo('change', { name: settings.name, state })
      await allOrNothing('context', settings.name, async (steps) => {
      const wished = { ...settings, context: wish, ...again ? { instanceId: `i-${randomUuid(context.host.random)}` } : {} }
      const next = await reseeded(context, vm.uuid, wished, steps, call)
      steps.note(`settings of ${settings.name}`, async () => { await redefine(context, record, settings, context.ownCall(LIMITS.vmUndoTimeoutMs)) })
      await redefine(context, record, next, call)
    })
  })
  return answer(vm, authority)
}
