// VMs come under the cloud's care and leave it.
//
//   cold: settings -> scheduler -> intent, booked (one transaction) -> its agent makes and starts it -> answered when it runs
//   live, on a machine of the pool: intent with origin 'present' -> its agent marks it
//
// A cold VM that cannot be made or started leaves nothing: it is withdrawn, and its caller is told why.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { settingsOf } from '../../rmo/base.ts'
import type { VmSettings } from '../../rmo/mod.ts'
import type { IntentRecord, Stored } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { awaited, freshTries, isRunning, placeOn, saidOf, without } from './calls.ts'
import type { Desk } from './desk.ts'
import { arrival, beginMove, overLimit } from './moving.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import { seenOn } from './snapshot.ts'
import { waitFor } from './waiting.ts'

export type VmVerbs = Pick<CloudService, 'addVm' | 'removeVm' | 'migrateVm'>
type Added = Awaited<ReturnType<CloudService['addVm']>>

const MANAGED_BY = 'Take it out of that pool first'

export function createVmVerbs(desk: Desk): VmVerbs {
  const { view, book } = desk

  const newIntent = (pool: string, uuid: string, settings: VmSettings, by: Authority): Omit<IntentRecord, 'desired' | 'epoch' | 'origin' | 'booked' | 'decision' | 'decidedBy' | 'decidedAtMs' | 'reason'> =>
    ({ uuid, name: settings.name, pool, account: by.principal, settings, tries: freshTries(desk.wallMs()) })

  const addCold = async (pool: string, vm: ReferenceRecord, start: boolean, by: Authority): Promise<Added> => {
    const settings = settingsOf({ ...vm.attributes, name: vm.name }, { call: 'Pool.add', path: 'vm' })
    if (view.intents({ pool }).some(({ name }) => name === settings.name)) throw KALI.NAME_TAKEN({ what: 'VM', name: settings.name })
    // Its agent would take the one that is there for the one it is to make, and so would whoever may add VMs to a pool.
    const [there] = (await desk.observer.read({ fresh: true })).vm(vm.uuid)
    if (there !== undefined) throw KALI.VM_REFUSED({ vm: settings.name, doing: `added to pool ${desk.poolOf(pool).name}`, reason: `a VM with its uuid (${vm.uuid}) is there already`, remedy: 'Add that one, which needs "administer" on it, or make another' })
    const decided = desk.decide(by.principal, `${by.principal} added it`)
    const base = newIntent(pool, vm.uuid, settings, by)
    const entry = { id: decided.decision, pool, policy: by.principal, about: [vm.uuid], action: 'place' } as const
    try {
      const { written, machine, choice } = await place<Stored<IntentRecord>>(desk, {
        pool, vm: needOf(base), fallback: 'none', signal: by.signal,
        write: async (on) => desk.seen(await book.intend({ ...base, ...decided, desired: start ? 'running' : 'stopped', machine: placeOn(on), epoch: 1, origin: 'create', booked: start }, { signal: by.signal })),
      })
      await desk.journal({ ...entry, reason: `${decided.reason}; placed on ${machine.name}`, outcome: 'done', choice })
      if (written !== undefined) await made(written, start, by)
      return { vm: vm.uuid, choice }
    } catch (error) {
      if (errorCode(error) !== KALI.UNFINISHED.code && view.intent(vm.uuid) === undefined) await desk.journal({ ...entry, reason: error instanceof Error ? error.message : String(error), outcome: 'refused' })
      throw error
    }
  }

  /** Resolves when it runs (or is made); withdrawn when it cannot be. */
  const made = async (intent: Stored<IntentRecord>, start: boolean, by: Authority): Promise<void> => {
    const { uuid, name, machine } = intent
    const failed = await awaited(desk, by, () => {
      const present = view.intent(uuid)
      if (present === undefined) return 'it was removed'
      const said = saidOf(desk, present)
      if (said === undefined) return undefined
      if (start ? isRunning(said) : said.phase === 'stopped') return null
      return said.phase === 'failed' || said.phase === 'crashed' ? said.error ?? `it is ${said.phase}` : undefined
    }, { what: `Adding VM ${name}`, until: start ? 'it ran' : 'it was made' })
    if (failed === null) return
    await withdraw(uuid, by)
    throw KALI.VM_FAILED({ vm: name, machine: machine?.name ?? 'no machine', reason: failed })
  }
  const withdraw = async (uuid: string, by: Authority): Promise<void> => {
    try {
      await banish(uuid, `${by.principal} added it, and it failed`, by)
    } catch (error) {
      desk.log.warn('a VM that failed could not be withdrawn', { uuid, code: errorCode(error) ?? String(error) })
    }
    await waitFor(() => view.intent(uuid) === undefined ? true : undefined, { view, clock: desk.clock, timeoutMs: LIMITS.cloudWithdrawMs })
  }

  /** Stopped, and removed with its disks, by its agent; forgotten at once when it has no machine. */
  const banish = async (uuid: string, reason: string, by: Authority): Promise<void> => {
    const decided = desk.decide(by.principal, reason)
    const written = await book.change(uuid, (present) => ({ ...without(present, 'revision', 'protection', 'error'), ...decided, desired: 'absent' }))
    if (written !== undefined && written.machine === undefined) await book.forget(uuid, ({ machine, desired }) => machine === undefined && desired === 'absent')
    await desk.seen(written)
  }

  const addLive = async (pool: string, vm: ReferenceRecord, by: Authority): Promise<Added> => {
    const there = view.machines(pool).filter(({ node }) => node === vm.home)
    const refuse = (reason: string, remedy: string): Error => KALI.VM_REFUSED({ vm: vm.name, doing: `added to pool ${desk.poolOf(pool).name}`, reason, remedy })
    const observation = await desk.observer.read({ fresh: true })
    const seen = observation.vm(vm.uuid).find(({ home }) => home === vm.home)
    const machine = there.length <= 1 ? there[0] : there.find((each) => seenOn(observation, 'VM', each)?.some(({ uuid }) => uuid === vm.uuid))
    if (machine === undefined) throw refuse('the machine that it is on is not in the pool', 'Add that machine first, or move the VM')
    const settings = await desk.settingsOfLive(seen ?? vm, by)
    const state = seen?.attributes.state ?? vm.attributes.state
    const runs = state === undefined || state === 'running' || state === 'paused'
    const decided = desk.decide(by.principal, `${by.principal} added it as it is`)
    await desk.seen(await book.intend({ ...newIntent(pool, vm.uuid, settings, by), ...decided, desired: runs ? 'running' : 'stopped', machine: placeOn(machine), epoch: 1, origin: 'present', booked: runs }, { signal: by.signal }))
    await desk.journal({ id: decided.decision, pool, policy: by.principal, about: [vm.uuid], action: 'place', reason: `${decided.reason}, on ${machine.name}`, outcome: 'done' })
    return { vm: vm.uuid }
  }

  return {
    async addVm(pool, vm, { start = true }, by) {
      const { name } = desk.poolOf(pool)
      const managed = view.intent(vm.uuid)
      if (managed !== undefined) throw KALI.VM_REFUSED({ vm: vm.name, doing: `added to pool ${name}`, reason: `pool ${view.pool(managed.pool)?.name ?? managed.pool} manages it`, remedy: MANAGED_BY })
      return vm.cold === true ? addCold(pool, vm, start, by) : addLive(pool, vm, by)
    },

    async removeVm(pool, vm, { destroy = false }, by) {
      const { uuid, name, group } = desk.vmOf(vm, pool)
      const of = group === undefined ? undefined : view.group(group)
      if (of?.original === uuid) throw KALI.VM_REFUSED({ vm: name, doing: 'removed', reason: `elastic group ${of.name} was made from it`, remedy: 'Remove the group first' })
      if (!destroy) {
        await book.forget(uuid, (present) => present.pool === pool)
        await desk.shows(() => view.intent(uuid) === undefined, `that VM ${name} is managed no more`)
        await desk.journal({ pool, policy: by.principal, about: [uuid], action: 'none', reason: `${by.principal} took it out of the pool; it goes on as it is`, outcome: 'done' })
        return
      }
      await banish(uuid, `${by.principal} removed it`, by)
      await awaited(desk, by, () => view.intent(uuid) === undefined ? true : undefined, { what: `Removing VM ${name}`, until: 'its machine had removed it' })
    },

    async migrateVm(pool, vm, to, by) {
      const intent = desk.vmOf(vm, pool)
      const target = to === undefined ? undefined : desk.machineOf(to, pool).uuid
      const decided = desk.decide(by.principal, `${by.principal} moved it`)
      const limits = desk.poolOf(pool)
      await awaited(desk, by, () => overLimit(desk, limits, [intent.machine?.uuid, target].filter((each) => each !== undefined)) === undefined ? true : undefined, { what: `Moving ${intent.name}`, until: `a place among the migrations of pool ${limits.name} was free` })
      const { written, machine, choice } = await beginMove(desk, desk.vmOf(intent.uuid), { to: target, decided, signal: by.signal })
      await desk.journal({ id: decided.decision, pool, policy: by.principal, about: [intent.uuid], action: 'migrate', reason: `${decided.reason} to ${machine.name}`, outcome: 'done', choice })
      if (written !== undefined) await arrival(desk, written, by)
    },
  }
}
