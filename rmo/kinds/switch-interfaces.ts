// Switches and their ports as users hold them. Types only; interfaces.ts gives them out with the rest.

import type { Collection } from '../../functions/mod.ts'
import type { LostEvent, ObjectEvent, ResourceObject } from '../object.ts'

export interface PortOptions { readonly name: string; readonly vlan?: { readonly tag: number } | { readonly trunk: readonly number[] }; readonly rateKiBps?: number; readonly internal?: boolean }
export interface SwitchInfo { readonly name: string; readonly uuid: string; readonly host: string; readonly type: 'linux' | 'openvswitch'; readonly datapath: string; readonly ports: readonly string[] }
export interface SwitchStats { readonly atMs: number; readonly ports: number; readonly portsUp: number; readonly receivedBytes: number; readonly sentBytes: number }
export type SwitchEvent =
  | ({ readonly type: 'portAdded' | 'portRemoved'; readonly uuid: string; readonly name: string } & ObjectEvent)
  | ({ readonly type: 'up' | 'down' } & ObjectEvent)
  | ({ readonly type: 'changed'; readonly datapath: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | LostEvent
export interface Switch extends ResourceObject<SwitchInfo, SwitchStats, SwitchEvent> {
  readonly type: 'linux' | 'openvswitch'
  /** Open vSwitch: "system" or "netdev"; "" for a Linux bridge. */
  readonly datapath: string
  readonly host: string
  readonly up: boolean
  readonly ports: Collection<Port>
  addPort(port: PortOptions): Promise<Port>
  removePort(port: Port): Promise<void>
  remove(): Promise<void>
}
export interface PortInfo { readonly name: string; readonly uuid: string; readonly host: string; readonly switchName: string; readonly switchUuid: string; readonly mac: string; readonly vmName: string }
export interface PortStats { readonly atMs: number; readonly linkUp: boolean; readonly receivedBytes: number; readonly sentBytes: number }
export type PortEvent =
  | ({ readonly type: 'up' | 'down' } & ObjectEvent)
  | ({ readonly type: 'changed'; readonly vlanTag: number; readonly trunkTags: readonly number[]; readonly rateKiBps: number; readonly vmName: string } & ObjectEvent)
  | ({ readonly type: 'gone'; readonly reason: string } & ObjectEvent)
  | LostEvent
export interface Port extends ResourceObject<PortInfo, PortStats, PortEvent> {
  readonly switchName: string
  readonly host: string
  /** 802.1Q tag; 0 when untagged. Settable (Open vSwitch only). */
  vlanTag: number
  /** Tags of a trunk; empty: all. */
  trunkTags: readonly number[]
  /** 0: no limit. */
  rateKiBps: number
  readonly linkUp: boolean
  /** Name of the VM whose interface it is; "" when none. */
  readonly vmName: string
  readonly receivedBytes: number
  readonly sentBytes: number
  remove(): Promise<void>
}
