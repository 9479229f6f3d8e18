// Idempotency window: calls with the same principal, method and key have one effect and one answer,
// also while the first is still running, and whichever connection the repetition comes on.
//
// One window per registry (node), so that a caller who lost a connection can repeat the call through
// another. Kept: answers for LIMITS.idempotencyWindowMs, bounded in number and bytes, oldest out first.
// A call that was cancelled by all who waited for it is forgotten: there is no answer to repeat.

import { FABRIC } from '../errors-table.ts'
import type { ErrorRecord } from '../errors.ts'
import { LIMITS } from '../limits.ts'

/** What a handler produced: the encoded body, or the error. */
export type KeptOutcome = { readonly body: Uint8Array } | { readonly error: ErrorRecord }

export interface Attempt {
  /** Settled once; undefined when the attempt was forgotten. */
  readonly outcome: Promise<KeptOutcome>
  /** Callers that wait; when the last one cancels, the handler's signal aborts. */
  waiting: number
  readonly abort: (reason: Error) => void
}

interface Entry { readonly attempt: Attempt; endedAtMs: number | undefined; bytes: number }

export class IdempotencyWindow {
  /** In order of arrival, so the first finished one is the oldest. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  get size(): number { return this.#entries.size }

  find(key: string, nowMs: number): Attempt | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.endedAtMs !== undefined && nowMs - entry.endedAtMs > LIMITS.idempotencyWindowMs) {
      this.#remove(key, entry)
      return undefined
    }
    return entry.attempt
  }

  /** Registers a running attempt. Throws BUSY when the window is full of running ones. */
  begin(key: string, attempt: Attempt, nowMs: number): void {
    this.#makeRoom(nowMs)
    if (this.#entries.size >= LIMITS.idempotencyEntriesMax) throw FABRIC.BUSY({ what: 'The idempotency window', limit: LIMITS.idempotencyEntriesMax })
    this.#entries.set(key, { attempt, endedAtMs: undefined, bytes: key.length * 2 })
    this.#bytes += key.length * 2
  }

  /** The attempt ended: its answer is kept for the window. */
  ended(key: string, outcome: KeptOutcome, nowMs: number): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.endedAtMs = nowMs
    const bytes = 'body' in outcome ? outcome.body.length : (outcome.error.message.length + (outcome.error.stack?.length ?? 0)) * 2
    entry.bytes += bytes
    this.#bytes += bytes
    this.#makeRoom(nowMs)
  }

  forget(key: string): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#remove(key, entry)
  }

  #makeRoom(nowMs: number): void {
    for (const [key, entry] of this.#entries) {
      const full = this.#entries.size >= LIMITS.idempotencyEntriesMax || this.#bytes > LIMITS.idempotencyBytesMax
      const old = entry.endedAtMs !== undefined && nowMs - entry.endedAtMs > LIMITS.idempotencyWindowMs
      if (!full && !old) return
      if (entry.endedAtMs !== undefined) this.#remove(key, entry)
    }
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }
}
