// Command line of the membership simulation:
//
//   node test/sim/membership.ts                                 every scenario, one seed, with the traffic table
//   node test/sim/membership.ts --seed 17 --members 1000 --faults kill
//   node test/sim/membership.ts --faults chaos --seeds 200      seeds 1 to 200
//
// Prints one JSON line per run. Same seed and options: same trace hash. Exit code 1 on a violation.

import { parseArgs } from 'node:util'
import * as scenarios from './membership-scenarios.ts'
import type { Result } from './membership-scenarios.ts'

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' }, members: { type: 'string' }, faults: { type: 'string', default: 'all' } } })

const MINUTE_MS = 60_000
const FAULTS: Readonly<Record<string, (seed: number, members: number) => Result>> = {
  kill: (seed, members) => scenarios.crash(seed, members, 'kill'),
  silence: (seed, members) => scenarios.crash(seed, members, 'powerOff'),
  leave: scenarios.leave,
  loss: (seed, members) => scenarios.quiet(seed, members, 10 * MINUTE_MS, 0.05, 0),
  stall: (seed, members) => scenarios.quiet(seed, members, 10 * MINUTE_MS, 0, 2_000),
  'loss+stall': (seed, members) => scenarios.quiet(seed, members, 10 * MINUTE_MS, 0.05, 2_000),
  storm: (seed, members) => scenarios.storm(seed, members, Math.ceil(members / 10), 8_000, 20_000, 5 * MINUTE_MS),
  halves: (seed, members) => scenarios.partition(seed, members, 'halves', 30_000),
  'one-way': (seed, members) => scenarios.partition(seed, members, 'one-way', 30_000),
  bridge: (seed, members) => scenarios.partition(seed, members, 'bridge', 30_000),
  joins: scenarios.joins,
  flapping: (seed, members) => scenarios.flapping(seed, members, 6),
  chaos: (seed, members) => scenarios.chaos(seed, members, 60_000),
  traffic: scenarios.traffic,
}

const names = values.faults === 'all' ? Object.keys(FAULTS) : values.faults.split(',')
const sizes = (name: string): number[] => (values.members !== undefined ? [Number(values.members)] : name === 'traffic' ? [10, 30, 100, 300, 1_000] : [5, 50])
const firstSeed = Number(values.seed)

for (const name of names) {
  const run = FAULTS[name]
  if (run === undefined) {
    console.error(`no faults named "${name}"; there are ${Object.keys(FAULTS).join(', ')}`)
    process.exitCode = 2
    continue
  }
  for (const members of sizes(name)) {
    for (let seed = firstSeed; seed < firstSeed + Number(values.seeds); seed++) {
      const startedMs = performance.now()
      const report = run(seed, members)
      console.log(JSON.stringify({ ...report, wallMs: Math.round(performance.now() - startedMs) }))
      if (report.violations.length > 0) {
        process.exitCode = 1
        console.error(`seed ${seed} fails; replay: node test/sim/membership.ts --seed ${seed} --members ${members} --faults ${name}`)
      }
    }
  }
}
