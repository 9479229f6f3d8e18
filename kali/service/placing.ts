// Finding a machine for a VM and booking it there: snapshot -> scheduler -> one transaction, and again with the next best
// when somebody else was there first.
//
// The scheduler proposes from a snapshot that may be a second old; what is booked is counted in the transaction. So two
// services that place at once never overbook: the slower one gets NO_ROOM or CHANGED, and looks again, at most
// LIMITS.cloudPlaceTriesMax times. A scheduler of the user's that fails stops a placement that a user asked for; a VM
// that lost its host is placed by rank instead (`fallback`). The pool's promise to survive hosts is kept by the choice itself.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Choice, MachineRecord, PoolSnapshot, SchedulerRef, Stored, VmNeed } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import type { Desk } from './desk.ts'

export interface PlaceOptions<T> {
  readonly pool: string
  readonly vm: VmNeed
  /** By uuid, with why. */
  readonly avoid?: Readonly<Record<string, string>>
  /** Machine that is asked for, by uuid or name; the mandatory filters bind it too. */
  readonly to?: string | undefined
  /** Goes on by rank when the pool's scheduler fails. */
  readonly fallback: 'rank' | 'none'
  readonly signal: AbortSignal
  /** One transaction; undefined: there is nothing to place any more. KALI_ERR_NO_ROOM and KALI_ERR_CHANGED are tried again. */
  write(machine: Stored<MachineRecord>, choice: Choice): Promise<T | undefined>
}
export interface Placed<T> { readonly written: T | undefined; readonly machine: Stored<MachineRecord>; readonly choice: Choice }

const RANK: SchedulerRef = { type: 'builtin', name: 'rank' }

async function chosen(desk: Desk, snapshot: PoolSnapshot, { vm, fallback, signal }: Pick<PlaceOptions<unknown>, 'vm' | 'fallback' | 'signal'>, avoid: Readonly<Record<string, string>>): Promise<Choice> {
  const request = { vm, snapshot, avoid }
  try {
    const choice = await desk.choose(snapshot.pool.scheduler, request, signal)
    if (fallback === 'none' || choice.problem === undefined || choice.chosen !== undefined) return choice
    return { ...await desk.choose(RANK, request, signal), problem: choice.problem }
  } catch (error) {
    if (fallback === 'none' || signal.aborted) throw error
    return { ...await desk.choose(RANK, request, signal), problem: error instanceof Error ? error.message : String(error) }
  }
}

/** Every machine's reason, in one clause. */
export function refusals({ refused, problem }: Choice, nameOf: (machine: string) => string): string {
  const reasons = refused.map(({ machine, reason }) => `${nameOf(machine)}: ${reason}`)
  const listed = reasons.length === 0 ? 'it has no machines' : reasons.slice(0, LIMITS.cloudReasonsMax).join('; ') + (reasons.length > LIMITS.cloudReasonsMax ? `; and ${reasons.length - LIMITS.cloudReasonsMax} more` : '')
  return problem === undefined ? listed : `${problem.replace(/\.$/, '')} (${listed})`
}

/** Throws KALI_ERR_NO_ROOM when no machine can take it, and whatever `write` throws but that and KALI_ERR_CHANGED. */
export async function place<T>(desk: Desk, options: PlaceOptions<T>): Promise<Placed<T>> {
  const { pool, vm, signal, to, write } = options
  const avoid: Record<string, string> = { ...options.avoid }
  let last: unknown, choice: Choice | undefined
  for (let attempt = 0; attempt < LIMITS.cloudPlaceTriesMax; attempt++) {
    signal.throwIfAborted()
    // What seldom changes may have just been made: once, before it is said that there is nothing.
    let snapshot = await desk.snapshot(pool)
    choice = await chosen(desk, snapshot, options, avoid)
    if (choice.chosen === undefined && choice.problem === undefined && choice.refused.some(({ filter }) => STALE.has(filter))) {
      snapshot = await desk.snapshot(pool, { fresh: true })
      choice = await chosen(desk, snapshot, options, avoid)
    }
    const wanted = to === undefined ? choice.chosen : asked(desk, pool, to, choice, vm)
    const machine = wanted === undefined ? undefined : desk.view.machine(wanted) ?? desk.view.machines(pool).find(({ name }) => name === wanted)
    if (machine === undefined) break
    try {
      if (machine.asleep === true) await desk.seen(await desk.book.changeMachine(machine.uuid, ({ asleep: _asleep, ...present }) => present))
      const final = { ...choice, chosen: machine.uuid }
      return { written: await write(machine, final), machine, choice: final }
    } catch (error) {
      const code = errorCode(error)
      if (code !== KALI.NO_ROOM.code && code !== KALI.CHANGED.code && code !== KALI.MACHINE_UNKNOWN.code) throw error
      last = error
      if (code !== KALI.CHANGED.code) avoid[machine.uuid] = error instanceof Error ? error.message : 'somebody else was faster'
    }
  }
  if (last !== undefined && errorCode(last) === KALI.CHANGED.code) throw last
  const nameOf = (uuid: string): string => desk.view.machine(uuid)?.name ?? uuid
  throw KALI.NO_ROOM({ vm: vm.name, where: `any machine of pool ${desk.poolOf(pool).name}`, reason: choice === undefined ? 'it has no machines' : refusals(choice, nameOf) }, { cause: last })
}
/** Filters whose refusal may rest on what was observed a while ago. */
const STALE: ReadonlySet<string> = new Set(['image', 'storage', 'bridge', 'room', 'alive'])

/** The machine that was asked for, if the filters let it; refused with their reason otherwise. */
function asked(desk: Desk, pool: string, to: string, choice: Choice, vm: VmNeed): string {
  const machine = desk.machineOf(to, pool)
  const refused = choice.refused.find((each) => each.machine === machine.uuid || each.machine === machine.name)
  if (refused !== undefined) throw KALI.VM_REFUSED({ vm: vm.name, doing: `placed on ${machine.name}`, reason: refused.reason, remedy: 'Leave the machine out, and the scheduler chooses one' })
  return machine.uuid
}
