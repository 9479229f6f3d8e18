// The room of switches and ports: what the switch driver says there is, as objects.
//
//   SwitchDriver --onChange--> refresh() --inventory--> settle() --add/remove--> LocalObjects, events
//   host: sync(inventory) ------------------------------^          (a port's VM comes from the hypervisor's inventory)
//
// Level-based: settle() compares the last inventory with the objects. One reading at a time; a change told while one runs
// makes another. Each verb reads again before it answers, so that what it made is there for the caller. An object's
// attributes stay the same value while nothing changed.

import type { ObjectKey } from '../../acl/contract.ts'
import { isDeepStrictEqual } from 'node:util'
import { LIMITS } from '../../../fabric/base.ts'
import type { Timer } from '../../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { byNameThenUuid } from '../../directory.ts'
import type { Inventory } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { PortOptions } from '../../kinds/interfaces.ts'
import type { LocalPort, PortAttributes } from '../../kinds/port.ts'
import type { LocalSwitch, SwitchAttributes } from '../../kinds/switch.ts'
import type { ObjectEvent } from '../../object.ts'
import type { HostContext, HostRoom, PortRecord, SwitchDriver, SwitchRecord } from '../contract.ts'
import { ownerOf, portAttributes, portEvents, switchAttributes, switchEvents } from './switch-view.ts'

export interface SwitchRoom extends HostRoom {
  /** First reading; watches from then on. */
  open(): Promise<void>
  /** Reads everything again; callers at the same time share a reading that began after they asked. */
  refresh(): Promise<void>
  createSwitch(wish: { readonly name: string; readonly type?: 'linux' | 'openvswitch' }, authority: Authority): Promise<ReferenceRecord>
  /** Ports that are interfaces of this VM. */
  portsOf(vmUuid: string): readonly ReferenceRecord[]
  typeOf(bridge: string): 'linux' | 'openvswitch' | undefined
  stop(): void
}

interface OwnSwitch { readonly local: LocalSwitch; record: SwitchRecord; attributes: SwitchAttributes }
interface OwnPort { readonly local: LocalPort; record: PortRecord; attributes: PortAttributes; vmUuid: string | undefined }

export function createSwitchRoom(context: HostContext, driver: SwitchDriver): SwitchRoom {
  const switches = new Map<string, OwnSwitch>()
  const ports = new Map<string, OwnPort>()
  let known: { readonly switches: readonly SwitchRecord[]; readonly ports: readonly PortRecord[] } = { switches: [], ports: [] }
  let current: Promise<void> | undefined
  let queued: Promise<void> | undefined
  let settling: Timer | undefined
  let stopped = false
  let unwatch = (): void => {}

  const nowMs = (): number => Math.round(context.clock.wallMs())
  const tell = (kind: 'Switch' | 'Port', uuid: string, event: ObjectEvent & Readonly<Record<string, unknown>>): void => context.publish(kind, uuid, event)
  const portsOn = (switchUuid: string): readonly OwnPort[] => [...ports.values()].filter(({ record }) => record.switchUuid === switchUuid).sort((a, b) => byNameThenUuid(a.attributes, b.attributes))
  const nameOfPort = ({ attributes: { name, vmName } }: OwnPort): string => vmName === '' ? name : `${name} (VM ${vmName})`

  // ---------------------------------------------------------------- objects

  const localSwitch = (uuid: string): LocalSwitch => {
    const own = (): OwnSwitch => {
      const found = switches.get(uuid)
      if (found === undefined) throw RMO.GONE({ kind: 'Switch', name: uuid, reason: 'it was removed' })
      return found
    }
    return {
      uuid,
      attributes: () => own().attributes,
      info: () => {
        const { attributes: { name, host, type, datapath } } = own()
        return { name, uuid, host, type, datapath, ports: portsOn(uuid).map((port) => port.attributes.name) }
      },
      async stats() {
        await refresh()
        own()
        const records = portsOn(uuid).map(({ record }) => record)
        return {
          atMs: nowMs(), ports: records.length, portsUp: records.filter(({ linkUp }) => linkUp).length,
          receivedBytes: records.reduce((sum, port) => sum + port.receivedBytes, 0), sentBytes: records.reduce((sum, port) => sum + port.sentBytes, 0),
        }
      },
      onEvent: (listener) => context.subscribe('Switch', uuid, listener),
      ports: () => portsOn(uuid).map((port) => context.reference('Port', port.record.uuid)),
      addPort: (port, authority) => plug(uuid, port, authority),
      removePort: (port, authority) => {
        const found = ports.get(port.uuid)
        if (found !== undefined && found.record.switchUuid !== uuid) throw RMO.ARGUMENT_INVALID({ call: 'Switch.removePort', path: 'port', expected: `a port of ${own().attributes.name}`, got: `a port of ${found.attributes.switchName}` })
        return unplug(port.uuid, authority)
      },
      remove: (authority) => context.exclusive(`Switch/${uuid}`, async () => {
        const by = portsOn(uuid).map(nameOfPort)
        if (by.length > 0) throw RMO.IN_USE({ kind: 'Switch', name: own().attributes.name, by })
        await driver.removeSwitch(uuid, context.call(authority))
        await refresh()
      }),
    }
  }
  const localPort = (uuid: string): LocalPort => {
    const own = (): OwnPort => {
      const found = ports.get(uuid)
      if (found === undefined) throw RMO.GONE({ kind: 'Port', name: uuid, reason: 'it was taken out of its switch' })
      return found
    }
    return {
      uuid,
      attributes: () => own().attributes,
      info: () => {
        const { record, attributes: { name, host, switchName, vmName } } = own()
        return { name, uuid, host, switchName, switchUuid: record.switchUuid, mac: record.mac ?? '', vmName }
      },
      async stats() {
        await refresh()
        const { linkUp, receivedBytes, sentBytes } = own().record
        return { atMs: nowMs(), linkUp, receivedBytes, sentBytes }
      },
      onEvent: (listener) => context.subscribe('Port', uuid, listener),
      change: (change, authority) => context.exclusive(`Switch/${own().record.switchUuid}`, async () => {
        await driver.changePort(uuid, change, context.call(authority))
        await refresh()
      }),
      remove: (authority) => unplug(uuid, authority),
    }
  }

  const plug = (switchUuid: string, port: PortOptions, authority: Authority): Promise<ReferenceRecord> => context.exclusive(`Switch/${switchUuid}`, async () => {
    const { uuid } = await driver.addPort(switchUuid, port, context.call(authority))
    await refresh()
    return context.reference('Port', uuid)
  })
  const unplug = async (uuid: string, authority: Authority): Promise<void> => {
    const found = ports.get(uuid)
    if (found === undefined) return
    await context.exclusive(`Switch/${found.record.switchUuid}`, async () => {
      const { name, vmName } = found.attributes
      if (vmName !== '') throw RMO.IN_USE({ kind: 'Port', name, by: [`VM ${vmName}`] })
      await driver.removePort(uuid, context.call(authority))
      await refresh()
    })
  }

  // ---------------------------------------------------------------- level

  const settleSwitches = (atMs: number): void => {
    const host = context.hostName()
    for (const record of known.switches) {
      const attributes = switchAttributes(record, host)
      const own = switches.get(record.uuid)
      if (own === undefined) {
        const local = localSwitch(record.uuid)
        switches.set(record.uuid, { local, record, attributes })
        context.objects.add({ kind: 'Switch', uuid: record.uuid, local, partOf: () => ({ kind: 'PhysicalMachine', uuid: context.machineUuid }) })
        continue
      }
      const before = own.attributes
      own.record = record
      if (isDeepStrictEqual(before, attributes)) continue
      own.attributes = attributes
      for (const event of switchEvents(before, attributes, atMs)) tell('Switch', record.uuid, { ...event })
    }
  }
  /** Rules of a VM hold for its ports; a port of nobody's is its machine's. */
  const portOwner = (uuid: string): ObjectKey => {
    const vm = ports.get(uuid)?.vmUuid
    return vm === undefined ? { kind: 'PhysicalMachine', uuid: context.machineUuid } : { kind: 'VM', uuid: vm }
  }
  const settlePorts = (atMs: number): void => {
    const { domains } = context.inventory()
    const host = context.hostName()
    for (const record of known.ports) {
      const owner = ownerOf(record, domains)
      const attributes = portAttributes(record, { switchName: switches.get(record.switchUuid)?.attributes.name ?? '', host, vmName: owner?.settings.name ?? '' })
      const own = ports.get(record.uuid)
      if (own === undefined || own.record.switchUuid !== record.switchUuid) {
        const local = own?.local ?? localPort(record.uuid)
        if (own !== undefined) tell('Switch', own.record.switchUuid, { type: 'portRemoved', atMs, uuid: record.uuid, name: record.name })
        ports.set(record.uuid, { local, record, attributes, vmUuid: owner?.uuid })
        context.objects.add({ kind: 'Port', uuid: record.uuid, local, partOf: () => portOwner(record.uuid) })
        tell('Switch', record.switchUuid, { type: 'portAdded', atMs, uuid: record.uuid, name: record.name })
        continue
      }
      const before = own.attributes
      own.record = record
      own.vmUuid = owner?.uuid
      if (isDeepStrictEqual(before, attributes)) continue
      own.attributes = attributes
      for (const event of portEvents(before, attributes, atMs)) tell('Port', record.uuid, { ...event })
    }
  }
  const settleGone = (atMs: number): void => {
    const there = new Set([...known.switches, ...known.ports].map(({ uuid }) => uuid))
    for (const [uuid, { record }] of [...ports].filter(([uuid]) => !there.has(uuid))) {
      ports.delete(uuid)
      context.objects.remove('Port', uuid, { name: record.name, reason: 'it was taken out of its switch' })
      tell('Port', uuid, { type: 'gone', atMs, reason: 'it was taken out of its switch' })
      tell('Switch', record.switchUuid, { type: 'portRemoved', atMs, uuid, name: record.name })
    }
    for (const [uuid, { attributes: { name } }] of [...switches].filter(([uuid]) => !there.has(uuid))) {
      switches.delete(uuid)
      context.objects.remove('Switch', uuid, { name, reason: 'it was removed' })
      tell('Switch', uuid, { type: 'gone', atMs, reason: 'it was removed' })
    }
  }
  const settle = (): void => {
    const atMs = nowMs()
    settleSwitches(atMs)
    settlePorts(atMs)
    settleGone(atMs)
  }

  const read = async (): Promise<void> => {
    const inventory = await driver.inventory()
    if (stopped) return
    known = inventory
    settle()
  }
  const start = (): Promise<void> => {
    const own = read().finally(() => { current = undefined })
    current = own
    return own
  }
  /** A reading that is under way may have missed what the caller just did: wait for the one after it. */
  const refresh = (): Promise<void> => {
    if (queued !== undefined) return queued
    if (current === undefined) return start()
    queued = current.catch(() => {}).then(() => { queued = undefined; return start() })
    return queued
  }
  /** What comes in a burst is read once; a reading that fails is made again at the next change or sync. */
  const later = (): void => {
    settling ??= context.clock.after(LIMITS.switchSettleMs, () => { settling = undefined; refresh().catch(() => {}) }, { background: true })
  }

  return {
    async open() {
      await driver.open()
      unwatch = driver.onChange(later)
      await refresh()
    },
    refresh,
    sync(_inventory: Inventory) {
      settle()
      later()
    },
    createSwitch: ({ name, type = 'linux' }, authority) => context.exclusive(`link/${name}`, async () => {
      const { uuid } = await driver.createSwitch(name, type, context.call(authority))
      await refresh()
      return context.reference('Switch', uuid)
    }),
    portsOf: (vmUuid) => [...ports.values()].filter((port) => port.vmUuid === vmUuid).map((port) => context.reference('Port', port.record.uuid)),
    typeOf: (bridge) => driver.typeOf(bridge),
    stop() {
      stopped = true
      unwatch()
      settling?.cancel()
      driver.close().catch(() => {})
    },
  }
}
