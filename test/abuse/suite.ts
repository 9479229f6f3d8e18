// Runs abuse rows and says what was wrong with each. A row that may harm its cell has a principal, so a cell,
// of its own; a neighbour principal is asked while rows run, and the row's own principal must be served again.

import type { Sandbox } from '../../functions/contract.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes } from '../support/sandbox.ts'
import { REFERENCE } from '../../functions/contract.ts'
import type { AbuseRow } from './rows.ts'

/** DESIGN: the caller gets a typed outcome within the deadline and this much. */
export const ANSWER_SLACK_MS = 500
const TIMEOUT_MS = 400
/** Of those that end by themselves: on a busy machine as well. */
const MILD_TIMEOUT_MS = 10_000
const MILD_TIMES = 20

const machine = { [REFERENCE]: { kind: 'PhysicalMachine', uuid: '00000000-0000-8000-8000-000000000001', home: 'a'.repeat(64), name: 'alpha', attributes: { cores: 2 } } }

/** `lateMs`: past its deadline, 0 when in time; judged by run.ts, since a test has no say on speed. `backMs`: from the answer until its principal was served again. */
export interface AbuseReport { readonly row: AbuseRow; readonly status: string; readonly tookMs: number; readonly lateMs: number; readonly backMs: number; readonly problems: readonly string[] }

/** Ends in a value or an error of its own: it leaves its cell whole, and takes milliseconds. */
export const isMild = (row: AbuseRow): boolean => row.outcomes.every((outcome) => outcome === 'value' || outcome === 'error') && row.timeoutMs === undefined

export async function runRow(sandbox: Sandbox, row: AbuseRow, time = 1): Promise<AbuseReport> {
  const principal = row.outcomes.every((outcome) => outcome === 'value' || outcome === 'error') ? 'mild' : `row-${row.row}-${row.title}-${time}`
  const problems: string[] = []
  const timeoutMs = row.timeoutMs ?? (isMild(row) ? MILD_TIMEOUT_MS : TIMEOUT_MS)
  await sandbox.warm(principal)
  const job = makeJob({ source: `/* ${time} */ ${row.body}`, items: [machine] }, {
    principal, limits: { timeoutMs, ...(row.resultBytes === undefined ? {} : { resultBytes: row.resultBytes }), ...(row.hostCalls === undefined ? {} : { hostCalls: row.hostCalls }) },
  })
  const startMs = performance.now()
  let status = 'rejected'
  try {
    const seen = outcomes(await sandbox.run(job, makeHooks(), never))
    const [only] = seen
    status = only?.status ?? 'none'
    if (seen.length !== 1 || only === undefined) problems.push(`${seen.length} outcomes instead of one`)
    else {
      if (!row.outcomes.includes(only.status)) problems.push(`ended in ${only.status} (${only.code}: ${only.message})`)
      if (only.status === 'value' && row.value !== undefined && only.value !== row.value) problems.push(`answered ${String(only.value)}`)
      if (row.code !== undefined && only.code !== row.code) problems.push(`code ${only.code} instead of ${row.code}`)
      if (/node_modules|\/functions\/|\/home\/|\/tmp\//.test(only.message ?? '')) problems.push(`a path of the host in: ${only.message}`)
    }
  } catch (error) {
    problems.push(`rejected: ${String(error)}`)
  }
  const tookMs = performance.now() - startMs
  const answeredMs = performance.now()
  const again = outcomes(await sandbox.run(makeJob({ source: '(x) => x + 1', items: [41] }, { principal }), makeHooks(), never))
  if (again[0]?.value !== 42) problems.push(`its principal is not served afterwards: ${JSON.stringify(again)}`)
  return { row, status, tookMs, lateMs: Math.max(0, tookMs - timeoutMs), backMs: performance.now() - answeredMs, problems }
}

/** True when another principal is answered as if nothing had happened. */
export async function neighbourAnswers(sandbox: Sandbox): Promise<boolean> {
  const result = await sandbox.run(makeJob({ source: '(x) => x * 2', items: [1, 2, 3] }, { principal: 'neighbour' }), makeHooks(), never)
  return JSON.stringify(outcomes(result).map(({ value }) => value)) === '[2,4,6]'
}

/** Two rows at a time, the neighbour asked after each; mild rows MILD_TIMES, the others once (and as often as one likes by run.ts). */
export async function testRows(t: Tap, rows: readonly AbuseRow[]): Promise<void> {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  await sandbox.warm('neighbour')
  const queue = [...rows]
  const walk = async (): Promise<void> => {
    for (let row = queue.shift(); row !== undefined; row = queue.shift()) {
      for (let time = 0; time < (isMild(row) ? MILD_TIMES : 1); time++) {
        const { problems, status } = await runRow(sandbox, row, time)
        t.same(problems, [], `row ${row.row}, ${row.title}: ${status}`)
      }
      t.ok(await neighbourAnswers(sandbox), 'its neighbour is answered')
    }
  }
  await Promise.all([walk(), walk()])
}

interface Tap { teardown(run: () => Promise<void>): unknown; same(found: unknown, wanted: unknown, message: string): unknown; ok(value: unknown, message: string): unknown }
