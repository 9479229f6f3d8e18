// Devices as users write them: v.add(FileDiskAuto('/nfs/web1.qcow2')). Settings (settings.ts) with their defaults.
//
// Each function stands alone, without helpers, so that a shipped function that uses it carries a few lines. A wrong
// argument throws here, where it was written; the home of the VM checks again.

import type { DiskDevice, InterfaceDevice } from './settings.ts'

export type FileDiskOptions = Partial<Pick<DiskDevice, 'target' | 'format' | 'bus' | 'readOnly'>>
export type AutoDiskOptions = FileDiskOptions & Pick<DiskDevice, 'base' | 'sizeMiB'>
export type BridgeOptions = Pick<InterfaceDevice, 'switchType' | 'model' | 'vlan' | 'rateKiBps'>
export type NetworkOptions = BridgeOptions & Pick<InterfaceDevice, 'mac' | 'target'>

/** A disk in a file of the host that is made when the VM is added and the file is not there: an overlay of `base` (or of the VM's image), else empty of `sizeMiB`. Raw when the path ends in .raw or .img, else qcow2. Throws TypeError unless `path` is absolute. */
export function FileDiskAuto(path: string, options: AutoDiskOptions = {}): DiskDevice {
  if (typeof path !== 'string' || !path.startsWith('/')) throw new TypeError(`FileDiskAuto needs the absolute path of a file on the host, got ${String(path)}`)
  return { type: 'disk', path, format: /\.(raw|img)$/.test(path) ? 'raw' : 'qcow2', create: 'auto', ...options }
}

/** A disk in a file of the host that must be there. Raw when the path ends in .raw or .img, else qcow2. Throws TypeError unless `path` is absolute. */
export function FileDisk(path: string, options: FileDiskOptions = {}): DiskDevice {
  if (typeof path !== 'string' || !path.startsWith('/')) throw new TypeError(`FileDisk needs the absolute path of a file on the host, got ${String(path)}`)
  return { type: 'disk', path, format: /\.(raw|img)$/.test(path) ? 'raw' : 'qcow2', create: 'existing', ...options }
}

/** A disk in a volume of a storage pool, which must be there. Raw when the name ends in .raw or .img, else qcow2. Throws TypeError unless both are names. */
export function VolumeDisk(pool: string, name: string, options: FileDiskOptions = {}): DiskDevice {
  if (typeof pool !== 'string' || pool === '' || typeof name !== 'string' || name === '') throw new TypeError(`VolumeDisk needs the names of a pool and of a volume, got ${String(pool)} and ${String(name)}`)
  return { type: 'disk', volume: { pool, name }, format: /\.(raw|img)$/.test(name) ? 'raw' : 'qcow2', create: 'existing', ...options }
}

/** An ISO image in the VM's drive, read-only. Throws TypeError unless `path` is absolute. */
export function Cdrom(path: string): DiskDevice {
  if (typeof path !== 'string' || !path.startsWith('/')) throw new TypeError(`Cdrom needs the absolute path of a file on the host, got ${String(path)}`)
  return { type: 'disk', path, format: 'raw', device: 'cdrom', bus: 'sata', readOnly: true, create: 'existing' }
}

/** An interface plugged into a bridge of the host, Linux or Open vSwitch. `target`: name of the host's end, at most 15 bytes; `mac`: see mac(). Throws TypeError or RangeError. */
export function Bridge(bridge: string, target?: string, mac?: string, options: BridgeOptions = {}): InterfaceDevice {
  if (typeof bridge !== 'string' || bridge === '') throw new TypeError(`Bridge needs the name of a bridge, got ${String(bridge)}`)
  if (target !== undefined && !/^[^\s/]{1,15}$/.test(target)) throw new RangeError(`"${target}" cannot name an interface: 1 to 15 characters without space and slash`)
  if (mac !== undefined && !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) throw new RangeError(`"${mac}" is no MAC address of six lower-case octets; mac(7) makes one`)
  return { type: 'interface', bridge, ...(target === undefined ? {} : { target }), ...(mac === undefined ? {} : { mac }), ...options }
}

/** An interface plugged into a network of the hypervisor. Throws TypeError unless it is a name. */
export function NetworkInterface(network: string, options: NetworkOptions = {}): InterfaceDevice {
  if (typeof network !== 'string' || network === '') throw new TypeError(`NetworkInterface needs the name of a network, got ${String(network)}`)
  return { type: 'interface', network, ...options }
}

/** MAC address of a VM number: 52:54:00, then the number's 24 bits. Throws RangeError for anything but an integer from 0 to 16,777,215. */
export function mac(no: number): string {
  if (!Number.isInteger(no) || no < 0 || no > 0xff_ffff) throw new RangeError(`mac needs an integer from 0 to 16777215, got ${String(no)}`)
  const hex = no.toString(16).padStart(6, '0')
  return `52:54:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`
}
