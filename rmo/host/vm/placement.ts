// A VM that the cloud has placed on this host (kali/agent): defined with its placement epoch in its own metadata, so that
// a node that starts again, or comes back, sees from the domain alone how old the copy is (cloud.md 5.9, 8.12).
//
// Unlike VMM.add() it asks no other node whether the VM is elsewhere: the epoch was taken in one transaction that says
// so, and the machine that had the VM may be dead. The hypervisor's own autostart is taken away: it would start a stale
// copy before anybody could ask.

import type { Authority } from '../../../functions/mod.ts'
import type { Device, VmSettings } from '../../settings.ts'
import type { DiskMaker } from '../parts.ts'
import { assertNameFree, defineVm, metadataOf } from './vm-add.ts'
import { reread } from './snapshots.ts'
import { withVm } from './vm-verbs.ts'
import { assertHere } from './vm.ts'
import type { VmContext } from './vm-context.ts'
import { RMO } from '../../errors.ts'

export interface Placed { readonly uuid: string; readonly settings: VmSettings; readonly epoch: number }

export interface Placement {
  /** 'create': disks are made as the settings say. 'restore': those that have a place must be there; the seed is written again, with the same instance id. Not started. Defined already: its epoch is written. */
  define(how: 'create' | 'restore', vm: Placed, authority: Authority): Promise<void>
  /** Writes the epoch into the domain, running or not; 0 takes it out: the VM is its host's alone again. */
  stamp(uuid: string, epoch: number, authority: Authority): Promise<void>
}

/** Names that libvirt gives to the host's end of an interface; on another host they are somebody else's. */
const GIVEN_TARGET = /^vnet\d+$/

function asItWas(device: Device, disks: DiskMaker | undefined): Device {
  if (device.type === 'interface') {
    const { target, ...rest } = device
    return target === undefined || GIVEN_TARGET.test(target) ? rest : device
  }
  const placed = device.path !== undefined || device.volume !== undefined
  return placed && device.role !== 'seed' && disks?.remakes?.(device) !== true ? { ...device, create: 'existing' } : device
}

export function createPlacement(context: VmContext): Placement {
  const { host } = context
  const stamp: Placement['stamp'] = async (uuid, epoch, authority) => {
    const vm = context.room.get(uuid)
    if (vm === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'VM', uuid, node: host.hostName() })
    assertHere(vm)
    await withVm(context, vm, authority, async ({ settings, metadata = {}, managed }, call) => {
      const { autostart, ...rest } = settings
      if (metadata.epoch === epoch && managed && autostart !== true) return
      const { epoch: _, ...kept } = { ...metadataOf(settings, { createdBy: authority.principal, createdAtMs: Math.round(host.clock.wallMs()) }), ...metadata }
      const record = await host.driver.domains.define(uuid, epoch > 0 ? rest : settings, epoch > 0 ? { ...kept, epoch } : kept, call)
      if (epoch > 0 && autostart === true) await host.driver.domains.setAutostart(uuid, false, call)
      context.room.remember(epoch > 0 && autostart === true ? await host.driver.domains.get(uuid, call) ?? record : record)
    })
  }
  return {
    stamp,
    async define(how, { uuid, settings, epoch }, authority) {
      const { autostart: _, ...rest } = settings
      const wish: VmSettings = how === 'create' ? rest : { ...rest, devices: settings.devices.map((device) => asItWas(device, context.parts().disks)) }
      const there = await host.exclusive(`name/${settings.name}`, () => host.exclusive(`VM/${uuid}`, async () => {
        authority.signal.throwIfAborted()
        const present = await host.driver.domains.get(uuid, host.call(authority))
        if (present !== undefined) { context.room.remember(present); return true }
        await context.migrations().overrule(uuid)
        await assertNameFree(context, settings.name, uuid)
        await defineVm(context, how === 'create' ? 'add' : 'restore', { uuid, settings: wish, start: false, epoch }, authority)
        return false
      }))
      if (there) await stamp(uuid, epoch, authority)
      // The VM is known already; its volumes show with the next reading, for which no start waits: under load it takes seconds.
      void reread(context)
    },
  }
}
