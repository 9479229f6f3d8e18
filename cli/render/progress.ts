// The progress line: on stderr, on a terminal only, for work that takes longer than a blink, cleared
// before anything else is written there and at the end.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { Progress } from '../../functions/mod.ts'
import { truncate } from './text.ts'

export interface ProgressSink { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined; write(text: string): unknown }

const CLEAR = '\r\u001b[2K'

export const progressText = (p: Progress): string => {
  const total = p.total === undefined ? '' : ` of ${p.total}`
  const failed = p.failed === 0 ? '' : `, ${p.failed} failed`
  return `${p.done}${total} done${failed}, ${p.pending} pending`
}

const BAR_CELLS = 24
export const barText = (ratio: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, ratio)) * BAR_CELLS)
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] ${Math.round(Math.min(1, Math.max(0, ratio)) * 100)} %`
}

/** One line for one piece of work; `stop` may be called again. */
export class ProgressLine {
  readonly #sink: ProgressSink
  readonly #clock: Clock
  #text: string | undefined
  #timer: Timer | undefined
  #shown = false

  constructor(sink: ProgressSink, clock: Clock) {
    this.#sink = sink
    this.#clock = clock
  }

  update(progress: Progress): void {
    if (this.#sink.isTTY !== true) return
    this.#text = progressText(progress)
    this.#timer ??= this.#clock.after(LIMITS.progressDelayMs, () => this.#draw(), { background: true })
  }

  /** Work that counts no elements: what it does, and how far it is (0 to 1) when that is known. */
  show(what: string, ratio: number | undefined): void {
    if (this.#sink.isTTY !== true) return
    this.#text = ratio === undefined ? `${what} ...` : `${what} ${barText(ratio)}`
    this.#timer ??= this.#clock.after(LIMITS.progressDelayMs, () => this.#draw(), { background: true })
  }

  /** Writes something else to stderr without mixing with the line, which the next redraw brings back. */
  around(write: () => void): void {
    if (this.#shown) this.#sink.write(CLEAR)
    this.#shown = false
    write()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#text = undefined
    this.around(() => {})
  }

  #draw(): void {
    if (this.#text === undefined) return
    this.#sink.write(`${CLEAR}${truncate(this.#text, (this.#sink.columns || 80) - 1)}`)
    this.#shown = true
    this.#timer = this.#clock.after(LIMITS.progressRedrawMs, () => this.#draw(), { background: true })
  }
}
