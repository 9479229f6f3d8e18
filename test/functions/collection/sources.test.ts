// What a source may be: told at once, before anything is sent.

import { test } from 'tap'
import { collectionFrom, collectionOf } from '../../../functions/collection/collection.ts'
import type { Session } from '../../../functions/collection/session.ts'

/** No source that is refused gets as far as its session. */
const session = { defaults: {}, globals: {} } as unknown as Session

test('from() takes what can be iterated', (t) => {
  for (const bad of [5, null, undefined, {}, true]) t.throws(() => collectionFrom(session, bad as unknown as Iterable<unknown>), { code: 'FUNCTIONS_ERR_NOT_ITERABLE' })
  for (const good of [[], 'text', new Set(), (function* () { yield 1 })(), (async function* () { yield 1 })()]) t.doesNotThrow(() => collectionFrom(session, good as Iterable<unknown>))
  t.end()
})

test('range() takes finite numbers and a step', (t) => {
  const range = (from: number, to: number, step: number): unknown => collectionOf(session, { type: 'range', from, to, step })
  for (const [from, to, step] of [[0, NaN, 1], [0, Infinity, 1], [0, 1, 0], [NaN, 1, 1]] as const) t.throws(() => range(from, to, step), { code: 'FUNCTIONS_ERR_BAD_RANGE' })
  t.doesNotThrow(() => range(0, -5, 1))
  t.end()
})
