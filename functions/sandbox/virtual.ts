// The sandbox of simulations: the isolates and the prelude of a cell (cell/isolate.ts), in this process and on a virtual
// clock. The same bundle runs under the same limits of heap and CPU; what it is told of time comes from the clock, and its
// random numbers from a seed, so that one seed is one run, to the byte.
//
//   run(job) -> isolate, on this thread, until it waits -> its calls, answered -> isolate -> ... -> result
//
// A day of simulated time is some million calls: nothing here hops threads or processes (a warm job in a cell takes
// 150 us, here 20), and references that did not change are sent by number (prelude/kept.ts). There is one process and one
// principal, the user with his own file, who runs far more than this in his shell; nodes run user code in cells only.

import { readFileSync } from 'node:fs'
import { LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { CodedError, ErrorRecord } from '../../fabric/base.ts'
import type { FailureStatus, HostCall, Job, JobResult } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { bundlePackage, cellScripts } from './bundle.ts'
import { SandboxIsolate } from './cell/isolate.ts'
import { readConsole } from './console-line.ts'
import { FROM_LANE, PLAIN_CALLS, RUN_KEPT, RUN_RANGE, STANDING_CALLS } from './frames.ts'
import { makePlan, planKey } from './kernel/job-plan.ts'
import type { JobPlan } from './kernel/job-plan.ts'
import { POST_TIMER } from './prelude/timers.ts'
import { errorText, parseErrorText, parseResult } from './results.ts'
import { CallNames, eachCall } from './virtual-calls.ts'
import { virtualRealm } from './virtual-realm.ts'
import type { Kept, KeptInput, VirtualHooks, VirtualSandbox, VirtualSandboxOptions } from './virtual-start.ts'

/** Warm isolates: one a plan, more while runs of a plan overlap. */
const ISOLATES_MAX = 64
const utf8 = new TextDecoder()
/** Why host calls of a job that has ended end; made once, because a job ends every millisecond. */
const OVER = FUNCTIONS.SANDBOX_CANCELLED({})

interface Warm { readonly isolate: SandboxIsolate; readonly plan: JobPlan; readonly known: Map<number, object>; /** The last job's elements, and their numbers. */ elements: readonly Kept[]; slots: Uint8Array; /** Of the answers that stand in the isolate; undefined: none may. */ revision: number | undefined; busy: boolean; momentMs: number }
interface Running { readonly id: number; readonly warm: Warm; readonly hooks: VirtualHooks; readonly end: (result: Ended) => void; readonly calls: AbortController; answers: unknown[]; /** Number of the call, number of its answer. */ known: number[]; /** Revision of the first of them. */ asOf: number | undefined; answering: boolean; hostCalls: number; ended: boolean }
type Ended = { readonly bytes: Uint8Array } | { readonly status: FailureStatus; readonly error: CodedError | ErrorRecord; readonly mayHaveRun: boolean }

const NO_ARGUMENTS = Uint8Array.of(0x80)

const callError = (error: unknown): ErrorRecord => {
  const { stack: _stack, cause: _cause, ...record } = toErrorRecord(error, FUNCTIONS.SANDBOX_HOST_CALL.code)
  return record
}

class InProcessSandbox implements VirtualSandbox {
  readonly #options: VirtualSandboxOptions
  readonly #prelude: string
  readonly #shapes: string
  readonly #plans = new Map<string, JobPlan>()
  readonly #isolates: Warm[] = []
  readonly #names = new CallNames()
  #lastJob = 0

  constructor(options: VirtualSandboxOptions, prelude: string) {
    this.#options = options
    this.#prelude = prelude
    this.#shapes = JSON.stringify(options.shapes)
  }

  async run(job: Job, hooks: VirtualHooks, signal: AbortSignal): Promise<JobResult> {
    const { clock } = this.#options
    const startedAtMs = clock.nowMs()
    const { promise, resolve } = Promise.withResolvers<Ended>()
    const plan = this.#plan(job)
    let warm: Warm
    try {
      warm = this.#take(plan) ?? await this.#make(plan, job)
    } catch (error) {
      return this.#failed(job, { status: 'error', error: error as CodedError, mayHaveRun: false }, 0, 0)
    }
    warm.busy = true
    const running: Running = {
      id: ++this.#lastJob, warm, hooks, calls: new AbortController(), answers: [], known: [], asOf: undefined, answering: false, hostCalls: 0, ended: false,
      end: (result) => {
        if (running.ended) return
        running.ended = true
        resolve(result)
      },
    }
    const cpuStartMs = warm.isolate.cpuMs
    const expiry = clock.after(job.limits.timeoutMs, () => this.#expire(running, job.limits.timeoutMs))
    const onAbort = (): void => this.#break(running, { status: 'cancelled', error: FUNCTIONS.SANDBOX_CANCELLED({}), mayHaveRun: true })
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else this.#start(running, job)
    const ended = await promise
    expiry.cancel()
    signal.removeEventListener('abort', onAbort)
    if (running.hostCalls > 0) running.calls.abort(OVER)
    warm.busy = false
    const cpuMs = warm.isolate.disposed ? 0 : warm.isolate.cpuMs - cpuStartMs
    if (warm.isolate.disposed || job.limits.fresh) this.#drop(warm)
    const wallMs = clock.nowMs() - startedAtMs
    if (!('bytes' in ended)) return this.#failed(job, ended, cpuMs, wallMs)
    const parsed = parseResult(ended.bytes, job.input.count, job.baseIndex)
    if (parsed === undefined) return this.#failed(job, { status: 'crash', error: FUNCTIONS.SANDBOX_CRASH({ index: job.baseIndex, how: 'a malformed result' }), mayHaveRun: true }, cpuMs, wallMs)
    return { ...parsed, cpuMs, wallMs }
  }

  close(): void { for (const { isolate } of this.#isolates.splice(0)) isolate.dispose() }

  #failed(job: Job, ended: Exclude<Ended, { bytes: Uint8Array }>, cpuMs: number, wallMs: number): JobResult {
    const record = ended.error instanceof Error ? toErrorRecord(ended.error, FUNCTIONS.THROWN.code) : ended.error
    const { stack: _stack, ...plain } = record
    const failure = { status: ended.status, error: ended.error instanceof Error ? plain : record, mayHaveRun: ended.mayHaveRun }
    return { runs: [{ from: job.baseIndex, count: job.input.count, failure }], cpuMs, wallMs, decided: false }
  }

  #plan(job: Job): JobPlan {
    const key = planKey(job)
    const present = this.#plans.get(key)
    if (present !== undefined) return present
    const plan = makePlan(key, job)
    this.#plans.set(key, plan)
    return plan
  }

  #take(plan: JobPlan): Warm | undefined { return this.#isolates.find((warm) => !warm.busy && warm.plan === plan) }

  async #make(plan: JobPlan, job: Job): Promise<Warm> {
    const seed = this.#options.random.int(2 ** 31)
    const isolate = new SandboxIsolate({ text: virtualRealm(this.#prelude, seed), shapes: this.#shapes, cached: undefined }, plan.heapLimitMiB, 'virtual')
    isolate.setMoment(this.#options.clock.wallMs())
    const blobs = [...plan.code.flatMap((hash) => [hash, utf8.decode(job.blob(hash))]), ...plan.environments.flatMap((hash) => [hash, Uint8Array.from(job.blob(hash))])]
    for (;;) {
      const answer = isolate.loadHere(utf8.decode(plan.text), plan.initial === undefined ? undefined : Uint8Array.from(plan.initial), blobs)
      if (answer === '') break
      if (answer.startsWith('E')) {
        isolate.dispose()
        const record = parseErrorText(Buffer.from(answer.slice(1)))
        throw Object.assign(FUNCTIONS.SANDBOX_LINK({ reason: record?.message ?? answer.slice(1) }), { cause: record })
      }
      const [specifier = '', name = '', version = ''] = JSON.parse(answer.slice(1)) as string[]
      await isolate.addPackage(answer.slice(1), await bundlePackage({ specifier, name, version }, this.#options.packageDirectories), `${name}@${version}`)
    }
    const warm: Warm = { isolate, plan, known: new Map(), elements: [], slots: new Uint8Array(0), revision: undefined, busy: false, momentMs: NaN }
    if (this.#isolates.length >= ISOLATES_MAX) this.#drop(this.#isolates.find(({ busy }) => !busy))
    this.#isolates.push(warm)
    return warm
  }

  #drop(warm: Warm | undefined): void {
    if (warm === undefined) return
    warm.isolate.dispose()
    const at = this.#isolates.indexOf(warm)
    if (at >= 0) this.#isolates.splice(at, 1)
    // A function that carries other values each time is another plan each time.
    if (!this.#isolates.some(({ plan }) => plan === warm.plan)) this.#plans.delete(warm.plan.key)
  }

  /** One visit to the isolate; what it throws ends the job and the isolate. */
  #visit(running: Running, visit: () => void): void {
    try {
      this.#setMoment(running.warm)
      this.#renew(running)
      visit()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const { cpuTimeMs, heapLimitMiB } = running.warm.plan
      this.#break(running, message.includes('timed out') ? { status: 'timeout', error: FUNCTIONS.SANDBOX_CPU({ cpuTimeMs }), mayHaveRun: true }
        : message.includes('memory limit') || message.includes('allocation failed') || message.includes('disposed') ? { status: 'out-of-memory', error: FUNCTIONS.SANDBOX_MEMORY({ index: 0, how: `more than ${heapLimitMiB} MiB` }), mayHaveRun: true }
        : { status: 'crash', error: FUNCTIONS.SANDBOX_CRASH({ index: 0, how: message }), mayHaveRun: true })
    }
  }

  #setMoment(warm: Warm): void {
    const atMs = this.#options.clock.wallMs()
    if (warm.momentMs === atMs) return
    warm.momentMs = atMs
    warm.isolate.setMoment(atMs)
  }

  /** What stands in the isolate is what is known now. */
  #renew({ warm, hooks }: Running): void {
    const revision = hooks.known?.revision()
    if (warm.revision === revision) return
    warm.isolate.forgetStanding()
    warm.revision = revision
  }

  #break(running: Running, ended: Ended): void {
    if (running.ended) return
    running.warm.isolate.dispose()
    running.end(ended)
  }

  #start(running: Running, { input, baseIndex }: Job): void {
    const { isolate, plan } = running.warm
    isolate.hooks = { post: (...args) => this.#posted(running, ...args), announce: () => {}, catastrophe: () => {} }
    this.#visit(running, () => {
      const [start, step, flags, items] = input.type === 'range' ? [input.start, input.step, RUN_RANGE, undefined] as const
        : 'kept' in input ? [0, 0, RUN_KEPT, this.#numbers(running.warm, (input as KeptInput).kept)] as const
          : [0, 0, 0, Uint8Array.from(input.bytes)] as const
      const bytes = isolate.runHere(plan.cpuTimeMs, running.id, baseIndex, 0, input.count, start, step, flags, items)
      if (bytes !== undefined) running.end({ bytes })
    })
  }

  #numbers(warm: Warm, references: readonly Kept[]): Uint8Array {
    if (references === warm.elements) return warm.slots
    const { isolate, known } = warm
    const slots = new Uint8Array(references.length * 4)
    const view = new DataView(slots.buffer)
    for (const [i, { slot, version, bytes }] of references.entries()) {
      view.setUint32(i * 4, slot, true)
      if (known.get(slot) === version) continue
      isolate.keepHere(slot, bytes())
      known.set(slot, version)
    }
    warm.elements = references
    warm.slots = slots
    return slots
  }

  #posted(running: Running, type: number, id: number, b: number, c: number, _d: number, flags: number, words: string, bytes: Uint8Array | undefined): void {
    if (running.ended || id !== running.id) return
    switch (type) {
      case FROM_LANE.result: return running.end({ bytes: bytes as Uint8Array })
      case FROM_LANE.console: return running.hooks.console(readConsole(flags, words, c - 1))
      case POST_TIMER: return void this.#options.clock.after(c, () => this.#ring(running, b))
      case FROM_LANE.call: return flags === PLAIN_CALLS ? eachCall(words, (number, element, text) => this.#call(running, number, element, text, NO_ARGUMENTS)) : flags === STANDING_CALLS ? this.#standing(running, words) : this.#call(running, b, c - 1, words, bytes as Uint8Array)
    }
  }

  #ring(running: Running, timer: number): void {
    if (running.ended) return
    this.#visit(running, () => {
      running.warm.isolate.timerHere(running.warm.plan.cpuTimeMs, timer)
    })
  }

  #standing(running: Running, words: string): void {
    for (const [kind, verb, calls] of JSON.parse(words) as [string, string, number][]) running.hooks.known?.answered(kind, verb, calls)
  }

  #call(running: Running, number: number, element: number, words: string, args: Uint8Array): void {
    const { hooks, warm } = running
    const { target, verb, waiting } = this.#names.of(words)
    const call: HostCall = { target, verb, args, element: element >= 0 ? element : waiting }
    running.hostCalls++
    const known = hooks.known?.answer(call)
    if (known !== undefined) {
      running.asOf ??= hooks.known?.revision()
      const before = warm.known.get(known.slot)
      if (before === known.version) {
        running.known.push(number, known.slot)
        return this.#answer(running, [])
      }
      warm.known.set(known.slot, known.version)
      const changes = before === undefined ? undefined : known.changes?.(before)
      return this.#answer(running, [number, true, exact(changes ?? known.bytes()), String(changes === undefined ? known.slot : -known.slot)])
    }
    // Handles show what was assigned to them from now on.
    if (call.verb === 'patch') { warm.known.clear(); warm.elements = []; warm.revision = undefined }
    const answer = args.byteLength > LIMITS.hostCallBytesMax
      ? Promise.reject(FUNCTIONS.SANDBOX_HOST_CALL_BYTES({ verb: call.verb, bytes: args.byteLength, bytesMax: LIMITS.hostCallBytesMax }))
      : hooks.hostCall(call, running.calls.signal)
    answer.then(
      (bytes) => this.#answer(running, [number, true, exact(bytes), '']),
      (error: unknown) => this.#answer(running, [number, false, undefined, utf8.decode(errorText(callError(error)))]))
  }

  /** Answers of one turn are given together. */
  #answer(running: Running, answer: readonly unknown[]): void {
    if (running.ended) return undelivered(running.warm, answer)
    running.answers.push(...answer)
    if (running.answering) return
    running.answering = true
    queueMicrotask(() => {
      running.answering = false
      const { answers, known, asOf, warm: { isolate, plan } } = running
      running.answers = []
      running.known = []
      running.asOf = undefined
      if (running.ended) return undelivered(running.warm, answers)
      this.#visit(running, () => {
        if (answers.length > 0) isolate.answerHere(plan.cpuTimeMs, answers)
        if (known.length > 0 && !running.ended) isolate.knownHere(plan.cpuTimeMs, known)
      })
      // What was given was known before something changed: it stands no longer than this visit.
      if (asOf !== undefined && asOf !== running.warm.revision) running.warm.revision = undefined
    })
  }

  #expire(running: Running, timeoutMs: number): void {
    if (running.ended) return
    this.#visit(running, () => {
      const bytes = running.warm.isolate.expireHere(running.id, timeoutMs)
      if (bytes !== undefined) running.end({ bytes })
    })
    this.#break(running, { status: 'timeout', error: FUNCTIONS.SANDBOX_TIMEOUT({ timeoutMs }), mayHaveRun: true })
  }
}

/** What the isolate was to keep has not reached it. */
function undelivered({ known }: Warm, answers: readonly unknown[]): void {
  for (let i = 0; i < answers.length; i += 4) if (answers[i + 1] === true && answers[i + 3] !== '') known.delete(Math.abs(Number(answers[i + 3])))
}

/** A view on a larger buffer would take all of it along. */
const exact = (bytes: Uint8Array): Uint8Array => (bytes.byteLength === bytes.buffer.byteLength && !Buffer.isBuffer(bytes) ? bytes : Uint8Array.from(bytes))

export async function createVirtualSandbox(options: VirtualSandboxOptions): Promise<VirtualSandbox> {
  const { prelude } = await cellScripts(options.cacheDirectory)
  return new InProcessSandbox(options, readFileSync(prelude, 'utf8'))
}
