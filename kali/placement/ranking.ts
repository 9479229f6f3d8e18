// Filters and scores put together: where a VM goes on a board, and for people every machine once, ranked or refused. Pure;
// the same board and request, the same answer: machines come by name, and only a better score beats an earlier one.
//
//   request -> Board -> prepared filters -> score of the scheduler + soft rules, sleep -> best, or all of them in order

import type { Choice, MachineView, PlaceRequest, Scheduler, SchedulerRef, VmNeed } from '../cloud/contract.ts'
import { nearest } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'
import type { Board, BoardMachine } from './board.ts'
import { availableFor, prepareFilters, refusalOf } from './filters.ts'
import type { Avoid } from './filters.ts'
import type { RuleState } from './rule-index.ts'
import { SCHEDULERS } from './schedulers/index.ts'

type SchedulerOptions = Scheduler['options']
type BuiltinRef = Extract<SchedulerRef, { type: 'builtin' }>
/** A scheduler with its options complete. */
export interface BoundScheduler { readonly scheduler: Scheduler; readonly options: SchedulerOptions }

/** A broken soft rule outweighs all that a scheduler likes, and never a filter. */
export const SOFT_RULE_WEIGHT = 1_000_000
/** So does waking a machine, up to a soft rule: consolidation put it to sleep, and by its free share it would be the first to be woken. */
export const WAKE_WEIGHT = 10_000

/** Throws KALI_ERR_SCHEDULER_UNKNOWN, KALI_ERR_SCHEDULER_INVALID (an option that it does not have, or of another type). */
export function bindScheduler({ name, options = {} }: Pick<BuiltinRef, 'name' | 'options'>): BoundScheduler {
  const scheduler = SCHEDULERS.find((one) => one.name === name)
  if (scheduler === undefined) throw KALI.SCHEDULER_UNKNOWN({ name, known: SCHEDULERS.map((one) => one.name).join(', ') })
  for (const [key, value] of Object.entries(options)) {
    const usual = Object.hasOwn(scheduler.options, key) ? scheduler.options[key] : undefined
    const known = Object.keys(scheduler.options)
    if (usual === undefined) throw KALI.SCHEDULER_INVALID({ what: `option ${key} of ${name}`, expected: known.length === 0 ? 'left out: it has none' : `${nearest(key, known) ?? known.join(', ')} or left out` })
    if (typeof value !== typeof usual || (typeof value === 'number' && !Number.isFinite(value))) throw KALI.SCHEDULER_INVALID({ what: `option ${key} of ${name}`, expected: `a ${typeof usual}` })
  }
  return { scheduler, options: { ...scheduler.options, ...options } }
}

/** What weighs with every scheduler, as parts of the score; undefined: nothing does on this machine. */
function commonParts(soft: readonly RuleState[], own: Parameters<RuleState['keeps']>[1], machine: MachineView): { readonly rules?: number; readonly wake?: number } | undefined {
  let broken = 0
  for (const state of soft) if (!state.keeps(machine, own)) broken++
  if (broken === 0 && !machine.power.asleep) return undefined
  return { ...(broken === 0 ? {} : { rules: -SOFT_RULE_WEIGHT * broken }), ...(machine.power.asleep ? { wake: -WAKE_WEIGHT } : {}) }
}

/** Where the VM goes; undefined: no machine passes the filters. Makes nothing but the scores: for many VMs in a row. */
export function bestMachine(board: Board, vm: VmNeed, { scheduler, options }: BoundScheduler, avoid?: Avoid): BoardMachine | undefined {
  const filters = prepareFilters(vm, board, avoid)
  const soft = board.rules.of(vm, 'soft'), own = board.rules.place(vm.uuid)
  const request: PlaceRequest = { vm, snapshot: board.snapshot, ...(avoid === undefined ? {} : { avoid }) }
  let best: BoardMachine | undefined
  let bestScore = -Infinity
  for (const machine of board.machines) {
    if (!availableFor(filters, machine)) continue
    const liked = scheduler.score(vm, machine, request, options).score
    const common = commonParts(soft, own, machine)
    const score = common === undefined ? liked : liked + (common.rules ?? 0) + (common.wake ?? 0)
    if (best !== undefined && score <= bestScore) continue
    best = machine
    bestScore = score
  }
  return best
}

/** Every machine exactly once: ranked, best first, with the parts of its score, or refused by the first filter that says no. */
export function rankMachines(board: Board, vm: VmNeed, { scheduler, options }: BoundScheduler, avoid?: Avoid): Pick<Choice, 'ranked' | 'refused'> {
  const { passed, refused } = sift(board, vm, avoid)
  const soft = board.rules.of(vm, 'soft'), own = board.rules.place(vm.uuid)
  const request: PlaceRequest = { vm, snapshot: board.snapshot, ...(avoid === undefined ? {} : { avoid }) }
  const ranked = passed.map((machine) => {
    const { score, parts } = scheduler.score(vm, machine, request, options)
    const common = commonParts(soft, own, machine)
    if (common === undefined) return { machine: machine.uuid, score, ...(parts === undefined ? {} : { parts }) }
    return { machine: machine.uuid, score: score + (common.rules ?? 0) + (common.wake ?? 0), parts: { ...(parts ?? { [scheduler.name]: score }), ...common } }
  })
  // Stable: of equals the first by name.
  return { ranked: ranked.sort((a, b) => b.score - a.score), refused }
}

/** The machines that the mandatory filters let the VM on, by name, and the others with the reason. */
export function sift(board: Board, vm: VmNeed, avoid?: Avoid): { readonly passed: readonly BoardMachine[]; readonly refused: Choice['refused'] } {
  const filters = prepareFilters(vm, board, avoid)
  const passed: BoardMachine[] = []
  const refused: { machine: string; filter: string; reason: string }[] = []
  for (const machine of board.machines) {
    const refusal = refusalOf(filters, machine)
    if (refusal === undefined) passed.push(machine)
    else refused.push({ machine: machine.uuid, ...refusal })
  }
  return { passed, refused }
}
