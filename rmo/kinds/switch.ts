// Switch: a Linux bridge or an Open vSwitch bridge of one machine. Implemented by rmo/host/network/switch-room.ts.
//
// Bridges that somebody else made (libvirt's virbr0, ovs-vsctl) are switches too. A Linux bridge's uuid is made of the
// machine and its name; an Open vSwitch's is its row in the database.

import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { INTERFACE_NAME, VLAN_TAG_MAX } from '../driver/switch/rules.ts'
import type { Vlan } from '../driver/switch/rules.ts'
import { defineKind, parameter } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, bareReference, boolean, either, integer, list, oneOf, optional, record, reference, text, uuid } from '../schema.ts'
import type { Type } from '../schema.ts'
import type { Port, PortOptions, Switch, SwitchInfo, SwitchStats } from './interfaces.ts'
import { column } from './room-object.ts'

export type SwitchAttributes = Pick<Switch, 'name' | 'uuid' | 'type' | 'datapath' | 'host' | 'up'>
export interface LocalSwitch {
  readonly uuid: string
  attributes(): SwitchAttributes
  info(): SwitchInfo
  stats(): Promise<SwitchStats>
  onEvent(listener: (event: ObjectEvent) => void): () => void
  ports(): readonly ReferenceRecord[]
  addPort(port: PortOptions, authority: Authority): Promise<ReferenceRecord>
  removePort(port: ReferenceRecord, authority: Authority): Promise<void>
  remove(authority: Authority): Promise<void>
}

const nothing = { doc: 'nothing', type: anything() }
const linkName = text(INTERFACE_NAME)
const tag = integer({ unit: 'count', min: 0, max: VLAN_TAG_MAX })
const vlan: Type<Vlan> = either(record({ tag }), record({ trunk: list(tag, { itemsMax: VLAN_TAG_MAX }) }))
/** References arrive as their records; the interface shows users the object. */
const aPort = reference('Port') as unknown as Type<Port>
const recordOf = (object: unknown): ReferenceRecord => object as ReferenceRecord

export const switchKind = defineKind<Switch, LocalSwitch>({
  kind: 'Switch',
  plural: 'switches',
  doc: 'A Linux bridge or an Open vSwitch of one machine.',
  residence: 'hosted',
  example: 'switches.map(it => it.ports).flat()',
  observe: (local) => local.attributes(),
  attributes: {
    type: { doc: 'What it is.', type: oneOf('linux', 'openvswitch'), column: column('TYPE') },
    host: { doc: 'Its machine.', type: text(), column: column('HOST') },
    up: { doc: 'Whether it forwards.', type: boolean(), column: column('UP') },
    datapath: { doc: 'Open vSwitch: "system" (kernel) or "netdev" (userspace); else "".', type: text(), column: column('DATAPATH', 'text', true) },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  verbs: {
    addPort: {
      doc: 'Plugs a network device in, or makes an internal port; the same again is answered.', acl: 'update', idempotent: true,
      parameters: [parameter('port', record({ name: linkName, vlan: optional(vlan), rateKiBps: optional(integer({ unit: 'kibibytes-per-second' })), internal: optional(boolean()) }), 'name, vlan ({tag} or {trunk}), rateKiBps, internal.')],
      result: { doc: 'The port.', type: reference('Port') },
      run: async (local, [port], authority) => bareReference(await local.addPort(port, authority)),
    },
    removePort: {
      doc: 'Takes a port out; the device behind it is left.', acl: 'update', idempotent: true,
      parameters: [parameter('port', aPort, 'One of its ports.')],
      result: nothing,
      run: (local, [port], authority) => local.removePort(recordOf(port), authority),
    },
    remove: {
      doc: 'Removes the switch; refused while it has ports.', acl: 'delete', idempotent: true, parameters: [], result: nothing,
      run: (local, _args, authority) => local.remove(authority),
    },
  },
  collections: { ports: { kind: 'Port', doc: 'Its ports, without its own.', list: async (local) => local.ports() } },
  references: {},
  events: {
    portAdded: { doc: 'A port was plugged in.', fields: { uuid: uuid(), name: text() } },
    portRemoved: { doc: 'A port was taken out.', fields: { uuid: uuid(), name: text() } },
    up: { doc: 'It forwards.', fields: {} },
    down: { doc: 'It does not forward any more.', fields: {} },
    changed: { doc: 'Its datapath is another one.', fields: { datapath: text() } },
    gone: { doc: 'It was removed.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
