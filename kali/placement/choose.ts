// Any scheduler, one answer: where a VM goes, where else it could, and why not to the others. The only place through which
// placements pass, so that the mandatory filters and the pool's promise bind a user's scheduler like ours.
//
//   request -> Board -> filters -> builtin: scores | user's: sandbox, answer checked against the filters -> survivesHosts -> Choice
//
// A scheduler of a user's that fails places nothing and is replaced by nothing: KALI_ERR_SCHEDULER_FAILED says whose line it
// was, and carries the choice (details.choice) for the journal. One that answers nothing, or machines where the VM cannot
// go, is a choice without `chosen` whose `problem` says so.

import { assert, CodedError, LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Choice, Choose, PlaceRequest, SchedulerRef } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { promiseOf } from './admission.ts'
import { Board } from './board.ts'
import type { BoardMachine } from './board.ts'
import { bindScheduler, rankMachines, sift } from './ranking.ts'
import { freeShare } from './shares.ts'
import type { SchedulerPayload } from './user-scheduler.ts'
import type { UserRef, UserRun } from './user-run.ts'

export interface ChooseOptions { readonly run: UserRun; readonly clock: Clock }
type Placing = Omit<Choice, 'scheduler' | 'tookMs'>

/** Rejects with KALI_ERR_SCHEDULER_UNKNOWN, KALI_ERR_SCHEDULER_INVALID, KALI_ERR_SCHEDULER_FAILED, or the signal's reason. */
export function createChoose({ run, clock }: ChooseOptions): Choose {
  return async (ref, request, signal) => {
    const startedMs = clock.nowMs()
    signal.throwIfAborted()
    const board = new Board(request.snapshot)
    const finish = (placing: Placing): Choice => ({ scheduler: ref.name, ...placing, tookMs: clock.nowMs() - startedMs })
    if (ref.type === 'builtin') return finish(keepPromise(request, rankMachines(board, request.vm, bindScheduler(ref), request.avoid)))
    const { passed, refused } = sift(board, request.vm, request.avoid)
    const isPassed = new Set(passed)
    // Nothing that it could answer would be taken.
    if (passed.length === 0) return finish({ ranked: [], refused })
    try {
      const answer = await answered(run, clock, ref, { vm: request.vm, pms: board.machines.map((machine) => ({ ...machine, available: isPassed.has(machine), rank: freeShare(machine) })) }, request, signal)
      return finish(keepPromise(request, { ...readAnswer(ref, request, board, passed, refused, answer), refused }))
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof FailedScheduler) throw failed(ref, request, error.reason, undefined, finish({ ranked: [], refused, problem: error.reason }), undefined)
      const reason = error instanceof Error ? `${error.name === 'CodedError' || error.name === 'Error' ? '' : `${error.name}: `}${error.message}` : String(error)
      const at = ownLine(ref, error)
      throw failed(ref, request, reason, at, finish({ ranked: [], refused, problem: at === undefined ? reason : `${reason} (${at})` }), error)
    }
  }
}

class FailedScheduler extends Error {
  readonly reason: string
  constructor(reason: string) { super(reason); this.reason = reason }
}

const failed = (ref: SchedulerRef, { vm }: PlaceRequest, reason: string, at: string | undefined, choice: Choice, cause: unknown): CodedError =>
  KALI.SCHEDULER_FAILED({ scheduler: ref.name, vm: vm.name, reason: reason.replace(/\.$/, ''), ...(at === undefined ? {} : { at }), choice }, cause === undefined ? {} : { cause })

/** Its answer, within LIMITS.schedulerAnswerMs by this node's clock whatever the sandbox does. */
async function answered(run: UserRun, clock: Clock, ref: UserRef, payload: SchedulerPayload, { snapshot }: PlaceRequest, signal: AbortSignal): Promise<unknown> {
  const ended = new AbortController()
  const late = Promise.withResolvers<never>()
  const fail = (reason: unknown): void => { ended.abort(reason); late.reject(reason) }
  const cancel = (): void => fail(signal.reason)
  // A sandbox cuts a function off by itself, and says which line it was in; this is for one that does not come back.
  const timer = clock.after(LIMITS.schedulerAnswerMs + LIMITS.killGraceMs, () => fail(new FailedScheduler(`it had not answered after ${LIMITS.schedulerAnswerMs} ms`)))
  signal.addEventListener('abort', cancel, { once: true })
  try {
    return await Promise.race([run(ref, payload, { principal: snapshot.pool.createdBy, signal: ended.signal }), late.promise])
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', cancel)
    late.promise.catch(() => {})
  }
}

// ---------------------------------------------------------------- what a user's scheduler answered

/** Machines by uuid or name that it answered; a SchedulerAnswer, or whatever a deployed function without defineScheduler gave. */
function namesIn(answer: unknown): { readonly names: readonly string[]; readonly list: boolean } {
  if (typeof answer === 'object' && answer !== null) {
    const { wrong, machines, list } = answer as { readonly wrong?: unknown; readonly machines?: unknown; readonly list?: unknown }
    if (typeof wrong === 'string') throw wrongAnswer(wrong)
    if (Array.isArray(machines) && typeof list === 'boolean') return { names: machines.map(nameOf), list }
  }
  if (Array.isArray(answer)) return { names: answer.filter((one) => one !== undefined && one !== null).map(nameOf), list: true }
  return { names: answer === undefined || answer === null ? [] : [nameOf(answer)], list: false }
}

function nameOf(answer: unknown): string {
  const name = typeof answer === 'object' && answer !== null ? (answer as { readonly uuid?: unknown }).uuid : answer
  if (typeof name === 'string') return name
  throw wrongAnswer(`a ${typeof answer}${typeof answer === 'object' ? ' without a uuid' : ''}`)
}

const wrongAnswer = (what: string): FailedScheduler =>
  new FailedScheduler(`it answered ${what}; a scheduler answers a machine of pms, its name or uuid, a list of these with the best first, or nothing`)

function readAnswer(ref: UserRef, { vm }: PlaceRequest, board: Board, passed: readonly BoardMachine[], refused: Choice['refused'], answer: unknown): Pick<Choice, 'ranked' | 'problem'> {
  const { names, list } = namesIn(answer)
  if (names.length === 0) return { ranked: [], problem: `${ref.name} chose no machine, of ${passed.length} where ${vm.name} could go` }
  const machines = [...new Set(names.map((name) => {
    const machine = board.machines.find(({ uuid }) => uuid === name) ?? board.machines.find((one) => one.name === name)
    if (machine === undefined) throw wrongAnswer(`"${name}", which is no machine of the pool`)
    return machine
  }))]
  const fit = machines.filter((machine) => passed.includes(machine))
  if (fit.length > 0) return { ranked: fit.map(({ uuid }, i) => ({ machine: uuid, score: fit.length - i })) }
  const [first] = machines
  assert(first !== undefined, 'an answer names a machine')
  const why = refused.find(({ machine }) => machine === first.uuid)
  return { ranked: [], problem: `${ref.name} answered ${list ? 'only machines' : first.name}, where ${vm.name} cannot go (${list ? `${first.name}: ` : ''}${why?.filter}: ${why?.reason})` }
}

/** "kumoi:NAME@HASH:line:column: its text", of the first frame of the user's own code. */
function ownLine(ref: UserRef, error: unknown): string | undefined {
  const stack = error instanceof Error ? error.stack ?? '' : ''
  if (ref.type === 'function') return /^\s*at .*$/m.exec(stack)?.[0].trim().replace(/^at /, '')
  const frame = /kumoi:[\w$.-]*@[0-9a-f]{8}:(\d+):\d+/.exec(stack)
  if (frame === null) return undefined
  const text = ref.text.split('\n')[Number(frame[1]) - 1]?.trim() ?? ''
  return `${frame[0]}: ${text.length > LINE_CHARS ? `${text.slice(0, LINE_CHARS)}...` : text}`
}
const LINE_CHARS = 160

// ---------------------------------------------------------------- the pool's promise

/** Takes the best machine where the pool still survives the loss of as many hosts as it promises; those before it are refused. */
function keepPromise({ vm, snapshot }: PlaceRequest, placing: Placing): Placing {
  const [best] = placing.ranked
  if (best === undefined) return placing
  // What ran before is only brought back.
  const isNew = (snapshot.vms.find(({ uuid }) => uuid === vm.uuid)?.epoch ?? 0) === 0
  const promise = isNew ? promiseOf(snapshot) : undefined
  if (promise === undefined) return { ...placing, chosen: best.machine }
  const out: { machine: string; filter: string; reason: string }[] = []
  for (const [i, { machine }] of placing.ranked.entries()) {
    const problem = i < LIMITS.admissionTriesMax ? promise(vm, machine) : `the ${LIMITS.admissionTriesMax} better machines break the promise to survive lost hosts; this one was not tried`
    if (problem === undefined) return { ...placing, ranked: placing.ranked.slice(i), refused: [...placing.refused, ...out], chosen: machine }
    out.push({ machine, filter: 'survives', reason: problem })
  }
  return { ...placing, ranked: [], refused: [...placing.refused, ...out] }
}
