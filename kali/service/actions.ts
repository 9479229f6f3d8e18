// What each action of a policy does, one transaction each, with the kernel's own checks: a policy can be stupid, never unsafe.

import type { CloudAction, Choice, DecisionRecord, IntentRecord, Stored } from '../cloud/contract.ts'
import { withTry } from '../cloud/tries.ts'
import { KALI } from '../errors.ts'
import { placeOn, without } from './calls.ts'
import type { Decided, Desk } from './desk.ts'
import { grow, shrink } from './members.ts'
import { beginMove, overLimit } from './moving.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import { relocate } from './relocation.ts'
import { seenOn } from './snapshot.ts'

/** What came of one; refusals are thrown. */
export interface Done { readonly outcome: Exclude<DecisionRecord['outcome'], 'refused'>; readonly reason: string; readonly about: readonly string[]; readonly choice?: Choice; readonly details?: Readonly<Record<string, unknown>> }

type Of<D extends CloudAction['do']> = Extract<CloudAction, { readonly do: D }>
interface Acting { readonly desk: Desk; readonly pool: string; readonly decided: Decided; readonly signal: AbortSignal }

const stale = (intent: IntentRecord, epoch: number): Error => KALI.EPOCH_STALE({ vm: intent.name, epoch, present: `it is in epoch ${intent.epoch} on ${intent.machine?.name ?? 'no machine'}` })

/** Changes what the agent goes by, without moving it. */
async function mark({ desk, decided, signal }: Acting, intent: Stored<IntentRecord>, epoch: number, change: (present: Stored<IntentRecord>) => Partial<IntentRecord>): Promise<void> {
  if (intent.epoch !== epoch) throw stale(intent, epoch)
  await desk.seen(await desk.book.change(intent.uuid, (present) => {
    if (present.epoch !== epoch) throw stale(present, epoch)
    return { ...without(present, 'revision'), ...decided, ...change(present) }
  }, { signal }))
}

async function placePending({ desk, pool, decided, signal }: Acting, { vm, to }: Of<'place'>): Promise<Done> {
  const intent = desk.vmOf(vm, pool)
  if (intent.machine !== undefined) return { outcome: 'nothing', reason: `it is ${intent.machine.name}'s already`, about: [vm] }
  if (intent.desired !== 'running' || intent.error !== undefined) throw KALI.VM_REFUSED({ vm: intent.name, doing: 'placed', reason: intent.error === undefined ? `it is meant to be ${intent.desired}` : `it was given up: ${intent.error}`, remedy: 'Start it, or clear it' })
  const { machine, choice } = await place<Stored<IntentRecord>>(desk, {
    pool, vm: needOf(intent), to, fallback: 'rank', signal,
    write: async (on) => desk.seen(await desk.book.change(vm, (present) => {
      if (present.machine !== undefined || present.epoch !== intent.epoch) throw stale(present, intent.epoch)
      if (present.desired !== 'running') throw KALI.CHANGED({ what: `VM ${intent.name}` })
      return { ...without(present, 'revision'), ...decided, machine: placeOn(on), epoch: present.epoch + 1, booked: true, ...(present.protection === undefined ? {} : { protection: { ...present.protection, armed: false } }) }
    }, { signal })),
  })
  return { outcome: 'done', reason: `on ${machine.name}: ${decided.reason}`, about: [vm], choice }
}

async function power({ desk, pool }: Acting, { do: wish, machine: named }: Of<'sleep' | 'wake'>): Promise<Done> {
  const { uuid, name, asleep = false, mode } = desk.machineOf(named, pool)
  if (asleep === (wish === 'sleep')) return { outcome: 'nothing', reason: `${name} is ${asleep ? 'asleep' : 'awake'} already`, about: [uuid] }
  const refuse = (reason: string): Error => KALI.MACHINE_REFUSED({ machine: name, doing: 'put to sleep', reason, remedy: 'Empty it first' })
  if (wish === 'sleep') {
    if (mode !== 'in-service') throw refuse(`it is ${mode}`)
    const foreign = seenOn(await desk.observer.read(), 'VM', desk.machineOf(uuid))?.find(({ uuid: vm, attributes }) => attributes.state === 'running' && desk.view.intent(vm)?.machine?.uuid !== uuid)
    if (foreign !== undefined) throw refuse(`${foreign.name} runs there`)
    if (desk.view.intents({ machine: uuid }).length > 0) throw refuse('VMs are named to be there')
  }
  await desk.seen(await desk.book.changeMachine(uuid, (present) => {
    if (wish === 'wake') return without(present, 'asleep')
    if (present.booked.vms > 0) throw refuse('VMs have been booked there')
    return { ...present, asleep: true }
  }))
  return { outcome: 'done', reason: `${name} ${wish === 'sleep' ? 'sleeps' : 'wakes'}`, about: [uuid] }
}

/** Throws coded errors: refused. */
export async function carryOut(acting: Acting, action: CloudAction): Promise<Done> {
  const { desk, pool, decided, signal } = acting
  switch (action.do) {
    case 'relocate': {
      const intent = desk.vmOf(action.vm, pool)
      const { machine, choice } = await relocate(desk, intent, { epoch: action.epoch, to: action.to, decided, signal })
      return { outcome: 'done', reason: `from ${intent.machine?.name} to ${machine.name}: ${decided.reason}`, about: [action.vm], choice, details: { from: intent.machine?.name, to: machine.name, epoch: action.epoch + 1 } }
    }
    case 'retry': {
      const intent = desk.vmOf(action.vm, pool)
      if (intent.error !== undefined || intent.desired !== 'running') throw KALI.VM_REFUSED({ vm: intent.name, doing: 'tried again', reason: intent.error ?? `it is meant to be ${intent.desired}`, remedy: 'A human clears it (kumoi ha clear)' })
      // Its agent is told to start it: a restart, whoever counts it.
      await mark(acting, intent, action.epoch, ({ protection, tries }) => protection === undefined ? {} : { tries: withTry(tries, 'restarts', protection.windowMs, decided.decidedAtMs) })
      return { outcome: 'done', reason: decided.reason, about: [action.vm] }
    }
    case 'give-up': {
      const intent = desk.vmOf(action.vm, pool)
      if (intent.error !== undefined) return { outcome: 'nothing', reason: `it was given up: ${intent.error}`, about: [action.vm] }
      await mark(acting, intent, action.epoch, () => ({ error: action.error }))
      return { outcome: 'done', reason: decided.reason, about: [action.vm] }
    }
    case 'place': return placePending(acting, action)
    case 'migrate': {
      const intent = desk.vmOf(action.vm, pool)
      if (intent.epoch !== action.epoch) throw stale(intent, action.epoch)
      const over = overLimit(desk, desk.poolOf(pool), [intent.machine?.uuid, action.to === undefined ? undefined : desk.machineOf(action.to, pool).uuid].filter((each) => each !== undefined))
      if (over !== undefined) throw KALI.VM_REFUSED({ vm: intent.name, doing: 'moved', reason: over, remedy: 'It is moved when one of them has arrived' })
      const { machine, choice } = await beginMove(desk, intent, { to: action.to, epoch: action.epoch, decided, signal })
      return { outcome: 'done', reason: `to ${machine.name}: ${decided.reason}`, about: [action.vm], choice }
    }
    case 'grow': inPool(desk, pool, action.group); return grow(desk, action, decided, signal)
    case 'shrink': inPool(desk, pool, action.group); return shrink(desk, action, decided, signal)
    case 'sleep': case 'wake': return power(acting, action)
    case 'note': return { outcome: 'nothing', reason: decided.reason, about: action.about, ...(action.details === undefined ? {} : { details: action.details }) }
  }
}

/** A policy acts on the pool that it was asked about. */
function inPool(desk: Desk, pool: string, group: string): void {
  if (desk.groupOf(group).pool !== pool) throw KALI.GROUP_UNKNOWN({ group })
}

/** What it is about, for the journal of one that is refused. */
export function aboutOf(action: CloudAction): readonly string[] {
  switch (action.do) {
    case 'grow': return [action.group]
    case 'shrink': return [action.group, action.vm]
    case 'sleep': case 'wake': return [action.machine]
    case 'note': return action.about
    default: return [action.vm]
  }
}
