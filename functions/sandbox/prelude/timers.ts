// setTimeout and clearTimeout: the lane keeps the time, the isolate keeps the callbacks. Timers belong to
// the run that set them: they are all forgotten when it ends, so nothing of it uses CPU after its answer.

import { host, job } from './host.ts'
import { SandboxError } from './error-capture.ts'
import { mapClear, mapDelete, mapGet, mapSet, ReflectApply, TypeErrorConstructor } from './primordials.ts'

/** Type of the internal frame to the lane; it never leaves the worker. */
export const POST_TIMER = 1
const TIMERS_MAX = 1_000

const timers = new Map<number, { readonly fn: (...args: unknown[]) => unknown; readonly args: unknown[] }>()
let lastTimer = 0

export function setTimer(fn: unknown, delayMs?: unknown, ...args: unknown[]): number {
  if (typeof fn !== 'function') throw new TypeErrorConstructor('setTimeout needs a function')
  if (timers.size >= TIMERS_MAX) throw new SandboxError('FUNCTIONS_ERR_SANDBOX_TIMERS', `The function has ${TIMERS_MAX} timers pending, the most allowed; wait for some first`)
  if (job.id === 0) return 0
  const id = ++lastTimer
  const delay = +(delayMs as number)
  mapSet(timers, id, { fn: fn as (...args: unknown[]) => unknown, args })
  host.post(POST_TIMER, job.id, id, delay > 0 ? delay : 0, 0, 0, '', undefined)
  return id
}

export function clearTimer(id: unknown): void { mapDelete(timers, id as number) }

export function fireTimer(id: number): void {
  const timer = mapGet(timers, id)
  if (timer === undefined) return
  mapDelete(timers, id)
  ReflectApply(timer.fn, undefined, timer.args)
}

export function forgetTimers(): void { mapClear(timers) }
