// One run of a plan over one chunk: stages fused element by element, then the terminal, then the result
// bytes. Everything user code can do wrong is caught and recorded here, per element.
//
// A run that never meets a promise ends inside the call that started it and returns its bytes from there
// (one hop less); a run with asynchronous elements keeps at most `concurrency` of them under way and posts
// its bytes when the last has settled. Outputs stay in element order. Elements of folding terminals share
// one outcome: the partial result, or the first failure with its index in `details`.

import { FROM_LANE, RESULT_DECIDED, RESULT_TOLD } from '../frames.ts'
import { forgetAssignments } from './assignments.ts'
import { itemsNow } from './collection.ts'
import { endOf, forgetPending } from './pending.ts'
import { collectedRuns, encodeBounded, STATUS_ERROR, USER_CODE, type Failed } from './collected.ts'
import { decodeItems, encodeOutputs } from './value.ts'
import { errorJson, SandboxError } from './error-capture.ts'
import { encodeText } from './text.ts'
import { fold, type Folded } from './fold.ts'
import { forgetCalls } from './host-calls.ts'
import { tellStanding } from './standing.ts'
import { forgetTimers, setTimer } from './timers.ts'
import { host, job } from './host.ts'
import { ArrayIsArray, promiseThen, TypedUint8Array } from './primordials.ts'
import type { LoadedPlan } from './plan.ts'
import { writeResult, type FailureRun, type WrittenRun } from './writer.ts'

/** Elements [from, from + count) of the items or range; `base` is the index of element `from`. */
export interface RunInput { readonly job: number; readonly base: number; readonly from: number; readonly count: number; readonly start: number; readonly step: number; readonly items: Uint8Array | undefined; readonly kept: unknown[] | undefined; readonly probe: boolean }

const STATUS_TIMEOUT = 3
/** Elements that end within this wait for each other. */
const EARLY_MS = 10

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') && typeof (value as { then?: unknown }).then === 'function'

class Run {
  readonly plan: LoadedPlan
  readonly input: RunInput
  readonly items: unknown[] | undefined
  /** By element: its one output (plain maps), or an array of its outputs. */
  readonly outputs: unknown[] = []
  /** Plain array, no Map: user code may have replaced the methods. */
  readonly failures: (Failed | undefined)[] = []
  #failed = 0
  readonly #concurrency: number
  readonly #done: Uint8Array
  readonly #told: Uint8Array
  next = 0
  active = 0
  /** Elements below have ended. */
  #ended = 0
  #stopped = false
  ended = false

  constructor(plan: LoadedPlan, input: RunInput) {
    this.plan = plan
    this.input = input
    this.items = input.kept ?? (input.items === undefined ? undefined : decodeItems(input.items, input.from))
    this.#concurrency = input.probe ? 1 : plan.concurrency
    this.#done = new TypedUint8Array(input.count)
    this.#told = new TypedUint8Array(plan.early ? input.count : 0)
  }

  item(index: number): unknown {
    const at = this.input.from + index
    return this.items === undefined ? this.input.start + this.input.step * at : this.items[at]
  }

  /** What has ended while the others go on is told before them, so that it need not wait for the slowest. */
  tellLater(): void {
    setTimer(() => {
      if (this.ended) return
      this.#tell()
      this.tellLater()
    }, EARLY_MS)
  }

  #tell(): void {
    for (let i = 0; i < this.next; i++) {
      if (this.#done[i] !== 1 || this.#told[i] === 1) continue
      this.#told[i] = 1
      const failed = this.failures[i]
      try {
        if (failed === undefined) host.post(FROM_LANE.settled, this.input.job, 0, i, 0, 0, '', encodeOutputs([this.outputs[i]], this.plan.resultBytes))
        else host.post(FROM_LANE.settled, this.input.job, 0, i, 0, 1 + failed.status, '', failed.error)
      } catch {
        // It cannot be encoded: the result says so.
      }
    }
  }

  /** Starts elements until all are started, or as many wait as may. Returns the bytes when that ended the run. */
  pump(): Uint8Array | undefined {
    const { count, base, probe } = this.input
    const { single } = this.plan
    while (this.next < count && this.active < this.#concurrency && !this.#stopped) {
      const i = this.next++
      job.element = i
      if (probe) host.announce(job.id, i)
      try {
        if (single !== undefined) {
          const value = single(this.item(i), base + i)
          const now = isThenable(value) ? itemsNow(value) : value
          if (now === undefined && value !== undefined) { this.#wait(i, value as PromiseLike<unknown>, 'value'); continue }
          this.outputs[i] = now
        } else {
          const list: unknown[] = []
          this.outputs[i] = list
          const rest = this.#stages(0, this.item(i), base + i, list)
          if (rest !== undefined) { this.#wait(i, rest, 'value'); continue }
          this.#decide(list)
        }
      } catch (error) {
        this.fail(i, error)
      }
      const patches = endOf(i)
      if (patches === undefined) this.#done[i] = 1
      else this.#wait(i, patches, 'patches')
    }
    job.element = -1
    this.#rest()
    return this.active === 0 && (this.next >= count || this.#stopped) ? this.#finish() : undefined
  }

  /** 'patches': the function has answered or thrown; what it assigned to objects is still on its way. */
  #wait(index: number, promise: PromiseLike<unknown>, what: 'value' | 'patches'): void {
    this.active++
    promiseThen(landed(promise), (value) => {
      if (this.ended) return
      if (what === 'value' && this.plan.single !== undefined) this.outputs[index] = value
      else if (what === 'value') this.#decide(this.outputs[index] as unknown[])
      this.#leave(index, what)
    }, (error) => {
      if (this.ended) return
      if (this.failures[index] === undefined) this.fail(index, error)
      this.#leave(index, what)
    })
  }

  /** Between turns. */
  #rest(): void {
    job.waiting = -1
    if (this.active === 0) return
    while (this.#ended < this.next && this.#done[this.#ended] === 1) this.#ended++
    if (this.#ended < this.next) job.waiting = this.#ended
  }

  #leave(index: number, what: 'value' | 'patches'): void {
    const patches = what === 'value' ? endOf(index) : undefined
    if (patches !== undefined) { this.active--; return this.#wait(index, patches, 'patches') }
    this.#done[index] = 1
    this.#settle()
  }

  #settle(): void {
    this.active--
    let bytes: Uint8Array | undefined
    try {
      bytes = this.pump()
    } catch (error) {
      // Only built-ins that user code has replaced get here; the run must end all the same.
      bytes = this.#foldFailed(error)
    }
    if (bytes !== undefined) this.#post(bytes)
  }

  /** The stages from `s` on for one value; a promise when one of them was asynchronous. */
  #stages(s: number, value: unknown, index: number, into: unknown[]): PromiseLike<unknown> | undefined {
    const { stages } = this.plan
    for (; s < stages.length; s++) {
      const stage = stages[s] as LoadedPlan['stages'][number]
      const answer = stage.fn(value, index)
      const result = isThenable(answer) ? itemsNow(answer) : answer
      if (result === undefined && answer !== undefined) return this.#resume(s, landed(answer as PromiseLike<unknown>), value, index, into)
      if (stage.verb === 'map') value = result
      else if (stage.verb === 'filter') { if (!result) return undefined }
      else if (stage.verb === 'annotate') value = [result, value]
      else if (stage.verb === 'flatMap') return this.#each(s + 1, result, index, into)
      else return undefined
    }
    into[into.length] = value
    return undefined
  }

  async #resume(s: number, result: Promise<unknown>, value: unknown, index: number, into: unknown[]): Promise<void> {
    const stage = this.plan.stages[s] as LoadedPlan['stages'][number]
    const landedValue = await result
    if (stage.verb === 'flatMap') return void await this.#each(s + 1, landedValue, index, into)
    if (stage.verb === 'forEach' || (stage.verb === 'filter' && !landedValue)) return
    await this.#stages(s + 1, stage.verb === 'map' ? landedValue : stage.verb === 'annotate' ? [landedValue, value] : value, index, into)
  }

  #each(s: number, list: unknown, index: number, into: unknown[], from = 0): PromiseLike<unknown> | undefined {
    if (!ArrayIsArray(list)) return this.#stages(s, list, index, into)
    for (let i = from; i < list.length; i++) {
      const rest = this.#stages(s, list[i], index, into)
      if (rest !== undefined) return (async () => { await rest; await this.#each(s, list, index, into, i + 1) })()
    }
    return undefined
  }

  /** some, every and find stop at the first output that decides. */
  #decide(list: unknown[]): void {
    const { stopsAt } = this.plan
    if (stopsAt === undefined) return
    for (let i = 0; i < list.length; i++) if (!!(list[i] as [unknown, unknown])[0] === stopsAt) this.#stopped = true
  }

  fail(index: number, error: unknown, status = STATUS_ERROR): void {
    if (this.plan.stopsAt === undefined && this.plan.folds) this.#stopped = true
    this.failures[index] = { status, error: encodeText(errorJson(error, USER_CODE, this.input.base + index)) }
    this.#failed++
  }

  /** The deadline has come: what has settled is kept, the rest is told so. */
  expire(error: unknown): Uint8Array {
    for (let i = 0; i < this.input.count; i++) {
      if (this.#done[i] !== 1 && this.failures[i] === undefined) this.fail(i, error, STATUS_TIMEOUT)
    }
    return this.#end(this.plan.folds ? this.#shared() : this.#collected(), false)
  }

  #finish(): Uint8Array | undefined {
    if (!this.plan.folds) return this.#end(this.#collected(), false)
    if (this.#failed > 0) return this.#end(this.#shared(), false)
    let folded: Folded | Promise<Folded>
    try {
      folded = fold(this.plan, this.outputs)
    } catch (error) {
      return this.#foldFailed(error)
    }
    if (!isThenable(folded)) return this.#folded(folded)
    this.active++
    promiseThen(folded as Promise<Folded>, (done) => { if (!this.ended) this.#post(this.#folded(done)) }, (error) => { if (!this.ended) this.#post(this.#foldFailed(error)) })
    return undefined
  }

  #post(bytes: Uint8Array): void { host.post(FROM_LANE.result, this.input.job, 0, 0, 0, 0, '', bytes) }

  #foldFailed(error: unknown): Uint8Array {
    return this.#end([{ from: 0, count: this.input.count, status: STATUS_ERROR, error: encodeText(errorJson(error, USER_CODE, undefined)) }], false)
  }

  #folded({ values, decided }: Folded): Uint8Array {
    try {
      const bytes = this.#encode(values)
      return this.#end([{ from: 0, count: this.input.count, outputs: values.length, counts: undefined, values: bytes }], decided)
    } catch (error) {
      return this.#foldFailed(error)
    }
  }

  /** The first failure, shared by the chunk: a partial result over some of the elements would be wrong. */
  #shared(): FailureRun[] {
    let first = 0
    while (this.failures[first] === undefined) first++
    const failed = this.failures[first] as Failed
    return [{ from: 0, count: this.input.count, status: failed.status, error: failed.error }]
  }

  #collected(): WrittenRun[] {
    return collectedRuns({ ...this.input, outputs: this.outputs, failures: this.failures, single: this.plan.single !== undefined, encode: (values) => this.#encode(values) })
  }

  #encode(values: unknown[]): Uint8Array { return encodeBounded(values, this.plan.resultBytes) }

  #end(runs: readonly WrittenRun[], decided: boolean): Uint8Array {
    this.ended = true
    current = undefined
    tellStanding()
    job.id = 0
    forgetCalls()
    forgetAssignments()
    forgetPending()
    forgetTimers()
    return writeResult(runs, (decided ? RESULT_DECIDED : 0) | (job.consoleBytesLeft < this.plan.consoleBytes ? RESULT_TOLD : 0))
  }
}

/** Awaits by the language itself, which user code cannot replace; hostile thenables only hurt their element. */
async function landed(value: PromiseLike<unknown>): Promise<unknown> { return await value }

let current: Run | undefined

export function startRun(plan: LoadedPlan, input: RunInput): Uint8Array | undefined {
  job.id = input.job
  job.element = -1
  job.waiting = -1
  job.sequences = []
  job.hostCallsLeft = plan.hostCalls
  job.consoleBytesLeft = plan.consoleBytes
  const run = current = new Run(plan, input)
  const bytes = run.pump()
  if (bytes === undefined && plan.early && plan.single !== undefined && input.count > 1) run.tellLater()
  return bytes
}

export function expireRun(id: number, timeoutMs: number): Uint8Array | undefined {
  if (current === undefined || job.id !== id) return undefined
  return current.expire(new SandboxError('FUNCTIONS_ERR_SANDBOX_TIMEOUT', `The function had not answered after ${timeoutMs} ms; raise timeoutMs (limits.timeout of a deployed function), or do less per element`))
}
