// The simulation of objects in its short form: storms of verbs on three simulated hosts on virtual time, with and without
// faults, and what must hold afterwards. Longer: `node test/sim/objects.ts --seeds 1000`.

import t from 'tap'
import { runObjects } from './objects-world.ts'
import type { ObjectsOptions, ObjectsRun } from './objects-world.ts'

function holds(title: string, seeds: readonly number[], options: ObjectsOptions): void {
  t.test(title, async (t) => {
    const runs: ObjectsRun[] = []
    for (const seed of seeds) {
      const run = await runObjects(seed, options)
      runs.push(run)
      if (run.violations.length > 0) t.fail(`seed ${seed}: ${run.violations.join('; ')} (node test/sim/objects.ts --seed ${seed} --trace)`)
    }
    const total = (what: 'done' | 'refused'): number => runs.reduce((sum, run) => sum + run[what], 0)
    t.ok(total('done') > seeds.length * 20, `${total('done')} verbs done, ${total('refused')} refused`)
  })
}
const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1)

holds('verbs side by side', upTo(6), { faults: false })
// Seeds that found something once: a repeated add after a migration, a clone elsewhere whose answer was lost, a name kept for a VM that never came.
holds('the same with refused and stalled calls, lost connections and answers, crashes, cut links and restarts', [...upTo(6), 26, 34, 38, 44, 76, 123, 131, 133], {})
holds('one host', upTo(3), { hosts: 1, operations: 60 })

t.test('the same seed is the same run', async (t) => {
  const [one, again, other] = [await runObjects(7), await runObjects(7), await runObjects(8)]
  t.same(again, one)
  t.not(other.traceHash, one.traceHash)
})
