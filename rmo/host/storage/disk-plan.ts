// Which disks a VM is to have: pure, from its settings alone.
//
//   settings --planDisks--> disks with role, target and what each is made from --disks.ts--> files
//
// Rules: the first automatic disk of a VM with an image is its root disk, an overlay of the image; without an automatic
// disk one is put first. Any other automatic disk is an overlay of its `base`; else empty when it has a size; else
// an overlay of the image. Existing disks are left as they are.

import { LIMITS } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Device, DiskDevice, VmSettings } from '../../settings.ts'

const MIB = 1024 * 1024

export interface PlannedDisk {
  /** Neither path nor volume: a place is to be chosen. */
  readonly device: DiskDevice & { readonly target: string }
  /** What is made when no file is there; undefined: it must be there. */
  readonly make?: { readonly image?: string; readonly capacityBytes?: number }
}

const isDisk = (device: Device): device is DiskDevice => device.type === 'disk'
export const disksOf = (settings: VmSettings): readonly DiskDevice[] => settings.devices.filter(isDisk)

const PREFIX: Readonly<Record<NonNullable<DiskDevice['bus']>, string>> = { virtio: 'vd', sata: 'sd', scsi: 'sd', ide: 'hd' }
const prefixOf = (disk: DiskDevice): string => PREFIX[disk.bus ?? (disk.device === 'cdrom' ? 'sata' : 'virtio')]
/** 0 -> a, 25 -> z, 26 -> aa. */
const letters = (index: number): string => index < 26 ? String.fromCharCode(97 + index) : letters(Math.floor(index / 26) - 1) + letters(index % 26)

/** The next device name that is free, of the disk's bus. */
export function freeTarget(disk: DiskDevice, taken: ReadonlySet<string>): string {
  for (let index = 0; ; index++) {
    const name = prefixOf(disk) + letters(index)
    if (!taken.has(name)) return name
  }
}

function rootOf(disks: readonly DiskDevice[], image: string | undefined): { readonly disks: readonly DiskDevice[]; readonly root: DiskDevice | undefined } {
  const marked = disks.find(({ role }) => role === 'root')
  if (marked !== undefined || image === undefined) return { disks, root: marked }
  const automatic = disks.find(({ create, device, role }) => create === 'auto' && device !== 'cdrom' && role === undefined)
  if (automatic !== undefined) return { disks, root: automatic }
  const made: DiskDevice = { type: 'disk', format: 'qcow2', create: 'auto', role: 'root' }
  return { disks: [made, ...disks], root: made }
}

/** Throws RMO_ERR_ARGUMENT_INVALID. */
export function planDisks(settings: VmSettings): readonly PlannedDisk[] {
  const invalid = (path: string, expected: string, got: string): Error => RMO.ARGUMENT_INVALID({ call: `VM ${settings.name}`, path, expected, got })
  const { disks, root } = rootOf(disksOf(settings), settings.image)
  const taken = new Set(disks.flatMap(({ target }) => target ?? []))
  return disks.map((disk, i) => {
    const at = `disks[${i}]`
    const role = disk === root ? 'root' : disk.role ?? 'data'
    const target = disk.target ?? freeTarget(disk, taken)
    taken.add(target)
    const device = { ...disk, role, target } as const
    // A seed is written by itself, from the context.
    if (disk.create !== 'auto' || role === 'seed') return { device }
    const image = disk.base ?? (role === 'root' || disk.sizeMiB === undefined ? settings.image : undefined)
    if (image === undefined && disk.sizeMiB === undefined) throw invalid(`${at}.sizeMiB`, 'a size, since the VM has no image to make the disk from', 'nothing')
    if (image !== undefined && disk.format !== 'qcow2') throw invalid(`${at}.format`, '"qcow2", since it is an overlay of an image', JSON.stringify(disk.format))
    return { device, make: { ...(image === undefined ? {} : { image }), ...(disk.sizeMiB === undefined ? {} : { capacityBytes: disk.sizeMiB * MIB }) } }
  })
}

const SAFE_CHARS = 40

/** A file name from a VM's name and uuid: what is safe of the name, and enough of the uuid to be the only one. */
export const fileStem = (name: string, uuid: string): string =>
  `${name.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '').slice(0, SAFE_CHARS).replace(/[.-]+$/, '') || 'vm'}-${uuid.slice(0, 8)}`

/** How deep a chain may be before one more level is refused. */
export const CHAIN_MAX = LIMITS.backingChainMax
