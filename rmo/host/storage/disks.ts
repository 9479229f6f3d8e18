// Disks of VMs: made when a VM is added, removed when it is, cloned with it. The DiskMaker of host/parts.ts.
//
//   prepare: settings --disk-plan--> what is to be made --store--> files --> settings with paths, roles, targets, seed
//
// All or nothing: each step leaves its way back on a list, and a failure walks it. Only what Kumoi made for this very VM
// is ever removed. A base is held (holds.ts) while an overlay is made of it, so that it cannot be removed in between. Source of the seed's rules: cloud-init NoCloud (seed.ts).

import { basename, dirname, join, resolve } from 'node:path'
import { errorCode } from '../../../fabric/base.ts'
import type { Call } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { DiskDevice, VmSettings } from '../../settings.ts'
import { pathOf } from './claims.ts'
import type { Claims } from './claims.ts'
import type { HostContext } from '../contract.ts'
import type { Holds } from './holds.ts'
import { disksOf, fileStem, freeTarget, planDisks } from './disk-plan.ts'
import type { PlannedDisk } from './disk-plan.ts'
import type { Backing, DiskFacts, DiskNote, DiskStore } from './disk-store.ts'
import { asDeclared, createDiskChain } from './disk-chain.ts'
import { cloneDisk } from './disk-clone.ts'
import { randomUuid } from '../../uuid.ts'
import type { ImageCatalog } from './images.ts'
import type { DiskMaker, Prepared } from '../parts.ts'
import { hostnameOf, seedFiles } from './seed.ts'
import { createUndo } from './undo.ts'
import type { Undo } from './undo.ts'
import { isPaperwork } from './unfinished.ts'

export interface DiskMakerOptions {
  readonly context: HostContext
  readonly store: DiskStore
  readonly images: ImageCatalog
  readonly claims: Claims
  readonly holds: Holds
  /** A disk was made (on that base) or removed; the pool it is in shall be looked at again. */
  onMade(path: string, base?: string): void
  onRemoved(path: string): void
}
export interface DiskWork {
  readonly uuid: string
  readonly settings: VmSettings
  readonly call: Call
  readonly undo: Undo
}

/** Never a disk, whatever their size says. */
const KERNEL_FILES = /^\/(?:proc|sys|dev(?!\/shm\/))(?:\/|$)/

export function createDiskMaker(options: DiskMakerOptions): DiskMaker {
  const { context, store, images, claims, holds, onMade, onRemoved } = options
  const noteFor = (owner: string, role: DiskNote['role']): DiskNote => ({ owner, role, madeAtMs: context.clock.wallMs() })
  const unusable = (path: string, reason: string): Error => RMO.DISK_UNUSABLE({ path, host: context.hostName(), reason })
  const chain = createDiskChain({ store, images, hostName: () => context.hostName() })
  const defaultDirectory = (): string => {
    const { pools } = context.inventory()
    const pool = pools.find(({ name, active }) => active && name === 'default') ?? pools.find(({ active, type }) => active && type !== 'other')
    return pool?.path ?? context.directory
  }
  const placeOf = (disk: DiskDevice): string | undefined => {
    const { pools, volumes } = context.inventory()
    const path = pathOf(disk, pools, volumes)
    if (path === undefined && disk.volume !== undefined) throw unusable(`${disk.volume.pool}/${disk.volume.name}`, `there is no pool "${disk.volume.pool}"; create it, or name another`)
    return path === undefined ? undefined : resolve(path)
  }

  /** Names of the VMs that have this very file as a disk, under whatever path. */
  const usersOfFile = async (path: string, except: string): Promise<readonly string[]> => {
    const { domains, pools, volumes } = context.inventory()
    const found = new Set<string>()
    for (const { uuid, settings } of domains) {
      if (uuid === except) continue
      for (const disk of disksOf(settings)) {
        const own = pathOf(disk, pools, volumes)
        if (own !== undefined && (own === path || await store.realPath(own) === path)) found.add(settings.name)
      }
    }
    return [...found]
  }
  /** The VM has it already, as that format: what it stands on was looked at then. */
  const isInUse = (device: DiskDevice, uuid: string): boolean => {
    const domain = context.inventory().domains.find((each) => each.uuid === uuid)
    return domain !== undefined && disksOf(domain.settings).some((disk) => disk.format === device.format && placeOf(disk) === placeOf(device))
  }
  const checkExisting = async ({ device }: PlannedDisk, path: string, probed: DiskFacts, { uuid, call }: DiskWork): Promise<void> => {
    const writes = device.device !== 'cdrom' && device.readOnly !== true
    // A raw disk's contents are the guest's: whatever they look like, they are data.
    const facts = asDeclared(probed, device.format)
    if (facts.unusable !== undefined) throw unusable(path, facts.unusable)
    if (device.format === 'qcow2' && facts.format !== 'qcow2') throw unusable(path, `it is ${facts.format}, not qcow2; say format: "raw"`)
    if (writes && (facts.sealed || images.at(path) !== undefined)) throw unusable(path, 'it is read-only (an image or a frozen base); use an overlay of it, or attach it with readOnly: true')
    if (writes && facts.linked === true) throw unusable(path, 'it has other names too (hard links), under which others may write to it; copy it')
    if (isInUse(device, uuid)) await chain.depth(path, facts, call)
    else await chain.check(path, facts, call)
    const by = writes ? await usersOfFile(path, uuid) : []
    if (by.length > 0) throw RMO.IN_USE({ kind: 'Disk', name: path, by })
  }
  /** An automatic disk that is there already must be this VM's: hosts share directories, and a client chooses uuids. */
  const checkOwner = async (path: string, chosen: boolean, uuid: string): Promise<void> => {
    const owner = await store.ownerOf(path)
    if (owner !== undefined && owner !== uuid) throw RMO.IN_USE({ kind: 'Disk', name: path, by: [`VM ${owner}, for which it was made (say create: "existing" to use it all the same)`] })
    if (chosen && await store.roleFor(path, uuid) === undefined) throw RMO.ALREADY_EXISTS({ what: `File ${path}`, host: context.hostName() })
  }

  const makeDisk = async ({ device, make }: PlannedDisk, path: string, work: DiskWork): Promise<void> => {
    const { uuid, call, undo } = work
    const role = device.role ?? 'data'
    const create = async (backing: Backing | undefined, capacityBytes: number | undefined): Promise<void> => {
      await store.create(path, { format: device.format, ...(backing === undefined ? {} : { backing }), ...(capacityBytes === undefined ? {} : { capacityBytes }) }, noteFor(uuid, role), call)
      undo.add(`disk ${path}`, async () => { await store.remove(path, undo.call); onRemoved(path) })
      onMade(path, backing?.path)
    }
    if (make?.image === undefined) return create(undefined, make?.capacityBytes)
    const { backing, capacityBytes, image } = await images.use(make.image, call)
    if (make.capacityBytes !== undefined && make.capacityBytes < capacityBytes) {
      throw RMO.ARGUMENT_INVALID({ call: `VM ${work.settings.name}`, path: `disk ${path} sizeMiB`, expected: `at least the ${Math.ceil(capacityBytes / 2 ** 20)} MiB of image ${image.note.name}`, got: String(make.capacityBytes / 2 ** 20) })
    }
    await holds.use(backing.path, async () => {
      // Removed while this one waited for its turn?
      if (await store.probe(backing.path, call) === undefined) await images.scan()
      await create((await images.use(image.note.name, call)).backing, make.capacityBytes)
    })
  }

  const prepareDisk = async (plan: PlannedDisk, work: DiskWork): Promise<DiskDevice> => {
    const { uuid, settings, call, undo } = work
    let { device } = plan
    let path = placeOf(device)
    if (path === undefined) {
      const image = plan.make?.image
      const directory = image === undefined ? defaultDirectory() : dirname((await images.use(image, call)).image.path)
      const stem = fileStem(settings.name, uuid)
      path = join(directory, device.role === 'root' ? `${stem}.${device.format}` : `${stem}-${device.target}.${device.format}`)
      device = { ...device, path }
    }
    const chosen = placeOf(plan.device) === undefined
    const own = await store.realPath(path)
    if (isPaperwork(basename(own))) throw unusable(own, 'names like this are kept for Kumoi\'s own notes')
    if (KERNEL_FILES.test(own)) throw unusable(own, 'it is a file of the kernel or a device')
    if (device.readOnly !== true) {
      const other = claims.claim(own, uuid, settings.name)
      if (other !== undefined) throw RMO.IN_USE({ kind: 'Disk', name: own, by: [other] })
      undo.add(undefined, async () => claims.release(own, uuid))
    }
    const facts = await store.probe(own, call)
    if (facts !== undefined) {
      if (plan.make !== undefined) await checkOwner(own, chosen, uuid)
      await checkExisting(plan, own, facts, work)
    } else if (plan.make !== undefined) await makeDisk({ ...plan, device }, own, work)
    else throw unusable(own, 'there is no such file; say create: "auto" to have it made')
    return device
  }

  /**
   * The seed's device, its file written; undefined: the VM has neither a context nor an image. One made of an image has
   * always a seed: a guest that finds none may look for it for two minutes (cloud.md section 4).
   */
  const prepareSeed = async (before: DiskDevice | undefined, others: readonly DiskDevice[], instanceId: string, work: DiskWork): Promise<DiskDevice | undefined> => {
    const { uuid, settings, call, undo } = work
    const told = settings.context ?? (settings.image === undefined ? undefined : {})
    if (told === undefined) return before
    const files = seedFiles({ instanceId, hostname: hostnameOf(settings.name), context: told })
    const beside = others.map(placeOf).find((path) => path !== undefined)
    const fresh = join(beside === undefined ? defaultDirectory() : dirname(beside), `${fileStem(settings.name, uuid)}.seed.iso`)
    const given = before === undefined ? undefined : placeOf(before)
    // A seed that belongs to another VM (the one this was dumped from) is left alone.
    const mine = given !== undefined && (await store.probe(given, call) === undefined || await store.roleFor(given, uuid) === 'seed')
    const path = mine ? given : fresh
    if (path === fresh && await store.probe(path, call) !== undefined && await store.roleFor(path, uuid) !== 'seed') throw RMO.ALREADY_EXISTS({ what: `File ${path}`, host: context.hostName() })
    const putBack = await store.rewriteSeed(path, files, noteFor(uuid, 'seed'), call)
    undo.add(`seed ${path}`, putBack)
    onMade(path)
    const { volume: _, ...kept } = before ?? { type: 'disk' as const }
    const target = before?.target ?? freeTarget({ type: 'disk', format: 'raw' }, new Set(others.flatMap((disk) => disk.target ?? [])))
    return { ...kept, path, format: 'raw', readOnly: true, create: 'auto', role: 'seed', target }
  }

  const withDisks = (settings: VmSettings, disks: readonly DiskDevice[], instanceId: string): VmSettings =>
    ({ ...settings, instanceId, devices: [...disks, ...settings.devices.filter(({ type }) => type !== 'disk')] })

  /** Runs `work` with a list of ways back; walks it when it fails. */
  const allOrNothing = async <T extends object>(operation: string, uuid: string, settings: VmSettings, call: Call, work: (work: DiskWork) => Promise<T>): Promise<T & Pick<Prepared, 'undo'>> => {
    const undo = createUndo(context.clock)
    try {
      return { ...await work({ uuid, settings, call, undo }), undo: () => undo.run() }
    } catch (error) {
      const left = await undo.run()
      if (left.length === 0) throw error
      throw RMO.PARTLY_DONE({ operation, name: settings.name, reason: error instanceof Error ? error.message : String(error), left }, { cause: error })
    }
  }
  const prepareAll = async (work: DiskWork): Promise<{ settings: VmSettings }> => {
    const { settings } = work
    const instanceId = settings.instanceId ?? randomUuid(context.random)
    const plans = planDisks(settings)
    const disks: DiskDevice[] = []
    for (const plan of plans) if (plan.device.role !== 'seed') disks.push(await prepareDisk(plan, work))
    const seed = await prepareSeed(plans.find(({ device }) => device.role === 'seed')?.device, disks, instanceId, work)
    return { settings: withDisks(settings, seed === undefined ? disks : [...disks, seed], instanceId) }
  }

  /** A frozen base that nothing stands on any more, and what is under it. */
  const collectBase = async (path: string, call: Call): Promise<void> => {
    const facts = await store.probe(path, call)
    if (facts === undefined || !await store.isBase(path)) return
    const gone = await holds.remove(path, async () => {
      if ((await store.overlaysBeside(path, call)).length > 0) return false
      await store.remove(path, call)
      onRemoved(path)
      return true
    }).catch((error: unknown) => {
      // A clone is being made of it: then it is needed.
      if (errorCode(error) === RMO.IN_USE.code) return false
      throw error
    })
    if (gone && facts.backing !== undefined) await collectBase(facts.backing.path, call)
  }
  const disposeDisk = async (disk: DiskDevice, uuid: string, call: Call): Promise<void> => {
    const path = placeOf(disk)
    if (path === undefined) return
    claims.release(path, uuid)
    if (await store.roleFor(path, uuid) === undefined || (await usersOfFile(await store.realPath(path), uuid)).length > 0) return
    const base = (await store.probe(path, call))?.backing?.path
    await store.remove(path, call)
    onRemoved(path)
    if (base !== undefined) await collectBase(base, call)
  }

  return {
    prepare: (uuid, settings, call) => allOrNothing('add', uuid, settings, call, prepareAll),
    async dispose(uuid, settings, call) {
      const left: string[] = []
      let first: unknown
      for (const disk of disksOf(settings)) {
        await disposeDisk(disk, uuid, call).catch((error: unknown) => {
          first ??= error
          left.push(`disk ${disk.path ?? `${disk.volume?.pool}/${disk.volume?.name}`}`)
        })
      }
      if (left.length > 0) throw RMO.PARTLY_DONE({ operation: 'remove', name: settings.name, reason: first instanceof Error ? first.message : String(first), left }, { cause: first })
    },
    remakes(disk) {
      const path = disk.create === 'auto' ? placeOf(disk) : undefined
      return path !== undefined && store.isUnseen?.(path) === true
    },
    async assertWhole(settings, call) {
      for (const disk of disksOf(settings)) {
        const path = disk.format === 'qcow2' ? placeOf(disk) : undefined
        const facts = path === undefined ? undefined : await store.probe(path, call)
        // One that is not seen at all is the driver's to refuse: it may bring its disks along.
        if (path !== undefined && facts !== undefined) await chain.depth(path, facts, call)
      }
    },
    cloneDisks: ({ original, uuid, settings, how }, call, onProgress) => allOrNothing('clone', uuid, settings, call, async (work) => {
      const domain = context.inventory().domains.find((each) => each.uuid === original.uuid)
      if (domain !== undefined && domain.state !== 'stopped' && domain.state !== 'crashed') {
        throw RMO.STATE_INVALID({ kind: 'VM', name: original.settings.name, operation: 'clone', state: domain.state, needs: 'stopped, so that its disks stand still; for a fresh machine of the same image, create one' })
      }
      const sources = disksOf(original.settings).filter(({ role }) => role !== 'seed')
      const cloned: DiskDevice[] = []
      for (const [i, disk] of sources.entries()) {
        const path = placeOf(disk)
        const writes = disk.device !== 'cdrom' && disk.readOnly !== true
        if (path === undefined || !writes) { cloned.push(disk); continue }
        const suffix = disk.role === 'root' || sources.length === 1 ? '' : `-${disk.target ?? i}`
        const to = join(dirname(path), `${fileStem(settings.name, uuid)}${suffix}.qcow2`)
        const capacityBytes = await cloneDisk({ ...options, work, chain, unusable, collect: collectBase, note: noteFor(uuid, disk.role === 'root' ? 'root' : 'data') }, {
          path, format: disk.format, to, how, owner: original.uuid,
          onProgress: (ratio) => onProgress?.((i + ratio) / sources.length),
        })
        const { volume: _, ...kept } = disk
        // A disk of no image must say its size, so that the clone's dump can be made again.
        const sized = disk.sizeMiB !== undefined || settings.image !== undefined || disk.base !== undefined ? {} : { sizeMiB: Math.ceil(capacityBytes / 2 ** 20) }
        cloned.push({ ...kept, ...sized, path: to, format: 'qcow2', create: 'auto' })
      }
      onProgress?.(1)
      // Its disks exist by now, so no image is laid under anything; a new seed is written with the new instance id.
      return prepareAll({ ...work, settings: withDisks(settings, cloned, settings.instanceId ?? randomUuid(context.random)) })
    }),
    reseed: (uuid, settings, call) => allOrNothing('context', uuid, settings, call, async (work) => {
      const instanceId = settings.instanceId ?? randomUuid(context.random)
      const disks = disksOf(settings)
      const others = disks.filter(({ role }) => role !== 'seed')
      const seed = await prepareSeed(disks.find(({ role }) => role === 'seed'), others, instanceId, work)
      return { settings: withDisks(settings, seed === undefined ? others : [...others, seed], instanceId) }
    }),
  }
}
