// Switch and port records from the Open vSwitch database. Pure.
//
// A bridge's local port (same name as the bridge, as `ovs-vsctl list-ports` hides it too) belongs to the bridge and is
// not listed. A bond is one port: its counters are its interfaces' sums, it is up when one of them is.
// Identity: the row's _uuid. Of a port that libvirt plugged, external_ids:attached-mac and vm-id say whose it is.

import type { PortRecord, SwitchRecord } from '../../host/contract.ts'
import { sortedTags } from '../switch/rules.ts'
import { rowsOf } from './tables.ts'
import type { Tables } from './tables.ts'
import { readMap, readNumber, readNumbers, readText, readTexts } from './values.ts'
import type { Row } from './values.ts'

/** The columns that everything here reads: what the client monitors. */
export const COLUMNS = {
  Open_vSwitch: ['bridges', 'cur_cfg', 'next_cfg'],
  Bridge: ['name', 'ports', 'datapath_type', 'datapath_id', 'external_ids'],
  Port: ['name', 'interfaces', 'tag', 'trunks', 'vlan_mode', 'qos', 'external_ids'],
  Interface: ['name', 'type', 'error', 'ofport', 'link_state', 'mac_in_use', 'statistics', 'ingress_policing_rate', 'external_ids'],
  QoS: ['type', 'other_config', 'external_ids'],
} as const

/** OVS's kilobits are 1,000 bits; a rate read back is the rate that was set (rounding is below half a KiB/s). */
export const kilobitsOf = (rateKiBps: number): number => Math.round(rateKiBps * 8.192)
export const rateOfKilobits = (kilobits: number): number => Math.round(kilobits / 8.192)

export interface BridgeRow { readonly uuid: string; readonly row: Row; readonly name: string }
export interface PortRow { readonly uuid: string; readonly row: Row; readonly name: string; readonly bridge: BridgeRow; readonly interfaces: readonly { readonly uuid: string; readonly row: Row }[] }

export const bridgesOf = (tables: Tables): readonly BridgeRow[] =>
  [...rowsOf(tables, 'Bridge')].map(([uuid, row]) => ({ uuid, row, name: readText(row['name']) }))

/** Every port with its bridge, local ports too. */
export function portsOf(tables: Tables): readonly PortRow[] {
  const [ports, interfaces] = [rowsOf(tables, 'Port'), rowsOf(tables, 'Interface')]
  return bridgesOf(tables).flatMap((bridge) => readTexts(bridge.row['ports']).flatMap((uuid) => {
    const row = ports.get(uuid)
    if (row === undefined) return []
    const own = readTexts(row['interfaces']).flatMap((id) => {
      const found = interfaces.get(id)
      return found === undefined ? [] : [{ uuid: id, row: found }]
    })
    return [{ uuid, row, name: readText(row['name']), bridge, interfaces: own }]
  }))
}
export const isLocalPort = (port: PortRow): boolean => port.name === port.bridge.name

export const isInternal = (port: PortRow): boolean => port.interfaces.some(({ row }) => readText(row['type']) === 'internal')

/** OpenFlow number that ovs-vswitchd gave it: undefined while it has not looked, -1 when it could not. */
export const ofportOf = (port: PortRow): number | undefined => readNumber(port.interfaces[0]?.row['ofport'])
export const errorOf = (port: PortRow): string => port.interfaces.map(({ row }) => readText(row['error'])).find((error) => error !== '') ?? ''

function rateOf(port: PortRow, tables: Tables): number {
  const policed = readNumber(port.interfaces[0]?.row['ingress_policing_rate']) ?? 0
  if (policed > 0) return rateOfKilobits(policed)
  const shaped = Number(readMap(rowsOf(tables, 'QoS').get(readText(port.row['qos']))?.['other_config'])['max-rate'] ?? 0)
  return Number.isFinite(shaped) ? Math.round(shaped / 8_192) : 0
}

export const switchRecord = (bridge: BridgeRow): SwitchRecord => ({
  uuid: bridge.uuid, name: bridge.name, type: 'openvswitch',
  datapath: readText(bridge.row['datapath_type']) || 'system',
  // ovs-vswitchd gives a bridge its datapath id when the bridge works.
  up: readText(bridge.row['datapath_id']) !== '',
})

export function portRecord(port: PortRow, tables: Tables): PortRecord {
  const sum = (key: string): number => port.interfaces.reduce((total, { row }) => total + Number(readMap(row['statistics'])[key] ?? 0), 0)
  const ids = { ...readMap(port.row['external_ids']), ...readMap(port.interfaces[0]?.row['external_ids']) }
  const mac = ids['attached-mac'] ?? readText(port.interfaces[0]?.row['mac_in_use'])
  const vmUuid = ids['vm-id'] ?? ids['vm-uuid']
  return {
    uuid: port.uuid, name: port.name, switchUuid: port.bridge.uuid,
    vlanTag: readNumber(port.row['tag']) ?? 0,
    trunkTags: sortedTags(readNumbers(port.row['trunks'])),
    rateKiBps: rateOf(port, tables),
    linkUp: port.interfaces.some(({ row }) => readText(row['link_state']) === 'up'),
    ...(mac === '' ? {} : { mac: mac.toLowerCase() }),
    ...(vmUuid === undefined ? {} : { vmUuid }),
    // The switch's own counters: what the machine behind the port sent is "received" here.
    receivedBytes: sum('rx_bytes'), sentBytes: sum('tx_bytes'),
  }
}

export function inventoryOf(tables: Tables): { readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] } {
  return {
    switches: bridgesOf(tables).map(switchRecord),
    ports: portsOf(tables).filter((port) => !isLocalPort(port)).map((port) => portRecord(port, tables)),
  }
}
