// When a timer trigger fires. Pure: (schedule, last fire, now) in, what to do out; timers.ts carries it out.
//
// Level-based: what counts is how long ago the last fire was, not how many ticks there would have been. After a pause of
// any length there is one run, then the grid again; while a run goes on, ticks are left out and counted, never queued.
//
//   every   on the monotonic clock; the wall clock only says, at the beginning of a reign, how long ago the last fire was.
//           Set back or forward it costs at most one tick too early.
//   cron    on the wall clock, by occurrences: an occurrence that was fired is not fired again when the clock is set back
//           (the next one after it is waited for), and many that were jumped over are one.

import { LIMITS } from '../../fabric/base.ts'
import type { CronTimes } from './cron.ts'

export type Schedule =
  | { readonly type: 'every'; readonly everyMs: number }
  | { readonly type: 'cron'; readonly times: CronTimes }

/** The last fire, as the store has it. */
export interface Fired {
  /** Due at, wall clock. */
  readonly atMs: number
  /** The reign that fired it. */
  readonly epoch: number
  /** Times that this occurrence was begun; 0: nothing was fired, the trigger only began to be watched then. */
  readonly attempt: number
  /** Its run has ended, however. */
  readonly done: boolean
}

export interface Now { readonly nowMs: number; readonly wallMs: number }

export type Verdict =
  | { readonly do: 'wait'; readonly ms: number }
  /** `missed`: occurrences before it that were never run. */
  | { readonly do: 'fire'; readonly fired: Fired; readonly missed: number }
  /** A run is under way: this many ticks were left out. */
  | { readonly do: 'skip'; readonly skipped: number }

export interface TimerOptions {
  readonly schedule: Schedule
  /** What the store has; undefined: it was never fired. */
  readonly last: Fired | undefined
  readonly epoch: number
  /** Times that an occurrence of cron whose holder died in its midst is begun. */
  readonly attemptsMax: number
  readonly now: Now
}

/** One trigger during one reign. */
export class TimerCore {
  readonly #schedule: Schedule
  readonly #epoch: number
  /** every: when the next tick is due, monotonic. */
  #nextMs = 0
  /** cron: the last occurrence that is over and done with, wall clock. */
  #lastMs: number
  /** cron: begun in an earlier reign, and nobody says that it ended. */
  #broken: Fired | undefined

  constructor({ schedule, last, epoch, attemptsMax, now }: TimerOptions) {
    this.#schedule = schedule
    this.#epoch = epoch
    this.#lastMs = last?.atMs ?? now.wallMs
    if (schedule.type === 'every') {
      const sinceMs = last === undefined ? Infinity : now.wallMs - last.atMs
      // A clock that was set back does not make it wait longer than one period.
      this.#nextMs = sinceMs < 0 || sinceMs >= schedule.everyMs ? now.nowMs : now.nowMs + schedule.everyMs - sinceMs
    } else if (last !== undefined && !last.done && last.epoch !== epoch && last.attempt > 0 && last.attempt < attemptsMax) this.#broken = last
  }

  /** What is to be written before anything was ever fired, so that the next holder knows since when the trigger is there. */
  get baseline(): Fired | undefined {
    return this.#schedule.type === 'cron' ? { atMs: this.#lastMs, epoch: this.#epoch, attempt: 0, done: true } : undefined
  }

  look(now: Now, running: boolean): Verdict {
    return this.#schedule.type === 'every' ? this.#every(now, this.#schedule.everyMs, running) : this.#cron(now, this.#schedule.times, running)
  }

  #every({ nowMs, wallMs }: Now, everyMs: number, running: boolean): Verdict {
    if (nowMs < this.#nextMs) return { do: 'wait', ms: this.#nextMs - nowMs }
    const missed = Math.floor((nowMs - this.#nextMs) / everyMs)
    const dueMs = this.#nextMs + missed * everyMs
    this.#nextMs = dueMs + everyMs
    if (running) return { do: 'skip', skipped: missed + 1 }
    return { do: 'fire', missed, fired: { atMs: Math.round(wallMs - (nowMs - dueMs)), epoch: this.#epoch, attempt: 1, done: false } }
  }

  #cron({ wallMs }: Now, times: CronTimes, running: boolean): Verdict {
    const broken = this.#broken
    if (broken !== undefined && !running) {
      this.#broken = undefined
      return { do: 'fire', missed: 0, fired: { ...broken, epoch: this.#epoch, attempt: broken.attempt + 1 } }
    }
    // Told by a clock that was far ahead: waiting for it to come true would be to stop for good.
    if (this.#lastMs > wallMs + LIMITS.cronAheadMsMax) this.#lastMs = wallMs
    let due = times.next(this.#lastMs)
    if (due === undefined) return { do: 'wait', ms: LIMITS.cronLookMs }
    if (due > wallMs) return { do: 'wait', ms: Math.min(due - wallMs, LIMITS.cronLookMs) }
    let missed = 0
    for (let next = times.next(due); next !== undefined && next <= wallMs; next = times.next(due)) {
      due = next
      if (++missed >= LIMITS.cronMissedMax) break
    }
    // Those that were not counted are over, too.
    this.#lastMs = missed >= LIMITS.cronMissedMax ? Math.max(due, wallMs) : due
    if (running) return { do: 'skip', skipped: missed + 1 }
    return { do: 'fire', missed, fired: { atMs: due, epoch: this.#epoch, attempt: 1, done: false } }
  }
}
