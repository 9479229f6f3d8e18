// Writes the result of a chunk in the layout of ../results.ts, inside the isolate, into one exact-size array.

import { bytesSet, TypedUint8Array } from './primordials.ts'

export interface ValueRun { readonly from: number; readonly count: number; readonly outputs: number; readonly counts: Uint8Array | undefined; readonly values: Uint8Array }
export interface FailureRun { readonly from: number; readonly count: number; readonly status: number; readonly error: Uint8Array }
export type WrittenRun = ValueRun | FailureRun

const isValues = (run: WrittenRun): run is ValueRun => (run as { values?: unknown }).values !== undefined

export function writeResult(runs: readonly WrittenRun[], flags: number): Uint8Array {
  let size = 5
  for (let i = 0; i < runs.length; i++) {
    const run = runs[i] as WrittenRun
    size += 9 + (isValues(run) ? 9 + (run.counts?.length ?? 0) + run.values.length : 5 + run.error.length)
  }
  const bytes = new TypedUint8Array(size)
  let at = 0
  const byte = (value: number): void => { bytes[at++] = value }
  const word = (value: number): void => { bytes[at++] = value; bytes[at++] = value >>> 8; bytes[at++] = value >>> 16; bytes[at++] = value >>> 24 }
  const block = (value: Uint8Array): void => { bytesSet(bytes, value, at); at += value.length }
  byte(flags)
  word(runs.length)
  for (let i = 0; i < runs.length; i++) {
    const run = runs[i] as WrittenRun
    byte(isValues(run) ? 0 : 1)
    word(run.from)
    word(run.count)
    if (isValues(run)) {
      word(run.outputs)
      byte(run.counts === undefined ? 0 : 1)
      if (run.counts !== undefined) block(run.counts)
      word(run.values.length)
      block(run.values)
    } else {
      byte(run.status)
      word(run.error.length)
      block(run.error)
    }
  }
  return bytes
}
