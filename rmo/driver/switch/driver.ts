// All switches of one machine: Linux bridges and Open vSwitch behind one SwitchDriver.
//
// Composes: an object's uuid says whose it is. Open vSwitch may come and go (its client reconnects by itself); a machine
// without iproute2 has no Linux bridges. A reading that fails on one side answers that side as last seen: what could not
// be read is unknown, not gone.

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { PortRecord, SwitchDriver, SwitchRecord } from '../../host/contract.ts'
import { createLinuxBridges } from '../bridge/bridges.ts'
import { createIproute } from '../bridge/iproute.ts'
import { uuidOfLink } from '../bridge/links.ts'
import { createShaping } from '../bridge/shaping.ts'
import type { Call } from '../contract.ts'
import { createOvsSwitches } from '../ovs/switches.ts'
import { checkName } from './rules.ts'

export interface SwitchDriverOptions {
  readonly clock: Clock
  /** Uuid of the PhysicalMachine: what the uuids of Linux bridges are made from. */
  readonly machineUuid: string
  readonly hostName: () => string
  /** OVSDB socket; default /var/run/openvswitch/db.sock. */
  readonly ovsSocket?: string
  /** Network namespace (of `ip netns`) whose devices these are; default: the process's own. */
  readonly namespace?: string
}

export const OVS_SOCKET = '/var/run/openvswitch/db.sock'

export function createSwitchDriver({ clock, machineUuid, hostName, ovsSocket = OVS_SOCKET, namespace }: SwitchDriverOptions): SwitchDriver {
  const iproute = createIproute({ clock, namespace, hostName })
  const shaping = createShaping(iproute)
  const linux = createLinuxBridges({ clock, machineUuid, hostName, iproute, shaping })
  const ovs = createOvsSwitches({ socketPath: ovsSocket, clock, hostName, whyNotLimited: (device, call) => shaping.missing(device, call) })

  const bounded = (): Call => {
    const endsAtMs = clock.nowMs() + LIMITS.iprouteTimeoutMs
    return { remainingMs: () => endsAtMs - clock.nowMs() }
  }
  const readLinux = async (): Promise<{ readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] }> => {
    try {
      return await linux.inventory(bounded())
    } catch {
      return linux.known()
    }
  }
  const ovsHasSwitch = (uuid: string): boolean => ovs.inventory().switches.some((one) => one.uuid === uuid)
  const nameOf = (uuid: string): string => ovs.inventory().switches.find((one) => one.uuid === uuid)?.name ?? uuid
  const ovsHasPort = (uuid: string): boolean => ovs.inventory().ports.some((one) => one.uuid === uuid)

  /** A device that exists under the name, which Open vSwitch would fail on later or fight over, and the bridge it is in. */
  const deviceOf = async (name: string, call: Call): Promise<{ readonly kind: string; readonly bridge: string | undefined } | undefined> => {
    try {
      const links = await linux.links(call)
      const device = links.find((link) => link.name === name)
      return device && { kind: device.kind, bridge: links.find((link) => link.name === device.master && link.kind === 'bridge')?.name }
    } catch (error) {
      if (errorCode(error) === RMO.TOOL_MISSING.code) return undefined
      throw error
    }
  }

  return {
    async open() { await Promise.all([linux.open(), ovs.open(), readLinux()]) },
    async close() { await Promise.all([linux.close(), ovs.close()]) },
    async inventory() {
      const [bridges, own] = [await readLinux(), ovs.inventory()]
      return { switches: [...own.switches, ...bridges.switches], ports: [...own.ports, ...bridges.ports] }
    },
    onChange(listener) {
      const stops = [linux.onChange(listener), ovs.onChange(listener)]
      return () => { for (const stop of stops) stop() }
    },
    async createSwitch(name, type, call) {
      checkName('createSwitch', name)
      const there = ovs.inventory().switches.find((one) => one.name === name)
      if (type === 'linux') {
        if (there !== undefined) throw RMO.NAME_TAKEN({ kind: 'Switch', name, host: hostName(), uuid: there.uuid })
        return linux.createSwitch(name, call)
      }
      const device = there === undefined ? await deviceOf(name, call) : undefined
      if (device !== undefined) throw RMO.NAME_TAKEN({ kind: device.kind === 'bridge' ? 'Switch' : 'network interface', name, host: hostName(), uuid: uuidOfLink(machineUuid, 'switch', name) })
      return ovs.createSwitch(name, call)
    },
    removeSwitch: (uuid, call) => ovsHasSwitch(uuid) ? ovs.removeSwitch(uuid, call) : linux.removeSwitch(uuid, call),
    async addPort(switchUuid, port, call) {
      const there = ovs.inventory().ports.find((one) => one.name === port.name)
      if (!ovsHasSwitch(switchUuid)) {
        // A userspace datapath holds a device without being its master.
        if (there !== undefined) throw RMO.IN_USE({ kind: 'Port', name: port.name, by: [nameOf(there.switchUuid)] })
        return linux.addPort(switchUuid, port, call)
      }
      checkName('addPort', port.name)
      const bridge = there === undefined ? (await deviceOf(port.name, call))?.bridge : undefined
      if (bridge !== undefined) throw RMO.IN_USE({ kind: 'Port', name: port.name, by: [bridge] })
      return ovs.addPort(switchUuid, port, call)
    },
    changePort: (uuid, change, call) => ovsHasPort(uuid) ? ovs.changePort(uuid, change, call) : linux.changePort(uuid, change, call),
    removePort: (uuid, call) => ovsHasPort(uuid) ? ovs.removePort(uuid, call) : linux.removePort(uuid, call),
    typeOf: (bridge) => ovs.typeOf(bridge) ?? (linux.known().switches.some((one) => one.name === bridge) ? 'linux' : undefined),
  }
}
