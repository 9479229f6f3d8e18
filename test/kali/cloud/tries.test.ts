// Tries of a VM: whoever tries, and however long it goes on, no window has more of them than are allowed.

import t from 'tap'
import fc from 'fast-check'
import { triesNow, withTry } from '../../../kali/cloud/tries.ts'
import type { IntentRecord } from '../../../kali/cloud/contract.ts'

const WINDOW_MS = 1_000

t.test('those of a window that is over do not count, and the next one begins a window of its own', async (t) => {
  const tries = { restarts: 2, relocations: 1, sinceMs: 500 }
  t.equal(triesNow(tries, WINDOW_MS, 1_500), tries, 'its last moment')
  t.same(triesNow(tries, WINDOW_MS, 1_501), { restarts: 0, relocations: 0, sinceMs: 1_501 })
  t.same(withTry(tries, 'restarts', WINDOW_MS, 1_501), { restarts: 1, relocations: 0, sinceMs: 1_501 })
  t.same(withTry(tries, 'restarts', WINDOW_MS, 900), { restarts: 3, relocations: 1, sinceMs: 500 })
  t.same(withTry({ restarts: 0, relocations: 0, sinceMs: 500 }, 'relocations', WINDOW_MS, 900), { restarts: 0, relocations: 1, sinceMs: 900 }, 'the first begins it')
  t.equal(triesNow(tries, WINDOW_MS, 0), tries, 'a clock that was set back gives nothing')
})

t.test('never more in a window than allowed', async (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 700 }), fc.constantFrom('restarts' as const, 'relocations' as const)), { maxLength: 100 }), fc.integer({ min: 1, max: 3 }), (steps, most) => {
    let tries: IntentRecord['tries'] = { restarts: 0, relocations: 0, sinceMs: 0 }, nowMs = 10_000
    const done: { readonly of: 'restarts' | 'relocations'; readonly windowMs: number }[] = []
    for (const [waitMs, of] of steps) {
      nowMs += waitMs
      if (triesNow(tries, WINDOW_MS, nowMs)[of] >= most) continue
      tries = withTry(tries, of, WINDOW_MS, nowMs)
      done.push({ of, windowMs: tries.sinceMs })
    }
    for (const { of, windowMs } of done) if (done.filter((each) => each.of === of && each.windowMs === windowMs).length > most) return false
    const windows = [...new Set(done.map(({ windowMs }) => windowMs))]
    return windows.every((at, i) => i === 0 || at - (windows[i - 1] ?? 0) > WINDOW_MS)
  }))
})
