// Relay side of a map: the node a caller is connected to. Plans with the pure core (run-core.ts),
// opens one execute session per node that gets work, forwards code on demand, streams runs back.
//
//   caller --functions.run--> Relay --RunCore--> sessions: this node (direct) | other nodes (functions.execute)

import { errorCode, fromErrorRecord, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Hash, NodeId } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord, ResultRun } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import type { ExecuteSession, ExecuteSink } from './executor.ts'
import type { RelayOptions, RunCaller, SessionShape } from './relay-contract.ts'
import { PartialFold } from './partial-fold.ts'
import { RunCore } from './run-core.ts'
import type { Action } from './run-core.ts'
import { rangeCount } from './wire.ts'
import type { RunRequest, RunSpec } from './wire.ts'

export type { RelayOptions, RunCaller, SessionShape }

interface Seat { session: ExecuteSession | Promise<ExecuteSession>; open: ExecuteSession | undefined }

export class Run {
  readonly finished: Promise<void>
  readonly #options: RelayOptions
  readonly #request: RunRequest
  readonly #authority: Authority
  readonly #caller: RunCaller
  readonly #core: RunCore
  readonly #seats = new Map<NodeId, Seat>()
  readonly #blobs = new Map<Hash, PromiseWithResolvers<Uint8Array>>()
  readonly #rateKey: string
  readonly #fold: PartialFold | undefined
  readonly #done = Promise.withResolvers<void>()
  readonly #deadlineMs: number
  #sending: Promise<void> = Promise.resolve()
  /** Result bytes taken from nodes and not yet taken by the caller. */
  #unsentBytes = 0
  /** Nodes that get one chunk and no second try. */
  readonly #oneChunk = new Set<NodeId>()
  #unsubscribe: () => void = () => {}
  #closed = false
  #used = 0

  constructor(options: RelayOptions, request: RunRequest, authority: Authority, caller: RunCaller) {
    this.#options = options
    this.#request = request
    this.#authority = authority
    this.#caller = caller
    this.#deadlineMs = options.clock.nowMs() + request.limits.timeoutMs
    this.finished = this.#done.promise
    // Functions of one bundle are one program: their names tell them apart.
    this.#rateKey = [...request.stages.map((stage) => (request.nested === undefined ? stage.code : `${stage.code}:${stage.name}`)), 'code' in request.terminal ? request.terminal.code : request.terminal.verb].join()
    const onMachines = request.source.type === 'kind' || request.source.type === 'references'
    this.#core = new RunCore({
      retries: request.retries ?? (onMachines ? 0 : LIMITS.chunkReschedulesMax),
      random: options.random,
      rate: options.rates.get(this.#rateKey),
      stopsEarly: ['some', 'every', 'find'].includes(request.terminal.verb),
      nameOf: options.nameOf,
    })
    this.#fold = request.terminal.verb === 'reduce' || request.terminal.verb === 'fold'
      ? new PartialFold(request.terminal, (spec, input, sink) => this.#combine(spec, input, sink))
      : undefined
  }

  /** Nested calls that the elements caused. Of a node that was lost nobody knows: it counts with all that its elements had. */
  get used(): number { return this.#used }

  async start(): Promise<void> {
    const { source } = this.#request
    this.#unsubscribe = this.#options.onMemberGone((id) => this.#nodeLost(id, FUNCTIONS.NODE_GONE({ node: this.#options.nameOf(id), why: 'it was declared dead by the fabric' })))
    this.#authority.signal.addEventListener('abort', () => this.#aborted(), { once: true })
    if (this.#authority.signal.aborted) return this.#aborted()
    const now = this.#options.clock.nowMs()
    if (source.type === 'kind' || source.type === 'references') {
      const { capabilities } = this.#options
      const references: readonly ReferenceRecord[] = source.type === 'references' ? capabilities.settle?.(source.references) ?? source.references : await capabilities.resolve(source.kind, this.#authority, 'names')
      for (const reference of references) this.#core.addNode(reference.home, 0)
      this.#caller.total(references.length)
      if (this.#core.options.retries === 0) for (const node of onlyOnce(references)) this.#oneChunk.add(node)
      this.#act(this.#core.startReferences(references, now))
      return
    }
    for (const node of this.#options.nodes()) this.#core.addNode(node.id, node.load)
    if (source.type === 'range') {
      const count = rangeCount(source.from, source.to, source.step)
      this.#caller.total(count)
      this.#act(this.#core.startRange(source.from, source.step, count, now))
    } else this.#act(this.#core.startItems(now))
  }

  items(from: number, count: number, bytes: Uint8Array): void { this.#act(this.#core.items(from, count, bytes, this.#options.clock.nowMs())) }
  inputEnded(): void { this.#act(this.#core.inputEnded(this.#options.clock.nowMs())) }

  /** The caller delivered code or captured values. */
  blob(hash: Hash, bytes: Uint8Array): void {
    const waiting = this.#blobs.get(hash)
    if (waiting === undefined) return
    this.#options.blobs.put(hash, bytes, 'the caller')
    waiting.resolve(bytes)
  }

  /** Ends the run and everything it started; safe to call twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unsubscribe()
    for (const seat of this.#seats.values()) {
      if (seat.open !== undefined) seat.open.close()
      else void Promise.resolve(seat.session).then((session) => session.close(), () => {})
    }
    this.#seats.clear()
    if (this.#blobs.size > 0) for (const waiting of this.#blobs.values()) waiting.reject(FUNCTIONS.RUN_CANCELLED({}))
    this.#blobs.clear()
    if (this.#core.rate !== undefined) this.#options.rates.set(this.#rateKey, this.#core.rate)
  }

  // ------------------------------------------------------------------ inside

  /** The limits with the time that is left, as sent to a node. */
  #limitsNow(): RunSpec['limits'] {
    return { ...this.#request.limits, timeoutMs: Math.max(1, Math.round(this.#deadlineMs - this.#options.clock.nowMs())) }
  }

  #aborted(): void {
    const reason: unknown = this.#authority.signal.reason
    const timedOut = errorCode(reason)?.includes('DEADLINE') === true || errorCode(reason)?.includes('TIMEOUT') === true
    const error = timedOut ? FUNCTIONS.RUN_TIMEOUT({ timeoutMs: Math.round(this.#request.limits.timeoutMs) }) : FUNCTIONS.RUN_CANCELLED({})
    this.#act(this.#core.stop(timedOut ? 'timeout' : 'cancelled', toErrorRecord(error, error.code)))
  }

  #act(actions: readonly Action[]): void {
    for (const action of actions) {
      // A run that was closed before its end (its caller broke the rules) starts nothing more.
      if (this.#closed) return
      switch (action.type) {
        case 'dispatch': {
          const { chunk } = action
          this.#withSeat(action.node, (session) => session.chunk(chunk.id, chunk.from, chunk.count, chunk.source))
          break
        }
        case 'cancel': this.#withSeat(action.node, (session) => session.cancel(action.chunk.id)); break
        case 'emit': this.#emit(action.node, action.runs); break
        case 'pull': this.#caller.pull(action.items, action.chunks); break
        // A timer may fire a little before its time; one that came too early would wake nobody.
        case 'retry-after': this.#options.clock.after(action.delayMs + 1, () => this.#act(this.#core.wake(this.#options.clock.nowMs()))); break
        case 'finish': void this.#finish(); break
      }
    }
  }

  async #finish(): Promise<void> {
    try {
      const folded = this.#authority.signal.aborted ? undefined : await this.#fold?.result()
      if (folded !== undefined) this.#send(folded.node, folded.runs)
      await this.#sending
      const { cutShort } = this.#core
      if (cutShort === undefined) this.#done.resolve()
      else this.#done.reject(fromErrorRecord(cutShort))
    } catch (error) {
      this.#done.reject(error)
    } finally {
      this.close()
    }
  }

  #emit(node: NodeId | undefined, runs: readonly ResultRun[]): void {
    if (this.#fold === undefined) return this.#send(node, runs)
    const failures: ResultRun[] = []
    for (const run of runs) {
      if ('failure' in run) { failures.push(run); continue }
      try {
        this.#fold.add(run.from, run.outputs, run.values)
      } catch (error) {
        failures.push({ from: run.from, count: run.count, failure: { status: 'error', error: toErrorRecord(error, FUNCTIONS.BAD_ANSWER.code), mayHaveRun: true } })
      }
    }
    if (failures.length > 0) this.#send(node, failures)
  }

  #send(node: NodeId | undefined, runs: readonly ResultRun[]): void {
    const name = node === undefined ? undefined : this.#options.nameOf(node)
    const size = runs.reduce((sum, run) => sum + ('values' in run ? run.values.byteLength : 0), 0)
    this.#unsentBytes += size
    this.#core.held = this.#unsentBytes > LIMITS.windowBytes
    this.#sending = this.#sending.then(() => this.#caller.runs(node, name, runs)).then(() => this.#sent(size))
    // A caller that went away aborts the authority's signal, which ends the run.
    this.#sending.catch(() => {})
  }

  #sent(size: number): void {
    this.#unsentBytes -= size
    if (!this.#core.held || this.#unsentBytes > LIMITS.windowBytes / 2) return
    this.#core.held = false
    this.#act(this.#core.wake(this.#options.clock.nowMs()))
  }

  #withSeat(node: NodeId, use: (session: ExecuteSession) => void): void {
    if (this.#closed) return
    let seat = this.#seats.get(node)
    if (seat === undefined) {
      seat = this.#openSeat(node)
      this.#seats.set(node, seat)
    }
    if (seat.open !== undefined) return use(seat.open)
    Promise.resolve(seat.session).then(use, (error: unknown) => this.#nodeLost(node, error))
  }

  #openSeat(node: NodeId): Seat {
    const { stages, terminal, inline, nested } = this.#request
    const limits = this.#limitsNow()
    const sink = this.#sink(node)
    const session = this.#options.openSession(node, { stages, terminal, limits, inline, nested }, this.#authority, sink, (error) => this.#nodeLost(node, error), this.#oneChunk.has(node) ? 'one chunk' : 'many chunks')
    const seat: Seat = { session, open: session instanceof Promise ? undefined : session }
    if (session instanceof Promise) session.then((opened) => { seat.open = opened }, () => {})
    return seat
  }

  #sink(node: NodeId): ExecuteSink {
    const now = (): number => this.#options.clock.nowMs()
    return {
      ready: (cores) => { queueMicrotask(() => this.#act(this.#core.nodeReady(node, cores, now()))) },
      need: (hashes) => { for (const hash of hashes) this.#withSeat(node, (session) => { this.#deliver(hash, session) }) },
      done: (id, runs, ms, decided, used) => {
        // A node speaks for the chunks it was given, and for no others.
        if (this.#core.runsOn(id) !== node) return undefined
        this.#used += used
        this.#act(this.#core.chunkDone(id, runs, ms, decided, now()))
        // The node's stream is not read on while the caller is behind: its credit holds it back.
        return this.#core.held ? this.#sending.catch(() => {}) : undefined
      },
      busy: (id) => { if (this.#core.runsOn(id) === node) this.#act(this.#core.chunkBusy(id, now())) },
      console: (line) => this.#caller.console(this.#options.nameOf(node), line.level, line.text, line.fields),
    }
  }

  #deliver(hash: Hash, session: ExecuteSession): void {
    this.#obtain(hash).then((bytes) => session.blob(hash, bytes), () => {})
  }

  /** A blob of this run: from the store, or from the caller, asked once however many nodes lack it. */
  async #obtain(hash: Hash): Promise<Uint8Array> {
    const present = this.#blobs.get(hash)
    if (present !== undefined) return present.promise
    const bytes = this.#options.blobs.peek(hash) ?? await this.#options.blobs.get(hash)
    if (bytes !== undefined) return bytes
    const again = this.#blobs.get(hash)
    if (again !== undefined) return again.promise
    const waiting = Promise.withResolvers<Uint8Array>()
    waiting.promise.catch(() => {})
    this.#blobs.set(hash, waiting)
    this.#caller.need([hash])
    return waiting.promise
  }

  #nodeLost(node: NodeId, error: unknown): void {
    // What it still runs is ended: a member that is held dead may live, or have broken the rules.
    this.#seats.get(node)?.open?.close()
    if (this.#request.nested !== undefined) this.#used = Infinity
    this.#seats.delete(node)
    const name = this.#options.nameOf(node)
    const notStarted = (error as { outcome?: string }).outcome === 'not-started'
    const record = toErrorRecord(error, FUNCTIONS.NODE_GONE.code)
    const told = FUNCTIONS.NODE_GONE({ node: name, why: record.message }, { cause: error, ...(notStarted ? { outcome: 'not-started' as const } : {}) })
    this.#act(this.#core.nodeGone(node, toErrorRecord(told, told.code), this.#options.clock.nowMs()))
  }

  /** Runs the reduce operator over partial results, in this node's own sandbox. */
  async #combine(spec: Pick<RunSpec, 'stages' | 'terminal'>, input: { readonly count: number; readonly bytes: Uint8Array }, sink: (runs: readonly ResultRun[]) => void): Promise<void> {
    const { self } = this.#options
    const done = Promise.withResolvers<void>()
    let session: ExecuteSession | undefined
    const opened = await this.#options.openSession(self, { ...spec, limits: this.#limitsNow(), inline: this.#request.inline, nested: this.#request.nested }, this.#authority, {
      ready: () => {},
      need: (hashes) => { queueMicrotask(() => { for (const hash of hashes) this.#deliver(hash, session!) }) },
      done: (_id, runs, _ms, _decided, used) => { this.#used += used; sink(runs); done.resolve() },
      busy: () => { this.#options.clock.after(COMBINE_RETRY_MS, () => session?.chunk(0, 0, input.count, { type: 'items', bytes: input.bytes })) },
      console: (line) => this.#caller.console(this.#options.nameOf(self), line.level, line.text, line.fields),
    }, (error) => done.reject(error), 'many chunks')
    session = opened
    const { signal } = this.#authority
    const aborted = (): void => done.reject(signal.reason)
    signal.addEventListener('abort', aborted)
    session.chunk(0, 0, input.count, { type: 'items', bytes: input.bytes })
    try {
      await done.promise
    } finally {
      signal.removeEventListener('abort', aborted)
      session.close()
      session = undefined
    }
  }
}

const COMBINE_RETRY_MS = 50

/** Homes whose elements stand together, and so make one chunk. */
function onlyOnce(references: readonly ReferenceRecord[]): Set<NodeId> {
  const once = new Set<NodeId>()
  const seen = new Set<NodeId>()
  references.forEach(({ home }, i) => {
    if (references[i - 1]?.home === home) return
    if (seen.has(home)) once.delete(home)
    else once.add(home)
    seen.add(home)
  })
  return once
}
