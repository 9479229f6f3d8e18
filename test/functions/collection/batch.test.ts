// Order, gaps and outcomes of what a run brings back.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { batchOf, Coverage, inOrder, MapError, outcomesOf } from '../../../functions/collection/batch.ts'
import type { Batch } from '../../../functions/collection/batch.ts'

/** Batches that cover [0, sum) in the order given by `order`. */
function batchesOf(counts: readonly number[], order: readonly number[]): Batch[] {
  let from = 0
  const batches = counts.map((count) => {
    const batch = batchOf(from, count, Array.from({ length: count }, (_, i) => ({ index: from + i, value: from + i, node: 'n', nodeName: 'n' })))
    from += count
    return batch
  })
  return order.map((i) => batches[i]!)
}
async function* stream<T>(items: readonly T[]): AsyncGenerator<T> { yield* items }

const shuffled = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 })
  .chain((counts) => fc.tuple(fc.constant(counts), fc.shuffledSubarray(counts.map((_, i) => i), { minLength: counts.length })))

test('batches come out in element order, however they arrive', async (t) => {
  await fc.assert(fc.asyncProperty(shuffled, async ([counts, order]) => {
    const seen: unknown[] = []
    for await (const batch of inOrder(stream(batchesOf(counts, order)))) seen.push(...batch.entries.map((entry) => entry.value))
    return seen.every((value, i) => value === i) && seen.length === counts.reduce((a, b) => a + b, 0)
  }))
})

test('gaps are exactly what had no outcome', (t) => {
  fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 60 })), fc.integer({ min: 0, max: 64 }), (covered, total) => {
    const coverage = new Coverage()
    for (const index of covered) coverage.add(index, 1)
    const missing = coverage.gaps(total).flatMap(({ from, count }) => Array.from({ length: count }, (_, i) => from + i))
    const expected = Array.from({ length: total }, (_, i) => i).filter((i) => !covered.includes(i))
    return JSON.stringify(missing) === JSON.stringify(expected)
  }))
  t.end()
})

test('the error of a failed map names the first failure and holds every outcome', (t) => {
  const value = batchOf(1, 1, [{ index: 1, value: 'v', node: 'a', nodeName: 'alpha' }])
  const failure = batchOf(0, 1, [], [{ index: 0, node: 'b', nodeName: 'beta', element: undefined, failure: { status: 'timeout', error: { code: 'X_TIMEOUT', message: 'too slow' }, mayHaveRun: true } }])
  const error = new MapError(outcomesOf([failure, value]))
  t.equal(error.code, 'FUNCTIONS_ERR_MAP_FAILED')
  t.match(error.message, /1 of 2 failed; first: beta: too slow/)
  t.same(error.outcomes.map((outcome) => outcome.status), ['timeout', 'value'])
  t.end()
})
