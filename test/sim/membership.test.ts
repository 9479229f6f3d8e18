// The membership simulation in its short form: every scenario, more than fifty seeds, virtual minutes
// in seconds. Longer runs: `node test/sim/membership.ts --faults chaos --seeds 1000`.

import t from 'tap'
import * as scenarios from './membership-scenarios.ts'
import type { Result } from './membership-scenarios.ts'

const MINUTE_MS = 60_000

/** Runs one scenario over seeds; a failure names the seed. */
function holds(title: string, seeds: number, run: (seed: number) => Result, figures: (results: Result[]) => string = () => ''): void {
  t.test(title, async (t) => {
    const results = Array.from({ length: seeds }, (_, i) => run(i + 1))
    for (const result of results) if (result.violations.length > 0) t.fail(`seed ${result.seed}, ${result.members} members: ${result.violations.join('; ')}`)
    t.pass(`${seeds} seeds ${figures(results)}`)
  })
}

const spread = (name: string) => (results: Result[]): string => {
  const sorted = results.map((result) => result.figures[name] as number).sort((a, b) => a - b)
  return `${name}: median ${Math.round(sorted[sorted.length >> 1] as number)}, most ${Math.round(sorted.at(-1) as number)}`
}

holds('a killed process is known to all 5 within 2 s', 50, (seed) => scenarios.crash(seed, 5, 'kill'), spread('knownMs'))
holds('a silent host is known to all 5 within 5 s', 50, (seed) => scenarios.crash(seed, 5, 'powerOff'), spread('knownMs'))
holds('a killed process is known to all 50', 5, (seed) => scenarios.crash(seed, 50, 'kill'), spread('knownMs'))
holds('a silent host is known to all 50 within 5 s', 5, (seed) => scenarios.crash(seed, 50, 'powerOff'), spread('knownMs'))
holds('a leave is known to all 50 within 1 s', 5, (seed) => scenarios.leave(seed, 50), spread('knownMs'))
holds('no false death: 5 members, 10 minutes, 5 % loss, one stalled 2 s at a time', 4, (seed) => scenarios.quiet(seed, 5, 10 * MINUTE_MS, 0.05, 2_000), spread('suspicionsSeen'))
holds('no false death: 50 members, 2 minutes (ten by command), 5 % loss, one stalled 2 s at a time', 1, (seed) => scenarios.quiet(seed, 50, 2 * MINUTE_MS, 0.05, 2_000), spread('suspicionsSeen'))
holds('storm: 3 of 30 stalled 8 s every 20 s, nobody healthy is called dead', 3, (seed) => scenarios.storm(seed, 30, 3, 8_000, 20_000, 2 * MINUTE_MS), spread('stalledCalledDead'))
holds('halves heal into one view within 10 s', 6, (seed) => scenarios.partition(seed, 5 + 3 * seed, 'halves', 20_000), spread('healMs'))
holds('a one-way cut kills nobody', 6, (seed) => scenarios.partition(seed, 5 + 3 * seed, 'one-way', 20_000), spread('healMs'))
holds('a bridge cut heals within 10 s', 6, (seed) => scenarios.partition(seed, 5 + 3 * seed, 'bridge', 20_000), spread('healMs'))
holds('50 join at once through one seed', 2, (seed) => scenarios.joins(seed, 50), spread('joinMs'))
holds('a flapping member settles', 6, (seed) => scenarios.flapping(seed, 4 + seed, 6), spread('settleMs'))
holds('random faults, then one view', 60, (seed) => scenarios.chaos(seed, 3 + (seed % 12), MINUTE_MS, seed % 10 === 0), spread('settleMs'))

t.test('traffic grows at most with log n', async (t) => {
  const small = scenarios.traffic(1, 10).figures, large = scenarios.traffic(1, 300).figures
  const growth = (large['bytesPerSecond'] as number) / (small['bytesPerSecond'] as number)
  t.ok(growth <= Math.log2(300) / Math.log2(10), `bytes grow ${growth.toFixed(2)} times from 10 to 300 members, log2 ${(Math.log2(300) / Math.log2(10)).toFixed(2)} times`)
})

t.test('same seed, same run', async (t) => {
  t.equal(scenarios.chaos(17, 9, MINUTE_MS).traceHash, scenarios.chaos(17, 9, MINUTE_MS).traceHash)
  t.not(scenarios.chaos(17, 9, MINUTE_MS).traceHash, scenarios.chaos(18, 9, MINUTE_MS).traceHash)
})
