// Runs fuzz targets for a time budget, or replays one seed:
//
//   node test/fuzz/run.ts --seconds 60
//   node test/fuzz/run.ts --target peer --seed 17
//
// Prints one JSON line per target; ends with status 1 at the first find, with the command that repeats it.

import { parseArgs } from 'node:util'
import { systemRandom } from '../../fabric/clock.ts'
import { WIRE_TARGETS } from './wire-targets.ts'
import type { FuzzTarget } from './wire-targets.ts'

const TARGETS: Readonly<Record<string, FuzzTarget>> = { ...WIRE_TARGETS }

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, target: { type: 'string' }, seed: { type: 'string' } } })
const chosen = Object.entries(TARGETS).filter(([name]) => values.target === undefined || values.target === name)
if (chosen.length === 0) throw new Error(`no target "${values.target}"; there are ${Object.keys(TARGETS).join(', ')}`)

async function attempt(name: string, target: FuzzTarget, seed: number): Promise<void> {
  try {
    await target(seed)
  } catch (error) {
    console.error(error)
    console.error(`find: node test/fuzz/run.ts --target ${name} --seed ${seed}`)
    process.exit(1)
  }
}

for (const [name, target] of chosen) {
  if (values.seed !== undefined) {
    await attempt(name, target, Number(values.seed))
    continue
  }
  const untilMs = performance.now() + (Number(values.seconds) * 1_000) / chosen.length
  const first = systemRandom.int(2 ** 31)
  let seeds = 0
  while (performance.now() < untilMs) await attempt(name, target, (first + seeds++) >>> 0)
  console.log(JSON.stringify({ name: `fuzz ${name}`, value: seeds, unit: 'seeds', count: seeds, first }))
}
