// What a scheduler of a user's is given and answers, at the place where it runs: in the sandbox of a node, around a function
// captured in a shell (closure.ts), or bundled into a deployed function (`defineScheduler` of 'kumoi').
//
//   choose.ts --{ vm, pms }: plain data--> carry(scheduler) --(vm, pms)--> the user's function --pm--> its uuid --> choose.ts
//
// Travels as code: it imports nothing, and uses nothing but the language. The data is frozen, the list itself is the user's
// own copy, so that `pms.sort(byRank)` works.

import type { FunctionDefinition } from '../../functions/base.ts'
import type { MachineView, VmNeed } from '../cloud/contract.ts'

/** A machine as a scheduler of a user's sees it. cpuRatio counts what is in flight there; measuredCpuRatio does not. */
export interface SchedulableMachine extends MachineView {
  /** Free share of vcpus and memory, 0 to 1: byRank puts the greatest first. */
  readonly rank: number
  /** It passed all mandatory filters for the VM that is being placed. */
  readonly available: boolean
  readonly measuredCpuRatio: number
  /** The same as `available`, as the paper writes it. Throws a TypeError for any other VM. */
  availableFor(vm: Pick<VmNeed, 'uuid'>): boolean
}

/** A machine of `pms`, its name or uuid; a list of these, best first; nothing: no room, by its choice. */
export type SchedulerChoice = Pick<MachineView, 'uuid'> | string | null | undefined
export type UserScheduler = (vm: VmNeed, pms: SchedulableMachine[]) => SchedulerChoice | readonly SchedulerChoice[] | PromiseLike<SchedulerChoice | readonly SchedulerChoice[]>

export interface SchedulerPayload { readonly vm: VmNeed; readonly pms: readonly Omit<SchedulableMachine, 'availableFor'>[] }
/** Uuids or names, best first; `wrong`: what it answered instead. */
export type SchedulerAnswer = { readonly machines: readonly string[]; readonly list: boolean } | { readonly wrong: string }

/** Figure 3's order: `pms.filter(pm => pm.availableFor(vm)).sort(byRank).at(0)`. Greatest rank first. */
export const byRank = (a: { readonly rank: number }, b: { readonly rank: number }): number => b.rank - a.rank

export function carry(scheduler: UserScheduler): (payload: SchedulerPayload) => Promise<SchedulerAnswer> {
  const frozen = <T>(value: T): T => {
    if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
    for (const part of Object.values(value)) frozen(part)
    return Object.freeze(value)
  }
  return async (payload) => {
    const vm = frozen(payload.vm)
    const answer = await scheduler(vm, payload.pms.map((pm) => frozen({
      ...pm,
      availableFor(other: Pick<VmNeed, 'uuid'>): boolean {
        if (other?.uuid !== vm.uuid) throw new TypeError('pm.availableFor(vm) knows the VM that is being placed, and no other')
        return pm.available
      },
    })))
    const list = Array.isArray(answer)
    const machines: string[] = []
    for (const one of (list ? answer : [answer]) as readonly unknown[]) {
      if (one === undefined || one === null) continue
      const name = typeof one === 'object' ? (one as { readonly uuid?: unknown }).uuid : one
      if (typeof name !== 'string') return { wrong: `${list ? 'a list with ' : ''}a ${typeof one}${typeof one === 'object' ? ' without a uuid' : ''}` }
      machines.push(name)
    }
    return { machines, list }
  }
}

/** What defineScheduler() takes: a deployed function's definition with `schedule` for `run`. */
export interface SchedulerDefinition extends Omit<FunctionDefinition, 'run' | 'trigger' | 'singleton'> { readonly schedule: UserScheduler }

/** The deployed function that a scheduler is, for `pool.scheduler = 'NAME'`. Throws TypeError. */
export function schedulerDefinition({ schedule, ...definition }: SchedulerDefinition): FunctionDefinition<unknown, SchedulerPayload, SchedulerAnswer> {
  if (typeof schedule !== 'function') throw new TypeError('defineScheduler needs schedule(vm, pms), which answers a machine of pms, its name or uuid, a list of these with the best first, or nothing')
  const decide = carry(schedule)
  return { ...definition, run: (_context, payload) => decide(payload) }
}
