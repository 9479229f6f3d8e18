// Hourly buckets: parts that add up, writes that fail and come again, hours that are too old, what was not written yet.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { createMemoryStore } from '../../../fabric/mod.ts'
import type { LocalStore, StoreChange } from '../../../fabric/mod.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createUsageBook } from '../../../rmo/account/book.ts'
import type { Mark } from '../../../rmo/account/contract.ts'
import { byHour, HOUR_MS, hourOf, sumOf } from '../../../rmo/account/hours.ts'
import { NO_USAGE, ownerOf } from '../../../rmo/mod.ts'

const START_MS = 1_700_000_000_000
const ROW = { owner: 'user:alice', kind: 'VM', id: 'v1', name: 'web1', pool: 'lab' } as const
const markAt = (atMs: number): Mark => ({ boot: 'b', atMs, wallMs: START_MS, running: {}, stored: [] })
const all = { sinceMs: 0, untilMs: Infinity }

t.test('an interval is cut at the hours, and its parts add up', (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.integer({ min: 0, max: 400_000_000 }), fc.integer({ min: 0, max: 1e12 }), (untilMs, lastedMs, amount) => {
    const parts = byHour({ vmMs: lastedMs, memoryMiBMs: amount }, untilMs, lastedMs)
    const sum = parts.reduce((all, { usage }) => sumOf(all, usage), NO_USAGE)
    if (sum.vmMs !== lastedMs || sum.memoryMiBMs !== amount) throw new Error('parts are not the whole')
    for (const { hourMs, usage } of parts) {
      if (hourMs % HOUR_MS !== 0 || (usage.vmMs ?? 0) < 0 || (usage.vmMs ?? 0) > HOUR_MS + 1) throw new Error('no hour has more than an hour')
    }
  }))
  t.end()
})

t.test('buckets and mark go together, again when the disk refused, and survive', async (t) => {
  const clock = new SimClock({ wallStartMs: START_MS })
  const store = createMemoryStore()
  const writes: (readonly StoreChange[])[] = []
  let broken = true
  const flaky: LocalStore = { ...store, get: (key) => store.get(key), range: (options) => store.range(options), async write(changes) { if (broken) throw new Error('disk full'); writes.push(changes); await store.write(changes) } }
  const failures: unknown[] = []
  const book = createUsageBook({ store: flaky, clock, failed: (error) => failures.push(error) })
  t.equal(book.marked, undefined)
  book.add(ROW, { vmMs: 1_000, vcpuMs: 2_000 }, { untilMs: START_MS, lastedMs: 1_000 })
  await book.mark(markAt(1))
  t.equal(failures.length, 1)
  t.match(book.rows(all), [{ ...ROW, vmMs: 1_000, vcpuMs: 2_000, calls: 0 }], 'what is not written is told all the same')
  t.same(createUsageBook({ store, clock }).rows(all), [], 'but not after a crash')
  broken = false
  book.add(ROW, { vmMs: 500 }, { untilMs: START_MS, lastedMs: 500 })
  await book.mark(markAt(2))
  t.same(writes.map((changes) => changes.map(({ key }) => key.split('/')[0])), [['usage', 'usage-mark']], 'one transaction')
  await book.flush()
  t.equal(writes.length, 1, 'nothing changed since')
  const again = createUsageBook({ store, clock })
  t.same(again.marked, markAt(2))
  t.match(again.rows(all), [{ vmMs: 1_500 }])
  again.add({ ...ROW, name: 'renamed' }, { vmMs: 1 }, { untilMs: START_MS, lastedMs: 0 })
  t.match(again.rows(all), [{ name: 'renamed', vmMs: 1_501 }], 'goes on from what stands')
})

t.test('calls are written soon without a tick; hours beyond what is kept go', async (t) => {
  const clock = new SimClock({ wallStartMs: START_MS })
  const store = createMemoryStore()
  const book = createUsageBook({ store, clock })
  const call = { owner: 'user:a/b%c', kind: 'function', id: 'f', name: 'f', pool: '' } as const
  book.add(call, { calls: 1, cpuUs: 7 }, { untilMs: clock.wallMs(), lastedMs: 0 })
  clock.advance(LIMITS.ledgerFlushMs)
  await book.flush()
  t.match(createUsageBook({ store, clock }).rows(all), [{ owner: 'user:a/b%c', calls: 1, cpuUs: 7, hourMs: hourOf(START_MS) }])
  t.same(book.rows({ sinceMs: START_MS + 2 * HOUR_MS, untilMs: Infinity }), [])
  clock.advance((LIMITS.accountDaysKept + 1) * 24 * HOUR_MS)
  book.add(call, { calls: 1 }, { untilMs: clock.wallMs(), lastedMs: 0 })
  await book.flush()
  t.equal(store.range({ prefix: 'usage/', limit: 10 }).length, 1)
  t.equal(book.rows(all).length, 1)
})

t.test('whose it is', (t) => {
  for (const [principal, owner] of [
    ['user:alice', 'user:alice'], ['user:alice/vm:read+vm:start', 'user:alice'], ['local:0/tenant', 'local:0'], ['fn:web@0123456789ab#7/user:bob', 'user:bob'], ['system:agent', 'system:agent'],
    ['user:Alice', 'unknown'], ['', 'unknown'], [undefined, 'unknown'],
  ] as const) t.equal(ownerOf(principal), owner, principal ?? 'nobody')
  t.end()
})
