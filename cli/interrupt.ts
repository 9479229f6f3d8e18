// Ctrl-C and --timeout, for one run of the shell: the first asks what is under way to stop and gives
// clean-up a bounded time, the second leaves at once. The signal reaches every call of the session.

import { LIMITS } from '../fabric/base.ts'
import type { Clock, Timer } from '../fabric/base.ts'
import { CLI, EXIT } from './errors.ts'

export interface InterruptOptions {
  readonly clock: Clock
  /** Ends the process; injected so that tests survive it. */
  readonly exit: (status: number) => void
}

export class Interrupt {
  readonly #controller = new AbortController()
  readonly #clock: Clock
  readonly #exit: (status: number) => void
  #deadline: Timer | undefined
  #endsAtMs: number | undefined
  #grace: Timer | undefined
  #status: number = EXIT.interrupted
  #pressedAtMs = -Infinity
  #handler: (() => boolean) | undefined

  constructor(options: InterruptOptions) {
    this.#clock = options.clock
    this.#exit = options.exit
  }

  get signal(): AbortSignal { return this.#controller.signal }

  /** SIGINT or SIGTERM arrived. */
  press(status: number = EXIT.interrupted): void {
    if (status === EXIT.interrupted && this.#handler?.() === true) return
    const nowMs = this.#clock.nowMs()
    if (!this.signal.aborted) this.#abort(CLI.INTERRUPTED({}), status)
    else if (nowMs - this.#pressedAtMs > LIMITS.interruptRepeatMs) this.#exit(status)
    this.#pressedAtMs = nowMs
  }

  /** A session that outlives its expressions takes Ctrl-C itself; `handler` answers whether it did. */
  divert(handler: () => boolean): void { this.#handler = handler }

  /**
   * Bounds the whole command. Calls get the time that is left as their own timeout, so that each element's
   * outcome is told by who knows it; what has not ended a moment after is cut off here.
   */
  limit(timeoutMs: number): void {
    this.#endsAtMs = this.#clock.nowMs() + timeoutMs
    this.#deadline = this.#clock.after(timeoutMs + LIMITS.interruptSettleMs, () => this.#abort(CLI.TIMEOUT({ timeoutMs }), EXIT.failed), { background: true })
  }

  /** Time left under `limit`; undefined without one. */
  remainingMs(): number | undefined { return this.#endsAtMs === undefined ? undefined : Math.max(1, this.#endsAtMs - this.#clock.nowMs()) }

  /**
   * Waits for `work`. After an interruption it may still settle for a moment, with what came back until
   * then; work that ignores the signal is left behind.
   */
  async race<T>(work: PromiseLike<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>()
    let timer: Timer | undefined
    const stop = (): void => { timer = this.#clock.after(LIMITS.interruptSettleMs, () => reject(this.signal.reason)) }
    if (this.signal.aborted) stop()
    else this.signal.addEventListener('abort', stop, { once: true })
    try {
      return await Promise.race([work, promise])
    } finally {
      timer?.cancel()
      this.signal.removeEventListener('abort', stop)
    }
  }

  /** Status to end with when interrupted (SIGTERM has its own). */
  get status(): number { return this.#status }

  done(): void {
    this.#deadline?.cancel()
    this.#grace?.cancel()
  }

  #abort(reason: Error, status: number): void {
    if (this.signal.aborted) return
    this.#status = status
    this.#grace = this.#clock.after(LIMITS.interruptGraceMs, () => this.#exit(status))
    this.#controller.abort(reason)
  }
}
