// Transactions on the Open vSwitch database, as ovs-vsctl makes them. Pure: tables in, operations out.
//
// Rows that the root does not reach through strong references are collected by the server, so a bridge is made and
// removed by changing Open_vSwitch.bridges, a port by changing Bridge.ports. QoS rows are roots of their own and are
// deleted with what they limit. Each transaction adds 1 to next_cfg; ovs-vswitchd copies it to cur_cfg when it has
// carried the change out. `wait` makes a transaction fail as a whole when what it was planned on has changed.
// Source: ovs-vswitchd.conf.db(5), ovs-vsctl.

import type { Operation } from './client.ts'
import { kilobitsOf } from './records.ts'
import type { BridgeRow, PortRow } from './records.ts'
import { rowsOf } from './tables.ts'
import type { Tables } from './tables.ts'
import { mapValue, namedUuid, readMap, readText, setValue, uuidValue } from './values.ts'
import { bitsOf } from '../switch/rules.ts'
import type { PortChange } from '../switch/rules.ts'

/** Marks what Kumoi made. */
export const MARK = { 'kumoi': 'true' } as const

const is = (uuid: string): readonly unknown[] => [['_uuid', '==', uuidValue(uuid)]]
/** Fails the transaction ("timed out") unless the row is there with this name. */
const expectName = (table: string, uuid: string, name: string): Operation =>
  ({ op: 'wait', table, timeout: 0, where: is(uuid), columns: ['name'], until: '==', rows: [{ name }] })
/** Answers the new number in the transaction's last result. */
const countConfiguration = (root: string): readonly Operation[] => [
  { op: 'mutate', table: 'Open_vSwitch', where: is(root), mutations: [['next_cfg', '+=', 1]] },
  { op: 'select', table: 'Open_vSwitch', where: is(root), columns: ['next_cfg'] },
]
const inSet = (row: string, table: string, column: string, how: 'insert' | 'delete', atom: readonly unknown[]): Operation =>
  ({ op: 'mutate', table, where: is(row), mutations: [[column, how, ['set', [atom]]]] })

export const rootOf = (tables: Tables): string | undefined => rowsOf(tables, 'Open_vSwitch').keys().next().value

/** A bridge with its local port. */
export const addBridge = (root: string, name: string, datapathType: '' | 'netdev'): readonly Operation[] => [
  { op: 'insert', table: 'Interface', 'uuid-name': 'newinterface', row: { name, type: 'internal' } },
  { op: 'insert', table: 'Port', 'uuid-name': 'newport', row: { name, interfaces: namedUuid('newinterface') } },
  { op: 'insert', table: 'Bridge', 'uuid-name': 'newbridge', row: { name, ports: namedUuid('newport'), datapath_type: datapathType, external_ids: mapValue(MARK) } },
  inSet(root, 'Open_vSwitch', 'bridges', 'insert', ['named-uuid', 'newbridge']),
  ...countConfiguration(root),
]
export const setDatapath = (root: string, bridge: BridgeRow, datapathType: 'netdev'): readonly Operation[] => [
  expectName('Bridge', bridge.uuid, bridge.name),
  { op: 'update', table: 'Bridge', where: is(bridge.uuid), row: { datapath_type: datapathType } },
  ...countConfiguration(root),
]
export const removeBridge = (root: string, bridge: BridgeRow): readonly Operation[] => [
  inSet(root, 'Open_vSwitch', 'bridges', 'delete', ['uuid', bridge.uuid]),
  ...countConfiguration(root),
]

export interface PortWish extends PortChange { readonly name: string; readonly internal: boolean }
export const addPort = (root: string, bridge: BridgeRow, wish: PortWish): readonly Operation[] => [
  expectName('Bridge', bridge.uuid, bridge.name),
  {
    op: 'insert', table: 'Interface', 'uuid-name': 'newinterface',
    row: { name: wish.name, type: wish.internal ? 'internal' : '', external_ids: mapValue(MARK) },
  },
  { op: 'insert', table: 'Port', 'uuid-name': 'newport', row: { name: wish.name, interfaces: namedUuid('newinterface'), ...vlanColumns(wish), external_ids: mapValue(MARK) } },
  inSet(bridge.uuid, 'Bridge', 'ports', 'insert', ['named-uuid', 'newport']),
  ...countConfiguration(root),
]

/** Only the columns that change; setting a tag clears the trunk and the other way round, and the mode is left to follow from them. */
function vlanColumns({ vlanTag, trunkTags }: PortChange): Readonly<Record<string, unknown>> {
  const columns: Record<string, unknown> = {}
  if (vlanTag !== undefined) columns['tag'] = vlanTag === 0 ? setValue([]) : vlanTag
  if (trunkTags !== undefined) columns['trunks'] = setValue(trunkTags)
  if (vlanTag !== undefined && vlanTag > 0) columns['trunks'] = setValue([])
  if (trunkTags !== undefined && trunkTags.length > 0) columns['tag'] = setValue([])
  return Object.keys(columns).length === 0 ? columns : { ...columns, vlan_mode: setValue([]) }
}

/** QoS rows that limit this port and no other: Kumoi's by their mark, and the one it points at (libvirt makes one too). */
function qosOf(port: PortRow, tables: Tables): readonly string[] {
  const elsewhere = new Set([...rowsOf(tables, 'Port')].filter(([uuid]) => uuid !== port.uuid).map(([, row]) => readText(row['qos'])))
  const current = readText(port.row['qos'])
  return [...rowsOf(tables, 'QoS')]
    .filter(([uuid, row]) => !elsewhere.has(uuid) && (uuid === current || readMap(row['external_ids'])['kumoi-port'] === port.uuid))
    .map(([uuid]) => uuid)
}

/** Ingress by policing of each interface, egress by HTB; 0 takes both away. */
function rateOperations(port: PortRow, rateKiBps: number, tables: Tables): readonly Operation[] {
  const kilobits = kilobitsOf(rateKiBps)
  const police: Operation[] = port.interfaces.map(({ uuid }) => ({
    op: 'update', table: 'Interface', where: is(uuid),
    // A burst of a tenth of a second's traffic, and never under a few packets: what ovs-vswitchd.conf.db(5) advises.
    row: { ingress_policing_rate: kilobits, ingress_policing_burst: kilobits === 0 ? 0 : Math.max(Math.round(kilobits / 10), 128) },
  }))
  const old: Operation[] = qosOf(port, tables).map((uuid) => ({ op: 'delete', table: 'QoS', where: is(uuid) }))
  if (rateKiBps === 0) return [...police, { op: 'update', table: 'Port', where: is(port.uuid), row: { qos: setValue([]) } }, ...old]
  return [
    ...police,
    { op: 'insert', table: 'QoS', 'uuid-name': 'newqos', row: { type: 'linux-htb', other_config: mapValue({ 'max-rate': String(bitsOf(rateKiBps)) }), external_ids: mapValue({ ...MARK, 'kumoi-port': port.uuid }) } },
    { op: 'update', table: 'Port', where: is(port.uuid), row: { qos: namedUuid('newqos') } },
    ...old,
  ]
}

export const changePort = (root: string, port: PortRow, change: PortChange, tables: Tables): readonly Operation[] => {
  const vlan = vlanColumns(change)
  return [
    expectName('Port', port.uuid, port.name),
    ...(Object.keys(vlan).length === 0 ? [] : [{ op: 'update' as const, table: 'Port', where: is(port.uuid), row: vlan }]),
    ...(change.rateKiBps === undefined ? [] : rateOperations(port, change.rateKiBps, tables)),
    ...countConfiguration(root),
  ]
}
export const removePort = (root: string, port: PortRow, tables: Tables): readonly Operation[] => [
  inSet(port.bridge.uuid, 'Bridge', 'ports', 'delete', ['uuid', port.uuid]),
  ...qosOf(port, tables).map((uuid) => ({ op: 'delete' as const, table: 'QoS', where: is(uuid) })),
  ...countConfiguration(root),
]
