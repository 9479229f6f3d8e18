// Waiting on a Clock, cut short by signals.

import type { Clock } from '../clock.ts'

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve()
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = clock.after(ms, resolve)
  const wake = (): void => resolve()
  signal?.addEventListener('abort', wake, { once: true })
  return promise.finally(() => {
    timer.cancel()
    signal?.removeEventListener('abort', wake)
  })
}

/** Rejects with `late()` when `work` has not settled after `ms`, and with the signal's reason when it aborts first. */
export function within<T>(clock: Clock, ms: number, work: Promise<T>, options: { readonly late: () => Error; readonly signal?: AbortSignal | undefined }): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const abort = (): void => reject(options.signal?.reason as Error)
  const timer = clock.after(ms, () => reject(options.late()))
  if (options.signal?.aborted === true) abort()
  options.signal?.addEventListener('abort', abort, { once: true })
  work.then(resolve, reject)
  return promise.finally(() => {
    timer.cancel()
    options.signal?.removeEventListener('abort', abort)
  })
}
