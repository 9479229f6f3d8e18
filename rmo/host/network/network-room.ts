// The networks of this host: one object each, kept equal to the inventory.
//
// Before a network is stopped or forgotten, the VMs that are plugged into it are looked for: running guests would lose
// their link, stopped ones could not start again.

import type { ReferenceRecord } from '../../../functions/mod.ts'
import type { Call, Inventory, NetworkRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { LocalNetwork, NetworkAttributes } from '../../kinds/network.ts'
import type { Budget } from '../../kinds/physical-machine.ts'
import type { NewNetwork } from '../../kinds/vmm.ts'
import type { HostContext, HostRoom } from '../contract.ts'
import { createObjectTable } from '../object-table.ts'

export interface NetworkRoom extends HostRoom {
  /** Defines and starts it; the same wish again is done already. Throws NAME_TAKEN. */
  createNetwork(network: NewNetwork, budget: Budget): Promise<ReferenceRecord>
}

export function createNetworkRoom(context: HostContext): NetworkRoom {
  const { driver } = context
  const attributesOf = ({ uuid, name, active, bridge, forward, address, autostart }: NetworkRecord): NetworkAttributes =>
    ({ name, uuid, state: active ? 'active' : 'inactive', bridge, forward, address: address ?? '', host: context.hostName(), autostart })
  const users = (name: string, running: 'running' | 'any'): readonly string[] => context.inventory().domains
    .filter(({ state, settings }) => (running === 'any' || state === 'running' || state === 'paused' || state === 'stopping') && settings.devices.some((device) => device.type === 'interface' && device.network === name))
    .map(({ settings }) => settings.name)
  /** One change of one network, then the objects as they are now. */
  const change = (uuid: string, budget: Budget, work: (call: Call) => Promise<void>): Promise<void> =>
    context.exclusive(`Network/${uuid}`, async () => {
      await work(context.call(budget))
      await context.resync()
    })
  const refuseInUse = (name: string, by: readonly string[]): void => {
    if (by.length > 0) throw RMO.IN_USE({ kind: 'Network', name, by })
  }

  const table = createObjectTable<NetworkAttributes, LocalNetwork>(context, {
    kind: 'Network',
    make: (uuid, attributes) => ({
      attributes,
      onEvent: (listener) => context.subscribe('Network', uuid, listener),
      users: () => users(attributes().name, 'any'),
      persistent: () => context.inventory().networks.find((network) => network.uuid === uuid)?.persistent ?? false,
      setAutostart: (autostart, budget) => change(uuid, budget, (call) => driver.networks.setAutostart(uuid, autostart, call)),
      start: (budget) => change(uuid, budget, async (call) => { if (attributes().state !== 'active') await driver.networks.start(uuid, call) }),
      stop: (budget) => change(uuid, budget, async (call) => {
        if (attributes().state !== 'active') return
        refuseInUse(attributes().name, users(attributes().name, 'running'))
        await driver.networks.stop(uuid, call)
      }),
      remove: (budget) => change(uuid, budget, async (call) => {
        refuseInUse(attributes().name, users(attributes().name, 'any'))
        if (attributes().state === 'active') await driver.networks.stop(uuid, call)
        // A transient network is gone once it is stopped.
        if (context.inventory().networks.find((network) => network.uuid === uuid)?.persistent !== false) await driver.networks.undefine(uuid, call)
      }),
    }),
    changes: (before, after) => [
      ...(before.state === after.state ? [] : [after.state === 'active' ? 'started' : 'stopped']),
      ...(before.name === after.name && before.bridge === after.bridge && before.forward === after.forward && before.address === after.address && before.autostart === after.autostart ? [] : ['changed']),
    ],
  })

  return {
    sync(inventory: Inventory) {
      if (inventory.failures.some(({ room }) => room === 'networks')) return
      table.sync(inventory.networks.map(attributesOf))
    },
    createNetwork: ({ name, bridge, forward, address }, budget) => context.exclusive(`name/Network/${name}`, async () => {
      const call = context.call(budget)
      const present = context.inventory().networks.find((network) => network.name === name)
      if (present !== undefined) {
        const same = (bridge === undefined || bridge === present.bridge) && (forward ?? 'none') === present.forward && (address === undefined || address === present.address)
        if (!same) throw RMO.NAME_TAKEN({ kind: 'Network', name, host: context.hostName(), uuid: present.uuid })
        if (!present.active) await driver.networks.start(present.uuid, call)
        await context.resync()
        return context.reference('Network', present.uuid)
      }
      const { uuid } = await driver.networks.define({ name, forward: forward ?? 'none', autostart: true, ...(bridge === undefined ? {} : { bridge }), ...(address === undefined ? {} : { address }) }, call)
      try {
        await driver.networks.start(uuid, call)
      } catch (error) {
        await driver.networks.undefine(uuid, call).catch(() => { throw RMO.PARTLY_DONE({ operation: 'createNetwork', name, reason: error instanceof Error ? error.message : String(error), left: [`network ${name} (${uuid}), not started`] }, { cause: error }) })
        throw error
      }
      await context.resync()
      return context.reference('Network', uuid)
    }),
  }
}
