// Collection options: checked once, merged (session defaults, then the collection's, then the verb's),
// turned into the limits that travel.

import { LIMITS } from '../../fabric/base.ts'
import type { RunLimits } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import type { CollectionOptions } from './contract.ts'

const positive = (value: unknown): boolean => typeof value === 'number' && value > 0 && Number.isFinite(value)
const natural = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

/** Option -> [check, what is wanted]. */
const OPTIONS: Readonly<Record<keyof CollectionOptions, readonly [(value: unknown) => boolean, string]>> = {
  timeoutMs: [positive, 'a positive number of milliseconds'],
  signal: [(value) => value instanceof AbortSignal, 'an AbortSignal'],
  retries: [natural, 'a whole number, 0 or more'],
  concurrency: [(value) => natural(value) && (value as number) > 0, 'a whole number, 1 or more'],
  ordered: [(value) => typeof value === 'boolean', 'true or false'],
  onProgress: [(value) => typeof value === 'function', 'a function'],
  fresh: [(value) => typeof value === 'boolean', 'true or false'],
  heapLimitMiB: [(value) => positive(value) && (value as number) >= 8, 'a number of MiB, 8 or more'],
  cpuTimeMs: [positive, 'a positive number of milliseconds'],
  resultBytes: [positive, 'a positive number of bytes'],
}

export function mergeOptions(base: CollectionOptions, extra: CollectionOptions | undefined): CollectionOptions {
  if (extra === undefined) return base
  for (const [option, value] of Object.entries(extra)) {
    const row = (OPTIONS as Record<string, readonly [(value: unknown) => boolean, string] | undefined>)[option]
    if (row === undefined) throw FUNCTIONS.BAD_OPTION({ option, wanted: `one of ${Object.keys(OPTIONS).join(', ')}` })
    if (value !== undefined && !row[0](value)) throw FUNCTIONS.BAD_OPTION({ option, got: typeof value === 'string' ? JSON.stringify(value) : String(value), wanted: row[1] })
  }
  const signal = base.signal !== undefined && extra.signal !== undefined && base.signal !== extra.signal
    ? AbortSignal.any([base.signal, extra.signal])
    : extra.signal ?? base.signal
  return { ...base, ...extra, ...(signal === undefined ? {} : { signal }) }
}

/** Async elements under way at once in one chunk, unless asked otherwise. */
const CONCURRENCY_DEFAULT = 16

export function limitsOf(options: CollectionOptions): RunLimits {
  return {
    timeoutMs: Math.max(1, Math.round(Math.min(options.timeoutMs ?? LIMITS.mapTimeoutMs, LIMITS.callTimeoutMsMax))),
    heapLimitMiB: options.heapLimitMiB ?? LIMITS.heapLimitMiB,
    cpuTimeMs: Math.min(options.cpuTimeMs ?? LIMITS.cpuTimeMsMax, LIMITS.cpuTimeMsMax),
    resultBytes: Math.min(options.resultBytes ?? LIMITS.resultBytesMax, LIMITS.resultBytesMax),
    hostCalls: LIMITS.hostCallsMax,
    concurrency: options.concurrency ?? CONCURRENCY_DEFAULT,
    fresh: options.fresh ?? false,
  }
}
