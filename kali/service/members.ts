// Members of elastic groups come and go: what the elasticity policy may ask for, checked again, each one transaction.
//
// A member's uuid is made from its group's and its number, so that an action that is repeated is the same VM (cloud.md 6.9);
// never above max, never the original, never below min of those that are up. Whatever changes one of these counts changes the
// revision of the group's record (kali/cloud/intents.ts), and what is decided from a count is written only at that revision:
// so two nodes that act at once hold max and min as one does. Protection is withdrawn in the transaction that sends a member
// away; its agent asks it to stop, waits out the group's drain time, and removes disks last (6.10): booked until then.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { StoreCompare } from '../../fabric/mod.ts'
import { namedUuid } from '../../rmo/mod.ts'
import { CLOUD_KEYS } from '../cloud/keys.ts'
import type { GroupRecord, IntentRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { freshTries, placeOn, without } from './calls.ts'
import type { Decided, Desk } from './desk.ts'
import type { Done } from './actions.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import { isUp } from './snapshot.ts'
import { waitFor } from './waiting.ts'

export const memberUuid = (group: string, member: string): string => namedUuid(group, `member/${member}`)
const NUMBER = /^[1-9]\d{0,8}$/
const refused = (group: string, doing: string, reason: string): Error => KALI.VM_REFUSED({ vm: `of group ${group}`, doing, reason, remedy: '`kumoi pool why` has the counts' })

/** `work` with the group as it is, again when it was another one by the time of writing: as often as a placement is tried. */
export async function countedIn<T>(desk: Desk, uuid: string, signal: AbortSignal, work: (group: Stored<GroupRecord>, when: readonly StoreCompare[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted()
    const group = desk.groupOf(uuid)
    try {
      return await work(group, [{ key: CLOUD_KEYS.group(uuid), field: 'modRevision', is: '=', than: group.revision }])
    } catch (error) {
      if (errorCode(error) !== KALI.CHANGED.code || attempt >= LIMITS.cloudPlaceTriesMax) throw error
      await waitFor(() => desk.view.group(uuid)?.revision === group.revision ? undefined : true, { view: desk.view, clock: desk.clock, timeoutMs: LIMITS.cloudRetryMsMax, signal })
    }
  }
}

export async function grow(desk: Desk, { group: uuid, member }: { readonly group: string; readonly member: string }, decided: Decided, signal: AbortSignal): Promise<Done> {
  const { view, book } = desk
  const { name: called, pool, template } = desk.groupOf(uuid)
  const vm = memberUuid(uuid, member)
  const assertRoom = ({ paused, spec: { max } }: GroupRecord): void => {
    if (paused) throw refused(called, 'made', 'the group is paused')
    const members = view.intents({ group: uuid }).filter(({ desired }) => desired !== 'absent').length
    if (members >= max) throw refused(called, 'made', `the group has ${members} members, and its max is ${max}`)
  }
  if (!NUMBER.test(member)) throw refused(called, 'made', `"${member}" is no number of a member`)
  const there: Done = { outcome: 'nothing', reason: `member ${member} of ${called} is there already`, about: [uuid, vm] }
  if (view.intent(vm) !== undefined || await book.read(vm, { signal }) !== undefined) return there
  assertRoom(desk.groupOf(uuid))
  const name = `${called}-${member}`
  const { written, machine, choice } = await place<Stored<IntentRecord>>(desk, {
    pool, vm: needOf({ uuid: vm, settings: { ...template, name }, group: uuid }), fallback: 'none', signal,
    write: (on) => countedIn(desk, uuid, signal, async (group, when) => {
      if (view.intent(vm) !== undefined) return undefined
      assertRoom(group)
      return desk.seen(await book.intend({
        uuid: vm, name, pool, account: group.account, desired: 'running', machine: placeOn(on), epoch: 1, origin: 'create', settings: { ...group.template, name }, booked: true, group: uuid, tries: freshTries(desk.wallMs()), ...decided,
      }, { signal, when }))
    }),
  })
  return written === undefined ? there : { outcome: 'done', reason: `${name} on ${machine.name}: ${decided.reason}`, about: [uuid, vm], choice }
}

export async function shrink(desk: Desk, { group: uuid, vm }: { readonly group: string; readonly vm: string }, decided: Decided, signal: AbortSignal): Promise<Done> {
  const { view, book } = desk
  const about = [uuid, vm]
  const written = await countedIn(desk, uuid, signal, async ({ name: called, original, spec: { min } }, when) => {
    const intent = view.intent(vm)
    if (intent === undefined || intent.desired === 'absent') return undefined
    if (intent.group !== uuid) throw refused(called, 'taken away', `${intent.name} is no member of it`)
    if (original === vm) throw refused(called, 'taken away', `${intent.name} is what the group was made from`)
    const up = view.intents({ group: uuid }).filter((member) => member.desired === 'running' && member.error === undefined && isUp(member, view.status(member.uuid)))
    // One that does not carry anything is missed by nobody.
    if (up.some((member) => member.uuid === vm) && up.length - 1 < min) throw refused(called, 'taken away', `${up.length} members are up, and min is ${min}`)
    return desk.seen(await book.change(vm, (present) => present.desired === 'absent' || present.group !== uuid ? undefined : { ...without(present, 'revision', 'protection', 'error'), ...decided, desired: 'absent' }, { signal, when }))
  })
  if (written === undefined) return { outcome: 'nothing', reason: 'it is gone, or on its way out', about }
  if (written.machine === undefined) await book.forget(vm, ({ machine, desired }) => machine === undefined && desired === 'absent')
  return { outcome: 'done', reason: `${written.name} goes: ${decided.reason}`, about }
}
