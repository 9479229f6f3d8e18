// What stands on the right of `pool.scheduler = ...`, in a shell or program: a name, or a function with what it captured.
// Loads what a shell loads anyway.

import { LIMITS } from '../../fabric/base.ts'
import { capture } from '../../functions/base.ts'
import type { SchedulerRef } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { bindScheduler } from './ranking.ts'
import { SCHEDULERS } from './schedulers/index.ts'
import { carry } from './user-scheduler.ts'
import type { UserScheduler } from './user-scheduler.ts'

/** As functions are named when they are deployed. */
const FUNCTION_NAME = /^[a-z0-9][a-z0-9-]{0,62}(@[\w-]+)?$/
const EXPECTED = `a name (${SCHEDULERS.map(({ name }) => name).join(', ')}, or of a deployed function), { name, options }, or a function (vm, pms) => pm`

type CaptureOptions = NonNullable<Parameters<typeof capture>[1]>

/**
 * "rank", "my-function", { name: 'load', options: { memory: 0.5 } }, a SchedulerRef, or (vm, pms) => pm. A function is
 * captured as it is now, with its values. Throws KALI_ERR_SCHEDULER_INVALID, FUNCTIONS_ERR_CAPTURE_*.
 */
export function schedulerOf(value: unknown, capturing: CaptureOptions = {}): SchedulerRef {
  if (typeof value === 'string') return named(value)
  if (typeof value === 'function') return closureOf(value as UserScheduler, capturing)
  if (typeof value !== 'object' || value === null) throw KALI.SCHEDULER_INVALID({ what: `${value === null ? 'null' : `a ${typeof value}`}`, expected: EXPECTED })
  const ref = value as Partial<SchedulerRef> & { readonly options?: Extract<SchedulerRef, { type: 'builtin' }>['options'] }
  if (typeof ref.name !== 'string' || (ref.type !== undefined && !TYPES.has(ref.type))) throw KALI.SCHEDULER_INVALID({ what: 'this object', expected: EXPECTED })
  if (ref.type === 'closure') return value as SchedulerRef
  if (ref.type === 'function') return { type: 'function', name: ref.name }
  if (ref.type === undefined && ref.options === undefined) return named(ref.name)
  const options = ref.options === undefined ? {} : { options: ref.options }
  bindScheduler({ name: ref.name, ...options })
  return { type: 'builtin', name: ref.name, ...options }
}
const TYPES: ReadonlySet<string> = new Set(['builtin', 'function', 'closure'])

function named(name: string): SchedulerRef {
  if (SCHEDULERS.some((one) => one.name === name)) return { type: 'builtin', name }
  if (!FUNCTION_NAME.test(name)) throw KALI.SCHEDULER_INVALID({ what: `"${name}"`, expected: EXPECTED })
  return { type: 'function', name }
}

function closureOf(scheduler: UserScheduler, options: CaptureOptions): SchedulerRef {
  const { program, environment } = capture(carry(scheduler), options)
  const bytes = program.code.length + environment.bytes.length
  if (bytes > LIMITS.schedulerBytesMax) throw KALI.SCHEDULER_INVALID({ what: `a function of ${bytes} bytes with what it captured`, expected: `at most ${LIMITS.schedulerBytesMax} bytes: it is kept in the pool's record; deploy it as a function instead` })
  return {
    type: 'closure', name: scheduler.name === '' ? 'closure' : scheduler.name, text: new TextDecoder().decode(program.code), codeHash: program.hash,
    environment: Buffer.from(environment.bytes).toString('base64'), environmentHash: environment.hash,
  }
}
