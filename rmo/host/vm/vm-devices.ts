// Devices of a VM before they reach the driver: MAC addresses, kinds of bridges, and finding one by a part of it. Pure but
// for the hash.

import { createHash } from 'node:crypto'
import { RMO } from '../../errors.ts'
import type { Device, VmSettings } from '../../settings.ts'

/** Locally administered, unicast. */
const MAC_PREFIX = '5a'
const MAC_BYTES = 5

/** The same for the same VM and place, so that a repeated add gives the same addresses; `attempt` steps over one that is taken. */
export function macOf(uuid: string, index: number, attempt = 0): string {
  const hash = createHash('sha256').update(`${uuid}/${index}/${attempt}`).digest()
  return [MAC_PREFIX, ...[...hash.subarray(0, MAC_BYTES)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

export interface FillOptions {
  readonly uuid: string
  readonly name: string
  readonly host: string
  readonly taken: ReadonlySet<string>
  typeOfBridge?(name: string): 'linux' | 'openvswitch' | undefined
}

/** Interfaces with their address and the kind of their bridge filled in; throws RMO_ERR_ALREADY_EXISTS for an address that another VM has. */
export function fillInterfaces(devices: readonly Device[], { uuid, name, host, taken, typeOfBridge }: FillOptions): readonly Device[] {
  const own = new Set(devices.flatMap((device) => device.type === 'interface' && device.mac !== undefined ? [device.mac] : []))
  return devices.map((device, index) => {
    if (device.type !== 'interface') return device
    if (device.mac !== undefined && taken.has(device.mac)) throw RMO.ALREADY_EXISTS({ what: `The MAC address ${device.mac} that ${name} asks for`, host })
    let mac = device.mac
    for (let attempt = 0; mac === undefined; attempt++) {
      const candidate = macOf(uuid, index, attempt)
      if (!taken.has(candidate) && !own.has(candidate)) mac = candidate
    }
    own.add(mac)
    const switchType = device.switchType ?? (device.bridge === undefined ? undefined : typeOfBridge?.(device.bridge))
    return { ...device, mac, ...switchType === undefined ? {} : { switchType } }
  })
}

/** True when everything that `asked` says, `has` says too: a filled-in device covers the wish that it was made from. */
export function covers(has: unknown, asked: unknown): boolean {
  if (Object.is(has, asked)) return true
  if (Array.isArray(asked)) return Array.isArray(has) && has.length === asked.length && asked.every((item, i) => covers(has[i], item))
  if (typeof asked !== 'object' || asked === null || typeof has !== 'object' || has === null) return false
  return Object.entries(asked).every(([key, item]) => item === undefined || covers((has as Readonly<Record<string, unknown>>)[key], item))
}

/** The VM that is there is the one that is asked for: nothing asked differs, and no device is missing. */
export function sameVm(has: VmSettings, asked: VmSettings): boolean {
  const { devices, ...rest } = asked
  const { devices: present, ...other } = has
  const left = [...present]
  return covers(other, rest) && devices.every((device) => {
    // "auto" is an instruction, not a property of what was made.
    const { create: _create, ...wish } = device.type === 'disk' ? device : { ...device, create: undefined }
    const at = left.findIndex((each) => covers(each, wish))
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  })
}

/** The device that `part` names, by everything it says of mac, target, path and volume. */
export function findDevice(devices: readonly Device[], part: Partial<Device>): Device | undefined {
  const keys = ['mac', 'target', 'path', 'volume', 'type'] as const
  const asked = Object.fromEntries(keys.flatMap((key) => {
    const value = (part as Readonly<Record<string, unknown>>)[key]
    return value === undefined ? [] : [[key, value]]
  }))
  return devices.find((device) => covers(device, asked))
}
