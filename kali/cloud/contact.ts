// Since when the store has answered this node without a gap: a read each LIMITS.cloudContactMs.
//
// Invariants: contact counts from the answer of the first read after a gap; it is over when the last read that was answered
// was *sent* longer ago than LIMITS.cloudContactMs + LIMITS.cloudContactPatienceMs. That is judged when asked, on the
// monotonic clock: a process that stood still finds out by itself, before its timers run. Source: cloud.md 5, rules 1, 10.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'

export interface ContactOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Any linearizable read. */
  ask(timeoutMs: number): Promise<unknown>
  lost(reason: string): void
  found(): void
}
export interface Contact {
  start(): void
  sinceMs(): number | undefined
  /** Resolves after that time, or when stopped. */
  pause(ms: number): Promise<void>
}

const GAP_MS = LIMITS.cloudContactMs + LIMITS.cloudContactPatienceMs

export function createContact({ clock, signal, ask, lost, found }: ContactOptions): Contact {
  let since: number | undefined
  let sentAtMs = -Infinity
  let told: 'found' | 'lost' | undefined

  const tell = (now: 'found' | 'lost', reason: string): void => {
    if (told === now || signal.aborted) return
    // The first answer is nothing to talk about.
    if (now === 'lost') lost(reason)
    else if (told !== undefined) found()
    told = now
  }
  const pause = (ms: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = clock.after(ms, done, { background: true })
    function done(): void {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
    return promise
  }
  /** An answer within that time, whatever the store does with its own. */
  const answered = async (): Promise<void> => {
    const late = Promise.withResolvers<never>()
    const timer = clock.after(LIMITS.cloudContactPatienceMs, () => late.reject(new Error(`no answer within ${LIMITS.cloudContactPatienceMs} ms`)), { background: true })
    try { await Promise.race([ask(LIMITS.cloudContactPatienceMs), late.promise]) } finally { timer.cancel() }
  }
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const beganAtMs = clock.nowMs()
      try {
        await answered()
        const nowMs = clock.nowMs()
        if (since === undefined || nowMs - sentAtMs > GAP_MS) since = nowMs
        sentAtMs = beganAtMs
        tell('found', '')
      } catch (error) {
        since = undefined
        tell('lost', error instanceof Error ? error.message : String(error))
      }
      await pause(Math.max(0, beganAtMs + LIMITS.cloudContactMs - clock.nowMs()))
    }
  }

  return {
    start: () => void run(),
    sinceMs: () => (!signal.aborted && clock.nowMs() - sentAtMs <= GAP_MS ? since : undefined),
    pause,
  }
}
