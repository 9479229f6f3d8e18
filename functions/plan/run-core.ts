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

import { assert, LIMITS } from '../../fabric/base.ts'
import type { ErrorRecord, NodeId, Random } from '../../fabric/base.ts'
import type { Failure, FailureStatus, ReferenceRecord, ResultRun } from '../contract.ts'
import { chunkSize, measure } from './chunking.ts'
import type { Rate } from './chunking.ts'

export type ChunkSource =
  | { readonly type: 'range'; readonly start: number; readonly step: number }
  | { readonly type: 'items'; readonly bytes: Uint8Array }
  | { readonly type: 'references'; readonly references: readonly ReferenceRecord[] }

export interface Chunk {
  readonly id: number
  readonly from: number
  readonly count: number
  readonly source: ChunkSource
  /** The node it must run on; undefined for data, which may run anywhere. */
  readonly home: NodeId | undefined
  attempts: number
  node: NodeId | undefined
}

export type Action =
  | { readonly type: 'dispatch'; readonly chunk: Chunk; readonly node: NodeId }
  | { readonly type: 'emit'; readonly node: NodeId | undefined; readonly runs: readonly ResultRun[] }
  /** Ask the caller for `chunks` more data chunks of `items` elements each. */
  | { readonly type: 'pull'; readonly items: number; readonly chunks: number }
  | { readonly type: 'cancel'; readonly chunk: Chunk; readonly node: NodeId }
  | { readonly type: 'retry-after'; readonly delayMs: number }
  | { readonly type: 'finish' }

export interface RunNode { readonly id: NodeId; cores: number; running: number; load: number; alive: boolean; busyUntilMs: number }

export interface RunCoreOptions {
  /** For data chunks; machines use `retries` alone. */
  readonly retries: number
  readonly random: Random
  readonly rate: Rate | undefined
  /** Stops dispatching as soon as a chunk says it has decided the answer ('some', 'every', 'find'). */
  readonly stopsEarly: boolean
  readonly windowItems?: number
}

/** Jobs a core may have in flight: one running, one on the way. */
const JOBS_PER_CORE = 2
/** Cores assumed of a node that has not said. */
const CORES_UNKNOWN = 2
const BUSY_BACKOFF_MS = 50
const RETRY_BACKOFF_MS = 200

export class RunCore {
  readonly nodes = new Map<NodeId, RunNode>()
  rate: Rate | undefined
  /** Elements emitted so far, and how many of them failed. */
  emitted = 0
  failed = 0
  total: number | undefined
  finished = false
  /** Nothing new is started while the caller has too much unread; wake() after clearing it. */
  held = false
  readonly #options: RunCoreOptions
  readonly #waiting: Chunk[] = []
  readonly #running = new Map<number, Chunk>()
  #range: { next: number; readonly start: number; readonly step: number; readonly count: number } | undefined
  #inputOpen = false
  #pulled = 0
  #pullsOpen = 0
  #nextId = 0
  #decidedBelow = Infinity

  constructor(options: RunCoreOptions) {
    this.#options = options
    this.rate = options.rate
  }

  addNode(id: NodeId, load: number): void {
    if (!this.nodes.has(id)) this.nodes.set(id, { id, cores: CORES_UNKNOWN, running: 0, load, alive: true, busyUntilMs: 0 })
  }

  /** Elements are start + i * step for i in [0, count). */
  startRange(start: number, step: number, count: number, nowMs: number): Action[] {
    this.#range = { next: 0, start, step, count }
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

  items(from: number, count: number, bytes: Uint8Array, nowMs: number): Action[] {
    assert(from === this.#pulled, 'data chunks arrive in order')
    this.#pulled += count
    this.#pullsOpen = Math.max(0, this.#pullsOpen - 1)
    if (count > 0) this.#enqueue(from, count, { type: 'items', bytes }, undefined)
    return this.#advance(nowMs)
  }

  inputEnded(nowMs: number): Action[] {
    this.#inputOpen = false
    this.#pullsOpen = 0
    this.total = this.#pulled
    return this.#advance(nowMs)
  }

  nodeReady(id: NodeId, cores: number, nowMs: number): Action[] {
    const node = this.nodes.get(id)
    if (node !== undefined) node.cores = Math.max(1, cores)
    return this.#advance(nowMs)
  }

  /** A chunk was answered. `runs` must cover it exactly; a node that answers otherwise is not believed. */
  chunkDone(id: number, runs: readonly ResultRun[], ms: number, decided: boolean, nowMs: number): Action[] {
    const chunk = this.#take(id)
    if (chunk === undefined) return []
    const node = chunk.node
    if (!covers(runs, chunk.from, chunk.count)) {
      return [this.#emitFailure(chunk, 'error', { code: 'FUNCTIONS_ERR_BAD_ANSWER', message: 'the node answered for other elements than it was asked' }, true), ...this.#advance(nowMs)]
    }
    let bytes = chunk.source.type === 'items' ? chunk.source.bytes.byteLength : 0
    for (const run of runs) bytes += 'values' in run ? run.values.byteLength : 0
    if (chunk.home === undefined) this.rate = measure(this.rate, chunk.count, ms, bytes)
    const only = runs.length === 1 ? runs[0]! : undefined
    if (only !== undefined && 'failure' in only && only.failure.status === 'unreachable' && this.#mayRetry(chunk)) return [...this.#again(chunk), ...this.#advance(nowMs)]
    const actions: Action[] = [this.#emit(chunk, node, runs)]
    if (decided && this.#options.stopsEarly) {
      this.#decidedBelow = Math.min(this.#decidedBelow, chunk.from)
      actions.push(...this.#dropAbove(this.#decidedBelow))
    }
    return [...actions, ...this.#advance(nowMs)]
  }

  /** The node would not take the chunk now; nothing ran. */
  chunkBusy(id: number, nowMs: number): Action[] {
    const chunk = this.#take(id)
    if (chunk === undefined) return []
    const node = chunk.node === undefined ? undefined : this.nodes.get(chunk.node)
    if (node !== undefined) node.busyUntilMs = nowMs + BUSY_BACKOFF_MS
    chunk.node = undefined
    this.#waiting.unshift(chunk)
    return [...this.#advance(nowMs), { type: 'retry-after', delayMs: BUSY_BACKOFF_MS }]
  }

  /** A node is gone; what it was running may have run. */
  nodeGone(id: NodeId, error: ErrorRecord, nowMs: number): Action[] {
    const node = this.nodes.get(id)
    if (node === undefined || !node.alive) return []
    const actions: Action[] = []
    const lost = [...this.#running.values()].filter((chunk) => chunk.node === id)
    const retryHere = lost.some((chunk) => chunk.home === id && this.#mayRetry(chunk))
    node.alive = retryHere
    if (retryHere) node.busyUntilMs = nowMs + RETRY_BACKOFF_MS
    for (const chunk of lost) {
      this.#take(chunk.id)
      if (this.#mayRetry(chunk)) actions.push(...this.#again(chunk))
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
    for (const chunk of this.#waiting.splice(0)) actions.push(this.#emitFailure(chunk, status, error, false))
    if (this.#range !== undefined && this.#range.next < this.#range.count) {
      const from = this.#range.next
      const count = this.#range.count - from
      this.#range.next = this.#range.count
      actions.push(this.#emitFailure({ id: -1, from, count, source: { type: 'range', start: 0, step: 0 }, home: undefined, attempts: 0, node: undefined }, status, error, false))
    }
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
    const node = this.nodes.get(chunk.node!)
    if (node !== undefined) node.running--
    return chunk
  }

  #mayRetry(chunk: Chunk): boolean { return chunk.attempts <= this.#options.retries }

  #again(chunk: Chunk): Action[] {
    chunk.node = undefined
    this.#waiting.unshift(chunk)
    return chunk.home === undefined ? [] : [{ type: 'retry-after', delayMs: RETRY_BACKOFF_MS }]
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
    for (let i = this.#waiting.length - 1; i >= 0; i--) if (this.#waiting[i]!.from > index) this.#waiting.splice(i, 1)
    if (this.#range !== undefined) this.#range.next = this.#range.count
    this.#inputOpen = false
    return actions
  }

  #lowestUnfinished(): number {
    let lowest = Infinity
    for (const chunk of this.#running.values()) if (chunk.from < lowest) lowest = chunk.from
    for (const chunk of this.#waiting) if (chunk.from < lowest) lowest = chunk.from
    return lowest
  }

  #lanes(): number {
    let lanes = 0
    for (const node of this.nodes.values()) if (node.alive) lanes += node.cores
    return lanes
  }

  /** A node for a data chunk: the better of two picked at random among those with room (power of two choices). */
  #pick(nowMs: number): RunNode | undefined {
    const open: RunNode[] = []
    for (const node of this.nodes.values()) {
      if (node.alive && node.busyUntilMs <= nowMs && node.running < node.cores * JOBS_PER_CORE) open.push(node)
    }
    if (open.length <= 1) return open[0]
    const a = open[this.#options.random.int(open.length)]!
    const b = open[this.#options.random.int(open.length)]!
    const weight = (node: RunNode): number => node.running / node.cores + node.load
    return weight(a) <= weight(b) ? a : b
  }

  #advance(nowMs: number): Action[] {
    if (this.finished) return []
    const actions: Action[] = []
    if (this.total === 0 && !this.#inputOpen) return this.#finish()
    const window = this.#options.windowItems ?? LIMITS.windowItems
    const lowest = this.#lowestUnfinished()
    const inWindow = (from: number): boolean => lowest === Infinity || from - lowest <= window

    for (let i = 0; i < this.#waiting.length;) {
      const chunk = this.#waiting[i]!
      const node = chunk.home === undefined ? this.#pick(nowMs) : this.nodes.get(chunk.home)
      if (chunk.home !== undefined && node?.alive !== true) {
        this.#waiting.splice(i, 1)
        actions.push(this.#emitFailure(chunk, 'unreachable', { code: 'FUNCTIONS_ERR_NODE_GONE', message: `the node it lives on is not reachable`, outcome: 'not-started' }, chunk.attempts > 0))
        continue
      }
      if (node === undefined || (this.held && chunk.home === undefined)) break
      if (chunk.home !== undefined && node.busyUntilMs > nowMs) { i++; continue }
      this.#waiting.splice(i, 1)
      actions.push(this.#dispatch(chunk, node))
    }
    if (this.#waiting.length === 0 && !this.held) {
      while (this.#range !== undefined && this.#range.next < this.#range.count && inWindow(this.#range.next)) {
        const node = this.#pick(nowMs)
        if (node === undefined) break
        const count = chunkSize(this.rate, this.#range.count - this.#range.next, this.#lanes(), RANGE_ITEMS_MAX)
        const chunk: Chunk = { id: this.#nextId++, from: this.#range.next, count, source: { type: 'range', start: this.#range.start + this.#range.next * this.#range.step, step: this.#range.step }, home: undefined, attempts: 0, node: undefined }
        this.#range.next += count
        actions.push(this.#dispatch(chunk, node))
      }
      if (this.#inputOpen) {
        const room = this.#lanes() * JOBS_PER_CORE - this.#running.size - this.#pullsOpen
        if (room > 0 && inWindow(this.#pulled)) {
          this.#pullsOpen += room
          actions.push({ type: 'pull', items: chunkSize(this.rate, Infinity, this.#lanes()), chunks: room })
        }
      }
    }
    if (this.#anyoneAlive() === false && this.#dataLeft()) {
      return [...actions, ...this.stop('unreachable', { code: 'FUNCTIONS_ERR_NODE_GONE', message: 'no node is left to run on', outcome: 'not-started' })]
    }
    if (this.#running.size === 0 && this.#waiting.length === 0 && !this.#inputOpen && (this.#range === undefined || this.#range.next >= this.#range.count)) actions.push(...this.#finish())
    return actions
  }

  #anyoneAlive(): boolean {
    for (const node of this.nodes.values()) if (node.alive) return true
    return false
  }

  #dataLeft(): boolean {
    return this.#waiting.some((chunk) => chunk.home === undefined) || this.#inputOpen || (this.#range !== undefined && this.#range.next < this.#range.count)
  }

  #dispatch(chunk: Chunk, node: RunNode): Action {
    chunk.node = node.id
    chunk.attempts++
    node.running++
    this.#running.set(chunk.id, chunk)
    return { type: 'dispatch', chunk, node: node.id }
  }

  #finish(): Action[] {
    if (this.finished) return []
    this.finished = true
    return [{ type: 'finish' }]
  }
}

/** A range chunk costs the wire nothing, so it may be far larger than a chunk of shipped items. */
const RANGE_ITEMS_MAX = 4_000_000

/** True when the runs cover [from, from + count) exactly, in order. */
export function covers(runs: readonly ResultRun[], from: number, count: number): boolean {
  let next = from
  for (const run of runs) {
    if (run.from !== next || run.count <= 0) return false
    next += run.count
  }
  return next === from + count
}
