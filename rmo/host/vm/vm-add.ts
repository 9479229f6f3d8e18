// Making VMs and taking them away: createVM, add, remove, adopt. add() is all or nothing.
//
//   name/NAME, VM/UUID locked -> checks -> disks, seed -> MACs -> define -> (start) -> object
//                                            `-- any failure takes back what was made, newest first (all-or-nothing.ts)

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Log } from '../../../fabric/mod.ts'
import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { coldVm } from '../../cold-vm.ts'
import type { Call, DomainMetadata } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { NewVm } from '../../kinds/interfaces.ts'
import { settingsOf } from '../../vm-schema.ts'
import { isActive, levelOf, mustDo } from '../../vm-state.ts'
import type { VmSettings } from '../../settings.ts'
import { allOrNothing, textOf } from '../all-or-nothing.ts'
import type { Steps } from '../all-or-nothing.ts'
import type { Prepared } from '../parts.ts'
import { reread } from './snapshots.ts'
import { setGoing } from './set-going.ts'
import { fillInterfaces, sameVm } from './vm-devices.ts'
import { withVm } from './vm-verbs.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'

export const createVm = ({ host }: VmContext, wish: NewVm): ReferenceRecord => coldVm(wish, { call: 'VMM.createVM', home: host.self, random: host.random })

/** What Kumoi keeps with a domain. */
export const metadataOf = ({ image, instanceId, context, labels }: VmSettings, made: Pick<DomainMetadata, 'createdBy' | 'createdAtMs'>): DomainMetadata => ({
  ...image === undefined ? {} : { image },
  ...instanceId === undefined ? {} : { instanceId },
  ...context === undefined ? {} : { context },
  ...labels === undefined ? {} : { labels },
  ...made.createdBy === undefined ? {} : { createdBy: made.createdBy },
  ...made.createdAtMs === undefined ? {} : { createdAtMs: made.createdAtMs },
})

/** Without a storage room nothing can be made for a VM; one that needs nothing made needs no room. */
async function prepareDisks(context: VmContext, uuid: string, settings: VmSettings, call: Call): Promise<Prepared> {
  const { disks } = context.parts()
  if (disks !== undefined) {
    try {
      return await disks.prepare(uuid, settings, call)
    } catch (error) {
      if (errorCode(error) !== RMO.IMAGE_MISSING.code) throw error
      // A host that has just started, or whose shared directory somebody else filled, has not read what is there.
      await context.host.resync()
      return disks.prepare(uuid, settings, call)
    }
  }
  const wants = settings.image !== undefined || settings.context !== undefined || settings.devices.some((device) => device.type === 'disk' && device.create === 'auto')
  if (wants) throw RMO.DRIVER_UNSUPPORTED({ operation: `Making disks for ${settings.name}`, driver: context.host.driver.name, reason: 'this host has no storage' })
  return { settings, undo: async () => [] }
}

/** Leaves no domain of that uuid, whatever became of define() and start(). */
async function undefine({ host, ownCall }: VmContext, uuid: string): Promise<void> {
  const call = ownCall(LIMITS.vmUndoTimeoutMs)
  const left = await host.driver.domains.get(uuid, call)
  if (left === undefined) return
  if (isActive(left.state)) await host.driver.domains.destroy(uuid, call)
  await host.driver.domains.undefine(uuid, call)
}

/** Names are unique on a host: whoever defines one asks here, with the name's lock held. */
export async function assertNameFree({ host, room, migrations }: VmContext, name: string, uuid: string): Promise<void> {
  const other = room.byName(name)
  if (other !== undefined && other.uuid !== uuid) throw RMO.NAME_TAKEN({ kind: 'VM', name, host: host.hostName(), uuid: other.uuid })
  if (migrations().expectsName(name, uuid)) throw RMO.NAME_TAKEN({ kind: 'VM', name, host: host.hostName(), uuid: 'on its way here' })
}

/** What createVM() made here is new; a dump may be of a VM that another machine still has, and would run twice on the same disks. */
async function assertNowhere({ host, peers, room }: VmContext, { uuid, name }: { readonly uuid: string; readonly name: string }, authority: Authority): Promise<void> {
  const holder = await peers.holder?.('VM', uuid, authority)
  if (holder === undefined || (holder === host.self && room.get(uuid) !== undefined)) return
  throw RMO.ALREADY_EXISTS({ what: `VM ${name} (${uuid})`, host: peers.nameOf(holder) })
}

export interface Definition {
  readonly uuid: string
  readonly settings: VmSettings
  readonly start: boolean
  /** Of a VM that the cloud has placed here (placement.ts). */
  readonly epoch?: number
  /** Makes the disks; default: from the settings. */
  prepare?(call: Call): Promise<Prepared>
}

/** Disks, addresses, definition, start; the caller holds the locks of the name and of the uuid. */
export async function defineVm(context: VmContext, operation: string, { uuid, settings, start, epoch, prepare }: Definition, authority: Authority): Promise<HostVm> {
  const { host, room } = context
  const { domains } = host.driver
  const call = host.call(authority)
  const release: (() => void)[] = []
  const work = async (steps: Steps): Promise<HostVm> => {
    const prepared = await (prepare?.(call) ?? prepareDisks(context, uuid, settings, call))
    steps.note(`disks of ${settings.name}`, () => prepared.undo())
    const { typeOfBridge } = context.parts()
    const devices = fillInterfaces(prepared.settings.devices, { uuid, name: settings.name, host: host.hostName(), taken: room.macsTaken(), ...typeOfBridge === undefined ? {} : { typeOfBridge } })
    release.push(room.reserveMacs(devices.flatMap((device) => device.type === 'interface' && device.mac !== undefined ? [device.mac] : [])))
    steps.note(`domain ${settings.name} (${uuid})`, () => undefine(context, uuid))
    const whole = { ...prepared.settings, devices }
    const metadata = metadataOf(whole, { createdBy: authority.principal, createdAtMs: Math.round(host.clock.wallMs()) })
    const record = await domains.define(uuid, whole, epoch === undefined ? metadata : { ...metadata, epoch }, call)
    if (whole.autostart === true) await domains.setAutostart(uuid, true, call)
    if (!start) return room.remember(record)
    await setGoing(context, { uuid, name: settings.name, metadata: record.metadata }, () => domains.start(uuid, {}, call))
    return room.remember(await domains.get(uuid, call) ?? record)
  }
  try { return await allOrNothing(operation, settings.name, work) } finally { for (const letGo of release) letGo() }
}

export async function addVm(context: VmContext, draft: ReferenceRecord, { start = false }: { readonly start?: boolean }, authority: Authority): Promise<ReferenceRecord> {
  const { host, room } = context
  const { uuid, home } = draft
  if (draft.cold !== true) {
    const present = room.get(uuid)
    if (present === undefined) throw RMO.ARGUMENT_INVALID({ call: 'VMM.add', path: 'vm', expected: 'a cold VM, of createVM() or load() (migrate() moves a live one)', got: `${draft.name}, which lives elsewhere` })
    if (start) await present.start({}, authority)
    return present.reference()
  }
  const settings = settingsOf({ name: draft.name, ...draft.attributes }, { call: 'VMM.add', path: 'vm' })
  const reference = await host.exclusive(`name/${settings.name}`, () => host.exclusive(`VM/${uuid}`, async () => {
    authority.signal.throwIfAborted()
    // Asked of the hypervisor, not of the room: the room may not have read what somebody else has just defined.
    const call = host.call(authority)
    const present = await host.driver.domains.get(uuid, call)
    if (present !== undefined) {
      if (!sameVm(present.settings, settings)) throw RMO.ALREADY_EXISTS({ what: `Another VM with uuid ${uuid} ("${present.settings.name}")`, host: host.hostName() })
      const vm = room.remember(present)
      if (start && mustDo('start', { name: settings.name, state: present.state })) {
        await context.guard?.asked({ uuid, name: settings.name }, 'start', authority)
        await context.migrations().assertSettled(uuid)
        await setGoing(context, { uuid, name: settings.name, metadata: present.metadata }, () => host.driver.domains.start(uuid, {}, call))
        await room.refresh(uuid)
      }
      return vm.reference()
    }
    await context.migrations().assertNotElsewhere(uuid, authority)
    if (home !== host.self) await assertNowhere(context, { uuid, name: settings.name }, authority)
    await assertNameFree(context, settings.name, uuid)
    return (await defineVm(context, 'add', { uuid, settings, start }, authority)).reference()
  }))
  await reread(context)
  return room.get(uuid)?.reference() ?? reference
}

export async function removeVm(context: VmContext, { uuid, name, home }: ReferenceRecord, { force = false, keepDisks = false }: { readonly force?: boolean; readonly keepDisks?: boolean }, authority: Authority): Promise<void> {
  const { host, room } = context
  // One that is being added just now is removed when it is there.
  const vm = room.get(uuid) ?? await host.exclusive(`VM/${uuid}`, async () => room.get(uuid))
  if (vm === undefined) {
    // Removing twice is removing once; one that lives elsewhere is not removed by asking here.
    if (home === host.self && host.objects.movedTo('VM', uuid) === undefined) return
    throw RMO.OBJECT_UNKNOWN({ kind: 'VM', uuid, node: host.hostName() })
  }
  await withVm(context, vm, authority, async ({ state, settings, managed }, call) => {
    const { domains } = host.driver
    if (!force) mustDo('remove', { name: settings.name, state })
    await context.guard?.asked({ uuid, name: settings.name }, 'remove', authority)
    if (force && levelOf(state) !== 'off') await domains.destroy(uuid, call)
    const { disks } = context.parts()
    const disposes = managed && !keepDisks && disks !== undefined
    if (disposes) await context.removals.begin({ uuid, settings })
    try {
      await domains.undefine(uuid, call)
    } catch (error) {
      // Not answered in time, it may still go; what became of it is seen at the next start of the node.
      if (disposes && errorCode(error) !== RMO.DRIVER_TIMEOUT.code) await context.removals.end(uuid)
      throw error
    }
    room.forget(uuid, `it was removed by ${authority.principal}`)
    await context.rules.drop(uuid)
    if (!disposes) return
    try {
      await disks.dispose(uuid, settings, call)
      await context.removals.end(uuid)
    } catch (error) {
      if (errorCode(error) === RMO.PARTLY_DONE.code) throw error
      throw RMO.PARTLY_DONE({ operation: 'remove', name, reason: textOf(error), left: [`disks of ${name} (${uuid})`] }, { cause: error })
    }
  })
  await reread(context)
}

/** What a node that was killed in the middle of removals left: disks of VMs that are gone. */
export async function finishRemovals(context: VmContext, log: Pick<Log, 'info' | 'warn'>): Promise<void> {
  const { host, removals } = context
  for (const { uuid, settings } of removals.open()) {
    try {
      await host.exclusive(`VM/${uuid}`, async () => {
        const call = context.ownCall(LIMITS.vmUndoTimeoutMs)
        // Still there: its removal never was, and can be asked for again.
        if (await host.driver.domains.get(uuid, call) === undefined) await context.parts().disks?.dispose(uuid, settings, call)
        await removals.end(uuid)
      })
      log.info('an interrupted removal was finished', { vm: settings.name, uuid })
    } catch (error) {
      log.warn('an interrupted removal could not be finished', { vm: settings.name, uuid, reason: textOf(error) })
    }
  }
}

export async function adoptVm(context: VmContext, { uuid, name }: ReferenceRecord, authority: Authority): Promise<ReferenceRecord> {
  const { host, room } = context
  const vm = room.get(uuid)
  if (vm === undefined) throw RMO.GONE({ kind: 'VM', name, reason: `${host.hostName()} does not have it` })
  await withVm(context, vm, authority, async ({ managed, settings, metadata }, call) => {
    if (managed) return
    const made = metadataOf(settings, { createdBy: authority.principal, createdAtMs: Math.round(host.clock.wallMs()) })
    room.remember(await host.driver.domains.define(uuid, settings, { ...made, ...metadata }, call))
  })
  return vm.reference()
}
