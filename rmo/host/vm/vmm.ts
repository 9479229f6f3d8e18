// The VMM of this host: what the hypervisor is, how much of it is used, and the verbs that make VMs.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { RMO } from '../../errors.ts'
import type { NewVm, VmmInfo, VmmStats } from '../../kinds/interfaces.ts'
import type { LocalVmm, NewNetwork, NewPool, NewSwitch, VmmAttributes } from '../../kinds/vmm.ts'
import type { ObjectEvent } from '../../object.ts'
import { isActive } from '../../vm-state.ts'
import { addVm, adoptVm, createVm, removeVm } from './vm-add.ts'
import type { VmContext } from './vm-context.ts'

const MIB = 1024 * 1024

export interface HostVmm extends LocalVmm {
  /** Something that attributes() shows may have changed. */
  touch(): void
}

export function createVmm(context: VmContext, options: { readonly migrationUri?: string }): HostVmm {
  const { host, room, vmmUuid } = context
  let attributes: VmmAttributes | undefined

  const used = (): { readonly running: number; readonly vcpus: number; readonly memoryMiB: number; readonly cpuRatio: number } => {
    let running = 0, vcpus = 0, memoryMiB = 0, busy = 0
    for (const vm of room.list()) {
      const { settings, state } = vm.record
      if (!isActive(state)) continue
      running++
      vcpus += settings.vcpus
      memoryMiB += settings.memoryMiB
      busy += vm.attributes().cpuRatio * settings.vcpus
    }
    const cores = host.facts()?.cores ?? 1
    return { running, vcpus, memoryMiB, cpuRatio: Math.min(1, busy / cores) }
  }
  const totalMiB = (): number => Math.floor((host.facts()?.memoryBytes ?? 0) / MIB)
  const name = (): string => host.hostName()
  const missing = (what: string): never => {
    throw RMO.DRIVER_UNSUPPORTED({ operation: `Making a ${what}`, driver: host.driver.name, reason: `${host.hostName()} manages none` })
  }

  return {
    uuid: vmmUuid,
    touch() { attributes = undefined },
    attributes() {
      if (attributes !== undefined) return attributes
      const facts = host.facts()
      const { vcpus, memoryMiB } = used()
      attributes = Object.freeze({
        name: name(), uuid: vmmUuid, driver: host.driver.name, uri: host.driver.uri, state: host.connected() ? 'connected' : 'disconnected',
        hypervisor: facts?.hypervisor ?? '', version: facts?.version ?? '', vmsCount: room.list().length, vcpusUsed: vcpus,
        memoryTotalMiB: totalMiB(), memoryFreeMiB: Math.max(0, totalMiB() - memoryMiB),
      })
      return attributes
    },
    info(): VmmInfo {
      const facts = host.facts()
      return {
        name: name(), uuid: vmmUuid, driver: host.driver.name, uri: host.driver.uri, hypervisor: facts?.hypervisor ?? '', version: facts?.version ?? '',
        hostUuid: facts?.uuid ?? host.machineUuid, cores: facts?.cores ?? 0, memoryMiB: totalMiB(),
        ...options.migrationUri === undefined ? {} : { migrationUri: options.migrationUri },
      }
    },
    stats(): VmmStats {
      const { running, vcpus, memoryMiB, cpuRatio } = used()
      return { atMs: Math.round(host.clock.wallMs()), vms: room.list().length, running, vcpusUsed: vcpus, memoryUsedMiB: memoryMiB, memoryFreeMiB: Math.max(0, totalMiB() - memoryMiB), cpuRatio }
    },
    onEvent: (listener: (event: ObjectEvent) => void) => host.subscribe('VMM', vmmUuid, listener),
    createVM: (settings: NewVm) => createVm(context, settings),
    add: (vm: ReferenceRecord, wish, authority: Authority) => addVm(context, vm, wish, authority),
    remove: (vm: ReferenceRecord, wish, authority: Authority) => removeVm(context, vm, wish, authority),
    adopt: (vm: ReferenceRecord, authority: Authority) => adoptVm(context, vm, authority),
    async createPool(pool: NewPool, authority) { return await (context.parts().createPool?.(pool, authority) ?? missing('storage pool')) },
    async createNetwork(network: NewNetwork, authority) { return await (context.parts().createNetwork?.(network, authority) ?? missing('network')) },
    async createSwitch(wish: NewSwitch, authority) { return await (context.parts().createSwitch?.(wish, authority) ?? missing('switch')) },
    related: (kind) => host.objects.list(kind).map(({ uuid }) => host.reference(kind, uuid)),
    pm: () => host.reference('PhysicalMachine', host.machineUuid),
  }
}
