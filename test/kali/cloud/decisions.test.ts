// Decisions: newest first, by what they are about, bounded per pool, never in the way.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { CLOUD_KEYS, decisionKey } from '../../../kali/cloud/keys.ts'
import type { DecisionRecord } from '../../../kali/cloud/records.ts'
import { cloudNodes } from '../../support/cloud-book.ts'

const decision = (at: number, change: Partial<DecisionRecord> = {}): DecisionRecord => ({ id: `d${at}`, pool: 'p1', policy: 'kali-ha', atMs: 1_800_000_000_000 + at, about: ['a'], action: 'place', reason: 'because', outcome: 'done', ...change })

t.test('newest first, whoever wrote them and however close together', async (t) => {
  const [{ book }, other] = await cloudNodes(t, 2)
  for (let at = 0; at < 6; at++) await (at % 2 === 0 ? book : other!.book).decided(decision(at, { about: at < 3 ? ['a', 'g'] : ['b'] }))
  t.same((await book.decisions('p1')).map(({ id }) => id), ['d5', 'd4', 'd3', 'd2', 'd1', 'd0'])
  t.same((await book.decisions('p1', { limit: 2 })).map(({ id }) => id), ['d5', 'd4'])
  t.same((await book.decisions('p1', { about: 'g', limit: 2 })).map(({ id }) => id), ['d2', 'd1'])
  t.same(await book.decisions('p2'), [])
  for (let at = 0; at < 3; at++) await book.decided(decision(9, { id: `same${at}` }))
  t.same((await book.decisions('p1', { limit: 3 })).map(({ id }) => id), ['same2', 'same1', 'same0'], 'of one moment: as they were written')
})

t.test('the oldest go, and only those', async (t) => {
  const [{ book, store }] = await cloudNodes(t)
  const count = LIMITS.decisionsKept + 3 * LIMITS.decisionsPruneEach
  for (let at = 0; at < count; at++) await book.decided(decision(at))
  const kept = (await book.decisions('p1', { limit: 2 * count })).map(({ id }) => id)
  t.ok(kept.length >= LIMITS.decisionsKept && kept.length < LIMITS.decisionsKept + LIMITS.decisionsPruneEach, `${kept.length} are kept`)
  t.same(kept, Array.from({ length: kept.length }, (_, at) => `d${count - 1 - at}`))
  t.equal((await store.range(CLOUD_KEYS.decisionsOf('p1'))).entries.length, kept.length)
})

t.test('what cannot be written is logged, and what cannot be read is left out', async (t) => {
  const [{ book, store, warnings }] = await cloudNodes(t)
  await book.decided(decision(1, { reason: 'x'.repeat(LIMITS.cloudRecordBytesMax + 1) }))
  t.match(warnings, [/could not be written/])
  await store.transact({ then: [{ do: 'put', key: decisionKey('p1', 5, 0, 'x'), value: new TextEncoder().encode('{') }] })
  await book.decided(decision(2))
  t.same((await book.decisions('p1')).map(({ id }) => id), ['d2'])
  await store.close()
  await book.decided(decision(3))
  t.equal(warnings.filter((warning) => warning.includes('could not be written')).length, 2)
})
