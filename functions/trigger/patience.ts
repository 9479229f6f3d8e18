// Waiting on an injected clock: for a time, or for work that may never be done.

import type { Clock } from '../../fabric/base.ts'

/** Resolves after that time, or as soon as the signal aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal?.aborted === true) return Promise.resolve()
  const timer = clock.after(ms, done, { background: true })
  signal?.addEventListener('abort', done, { once: true })
  function done(): void {
    timer.cancel()
    signal?.removeEventListener('abort', done)
    resolve()
  }
  return promise
}

/** The work's outcome, or a rejection after that time: a store that does not keep its own timeout (a stopped process, a lost socket) holds nobody up. */
export async function bounded<T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = clock.after(timeoutMs, () => late.reject(new Error(`no answer within ${Math.round(timeoutMs)} ms`)), { background: true })
  work.catch(() => {})
  try { return await Promise.race([work, late.promise]) } finally { timer.cancel() }
}

/** Pauses that double from the first to the longest. */
export const backoffMs = (attempt: number, firstMs: number, longestMs: number): number => Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 20))
