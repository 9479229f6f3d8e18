// Linux bridges as switches and ports, by `ip link`.
//
// VLANs: refused (DRIVER_UNSUPPORTED). Filtering on a bridge is a build option that kernels lack and that libvirt's
// interfaces on Linux bridges do not use; who wants tags takes Open vSwitch. Ports are devices that exist already (veth,
// tap, a network card); removing a port takes the device out of the bridge and leaves it.

import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { PortRecord, SwitchDriver, SwitchRecord } from '../../host/contract.ts'
import type { Call } from '../contract.ts'
import { checkChange, checkName, vlanOf } from '../switch/rules.ts'
import type { PortChange } from '../switch/rules.ts'
import type { Iproute } from './iproute.ts'
import { bridgeRecords, readLinks, readRates, uuidOfLink } from './links.ts'
import type { Link } from './links.ts'
import type { Shaping } from './shaping.ts'
import { watchLinks } from './watch.ts'
import type { LinkWatch } from './watch.ts'

export interface BridgesOptions {
  readonly clock: Clock
  readonly machineUuid: string
  readonly hostName: () => string
  readonly iproute: Iproute
  readonly shaping: Shaping
}
type Records = { readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] }
export type LinuxBridges = Omit<SwitchDriver, 'inventory' | 'createSwitch' | 'typeOf'> & {
  inventory(call: Call): Promise<Records>
  /** As of the last inventory. */
  known(): Records
  createSwitch(name: string, call: Call): Promise<SwitchRecord>
  /** Every link of the machine, bridges or not. */
  links(call: Call): Promise<readonly Link[]>
}

const unsupportedVlan = (name: string): Error =>
  RMO.DRIVER_UNSUPPORTED({ operation: `a VLAN on port ${name}`, driver: 'linux bridge', reason: 'Linux bridges are used without VLAN filtering; plug it into an Open vSwitch' })

export function createLinuxBridges({ clock, machineUuid, hostName, iproute, shaping }: BridgesOptions): LinuxBridges {
  const listeners = new Set<() => void>()
  let watch: LinkWatch | undefined
  let known: Records = { switches: [], ports: [] }

  const links: LinuxBridges['links'] = async (call) =>
    readLinks(await iproute.json('ip', ['-d', '-s', 'link', 'show'], { operation: 'reading', name: 'the links' }, call))
  const inventory: LinuxBridges['inventory'] = async (call) => {
    const [all, qdiscs] = await Promise.all([links(call), iproute.json('tc', ['qdisc', 'show'], { operation: 'reading', name: 'the rates' }, call)])
    known = bridgeRecords(all, readRates(qdiscs), machineUuid)
    return known
  }
  const ip = (operation: string, name: string, args: readonly string[], call: Call): Promise<string> => iproute.run('ip', args, { operation, name }, call)
  const switchOf = (records: Records, uuid: string): SwitchRecord | undefined => records.switches.find((one) => one.uuid === uuid)
  const need = <T>(found: T | undefined, kind: string, name: string): T => {
    if (found === undefined) throw RMO.GONE({ kind, name, reason: `there is no such ${kind.toLowerCase()} on ${hostName()}` })
    return found
  }

  const change = async (port: PortRecord, { vlanTag = 0, trunkTags = [], rateKiBps }: PortChange, call: Call): Promise<void> => {
    if (vlanTag > 0 || trunkTags.length > 0) throw unsupportedVlan(port.name)
    if (rateKiBps !== undefined && rateKiBps !== port.rateKiBps) await shaping.limit(port.name, rateKiBps, call)
  }

  return {
    async open() {
      watch ??= watchLinks({ start: () => iproute.monitor(), clock, onChange: () => { for (const listener of [...listeners]) listener() } })
    },
    async close() { watch?.stop() },
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    inventory,
    known: () => known,
    links,
    async createSwitch(name, call) {
      checkName('createSwitch', name)
      const there = (await links(call)).find((link) => link.name === name)
      if (there !== undefined && there.kind !== 'bridge') throw RMO.NAME_TAKEN({ kind: 'network interface', name, host: hostName(), uuid: uuidOfLink(machineUuid, 'port', name) })
      if (there === undefined) {
        await ip('createSwitch', name, ['link', 'add', 'name', name, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0'], call)
        await ip('createSwitch', name, ['link', 'set', 'dev', name, 'alias', 'kumoi'], call)
      }
      if (there?.up !== true) await ip('createSwitch', name, ['link', 'set', 'dev', name, 'up'], call)
      const uuid = uuidOfLink(machineUuid, 'switch', name)
      return need(switchOf(await inventory(call), uuid), 'Switch', name)
    },
    async removeSwitch(uuid, call) {
      const records = await inventory(call)
      const own = switchOf(records, uuid)
      if (own === undefined) return
      const ports = records.ports.filter((port) => port.switchUuid === uuid)
      if (ports.length > 0) throw RMO.IN_USE({ kind: 'Switch', name: own.name, by: ports.map((port) => port.name) })
      await ip('removeSwitch', own.name, ['link', 'del', 'dev', own.name], call)
    },
    async addPort(switchUuid, { name, vlan, rateKiBps = 0, internal }, call) {
      checkName('addPort', name)
      const { vlanTag, trunkTags } = vlanOf(vlan)
      checkChange('addPort', { vlanTag, trunkTags, rateKiBps })
      if (vlanTag > 0 || trunkTags.length > 0) throw unsupportedVlan(name)
      if (internal === true) throw RMO.DRIVER_UNSUPPORTED({ operation: `internal port ${name}`, driver: 'linux bridge', reason: 'a Linux bridge has no ports of its own; make a veth pair and add one end' })
      const records = await inventory(call)
      const bridge = need(switchOf(records, switchUuid), 'Switch', switchUuid)
      const device = (await links(call)).find((link) => link.name === name)
      if (device === undefined) throw RMO.SWITCH_FAILED({ operation: 'addPort', name, text: `there is no network device ${name} on ${hostName()}` })
      const there = records.ports.find((port) => port.name === name)
      if (there === undefined ? device.master !== '' : there.switchUuid !== switchUuid) throw RMO.IN_USE({ kind: 'Port', name, by: [device.master] })
      if (there === undefined) await ip('addPort', name, ['link', 'set', 'dev', name, 'master', bridge.name], call)
      const uuid = uuidOfLink(machineUuid, 'port', name)
      try {
        const added = need((await inventory(call)).ports.find((port) => port.uuid === uuid), 'Port', name)
        await change(added, { rateKiBps }, call)
      } catch (error) {
        if (there === undefined) await ip('undoing addPort', name, ['link', 'set', 'dev', name, 'nomaster'], call)
        throw error
      }
      return need((await inventory(call)).ports.find((port) => port.uuid === uuid), 'Port', name)
    },
    async changePort(uuid, wish, call) {
      checkChange('changePort', wish)
      await change(need((await inventory(call)).ports.find((port) => port.uuid === uuid), 'Port', uuid), wish, call)
    },
    async removePort(uuid, call) {
      const port = (await inventory(call)).ports.find((one) => one.uuid === uuid)
      if (port === undefined) return
      if (port.rateKiBps > 0) await shaping.limit(port.name, 0, call)
      await ip('removePort', port.name, ['link', 'set', 'dev', port.name, 'nomaster'], call)
    },
  }
}
