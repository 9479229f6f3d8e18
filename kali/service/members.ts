// Members of elastic groups come and go: what the elasticity policy may ask for, checked again, each one transaction.
//
// A member's uuid is made from its group's and its number, so that an action that is repeated is the same VM (cloud.md 6.9);
// never above max, never the original, never below min of those that are up. Protection is withdrawn in the transaction that
// sends it away; its agent asks it to stop, waits out the group's drain time, and removes disks last (6.10).

import { namedUuid } from '../../rmo/mod.ts'
import { CLOUD_KEYS } from '../cloud/keys.ts'
import type { IntentRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { freshTries, placeOn, without } from './calls.ts'
import type { Decided, Desk } from './desk.ts'
import type { Done } from './actions.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import { isUp } from './snapshot.ts'

export const memberUuid = (group: string, member: string): string => namedUuid(group, `member/${member}`)
const NUMBER = /^[1-9]\d{0,8}$/
const refused = (group: string, doing: string, reason: string): Error => KALI.VM_REFUSED({ vm: `of group ${group}`, doing, reason, remedy: '`kumoi pool why` has the counts' })

export async function grow(desk: Desk, { group: uuid, member }: { readonly group: string; readonly member: string }, decided: Decided, signal: AbortSignal): Promise<Done> {
  const { view, book } = desk
  const group = desk.groupOf(uuid)
  const vm = memberUuid(uuid, member)
  if (!NUMBER.test(member)) throw refused(group.name, 'made', `"${member}" is no number of a member`)
  if (group.paused) throw refused(group.name, 'made', 'the group is paused')
  if (view.intent(vm) !== undefined || await book.read(vm, { signal }) !== undefined) return { outcome: 'nothing', reason: `member ${member} of ${group.name} is there already`, about: [uuid, vm] }
  const members = view.intents({ group: uuid }).filter(({ desired }) => desired !== 'absent').length
  if (members >= group.spec.max) throw refused(group.name, 'made', `the group has ${members} members, and its max is ${group.spec.max}`)
  const name = `${group.name}-${member}`
  const settings = { ...group.template, name }
  const { machine, choice } = await place<Stored<IntentRecord>>(desk, {
    pool: group.pool, vm: needOf({ uuid: vm, settings, group: uuid }), fallback: 'none', signal,
    write: async (on) => desk.seen(await book.intend({
      uuid: vm, name, pool: group.pool, account: group.account, desired: 'running', machine: placeOn(on), epoch: 1, origin: 'create', settings, booked: true, group: uuid, tries: freshTries(desk.wallMs()), ...decided,
    }, { signal, when: [{ key: CLOUD_KEYS.group(uuid), field: 'modRevision', is: '=', than: group.revision }] })),
  })
  return { outcome: 'done', reason: `${name} on ${machine.name}: ${decided.reason}`, about: [uuid, vm], choice }
}

export async function shrink(desk: Desk, { group: uuid, vm }: { readonly group: string; readonly vm: string }, decided: Decided, signal: AbortSignal): Promise<Done> {
  const { view, book } = desk
  const group = desk.groupOf(uuid)
  const about = [uuid, vm]
  const intent = view.intent(vm)
  if (intent === undefined || intent.desired === 'absent') return { outcome: 'nothing', reason: 'it is gone, or on its way out', about }
  if (intent.group !== uuid) throw refused(group.name, 'taken away', `${intent.name} is no member of it`)
  if (group.original === vm) throw refused(group.name, 'taken away', `${intent.name} is what the group was made from`)
  const up = view.intents({ group: uuid }).filter((member) => member.desired === 'running' && member.error === undefined && isUp(member, view.status(member.uuid)))
  // One that does not carry anything is missed by nobody.
  if (up.some((member) => member.uuid === vm) && up.length - 1 < group.spec.min) throw refused(group.name, 'taken away', `${up.length} members are up, and min is ${group.spec.min}`)
  const written = await book.change(vm, (present) => present.desired === 'absent' || present.group !== uuid ? undefined : { ...without(present, 'revision', 'protection', 'error'), ...decided, desired: 'absent', booked: false }, { signal })
  await desk.seen(written)
  if (written !== undefined && written.machine === undefined) await book.forget(vm, ({ machine, desired }) => machine === undefined && desired === 'absent')
  return written === undefined ? { outcome: 'nothing', reason: `${intent.name} is on its way out`, about } : { outcome: 'done', reason: `${intent.name} goes: ${decided.reason}`, about }
}
