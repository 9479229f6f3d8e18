// Every call of the memory driver passes here: is it connected, was it told to fail or to stall, what is its deadline.
//
// A stalled call that outlives its deadline is rejected as timed out and *still done* when the stall is over, as with a
// hypervisor that answers late. All waiting is on the injected clock and ends when the driver is closed.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call } from '../contract.ts'

export interface CallGate {
  /** Runs `work` as one call of that name. */
  run<T>(operation: string, call: Call, work: () => T | Promise<T>): Promise<T>
  /** Time that work takes. Rejects when the deadline, a cancellation or the driver's end comes first. */
  pause(operation: string, delayMs: number, call: Call): Promise<void>
  connected(): boolean
  setConnected(connected: boolean): void
  /** The next call of that name rejects with this before it does anything. */
  failNext(operation: string, error: Error): void
  /** Every call from now on takes this long before it begins; Infinity: never begins; 0: at once again. */
  stallCalls(stallMs: number): void
}

/** Longest timer that the system has; what lies beyond never comes. */
const TIMER_MS_MAX = 2 ** 31 - 1

export function createCallGate({ uri, clock }: { readonly uri: string; readonly clock: Clock }): CallGate {
  let isConnected = false
  let stallMs = 0
  const failures: { readonly operation: string; readonly error: Error }[] = []
  /** Ends of waits under way, called when the connection is lost. */
  const waits = new Set<(error: Error) => void>()
  const unavailable = (reason: string): Error => RMO.DRIVER_UNAVAILABLE({ uri, reason })

  const wait = (operation: string, delayMs: number, { signal, remainingMs }: Call): { readonly done: Promise<void>; end(): void } => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leftMs = remainingMs()
    const waitMs = Math.min(delayMs, leftMs)
    const end = (): void => {
      timer?.cancel()
      waits.delete(fail)
      signal?.removeEventListener('abort', aborted)
    }
    const fail = (error: Error): void => { end(); reject(error) }
    const aborted = (): void => fail(signal?.reason as Error)
    const due = (): void => {
      if (delayMs > leftMs) return fail(RMO.DRIVER_TIMEOUT({ uri, operation, timeoutMs: Math.round(Math.max(0, leftMs)) }))
      end()
      resolve()
    }
    const timer = waitMs > TIMER_MS_MAX ? undefined : clock.after(waitMs, due)
    waits.add(fail)
    signal?.addEventListener('abort', aborted)
    return { done: promise, end }
  }

  /** Does the work when the stall is over, whether anybody still waits or not. */
  async function stalled<T>(operation: string, call: Call, work: () => T | Promise<T>): Promise<T> {
    const done = wait(operation, stallMs, { remainingMs: () => Infinity }).done.then(work)
    const deadline = wait(operation, Infinity, call)
    done.catch(() => {})
    deadline.done.catch(() => {})
    try {
      return await Promise.race([done, deadline.done.then(() => done)])
    } finally {
      deadline.end()
    }
  }

  return {
    async run(operation, call, work) {
      if (!isConnected) throw unavailable('the driver is not connected')
      call.signal?.throwIfAborted()
      if (call.remainingMs() <= 0) throw RMO.DRIVER_TIMEOUT({ uri, operation, timeoutMs: 0 })
      const at = failures.findIndex((failure) => failure.operation === operation)
      const [failure] = at < 0 ? [] : failures.splice(at, 1)
      if (failure !== undefined) throw failure.error
      return stallMs > 0 ? stalled(operation, call, work) : work()
    },
    async pause(operation, delayMs, call) {
      call.signal?.throwIfAborted()
      if (delayMs > 0) await wait(operation, delayMs, call).done
    },
    connected: () => isConnected,
    setConnected(connected) {
      isConnected = connected
      if (!connected) for (const fail of [...waits]) fail(unavailable('the connection was lost'))
    },
    failNext(operation, error) {
      failures.push({ operation, error })
      if (failures.length > LIMITS.memoryFailuresMax) failures.shift()
    },
    stallCalls(ms) { stallMs = Math.max(0, ms) },
  }
}
