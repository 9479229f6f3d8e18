// The short form of the wire fuzzers (fixed seeds); test/fuzz/run.ts runs them for longer.

import { test } from 'tap'
import { WIRE_TARGETS } from './wire-targets.ts'

const SEEDS = 8

for (const [name, target] of Object.entries(WIRE_TARGETS)) {
  test(name, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        await target(seed)
      } catch (error) {
        t.fail(`node test/fuzz/run.ts --target ${name} --seed ${seed}: ${String((error as Error).stack)}`)
      }
    }
    t.pass(`${SEEDS} seeds`)
  })
}
