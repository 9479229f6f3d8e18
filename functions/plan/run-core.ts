// The heart of a distributed map: a pure state machine that turns a source into chunks, gives chunks
// to nodes, and accounts for every element until each has exactly one outcome. No I/O, no clock, no
// randomness of its own: the relay (relay.ts) feeds it events and carries out its actions; tests feed
// it faults.
//
//   source --chunks--> waiting --dispatch--> running(node) --done--> emitted
//                         ^                      | node gone / busy
//                         +------ again ---------+ (data: bounded; machines: only when asked)
//
// Invariants: an index is emitted once; dispatched - lowest unfinished <= window; after `finish`
// nothing is emitted.

import { assert, LIMITS, shortId, toErrorRecord } from '../../fabric/base.ts'
import type { CodedError, ErrorRecord, NodeId } from '../../fabric/base.ts'
import type { Failure, FailureStatus, ReferenceRecord, ResultRun } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import type { Action, RunCoreOptions } from './actions.ts'
import { covers, RANGE_ITEMS_MAX, RangeRest } from './chunk.ts'
import type { Chunk, ChunkSource } from './chunk.ts'
import { chunkSize, measure } from './chunking.ts'
import type { Rate } from './chunking.ts'
import { HOME_JOBS_MAX, JOBS_PER_CORE, Seats } from './seats.ts'
import type { Seat } from './seats.ts'
import { Waiting } from './waiting.ts'

export type { Action, RunCoreOptions }

const BUSY_BACKOFF_MS = 50
const RETRY_BACKOFF_MS = 200

export class RunCore {
  rate: Rate | undefined
  /** Elements emitted so far. */
  emitted = 0
  failed = 0
  total: number | undefined
  finished = false
  /** Why the run ended with its input not read to the end. */
  cutShort: ErrorRecord | undefined
  /** Nothing new is started while the caller has too much unread; wake() after clearing it. */
  held = false
  readonly options: RunCoreOptions
  readonly #seats: Seats
  readonly #waiting = new Waiting()
  readonly #running = new Map<number, Chunk>()
  #range: RangeRest | undefined
  #inputOpen = false
  #pulled = 0
  #pullsOpen = 0
  #nextId = 0
  #decidedBelow = Infinity

  constructor(options: RunCoreOptions) {
    this.options = options
    this.#seats = new Seats(options.random)
    this.rate = options.rate
  }

  addNode(id: NodeId, load: number): void { this.#seats.add(id, load) }

  /** Elements are start + i * step for i in [0, count). */
  startRange(start: number, step: number, count: number, nowMs: number): Action[] {
    this.#range = new RangeRest(start, step, count)
    this.total = count
    return this.#advance(nowMs)
  }

  /** Elements that live on nodes; one chunk a home. Indices follow the order given. */
  startReferences(references: readonly ReferenceRecord[], nowMs: number): Action[] {
    this.total = references.length
    for (let from = 0; from < references.length;) {
      const home = references[from]!.home
      let to = from + 1
      while (to < references.length && references[to]!.home === home) to++
      this.#enqueue(from, to - from, { type: 'references', references: references.slice(from, to) }, home)
      from = to
    }
    return this.#advance(nowMs)
  }

  /** Elements come from the caller, as pulled. */
  startItems(nowMs: number): Action[] {
    this.#inputOpen = true
    return this.#advance(nowMs)
  }

  /** Throws when the caller sends other than was pulled. */
  items(from: number, count: number, bytes: Uint8Array, nowMs: number): Action[] {
    // What was on its way when the run ended or was decided is nobody's any more.
    if (this.finished || this.#decidedBelow < Infinity) return []
    if (!this.#inputOpen || this.#pullsOpen === 0) throw FUNCTIONS.BAD_MESSAGE({ what: 'items that were not asked for' })
    if (from !== this.#pulled || count === 0) throw FUNCTIONS.BAD_MESSAGE({ what: `items from ${from}, expected some from ${this.#pulled}` })
    this.#pulled += count
    this.#pullsOpen--
    this.#enqueue(from, count, { type: 'items', bytes }, undefined)
    return this.#advance(nowMs)
  }

  inputEnded(nowMs: number): Action[] {
    if (!this.#inputOpen) return []
    this.#inputOpen = false
    this.#pullsOpen = 0
    this.total = this.#pulled
    return this.#advance(nowMs)
  }

  nodeReady(id: NodeId, cores: number, nowMs: number): Action[] {
    this.#seats.setCores(id, cores)
    return this.#advance(nowMs)
  }

  /** The node that is to answer a chunk; undefined when nobody is. */
  runsOn(id: number): NodeId | undefined { return this.#running.get(id)?.node }

  /** A chunk was answered. `runs` must cover it exactly; a node that answers otherwise is not believed. */
  chunkDone(id: number, runs: readonly ResultRun[], ms: number, decided: boolean, nowMs: number): Action[] {
    const chunk = this.#take(id)
    if (chunk === undefined) return []
    if (!covers(runs, chunk.from, chunk.count)) return [this.#emitFailure(chunk, 'error', recordOf(FUNCTIONS.BAD_ANSWER({ node: this.#name(chunk.node) })), true), ...this.#advance(nowMs)]
    let bytes = chunk.source.type === 'items' ? chunk.source.bytes.byteLength : 0
    for (const run of runs) bytes += 'values' in run ? run.values.byteLength : 0
    if (chunk.home === undefined) this.rate = measure(this.rate, chunk.count, ms, bytes)
    const only = runs.length === 1 ? runs[0]! : undefined
    if (only !== undefined && 'failure' in only && only.failure.status === 'unreachable' && this.#mayRetry(chunk)) return [...this.#again(chunk, nowMs), ...this.#advance(nowMs)]
    const actions: Action[] = [this.#emit(chunk, chunk.node, runs)]
    if (decided && this.options.stopsEarly) {
      this.#decidedBelow = Math.min(this.#decidedBelow, chunk.from)
      actions.push(...this.#dropAbove(this.#decidedBelow))
    }
    return [...actions, ...this.#advance(nowMs)]
  }

  /** The node would not take the chunk now; nothing ran. */
  chunkBusy(id: number, nowMs: number): Action[] {
    const chunk = this.#take(id)
    if (chunk === undefined) return []
    const seat = this.#seats.get(chunk.node)
    if (seat !== undefined) seat.busyUntilMs = nowMs + BUSY_BACKOFF_MS
    chunk.node = undefined
    chunk.attempts--
    this.#waiting.pushFront(chunk)
    return [...this.#advance(nowMs), { type: 'retry-after', delayMs: BUSY_BACKOFF_MS }]
  }

  /** A node is gone; what it was running may have run. */
  nodeGone(id: NodeId, error: ErrorRecord, nowMs: number): Action[] {
    const seat = this.#seats.get(id)
    if (seat === undefined || !seat.alive) return []
    const actions: Action[] = []
    const lost = [...this.#running.values()].filter((chunk) => chunk.node === id)
    // A node is told lost more than once (its link, then its membership): a chunk between two attempts counts too.
    const retryHere = this.options.retries > 0 && [...lost, ...this.#waiting.at(id)].some((chunk) => chunk.home === id && this.#mayRetry(chunk))
    seat.alive = retryHere
    if (retryHere) {
      seat.busyUntilMs = nowMs + RETRY_BACKOFF_MS
      actions.push({ type: 'retry-after', delayMs: RETRY_BACKOFF_MS })
    }
    for (const chunk of lost) {
      this.#take(chunk.id)
      if (this.#mayRetry(chunk)) actions.push(...this.#again(chunk, nowMs))
      else actions.push(this.#emitFailure(chunk, 'unreachable', error, error.outcome !== 'not-started'))
    }
    return [...actions, ...this.#advance(nowMs)]
  }

  /** A retry delay has passed. */
  wake(nowMs: number): Action[] { return this.#advance(nowMs) }

  /** Ends the run: every element without an outcome gets this one. */
  stop(status: FailureStatus, error: ErrorRecord): Action[] {
    if (this.finished) return []
    const actions: Action[] = []
    for (const chunk of [...this.#running.values()]) {
      actions.push({ type: 'cancel', chunk, node: chunk.node! })
      actions.push(this.#emitFailure(this.#take(chunk.id)!, status, error, true))
    }
    for (const chunk of this.#waiting.drain()) actions.push(this.#emitFailure(chunk, status, error, false))
    const rest = this.#range?.take(this.#range.left)
    if (rest !== undefined && rest.count > 0) actions.push(this.#emitFailure({ ...rest, id: -1, home: undefined, attempts: 0, node: undefined }, status, error, false))
    if (this.#inputOpen) this.cutShort = error
    this.#inputOpen = false
    return [...actions, ...this.#finish()]
  }

  // ------------------------------------------------------------------ inside

  #enqueue(from: number, count: number, source: ChunkSource, home: NodeId | undefined): void {
    this.#waiting.push({ id: this.#nextId++, from, count, source, home, attempts: 0, node: undefined })
  }

  #take(id: number): Chunk | undefined {
    const chunk = this.#running.get(id)
    if (chunk === undefined) return undefined
    this.#running.delete(id)
    const seat = this.#seats.get(chunk.node)
    if (seat !== undefined) seat.running--
    return chunk
  }

  #mayRetry(chunk: Chunk): boolean { return chunk.attempts <= this.options.retries }

  #again(chunk: Chunk, nowMs: number): Action[] {
    chunk.node = undefined
    this.#waiting.pushFront(chunk)
    const seat = this.#seats.get(chunk.home)
    // Also when the node answers at once that the object is not there: a thousand retries are no thousand calls in a row.
    if (seat === undefined || seat.busyUntilMs === nowMs + RETRY_BACKOFF_MS) return []
    seat.busyUntilMs = nowMs + RETRY_BACKOFF_MS
    return [{ type: 'retry-after', delayMs: RETRY_BACKOFF_MS }]
  }

  #emit(chunk: Chunk, node: NodeId | undefined, runs: readonly ResultRun[]): Action {
    assert(!this.finished, 'nothing is emitted after the end')
    this.emitted += chunk.count
    for (const run of runs) if ('failure' in run) this.failed += run.count
    return { type: 'emit', node, runs }
  }

  #emitFailure(chunk: Chunk, status: FailureStatus, error: ErrorRecord, mayHaveRun: boolean): Action {
    const failure: Failure = { status, error, mayHaveRun }
    return this.#emit(chunk, chunk.node ?? chunk.home, [{ from: chunk.from, count: chunk.count, failure }])
  }

  #dropAbove(index: number): Action[] {
    const actions: Action[] = []
    for (const chunk of [...this.#running.values()]) {
      if (chunk.from <= index) continue
      actions.push({ type: 'cancel', chunk, node: chunk.node! })
      this.#take(chunk.id)
    }
    this.#waiting.dropAbove(index)
    this.#range = undefined
    this.#inputOpen = false
    return actions
  }

  #lowestUnfinished(): number {
    let lowest = Infinity
    for (const chunk of this.#running.values()) if (chunk.from < lowest) lowest = chunk.from
    for (const chunk of this.#waiting.data) if (chunk.from < lowest) lowest = chunk.from
    return lowest
  }

  #name(id: NodeId | undefined): string { return id === undefined ? 'a node' : (this.options.nameOf ?? shortId)(id) }

  #advance(nowMs: number): Action[] {
    if (this.finished) return []
    if (this.total === 0 && !this.#inputOpen) return this.#finish()
    const actions: Action[] = []
    for (const home of this.#waiting.homes()) this.#advanceHome(home, nowMs, actions)
    while (this.#waiting.data.length > 0 && !this.held) {
      const seat = this.#seats.pick(nowMs)
      if (seat === undefined) break
      actions.push(this.#dispatch(this.#waiting.data.shift()!, seat))
    }
    if (this.#waiting.data.length === 0 && !this.held && (this.#range !== undefined || this.#inputOpen)) {
      const lowest = this.#lowestUnfinished()
      const inWindow = (from: number): boolean => lowest === Infinity || from - lowest <= (this.options.windowItems ?? LIMITS.windowItems)
      while (this.#range !== undefined && this.#range.left > 0 && inWindow(this.#range.next)) {
        const seat = this.#seats.pick(nowMs)
        if (seat === undefined) break
        const part = this.#range.take(chunkSize(this.rate, this.#range.left, this.#seats.lanes(), RANGE_ITEMS_MAX))
        actions.push(this.#dispatch({ ...part, id: this.#nextId++, home: undefined, attempts: 0, node: undefined }, seat))
      }
      if (this.#inputOpen) {
        const room = this.#seats.lanes() * JOBS_PER_CORE - this.#running.size - this.#pullsOpen
        if (room > 0 && inWindow(this.#pulled)) {
          this.#pullsOpen += room
          actions.push({ type: 'pull', items: chunkSize(this.rate, Infinity, this.#seats.lanes()), chunks: room })
        }
      }
    }
    if (!this.#seats.anyAlive() && this.#dataLeft()) return [...actions, ...this.stop('unreachable', recordOf(FUNCTIONS.NO_NODES({})))]
    if (this.#running.size === 0 && this.#waiting.empty && !this.#dataLeft()) actions.push(...this.#finish())
    return actions
  }

  /** Starts what waits for a machine, as many at once as its streams and cells take. */
  #advanceHome(home: NodeId, nowMs: number, actions: Action[]): void {
    const seat = this.#seats.get(home)
    while (this.#waiting.at(home).length > 0) {
      if (seat?.alive !== true) {
        const chunk = this.#waiting.shift(home)!
        actions.push(this.#emitFailure(chunk, 'unreachable', recordOf(FUNCTIONS.NODE_GONE({ node: this.#name(home), why: 'it was lost earlier in this run' }, { outcome: 'not-started' })), chunk.attempts > 0))
      } else if (seat.busyUntilMs > nowMs || seat.running >= HOME_JOBS_MAX) return
      else actions.push(this.#dispatch(this.#waiting.shift(home)!, seat))
    }
  }

  #dataLeft(): boolean {
    return this.#waiting.data.length > 0 || this.#inputOpen || (this.#range?.left ?? 0) > 0
  }

  #dispatch(chunk: Chunk, seat: Seat): Action {
    chunk.node = seat.id
    chunk.attempts++
    seat.running++
    this.#running.set(chunk.id, chunk)
    return { type: 'dispatch', chunk, node: seat.id }
  }

  #finish(): Action[] {
    if (this.finished) return []
    this.finished = true
    return [{ type: 'finish' }]
  }
}

const recordOf = (error: CodedError): ErrorRecord => toErrorRecord(error, error.code)
