// Emptying a machine: its running VMs move live, within the pool's limits; those that are off are named elsewhere; what stays is
// told by name. Resumable: the mode is written, so whoever asks again goes on with what is left.
//
//   mode 'draining' --> each VM: beginMove, arrival (moving.ts) | re-home one that is off --> empty: mode 'maintenance'
//
// Safe for one that is off: its agent has said in this epoch that it is off and that nobody wants it to run; whoever wants it
// again changes the intent, from whose revision this write goes out.

import { errorCode } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { IntentRecord, MachineRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { awaited, forEach, placeOn, saidOf } from './calls.ts'
import { bareOf } from './desk.ts'
import type { Decided, Desk } from './desk.ts'
import { arrival, beginMove, isMoving, overLimit, unmovable } from './moving.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import { seenOn } from './snapshot.ts'

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).replace(/\.$/, '')

export async function drain(desk: Desk, machine: string, by: Authority): Promise<MachineRecord> {
  const { view, book } = desk
  const { name } = desk.machineOf(machine)
  const stays = new Map<string, string>()
  const isDraining = (): boolean => view.machine(machine)?.mode === 'draining'
  const decided = (): Decided => desk.decide(by.principal, `${name} is being drained`)

  const moveOne = async (intent: Stored<IntentRecord>): Promise<void> => {
    const present = view.intent(intent.uuid)
    if (present?.machine?.uuid !== machine || !isDraining()) return
    const what = decided()
    try {
      if (present.desired !== 'running') await rehome(desk, present, what, by)
      else {
        const pool = desk.poolOf(present.pool)
        const problem = unmovable(desk, present)
        if (problem !== undefined) { stays.set(present.name, problem); return }
        await awaited(desk, by, () => overLimit(desk, pool, [machine]) === undefined ? true : undefined, { what: `Draining ${name}`, until: `a place among the migrations of pool ${pool.name} was free` })
        const { written, choice } = await beginMove(desk, present, { decided: what, signal: by.signal })
        await desk.journal({ id: what.decision, pool: present.pool, policy: by.principal, about: [present.uuid], action: 'migrate', reason: what.reason, outcome: 'done', choice })
        if (written !== undefined) await arrival(desk, written, by)
      }
    } catch (error) {
      if (by.signal.aborted || errorCode(error) === KALI.UNFINISHED.code) throw error
      stays.set(present.name, textOf(error))
    }
  }

  const { migrations } = desk.poolOf(desk.machineOf(machine).pool)
  await forEach(view.intents({ machine }), moveOne, Math.max(1, migrations.perHost))
  if (!isDraining()) return bareOf(desk.machineOf(machine))
  // What came back from a failed move, or is on its way here still.
  for (const intent of view.intents({ machine })) if (!stays.has(intent.name)) stays.set(intent.name, isMoving(desk, intent) ? 'it is on its way here' : unmovable(desk, intent) ?? intent.reason)
  const record = desk.machineOf(machine)
  for (const { uuid, name: vm, attributes } of seenOn(await desk.observer.read({ fresh: true }), 'VM', record) ?? []) {
    if (attributes.state === 'running' && view.intent(uuid) === undefined) stays.set(vm, 'no pool manages it')
  }
  if (stays.size > 0) throw KALI.DRAIN_BLOCKED({ machine: name, left: [...stays].map(([vm, why]) => `${vm}: ${why}`) })
  return bareOf(await desk.seen(await book.changeMachine(machine, (present) => present.mode === 'draining' ? { ...present, mode: 'maintenance' } : present)))
}

/** One that is off is another machine's from now on; it is defined there on the disks that are there. */
async function rehome(desk: Desk, intent: Stored<IntentRecord>, decided: Decided, by: Authority): Promise<void> {
  const said = saidOf(desk, intent)
  const from = intent.machine
  if (from === undefined) return
  if (intent.desired !== 'stopped' || (said?.phase !== 'stopped' && said?.phase !== 'shut-down')) throw KALI.VM_REFUSED({ vm: intent.name, doing: 'moved', reason: `its machine has not said that it is off (${said?.phase ?? 'it said nothing yet'})`, remedy: 'Wait until it is' })
  await place<Stored<IntentRecord>>(desk, {
    pool: intent.pool, vm: needOf(intent), avoid: { [from.uuid]: 'it is being drained' }, fallback: 'none', signal: by.signal,
    async write(machine) {
      return desk.seen(await desk.book.change(intent.uuid, (present) => {
        if (present.revision !== intent.revision) throw KALI.CHANGED({ what: `VM ${intent.name}` })
        const { revision: _revision, ...record } = present
        return { ...record, ...decided, machine: placeOn(machine), epoch: present.epoch + 1, origin: 'restore', ...(present.protection === undefined ? {} : { protection: { ...present.protection, armed: false } }) }
      }, { signal: by.signal, proof: `its agent said that it is ${said.phase}, and it is meant to be` }))
    },
  })
}
