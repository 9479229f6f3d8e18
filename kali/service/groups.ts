// Elastic groups: made from a VM, changed, removed. Their members come and go in acts of the elasticity policy (members.ts).

import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { GroupRecord, IntentRecord, Stored } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { awaited, forEach, without } from './calls.ts'
import { bareOf } from './desk.ts'
import type { Desk } from './desk.ts'
import { specWith, templateOf } from './group-spec.ts'
import { countedIn } from './members.ts'
import type { VmVerbs } from './vms.ts'

type GroupVerbs = Pick<CloudService, 'addGroup' | 'changeGroup' | 'removeGroup'>

export function createGroupVerbs(desk: Desk, { addVm }: Pick<VmVerbs, 'addVm'>): GroupVerbs {
  const { view, book } = desk

  /** The settings of a VM as its machine has them, or as they were given. */
  const settingsFor = async (intent: IntentRecord, by: Authority): Promise<IntentRecord['settings']> => {
    const observation = await desk.observer.read({ fresh: true })
    const seen: ReferenceRecord | undefined = observation.vm(intent.uuid).find(({ home }) => home === intent.machine?.node)
    return seen === undefined ? intent.settings : { ...intent.settings, ...await desk.settingsOfLive(seen, by) }
  }
  /** `change` makes a member somebody's who is none. */
  const change = async (uuid: string, by: string, reason: string, next: (present: Stored<IntentRecord>) => Partial<IntentRecord>, drop: readonly ('group' | 'protection' | 'error')[]): Promise<void> => {
    const decided = desk.decide(by, reason)
    const written = await book.change(uuid, (present) => ({ ...without(present, 'revision', ...drop), ...decided, ...next(present) }))
    if (written?.desired === 'absent' && written.machine === undefined) await book.forget(uuid, ({ machine, desired }) => machine === undefined && desired === 'absent')
  }

  return {
    async addGroup(pool, { uuid, name, vm, spec: wish }, by) {
      const { name: poolName, policies } = desk.poolOf(pool)
      const spec = specWith(wish)
      const called = name ?? `${vm.name}-group`
      if (view.groups(pool).some((group) => group.name === called)) throw KALI.NAME_TAKEN({ what: 'group', name: called })
      // What cannot be copied is told before anything is made.
      const isNew = view.intent(vm.uuid) === undefined
      if (isNew && vm.cold === true) templateOf({ memoryMiB: 1, vcpus: 1, devices: [], ...vm.attributes, name: vm.name }, called)
      if (isNew) await addVm(pool, vm, {}, by)
      const original = desk.vmOf(vm.uuid, pool)
      if (original.group !== undefined) throw KALI.VM_REFUSED({ vm: original.name, doing: `made the first of group ${called}`, reason: `it is a member of group ${view.group(original.group)?.name ?? original.group}`, remedy: 'Take another VM, or remove that group' })
      const template = templateOf(await settingsFor(original, by), called)
      await desk.ensurePolicies(policies, by)
      const group: GroupRecord = { uuid, name: called, pool, spec, template, original: original.uuid, paused: false, account: by.principal, createdAtMs: desk.wallMs() }
      const stored = await book.putGroup(group, 'new')
      await desk.seen(stored)
      const decided = desk.decide(by.principal, `${by.principal} made elastic group ${called} from it`)
      await desk.seen(await book.change(original.uuid, (present) => ({ ...without(present, 'revision'), ...decided, group: uuid }), { signal: by.signal }))
      await desk.journal({ id: decided.decision, pool, policy: by.principal, about: [uuid, original.uuid], action: 'none', reason: `${decided.reason}, in pool ${poolName}`, outcome: 'done' })
      return bareOf(stored)
    },

    async changeGroup(uuid, { spec, paused }, by) {
      const present = desk.groupOf(uuid)
      const stored = await countedIn(desk, uuid, by.signal, async (group) => desk.seen(await book.putGroup({ ...bareOf(group), ...(spec === undefined ? {} : { spec: specWith(spec, group.spec) }), ...(paused === undefined ? {} : { paused }) }, group.revision)))
      const what = paused === undefined || paused === present.paused ? 'changed it' : paused ? 'paused it' : 'let it go on'
      await desk.journal({ pool: present.pool, policy: by.principal, about: [uuid], action: 'none', reason: `${by.principal} ${what}`, outcome: 'done' })
      return bareOf(stored)
    },

    async removeGroup(uuid, { keepMembers = false }, by) {
      const present = desk.groupOf(uuid)
      // Its policy begins nothing new from here on.
      if (!present.paused) await countedIn(desk, uuid, by.signal, async (group) => desk.seen(await book.putGroup({ ...bareOf(group), paused: true }, group.revision)))
      const reason = `${by.principal} removed elastic group ${present.name}`
      const members = view.intents({ group: uuid })
      const leaving = keepMembers ? [] : members.filter((member) => member.uuid !== present.original)
      await forEach(members, (member) => leaving.includes(member) ? change(member.uuid, by.principal, reason, () => ({ desired: 'absent' }), ['group', 'protection', 'error']) : change(member.uuid, by.principal, reason, () => ({}), ['group']))
      await book.removeGroup(uuid)
      await desk.shows(() => view.group(uuid) === undefined, `that group ${present.name} is gone`)
      await desk.journal({ pool: present.pool, policy: by.principal, about: [uuid, ...leaving.map((member) => member.uuid)], action: 'none', reason, outcome: 'done' })
      await awaited(desk, by, () => leaving.every((member) => view.intent(member.uuid) === undefined) ? true : undefined, { what: `Removing the members of group ${present.name}`, until: 'their machines had removed them' })
    },
  }
}
