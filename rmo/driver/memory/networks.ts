// Networks of a simulated host: records; no packet moves.

import { RMO } from '../../errors.ts'
import { namedUuid } from '../../uuid.ts'
import type { Call, NetworkDriver, NetworkRecord } from '../contract.ts'
import { command } from './world.ts'
import type { World } from './world.ts'

/** By uuid or name; throws RMO_ERR_GONE. */
function networkOf({ networks, host }: World, key: string): NetworkRecord {
  const network = networks.get(key) ?? [...networks.values()].find(({ name }) => name === key)
  if (network === undefined) throw RMO.GONE({ kind: 'Network', name: key, reason: `${host} has no such network` })
  return network
}

function freeBridge({ networks }: World): string {
  const taken = new Set([...networks.values()].map(({ bridge }) => bridge))
  let index = 0
  while (taken.has(`virbr${index}`)) index++
  return `virbr${index}`
}

export function createNetworks(world: World): NetworkDriver {
  const keep = (network: NetworkRecord, event: string): NetworkRecord => {
    world.networks.set(network.uuid, Object.freeze(network))
    world.touch()
    world.emit({ type: 'network', uuid: network.uuid, name: network.name, atMs: world.clock.wallMs(), event })
    return network
  }
  const activate = (operation: string, active: boolean) => (uuid: string, call: Call): Promise<void> => command(world, operation, call, () => {
    const network = networkOf(world, uuid)
    if (network.active !== active) keep({ ...network, active }, active ? 'started' : 'stopped')
  })
  return {
    define: ({ uuid, name, bridge, forward, address, autostart }, call) => command(world, 'defineNetwork', call, () => {
      const there = [...world.networks.values()].find((network) => network.name === name || network.uuid === uuid)
      if (there !== undefined && (there.name !== name || (uuid !== undefined && there.uuid !== uuid))) throw RMO.NAME_TAKEN({ kind: 'Network', name: there.name, host: world.host, uuid: there.uuid })
      return keep({
        uuid: there?.uuid ?? uuid ?? namedUuid(world.uuid, `network/${name}`), name, bridge: bridge ?? there?.bridge ?? freeBridge(world),
        active: there?.active ?? false, autostart, persistent: true, forward, ...(address === undefined ? {} : { address }),
      }, 'defined')
    }),
    setAutostart: (uuid, autostart, call) => command(world, 'setAutostart', call, () => {
      const network = networkOf(world, uuid)
      if (network.autostart !== autostart) keep({ ...network, autostart }, 'defined')
    }),
    start: activate('startNetwork', true),
    stop: activate('stopNetwork', false),
    undefine: (uuid, call) => command(world, 'undefineNetwork', call, () => {
      const network = networkOf(world, uuid)
      if (network.active) throw RMO.STATE_INVALID({ kind: 'Network', name: network.name, operation: 'undefine', state: 'active', needs: 'inactive' })
      world.networks.delete(network.uuid)
      world.touch()
      world.emit({ type: 'network', uuid: network.uuid, name: network.name, atMs: world.clock.wallMs(), event: 'undefined' })
    }),
  }
}
