// Plain verbs: operations on what came back, here in the caller's process. Each takes batches and
// gives batches; those that need everything (sort) wait for it, the others stream. Values keep the
// index and node they came from.

import { batchOf } from './batch.ts'
import type { Batch, Entry } from './batch.ts'

export type LocalOp = (batches: AsyncIterable<Batch>) => AsyncIterable<Batch>

/** A value as the user's next function sees it: promises and collections are awaited. */
async function land(value: unknown): Promise<unknown> { return value }

/** Applies `fn` to each entry, all of one batch at once, keeping order. */
function perEntry(fn: (entry: Entry) => Promise<readonly Entry[]>): LocalOp {
  return async function* (batches) {
    for await (const batch of batches) {
      yield batchOf(batch.from, batch.count, (await Promise.all(batch.entries.map(fn))).flat(), batch.failed)
    }
  }
}

export function mapOp(fn: (value: unknown, index: number) => unknown): LocalOp {
  return perEntry(async (entry) => [{ ...entry, value: await land(fn(entry.value, entry.index)) }])
}

export function filterOp(fn: (value: unknown, index: number) => unknown): LocalOp {
  return perEntry(async (entry) => ((await land(fn(entry.value, entry.index))) ? [entry] : []))
}

function spread(entry: Entry, value: unknown): Entry[] {
  return Array.isArray(value) ? value.map((item: unknown) => ({ ...entry, value: item })) : [{ ...entry, value }]
}

export function flatOp(): LocalOp { return perEntry(async (entry) => spread(entry, entry.value)) }

export function flatMapOp(fn: (value: unknown, index: number) => unknown): LocalOp {
  return perEntry(async (entry) => spread(entry, await land(fn(entry.value, entry.index))))
}

async function gather(batches: AsyncIterable<Batch>): Promise<{ entries: Entry[]; failed: Batch['failed'] }> {
  const entries: Entry[] = []
  const failed: Batch['failed'][number][] = []
  for await (const batch of batches) {
    entries.push(...batch.entries)
    failed.push(...batch.failed)
  }
  return { entries, failed }
}

function defaultCompare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const x = String(a)
  const y = String(b)
  return x < y ? -1 : x > y ? 1 : 0
}

export function sortOp(compare: ((a: unknown, b: unknown) => number) | undefined): LocalOp {
  return async function* (batches) {
    const { entries, failed } = await gather(batches)
    const order = compare ?? defaultCompare
    yield batchOf(0, entries.length + failed.length, entries.sort((a, b) => order(a.value, b.value)), failed)
  }
}

export function sliceOp(from: number, to: number): LocalOp {
  if (from < 0 || to < 0) {
    return async function* (batches) {
      const { entries, failed } = await gather(batches)
      yield batchOf(0, entries.length + failed.length, entries.slice(from, to === Infinity ? undefined : to), failed)
    }
  }
  return async function* (batches) {
    let at = 0
    if (to <= 0) return
    for await (const batch of batches) {
      const entries = batch.entries.slice(Math.max(0, from - at), Math.max(0, to - at))
      at += batch.entries.length
      yield batchOf(batch.from, batch.count, entries, batch.failed)
      if (at >= to) return
    }
  }
}
