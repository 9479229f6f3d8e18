// Command line of the simulation of the cloud (npm run sim):
//
//   node test/sim/cloud.ts --seeds 10000               as many runs, of 12 faults each
//   node test/sim/cloud.ts --seed 17 --trace           one again, and what happened in it
//   node test/sim/cloud.ts --embedded --seeds 1000     with the store at one of the hosts
//   node test/sim/cloud.ts --only "cut off from the store" --faults 500
//
// Prints one JSON line a failing run, and the sums. Same seed and options: same trace hash. Exit code 1 on a violation.

import { parseArgs } from 'node:util'
import { runCloud } from './cloud-world.ts'
import type { CloudRun } from './cloud-world.ts'

const { values } = parseArgs({ options: {
  seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' }, nodes: { type: 'string' }, vms: { type: 'string' }, faults: { type: 'string', default: '12' },
  only: { type: 'string', multiple: true }, trace: { type: 'boolean', default: false }, embedded: { type: 'boolean', default: false },
} })
const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))
const first = Number(values.seed), faults = Number(values.faults), nodes = number(values.nodes), vms = number(values.vms)
const sums = { runs: 0, faults: 0, starts: 0, takeovers: 0, fences: 0, falseRestarts: 0, migrations: 0, crashes: 0, failed: 0, virtualMs: 0 }
const startedMs = performance.now()
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const { trace: _, ...run }: CloudRun = await runCloud(seed, {
    faults, embedded: values.embedded, ...nodes === undefined ? {} : { nodes }, ...vms === undefined ? {} : { vms }, ...values.only === undefined ? {} : { only: values.only }, ...values.trace ? { onNote: (line: string) => console.error(line) } : {},
  })
  sums.runs++
  sums.faults += Object.values(run.faults).reduce((sum, count) => sum + count, 0)
  for (const what of ['starts', 'takeovers', 'fences', 'falseRestarts', 'migrations', 'crashes', 'virtualMs'] as const) sums[what] += run[what]
  if (run.violations.length > 0) {
    sums.failed++
    process.exitCode = 1
    console.log(JSON.stringify(run))
    console.error(`seed ${seed} fails; replay: node test/sim/cloud.ts --seed ${seed} --faults ${values.faults}${values.embedded ? ' --embedded' : ''} --trace`)
  } else if (values.seeds === '1') console.log(JSON.stringify(run))
}
console.log(JSON.stringify({ ...sums, wallMs: Math.round(performance.now() - startedMs) }))
