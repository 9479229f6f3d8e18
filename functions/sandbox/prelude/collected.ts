// Outcomes of a chunk that collects -> runs: consecutive values as one array of bytes, consecutive equal failures as one. A value
// that cannot be encoded is the failure of its own element: the others arrive.

import { errorJson, SandboxError } from './error-capture.ts'
import { TypedUint8Array } from './primordials.ts'
import { encodeText } from './text.ts'
import { encodeOutputs } from './value.ts'
import type { WrittenRun } from './writer.ts'

export const STATUS_ERROR = 0
export const USER_CODE = 'FUNCTIONS_ERR_THROWN'
export interface Failed { readonly status: number; readonly error: Uint8Array }

export interface Collected {
  readonly count: number
  /** Index of the first element. */
  readonly base: number
  /** By element: its one output (`single`), or an array of its outputs. */
  readonly outputs: unknown[]
  readonly single: boolean
  readonly failures: readonly (Failed | undefined)[]
  readonly encode: (values: unknown[]) => Uint8Array
}

/** Throws when the values take more than `resultBytes`. */
export function encodeBounded(values: unknown[], resultBytes: number): Uint8Array {
  const bytes = encodeOutputs(values, resultBytes)
  if (bytes.byteLength > resultBytes) {
    throw new SandboxError('FUNCTIONS_ERR_SANDBOX_RESULT_BYTES', `The result takes ${bytes.byteLength} bytes, more than the ${resultBytes} allowed; return less, or raise resultBytes`)
  }
  return bytes
}

export function collectedRuns(collected: Collected): WrittenRun[] {
  const runs: WrittenRun[] = []
  const { count, failures } = collected
  let from = 0
  while (from < count) {
    const failed = failures[from]
    let to = from + 1
    if (failed !== undefined) {
      while (to < count && failures[to]?.error === failed.error) to++
      runs.push({ from, count: to - from, status: failed.status, error: failed.error })
    } else {
      while (to < count && failures[to] === undefined) to++
      addValues(collected, from, to, runs)
    }
    from = to
  }
  return runs
}

/** Encodes elements [from, to); when that fails, halves, so that the offender is named and the others arrive. */
function addValues(collected: Collected, from: number, to: number, runs: WrittenRun[]): void {
  const { outputs, single, base, encode } = collected
  const whole = from === 0 && to === outputs.length
  let flat: unknown[]
  let counts: Uint8Array | undefined
  if (single) flat = whole ? outputs : outputs.slice(from, to)
  else {
    flat = []
    counts = new TypedUint8Array((to - from) * 4)
    for (let i = from; i < to; i++) {
      const list = outputs[i] as unknown[]
      for (let j = 0; j < list.length; j++) flat[flat.length] = list[j]
      const at = (i - from) * 4
      counts[at] = list.length; counts[at + 1] = list.length >>> 8; counts[at + 2] = list.length >>> 16; counts[at + 3] = list.length >>> 24
    }
  }
  try {
    runs.push({ from, count: to - from, outputs: flat.length, counts, values: encode(flat) })
  } catch (error) {
    if (to - from === 1) {
      runs.push({ from, count: 1, status: STATUS_ERROR, error: encodeText(errorJson(error, USER_CODE, base + from)) })
      return
    }
    const middle = from + ((to - from) >> 1)
    addValues(collected, from, middle, runs)
    addValues(collected, middle, to, runs)
  }
}
