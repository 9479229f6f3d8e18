// <disk>: a DiskDevice both ways. Pure.
//
// Shown are disks and CD-ROMs whose bytes are in a file, a block device or a volume; floppies, LUNs, network disks and
// empty drives are neither shown nor touched. Changing an element changes what differs from what it was read as,
// so that what we cannot say (cache modes, serial numbers, foreign formats) stays.
// Source: libvirt's formatdomain, "Hard drives, floppy disks, CDROMs".

import type { DiskDevice } from '../../../settings.ts'
import { attributeOf, element, find, need, remove, replace, setAttributes } from './tree.ts'
import type { XmlElement } from './tree.ts'
import { defined } from './note.ts'

type Bus = NonNullable<DiskDevice['bus']>
const BUSES: readonly string[] = ['virtio', 'sata', 'scsi', 'ide'] satisfies Bus[]
const isBus = (text: string | undefined): text is Bus => text !== undefined && BUSES.includes(text)

/** Where a CD-ROM goes when its bus is left out: i440fx has IDE, q35 has SATA, other machines have neither. */
export function cdromBusOf(machine: string | undefined): Bus {
  if (machine === undefined || /^pc($|-i440fx|-0|-1)/.test(machine)) return 'ide'
  return /q35/.test(machine) ? 'sata' : 'scsi'
}

/** Properties that mean the same when left out. */
export const diskDefaults = (disk: DiskDevice, cdromBus: Bus): Pick<Required<DiskDevice>, 'device' | 'bus' | 'readOnly'> => ({
  device: 'disk',
  bus: disk.device === 'cdrom' ? cdromBus : 'virtio',
  readOnly: disk.device === 'cdrom',
})
/** Properties that its element cannot hold. */
export const DISK_NOTES = ['create', 'base', 'sizeMiB', 'role'] as const satisfies readonly (keyof DiskDevice)[]

/** undefined: an element that is neither shown nor touched. Defaults are left out of what is read. */
export function readDisk(disk: XmlElement, cdromBus: Bus): DiskDevice | undefined {
  const device = attributeOf(disk, 'device') ?? 'disk'
  if (device !== 'disk' && device !== 'cdrom') return undefined
  const place = readSource(disk)
  if (place === undefined) return undefined
  const target = find(disk, 'target')
  const bus = attributeOf(target, 'bus')
  const readOnly = find(disk, 'readonly') !== undefined
  const read: DiskDevice = defined({
    type: 'disk' as const, ...place,
    target: attributeOf(target, 'dev'),
    format: attributeOf(find(disk, 'driver'), 'type') === 'qcow2' ? 'qcow2' as const : 'raw' as const,
    device, bus: isBus(bus) ? bus : undefined,
    readOnly: device === 'cdrom' ? undefined : readOnly,
  }) as DiskDevice
  const defaults = diskDefaults(read, cdromBus)
  return defined({ ...read, device: unless(read.device, defaults.device), bus: unless(read.bus, defaults.bus), readOnly: unless(read.readOnly, defaults.readOnly) }) as DiskDevice
}
const unless = <T>(value: T, standard: T): T | undefined => value === standard ? undefined : value

function readSource(disk: XmlElement): Pick<DiskDevice, 'path' | 'volume'> | undefined {
  const source = find(disk, 'source')
  const type = attributeOf(disk, 'type')
  const pool = attributeOf(source, 'pool')
  const name = attributeOf(source, 'volume')
  if (type === 'volume') return pool === undefined || name === undefined ? undefined : { volume: { pool, name } }
  const path = type === 'block' ? attributeOf(source, 'dev') : type === 'file' ? attributeOf(source, 'file') : undefined
  return path === undefined ? undefined : { path }
}

/** A new element. `target` has been chosen. */
export function diskElement(disk: DiskDevice & { readonly target: string }, cdromBus: Bus): XmlElement {
  const { device, bus, readOnly } = { ...diskDefaults(disk, cdromBus), ...disk }
  return element('disk', { type: disk.volume === undefined ? 'file' : 'volume', device }, [
    element('driver', { name: 'qemu', type: disk.format, discard: device === 'cdrom' ? undefined : 'unmap' }),
    sourceElement(disk),
    element('target', { dev: disk.target, bus }),
    readOnly || device === 'cdrom' ? element('readonly') : undefined,
  ])
}

const sourceElement = (disk: DiskDevice): XmlElement =>
  disk.volume === undefined ? element('source', { file: disk.path }) : element('source', { pool: disk.volume.pool, volume: disk.volume.name })

/** Makes `node`, read as `was`, say `wish`. */
export function editDisk(node: XmlElement, was: DiskDevice, wish: DiskDevice, cdromBus: Bus): void {
  const before = { ...diskDefaults(was, cdromBus), ...was }
  const after = { ...diskDefaults(wish, cdromBus), ...wish }
  if (before.device !== after.device) setAttributes(node, { device: after.device })
  if (was.path !== wish.path || was.volume?.pool !== wish.volume?.pool || was.volume?.name !== wish.volume?.name) {
    setAttributes(node, { type: wish.volume === undefined ? 'file' : 'volume' })
    replace(node, 'source', sourceElement(wish))
    // What libvirt found out about the old file's backing chain.
    replace(node, 'backingStore', undefined)
  }
  if (was.format !== wish.format) setAttributes(need(node, 'driver'), { type: wish.format })
  const target = need(node, 'target')
  const moved = wish.target !== undefined && wish.target !== was.target
  const bus = attributeOf(target, 'bus')
  const newBus = wish.bus ?? (bus === undefined || isBus(bus) ? after.bus : bus)
  const rewired = bus === undefined ? wish.bus !== undefined : newBus !== bus
  if (moved) setAttributes(target, { dev: wish.target })
  if (rewired) setAttributes(target, { bus: newBus })
  // The address belongs to the old bus and place: libvirt finds another.
  if (moved || rewired) replace(node, 'address', undefined)
  const readonly = find(node, 'readonly')
  const wantsReadonly = after.readOnly || after.device === 'cdrom'
  if (readonly !== undefined && !wantsReadonly) remove(node, readonly)
  if (readonly === undefined && wantsReadonly) need(node, 'readonly', ['target'])
}

/** The next free name on the disk's bus: "vda", "sdb", "hdc", ... "vdaa". */
export function nextTarget(bus: Bus, taken: ReadonlySet<string>): string {
  const prefix = bus === 'virtio' ? 'vd' : bus === 'ide' ? 'hd' : 'sd'
  for (let index = 0; ; index += 1) {
    const name = prefix + letters(index)
    if (!taken.has(name)) return name
  }
}
const letters = (index: number): string => (index >= 26 ? letters(Math.floor(index / 26) - 1) : '') + String.fromCharCode(97 + index % 26)
