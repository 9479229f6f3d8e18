// Singletons under 1,000 forced failovers on virtual time: never two acting in one epoch, never an old epoch after a new one,
// and nobody missing for longer than a lease and its margins. Longer: `node test/sim/singletons.ts --seeds 100 --failovers 100`.

import t from 'tap'
import { runSingletons } from './singletons-world.ts'
import type { SingletonsOptions, SingletonsRun } from './singletons-world.ts'

// A tenth of that on a quiet machine.
t.setTimeout(120_000)

async function runs(seeds: readonly number[], options: SingletonsOptions): Promise<SingletonsRun[]> {
  const all: SingletonsRun[] = []
  for (const seed of seeds) all.push(await runSingletons(seed, options))
  return all
}
const total = (all: readonly SingletonsRun[], what: 'failovers' | 'effects' | 'refused'): number => all.reduce((sum, run) => sum + run[what], 0)

t.test('1,000 forced failovers: killed, stopped and woken, cut off, slowed down, shut down, clocks set', async (t) => {
  const all = [...await runs([1, 2, 3, 4, 5], { failovers: 100, functions: 2 }), ...await runs([6, 7, 8, 9, 10], { failovers: 100, functions: 2, nodes: 5 })]
  for (const { seed, violations } of all) t.same(violations, [], `seed ${seed}`)
  t.equal(total(all, 'failovers'), 1_000)
  t.ok(total(all, 'effects') > 10_000, `${total(all, 'effects')} effects`)
  t.ok(total(all, 'refused') > 100, `${total(all, 'refused')} were refused: the fence is needed`)
})

t.test('on purpose wrong: without the check where effects land, the simulation is red', async (t) => {
  const [run] = await runs([1], { failovers: 30, broken: 'no check' })
  t.ok((run?.violations.length ?? 0) > 0)
})

t.test('on purpose wrong: without settling, a late answer lets an old epoch act after a new one', async (t) => {
  const all = await runs([1, 2, 3, 4, 5, 6], { failovers: 50, broken: 'no settling' })
  t.ok(all.some(({ violations }) => violations.some((text) => text.includes(' after keeper'))))
})

t.test('the same seed is the same run', async (t) => {
  const [one, again, other] = [await runSingletons(7, { failovers: 10 }), await runSingletons(7, { failovers: 10 }), await runSingletons(8, { failovers: 10 })]
  t.same(again, one)
  t.not(other.traceHash, one.traceHash)
})
