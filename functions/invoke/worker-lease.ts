// One node's lease on the asynchronous calls that it carries out: taken when there is one, kept alive while there are, left to end
// by itself when there are none, so that an idle node writes nothing.
//
// Measured on this node's own clock from before each request: it is over here before it is over in the store.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, Timer } from '../../fabric/base.ts'
import type { GlobalStore, StoreLease } from '../../fabric/mod.ts'

export interface WorkerLeaseOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  /** Whether anything hangs on it. */
  used(): boolean
  /** It has ended, or may have: others may take up what hung on it. */
  lost(): void
}

export class WorkerLease {
  readonly #options: WorkerLeaseOptions
  #held: { readonly lease: StoreLease; untilMs: number } | undefined
  #asking: Promise<string> | undefined
  #renewal: Timer | undefined
  #ended = false

  constructor(options: WorkerLeaseOptions) { this.#options = options }

  /** Whether `id` is this node's lease and certainly alive. */
  holds(id: string): boolean { return this.#held?.lease.id === id && this.#options.clock.nowMs() < this.#held.untilMs }

  /** Id of a lease that is good for a while; those that ask at once get the same. */
  held(): Promise<string> { return this.#asking ??= this.#ask().finally(() => { this.#asking = undefined }) }

  async #ask(): Promise<string> {
    const { store, clock } = this.#options
    const askedMs = clock.nowMs()
    const present = this.#held
    if (present !== undefined && askedMs < present.untilMs - LIMITS.asyncLeaseMs / 2) return present.lease.id
    if (present !== undefined && askedMs < present.untilMs) {
      const kept = await present.lease.keepAlive().then(() => true, () => false)
      if (kept) return this.#took(present.lease, askedMs)
    }
    return this.#took(await store.grant(LIMITS.asyncLeaseMs), askedMs)
  }

  #took(lease: StoreLease, askedMs: number): string {
    this.#held = { lease, untilMs: askedMs + LIMITS.asyncLeaseMs }
    this.#renew()
    return lease.id
  }

  /** Ends it, and what hangs on it. */
  async end(): Promise<void> {
    this.#ended = true
    this.#renewal?.cancel()
    await this.#held?.lease.revoke().catch(() => {})
  }

  #renew(): void {
    this.#renewal?.cancel()
    if (!this.#ended) this.#renewal = this.#options.clock.after(LIMITS.asyncLeaseMs / 3, () => void this.#keep(), { background: true })
  }

  async #keep(): Promise<void> {
    const { clock, used, lost } = this.#options
    const held = this.#held
    if (held === undefined || !used()) return
    const askedMs = clock.nowMs()
    try {
      await held.lease.keepAlive()
      held.untilMs = askedMs + LIMITS.asyncLeaseMs
    } catch (error) {
      if (errorCode(error)?.endsWith('_LEASE_GONE') === true || clock.nowMs() >= held.untilMs) {
        this.#held = undefined
        lost()
        return
      }
    }
    this.#renew()
  }
}
