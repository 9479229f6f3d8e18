import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import type { HaTimings } from '../../../kali/cloud/contract.ts'
import { TIMINGS, checkTimings, worstCaseMs } from '../../../kali/lease/timings.ts'

const refused = (timings: HaTimings): string => {
  try {
    checkTimings(timings)
    return ''
  } catch (error) {
    return `${errorCode(error)} ${(error as Error).message}`
  }
}
const custom = (change: Partial<HaTimings>): HaTimings => ({ ...TIMINGS.fast, preset: 'custom', ...change })

test('the presets are safe, and say how long a restart takes at the worst', async (t) => {
  t.equal(checkTimings(TIMINGS.fast), TIMINGS.fast)
  t.equal(checkTimings(TIMINGS.calm), TIMINGS.calm)
  t.ok(worstCaseMs(TIMINGS.fast) <= 25_000, 'issue 5: at most 25 s')
})

test('what is unsafe is refused, with the side that is too large and what to change', async (t) => {
  const cases: readonly (readonly [Partial<HaTimings>, RegExp])[] = [
    [{ leaseMs: 16_000 }, /giveUpMs \+ max\(killMs, watchdogMs\) \+ slackMs is 16000, not less than leaseMs, which is 16000.*larger than 16000/],
    [{ watchdogMs: 10_000 }, /is 20000, not less than leaseMs/],
    [{ renewMs: 3_000 }, /3 x renewMs is 9000, more than giveUpMs, which is 8000.*each 2666 ms/],
    [{ renewMs: 8_000, giveUpMs: 24_000, killMs: 4_000, watchdogMs: 5_000, leaseMs: 35_000 }, /giveUpMs \+ killMs \+ slackMs \+ renewMs is 38000/],
    [{ slackMs: 0 }, /slackMs must be milliseconds above 0/],
    [{ killMs: Number.NaN }, /killMs must be/],
    [{ leaseMs: 1e12 }, /the global store grants leases/],
  ]
  for (const [change, says] of cases) t.match(refused(custom(change)), new RegExp(`^KALI_ERR_TIMINGS_UNSAFE .*${says.source}`), JSON.stringify(change))
  t.equal(refused(custom({ leaseMs: 16_001 })), '')
})

test('property: what passes keeps both rules', async () => {
  const ms = fc.integer({ min: 1, max: 60_000 })
  fc.assert(fc.property(fc.record({ renewMs: ms, giveUpMs: ms, killMs: ms, watchdogMs: ms, slackMs: ms, leaseMs: ms }), (times) => {
    if (refused({ preset: 'custom', ...times }) !== '') return true
    const { renewMs: R, giveUpMs: F, killMs: K, watchdogMs: W, slackMs: S, leaseMs: L } = times
    return F + Math.max(K, W) + S < L && 3 * R <= F && F + K + S + R < L
  }), { numRuns: 2_000 })
})
