// The end of a node: what was started is stopped in reverse, one step after the other, each within a bound and on its own. A
// step that hangs or fails must not keep the others from letting go (the leave that members wait for is the last of them), nor
// the process from ending: its name goes to the log, and the end goes on.

import type { Clock } from '../fabric/base.ts'
import { LIMITS } from '../fabric/base.ts'

export interface StopStep {
  /** For the log: "what did not end". */
  readonly name: string
  readonly stop: () => void | Promise<void>
}

export interface StoppingOptions {
  readonly clock: Clock
  readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void
}

export class Stopping {
  readonly #options: StoppingOptions
  readonly #steps: StopStep[] = []
  #ending: Promise<void> | undefined
  #over = false

  constructor(options: StoppingOptions) { this.#options = options }

  /** True from the first stop() on: nothing more is to be begun. */
  get begun(): boolean { return this.#ending !== undefined }

  /** Stopped before all that were added earlier. What is added while the node ends is stopped with it, or, after the end, at once. */
  add(name: string, stop: StopStep['stop']): void {
    this.#steps.push({ name, stop })
    if (this.#over) void this.#all()
  }

  /** Resolves when every step has ended or used up its time; never rejects. The same end for all who ask. */
  stop(): Promise<void> { return this.#ending ??= this.#all() }

  async #all(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await this.#one(step)
    this.#over = true
  }

  async #one({ name, stop }: StopStep): Promise<void> {
    const { clock, warn } = this.#options
    const { promise: late, resolve } = Promise.withResolvers<'late'>()
    const timer = clock.after(LIMITS.stopStepMs, () => resolve('late'))
    try {
      // In a step of its own: one that throws at once is no different from one that rejects.
      const work = Promise.resolve().then(stop)
      // What comes after its time is heard by nobody.
      work.catch(() => {})
      if (await Promise.race([work, late]) === 'late') warn('a part of this node did not stop in time; the others go on', { part: name, waitedMs: LIMITS.stopStepMs })
    } catch (error) {
      warn('a part of this node did not stop cleanly', { part: name, reason: String(error) })
    } finally {
      timer.cancel()
    }
  }
}
