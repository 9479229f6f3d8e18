// Target side of a map: takes chunks of a run, gives them to the sandbox cell of the run's principal,
// hands the answers back. Sits between the wire (service.ts) or the relay on the same node, and
// functions/sandbox. User code and user values pass through as bytes.
//
// Invariant: every chunk taken is answered once: done, or busy (nothing ran).

import { assert, errorCode, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Clock, ErrorRecord, Hash } from '../../fabric/base.ts'
import type { Authority, Capabilities, ChunkInput, ConsoleLine, Job, JobHooks, ReferenceRecord, ResultRun, Sandbox } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { cellPrincipal } from '../principal.ts'
import { encodeValue, joinArrays } from '../value/mod.ts'
import { REFERENCE } from '../contract.ts'
import { CallBudget } from './call-budget.ts'
import type { ChunkSource } from './chunk.ts'
import type { HostCaller, HostCalls } from './host-calls.ts'
import { blobsOf } from './wire.ts'
import type { RunSpec } from './wire.ts'

/** Content-addressed bytes of this node (fabric/blob). */
export interface Blobs {
  /** From memory only, at once. */
  peek(hash: Hash): Uint8Array | undefined
  get(hash: Hash): Promise<Uint8Array | undefined>
  /** Verifies the hash; throws a coded error when the bytes are others. */
  put(hash: Hash, bytes: Uint8Array, from?: string): void
}

export interface ExecutorOptions {
  readonly sandbox: Sandbox
  readonly blobs: Blobs
  readonly capabilities: Capabilities
  readonly cores: number
  readonly clock: Clock
  readonly hostCalls: HostCalls
  /** How current references become elements where they need not be bytes (simulation); undefined: as bytes. */
  referenceInput?(references: readonly ReferenceRecord[]): ChunkInput | undefined
}

/** Where a session's answers go. */
export interface ExecuteSink {
  ready(cores: number): void
  need(hashes: readonly Hash[]): void
  /** May answer a promise: the other side is behind, bring nothing more until it settles. */
  /** `used`: nested calls that its elements caused. */
  done(chunkId: number, runs: readonly ResultRun[], ms: number, decided: boolean, used: number): void | Promise<void>
  busy(chunkId: number): void
  console(line: ConsoleLine): void
}

/** One run on one node. */
export interface ExecuteSession {
  blob(hash: Hash, bytes: Uint8Array): void
  chunk(id: number, from: number, count: number, source: ChunkSource): void
  cancel(id: number): void
  /** Ends everything that still runs. */
  close(): void
}

interface ChunkAnswer { readonly runs: readonly ResultRun[]; readonly decided: boolean; readonly costMs: number; readonly used: number }

/** Codes with which a sandbox says "not now": nothing ran, another node or moment may do. */
const BUSY_CODES: ReadonlySet<string> = new Set([FUNCTIONS.SANDBOX_BUSY.code, FUNCTIONS.SANDBOX_FULL.code])

export class Executor {
  readonly #options: ExecutorOptions
  constructor(options: ExecutorOptions) { this.#options = options }

  open(spec: RunSpec, authority: Authority, sink: ExecuteSink): ExecuteSession {
    return new Session(this.#options, spec, authority, sink)
  }
}

class Session implements ExecuteSession {
  readonly #options: ExecutorOptions
  readonly #spec: RunSpec
  readonly #authority: Authority
  readonly #sink: ExecuteSink
  readonly #blobs = new Map<Hash, Uint8Array>()
  readonly #missing = new Map<Hash, PromiseWithResolvers<void>>()
  readonly #chunks = new Map<number, AbortController>()
  #told = false
  readonly #deadlineMs: number
  #code: true | Promise<void> | undefined

  constructor(options: ExecutorOptions, spec: RunSpec, authority: Authority, sink: ExecuteSink) {
    this.#options = options
    this.#spec = spec
    this.#authority = authority
    this.#sink = sink
    this.#deadlineMs = options.clock.nowMs() + spec.limits.timeoutMs
    for (const [hash, bytes] of Object.entries(spec.inline)) this.#blobs.set(hash, bytes)
    authority.signal.addEventListener('abort', () => this.close(), { once: true })
  }

  blob(hash: Hash, bytes: Uint8Array): void {
    const waiting = this.#missing.get(hash)
    if (waiting === undefined) return
    this.#missing.delete(hash)
    try {
      this.#options.blobs.put(hash, bytes)
      this.#blobs.set(hash, bytes)
      waiting.resolve()
    } catch (error) {
      waiting.reject(error)
    }
  }

  chunk(id: number, from: number, count: number, source: ChunkSource): void {
    const control = new AbortController()
    const { signal } = control
    this.#chunks.set(id, control)
    if (this.#authority.signal.aborted) control.abort(this.#authority.signal.reason)
    // Data is shared out by cores; a machine's own elements come as one chunk, whatever it has.
    if (!this.#told && source.type !== 'references') this.#sink.ready(this.#options.cores)
    this.#told = true
    this.#run(from, count, source, signal).then(
      ({ runs, decided, costMs, used }) => { if (this.#chunks.delete(id)) void this.#sink.done(id, fitting(runs), costMs, decided, used) },
      (error: unknown) => {
        if (!this.#chunks.delete(id)) return
        if (BUSY_CODES.has(errorCode(error) ?? '')) this.#sink.busy(id)
        else this.#sink.done(id, [{ from, count, failure: { status: signal.aborted ? 'cancelled' : 'error', error: toErrorRecord(error, FUNCTIONS.INTERNAL.code), mayHaveRun: false } }], 0, false, 0)
      })
  }

  cancel(id: number): void {
    const control = this.#chunks.get(id)
    this.#chunks.delete(id)
    control?.abort(FUNCTIONS.RUN_CANCELLED({}))
  }

  close(): void {
    if (this.#chunks.size === 0 && this.#missing.size === 0) return
    const reason = FUNCTIONS.RUN_CANCELLED({})
    for (const control of this.#chunks.values()) control.abort(reason)
    this.#chunks.clear()
    for (const waiting of this.#missing.values()) waiting.reject(reason)
    this.#missing.clear()
  }

  async #run(from: number, count: number, source: ChunkSource, signal: AbortSignal): Promise<ChunkAnswer> {
    if (this.#code !== true) {
      this.#code ??= this.#loadCode().then(() => { this.#code = true })
      await this.#code
    }
    switch (source.type) {
      case 'range': return this.#job(from, { type: 'range', count, start: source.start, step: source.step }, signal)
      case 'items': return this.#job(from, { type: 'items', count, bytes: source.bytes }, signal)
      case 'references': return this.#references(from, source.references, signal)
    }
  }

  /** Has every blob of the spec in memory, asking the other side once for what this node lacks. */
  async #loadCode(): Promise<void> {
    const missing: Hash[] = []
    for (const hash of blobsOf(this.#spec)) {
      if (this.#blobs.has(hash)) continue
      const bytes = this.#options.blobs.peek(hash) ?? await this.#options.blobs.get(hash)
      if (bytes === undefined) missing.push(hash)
      else this.#blobs.set(hash, bytes)
    }
    if (missing.length === 0) return
    const arrivals = missing.map((hash) => {
      const waiting = Promise.withResolvers<void>()
      this.#missing.set(hash, waiting)
      return waiting.promise
    })
    this.#sink.need(missing)
    await Promise.all(arrivals)
  }

  /** References become current ones; one that is gone fails alone. */
  async #references(from: number, references: readonly ReferenceRecord[], signal: AbortSignal): Promise<ChunkAnswer> {
    const fresh = await this.#options.capabilities.refresh(references, this.#authority)
    assert(fresh.length === references.length, 'refresh answers for each reference')
    const runs: ResultRun[] = []
    let decided = false
    let costMs = 0
    let used = 0
    for (let i = 0; i < fresh.length;) {
      const entry = fresh[i]!
      if ('error' in entry) {
        runs.push({ from: from + i, count: 1, failure: { status: 'unreachable', error: entry.error as ErrorRecord, mayHaveRun: false } })
        i++
        continue
      }
      let to = i
      for (let next = fresh[to]; next !== undefined && !('error' in next); next = fresh[++to]) { /* as many as are there in a row */ }
      const alive = fresh.slice(i, to) as readonly ReferenceRecord[]
      const done = await this.#job(from + i, this.#options.referenceInput?.(alive) ?? encodedInput(alive), signal)
      runs.push(...done.runs)
      decided ||= done.decided
      costMs += done.costMs
      used += done.used
      i = to
    }
    return { runs, decided, costMs, used }
  }

  async #job(baseIndex: number, input: ChunkInput, signal: AbortSignal): Promise<ChunkAnswer> {
    const { nested } = this.#spec
    const job: Job = {
      principal: cellPrincipal(this.#authority.principal),
      trace: this.#authority.trace,
      stages: this.#spec.stages,
      terminal: this.#spec.terminal,
      input, baseIndex,
      limits: { ...this.#spec.limits, timeoutMs: this.#remainingMs() },
      ...(nested === undefined ? {} : { depth: nested.depth }),
      blob: (hash) => this.#blobs.get(hash) ?? raiseMissing(hash),
    }
    let caller: HostCaller | undefined
    let budget: CallBudget | undefined
    const hooks: JobHooks = {
      hostCall: (call, callSignal) => {
        caller ??= this.#caller(() => budget ??= new CallBudget((nested?.budget ?? LIMITS.callBudget) * input.count))
        return this.#options.hostCalls.answer(call, caller, callSignal)
      },
      console: (line) => this.#sink.console(line),
    }
    const { runs, decided, cpuMs, wallMs } = await this.#options.sandbox.run(job, hooks, signal)
    // What a chunk costs a lane: its computing, or its share of the waiting that can go on side by side.
    return { runs, decided, costMs: Math.max(cpuMs, wallMs / this.#spec.limits.concurrency), used: budget?.used ?? 0 }
  }

  #remainingMs(): number { return Math.max(1, Math.round(this.#deadlineMs - this.#options.clock.nowMs())) }

  /** What its elements call for; all of them share the account, so a lie about the element gains nothing. */
  #caller(budget: () => CallBudget): HostCaller {
    const { nested, limits, stages, terminal } = this.#spec
    const programs = new Set([...stages.map(({ code }) => code), ...('code' in terminal ? [terminal.code] : [])])
    const code = 'code' in terminal ? terminal.code : stages.at(-1)?.code
    return {
      ...(code === undefined ? {} : { code }),
      authority: this.#authority, limits, budget, depth: nested?.depth ?? 0,
      scope: () => nested?.scope,
      remainingMs: () => this.#remainingMs(),
      program: (hash) => (programs.has(hash) ? this.#blobs.get(hash) : undefined),
      console: (line) => this.#sink.console(line),
    }
  }
}

/** Array of one reference, by record: a machine's record stays the same between two samples of its figures. */
const encodedReferences = new WeakMap<ReferenceRecord, Uint8Array>()

function encodedReference(record: ReferenceRecord): Uint8Array {
  const present = encodedReferences.get(record)
  if (present !== undefined) return present
  const bytes = encodeValue([{ [REFERENCE]: record }])
  encodedReferences.set(record, bytes)
  return bytes
}

function encodedInput(references: readonly ReferenceRecord[]): ChunkInput {
  const encoded = references.map(encodedReference)
  return { type: 'items', count: encoded.length, bytes: encoded.length === 1 ? encoded[0]! : joinArrays(encoded) }
}

/** Results of one chunk travel in one message; what does not fit in fails, named, instead of holding up the rest. */
export function fitting(runs: readonly ResultRun[], bytesMax: number = LIMITS.messageBytesMax - MESSAGE_HEAD_BYTES): readonly ResultRun[] {
  let bytes = 0
  return runs.map((run) => {
    if ('failure' in run) return run
    bytes += run.values.byteLength + (run.counts?.byteLength ?? 0)
    if (bytes <= bytesMax) return run
    bytes -= run.values.byteLength + (run.counts?.byteLength ?? 0)
    const error = FUNCTIONS.RESULTS_TOO_LARGE({ bytes: run.values.byteLength, bytesMax })
    return { from: run.from, count: run.count, failure: { status: 'error', error: toErrorRecord(error, error.code), mayHaveRun: true } }
  })
}

/** Left for everything in the message that is not values. */
const MESSAGE_HEAD_BYTES = 1024 * 1024

function raiseMissing(hash: Hash): never { throw FUNCTIONS.MISSING_BLOB({ hash }) }
