// Devices of simulated domains: what the hypervisor fills in, plugging in and out.

import { isDeepStrictEqual } from 'node:util'
import { RMO } from '../../errors.ts'
import type { Device } from '../../settings.ts'
import { frozen, isActive, missingDisk, needNetworks, noSuchFile, signal } from './world.ts'
import type { Domain, World } from './world.ts'

const diskName = (index: number): string => (index < 26 ? '' : diskName(Math.floor(index / 26) - 1)) + String.fromCharCode(97 + index % 26)

/** Gives a device what the hypervisor would: the next free target of its bus, a MAC. */
function placed(world: World, device: Device, others: readonly Device[]): Device {
  if (device.type === 'interface') {
    if (device.mac !== undefined) return device
    const mac = ['52', '54', '00', ...[...world.random.bytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
    return { ...device, mac }
  }
  if (device.target !== undefined) return device
  const prefix = device.bus === undefined || device.bus === 'virtio' ? 'vd' : device.bus === 'ide' ? 'hd' : 'sd'
  const taken = new Set(others.map(({ target }) => target))
  let index = 0
  while (taken.has(prefix + diskName(index))) index++
  return { ...device, target: prefix + diskName(index) }
}

export function allPlaced(world: World, devices: readonly Device[]): readonly Device[] {
  const done: Device[] = devices.filter((device) => device.type === 'disk' ? device.target !== undefined : device.mac !== undefined)
  const named = new Set(done)
  return devices.map((device) => {
    if (named.has(device)) return device
    const complete = placed(world, device, done)
    done.push(complete)
    return complete
  })
}

const sameDevice = (a: Device, b: Device): boolean =>
  a.type === 'disk' && b.type === 'disk' ? a.target !== undefined && a.target === b.target :
    a.type === 'interface' && b.type === 'interface' ? a.mac !== undefined && a.mac === b.mac : false
/** Holds all that was asked for: what the hypervisor filled in makes no difference. */
const covers = (there: Device, asked: Device): boolean => Object.entries(asked).every(([key, value]) => isDeepStrictEqual(there[key as keyof Device], value))
const deviceName = (device: Device): string => (device.type === 'disk' ? device.target ?? device.path : device.mac ?? device.target) ?? device.type

function changeDevices(world: World, domain: Domain, devices: readonly Device[]): void {
  domain.settings = frozen({ ...domain.settings, devices })
  world.touch(domain)
}

export function attach(world: World, domain: Domain, wish: Device): void {
  const { settings: { name, devices } } = domain
  const device = placed(world, structuredClone(wish), devices)
  const there = devices.find((other) => sameDevice(other, device))
  if (there !== undefined) {
    if (covers(there, wish)) return
    throw RMO.ALREADY_EXISTS({ what: `Device ${deviceName(device)} of ${name}`, host: world.host })
  }
  const alone = { ...domain.settings, devices: [device] }
  const missing = missingDisk(world, alone)
  if (missing !== undefined) throw noSuchFile('attach', name, missing)
  needNetworks(world, alone)
  changeDevices(world, domain, [...devices, device])
  if (isActive(domain)) signal(world, domain, 'deviceAdded', deviceName(device))
}

export function detach(world: World, domain: Domain, device: Device): void {
  const { devices } = domain.settings
  const kept = devices.filter((other) => !sameDevice(other, device))
  if (kept.length === devices.length) return
  if (isActive(domain) && domain.guest.hung) throw RMO.DRIVER_TIMEOUT({ uri: world.uri, operation: 'detach', timeoutMs: 0 })
  changeDevices(world, domain, kept)
  if (isActive(domain)) signal(world, domain, 'deviceRemoved', deviceName(device))
}
