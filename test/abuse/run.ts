// The abuse suite by hand: `npm run abuse -- [--times N] [--row R] [--quiet]`, beside honest load. Prints one line a row
// and the goals of reliability.md 8 at the end; exits 1 when any requirement was missed. Ends with a churn of isolates whose memory must come back.

import { parseArgs } from 'node:util'
import { LIMITS } from '../../fabric/base.ts'
import { makeHooks, makeJob, never, openSandbox } from '../support/sandbox.ts'
import { ABSENT, ROWS } from './rows.ts'
import { ANSWER_SLACK_MS, neighbourAnswers, runRow } from './suite.ts'
import type { AbuseReport } from './suite.ts'

const SAMPLE_MS = 10
const HONEST_PAUSE_MS = 20
const BACK_MS_MAX = 1_000

const { values } = parseArgs({ options: { times: { type: 'string', default: '1' }, row: { type: 'string' }, quiet: { type: 'boolean', default: false } } })
const { sandbox, close } = await openSandbox()
for (const { wall, state, how } of sandbox.stats().walls ?? []) console.log(`wall ${wall}: ${state === 'up' ? how : `absent, ${how}`}`)

let peakMiB = 0
const sampler = setInterval(() => { for (const cell of sandbox.stats().cells) peakMiB = Math.max(peakMiB, cell.peakMiB ?? cell.residentMiB) }, SAMPLE_MS)
let honest = 0, hurt = 0, over = false
const honestLoad = (async () => {
  while (!over) {
    if (!(await neighbourAnswers(sandbox).catch(() => false))) hurt++
    honest++
    await new Promise((resolve) => { setTimeout(resolve, HONEST_PAUSE_MS) })
  }
})()

const reports: AbuseReport[] = []
for (let time = 0; time < Number(values.times); time++) {
  for (const row of ROWS) {
    if (values.row !== undefined && row.row !== Number(values.row)) continue
    peakMiB = 0
    const report = await runRow(sandbox, row, time)
    reports.push(report)
    const { status, tookMs, backMs, problems } = report
    const good = problems.length === 0 && report.lateMs <= ANSWER_SLACK_MS
    if (!values.quiet || !good) console.log(`${good ? 'ok ' : 'BAD'} ${String(row.row).padStart(2)} ${row.title}: ${status} after ${tookMs.toFixed(0)} ms, back in ${backMs.toFixed(0)} ms, cells at most ${peakMiB.toFixed(0)} MiB ${problems.join('; ')}`)
  }
}
over = true
await honestLoad
clearInterval(sampler)
for (const { row, title, reason } of ABSENT) console.log(`-   ${row} ${title}: ${reason}`)

const quantile = (of: (report: AbuseReport) => number, q: number): number => reports.map(of).toSorted((a, b) => a - b)[Math.floor((reports.length - 1) * q)] ?? 0
const figures = (of: (report: AbuseReport) => number): string => `p50 ${quantile(of, 0.5).toFixed(0)} ms, p99 ${quantile(of, 0.99).toFixed(0)} ms, most ${quantile(of, 1).toFixed(0)} ms`
const bad = reports.filter(({ problems, lateMs }) => problems.length > 0 || lateMs > ANSWER_SLACK_MS).length
const slow = reports.filter(({ backMs }) => backMs > BACK_MS_MAX).length
console.log(`${reports.length} bodies: ${bad} outside what is allowed; this process lives`)
console.log(`past the deadline: ${figures(({ lateMs }) => lateMs)} (goal: at most ${ANSWER_SLACK_MS})`)
console.log(`back after the answer: ${figures(({ backMs }) => backMs)}; ${slow} above ${BACK_MS_MAX} ms`)
console.log(`honest calls of a neighbour meanwhile: ${honest}, failed: ${hurt}; cap of a cell: ${LIMITS.cellGroupMiBMax} MiB`)

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
process.exitCode = bad + hurt === 0 ? 0 : 1
