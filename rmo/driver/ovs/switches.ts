// Open vSwitch as switches and ports: changes its database and waits until ovs-vswitchd has carried the change out.
//
//   createSwitch/addPort/... --transact--> ovsdb-server --> ovs-vswitchd: cur_cfg >= our next_cfg --> look at the outcome
//
// What the daemon could not do (a device that is not there, a datapath that the kernel lacks) stands in the rows
// afterwards: then the change is taken back and the error says so. Datapath: the kernel's ("system") is tried first and
// userspace ("netdev") when the bridge gets no working local port; what worked is remembered. Idempotent: what is there
// as asked for is answered; what is gone is removed.

import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { PortRecord, SwitchDriver, SwitchRecord } from '../../host/contract.ts'
import type { Call } from '../contract.ts'
import { checkChange, checkName, sortedTags, vlanOf } from '../switch/rules.ts'
import type { PortChange, Purpose } from '../switch/rules.ts'
import { createOvsdbClient } from './client.ts'
import type { Operation, OperationResult } from './client.ts'
import { addBridge, addPort, changePort, removeBridge, removePort, rootOf, setDatapath } from './operations.ts'
import { COLUMNS, bridgesOf, errorOf, inventoryOf, isInternal, isLocalPort, ofportOf, portRecord, portsOf, switchRecord } from './records.ts'
import type { BridgeRow, PortRow } from './records.ts'
import { rowsOf } from './tables.ts'
import { readNumber, readText } from './values.ts'

export interface OvsOptions {
  readonly socketPath: string
  readonly clock: Clock
  readonly hostName: () => string
  /** Is the limit really in force at the device, both ways? undefined: it is; else what is missing. ovs-vswitchd tells nobody but its log. */
  readonly whyNotLimited: (device: string, call: Call) => Promise<string | undefined>
}
export type OvsSwitches = Omit<SwitchDriver, 'inventory' | 'createSwitch'> & {
  /** From memory: as last seen. */
  inventory(): { readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] }
  createSwitch(name: string, call: Call): Promise<SwitchRecord>
}

/** Undoing has time of its own: the call's may be what ran out. */
const UNDO_MS = 2_000

export function createOvsSwitches({ socketPath, clock, hostName, whyNotLimited }: OvsOptions): OvsSwitches {
  const client = createOvsdbClient({ socketPath, clock, columns: COLUMNS })
  let datapathType: '' | 'netdev' = ''

  const undoCall = (): Call => {
    const endsAtMs = clock.nowMs() + UNDO_MS
    return { remainingMs: () => endsAtMs - clock.nowMs() }
  }
  const root = (purpose: Purpose): string => {
    const found = rootOf(client.tables())
    if (found === undefined) throw RMO.SWITCH_UNAVAILABLE({ socket: socketPath, reason: client.synced ? 'its database has no Open_vSwitch row' : 'not connected' })
    if (!client.synced) throw RMO.SWITCH_UNAVAILABLE({ socket: socketPath, reason: `${purpose.operation} needs the connection, which is being made again` })
    return found
  }
  /** Transacts, then waits until the daemon has looked at it. */
  const carryOut = async (operations: readonly Operation[], purpose: Purpose, call: Call): Promise<readonly OperationResult[]> => {
    const results = await client.transact(operations, purpose, call)
    const next = readNumber((results.at(-1)?.rows?.[0] as Readonly<Record<string, unknown>> | undefined)?.['next_cfg']) ?? 0
    await client.until((tables) => [...rowsOf(tables, 'Open_vSwitch').values()].some((row) => (readNumber(row['cur_cfg']) ?? 0) >= next) ? true : undefined, purpose, call)
    return results
  }
  const bridgeByUuid = (uuid: string): BridgeRow | undefined => bridgesOf(client.tables()).find((bridge) => bridge.uuid === uuid)
  const bridgeByName = (name: string): BridgeRow | undefined => bridgesOf(client.tables()).find((bridge) => bridge.name === name)
  const portByUuid = (uuid: string): PortRow | undefined => portsOf(client.tables()).find((port) => port.uuid === uuid)
  const portByName = (name: string): PortRow | undefined => portsOf(client.tables()).find((port) => port.name === name)
  const works = (port: PortRow | undefined): boolean => port !== undefined && (ofportOf(port) ?? -1) > 0

  const undo = async (operations: readonly Operation[], { operation, name }: Purpose, left: string, cause: unknown): Promise<void> => {
    try {
      await client.transact(operations, { operation: `undoing ${operation}`, name }, undoCall())
    } catch {
      throw RMO.PARTLY_DONE({ operation, name, reason: cause instanceof Error ? cause.message : String(cause), left: [left] }, { cause })
    }
  }

  const createSwitch: OvsSwitches['createSwitch'] = async (name, call) => {
    checkName('createSwitch', name)
    const purpose: Purpose = { operation: 'createSwitch', name }
    const own = root(purpose)
    const there = bridgeByName(name)
    if (there !== undefined) return switchRecord(there)
    const taken = portByName(name)
    if (taken !== undefined) throw RMO.NAME_TAKEN({ kind: 'Port', name, host: hostName(), uuid: taken.uuid })
    await carryOut(addBridge(own, name, datapathType), purpose, call)
    let bridge = bridgeByName(name)
    if (bridge !== undefined && !works(portByName(name)) && datapathType === '') {
      await carryOut(setDatapath(own, bridge, 'netdev'), purpose, call)
      if (works(portByName(name))) datapathType = 'netdev'
    }
    bridge = bridgeByName(name)
    const local = portByName(name)
    if (bridge !== undefined && works(local)) return switchRecord(bridge)
    const failure = RMO.SWITCH_FAILED({ ...purpose, text: (local === undefined ? '' : errorOf(local)) || 'neither the kernel datapath nor the userspace one could make it' })
    if (bridge !== undefined) await undo(removeBridge(own, bridge), purpose, `bridge ${name}`, failure)
    throw failure
  }

  const changeRow = async (port: PortRow, change: PortChange, purpose: Purpose, call: Call): Promise<void> => {
    const own = root(purpose)
    const before = portRecord(port, client.tables())
    if ((change.rateKiBps ?? 0) > 0 && isInternal(port) && readText(port.bridge.row['datapath_type']) === 'netdev') {
      // Userspace writes to the tap's file: no queueing discipline lies on that way.
      throw RMO.DRIVER_UNSUPPORTED({ operation: `a rate limit on port ${port.name}`, driver: 'openvswitch', reason: 'internal ports of a userspace datapath have no queue that could be limited' })
    }
    await carryOut(changePort(own, port, change, client.tables()), purpose, call)
    if (change.rateKiBps === undefined || change.rateKiBps === 0) return
    const why = await whyNotLimited(port.name, call)
    if (why === undefined) return
    const failure = RMO.DRIVER_UNSUPPORTED({ operation: `a rate limit on port ${port.name}`, driver: 'openvswitch', reason: why })
    const now = portByUuid(port.uuid)
    const { vlanTag, trunkTags, rateKiBps } = before
    const old: PortChange = { vlanTag, ...(vlanTag > 0 ? {} : { trunkTags }), rateKiBps }
    if (now !== undefined) await undo(changePort(own, now, old, client.tables()), purpose, `the limit of port ${port.name}`, failure)
    throw failure
  }

  const plug: OvsSwitches['addPort'] = async (switchUuid, port, call) => {
    const { name, rateKiBps = 0, internal = false } = port
    const vlan = vlanOf(port.vlan)
    checkName('addPort', name)
    checkChange('addPort', { ...vlan, rateKiBps })
    const purpose: Purpose = { operation: 'addPort', name }
    const own = root(purpose)
    const bridge = bridgeByUuid(switchUuid)
    if (bridge === undefined) throw RMO.GONE({ kind: 'Switch', name: switchUuid, reason: 'there is no bridge with this uuid' })
    const there = portByName(name)
    if (there !== undefined) {
      const record = portRecord(there, client.tables())
      const same = there.bridge.uuid === switchUuid && !isLocalPort(there) && record.vlanTag === vlan.vlanTag && record.rateKiBps === rateKiBps && String(record.trunkTags) === String(vlan.trunkTags)
      if (same) return record
      throw RMO.NAME_TAKEN({ kind: 'Port', name, host: hostName(), uuid: there.uuid })
    }
    await carryOut(addPort(own, bridge, { ...vlan, name, internal }), purpose, call)
    const made = portByName(name)
    if (made === undefined) throw RMO.SWITCH_FAILED({ ...purpose, text: 'it was removed by somebody else at once' })
    if (!works(made)) {
      const failure = RMO.SWITCH_FAILED({ ...purpose, text: errorOf(made) || 'the switch could not open the device' })
      await undo(removePort(own, made, client.tables()), purpose, `port ${name}`, failure)
      throw failure
    }
    if (rateKiBps > 0) {
      try {
        await changeRow(made, { rateKiBps }, purpose, call)
      } catch (error) {
        await undo(removePort(own, portByUuid(made.uuid) ?? made, client.tables()), purpose, `port ${name}`, error)
        throw error
      }
    }
    return portRecord(portByUuid(made.uuid) ?? made, client.tables())
  }

  return {
    open: () => client.open(),
    async close() { client.close() },
    inventory: () => inventoryOf(client.tables()),
    onChange: (listener) => client.onChange(listener),
    createSwitch,
    async removeSwitch(uuid, call) {
      const bridge = bridgeByUuid(uuid)
      if (bridge === undefined) return
      const purpose: Purpose = { operation: 'removeSwitch', name: bridge.name }
      const own = root(purpose)
      const ports = portsOf(client.tables()).filter((port) => port.bridge.uuid === uuid && !isLocalPort(port))
      if (ports.length > 0) throw RMO.IN_USE({ kind: 'Switch', name: bridge.name, by: ports.map((port) => port.name) })
      await carryOut(removeBridge(own, bridge), purpose, call)
    },
    addPort: plug,
    async changePort(uuid, change, call) {
      checkChange('changePort', change)
      const port = portByUuid(uuid)
      if (port === undefined) throw RMO.GONE({ kind: 'Port', name: uuid, reason: 'there is no port with this uuid' })
      await changeRow(port, change.trunkTags === undefined ? change : { ...change, trunkTags: sortedTags(change.trunkTags) }, { operation: 'changePort', name: port.name }, call)
    },
    async removePort(uuid, call) {
      const port = portByUuid(uuid)
      if (port === undefined) return
      const purpose: Purpose = { operation: 'removePort', name: port.name }
      if (isLocalPort(port)) throw RMO.IN_USE({ kind: 'Port', name: port.name, by: [`switch ${port.bridge.name}, whose own port it is`] })
      await carryOut(removePort(root(purpose), port, client.tables()), purpose, call)
    },
    typeOf: (bridge) => bridgeByName(bridge) === undefined ? undefined : 'openvswitch',
  }
}
