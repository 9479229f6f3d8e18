// Command line of the simulation of singletons:
//
//   node test/sim/singletons.ts                               one seed, 50 forced failovers
//   node test/sim/singletons.ts --failovers 1000 --nodes 5
//   node test/sim/singletons.ts --seed 17 --trace             a seed again, and what happened in it
//   node test/sim/singletons.ts --broken "no check"           on purpose wrong: it must find something
//
// Prints one JSON line a run. Same seed and options: same trace hash. Exit code 1 on a violation.

import { parseArgs } from 'node:util'
import { runSingletons } from './singletons-world.ts'

const { values } = parseArgs({ options: {
  seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' }, nodes: { type: 'string', default: '3' }, failovers: { type: 'string', default: '50' }, broken: { type: 'string' }, trace: { type: 'boolean', default: false },
} })
const broken = values.broken === 'no check' || values.broken === 'no settling' ? { broken: values.broken } as const : {}
const first = Number(values.seed)
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const startedMs = performance.now()
  const { trace, ...run } = await runSingletons(seed, { nodes: Number(values.nodes), failovers: Number(values.failovers), ...broken })
  console.log(JSON.stringify({ ...run, wallMs: Math.round(performance.now() - startedMs) }))
  if (values.trace) for (const line of trace) console.error(line)
  if (run.violations.length === 0) continue
  process.exitCode = 1
  console.error(`seed ${seed} fails; replay: node test/sim/singletons.ts --seed ${seed} --nodes ${values.nodes} --failovers ${values.failovers}`)
}
