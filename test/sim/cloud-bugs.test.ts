// Safety bugs, planted one at a time, are each found within a few seeds: the simulation can see what it is there to see.

import t from 'tap'
import { PLANTED } from './cloud-bugs.ts'
import { runCloud } from './cloud-world.ts'

t.setTimeout(600_000)
const SEEDS_MAX = 15

for (const { name, breaks, seams = {}, run, caughtBy } of PLANTED) {
  t.test(`${name} (${breaks})`, async (t) => {
    let found: string | undefined, seed = 0
    while (found === undefined && ++seed <= SEEDS_MAX) {
      const { violations } = await runCloud(seed, { ...run, seams, quietMs: 0 })
      found = violations.find((text) => caughtBy.test(text))
    }
    t.ok(found, found === undefined ? `not caught in ${SEEDS_MAX} seeds` : `seed ${seed}: ${found}`)
  })
}
