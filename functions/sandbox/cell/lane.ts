// A lane: the jobs of one worker thread. isolated-vm runs each isolate on a thread of its own, so this
// thread only moves bytes and keeps time. One job at a time uses the CPU; jobs whose elements all wait for an
// answer step aside (up to jobsPerLaneMax), so an awaiting function occupies nobody.
//
// A plan whose last run was short runs on this thread next time, as do short continuations: that saves two thread hops,
// a third of a warm call. Should it hang this time, its deadline ends it all the same, or the kernel does.
//
// Ends an isolate for CPU time, cancellation and deadlines by dispose(); what dispose() cannot end (spike D)
// stays unanswered here and the kernel, which keeps its own time, kills the process.

import { LIMITS } from '../../../fabric/limits.ts'
import { BLOB_CODE, CANCEL_DEADLINE, depthOf, FAILED_CANCELLED, FAILED_CPU, FAILED_CRASH, FAILED_LINK, FAILED_MEMORY, FROM_LANE, PLAN_FRESH, PLAN_INITIAL, RESULT_TOLD, RUN_PROBE, RUN_RANGE, TO_LANE, type Frame, type FrameFields } from '../frames.ts'
import { POST_TIMER } from '../prelude/timers.ts'
import { BlobStore } from './blob-store.ts'
import type { SandboxIsolate } from './isolate.ts'
import { IsolatePool } from './isolate-pool.ts'

export interface LaneOptions { readonly prelude: string; readonly shapes: string; readonly spares: number; readonly warm: number; readonly send: (fields: FrameFields) => void }

interface Plan { readonly id: number; readonly text: string; readonly hashes: readonly string[]; readonly initial: Uint8Array | undefined; readonly heapLimitMiB: number; readonly cpuTimeMs: number; readonly fresh: boolean; pace: number; answerPace: number }
interface LaneJob { readonly id: number; readonly plan: Plan; readonly deadlineMs: number; frame: Frame; isolate: SandboxIsolate | undefined; cpuStartMs: number; ending: number; onCpu: boolean; begun: boolean; ended: boolean; answers: Frame[]; readonly depth: number }

const REFILL_DELAY_MS = 2
const REFILL_DELAYS_MAX = 20

const text = new TextDecoder()
const utf8 = new TextEncoder()

export class Lane {
  readonly #send: LaneOptions['send']
  readonly #pool: IsolatePool
  readonly #plans = new Map<number, Plan>()
  readonly #blobs = new BlobStore(LIMITS.laneBlobBytes, (hash) => this.#send({ type: FROM_LANE.want, body: utf8.encode(hash) }))
  readonly #jobs = new Map<number, LaneJob>()
  readonly #packages = new Map<number, (found: { readonly ok: boolean; readonly text: string }) => void>()
  #queue: LaneJob[] = []
  #onCpu = 0
  /** Jobs begun and not ended, by depth. */
  readonly #begun: number[] = []
  #lastRequest = 0
  #cpuPoll: NodeJS.Timeout | undefined
  #refill: NodeJS.Timeout | undefined
  #refillDelays = 0

  constructor(options: LaneOptions) {
    this.#send = options.send
    this.#pool = new IsolatePool(options)
  }

  ready(): void { this.#pool.refill() }

  receive(frame: Frame): void {
    switch (frame.type) {
      case TO_LANE.run: return this.#accept(frame)
      case TO_LANE.answer: return this.#answer(frame)
      case TO_LANE.cancel: return this.#cancel(frame)
      case TO_LANE.plan: return this.#addPlan(frame)
      case TO_LANE.blob: {
        const hash = text.decode(frame.body.subarray(0, 64))
        return this.#blobs.add(hash, frame.flags === BLOB_CODE ? text.decode(frame.body.subarray(64)) : frame.body.slice(64))
      }
      case TO_LANE.package: {
        const deliver = this.#packages.get(frame.b)
        this.#packages.delete(frame.b)
        return deliver?.({ ok: frame.flags === 1, text: text.decode(frame.body) })
      }
    }
  }

  #addPlan(frame: Frame): void {
    if (frame.b !== 0) {
      this.#plans.delete(frame.b)
      this.#pool.forget(frame.b)
    }
    const planText = text.decode(frame.body.subarray(0, frame.c))
    const { stages, terminal } = JSON.parse(planText) as { stages: { code: string; environment: string }[]; terminal: { code?: string; environment?: string } }
    const hashes = new Set<string>()
    for (const { code, environment } of [...stages, terminal]) {
      if (code !== undefined) hashes.add(code)
      if (environment !== undefined && environment !== '') hashes.add(environment)
    }
    this.#plans.set(frame.id, {
      id: frame.id, text: planText, hashes: [...hashes], heapLimitMiB: frame.x, cpuTimeMs: frame.y,
      initial: (frame.flags & PLAN_INITIAL) === 0 ? undefined : frame.body.slice(frame.c), fresh: (frame.flags & PLAN_FRESH) !== 0, pace: Infinity, answerPace: Infinity,
    })
  }

  #accept(frame: Frame): void {
    const plan = this.#plans.get(frame.b)
    if (plan === undefined) throw new Error('The kernel sent a run before its plan')
    const job: LaneJob = { id: frame.id, plan, deadlineMs: performance.now() + frame.w, frame, isolate: undefined, cpuStartMs: 0, ending: 0, onCpu: false, begun: false, ended: false, answers: [], depth: depthOf(frame.flags) }
    this.#jobs.set(job.id, job)
    if (this.#queue.length === 0 && this.#mayStart(job)) return void this.#start(job)
    this.#queue.push(job)
    this.#next()
  }

  /** Each depth has places of its own: runs wait for deeper ones, never the other way round, so the deepest always get on. */
  #mayStart({ depth, plan }: LaneJob): boolean {
    const begun = this.#begun[depth] ?? 0
    if (this.#onCpu > 0 || begun >= LIMITS.jobsPerLaneMax) return false
    // Some of each depth get on however crowded it is: nobody waits for ever, and a lane is not idle for one that waits.
    return begun < LIMITS.crowdedJobsPerLane || this.#pool.has(plan.id) || !this.#pool.crowded || this.#pool.yield()
  }

  #next(): void {
    while (this.#onCpu === 0) {
      const at = this.#queue.findIndex((job) => this.#mayStart(job))
      if (at < 0) return
      void this.#start(this.#queue.splice(at, 1)[0] as LaneJob)
    }
  }

  #leaveCpu(job: LaneJob): void {
    // One that had stepped aside held a place all the same.
    if (!job.onCpu) return this.#next()
    job.onCpu = false
    this.#onCpu--
    this.#next()
    if (this.#pool.short) this.#refill ??= setTimeout(() => this.#refillSpares(), REFILL_DELAY_MS)
  }

  /** Making a spare blocks this thread: it waits for a moment without a job on the CPU, but not for ever. */
  #refillSpares(): void {
    this.#refill = undefined
    if (this.#onCpu > 0 && this.#refillDelays++ < REFILL_DELAYS_MAX) {
      this.#refill = setTimeout(() => this.#refillSpares(), REFILL_DELAY_MS)
      return
    }
    this.#refillDelays = 0
    this.#pool.refill()
  }

  async #start(job: LaneJob): Promise<void> {
    job.onCpu = true
    job.begun = true
    this.#onCpu++
    this.#begun[job.depth] = (this.#begun[job.depth] ?? 0) + 1
    this.#cpuPoll ??= setInterval(() => this.#pollCpu(), LIMITS.cpuPollMs)
    try {
      const isolate = this.#pool.warm(job.plan.id) ?? await this.#link(job)
      if (job.ended) return this.#pool.drop(isolate)
      job.isolate = isolate
      if (job.ending !== 0) isolate.dispose()
      job.cpuStartMs = isolate.cpuMs
      isolate.hooks = { post: (...args) => this.#posted(job, ...args), announce: (_id, element) => this.#send({ type: FROM_LANE.progress, id: job.id, c: element }), catastrophe: () => this.#send({ type: FROM_LANE.catastrophe }) }
      const { x, y, z, c, d, flags, body } = job.frame
      const items = (flags & RUN_RANGE) !== 0 ? undefined : body
      const startMs = performance.now()
      const here = job.plan.pace * c < LIMITS.runHereMs && (flags & RUN_PROBE) === 0
      const bytes = here
        ? isolate.runHere(this.#blockMs(job), job.id, x, d, c, y, z, flags, items)
        : await isolate.run(job.id, x, d, c, y, z, flags, items)
      job.plan.pace = (performance.now() - startMs) / Math.max(1, c)
      job.frame = { ...job.frame, body: new Uint8Array(0) }
      // What an isolate posts while it runs on this very thread comes after its answer.
      if (here && bytes !== undefined && ((bytes[0] ?? 0) & RESULT_TOLD) !== 0) await isolate.ping()
      if (bytes === undefined) this.#leaveCpu(job)
      else this.#finish(job, bytes)
    } catch (error) {
      this.#failed(job, error)
    }
  }

  /** Longest that a call on this thread may take: until the deadline, and a little more so that the kernel sees it first. */
  #blockMs(job: LaneJob): number {
    return Math.max(1, Math.ceil(Math.min(job.deadlineMs - performance.now() + LIMITS.killGraceMs / 8, job.plan.cpuTimeMs)))
  }

  /** A spare isolate with the plan loaded; packages that it names are fetched on the way. */
  async #link(job: LaneJob): Promise<SandboxIsolate> {
    const { plan } = job
    const isolate = this.#pool.take(plan.heapLimitMiB)
    job.isolate = isolate
    const blobs: (string | Uint8Array)[] = []
    for (const hash of plan.hashes) blobs.push(hash, this.#blobs.get(hash) ?? await this.#blobs.wait(hash))
    for (;;) {
      const answer = await isolate.load(plan.text, plan.initial, blobs)
      if (answer === '') return isolate
      if (answer.startsWith('E')) throw new LinkFailure(answer.slice(1))
      const request = answer.slice(1)
      const [specifier = '', name = '', version = ''] = JSON.parse(request) as string[]
      const found = await this.#askPackage(JSON.stringify({ specifier, name, version }))
      if (!found.ok) throw new LinkFailure(found.text)
      await isolate.addPackage(request, found.text, `${name}@${version}`)
    }
  }

  #askPackage(request: string): Promise<{ readonly ok: boolean; readonly text: string }> {
    const id = ++this.#lastRequest
    return new Promise((resolve) => {
      this.#packages.set(id, resolve)
      this.#send({ type: FROM_LANE.package, b: id, body: utf8.encode(request) })
    })
  }

  #posted(job: LaneJob, type: number, id: number, b: number, c: number, d: number, flags: number, words: string, bytes: Uint8Array | undefined): void {
    if (job.ended || id !== job.id) return
    if (type === FROM_LANE.result) return this.#finish(job, bytes as Uint8Array)
    if (type === POST_TIMER) {
      setTimeout(() => { if (!job.ended) job.isolate?.timer(b) }, c)
      return
    }
    const head = utf8.encode(words)
    if (bytes === undefined) return this.#send({ type, flags, id, b, c, d, body: head })
    const body = new Uint8Array(4 + head.byteLength + bytes.byteLength)
    new DataView(body.buffer).setUint32(0, head.byteLength, true)
    body.set(head, 4)
    body.set(bytes, 4 + head.byteLength)
    this.#send({ type, flags, id, b, c, d, body })
  }

  /** Answers that came together are given together: each visit to an isolate costs more than a small answer. */
  #answer(frame: Frame): void {
    const job = this.#jobs.get(frame.id)
    if (job?.isolate === undefined) return
    if (job.answers.push(frame) === 1) queueMicrotask(() => this.#giveAnswers(job))
  }

  #giveAnswers(job: LaneJob): void {
    const { plan, isolate, answers } = job
    job.answers = []
    if (job.ended || isolate === undefined) return
    const given = answers.flatMap(({ b, flags, body }) => (flags === 1 ? [b, true, body, ''] : [b, false, undefined, text.decode(body)]))
    const startMs = performance.now()
    const paced = (): void => { plan.answerPace = (performance.now() - startMs) / answers.length }
    if (plan.answerPace * answers.length < LIMITS.runHereMs && !job.onCpu) {
      try {
        isolate.answerHere(this.#blockMs(job), given)
      } catch (error) {
        return this.#failed(job, error)
      }
      paced()
    } else isolate.answer(given).then(paced, (error: unknown) => this.#failed(job, error))
  }

  #end(job: LaneJob): number {
    job.ended = true
    this.#jobs.delete(job.id)
    if (job.begun) this.#begun[job.depth] = (this.#begun[job.depth] ?? 1) - 1
    const cpuMs = job.isolate === undefined ? 0 : job.isolate.cpuMs - job.cpuStartMs
    if (this.#jobs.size === 0 && this.#cpuPoll !== undefined) {
      clearInterval(this.#cpuPoll)
      this.#cpuPoll = undefined
    }
    return cpuMs
  }

  #finish(job: LaneJob, bytes: Uint8Array): void {
    if (job.ended) return
    const cpuMs = this.#end(job)
    this.#send({ type: FROM_LANE.result, id: job.id, x: cpuMs, body: bytes })
    const isolate = job.isolate as SandboxIsolate
    if (job.plan.fresh || isolate.disposed) this.#pool.drop(isolate)
    else this.#pool.keep(job.plan.id, isolate)
    this.#leaveCpu(job)
  }

  #failed(job: LaneJob, error: unknown): void {
    if (job.ended) return
    const cpuMs = this.#end(job)
    const message = error instanceof Error ? error.message : String(error)
    const why = job.ending !== 0 ? job.ending
      : error instanceof LinkFailure ? FAILED_LINK
        : message.includes('timed out') ? (cpuMs >= job.plan.cpuTimeMs ? FAILED_CPU : FAILED_CANCELLED)
        : message.includes('memory limit') || message.includes('allocation failed') ? FAILED_MEMORY : FAILED_CRASH
    this.#send({ type: FROM_LANE.failed, id: job.id, flags: why, x: cpuMs, body: utf8.encode(message.slice(0, 8_192)) })
    if (job.isolate !== undefined) this.#pool.drop(job.isolate)
    this.#leaveCpu(job)
  }

  #cancel(frame: Frame): void {
    const job = this.#jobs.get(frame.id)
    if (job === undefined) return
    const waiting = this.#queue.indexOf(job)
    if (waiting >= 0) {
      this.#queue.splice(waiting, 1)
      job.ending = FAILED_CANCELLED
      return this.#failed(job, undefined)
    }
    const { isolate } = job
    if (frame.flags === CANCEL_DEADLINE && isolate !== undefined) {
      isolate.expire(job.id, frame.x).then((bytes) => { if (bytes !== undefined) this.#finish(job, bytes) }, (error: unknown) => this.#failed(job, error))
      setTimeout(() => this.#dispose(job), LIMITS.flushGraceMs)
    } else this.#dispose(job)
  }

  #dispose(job: LaneJob, why: number = FAILED_CANCELLED): void {
    if (job.ended) return
    job.ending = why
    const { isolate } = job
    if (isolate === undefined) return this.#failed(job, undefined)
    // A waiting job has no call under way that would be rejected: this one is, once the isolate is at rest.
    if (!job.onCpu) isolate.ping().then(() => {}, (error: unknown) => this.#failed(job, error))
    isolate.dispose()
  }

  #pollCpu(): void {
    for (const job of this.#jobs.values()) {
      if (job.isolate !== undefined && job.ending === 0 && job.isolate.cpuMs - job.cpuStartMs > job.plan.cpuTimeMs) this.#dispose(job, FAILED_CPU)
    }
  }
}

/** The message is an error record as text. */
class LinkFailure extends Error {}
