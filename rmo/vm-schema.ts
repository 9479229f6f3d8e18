// Checks of VM settings and devices: what settings.ts states as types, said again as schemas with units and bounds.
//
// Used at the caller (createVM, vm.add), and again at home before anything is made. What no single field can say (a disk
// has exactly one place, a tag needs a bridge) is checked with the device.

import { INTERFACE_NAME } from './driver/switch/rules.ts'
import { RMO } from './errors.ts'
import { anything, boolean, dictionary, integer, list, number, oneOf, optional, ratio, record, shown, text } from './schema.ts'
import type { Place, RecordOf, Type } from './schema.ts'
import type { Device, DiskDevice, GuestContext, InterfaceDevice, VmSettings } from './settings.ts'

const DEVICES_MAX = 64
const LABELS_MAX = 64
const PATH_CHARS_MAX = 4_096
const VCPUS_MAX = 512
const MEMORY_MIB_MAX = 64 * 1024 * 1024
/** The note has a few levels around it, of LIMITS.xmlDepthMax. */
const CONTEXT_DEPTH_MAX = 32
const DISK_MIB_MAX = 1024 * 1024 * 1024

/** A type with one more condition; `wrong` answers what is expected where, or undefined. */
function refined<T>(type: Type<T>, wrong: (value: T) => { readonly path: string; readonly expected: string; readonly got: unknown } | undefined): Type<T> {
  return {
    expected: type.expected, unit: type.unit,
    check(value, at) {
      const checked = type.check(value, at)
      const found = wrong(checked)
      if (found !== undefined) throw RMO.ARGUMENT_INVALID({ call: at.call, path: `${at.path}${found.path}`, expected: found.expected, got: shown(found.got) })
      return checked
    },
  }
}

/** Any Unicode but control characters, lone surrogates and "/", and not only blanks. */
export const vmName: Type<string> = text({ charsMax: 255, pattern: /^(?=.*\S)[^\p{Cc}\p{Cs}/]{1,255}$/u, expected: 'a name of 1 to 255 characters without control characters and "/"' })
const path = text({ charsMax: PATH_CHARS_MAX, pattern: /^\/[^\0]*$/, expected: 'an absolute path' })
const shortName = text({ charsMax: 255, pattern: /^[^\p{Cc}/]+$/u, expected: 'a name without control characters and "/"' })
/** Of a bridge or an interface: no option, wildcard or path to any tool. */
export const linkName = text(INTERFACE_NAME)
const vlanTag = integer({ unit: 'count', min: 1, max: 4_094 })
/** Unicast: the lowest bit of the first octet is 0. */
export const macAddress: Type<string> = text({ charsMax: 17, pattern: /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, expected: 'a unicast MAC address in lower case, like "5a:00:00:00:00:01"' })

export const memoryMiB = integer({ unit: 'mebibytes', min: 1, max: MEMORY_MIB_MAX })
export const vcpus = integer({ unit: 'count', min: 1, max: VCPUS_MAX })
/** A key "__proto__" cannot travel between nodes. */
export const labels: Type<Readonly<Record<string, string>>> = refined(dictionary(text({ charsMax: 1_024 }), { entriesMax: LABELS_MAX }), (of) =>
  Object.hasOwn(of, '__proto__') ? { path: '', expected: 'keys other than "__proto__"', got: '__proto__' } : undefined)
export const description = text({ charsMax: 4_096, pattern: /^[^\0]*$/ })
export const instanceId = text({ charsMax: 128, pattern: /^[^\s\p{Cc}]+$/u, expected: 'an instance id without blanks' })

const diskFields = record({
  type: oneOf('disk'),
  path: optional(path),
  volume: optional(record({ pool: shortName, name: shortName })),
  target: optional(text({ charsMax: 16, pattern: /^[a-z]{2,3}[a-z]{1,3}$/, expected: 'a device name like "vda"' })),
  format: oneOf('qcow2', 'raw'),
  device: optional(oneOf('disk', 'cdrom')),
  bus: optional(oneOf('virtio', 'sata', 'scsi', 'ide')),
  readOnly: optional(boolean()),
  create: optional(oneOf('auto', 'existing')),
  base: optional(shortName),
  sizeMiB: optional(integer({ unit: 'mebibytes', min: 1, max: DISK_MIB_MAX })),
  role: optional(oneOf('root', 'seed', 'data')),
})
const vlan: Type<{ readonly tag: number } | { readonly trunk: readonly number[] }> = {
  expected: 'an object {tag} or {trunk}', unit: undefined,
  check: (value, at) => typeof value === 'object' && value !== null && 'trunk' in value
    ? record({ trunk: list(vlanTag, { itemsMax: 4_094 }) }).check(value, at)
    : record({ tag: vlanTag }).check(value, at),
}
const interfaceFields = record({
  type: oneOf('interface'),
  bridge: optional(linkName),
  network: optional(shortName),
  switchType: optional(oneOf('linux', 'openvswitch')),
  mac: optional(macAddress),
  target: optional(linkName),
  model: optional(oneOf('virtio', 'e1000')),
  vlan: optional(vlan),
  rateKiBps: optional(integer({ unit: 'count', min: 1 })),
})

export const diskDevice: Type<DiskDevice> = refined<RecordOf<typeof diskFields.fields>>(diskFields, (disk) => {
  const places = [disk.path, disk.volume].filter((place) => place !== undefined).length
  // An automatic disk may leave the place to Kumoi.
  if (places === 1 || (places === 0 && disk.create === 'auto')) return undefined
  return { path: '', expected: 'a disk with exactly one of path and volume', got: places === 0 ? 'neither' : 'both' }
})
export const interfaceDevice: Type<InterfaceDevice> = refined<RecordOf<typeof interfaceFields.fields>>(interfaceFields, (link) => {
  if ((link.bridge === undefined) === (link.network === undefined)) return { path: '', expected: 'an interface with exactly one of bridge and network', got: link.bridge === undefined ? 'neither' : 'both' }
  return link.vlan !== undefined && link.switchType === 'linux' ? { path: '.vlan', expected: 'left out on a Linux bridge (Open vSwitch only)', got: link.vlan } : undefined
})
export const device: Type<Device> = {
  expected: 'a device {type: "disk" | "interface", ...}', unit: undefined,
  check(value, at) {
    const type = (value as { readonly type?: unknown } | null | undefined)?.type
    if (type === 'disk') return diskDevice.check(value, at)
    if (type === 'interface') return interfaceDevice.check(value, at)
    throw RMO.ARGUMENT_INVALID({ call: at.call, path: `${at.path}.type`, expected: '"disk" or "interface"', got: shown(type) })
  },
}
/** What remove() finds a device by. */
export const devicePart: Type<Partial<DiskDevice> | Partial<InterfaceDevice>> = refined(record({
  type: optional(oneOf('disk', 'interface')), path: optional(path), target: optional(text({ charsMax: 255 })), mac: optional(macAddress),
  volume: optional(record({ pool: shortName, name: shortName })), bridge: optional(linkName), network: optional(shortName),
  format: optional(oneOf('qcow2', 'raw')), device: optional(oneOf('disk', 'cdrom')), bus: optional(oneOf('virtio', 'sata', 'scsi', 'ide')),
  readOnly: optional(boolean()), create: optional(oneOf('auto', 'existing')), base: optional(shortName), sizeMiB: optional(anything('a size') as Type<number>),
  role: optional(oneOf('root', 'seed', 'data')), switchType: optional(oneOf('linux', 'openvswitch')), model: optional(oneOf('virtio', 'e1000')),
  vlan: optional(vlan), rateKiBps: optional(anything('a rate') as Type<number>),
}), (part) => part.target === undefined && part.mac === undefined && part.path === undefined && part.volume === undefined
  ? { path: '', expected: 'a device named by target, mac, path or volume', got: 'none of them' }
  : undefined) as Type<Partial<DiskDevice> | Partial<InterfaceDevice>>

const distinct = (what: string, values: readonly (string | undefined)[]): { readonly path: string; readonly expected: string; readonly got: unknown } | undefined => {
  const present = values.filter((value) => value !== undefined)
  const twice = present.find((value, i) => present.indexOf(value) !== i)
  return twice === undefined ? undefined : { path: '', expected: `devices with different ${what}`, got: `${twice} twice` }
}
export const devices: Type<readonly Device[]> = refined(list(device, { itemsMax: DEVICES_MAX }), (all) =>
  distinct('MAC addresses', all.map((each) => each.type === 'interface' ? each.mac : undefined)) ??
  distinct('targets', all.map((each) => each.target)) ??
  distinct('paths', all.map((each) => each.type === 'disk' ? each.path : undefined)))

/** Plain nested data of cloud-init; its own words are checked by the guest. */
export const guestContext: Type<GuestContext> = {
  expected: `an object of cloud-init user-data, at most ${CONTEXT_DEPTH_MAX} deep, without a key "__proto__"`, unit: undefined,
  check(value, at) {
    // What the domain's own note could not keep (driver/libvirt/xml/note.ts) is refused here, and not lost there.
    if (!isKeepable(value, CONTEXT_DEPTH_MAX)) throw RMO.ARGUMENT_INVALID({ call: at.call, path: at.path, expected: guestContext.expected, got: shown(value) })
    return dictionary(anything(), { entriesMax: 256 }).check(value, at) as GuestContext
  },
}
const isKeepable = (value: unknown, depthMax: number): boolean =>
  typeof value !== 'object' || value === null || (depthMax > 0 && !Object.hasOwn(value, '__proto__') && Object.values(value).every((each) => isKeepable(each, depthMax - 1)))

/** Every setting of a VM with its type. */
export const VM_FIELDS = {
  name: vmName, memoryMiB, vcpus, image: optional(text({ charsMax: 255 })), devices,
  context: optional(guestContext), instanceId: optional(instanceId), autostart: optional(boolean()),
  description: optional(description), labels: optional(labels),
  simulate: optional(record({ cpuRatios: list(ratio(), { itemsMax: 100_000 }), stepMs: number({ unit: 'milliseconds', min: 1 }), bootMs: optional(number({ unit: 'milliseconds' })) })),
} as const
export const vmSettings: Type<VmSettings> = record(VM_FIELDS)

/** What createVM takes: everything optional, no instanceId. */
const { instanceId: _instanceId, name: _name, memoryMiB: _memory, vcpus: _vcpus, devices: _devices, ...rest } = VM_FIELDS
export const newVm = record({ ...rest, name: optional(vmName), memoryMiB: optional(memoryMiB), vcpus: optional(vcpus), devices: optional(devices) })

/** Only the settings of a record that holds more (a cold reference's attributes); "" as an image means none. */
export function settingsOf(attributes: Readonly<Record<string, unknown>>, at: Place): VmSettings {
  const known = Object.entries(attributes).filter(([key, value]) => Object.hasOwn(VM_FIELDS, key) && value !== undefined && !(key === 'image' && value === ''))
  return vmSettings.check(Object.fromEntries(known), at)
}
