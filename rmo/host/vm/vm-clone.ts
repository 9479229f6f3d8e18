// Clones: another VM like a stopped one, with an identity of its own: uuid, name, MAC addresses, instance id (so that
// cloud-init runs again) and host name. Disks by overlay (nothing is copied) or in full; which bases stay immutable is
// the storage room's rule (DiskMaker.cloneDisks).

import { LIMITS } from '../../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { RMO } from '../../errors.ts'
import { bareReference, referenceRecord } from '../../schema.ts'
import type { CloneWish } from '../../kinds/vm.ts'
import type { Device, GuestContext, VmSettings } from '../../settings.ts'
import { randomUuid, vmmUuidOf } from '../../uuid.ts'
import { vmSettings } from '../../vm-schema.ts'
import { mustDo } from '../../vm-state.ts'
import type { ObjectEvent } from '../../object.ts'
import { eachPercent } from '../storage/copy-progress.ts'
import type { Prepared } from '../parts.ts'
import { reread } from './snapshots.ts'
import { allOrNothing } from '../all-or-nothing.ts'
import { assertNameFree, defineVm, metadataOf } from './vm-add.ts'
import { withVm } from './vm-verbs.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'

const NAME_UUID_CHARS = 6

/** What must not be the same in two machines. */
function renewed(device: Device): Device {
  if (device.type !== 'interface') return device
  const { mac: _mac, target: _target, ...rest } = device
  return rest
}

function settingsOfClone(original: VmSettings, uuid: string, wish: CloneWish): VmSettings {
  const { context: told, instanceId: _instanceId, ...rest } = original
  const name = wish.name ?? `${original.name.slice(0, 240)}-${uuid.slice(0, NAME_UUID_CHARS)}`
  const context = wish.context ?? (told === undefined ? undefined : { ...told, hostname: name })
  return vmSettings.check({
    ...rest, name, devices: original.devices.map(renewed), ...context === undefined ? {} : { context },
  }, { call: 'VM.clone', path: 'options' })
}

export async function cloneVm(context: VmContext, vm: HostVm, wish: CloneWish, authority: Authority): Promise<ReferenceRecord> {
  const { host, room } = context
  const uuid = randomUuid(host.random)
  const elsewhere = wish.to !== undefined && wish.to.uuid !== host.machineUuid ? wish.to : undefined
  const settings = settingsOfClone(vm.settings(), uuid, wish)
  // A seed is made where it is read: another machine makes its own from the context.
  const { context: told, ...bare } = settings
  const forDisks = elsewhere === undefined ? settings : bare
  const made = await host.exclusive(`name/${settings.name}`, () => withVm(context, vm, authority, async (record, call) => {
    mustDo('clone', { name: record.settings.name, state: record.state })
    if (elsewhere === undefined) await assertNameFree(context, settings.name, uuid)
    const { disks } = context.parts()
    if (disks === undefined && settings.devices.some(({ type }) => type === 'disk')) {
      throw RMO.DRIVER_UNSUPPORTED({ operation: `Cloning the disks of ${vm.name}`, driver: host.driver.name, reason: 'this host has no storage' })
    }
    /** Disks of the clone; the original gets its fresh overlay before anything stands on the frozen one. */
    const prepare = async (): Promise<Prepared> => {
      if (disks === undefined) return { settings: forDisks, undo: async () => [] }
      const tell = wish.disks === 'full' ? eachPercent((ratio) => host.publish('VM', vm.uuid, { type: 'copying', atMs: Math.round(host.clock.wallMs()), name: settings.name, ratio } as ObjectEvent)) : undefined
      const cloned = await disks.cloneDisks({ original: { uuid: vm.uuid, settings: record.settings }, uuid, settings: forDisks, how: wish.disks ?? 'overlay' }, call, tell)
      const { original } = cloned
      if (original === undefined) return cloned
      const define = async (as: VmSettings): Promise<void> => {
        room.remember(await host.driver.domains.define(vm.uuid, as, record.metadata ?? metadataOf(as, {}), context.ownCall(LIMITS.vmUndoTimeoutMs)))
      }
      await allOrNothing('clone', vm.name, async (steps) => {
        steps.note(`disks of ${settings.name}`, () => cloned.undo())
        steps.note(`settings of ${vm.name}`, () => define(record.settings))
        await define(original)
      })
      return { settings: cloned.settings, async undo() { await define(record.settings); return cloned.undo() } }
    }
    if (elsewhere === undefined) return (await defineVm(context, 'clone', { uuid, settings, start: wish.start ?? false, prepare }, authority)).reference()
    return addElsewhere(context, { uuid, start: wish.start ?? false, to: elsewhere, ...told === undefined ? {} : { told } }, await prepare(), authority)
  }))
  await reread(context)
  return elsewhere === undefined ? room.get(uuid)?.reference() ?? made : made
}

/** The other machine defines it on the disks made here, which it must see. */
async function addElsewhere({ peers, ownCall }: VmContext, clone: { readonly uuid: string; readonly start: boolean; readonly to: ReferenceRecord; readonly told?: GuestContext }, prepared: Prepared, authority: Authority): Promise<ReferenceRecord> {
  const { uuid, start, to, told } = clone
  const vmm = { kind: 'VMM', uuid: vmmUuidOf(to.uuid), home: to.home }
  return allOrNothing('clone', prepared.settings.name, async (steps) => {
    const devices = prepared.settings.devices.map((device): Device => device.type === 'disk' ? { ...device, create: 'existing' } : device)
    const draft: ReferenceRecord = { kind: 'VM', uuid, home: to.home, name: prepared.settings.name, attributes: { ...prepared.settings, devices, ...told === undefined ? {} : { context: told } }, cold: true }
    // When only the answer was lost it is there: its disks are not taken from under it.
    steps.note(`VM ${prepared.settings.name} (${uuid}), which ${to.name} may have, with its disks`, async () => {
      const { signal: _signal, operation: _operation, ...rest } = authority
      const own = { ...rest, signal: new AbortController().signal, remainingMs: ownCall(LIMITS.vmUndoTimeoutMs).remainingMs }
      await peers.invoke(vmm, 'remove', [bareReference(draft), { force: true, keepDisks: true }], own)
      return prepared.undo()
    })
    const added = await peers.invoke(vmm, 'add', [bareReference(draft), { start }], authority)
    const reference = referenceRecord(added)
    if (reference === undefined) throw RMO.ARGUMENT_INVALID({ call: 'VMM.add', path: 'the answer', expected: 'a VM', got: typeof added })
    return reference
  })
}
