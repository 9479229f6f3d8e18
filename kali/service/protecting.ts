// High availability of one VM: given when it could keep its promise (cloud.md 5.14, 5.15), taken back, and a human's word.
//
// Only wishes are written here. The VM's host arms it (lease, watchdog) and says so in the intent; once the protection is taken
// out of the intent, the same host lets go of them. Until a host has armed it, nobody takes it over.

import { errorCode } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { leaseGone } from '../cloud/keys.ts'
import type { IntentRecord, MachineRecord, Protection, Stored } from '../cloud/contract.ts'
import { roomOf } from '../cloud/bookings.ts'
import type { CloudService } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { checkTimings } from '../lease/timings.ts'
import { freshTries, placeOn, without } from './calls.ts'
import { bareOf } from './desk.ts'
import type { Desk } from './desk.ts'
import { isHostDevice, needOf, needsOf } from './needs.ts'
import type { Needs } from './needs.ts'
import type { Observation } from './observation.ts'
import { place } from './placing.ts'
import { originElsewhere } from './relocation.ts'
import { bridgesOf, imagesOf, seenOn, storageOf } from './snapshot.ts'
import type { VmVerbs } from './vms.ts'

type ProtectionVerbs = Pick<CloudService, 'protect' | 'unprotect' | 'clear'>

const NODES_MIN = 3
export const PROTECTION: Protection = { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0 }

/** Whether a disk's storage can be used from another machine: that has the very pool, told by its uuid. A path alone may be two directories. */
function sharing(observation: Observation, home: IntentRecord['machine'], storage: readonly string[]): (machine: MachineRecord) => readonly string[] | undefined {
  const pools = (home === undefined ? undefined : seenOn(observation, 'StoragePool', home)) ?? []
  const uuids = new Map(storage.flatMap((name) => pools.filter((pool) => pool.name === name || pool.attributes.path === name).map(({ uuid }) => [name, uuid] as const)))
  return (machine) => {
    const there = seenOn(observation, 'StoragePool', machine), names = storageOf(observation, machine)
    // Of a directory that is no pool at home nothing better is known than its path.
    return there === undefined ? undefined : storage.filter((name) => uuids.has(name) ? there.some(({ uuid, attributes }) => uuid === uuids.get(name) && attributes.state !== 'inactive') : names?.includes(name) === true)
  }
}

/** What of it a machine has not, as far as that is known. */
function lacks(needs: Needs, machine: MachineRecord, observation: Observation, shared: (machine: MachineRecord) => readonly string[] | undefined): readonly string[] {
  const missing = (what: string, needed: readonly string[], had: readonly string[] | undefined): readonly string[] => had === undefined ? [] : needed.filter((name) => !had.includes(name)).map((name) => `${what} ${name}`)
  return [...missing('image', needs.images, imagesOf(observation, machine)), ...missing('shared storage', needs.storage, shared(machine)), ...missing('bridge', needs.bridges, bridgesOf(observation, machine))]
}

export function createProtectionVerbs(desk: Desk, { addVm }: Pick<VmVerbs, 'addVm'>): ProtectionVerbs {
  const { view, book } = desk

  const assertMovable = async (intent: IntentRecord, by: Authority): Promise<void> => {
    const refuse = (reason: string): Error => KALI.NOT_MOVABLE({ vm: intent.name, reason: reason.replace(/\.$/, '') })
    const observation = await desk.observer.read({ fresh: true })
    const seen = observation.vm(intent.uuid).find(({ home }) => home === intent.machine?.node)
    const settings = seen === undefined ? intent.settings : await desk.settingsOfLive(seen, by)
    const device = settings.devices.find((each) => each.type === 'disk' && each.path !== undefined && isHostDevice(each.path))
    if (device !== undefined) throw refuse(`its disk ${'path' in device ? device.path : ''} is a device of its machine`)
    const pool = desk.poolOf(intent.pool)
    const others = view.machines(pool.uuid).filter(({ uuid, mode }) => uuid !== intent.machine?.uuid && mode !== 'maintenance')
    if (others.length === 0) throw refuse(`pool ${pool.name} has no other machine in service; add one`)
    const needs = needsOf(settings)
    const shared = sharing(observation, intent.machine, needs.storage)
    const reasons = others.map((machine) => {
      const room = roomOf(machine, pool)
      const short = settings.vcpus > room.vcpus || settings.memoryMiB > room.memoryMiB ? [`room for ${settings.vcpus} vcpus and ${settings.memoryMiB} MiB`] : []
      return { machine: machine.name, missing: [...lacks(needs, machine, observation, shared), ...short] }
    })
    if (reasons.every(({ missing }) => missing.length > 0)) throw refuse(reasons.map(({ machine, missing }) => `${machine} has not ${missing.join(', ')}`).join('; '))
  }

  const assertPromise = async (intent: IntentRecord, protection: Protection): Promise<void> => {
    const { survivesHosts, name } = desk.poolOf(intent.pool)
    if (survivesHosts === 0 || intent.machine === undefined || intent.desired !== 'running') return
    const snapshot = await desk.snapshot(intent.pool)
    const need = needOf({ ...intent, protection: { ...protection, armed: false } })
    const reason = desk.admit(snapshot, need, intent.machine.uuid)
    if (reason !== undefined) throw KALI.NO_ROOM({ vm: intent.name, where: `pool ${name} after the loss of ${survivesHosts} machines, which it promises to survive`, reason: reason.replace(/\.$/, '') })
  }

  const managed = async (pool: string, vm: ReferenceRecord, by: Authority): Promise<Stored<IntentRecord>> => {
    if (view.intent(vm.uuid) === undefined) await addVm(pool, vm, {}, by)
    return desk.vmOf(vm.uuid, pool)
  }

  const sayDead = async (intent: Stored<IntentRecord>, by: Authority): Promise<Stored<IntentRecord> | undefined> => {
    const from = intent.machine
    if (from === undefined) throw KALI.VM_REFUSED({ vm: intent.name, doing: 'taken from a dead machine', reason: 'it is on no machine', remedy: 'Clear it without that word' })
    const refuse = (reason: string): Error => KALI.NOT_TAKEABLE({ vm: intent.name, reason })
    if (desk.memberOf(from.node) === 'alive') throw refuse(`${from.name} answers, so it is not off`)
    if (view.lease(from.node) !== undefined) throw refuse(`the lease of ${from.name} still stands; it ends at most ${desk.timings.leaseMs / 1_000} s after the machine's last sign of life`)
    const decided = desk.decide(by.principal, `${by.principal} says that ${from.name} is off for certain`)
    const options = { signal: by.signal, proof: decided.reason, when: [leaseGone(from.node)] }
    const next = (present: Stored<IntentRecord>): Omit<IntentRecord, 'machine'> => {
      if (present.revision !== intent.revision) throw KALI.CHANGED({ what: `VM ${intent.name}` })
      return {
        ...without(present, 'revision', 'error', 'machine'), ...decided, epoch: present.epoch + 1, origin: originElsewhere(present, view.status(present.uuid)), booked: false, tries: freshTries(desk.wallMs()),
        ...(present.protection === undefined ? {} : { protection: { ...present.protection, armed: false } }),
      }
    }
    if (intent.desired === 'absent') {
      await book.forget(intent.uuid, ({ revision }) => revision === intent.revision)
      return undefined
    }
    try {
      const { written } = await place<Stored<IntentRecord>>(desk, {
        pool: intent.pool, vm: needOf(intent), avoid: { [from.uuid]: 'it is off' }, fallback: 'rank', signal: by.signal,
        write: (machine) => book.change(intent.uuid, (present) => ({ ...next(present), machine: placeOn(machine), booked: present.desired === 'running' }), options),
      })
      return written
    } catch (error) {
      // No room yet: it waits without a machine, and the policy places it.
      if (errorCode(error) !== KALI.NO_ROOM.code) throw error
      return book.change(intent.uuid, next, options)
    }
  }

  return {
    async protect(pool, vm, change, by) {
      checkTimings(desk.timings)
      // Who is dead settles nothing, and is no third vote.
      const nodes = desk.members().filter(({ state }) => state === 'alive' || state === 'suspect').length
      if (nodes < NODES_MIN) throw KALI.TWO_NODES({ nodes })
      desk.poolOf(pool)
      const before = await managed(pool, vm, by)
      const protection: Protection = { ...PROTECTION, ...(before.protection === undefined ? {} : without(before.protection, 'armed')), ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) }
      await assertMovable(before, by)
      if (before.protection === undefined) await assertPromise(before, protection)
      await desk.ensurePolicies(desk.poolOf(pool).policies, by)
      const decided = desk.decide(by.principal, before.protection === undefined ? `${by.principal} made it highly available` : `${by.principal} changed its protection`)
      const written = await book.change(before.uuid, (present) => ({
        ...without(present, 'revision'), ...decided, protection: { ...protection, armed: present.protection?.armed ?? false },
        ...(present.protection === undefined ? { tries: freshTries(desk.wallMs()) } : {}),
      }), { signal: by.signal })
      await desk.seen(written)
      return bareOf(written ?? desk.vmOf(before.uuid))
    },

    async unprotect(vm, by) {
      const { uuid, pool } = desk.vmOf(vm)
      const decided = desk.decide(by.principal, `${by.principal} ended its protection`)
      const written = await book.change(uuid, (present) => present.protection === undefined ? undefined : { ...without(present, 'revision', 'protection'), ...decided }, { signal: by.signal })
      await desk.seen(written)
      if (written !== undefined) await desk.journal({ id: decided.decision, pool, policy: by.principal, about: [uuid], action: 'none', reason: decided.reason, outcome: 'done' })
    },

    async clear(vm, { hostIsDead = false }, by) {
      const intent = desk.vmOf(vm)
      const { uuid, pool } = intent
      if (hostIsDead) {
        const written = await sayDead(intent, by)
        await desk.journal({ pool, policy: by.principal, about: [uuid], action: 'relocate', reason: `${by.principal} says that ${intent.machine?.name} is off for certain`, outcome: 'done', details: { from: intent.machine?.name, to: written?.machine?.name, epoch: written?.epoch } })
        if (written === undefined) await desk.shows(() => view.intent(uuid) === undefined, `that VM ${intent.name} is gone`)
        await desk.seen(written)
        return bareOf(written ?? intent)
      }
      const decided = desk.decide(by.principal, `${by.principal} cleared it: tries begin anew`)
      const written = await book.change(uuid, (present) => ({ ...without(present, 'revision', 'error'), ...decided, tries: freshTries(desk.wallMs()) }), { signal: by.signal })
      await desk.seen(written)
      await desk.journal({ id: decided.decision, pool, policy: by.principal, about: [uuid], action: 'retry', reason: decided.reason, outcome: 'done' })
      return bareOf(written ?? intent)
    },
  }
}
