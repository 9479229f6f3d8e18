// Calls of one version on one node: a bounded queue, and the chunks that go to the sandbox.
//
//   arrival --idle--> a chunk of its own, at once
//           --chunks under way on every lane--> gathered; the next free lane takes up to batch-size.ts of them
//           --a chunk takes long--> it no longer counts: what was gathered goes beside it, and what has ended in it is told at once
//
// Invariants: a call is settled once, by its deadline at the latest, whatever its neighbours do; at most `concurrency` run
// and `queue` wait; a call given to the sandbox is never given to it again from here.

import { errorCode, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Clock, ErrorRecord, Timer } from '../../fabric/base.ts'
import type { ConsoleLine, FailureStatus, HostCall, Job, JobResult, ResultRun, RunLimits } from '../contract.ts'
import type { CallAuthority, CallScope } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { CallBudget } from '../plan/call-budget.ts'
import type { HostCaller } from '../plan/host-calls.ts'
import { noBytesHash } from './empty-hash.ts'
import { BatchSize } from './batch-size.ts'
import { encodeInvocations, splitItems } from './items.ts'
import type { InvocationParts } from './items.ts'
import type { RunnerOptions } from './contract.ts'

/** What became of one call, before it is written up as an outcome. */
export type Ended =
  | { readonly status: 'value'; readonly value: Uint8Array }
  | { readonly status: FailureStatus; readonly error: ErrorRecord; readonly mayHaveRun: boolean }
export interface Measured { readonly queuedMs: number; readonly runMs: number; readonly cpuMs: number; readonly cold: boolean; /** Nested calls that it caused. */ readonly nested: number }

/** One call in the queue or in a chunk. */
export interface QueuedCall {
  readonly parts: InvocationParts
  readonly scope: CallScope
  /** On whose behalf its host calls go: the function's own principal. */
  readonly authority: CallAuthority
  readonly deadlineMs: number
  readonly timeoutMs: number
  readonly arrivedMs: number
  settle(ended: Ended, measured: Measured): void
}

interface Chunk { readonly calls: readonly Entry[]; readonly startMs: number; readonly limits: RunLimits; readonly control: AbortController; left: number; young: boolean; readonly cold: boolean }
class Entry {
  readonly call: QueuedCall
  chunk: Chunk | undefined
  timer: Timer | undefined
  settled = false
  budget: CallBudget | undefined
  caller: HostCaller | undefined
  constructor(call: QueuedCall) { this.call = call }
}

export interface VersionRunnerOptions extends Pick<RunnerOptions, 'sandbox' | 'clock' | 'hostCalls' | 'lanes'> {
  readonly name: string
  readonly version: string
  readonly deployerCell: string
  readonly code: Uint8Array
  readonly concurrency: number
  readonly queue: number
  readonly heapLimitMiB: number
  readonly cpuTimeMs: number
  /** A call took its cell along. */
  killed(): void
  console(line: ConsoleLine, scope: CallScope | undefined): void
}

const BUSY: ReadonlySet<string> = new Set([FUNCTIONS.SANDBOX_BUSY.code, FUNCTIONS.SANDBOX_FULL.code])
/** Of a whole chunk; each answer has its own bound below. */
const RESULT_BYTES = LIMITS.payloadBytesMax * 4
const NEVER_RUN: Measured = { queuedMs: 0, runMs: 0, cpuMs: 0, cold: false, nested: 0 }

export class VersionRunner {
  readonly #options: VersionRunnerOptions
  readonly #clock: Clock
  readonly #size = new BatchSize()
  /** From #head on: calls that wait; settled ones are skipped. */
  #waiting: Entry[] = []
  #head = 0
  #queued = 0
  #running = 0
  #young = 0
  readonly #chunks = new Set<Chunk>()
  #flush: Timer | undefined
  /** Clock time until which its cell is taken to be there with an isolate for it. */
  #warmUntilMs = -Infinity
  usedMs = 0

  constructor(options: VersionRunnerOptions) {
    this.#options = options
    this.#clock = options.clock
  }

  get running(): number { return this.#running }
  get queued(): number { return this.#queued }
  get warm(): boolean { return this.#clock.nowMs() < this.#warmUntilMs }
  get idle(): boolean { return this.#running === 0 && this.#queued === 0 }
  get full(): boolean { return this.#running >= this.#options.concurrency && this.#queued >= this.#options.queue }

  /** Takes a call; its `settle` is called once. */
  add(call: QueuedCall): () => void {
    const entry = new Entry(call)
    this.usedMs = call.arrivedMs
    this.#waiting.push(entry)
    this.#queued++
    entry.timer = this.#clock.after(Math.max(0, call.deadlineMs - this.#clock.nowMs()), () => this.#cutOff(entry, 'timeout'))
    this.#pump()
    return () => this.#cutOff(entry, 'cancelled')
  }

  /** The caller's deadline, or the caller, is gone: it is told so, its neighbours go on. */
  #cutOff(entry: Entry, status: 'timeout' | 'cancelled'): void {
    if (entry.settled) return
    const error = status === 'timeout' ? FUNCTIONS.SANDBOX_TIMEOUT({ timeoutMs: Math.round(entry.call.timeoutMs) }) : FUNCTIONS.SANDBOX_CANCELLED({})
    const began = entry.chunk !== undefined
    const { stack: _, ...record } = toErrorRecord(error, error.code)
    this.#settle(entry, { status, error: began ? record : { ...record, outcome: 'not-started' }, mayHaveRun: began })
    // One that hangs may be computing: that is known when the chunk ends, or now.
    if (began && status === 'timeout') this.#size.poisoned()
  }

  #settle(entry: Entry, ended: Ended, cpuMs = 0): void {
    if (entry.settled) return
    entry.settled = true
    entry.timer?.cancel()
    const { chunk, call } = entry
    if (chunk === undefined) {
      this.#queued--
      call.settle(ended, { ...NEVER_RUN, queuedMs: this.#clock.nowMs() - call.arrivedMs })
      return
    }
    call.settle(ended, { queuedMs: chunk.startMs - call.arrivedMs, runMs: this.#clock.nowMs() - chunk.startMs, cpuMs, cold: chunk.cold, nested: entry.budget?.used ?? 0 })
    // Nobody waits for what is left of it; one that has ended by itself is no longer among them.
    if (--chunk.left === 0 && this.#chunks.has(chunk)) chunk.control.abort(FUNCTIONS.RUN_CANCELLED({}))
  }

  #pump(): void {
    while (this.#queued > 0) {
      const room = this.#options.concurrency - this.#running
      if (room <= 0) return
      const size = this.#size.size
      if (size > 1 && this.#young >= this.#options.lanes) {
        this.#flush ??= this.#clock.after(LIMITS.invokeBatchTargetMs, () => this.#aged())
        return
      }
      // Spread over the lanes that are free.
      const share = Math.ceil(this.#queued / Math.max(1, this.#options.lanes - this.#young))
      this.#start(Math.min(size, room, share))
    }
  }

  /** Chunks that are at it for longer than chunks should be hold nobody up. */
  #aged(): void {
    this.#flush = undefined
    const beforeMs = this.#clock.nowMs() - LIMITS.invokeBatchTargetMs / 2
    for (const chunk of this.#chunks) {
      if (!chunk.young || chunk.startMs > beforeMs) continue
      chunk.young = false
      this.#young--
    }
    this.#pump()
  }

  /** Calls of one depth: one that waits for a deeper one must not share its chunk, which ends with its last. */
  #take(count: number): Entry[] {
    const taken: Entry[] = []
    for (; taken.length < count && this.#head < this.#waiting.length; this.#head++) {
      const entry = this.#waiting[this.#head]
      if (entry === undefined || entry.settled) continue
      if (taken[0] !== undefined && taken[0].call.scope.depth !== entry.call.scope.depth) break
      taken.push(entry)
    }
    if (this.#head > 1_024 || this.#head === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    return taken
  }

  #start(count: number): void {
    const entries = this.#take(count)
    if (entries.length === 0) return
    const nowMs = this.#clock.nowMs()
    let timeoutMs = 1
    for (const { call } of entries) timeoutMs = Math.max(timeoutMs, call.deadlineMs - nowMs)
    const { name, version, code, deployerCell, heapLimitMiB, cpuTimeMs } = this.#options
    const limits: RunLimits = {
      timeoutMs, heapLimitMiB, cpuTimeMs, resultBytes: RESULT_BYTES, hostCalls: LIMITS.hostCallsMax, concurrency: LIMITS.invokeBatchMax, fresh: false,
    }
    const chunk: Chunk = { calls: entries, startMs: nowMs, limits, control: new AbortController(), left: entries.length, young: true, cold: !this.warm }
    for (const entry of entries) entry.chunk = chunk
    this.#queued -= entries.length
    this.#running += entries.length
    this.#young++
    this.#chunks.add(chunk)
    const [first] = entries
    const job: Job = {
      principal: deployerCell, trace: first?.call.scope.trace ?? '', baseIndex: 0, terminal: { verb: 'collect' },
      stages: [{ verb: 'map', code: version, environment: noBytesHash, name }],
      input: { type: 'items', count: entries.length, bytes: encodeInvocations(entries.map(({ call }) => call.parts)) },
      limits, blob: () => code, depth: first?.call.scope.depth ?? 0, early: entries.length > 1,
    }
    this.#options.sandbox.run(job, {
      hostCall: (call, signal) => this.#hostCall(chunk, call, signal),
      console: (line) => this.#options.console(line, this.#entry(chunk, line.element)?.call.scope),
      settled: (index, ended) => this.#settleAt(chunk, index, 'failure' in ended ? ended.failure : fitting(ended.values), 0),
    }, chunk.control.signal).then((result) => this.#ended(chunk, result), (error: unknown) => this.#refused(chunk, error))
  }

  /** The call that an element of a chunk is; with one element there is no doubt. */
  #entry(chunk: Chunk, element: number): Entry | undefined { return chunk.calls[element < 0 && chunk.calls.length === 1 ? 0 : element] }

  async #hostCall(chunk: Chunk, call: HostCall, signal: AbortSignal): Promise<Uint8Array> {
    const entry = this.#entry(chunk, call.element)
    if (entry?.settled === true) throw FUNCTIONS.RUN_CANCELLED({})
    const first = chunk.calls[0]
    if (first === undefined) throw FUNCTIONS.RUN_CANCELLED({})
    const caller = entry === undefined ? this.#caller(chunk, first, undefined) : entry.caller ??= this.#caller(chunk, entry, entry)
    return this.#options.hostCalls.answer(call, caller, signal)
  }

  /** All calls of a chunk act for one function and deployer; what is one call's own (its account, its budget) needs the `known` one. */
  #caller(chunk: Chunk, { call }: Entry, known: Entry | undefined): HostCaller {
    const { version, code } = this.#options
    const none = new CallBudget(0)
    return {
      authority: call.authority, limits: chunk.limits, depth: call.scope.depth ?? 0,
      // Only a run acts: a filter, and module code while a version is loaded, run without an epoch, and on any node.
      scope: () => (known?.call.parts.what === 'run' ? known.call.scope : undefined),
      budget: () => (known === undefined ? none : known.budget ??= new CallBudget(known.call.scope.budget)),
      remainingMs: () => Math.max(1, (known === undefined ? chunk.startMs + chunk.limits.timeoutMs : known.call.deadlineMs) - this.#clock.nowMs()),
      program: (hash) => (hash === version ? code : undefined),
      console: (line) => this.#options.console(line, known?.call.scope),
    }
  }

  #leave(chunk: Chunk): void {
    this.#chunks.delete(chunk)
    this.#running -= chunk.calls.length
    if (chunk.young) this.#young--
  }

  #ended(chunk: Chunk, { runs, cpuMs }: JobResult): void {
    this.#leave(chunk)
    const nowMs = this.#clock.nowMs()
    const share = cpuMs / chunk.calls.length
    let killed = false, hung = false
    for (const run of runs) {
      if ('failure' in run) {
        const { status } = run.failure
        killed ||= status === 'crash' || status === 'out-of-memory'
        hung ||= status === 'timeout'
      }
      this.#runEnded(chunk, run, share)
    }
    if (killed || hung) this.#size.poisoned()
    else this.#size.ended(chunk.calls.length, nowMs - chunk.startMs)
    if (killed) {
      this.#warmUntilMs = -Infinity
      this.#options.killed()
    } else this.#warmUntilMs = nowMs + LIMITS.cellIdleMs
    this.#pump()
  }

  #runEnded(chunk: Chunk, run: ResultRun, cpuMs: number): void {
    if ('failure' in run) {
      const { status, error, mayHaveRun } = run.failure
      for (let i = run.from; i < run.from + run.count; i++) this.#settleAt(chunk, i, { status, error, mayHaveRun }, cpuMs)
      return
    }
    let values: readonly Uint8Array[]
    try {
      values = splitItems(run.values, run.count)
    } catch (error) {
      // The cell sent bytes that are no values: its word on none of them counts.
      const record = toErrorRecord(error, FUNCTIONS.VALUE_MALFORMED.code)
      for (let i = run.from; i < run.from + run.count; i++) this.#settleAt(chunk, i, { status: 'error', error: record, mayHaveRun: true }, cpuMs)
      return
    }
    values.forEach((value, i) => this.#settleAt(chunk, run.from + i, fitting(value), cpuMs))
  }

  #settleAt(chunk: Chunk, index: number, ended: Ended, cpuMs: number): void {
    const entry = chunk.calls[index]
    if (entry !== undefined) this.#settle(entry, ended, cpuMs)
  }

  /** The sandbox did not take the chunk: nothing ran. */
  #refused(chunk: Chunk, error: unknown): void {
    this.#leave(chunk)
    const code = errorCode(error)
    const { name, queue } = this.#options
    for (const entry of chunk.calls) {
      const told = BUSY.has(code ?? '') ? FUNCTIONS.FUNCTION_BUSY({ name, node: 'this node', running: this.#running, waiting: Math.min(queue, this.#queued) }, { cause: error })
        : code === FUNCTIONS.SANDBOX_QUARANTINED.code ? FUNCTIONS.FUNCTION_BROKEN({ name, kills: LIMITS.quarantineKills, seconds: LIMITS.quarantineMs / 1_000 }, { cause: error })
          : error
      const record = toErrorRecord(told, FUNCTIONS.INTERNAL.code)
      this.#settle(entry, { status: 'error', error: record, mayHaveRun: record.outcome !== 'not-started' })
    }
    this.#pump()
  }
}

/** One answer within its bound; a chunk as a whole may be larger. */
function fitting(value: Uint8Array): Ended {
  if (value.length <= LIMITS.payloadBytesMax) return { status: 'value', value }
  const error = FUNCTIONS.SANDBOX_RESULT_BYTES({ bytes: value.length, bytesMax: LIMITS.payloadBytesMax })
  const { stack: _, ...record } = toErrorRecord(error, error.code)
  return { status: 'error', error: record, mayHaveRun: true }
}
