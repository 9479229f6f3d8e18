// What a VM needs of a machine, read from its settings: images, storage directories and bridges, by name or path. Pure.
//
// A disk's storage is its directory (or the name of its pool): a machine's list has paths and names of its pools, so that
// either is found. A disk that Kumoi will place itself needs no storage of its own; its image is asked for instead.

import type { DiskDevice, VmSettings } from '../../rmo/mod.ts'
import type { VmNeed, VmView } from '../cloud/contract.ts'

export type Needs = Pick<VmView, 'images' | 'storage' | 'bridges'>

const distinct = (names: readonly (string | undefined)[]): readonly string[] => [...new Set(names.filter((name) => name !== undefined && name !== ''))] as readonly string[]

/** The directory of an absolute path. */
export const directoryOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))
/** A device of the host itself, or what only its kernel has: never to be found on another machine. */
export const isHostDevice = (path: string): boolean => /^\/(dev|sys|proc)\//.test(path)

const storageOf = ({ path, volume }: DiskDevice): string | undefined => volume?.pool ?? (path === undefined ? undefined : directoryOf(path))

export function needsOf(settings: Pick<VmSettings, 'image' | 'devices'>): Needs {
  const disks = settings.devices.filter((device) => device.type === 'disk')
  return {
    images: distinct([settings.image, ...disks.map(({ base }) => base)]),
    storage: distinct(disks.map(storageOf)),
    bridges: distinct(settings.devices.map((device) => device.type === 'interface' ? device.bridge ?? device.network : undefined)),
  }
}

/** A VM as a scheduler is asked about it. */
export const needOf = (vm: { readonly uuid: string; readonly settings: VmSettings; readonly group?: string; readonly protection?: VmNeed['protection'] }): VmNeed => ({
  uuid: vm.uuid, name: vm.settings.name, vcpus: vm.settings.vcpus, memoryMiB: vm.settings.memoryMiB, labels: vm.settings.labels ?? {},
  ...(vm.group === undefined ? {} : { group: vm.group }),
  ...(vm.protection === undefined ? {} : { protection: vm.protection }),
  ...needsOf(vm.settings), priority: vm.protection?.priority ?? 0,
})
