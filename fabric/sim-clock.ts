// Virtual clock for simulation and tests: time moves only when told to, so a run with the same seed
// is the same run, and ten minutes of protocol take milliseconds.
//
// Timers due at the same moment fire in the order in which they were set. A callback may set and
// cancel timers; those due within the span being run fire within it. Time never goes back.

import { assert } from './assert.ts'
import type { Clock, Timer } from './clock.ts'
import { DueHeap } from './due-heap.ts'
import type { Due } from './due-heap.ts'

interface Entry extends Due { callback: (() => void) | undefined }

export interface SimClockOptions {
  readonly startMs?: number
  /** Wall clock at `startMs`; shift it to give a node a clock that is an hour off. */
  readonly wallStartMs?: number
}

export class SimClock implements Clock {
  /** Cancelled entries stay until they surface. */
  readonly #heap = new DueHeap<Entry>()
  readonly #wallOffsetMs: number
  #nowMs: number
  #order = 0
  #pending = 0

  constructor(options: SimClockOptions = {}) {
    this.#nowMs = options.startMs ?? 0
    this.#wallOffsetMs = (options.wallStartMs ?? 1_800_000_000_000) - this.#nowMs
  }

  nowMs(): number { return this.#nowMs }
  wallMs(): number { return this.#wallOffsetMs + this.#nowMs }
  /** Timers set and neither fired nor cancelled. */
  get pending(): number { return this.#pending }
  /** When the next timer is due; undefined when none is set. */
  get nextDueMs(): number | undefined { return this.#top()?.dueMs }

  after(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { dueMs: this.#nowMs + Math.max(0, delayMs || 0), order: this.#order++, callback }
    this.#pending++
    this.#heap.push(entry)
    return {
      cancel: () => {
        if (entry.callback === undefined) return
        entry.callback = undefined
        this.#pending--
      },
    }
  }

  /** Moves time forward by `ms`, firing everything that falls due on the way. */
  advance(ms: number): void { this.runUntil(this.#nowMs + ms) }

  /** Moves time forward to `ms` on this clock, firing everything that falls due on the way. */
  runUntil(ms: number): void {
    assert(ms >= this.#nowMs, `virtual time only moves forward (asked ${ms}, now ${this.#nowMs})`)
    while (this.#fireNext(ms)) { /* each call fires one timer */ }
    this.#nowMs = ms
  }

  /**
   * As runUntil, but lets promise reactions run after each timer, for code under test that awaits
   * between timers. Slower; same order for the same code.
   */
  async settle(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await drainMicrotasks()
    while (this.#fireNext(endMs)) await drainMicrotasks()
    this.#nowMs = endMs
    await drainMicrotasks()
  }

  #fireNext(untilMs: number): boolean {
    const top = this.#top()
    if (top === undefined || top.dueMs > untilMs) return false
    this.#heap.pop()
    this.#nowMs = Math.max(this.#nowMs, top.dueMs)
    const callback = top.callback
    top.callback = undefined
    this.#pending--
    callback?.()
    return true
  }

  #top(): Entry | undefined {
    while (this.#heap.top !== undefined && this.#heap.top.callback === undefined) this.#heap.pop()
    return this.#heap.top
  }
}

export const createSimClock = (options?: SimClockOptions): SimClock => new SimClock(options)

/** One turn of the event loop: every promise reaction that is ready now, and what those cause, has run. */
const drainMicrotasks = (): Promise<void> => new Promise((done) => setImmediate(done))
