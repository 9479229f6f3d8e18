// One VM moves live to another machine, by its intent: the machine that has it sends it, the one that the intent names takes
// it, each by its agent. Used by users' migrate, by draining and by policies.
//
//   intent: machine -> target, epoch + 1, origin 'migrate', not armed --agents--> status of the new epoch: it has arrived
//                                                             `--refused by the hypervisor--> intent back, epoch + 1
//
// A VM on its way is armed nowhere: nobody can take it over until its target has armed it (cloud.md 5.8). The limits of a pool
// are looked at, not booked, and another node's moves count at their source only until their target has spoken: two nodes that
// begin at once may exceed them.

import type { Authority } from '../../functions/mod.ts'
import { leaseThere } from '../cloud/keys.ts'
import type { IntentRecord, PoolRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { awaited, isRunning, placeOn, saidOf } from './calls.ts'
import type { Decided, Desk } from './desk.ts'
import { isHostDevice, needOf } from './needs.ts'
import { place } from './placing.ts'
import type { Placed } from './placing.ts'

const refused = (vm: string, reason: string, remedy: string): Error => KALI.VM_REFUSED({ vm, doing: 'moved', reason, remedy })

/** On its way: its target has not said yet that it runs there. */
export const isMoving = (desk: Pick<Desk, 'view'>, intent: IntentRecord): boolean =>
  intent.origin === 'migrate' && intent.desired === 'running' && !isRunning(saidOf(desk, intent)) && saidOf(desk, intent)?.phase !== 'crashed'

/** Why the pool's limits do not let one more begin now, between these machines; undefined: they do. */
export function overLimit(desk: Desk, pool: Pick<PoolRecord, 'uuid' | 'migrations'>, machines: readonly string[]): string | undefined {
  const { perHost, perPool } = pool.migrations
  const moving = desk.view.intents({ pool: pool.uuid }).filter((intent) => isMoving(desk, intent))
  for (const [vm, { epoch }] of desk.leaving) {
    const intent = desk.view.intent(vm)
    if (intent === undefined || intent.epoch > epoch || (intent.epoch === epoch && !isMoving(desk, intent))) desk.leaving.delete(vm)
  }
  if (moving.length >= perPool) return `${moving.length} VMs of the pool are being moved, of ${perPool} at once`
  for (const machine of machines) {
    // A status of an older epoch is the source's, until the target speaks.
    const here = moving.filter(({ uuid, machine: to }) => to?.uuid === machine || desk.view.status(uuid)?.machine === machine || desk.leaving.get(uuid)?.from === machine).length
    if (here >= perHost) return `${here} VMs are being moved from or to ${desk.view.machine(machine)?.name ?? machine}, of ${perHost} at once`
  }
  return undefined
}

/** Why it cannot be moved as it is now; undefined: it can. */
export function unmovable(desk: Pick<Desk, 'view'>, intent: IntentRecord): string | undefined {
  if (intent.machine === undefined) return 'it has no machine yet'
  if (intent.desired !== 'running') return `it is meant to be ${intent.desired}`
  if (intent.error !== undefined) return `it was given up: ${intent.error}`
  if (isMoving(desk, intent)) return `it is on its way to ${intent.machine.name} already`
  if (!isRunning(saidOf(desk, intent))) return `it is not running (${saidOf(desk, intent)?.phase ?? 'its machine has said nothing of it yet'})`
  const device = intent.settings.devices.find((each) => each.type === 'disk' && each.path !== undefined && isHostDevice(each.path))
  return device === undefined ? undefined : `its disk ${'path' in device ? device.path : ''} is a device of its machine`
}

export interface MoveOptions { readonly to?: string | undefined; readonly epoch?: number; readonly decided: Decided; readonly signal: AbortSignal }

/** Writes the intent; it moves from then on. Throws KALI_ERR_VM_REFUSED, KALI_ERR_NO_ROOM, KALI_ERR_CHANGED. */
export async function beginMove(desk: Desk, intent: Stored<IntentRecord>, { to, epoch = intent.epoch, decided, signal }: MoveOptions): Promise<Placed<Stored<IntentRecord>>> {
  const problem = unmovable(desk, intent)
  const from = intent.machine
  if (from !== undefined && desk.memberOf(from.node) === 'dead') throw refused(intent.name, `its machine ${from.name} is dead`, `High availability starts what it protects elsewhere (\`kumoi pool why\` tells when); all else waits for ${from.name}`)
  if (problem !== undefined || from === undefined) throw refused(intent.name, problem ?? 'it has no machine', '`kumoi pool why` tells what it waits for')
  if (to !== undefined && desk.machineOf(to, intent.pool).uuid === from.uuid) throw refused(intent.name, `it is on ${from.name}`, 'Name another machine')
  return place<Stored<IntentRecord>>(desk, {
    pool: intent.pool, vm: needOf(intent), avoid: { [from.uuid]: 'it is there' }, to, fallback: 'none', signal,
    async write(machine) {
      const written = await desk.book.change(intent.uuid, (present) => {
        if (present.epoch !== epoch || present.machine?.uuid !== from.uuid || present.desired !== 'running' || present.error !== undefined) throw KALI.EPOCH_STALE({ vm: intent.name, epoch, present: `it is in epoch ${present.epoch} on ${present.machine?.name ?? 'no machine'}, ${present.desired}` })
        const { revision: _revision, ...record } = present
        return { ...record, ...decided, machine: placeOn(machine), epoch: present.epoch + 1, origin: 'migrate', ...(present.protection === undefined ? {} : { protection: { ...present.protection, armed: false } }) }
      }, { signal, ...(intent.protection?.armed === true ? { when: [leaseThere(from.node)] } : {}) })
      if (written !== undefined) desk.leaving.set(intent.uuid, { epoch: written.epoch, from: from.uuid })
      return desk.seen(written)
    },
  })
}

/** Resolves when it runs there; KALI_ERR_VM_REFUSED with the hypervisor's reason when it was brought back, KALI_ERR_UNFINISHED when the caller's time is over. */
export async function arrival(desk: Desk, { uuid, name, epoch, machine }: IntentRecord, by: Authority): Promise<void> {
  const there = await awaited(desk, by, () => {
    const present = desk.view.intent(uuid)
    if (present === undefined) return { reason: 'it was removed' }
    if (present.epoch !== epoch) return { reason: present.reason }
    const said = saidOf(desk, present)
    if (isRunning(said)) return {}
    return said?.phase === 'failed' || said?.phase === 'crashed' ? { reason: said.error ?? `it is ${said.phase} on ${machine?.name}` } : undefined
  }, { what: `Moving ${name} to ${machine?.name}`, until: 'it ran there' })
  if ('reason' in there) throw refused(name, there.reason ?? '', 'Correct what is named, then move it again')
}
