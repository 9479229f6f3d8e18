// Timer triggers as a pure core: catching up once, the grid, overlaps, clocks that are set, summer time.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { cronProblem, cronTimes, TimerCore } from '../../../functions/mod.ts'
import type { Fired, Schedule, Verdict } from '../../../functions/mod.ts'

const WALL = Date.parse('2026-06-01T00:00:00Z')
const every = (everyMs: number): Schedule => ({ type: 'every', everyMs })
const cron = (pattern: string, timezone = 'UTC'): Schedule => ({ type: 'cron', times: cronTimes(pattern, timezone) })
const firedAt = (atMs: number, more: Partial<Fired> = {}): Fired => ({ atMs, epoch: 1, attempt: 1, done: true, ...more })

interface Scene { readonly schedule: Schedule; readonly last?: Fired; readonly epoch?: number; readonly wallMs?: number }
/** A core with a monotonic and a wall clock that are moved by hand. */
function scene({ schedule, last, epoch = 1, wallMs = WALL }: Scene) {
  let nowMs = 1_000
  let wall = wallMs
  const core = new TimerCore({ schedule, last, epoch, attemptsMax: 3, now: { nowMs, wallMs: wall } })
  return {
    core,
    look: (running = false): Verdict => core.look({ nowMs, wallMs: wall }, running),
    pass(ms: number) { nowMs += ms; wall += ms },
    setWall(ms: number) { wall = ms },
    wall: () => wall,
  }
}
const fires = (verdict: Verdict): Fired => {
  if (verdict.do !== 'fire') throw new Error(`expected to fire, got ${JSON.stringify(verdict)}`)
  return verdict.fired
}

t.test('every: the first tick is due at once, the next one period later', async (t) => {
  const { look, pass } = scene({ schedule: every(5_000) })
  t.equal(fires(look()).attempt, 1)
  t.same(look(), { do: 'wait', ms: 5_000 })
  pass(4_999)
  t.same(look(), { do: 'wait', ms: 1 })
  pass(1)
  t.equal(look().do, 'fire')
})

t.test('every: a new holder goes on where the old one stopped', async (t) => {
  const { look, pass } = scene({ schedule: every(5_000), last: firedAt(WALL - 2_000), epoch: 2 })
  t.same(look(), { do: 'wait', ms: 3_000 })
  pass(3_000)
  t.equal(fires(look()).epoch, 2)
})

t.test('every: a hundred missed ticks make one, then the grid goes on', async (t) => {
  const { look, pass } = scene({ schedule: every(5_000) })
  fires(look())
  pass(100 * 5_000 + 1_200)
  const verdict = look()
  t.match(verdict, { do: 'fire', missed: 99 })
  t.same(look(), { do: 'wait', ms: 3_800 }, 'the next one is on the grid')
})

t.test('every: while one runs ticks are left out and counted, never queued', async (t) => {
  const { look, pass } = scene({ schedule: every(1_000) })
  fires(look())
  pass(1_000)
  t.same(look(true), { do: 'skip', skipped: 1 })
  pass(3_500)
  t.same(look(true), { do: 'skip', skipped: 3 })
  t.same(look(false), { do: 'wait', ms: 500 })
})

t.test('every: no clock that is set stops it or makes it race', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.option(fc.integer({ min: -1e10, max: 1e10 }))), { minLength: 1, maxLength: 60 }), fc.option(fc.integer({ min: -1e10, max: 1e10 })), (steps, lastAgoMs) => {
    const everyMs = 5_000
    const { look, pass, setWall, wall } = scene({ schedule: every(everyMs), ...(lastAgoMs === null ? {} : { last: firedAt(WALL - lastAgoMs) }) })
    let passedMs = 0, count = 0
    const settle = (): void => {
      let verdict = look()
      if (verdict.do === 'fire') { count++; verdict = look() }
      // Never twice at one moment, and never further away than one period.
      if (verdict.do !== 'wait' || verdict.ms > everyMs) throw new Error(JSON.stringify(verdict))
    }
    settle()
    for (const [ms, jumpMs] of steps) {
      pass(ms)
      passedMs += ms
      if (jumpMs !== null) setWall(wall() + jumpMs)
      settle()
    }
    return count <= passedMs / everyMs + 1
  }))
  t.end()
})

t.test('cron: fires at its times, and a new trigger does not catch up on times before it was there', async (t) => {
  const { look, pass, core } = scene({ schedule: cron('0 3 * * *') })
  t.same(core.baseline, { atMs: WALL, epoch: 1, attempt: 0, done: true })
  t.same(look(), { do: 'wait', ms: 30_000 }, 'it looks at the clock now and then')
  pass(3 * 3_600_000 - 10)
  t.same(look(), { do: 'wait', ms: 10 })
  pass(10)
  t.equal(fires(look()).atMs, Date.parse('2026-06-01T03:00:00Z'))
  t.equal(look().do, 'wait')
})

t.test('cron: what was missed is made up for by one run, of the latest time', async (t) => {
  const few = scene({ schedule: cron('0 * * * *'), last: firedAt(WALL - 10 * 3_600_000), epoch: 2, wallMs: WALL + 1_000 })
  const verdict = few.look()
  t.match(verdict, { do: 'fire', missed: 9 })
  t.equal(fires(verdict).atMs, WALL)
  const many = scene({ schedule: cron('* * * * * *'), last: firedAt(WALL - 86_400_000), epoch: 2 })
  t.match(many.look(), { do: 'fire', missed: 100 }, 'more than a hundred are not counted one by one')
  t.same(many.look(), { do: 'wait', ms: 1_000 })
})

t.test('cron: a wall clock that is set back fires no time twice; set forward, one run', async (t) => {
  const { look, pass, setWall } = scene({ schedule: cron('0 * * * *') })
  pass(3_600_000)
  t.equal(look().do, 'fire')
  setWall(WALL + 1_800_000)
  pass(1_800_000)
  t.equal(look().do, 'wait', 'the same hour comes again')
  pass(3_600_000)
  t.equal(look().do, 'fire', 'the next one is new')
  setWall(WALL + 400 * 86_400_000)
  t.equal(look().do, 'fire')
  t.equal(look().do, 'wait')
  // The clock was wrong by a year: it does not stand still for one.
  setWall(WALL + 7_200_000)
  t.equal(look().do, 'wait')
  pass(3_600_000)
  t.equal(look().do, 'fire')
})

t.test('cron: a time whose holder died in its midst is begun again, but not for ever', async (t) => {
  const broken = scene({ schedule: cron('0 * * * *'), last: firedAt(WALL, { done: false, attempt: 1 }), epoch: 2, wallMs: WALL + 5_000 })
  t.match(fires(broken.look()), { atMs: WALL, epoch: 2, attempt: 2, done: false })
  t.equal(broken.look().do, 'wait')
  const worn = scene({ schedule: cron('0 * * * *'), last: firedAt(WALL, { done: false, attempt: 3 }), epoch: 2, wallMs: WALL + 5_000 })
  t.equal(worn.look().do, 'wait')
  const own = scene({ schedule: cron('0 * * * *'), last: firedAt(WALL, { done: false, attempt: 1 }), epoch: 1, wallMs: WALL + 5_000 })
  t.equal(own.look().do, 'wait', 'of this very reign: it runs')
})

/** Times from `from` on, hour by hour looked at, until `count` were fired. */
function times(pattern: string, timezone: string, from: string, count: number): string[] {
  const { look, pass } = scene({ schedule: cron(pattern, timezone), wallMs: Date.parse(from) })
  const found: string[] = []
  for (let i = 0; i < 10_000 && found.length < count; i++) {
    const verdict = look()
    if (verdict.do === 'fire') found.push(new Date(verdict.fired.atMs).toISOString().slice(0, 16))
    else pass(verdict.do === 'wait' ? verdict.ms : 0)
  }
  return found
}

t.test('cron: summer time', async (t) => {
  // 02:30 does not exist on 29 March 2026 in Paris: it runs once, at the end of the gap (03:00 there).
  t.same(times('30 2 * * *', 'Europe/Paris', '2026-03-28T12:00Z', 3), ['2026-03-29T01:00', '2026-03-30T00:30', '2026-03-31T00:30'])
  // 02:30 comes twice on 25 October 2026: it runs once, the first time.
  t.same(times('30 2 * * *', 'Europe/Paris', '2026-10-24T12:00Z', 3), ['2026-10-25T00:30', '2026-10-26T01:30', '2026-10-27T01:30'])
  t.same(times('30 2,3 * * *', 'Europe/Paris', '2026-10-24T12:00Z', 2), ['2026-10-25T00:30', '2026-10-25T02:30'])
  // One with a wildcard goes on by real time.
  t.same(times('0 * * * *', 'Europe/Paris', '2026-10-24T23:30Z', 4), ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00', '2026-10-25T03:00'])
  t.same(times('0 12 * * *', 'America/New_York', '2026-06-01T00:00Z', 1), ['2026-06-01T16:00'])
})

t.test('cron: each occurrence at most once, in order, whatever the clock does', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4_000_000 }), fc.option(fc.integer({ min: -3_600_000 * 20, max: 3_600_000 * 20 }), { freq: 4 }), fc.boolean()), { maxLength: 80 }), (steps) => {
    const { look, pass, setWall, wall } = scene({ schedule: cron('*/15 * * * *') })
    // Never back by more than a day: that is another test's.
    let newest = WALL, highest = WALL
    for (const [ms, jumpMs, running] of steps) {
      pass(ms)
      if (jumpMs !== null) setWall(Math.max(highest - 80_000_000, wall() + jumpMs))
      highest = Math.max(highest, wall())
      const verdict = look(running)
      if (verdict.do !== 'fire') continue
      if (verdict.fired.atMs <= newest || verdict.fired.atMs > wall()) throw new Error('fired again, or before its time')
      newest = verdict.fired.atMs
    }
    return true
  }), { numRuns: 60 })
  t.end()
})

t.test('patterns that are none', async (t) => {
  t.equal(cronProblem('*/5 * * * *', 'UTC'), undefined)
  t.equal(cronProblem('0 0 3 * * MON', 'Europe/Paris'), undefined)
  t.equal(cronProblem('@daily', 'UTC'), undefined)
  for (const [pattern, timezone] of [['61 * * * *', 'UTC'], ['* * *', 'UTC'], ['', 'UTC'], ['2026-01-01T00:00:00', 'UTC'], ['@reboot', 'UTC'], ['0 3 * * *', 'Mars/Olympus'], ['a b c d e', 'UTC']] as const) {
    t.type(cronProblem(pattern, timezone), 'string', `${pattern} in ${timezone}`)
  }
})
