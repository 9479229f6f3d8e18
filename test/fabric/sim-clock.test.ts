// The virtual clock: order, cancellation, timers set by timers, promises between them.

import { fc } from '../support/property.ts'
import { test } from 'tap'
import { SimClock, createSimClock } from '../../fabric/sim-clock.ts'

test('timers fire in order of time, then of setting, at their own moment', (t) => {
  fc.assert(fc.property(fc.array(fc.record({ delayMs: fc.integer({ min: 0, max: 50 }), cancelled: fc.boolean() }), { maxLength: 60 }), (timers) => {
    const clock = new SimClock()
    const fired: { delayMs: number; index: number }[] = []
    timers.forEach(({ delayMs, cancelled }, index) => {
      const timer = clock.after(delayMs, () => {
        t.equal(clock.nowMs(), delayMs)
        fired.push({ delayMs, index })
      })
      if (cancelled) { timer.cancel(); timer.cancel() }
    })
    const kept = timers.map(({ delayMs, cancelled }, index) => ({ delayMs, index, cancelled })).filter(({ cancelled }) => !cancelled)
    t.equal(clock.pending, kept.length)
    clock.advance(100)
    t.strictSame(fired, kept.map(({ delayMs, index }) => ({ delayMs, index })).sort((a, b) => a.delayMs - b.delayMs || a.index - b.index))
    t.equal(clock.pending, 0)
    t.equal(clock.nowMs(), 100)
  }), { numRuns: 50 })
  t.end()
})

test('timers set by timers fire within the same span when they fall due in it', (t) => {
  const clock = createSimClock({ startMs: 1_000, wallStartMs: 5_000 })
  const at: number[] = []
  const tick = (): void => { at.push(clock.nowMs()); if (at.length < 100) clock.after(10, tick) }
  clock.after(10, tick)
  clock.runUntil(1_035)
  t.strictSame(at, [1_010, 1_020, 1_030])
  t.equal(clock.nextDueMs, 1_040)
  t.equal(clock.wallMs(), 5_035)
  t.throws(() => clock.runUntil(5), /broken invariant/)
  t.end()
})

test('settle lets promises run between timers', async (t) => {
  const clock = new SimClock()
  const log: string[] = []
  const sleep = (ms: number): Promise<void> => new Promise((done) => clock.after(ms, done))
  const walk = async (name: string): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await sleep(10)
      log.push(`${name}${clock.nowMs()}`)
    }
  }
  void walk('a')
  void walk('b')
  await clock.settle(30)
  t.strictSame(log, ['a10', 'b10', 'a20', 'b20', 'a30', 'b30'])
})
