// Results that do not fit into one message fail by themselves.

import { test } from 'tap'
import type { ResultRun } from '../../../functions/contract.ts'
import { fitting } from '../../../functions/plan/executor.ts'

const run = (from: number, bytes: number): ResultRun => ({ from, count: 1, outputs: 1, values: new Uint8Array(bytes) })

test('only what does not fit fails, and what comes after it may still fit', (t) => {
  const told = fitting([run(0, 60), run(1, 60), run(2, 40)], 100)
  t.match(told, [{ from: 0, outputs: 1 }, { from: 1, count: 1, failure: { status: 'error', error: { code: 'FUNCTIONS_ERR_RESULTS_TOO_LARGE' }, mayHaveRun: true } }, { from: 2, outputs: 1 }])
  t.same(fitting([run(0, 60)], 100), [run(0, 60)])
  t.end()
})
