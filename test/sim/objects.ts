// Command line of the simulation of objects:
//
//   node test/sim/objects.ts                                one seed, with faults
//   node test/sim/objects.ts --seed 17 --operations 200     a seed again
//   node test/sim/objects.ts --seed 17 --trace              and what happened in it
//   node test/sim/objects.ts --seeds 500                    seeds 1 to 500
//
// Prints one JSON line a run. Same seed and options: same trace hash. Exit code 1 on a violation.

import { parseArgs } from 'node:util'
import { runObjects } from './objects-world.ts'

const { values } = parseArgs({ options: {
  seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' }, hosts: { type: 'string', default: '3' }, operations: { type: 'string', default: '60' }, calm: { type: 'boolean', default: false }, trace: { type: 'boolean', default: false },
} })
const first = Number(values.seed)
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const startedMs = performance.now()
  const { trace, ...run } = await runObjects(seed, { hosts: Number(values.hosts), operations: Number(values.operations), faults: !values.calm })
  console.log(JSON.stringify({ ...run, wallMs: Math.round(performance.now() - startedMs) }))
  if (values.trace) for (const line of trace) console.error(line)
  if (run.violations.length === 0) continue
  process.exitCode = 1
  console.error(`seed ${seed} fails; replay: node test/sim/objects.ts --seed ${seed} --hosts ${values.hosts} --operations ${values.operations}${values.calm ? ' --calm' : ''}`)
}
