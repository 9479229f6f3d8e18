// One job's life in the kernel: attempts on cells, its deadline, its journal, and what becomes of it when a
// cell or isolate dies under it.
//
//   first attempt (shared) --dies--> alone: one element, and nobody else was there: it did it
//                                    more: again alone, shared or not
//     again, alone --dies--> several elements: again as a probe, each element announced before it starts
//     probe --dies at k--> k has done it; [0, k) and (k, n) are run again alone
//
// Whatever happens, every element has a run in the result, by the deadline plus killGraceMs at the latest.

import { LIMITS, type Clock, type CodedError, type ErrorRecord, type Timer, toErrorRecord } from '../../../fabric/base.ts'
import type { Failure, FailureStatus, Job, JobHooks, JobResult, ResultRun } from '../../contract.ts'
import { FUNCTIONS } from '../../errors.ts'
import { readConsole } from '../console-line.ts'
import { CANCEL_DEADLINE, CANCEL_NOW, FAILED_CANCELLED, FAILED_CPU, FAILED_LINK, FAILED_MEMORY, FROM_LANE, type Frame } from '../frames.ts'
import { errorText, FAILURE_STATUSES, parseErrorText, parseResult } from '../results.ts'
import { parseCall } from './call-frame.ts'
import type { CellLane } from './cell-lane.ts'
import type { CellProcess } from './cell-process.ts'
import type { JobPlan } from './job-plan.ts'
import { Journal } from './journal.ts'

/** What a run needs of the sandbox around it. */
export interface JobSurroundings {
  readonly clock: Clock
  /** A cell to run on, entered as shared or exclusive user, or past those who wait; rejects typed when there is none. */
  enter(how: 'shared' | 'exclusive' | 'nested'): Promise<{ readonly cell: CellProcess; leave(): void }>
  /** The first kill that is known to be this job's own: counts against its functions. */
  killed(): void
}

type AttemptEnd =
  | { readonly type: 'result'; readonly runs: readonly ResultRun[]; readonly decided: boolean }
  | { readonly type: 'failed'; readonly status: FailureStatus; readonly error: CodedError | ErrorRecord }
  | { readonly type: 'died'; readonly status: 'crash' | 'out-of-memory'; readonly how: string; /** With its cell, not its isolate only. */ readonly withCell: boolean; /** The cell was killed for another job. */ readonly innocent: boolean; readonly alone: boolean; readonly element: number | undefined }

const decoder = new TextDecoder()

export class JobRun {
  readonly #job: Job
  readonly #plan: JobPlan
  readonly #hooks: JobHooks
  readonly #signal: AbortSignal
  readonly #around: JobSurroundings
  readonly #journal = new Journal(LIMITS.journalBytesMax)
  /** Ends host calls with the job. */
  readonly #calls = new AbortController()
  readonly #runs: ResultRun[] = []
  #cpuMs = 0
  #decided = false
  #reruns = 0
  #kills = 0
  #blamed = false
  #hostCalls = 0
  #consoleBytes = 0
  /** A cell has died under it, and with it the runs that it is inside of, if they were there. */
  #lostCell = false
  /** Why nothing more is started: the deadline has come, or the caller has gone. */
  #deadlineMs = 0
  #over: 'timeout' | 'cancelled' | undefined
  #stop: (() => void) | undefined

  constructor(job: Job, plan: JobPlan, hooks: JobHooks, signal: AbortSignal, around: JobSurroundings) {
    this.#job = job
    this.#plan = plan
    this.#hooks = hooks
    this.#signal = signal
    this.#around = around
  }

  /** Resolves with every element accounted for. Rejects only when nothing was started. */
  async run(): Promise<JobResult> {
    const { clock } = this.#around
    const startMs = clock.nowMs()
    this.#deadlineMs = startMs + this.#job.limits.timeoutMs
    const deadline = clock.after(this.#job.limits.timeoutMs, () => this.#end('timeout'))
    const onAbort = (): void => this.#end('cancelled')
    this.#signal.addEventListener('abort', onAbort, { once: true })
    if (this.#signal.aborted) this.#end('cancelled')
    try {
      await this.#window(0, this.#job.input.count, 'shared')
    } finally {
      deadline.cancel()
      this.#signal.removeEventListener('abort', onAbort)
      if (this.#hostCalls > 0) this.#calls.abort()
    }
    this.#runs.sort((a, b) => a.from - b.from)
    return { runs: this.#runs, cpuMs: this.#cpuMs, wallMs: clock.nowMs() - startMs, decided: this.#decided }
  }

  #end(why: 'timeout' | 'cancelled'): void {
    this.#over ??= why
    this.#stop?.()
  }

  /** A job counts once, however often it is run again. */
  #blame(): void {
    if (this.#blamed) return
    this.#blamed = true
    this.#around.killed()
  }

  async #window(from: number, count: number, mode: 'shared' | 'exclusive' | 'probe'): Promise<void> {
    if (count === 0 && from > 0) return
    const end = await this.#attempt(from, count, mode)
    if (end.type === 'result') {
      this.#runs.push(...end.runs)
      this.#decided ||= end.decided
      return
    }
    if (end.type === 'failed') return this.#fail(from, count, end.status, end.error)
    this.#kills++
    // Among others it may be a bystander of one that kills, or all of them were too much together: alone it shows.
    if (end.alone) this.#blame()
    this.#lostCell ||= end.withCell
    if (this.#over !== undefined) return this.#fail(from, count, this.#over, this.#overError())
    if (end.alone && count <= 1) return this.#fail(from, count, end.status, this.#diedError(end, from))
    if (this.#journal.overflowed || this.#reruns >= LIMITS.rerunsMax) {
      if (!end.innocent) this.#blame()
      return this.#fail(from, count, end.status, this.#journal.overflowed ? this.#diedError(end, from) : FUNCTIONS.SANDBOX_RERUNS({ reruns: this.#reruns }))
    }
    this.#reruns++
    this.#journal.rewind()
    if (!end.alone) return await this.#window(from, count, 'exclusive')
    if (mode !== 'probe') return await this.#window(from, count, 'probe')
    const at = end.element
    if (at === undefined || this.#plan.folds) return this.#fail(from, count, end.status, this.#diedError(end, at === undefined ? from : from + at))
    this.#fail(from + at, 1, end.status, this.#diedError(end, from + at))
    await this.#window(from, at, 'exclusive')
    this.#journal.rewind()
    await this.#window(from + at + 1, count - at - 1, 'exclusive')
  }

  #diedError({ status, how }: AttemptEnd & { type: 'died' }, element: number): CodedError {
    const details = { index: this.#job.baseIndex + element, how }
    return status === 'crash' ? FUNCTIONS.SANDBOX_CRASH(details) : FUNCTIONS.SANDBOX_MEMORY(details)
  }

  #overError(): CodedError {
    return this.#over === 'cancelled' ? FUNCTIONS.SANDBOX_CANCELLED({}) : FUNCTIONS.SANDBOX_TIMEOUT({ timeoutMs: this.#job.limits.timeoutMs })
  }

  #fail(from: number, count: number, status: FailureStatus, error: CodedError | ErrorRecord): void {
    const record = error instanceof Error ? toErrorRecord(error, FUNCTIONS.THROWN.code) : error
    const { stack: _, ...plain } = record
    const failure: Failure = { status, error: error instanceof Error ? plain : record, mayHaveRun: record.outcome !== 'not-started' }
    this.#runs.push({ from: this.#job.baseIndex + from, count, failure })
  }

  async #attempt(from: number, count: number, mode: 'shared' | 'exclusive' | 'probe'): Promise<AttemptEnd> {
    if (this.#over !== undefined) return { type: 'failed', status: this.#over, error: this.#overError() }
    const entered = this.#enter(mode)
    const stopped = new Promise<undefined>((resolve) => { this.#stop = () => resolve(undefined) })
    let place: Awaited<typeof entered> | undefined
    try {
      place = await Promise.race([entered, stopped])
    } catch (error) {
      // Refused at the door. Once something has run, that is an outcome of the rest and not of the job.
      if (this.#kills === 0) throw error
      return { type: 'failed', status: 'crash', error: toErrorRecord(error, FUNCTIONS.SANDBOX_START.code) }
    }
    if (place === undefined) {
      void entered.then(({ leave }) => leave(), () => {})
      return { type: 'failed', status: this.#over ?? 'timeout', error: this.#overError() }
    }
    try {
      return await this.#onCell(place.cell, from, count, mode)
    } finally {
      this.#stop = undefined
      place.leave()
    }
  }

  /**
   * A nested run must never wait for those that wait for it: while the runs that it is inside of may hold places, it goes past all.
   * They, before they run again, let their calls end, among which it is.
   */
  async #enter(mode: 'shared' | 'exclusive' | 'probe'): ReturnType<JobSurroundings['enter']> {
    const nested = (this.#job.depth ?? 0) > 0
    if (mode === 'shared') return this.#around.enter(nested ? 'nested' : 'shared')
    if (this.#hostCalls > 0) await this.#journal.settled()
    return this.#around.enter(nested && !this.#lostCell ? 'nested' : 'exclusive')
  }

  #onCell(cell: CellProcess, from: number, count: number, mode: 'shared' | 'exclusive' | 'probe'): Promise<AttemptEnd> {
    return new Promise((resolve) => {
      const nested = (this.#job.depth ?? 0) > 0
      let element: number | undefined
      let grace: Timer | undefined
      let ended = false
      const lane = cell.pickLane()
      const finish = (end: AttemptEnd): void => {
        if (ended) return
        ended = true
        grace?.cancel()
        lane.end(id)
        if (cell.running === 0) cell.watchResident('idle')
        resolve(end)
      }
      const died = (status: 'crash' | 'out-of-memory', how: string, running: number, withCell: boolean = false): void => {
        if (this.#over !== undefined) finish({ type: 'failed', status: this.#over, error: this.#overError() })
        // The one that a cell was killed for has ended already and is not among those that ran: who is left is innocent.
        else finish({ type: 'died', status, how, withCell, innocent: cell.cause === 'stuck', alone: cell.cause !== 'stuck' && (running <= 1 || (mode !== 'shared' && !nested)), element })
      }
      const receive = (frame: Frame): void => {
        switch (frame.type) {
          case FROM_LANE.result: {
            this.#cpuMs += frame.x >= 0 ? frame.x : 0
            const parsed = parseResult(frame.body, count, this.#job.baseIndex + from)
            if (parsed === undefined) return cell.kill('crash')
            return finish({ type: 'result', ...parsed })
          }
          case FROM_LANE.failed:
            this.#cpuMs += frame.x >= 0 ? frame.x : 0
            return this.#failedFrame(frame, finish, died)
          case FROM_LANE.settled: return this.#settled(frame, from, count)
          case FROM_LANE.progress: element = frame.c < count ? frame.c : undefined; return
          case FROM_LANE.console: return this.#console(frame, from, count)
          case FROM_LANE.call: return this.#call(cell, lane, id, from, frame, finish)
        }
      }
      const id = lane.start({
        plan: this.#plan, job: this.#job, from, count, probe: mode === 'probe', receive, remainingMs: Math.max(1, this.#deadlineMs - this.#around.clock.nowMs()),
        died: (running) => died(cell.cause === 'out-of-memory' ? 'out-of-memory' : 'crash', cell.how, running, true),
      })
      cell.watchResident('busy')
      const stop = (): void => {
        lane.cancel(id, this.#over === 'timeout' ? CANCEL_DEADLINE : CANCEL_NOW, this.#job.limits.timeoutMs)
        grace = this.#around.clock.after(LIMITS.killGraceMs, () => {
          this.#blame()
          cell.kill('stuck')
          finish({ type: 'failed', status: this.#over ?? 'timeout', error: this.#overError() })
        })
      }
      if (this.#over === undefined) this.#stop = stop
      else stop()
    })
  }

  /** A frame that makes no sense is passed over: the result tells all elements again. */
  #settled(frame: Frame, from: number, count: number): void {
    if (frame.c < 0 || frame.c >= count || frame.body.byteLength < 4) return
    const index = this.#job.baseIndex + from + frame.c
    const body = frame.body.slice(4)
    if (frame.flags === 0) return this.#hooks.settled?.(index, { values: body })
    const status = FAILURE_STATUSES[frame.flags - 1]
    const error = parseErrorText(body)
    if (status !== undefined && error !== undefined) this.#hooks.settled?.(index, { failure: { status, error, mayHaveRun: true } })
  }

  #failedFrame(frame: Frame, finish: (end: AttemptEnd) => void, died: (status: 'crash' | 'out-of-memory', how: string, running: number) => void): void {
    const words = decoder.decode(frame.body.subarray(0, 8_192))
    switch (frame.flags) {
      case FAILED_MEMORY: return died('out-of-memory', `more than ${this.#plan.heapLimitMiB} MiB`, 1)
      case FAILED_CPU: return finish({ type: 'failed', status: 'timeout', error: FUNCTIONS.SANDBOX_CPU({ cpuTimeMs: this.#plan.cpuTimeMs }) })
      case FAILED_LINK: return finish({ type: 'failed', status: 'error', error: { ...(parseErrorText(frame.body) ?? toErrorRecord(FUNCTIONS.SANDBOX_LINK({ reason: words }), '')), outcome: 'not-started' } })
      case FAILED_CANCELLED: return finish({ type: 'failed', status: this.#over ?? 'timeout', error: this.#overError() })
      default: return died('crash', words, 1)
    }
  }

  #console(frame: Frame, from: number, count: number): void {
    if (this.#consoleBytes > LIMITS.consoleBytesMax * 2) return
    this.#consoleBytes += frame.body.byteLength
    const element = frame.c === 0 || frame.c > count ? -1 : from + frame.c - 1
    this.#hooks.console(readConsole(frame.flags, decoder.decode(frame.body), element))
  }

  #call(cell: CellProcess, lane: CellLane, id: number, from: number, frame: Frame, finish: (end: AttemptEnd) => void): void {
    const element = frame.c === 0 ? -1 : from + frame.c - 1
    const call = parseCall(frame.body, element, from, this.#job.input.count)
    if (call === undefined) return cell.kill('crash')
    const answerTo = (answer: Promise<Uint8Array>): void => {
      answer.then((bytes) => lane.answer(id, frame.b, true, bytes), (error: unknown) => lane.answer(id, frame.b, false, errorText(callError(error))))
    }
    if (this.#reruns > 0) {
      const found = this.#journal.find(element, frame.d, call)
      if (found.type === 'answered') return answerTo(found.answer)
      if (found.type === 'mismatch') {
        lane.cancel(id, CANCEL_NOW, 0)
        return finish({ type: 'failed', status: 'error', error: FUNCTIONS.SANDBOX_JOURNAL({ verb: call.verb, index: this.#job.baseIndex + element }) })
      }
    }
    if (call.args.byteLength > LIMITS.hostCallBytesMax) {
      return answerTo(Promise.reject(FUNCTIONS.SANDBOX_HOST_CALL_BYTES({ verb: call.verb, bytes: call.args.byteLength, bytesMax: LIMITS.hostCallBytesMax })))
    }
    if (this.#hostCalls++ >= this.#job.limits.hostCalls) return answerTo(Promise.reject(FUNCTIONS.SANDBOX_HOST_CALLS({ hostCalls: this.#job.limits.hostCalls })))
    const answer = Promise.resolve().then(() => this.#hooks.hostCall(call, this.#calls.signal))
    this.#journal.record(element, frame.d, call, answer)
    answerTo(answer)
  }
}

/** An error record for the sandboxed caller: no stack, which would show this process's paths. */
function callError(error: unknown): ErrorRecord {
  const { stack: _stack, cause: _cause, ...record } = toErrorRecord(error, FUNCTIONS.SANDBOX_HOST_CALL.code)
  return record
}
