// The result of one chunk as bytes: written inside the isolate (prelude/run.ts), checked by the kernel by
// bounds only; user values stay encoded. Pure; loaded at both ends.
//
//   u8 flags (RESULT_*, frames.ts) | u32 runs | runs...
//   run: u8 kind | u32 from | u32 count, then
//     0 values:  u32 outputs | u8 has counts | [count x u32] | u32 length | value bytes
//     1 failure: u8 status | u32 length | error record as JSON text
// `from` counts from the first element of the chunk. Source: contract.ts ResultRun.

import { RESULT_DECIDED } from './frames.ts'
import type { ErrorRecord } from '../../fabric/base.ts'
import type { FailureStatus, ResultRun } from '../contract.ts'

export const FAILURE_STATUSES = ['error', 'crash', 'out-of-memory', 'timeout', 'cancelled', 'unreachable'] as const satisfies readonly FailureStatus[]

/** An error record is text, names and a code: more than this is cut inside the isolate. */
export const ERROR_TEXT_BYTES_MAX = 65_536
const CAUSES_MAX = 8

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const isText = (value: unknown): value is string => typeof value === 'string'

/** Keeps the known fields of an error record from hostile JSON; undefined when it is not one. */
export function parseErrorRecord(value: unknown, depth = 0): ErrorRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { code, message, name, stack, cause, details } = value as Record<string, unknown>
  if (!isText(code) || !isText(message)) return undefined
  const inner = depth < CAUSES_MAX ? parseErrorRecord(cause, depth + 1) : undefined
  return {
    code, message, outcome: 'failed',
    ...(isText(name) ? { name } : {}),
    ...(isText(stack) ? { stack } : {}),
    ...(inner === undefined ? {} : { cause: inner }),
    ...(typeof details === 'object' && details !== null ? { details: flatDetails(details as Record<string, unknown>) } : {}),
  }
}

function flatDetails(details: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const [key, value] of Object.entries(details).slice(0, 32)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') kept[key] = value
  }
  return kept
}

export interface ParsedResult { readonly runs: readonly ResultRun[]; readonly decided: boolean }

/** Undefined when the bytes are not a result for `count` elements: the cell is broken or lying. */
export function parseResult(bytes: Uint8Array, count: number, baseIndex: number): ParsedResult | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = bytes.byteLength
  if (size < 5) return undefined
  const runCount = view.getUint32(1, true)
  if (runCount > count + 1) return undefined
  const runs: ResultRun[] = []
  let at = 5
  let next = 0
  for (let i = 0; i < runCount; i++) {
    if (at + 9 > size) return undefined
    const kind = view.getUint8(at)
    const from = view.getUint32(at + 1, true)
    const elements = view.getUint32(at + 5, true)
    at += 9
    if (from !== next || elements > count - from) return undefined
    next = from + elements
    if (kind === 0) {
      if (at + 5 > size) return undefined
      const outputs = view.getUint32(at, true)
      const hasCounts = view.getUint8(at + 4) === 1
      at += 5
      let counts: Uint8Array | undefined
      if (hasCounts) {
        if (at + elements * 4 > size) return undefined
        counts = bytes.slice(at, at + elements * 4)
        at += elements * 4
      }
      if (at + 4 > size) return undefined
      const length = view.getUint32(at, true)
      at += 4
      if (length > size - at) return undefined
      const values = bytes.slice(at, at + length)
      at += length
      runs.push({ from: baseIndex + from, count: elements, outputs, values, ...(counts === undefined ? {} : { counts }) })
    } else {
      if (kind !== 1 || at + 5 > size) return undefined
      const status = FAILURE_STATUSES[view.getUint8(at)]
      const length = view.getUint32(at + 1, true)
      at += 5
      if (status === undefined || length > size - at || length > ERROR_TEXT_BYTES_MAX) return undefined
      const error = parseErrorText(bytes.subarray(at, at + length))
      at += length
      if (error === undefined) return undefined
      runs.push({ from: baseIndex + from, count: elements, failure: { status, error, mayHaveRun: true } })
    }
  }
  if (next !== count || at !== size) return undefined
  return { runs, decided: (view.getUint8(0) & RESULT_DECIDED) !== 0 }
}

/** Error record from JSON text. */
export function parseErrorText(bytes: Uint8Array): ErrorRecord | undefined {
  try {
    return parseErrorRecord(JSON.parse(decoder.decode(bytes)))
  } catch {
    return undefined
  }
}

export const errorText = (record: ErrorRecord): Uint8Array => encoder.encode(JSON.stringify(record))
