// A host with nothing but a switch room, for tests: a HostContext over an object table, with domains that the test sets.

import { systemClock, systemRandom } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import type { DomainRecord, HypervisorDriver, Inventory } from '../../rmo/driver/contract.ts'
import type { HostContext, SwitchDriver } from '../../rmo/host/contract.ts'
import { createSwitchRoom } from '../../rmo/host/network/switch-room.ts'
import type { SwitchRoom } from '../../rmo/host/network/switch-room.ts'
import { createHub } from '../../rmo/host/hub.ts'
import { createExclusive } from '../../rmo/host/exclusive.ts'
import { port } from '../../rmo/kinds/port.ts'
import { switchKind } from '../../rmo/kinds/switch.ts'
import { RMO, createLocalObjects } from '../../rmo/mod.ts'
import type { LocalObjects } from '../../rmo/mod.ts'

export interface SwitchHost {
  readonly context: HostContext
  readonly room: SwitchRoom
  readonly objects: LocalObjects
  /** Another inventory of the hypervisor. */
  setDomains(domains: readonly DomainRecord[]): void
  close(): Promise<void>
}

export const SWITCH_MACHINE = '6d6f6a69-0000-8000-8000-000000000001'
const KINDS = { Switch: switchKind, Port: port }

export function domainWith(over: { readonly uuid: string; readonly name: string; readonly state?: DomainRecord['state']; readonly interfaces: readonly { readonly target?: string; readonly mac?: string }[] }): DomainRecord {
  return {
    uuid: over.uuid, state: over.state ?? 'running', reason: 'booted', managed: true, persistent: true,
    settings: { name: over.name, memoryMiB: 128, vcpus: 1, devices: over.interfaces.map((device) => ({ type: 'interface', bridge: 'sw0', ...device })) },
  }
}

export async function openSwitchHost(driver: SwitchDriver, around: { readonly objects?: LocalObjects; readonly self?: NodeId } = {}): Promise<SwitchHost> {
  const objects = around.objects ?? createLocalObjects({ forwardsMax: 16 })
  const self = around.self ?? '01'.repeat(32)
  const hub = createHub((error) => { throw error })
  let inventory: Inventory = { domains: [], pools: [], volumes: [], networks: [], snapshots: [], failures: [] }
  const context: HostContext = {
    self, machineUuid: SWITCH_MACHINE, hostName: () => 'alpha', objects, clock: systemClock, random: systemRandom, directory: '/nonexistent',
    // The switch room asks nothing of the hypervisor.
    driver: {} as HypervisorDriver,
    inventory: () => inventory,
    facts: () => undefined,
    connected: () => true,
    resync: async () => {},
    exclusive: createExclusive(() => 'alpha'),
    publish: (kind, uuid, event) => hub.publish(kind, uuid, event),
    subscribe: (kind, uuid, listener) => hub.subscribe(kind, uuid, listener),
    reference(kind, uuid) {
      const object = objects.get(kind, uuid)
      if (object === undefined) throw RMO.OBJECT_UNKNOWN({ kind, uuid, node: 'alpha' })
      const attributes = KINDS[kind as keyof typeof KINDS].observe(object.local)
      return { kind, uuid, home: self, name: String(attributes['name']), attributes }
    },
    call: ({ signal, remainingMs }) => ({ signal, remainingMs }),
  }
  const room = createSwitchRoom(context, driver)
  await room.open()
  return {
    context, room, objects,
    setDomains(domains) { inventory = { ...inventory, domains }; room.sync(inventory, 0) },
    async close() { room.stop(); await driver.close() },
  }
}
