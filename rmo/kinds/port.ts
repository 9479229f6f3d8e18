// Port: what is plugged into a switch: a VM's interface, a network card, one end of a veth pair, an internal port.
// Implemented by rmo/host/network/switch-room.ts.
//
// Tag, trunk and rate are settings: `port.vlanTag = 20` moves it to another VLAN at run time. A tag and a trunk exclude
// each other: setting one clears the other. Counters are the switch's: what the device behind the port sent is received.

import type { Authority } from '../../functions/mod.ts'
import { VLAN_TAG_MAX } from '../driver/switch/rules.ts'
import type { PortChange } from '../driver/switch/rules.ts'
import { defineKind } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { anything, boolean, byteCount, integer, list, record, text } from '../schema.ts'
import type { Port, PortInfo, PortStats } from './interfaces.ts'
import { column } from './room-object.ts'

export type PortAttributes = Pick<Port, 'name' | 'uuid' | 'switchName' | 'host' | 'vlanTag' | 'trunkTags' | 'rateKiBps' | 'linkUp' | 'vmName' | 'receivedBytes' | 'sentBytes'>
export interface LocalPort {
  readonly uuid: string
  attributes(): PortAttributes
  info(): PortInfo
  stats(): Promise<PortStats>
  onEvent(listener: (event: ObjectEvent) => void): () => void
  change(change: PortChange, authority: Authority): Promise<void>
  remove(authority: Authority): Promise<void>
}

const vlanTag = integer({ unit: 'count', min: 0, max: VLAN_TAG_MAX })
const trunkTags = list(vlanTag, { itemsMax: VLAN_TAG_MAX })
const rateKiBps = integer({ unit: 'kibibytes-per-second' })

export const port = defineKind<Port, LocalPort>({
  kind: 'Port',
  plural: 'ports',
  doc: 'A port of a switch.',
  residence: 'hosted',
  example: 'ports.filter(port => port.vlanTag === 10)',
  observe: (local) => local.attributes(),
  attributes: {
    switchName: { doc: 'Its switch.', type: text(), column: column('SWITCH') },
    host: { doc: 'Its machine.', type: text(), column: column('HOST') },
    vlanTag: { doc: '802.1Q tag; 0 when untagged.', type: vlanTag, column: column('VLAN', 'number') },
    trunkTags: { doc: 'Tags of a trunk; empty: all.', type: trunkTags, column: 'none' },
    rateKiBps: { doc: 'Limit in each direction; 0: none.', type: rateKiBps, column: column('KIBPS', 'number', true) },
    linkUp: { doc: 'Whether the device behind it is there and on.', type: boolean(), column: column('LINK') },
    vmName: { doc: 'VM whose interface it is; "" when none.', type: text(), column: column('VM') },
    receivedBytes: { doc: 'What the switch got from it.', type: byteCount(), column: column('RECEIVED', 'bytes') },
    sentBytes: { doc: 'What the switch gave it.', type: byteCount(), column: column('SENT', 'bytes') },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  verbs: {
    remove: {
      doc: 'Takes it out of its switch; the device is left. Refused while it is a VM\'s interface.', acl: 'delete', idempotent: true, parameters: [],
      result: { doc: 'nothing', type: anything() },
      run: (local, _args, authority) => local.remove(authority),
    },
  },
  collections: {},
  references: {},
  events: {
    up: { doc: 'The device behind it is there and on.', fields: {} },
    down: { doc: 'The device behind it is off or unplugged.', fields: {} },
    changed: { doc: 'Its settings or its VM changed.', fields: { vlanTag, trunkTags, rateKiBps, vmName: text() } },
    gone: { doc: 'It was taken out.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
  settings: {
    fields: { vlanTag, trunkTags, rateKiBps },
    read: (local) => {
      const { vlanTag, trunkTags, rateKiBps } = local.attributes()
      return { vlanTag, trunkTags, rateKiBps }
    },
    apply: (local, change, authority) => local.change(change as PortChange, authority),
  },
})
