// What users see of switches and ports, from what their driver and the hypervisor say. Pure.
//
//   SwitchRecord, PortRecord, domains --> attributes --differences--> events

import { isDeepStrictEqual } from 'node:util'
import type { DomainRecord } from '../../driver/contract.ts'
import type { PortAttributes } from '../../kinds/port.ts'
import type { SwitchAttributes } from '../../kinds/switch.ts'
import type { ObjectEvent } from '../../object.ts'
import type { InterfaceDevice } from '../../settings.ts'
import type { PortRecord, SwitchRecord } from '../contract.ts'

const ACTIVE: ReadonlySet<DomainRecord['state']> = new Set(['running', 'paused', 'stopping'])
const interfacesOf = ({ settings }: DomainRecord): readonly InterfaceDevice[] => settings.devices.filter((device) => device.type === 'interface')
/** A tap's address is the guest's with another first octet (libvirt: fe). */
const tail = (mac: string): string => mac.toLowerCase().slice(2)

/** The VM that a port is an interface of: as the switch was told, else the active one with that device name, else with that address. */
export function ownerOf(port: PortRecord, domains: readonly DomainRecord[]): DomainRecord | undefined {
  const told = port.vmUuid === undefined ? undefined : domains.find((domain) => domain.uuid === port.vmUuid)
  if (told !== undefined) return told
  const active = domains.filter((domain) => ACTIVE.has(domain.state))
  return active.find((domain) => interfacesOf(domain).some((device) => device.target === port.name))
    ?? active.find((domain) => interfacesOf(domain).some((device) => device.mac !== undefined && port.mac !== undefined && device.target === undefined && tail(device.mac) === tail(port.mac)))
}

export const switchAttributes = ({ uuid, name, type, datapath, up }: SwitchRecord, host: string): SwitchAttributes => ({ name, uuid, type, datapath, host, up })

export const portAttributes = (port: PortRecord, around: { readonly switchName: string; readonly host: string; readonly vmName: string }): PortAttributes => {
  const { uuid, name, vlanTag, trunkTags, rateKiBps, linkUp, receivedBytes, sentBytes } = port
  return { name, uuid, ...around, vlanTag, trunkTags, rateKiBps, linkUp, receivedBytes, sentBytes }
}

export function switchEvents(before: SwitchAttributes, now: SwitchAttributes, atMs: number): readonly ObjectEvent[] {
  const events: (ObjectEvent & Readonly<Record<string, unknown>>)[] = []
  if (before.up !== now.up) events.push({ type: now.up ? 'up' : 'down', atMs })
  if (before.datapath !== now.datapath) events.push({ type: 'changed', atMs, datapath: now.datapath })
  return events
}

/** Counters change all the time and are no events. */
export function portEvents(before: PortAttributes, now: PortAttributes, atMs: number): readonly ObjectEvent[] {
  const settings = ({ vlanTag, trunkTags, rateKiBps, vmName }: PortAttributes) => ({ vlanTag, trunkTags, rateKiBps, vmName })
  const events: (ObjectEvent & Readonly<Record<string, unknown>>)[] = []
  if (!isDeepStrictEqual(settings(before), settings(now))) events.push({ type: 'changed', atMs, ...settings(now) })
  if (before.linkUp !== now.linkUp) events.push({ type: now.linkUp ? 'up' : 'down', atMs })
  return events
}
