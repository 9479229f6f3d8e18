// One run of a plan over one chunk: stages fused element by element, then the terminal, then the result
// bytes. Everything user code can do wrong is caught and recorded here, per element.
//
// A run that never meets a promise ends inside the call that started it and returns its bytes from there
// (one hop less); a run with asynchronous elements keeps at most `concurrency` of them under way and posts
// its bytes when the last has settled. Outputs stay in element order. Elements of folding terminals share
// one outcome: the partial result, or the first failure with its index in `details`.

import { FROM_LANE } from '../frames.ts'
import { forgetAssignments } from './assignments.ts'
import { endOf, forgetPending } from './pending.ts'
import { encodeOutputs, decodeItems } from './value.ts'
import { errorJson, SandboxError } from './error-capture.ts'
import { encodeText } from './text.ts'
import { fold, type Folded } from './fold.ts'
import { forgetCalls } from './host-calls.ts'
import { forgetTimers } from './timers.ts'
import { host, job } from './host.ts'
import { ArrayIsArray, promiseThen, TypedUint8Array } from './primordials.ts'
import type { LoadedPlan } from './plan.ts'
import { writeResult, type FailureRun, type WrittenRun } from './writer.ts'

/** Elements [from, from + count) of the items or range; `base` is the index of element `from`. */
export interface RunInput { readonly job: number; readonly base: number; readonly from: number; readonly count: number; readonly start: number; readonly step: number; readonly items: Uint8Array | undefined; readonly kept: unknown[] | undefined; readonly probe: boolean }

interface Failed { readonly status: number; readonly error: Uint8Array }
const STATUS_ERROR = 0
const STATUS_TIMEOUT = 3
const USER_CODE = 'FUNCTIONS_ERR_THROWN'

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
  }

  item(index: number): unknown {
    const at = this.input.from + index
    return this.items === undefined ? this.input.start + this.input.step * at : this.items[at]
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
          if (isThenable(value)) { this.#wait(i, value, 'value'); continue }
          this.outputs[i] = value
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
      const result = stage.fn(value, index)
      if (isThenable(result)) return this.#resume(s, landed(result), value, index, into)
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
    const runs: WrittenRun[] = []
    const { count } = this.input
    let from = 0
    while (from < count) {
      const failed = this.failures[from]
      let to = from + 1
      if (failed !== undefined) {
        while (to < count && this.failures[to]?.error === failed.error) to++
        runs.push({ from, count: to - from, status: failed.status, error: failed.error })
      } else {
        while (to < count && this.failures[to] === undefined) to++
        this.#values(from, to, runs)
      }
      from = to
    }
    return runs
  }

  /** Encodes elements [from, to); when that fails, one by one, so that the offender is named and the others arrive. */
  #values(from: number, to: number, runs: WrittenRun[]): void {
    const single = this.plan.single !== undefined
    const whole = from === 0 && to === this.outputs.length
    let flat: unknown[]
    let counts: Uint8Array | undefined
    if (single) flat = whole ? this.outputs : this.outputs.slice(from, to)
    else {
      flat = []
      counts = new TypedUint8Array((to - from) * 4)
      for (let i = from; i < to; i++) {
        const list = this.outputs[i] as unknown[]
        for (let j = 0; j < list.length; j++) flat[flat.length] = list[j]
        const at = (i - from) * 4
        counts[at] = list.length; counts[at + 1] = list.length >>> 8; counts[at + 2] = list.length >>> 16; counts[at + 3] = list.length >>> 24
      }
    }
    try {
      runs.push({ from, count: to - from, outputs: flat.length, counts, values: this.#encode(flat) })
    } catch (error) {
      if (to - from === 1) {
        runs.push({ from, count: 1, status: STATUS_ERROR, error: encodeText(errorJson(error, USER_CODE, this.input.base + from)) })
        return
      }
      const middle = from + ((to - from) >> 1)
      this.#values(from, middle, runs)
      this.#values(middle, to, runs)
    }
  }

  #encode(values: unknown[]): Uint8Array {
    const { resultBytes } = this.plan
    const bytes = encodeOutputs(values, resultBytes)
    if (bytes.byteLength > resultBytes) {
      throw new SandboxError('FUNCTIONS_ERR_SANDBOX_RESULT_BYTES', `The result takes ${bytes.byteLength} bytes, more than the ${resultBytes} allowed; return less, or raise resultBytes`)
    }
    return bytes
  }

  #end(runs: readonly WrittenRun[], decided: boolean): Uint8Array {
    this.ended = true
    current = undefined
    job.id = 0
    forgetCalls()
    forgetAssignments()
    forgetPending()
    forgetTimers()
    return writeResult(runs, decided)
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
  return run.pump()
}

export function expireRun(id: number, timeoutMs: number): Uint8Array | undefined {
  if (current === undefined || job.id !== id) return undefined
  return current.expire(new SandboxError('FUNCTIONS_ERR_SANDBOX_TIMEOUT', `The function had not answered after ${timeoutMs} ms; raise timeoutMs, or do less per element`))
}
