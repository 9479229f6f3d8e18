// The formulas: how long suspicions last, how often news travels, how the knobs relate.

import t from 'tap'
import { fc } from '../../support/property.ts'
import { MEMBERSHIP, dialPauseMs, healChance, healPauseMs, loadPauseMs, observerCount, retransmitLimit, weakSuspicionMaxMs, weakSuspicionMinMs } from '../../../fabric/membership/config.ts'
import { isConfirmedGone, suspicionTimeoutMs } from '../../../fabric/membership/suspicion.ts'

const accusers = (weak: number, strong = 0): { id: string; strong: boolean }[] =>
  Array.from({ length: weak + strong }, (_, i) => ({ id: String(i).padStart(64, '0'), strong: i < strong }))

t.test('confirmations shorten a weak suspicion, never below its minimum', async (t) => {
  fc.assert(fc.property(fc.integer({ min: 3, max: 4_000 }), (members) => {
    const times = [1, 2, 3, 4].map((weak) => suspicionTimeoutMs({ members, accusers: accusers(weak), ownRefusals: 0 }))
    return times.every((ms, i) => (i === 0 ? ms === weakSuspicionMaxMs(members) : ms <= (times[i - 1] as number)) && ms >= weakSuspicionMinMs(members))
      && times[3] === weakSuspicionMinMs(members)
  }))
  t.ok(weakSuspicionMinMs(5) > 2_400 && weakSuspicionMinMs(1_000) < 3_300, 'longer than a stall of 2 s, growing with log n')
})

t.test('strong evidence needs a second word', async (t) => {
  const members = 5
  t.equal(suspicionTimeoutMs({ members, accusers: accusers(0, 2), ownRefusals: 0 }), MEMBERSHIP.strongConfirmMs, 'two witnesses')
  t.equal(suspicionTimeoutMs({ members, accusers: accusers(0, 1), ownRefusals: 2 }), MEMBERSHIP.strongConfirmMs, 'refused twice')
  t.ok(suspicionTimeoutMs({ members, accusers: accusers(0, 1), ownRefusals: 1 }) > 2_000, 'one word is like silence')
  t.notOk(isConfirmedGone({ members, accusers: accusers(4), ownRefusals: 1 }), 'silence never becomes proof')
})

t.test('two members: nobody can confirm, so patience', async (t) => {
  t.equal(suspicionTimeoutMs({ members: 2, accusers: accusers(1), ownRefusals: 0 }), weakSuspicionMaxMs(2))
  t.equal(suspicionTimeoutMs({ members: 2, accusers: accusers(0, 1), ownRefusals: 1 }), MEMBERSHIP.strongConfirmMs, 'but a refusal counts')
})

t.test('sizes', async (t) => {
  t.strictSame([1, 2, 5, 9, 10, 256, 257, 1_000, 4_096].map(observerCount), [0, 1, 4, 8, 6, 6, 9, 9, 9])
  t.strictSame([1, 9, 50, 1_000].map(retransmitLimit), [2, 4, 7, 13])
  t.strictSame([1_000, 30_000, 1e7].map(healPauseMs), [2_000, 3_000, 8_000])
  t.ok(healPauseMs(1e9) + MEMBERSHIP.dialTimeoutMs <= 10_000, 'halves meet within 10 s, however long they were apart')
  t.equal(healChance(500, 500), 1)
  t.ok(healChance(1, 1_000) * 1_000 <= 2, 'a thousand do not hammer one')
  t.strictSame([1, 2, 3, 20].map(dialPauseMs), [250, 500, 1_000, 4_000])
  t.ok(loadPauseMs(1_000) / 1_000 >= loadPauseMs(100) / 1_000, 'what each receives stays the same')
})
