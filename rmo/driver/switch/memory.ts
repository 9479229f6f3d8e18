// Switches of a simulated machine: the same SwitchDriver, nothing but memory. For memory hosts, tests and research.
//
// Same refusals and same idempotence as the real ones (one conformance suite, test/conformance/switch.ts). Devices that
// a port needs are there unless `hasDevice` says otherwise. `simulate` is what a simulated world does from outside: a VM
// plugs its interface, a cable is pulled, traffic flows.

import type { Random } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { PortRecord, SwitchDriver, SwitchRecord } from '../../host/contract.ts'
import { randomUuid } from '../../uuid.ts'
import { uuidOfLink } from '../bridge/links.ts'
import { checkChange, checkName, sortedTags, vlanOf } from './rules.ts'
import type { PortChange } from './rules.ts'

export interface MemorySwitchesOptions {
  readonly machineUuid: string
  readonly random: Random
  readonly hostName: () => string
  readonly hasDevice?: (name: string) => boolean
}
export interface MemorySwitches extends SwitchDriver {
  /** What happens to switches from outside. */
  readonly simulate: {
    /** As a hypervisor plugs an interface. */
    plug(switchName: string, port: { readonly name: string; readonly mac?: string; readonly vmUuid?: string; readonly vlanTag?: number }): PortRecord
    unplug(name: string): void
    setLink(name: string, link: 'up' | 'down'): void
    traffic(name: string, bytes: { readonly receivedBytes: number; readonly sentBytes: number }): void
  }
}

export function createMemorySwitches({ machineUuid, random, hostName, hasDevice = () => true }: MemorySwitchesOptions): MemorySwitches {
  const switches = new Map<string, SwitchRecord>()
  const ports = new Map<string, PortRecord>()
  const listeners = new Set<() => void>()
  const changed = (): void => { for (const listener of [...listeners]) listener() }

  const switchNamed = (name: string): SwitchRecord | undefined => [...switches.values()].find((one) => one.name === name)
  const portNamed = (name: string): PortRecord | undefined => [...ports.values()].find((one) => one.name === name)
  const identity = (type: SwitchRecord['type'], what: 'switch' | 'port', name: string): string => type === 'linux' ? uuidOfLink(machineUuid, what, name) : randomUuid(random)
  const put = (port: PortRecord): PortRecord => {
    ports.set(port.uuid, port)
    changed()
    return port
  }
  const refuseVlan = (owner: SwitchRecord | undefined, name: string, { vlanTag = 0, trunkTags = [] }: PortChange): void => {
    if (owner?.type === 'linux' && (vlanTag > 0 || trunkTags.length > 0)) throw RMO.DRIVER_UNSUPPORTED({ operation: `a VLAN on port ${name}`, driver: 'linux bridge', reason: 'Linux bridges are used without VLAN filtering; plug it into an Open vSwitch' })
  }
  const newPort = (owner: SwitchRecord, port: Pick<PortRecord, 'name'> & Partial<PortRecord>): PortRecord => put({
    vlanTag: 0, trunkTags: [], rateKiBps: 0, linkUp: true, receivedBytes: 0, sentBytes: 0,
    ...port, uuid: identity(owner.type, 'port', port.name), switchUuid: owner.uuid,
  })

  return {
    async open() {},
    async close() {},
    async inventory() { return { switches: [...switches.values()], ports: [...ports.values()] } },
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    async createSwitch(name, type) {
      checkName('createSwitch', name)
      const there = switchNamed(name)
      if (there?.type === type) return there
      const taken = there ?? portNamed(name)
      if (taken !== undefined) throw RMO.NAME_TAKEN({ kind: there === undefined ? 'Port' : 'Switch', name, host: hostName(), uuid: taken.uuid })
      const made: SwitchRecord = { uuid: identity(type, 'switch', name), name, type, datapath: type === 'linux' ? '' : 'netdev', up: true }
      switches.set(made.uuid, made)
      changed()
      return made
    },
    async removeSwitch(uuid) {
      const own = switches.get(uuid)
      if (own === undefined) return
      const by = [...ports.values()].filter((port) => port.switchUuid === uuid).map((port) => port.name)
      if (by.length > 0) throw RMO.IN_USE({ kind: 'Switch', name: own.name, by })
      switches.delete(uuid)
      changed()
    },
    async addPort(switchUuid, { name, vlan, rateKiBps = 0, internal = false }) {
      checkName('addPort', name)
      const tags = vlanOf(vlan)
      checkChange('addPort', { ...tags, rateKiBps })
      const owner = switches.get(switchUuid)
      if (owner === undefined) throw RMO.GONE({ kind: 'Switch', name: switchUuid, reason: `there is no such switch on ${hostName()}` })
      refuseVlan(owner, name, tags)
      if (internal && owner.type === 'linux') throw RMO.DRIVER_UNSUPPORTED({ operation: `internal port ${name}`, driver: 'linux bridge', reason: 'a Linux bridge has no ports of its own; make a veth pair and add one end' })
      const there = portNamed(name)
      if (there !== undefined) {
        const same = there.switchUuid === switchUuid && there.vlanTag === tags.vlanTag && String(there.trunkTags) === String(tags.trunkTags) && there.rateKiBps === rateKiBps
        if (same) return there
        const by = switches.get(there.switchUuid)
        throw owner.type === 'linux' || by?.type === 'linux'
          ? RMO.IN_USE({ kind: 'Port', name, by: [by?.name ?? there.switchUuid] })
          : RMO.NAME_TAKEN({ kind: 'Port', name, host: hostName(), uuid: there.uuid })
      }
      if (!internal && !hasDevice(name)) throw RMO.SWITCH_FAILED({ operation: 'addPort', name, text: `there is no network device ${name} on ${hostName()}` })
      return newPort(owner, { name, ...tags, rateKiBps, linkUp: !internal })
    },
    async changePort(uuid, change) {
      checkChange('changePort', change)
      const port = ports.get(uuid)
      if (port === undefined) throw RMO.GONE({ kind: 'Port', name: uuid, reason: `there is no such port on ${hostName()}` })
      refuseVlan(switches.get(port.switchUuid), port.name, change)
      const { vlanTag, trunkTags, rateKiBps } = change
      put({
        ...port,
        ...(rateKiBps === undefined ? {} : { rateKiBps }),
        ...(trunkTags === undefined ? {} : { trunkTags: sortedTags(trunkTags), ...(trunkTags.length > 0 ? { vlanTag: 0 } : {}) }),
        ...(vlanTag === undefined ? {} : { vlanTag, ...(vlanTag > 0 ? { trunkTags: [] } : {}) }),
      })
    },
    async removePort(uuid) {
      if (ports.delete(uuid)) changed()
    },
    typeOf: (bridge) => switchNamed(bridge)?.type,
    simulate: {
      plug(switchName, { name, ...rest }) {
        const owner = switchNamed(switchName)
        if (owner === undefined) throw RMO.GONE({ kind: 'Switch', name: switchName, reason: `there is no such switch on ${hostName()}` })
        return newPort(owner, { name, ...rest })
      },
      unplug(name) {
        const port = portNamed(name)
        if (port !== undefined && ports.delete(port.uuid)) changed()
      },
      setLink(name, link) {
        const port = portNamed(name)
        if (port !== undefined) put({ ...port, linkUp: link === 'up' })
      },
      traffic(name, bytes) {
        const port = portNamed(name)
        if (port !== undefined) put({ ...port, receivedBytes: port.receivedBytes + bytes.receivedBytes, sentBytes: port.sentBytes + bytes.sentBytes })
      },
    },
  }
}
