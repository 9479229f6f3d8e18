// Chunk sizes: bounded, growing no faster than measured, never zero.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { chunkSize, measure, RateBook } from '../../../functions/plan/chunking.ts'

test('an unknown function starts with one element', (t) => {
  t.equal(chunkSize(undefined, 1e6, 8), 1)
  t.end()
})

test('sizes stay within the rest, the cap and the growth limit', (t) => {
  fc.assert(fc.property(
    fc.double({ min: 0, max: 1e4, noNaN: true }), fc.double({ min: 0, max: 1e7, noNaN: true }), fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 64 }),
    (msPerItem, bytesPerItem, largestChunk, remaining, lanes) => {
      const size = chunkSize({ msPerItem, bytesPerItem, largestChunk }, remaining, lanes, 65_536)
      return Number.isInteger(size) && size >= 1 && size <= remaining && size <= Math.max(1, Math.min(65_536, largestChunk * 8))
    }))
  t.end()
})

test('a heavy element travels alone, a light one in company', (t) => {
  t.equal(chunkSize(measure(undefined, 1, 1000, 10), 1000, 2), 1)
  let rate = measure(undefined, 1, 0.001, 8)
  for (let size = 1; size < 10_000; size = chunkSize(rate, Infinity, 2)) rate = measure(rate, size, size * 0.001, size * 8)
  t.ok(chunkSize(rate, Infinity, 2) > 10_000)
  t.end()
})

test('the book of rates forgets the least recently set', (t) => {
  const book = new RateBook(2)
  const rate = measure(undefined, 1, 1, 1)
  book.set('a', rate)
  book.set('b', rate)
  book.set('a', rate)
  book.set('c', rate)
  t.ok(book.get('a'))
  t.equal(book.get('b'), undefined)
  t.end()
})
