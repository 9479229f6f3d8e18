// The devices of a domain: which element is which device, and a list of devices made true with the fewest changes.
//
//   read:   elements --readDisk, readInterface--> devices + notes --> the settings' list, in the settings' order
//   change: wished devices --pairs--> elements: edited, inserted, or removed
//
// Pure. A disk is known by its target, else by where its bytes are; an interface by its MAC, its target, else by what it is
// plugged into. Elements that are no device of ours (controllers, floppies, graphics) are never touched.

import type { Device, DiskDevice, InterfaceDevice } from '../../../settings.ts'
import { DISK_NOTES, cdromBusOf, diskDefaults, diskElement, editDisk, nextTarget, readDisk } from './disk.ts'
import { INTERFACE_DEFAULTS, editInterface, interfaceElement, readInterface } from './interface.ts'
import type { DeviceNote, DomainNote } from './note.ts'
import { attributeOf, elements, find, insert, need, remove } from './tree.ts'
import type { XmlElement } from './tree.ts'

type Bus = NonNullable<DiskDevice['bus']>
type Notes = NonNullable<DomainNote['devices']>
export interface Placed { readonly element: XmlElement; readonly device: Device }

export const machineBus = (domain: XmlElement): Bus => cdromBusOf(attributeOf(find(domain, 'os', 'type'), 'machine'))

// ---------------------------------------------------------------- reading

/** All devices that are shown with their elements, in the notes' order; those without a note last, in the text's order. */
export function readDevices(domain: XmlElement, notes: Notes = []): Placed[] {
  const devices = find(domain, 'devices')
  const bus = machineBus(domain)
  const order = new Map(notes.map(({ key }, index) => [key, index]))
  const rank = (placed: Placed, interfaceIndex: number): { placed: Placed; at: number } => {
    const key = keysOf(placed.device, interfaceIndex).find((each) => order.has(each))
    const at = key === undefined ? Infinity : order.get(key) ?? Infinity
    return { placed: { ...placed, device: noted(placed.device, notes[at]?.note ?? {}, bus) }, at }
  }
  const disks = elements(devices, 'disk').flatMap((element): Placed[] => {
    const device = readDisk(element, bus)
    return device === undefined ? [] : [{ element, device }]
  })
  const interfaces = elements(devices, 'interface').map((element): Placed => ({ element, device: readInterface(element) }))
  return [...disks.map((placed) => rank(placed, 0)), ...interfaces.map(rank)]
    .sort((one, other) => one.at === other.at ? 0 : one.at - other.at).map(({ placed }) => placed)
}

/** Names under which a note may know a device, the surest first. */
function keysOf(device: Device, interfaceIndex: number): string[] {
  if (device.type === 'disk') return [`disk ${device.target ?? ''}`]
  const { mac, target } = device
  return [...mac === undefined ? [] : [`mac ${mac.toLowerCase()}`], ...target === undefined ? [] : [`target ${target}`], `interface ${interfaceIndex}`]
}

const KNOWN: Readonly<Record<typeof DISK_NOTES[number], (value: unknown) => boolean>> = {
  create: (value) => value === 'auto' || value === 'existing',
  base: (value) => typeof value === 'string' && value !== '',
  sizeMiB: (value) => Number.isSafeInteger(value) && Number(value) > 0,
  role: (value) => value === 'root' || value === 'seed' || value === 'data',
}
const defaultsOf = (device: Device, bus: Bus): Readonly<Record<string, unknown>> =>
  device.type === 'disk' ? diskDefaults(device, bus) : INTERFACE_DEFAULTS

/** With what the note adds: properties without a place in XML, and defaults that had been spelled out and still hold. */
function noted(device: Device, note: DeviceNote, bus: Bus): Device {
  const spelled = Object.entries(defaultsOf(device, bus)).filter(([key, value]) => !Object.hasOwn(device, key) && note[key] === value)
  const added = device.type === 'disk' ? DISK_NOTES.filter((key) => KNOWN[key](note[key])).map((key) => [key, note[key]]) : []
  return { ...device, ...Object.fromEntries([...spelled, ...added]) as object }
}

/** The note of each device, in order. Targets have been chosen. */
export function notesOf(devices: readonly Device[], bus: Bus): Notes {
  let interfaces = 0
  return devices.map((device) => {
    const key = keysOf(device, device.type === 'interface' ? interfaces++ : 0)[0] ?? ''
    const own = device as unknown as Readonly<Record<string, unknown>>
    const spelled = Object.entries(defaultsOf(device, bus)).filter(([name, value]) => own[name] === value)
    const kept = device.type === 'disk' ? DISK_NOTES.filter((name) => own[name] !== undefined).map((name) => [name, own[name]]) : []
    return { key, note: Object.fromEntries([...spelled, ...kept]) as DeviceNote }
  })
}

// ---------------------------------------------------------------- making

/** Every disk with a target: those that have none get the next free one, that no element of the domain has either. */
export function withTargets(wishes: readonly Device[], domain: XmlElement): Device[] {
  const bus = machineBus(domain)
  const placed = readDevices(domain).filter(({ device }) => device.type === 'disk')
  const held = elements(find(domain, 'devices'), 'disk').map((disk) => attributeOf(find(disk, 'target'), 'dev') ?? '')
  const taken = new Set([...held, ...wishes.flatMap((wish) => wish.type === 'disk' && wish.target !== undefined ? [wish.target] : [])])
  const claimed = new Set(wishes.flatMap((wish) => wish.type === 'disk' && wish.target !== undefined ? [wish.target] : []))
  return wishes.map((wish) => {
    if (wish.type !== 'disk' || wish.target !== undefined) return wish
    const there = placed.map(({ device }) => device as DiskDevice)
      .find((disk) => sameBytes(disk, wish) && disk.target !== undefined && !claimed.has(disk.target))
    const target = there?.target ?? nextTarget(wish.bus ?? diskDefaults(wish, bus).bus, taken)
    taken.add(target)
    claimed.add(target)
    return { ...wish, target }
  })
}
const sameBytes = (one: DiskDevice, other: DiskDevice): boolean =>
  one.path === other.path && one.volume?.pool === other.volume?.pool && one.volume?.name === other.volume?.name

export function deviceElement(device: Device, bus: Bus): XmlElement {
  return device.type === 'disk' ? diskElement({ ...device, target: device.target ?? '' }, bus) : interfaceElement(device)
}

/** Makes the domain's devices the wished ones, whose disks have targets. */
export function changeDevices(domain: XmlElement, wishes: readonly Device[]): void {
  const devices = need(domain, 'devices')
  const bus = machineBus(domain)
  const rest = new Set(readDevices(domain))
  const pairs = new Map<Device, Placed>()
  // Surest matches first, so that a device without a name of its own does not take another's element.
  for (const matches of MATCHES) {
    for (const wish of wishes.filter((each) => !pairs.has(each))) {
      const found = [...rest].find(({ device }) => device.type === wish.type && matches(device, wish))
      if (found !== undefined) { pairs.set(wish, found); rest.delete(found) }
    }
  }
  for (const { element } of rest) remove(devices, element)
  for (const wish of wishes) {
    const pair = pairs.get(wish)
    if (pair === undefined) insert(devices, deviceElement(wish, bus), [wish.type === 'disk' ? 'disk' : 'interface'])
    else if (wish.type === 'disk') editDisk(pair.element, pair.device as DiskDevice, wish, bus)
    else editInterface(pair.element, pair.device as InterfaceDevice, wish)
  }
}

type Match = (there: Device, wish: Device) => boolean
const onInterfaces = (match: (there: InterfaceDevice, wish: InterfaceDevice) => boolean): Match =>
  (there, wish) => there.type === 'interface' && wish.type === 'interface' && match(there, wish)
const MATCHES: readonly Match[] = [
  (there, wish) => there.type === 'disk' && wish.type === 'disk' && there.target === wish.target,
  onInterfaces((there, wish) => wish.mac !== undefined && wish.mac.toLowerCase() === there.mac),
  onInterfaces((there, wish) => wish.target !== undefined && wish.target === there.target),
  onInterfaces((there, wish) => wish.mac === undefined && (wish.target === undefined || there.target === undefined) && wish.bridge === there.bridge && wish.network === there.network),
]

/** The element of a device that is there, by the surest of the names given: MAC, target, path, volume, or what it is plugged into. */
export function findDevice(domain: XmlElement, device: Partial<DiskDevice> | Partial<InterfaceDevice>): XmlElement | undefined {
  const key = IDENTITIES.find((each) => nameOf(device, each) !== undefined)
  if (key === undefined) return undefined
  return readDevices(domain).find(({ device: there }) =>
    (device.type === undefined || there.type === device.type) && nameOf(there, key) === nameOf(device, key))?.element
}
const IDENTITIES = ['mac', 'target', 'path', 'volume', 'bridge', 'network'] as const
function nameOf(device: Partial<Device>, key: typeof IDENTITIES[number]): string | undefined {
  const value = (device as Readonly<Record<string, unknown>>)[key]
  return value === undefined ? undefined : JSON.stringify(value).toLowerCase()
}
