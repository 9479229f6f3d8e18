// The abuse suite by hand: `node --no-node-snapshot test/abuse/run.ts [--times N] [--row R]`. Prints one line a
// row; exits 1 when any requirement was missed. Ends with a churn of isolates whose memory must come back.

import { parseArgs } from 'node:util'
import { makeHooks, makeJob, never, openSandbox } from '../support/sandbox.ts'
import { ABSENT, ROWS } from './rows.ts'
import { neighbourAnswers, runRow } from './suite.ts'

const { values } = parseArgs({ options: { times: { type: 'string', default: '1' }, row: { type: 'string' } } })
const { sandbox, close } = await openSandbox()
let bad = 0
for (let time = 0; time < Number(values.times); time++) {
  for (const row of ROWS) {
    if (values.row !== undefined && row.row !== Number(values.row)) continue
    const { status, tookMs, problems } = await runRow(sandbox, row, time)
    const neighbour = await neighbourAnswers(sandbox)
    if (!neighbour || problems.length > 0) bad++
    console.log(`${problems.length === 0 && neighbour ? 'ok ' : 'BAD'} ${String(row.row).padStart(2)} ${row.title}: ${status} after ${tookMs.toFixed(0)} ms ${problems.join('; ')}${neighbour ? '' : ' NEIGHBOUR HURT'}`)
  }
}
for (const { row, title, reason } of ABSENT) console.log(`-   ${row} ${title}: ${reason}`)

if (values.row === undefined) {
  const CHURN = 1_000
  const residentOf = (): number => sandbox.stats().cells.find(({ principal }) => principal === 'churn')?.residentMiB ?? 0
  let early = 0
  for (let i = 0; i < CHURN; i++) {
    await sandbox.run(makeJob({ source: `(x) => x + ${i}` }, { principal: 'churn', limits: { fresh: true } }), makeHooks(), never)
    if (i === 99) early = residentOf()
  }
  console.log(`churn of ${CHURN} isolates: ${early.toFixed(0)} MiB after 100, ${residentOf().toFixed(0)} MiB after all`)
}
await close()
process.exitCode = bad === 0 ? 0 : 1
