// Network: a network of the hypervisor on one host: a bridge of its own, perhaps with an address and a way out.
// Implemented by rmo/host/network/network-room.ts.

import { defineKind } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { boolean, nothing, oneOf, text } from '../schema.ts'
import type { Network } from './interfaces.ts'
import type { Budget } from './physical-machine.ts'
import { column, lifeEvents, watchEvents } from './room-object.ts'

export type NetworkAttributes = Pick<Network, 'name' | 'uuid' | 'state' | 'bridge' | 'forward' | 'address' | 'host' | 'autostart'>

export interface LocalNetwork {
  attributes(): NetworkAttributes
  onEvent(listener: (event: ObjectEvent) => void): () => void
  /** Names of the VMs plugged into it. */
  users(): readonly string[]
  persistent(): boolean
  setAutostart(autostart: boolean, budget: Budget): Promise<void>
  start(budget: Budget): Promise<void>
  stop(budget: Budget): Promise<void>
  remove(budget: Budget): Promise<void>
}

const autostart = boolean()

export const network = defineKind<Network, LocalNetwork>({
  kind: 'Network',
  plural: 'networks',
  doc: 'A network of the hypervisor on one host.',
  residence: 'hosted',
  example: 'networks.map(network => network.bridge)',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: 'Whether VMs can be plugged into it.', type: oneOf('active', 'inactive'), column: column('STATE') },
    bridge: { doc: 'Name of its bridge; "" when it has none.', type: text(), column: column('BRIDGE') },
    forward: { doc: 'The way out: none, by address translation, routed, or an existing bridge.', type: oneOf('none', 'nat', 'route', 'bridge', 'other'), column: column('FORWARD') },
    address: { doc: 'The host\'s own address there, in CIDR notation; "" when none.', type: text(), column: column('ADDRESS') },
    host: { doc: 'Name of the machine it is on.', type: text(), column: column('HOST') },
    autostart: { doc: 'Started with the host. Can be set.', type: autostart, column: column('AUTOSTART', 'text', true) },
  },
  common: {
    info: (local) => ({ ...local.attributes(), persistent: local.persistent() }),
    stats: (local) => ({ state: local.attributes().state, vms: local.users().length }),
  },
  settings: {
    fields: { autostart },
    read: (local) => ({ autostart: local.attributes().autostart }),
    apply: async (local, change, authority) => { if (typeof change.autostart === 'boolean') await local.setAutostart(change.autostart, authority) },
  },
  verbs: {
    start: { doc: 'Brings its bridge up.', acl: 'operate', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.start(authority) },
    stop: { doc: 'Takes its bridge down; refused while running VMs are plugged into it.', acl: 'operate', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.stop(authority) },
    remove: { doc: 'Stops and forgets it; refused while VMs name it.', acl: 'delete', idempotent: true, parameters: [], result: { doc: 'nothing', type: nothing() }, run: (local, _args, authority) => local.remove(authority) },
  },
  collections: {},
  references: {},
  events: {
    ...lifeEvents,
    started: { doc: 'Its bridge is up.', fields: { name: text() } },
    stopped: { doc: 'Its bridge is down.', fields: { name: text() } },
  },
  watch: watchEvents<LocalNetwork>(),
})
