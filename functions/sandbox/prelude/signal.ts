// `signal` of a deployed function's context: the web's AbortSignal, as far as a function needs it; aborted when the call's
// time is up, a moment before the call itself is ended, so that what listens can tidy up.

import { SandboxError } from './error-capture.ts'
import { setTimer } from './timers.ts'

const GRACE_MS = 50

export class CallSignal {
  #aborted = false
  #reason: unknown
  readonly #listeners: (() => void)[] = []

  /** Undefined: never aborted, as what a shipped function finds at its target, where its run is ended with the call. */
  constructor(timeoutMs: number | undefined) {
    if (timeoutMs === undefined) return
    setTimer(() => { this.#abort(new SandboxError('FUNCTIONS_ERR_SANDBOX_TIMEOUT', `The function had not answered after ${timeoutMs} ms; raise its limits.timeout, or do less per call`)) }, timeoutMs - GRACE_MS)
  }

  get aborted(): boolean { return this.#aborted }
  get reason(): unknown { return this.#reason }
  throwIfAborted(): void { if (this.#aborted) throw this.#reason }
  addEventListener(type: string, listener: () => void): void { if (type === 'abort' && !this.#aborted) this.#listeners[this.#listeners.length] = listener }
  removeEventListener(type: string, listener: () => void): void {
    for (let i = 0; i < this.#listeners.length; i++) if (type === 'abort' && this.#listeners[i] === listener) this.#listeners[i] = () => {}
  }

  #abort(reason: unknown): void {
    this.#aborted = true
    this.#reason = reason
    for (let i = 0; i < this.#listeners.length; i++) (this.#listeners[i] as () => void)()
  }
}
