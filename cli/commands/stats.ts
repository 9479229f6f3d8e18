// `kumoi stats [NAME]`: how often deployed functions ran, how long they took, where they are warm.

import type { FunctionStats } from '../../functions/mod.ts'
import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { table } from '../render/table.ts'
import type { Column } from '../render/table.ts'
import { durationText } from '../render/units.ts'
import { fields } from '../render/value.ts'
import { withDataCenter } from '../session.ts'

const PRECISE_BELOW_MS = 10
const SECONDS_FROM_MS = 10_000
const HASH_CHARS = 12
/** Milliseconds as people compare them. */
const msText = (ms: number): string => ms >= SECONDS_FROM_MS ? durationText(ms) : `${ms < PRECISE_BELOW_MS ? ms.toFixed(2) : Math.round(ms)} ms`
const ifCalled = (row: FunctionStats, ms: number): string => row.calls === 0 ? '-' : msText(ms)
const RIGHT = { align: 'right', whole: true } as const
const COLUMNS: readonly Column[] = [
  { title: 'name', whole: true }, { title: 'calls', ...RIGHT }, { title: 'errors', ...RIGHT }, { title: 'p50', ...RIGHT }, { title: 'p95', ...RIGHT },
  { title: 'cold', ...RIGHT }, { title: 'cpu', ...RIGHT }, { title: 'now', ...RIGHT }, { title: 'nodes' },
]
/** Calls that run and, after a plus, that wait. */
const nowOf = ({ running, waiting }: FunctionStats): string => waiting === 0 ? String(running) : `${running}+${waiting}`
const placesOf = ({ nodes }: FunctionStats): string => nodes.filter(({ calls, warm }) => calls > 0 || warm).map(({ node, warm }) => warm ? `${node}*` : node).join(' ') || '-'

export const statsCommand = defineCommand({
  name: 'stats',
  summary: 'Show how often deployed functions ran, and how long they took',
  operands: '[name]',
  details: 'Counted by each node since it started, and put together. Times are of whole calls on the node that ran them, waiting included; a * marks nodes where the function is warm. "now": calls that run, and after a plus those that wait.',
  options: {},
  examples: [
    { command: 'kumoi stats', does: 'all functions' },
    { command: 'kumoi stats hot-machines', does: 'one, by version and by node' },
    { command: "kumoi --json stats | jq -r '.[] | select(.errors > 0).name'", does: 'those that fail' },
  ],
  output: 'value',
  run: (shell, [name]) => withDataCenter(shell, async (dc) => {
    const rows = await dc.functions.stats(name)
    const [row] = rows
    if (name !== undefined && row === undefined) {
      const known = (await dc.functions.stats()).map((one) => one.name)
      throw CLI.NOT_FOUND({ what: 'function', name, known, more: 0 })
    }
    shell.out.result(name === undefined ? rows : row, (layout) => {
      if (name === undefined || row === undefined) return rows.length === 0 ? undefined : table(COLUMNS, rows.map((one) => [
        one.name, String(one.calls), String(one.errors), ifCalled(one, one.p50Ms), ifCalled(one, one.p95Ms), String(one.coldStarts), msText(one.cpuMs), nowOf(one), placesOf(one),
      ]), layout)
      return [
        fields([
          ['name', row.name], ['calls', `${row.calls}, ${row.errors} failed`], ['p50', ifCalled(row, row.p50Ms)], ['p95', ifCalled(row, row.p95Ms)], ['cold starts', String(row.coldStarts)],
          ['cpu', msText(row.cpuMs)], ['now', `${row.running} running, ${row.waiting} waiting`],
          ['versions', Object.entries(row.versions).map(([version, calls]) => `${version.slice(0, HASH_CHARS)} ${calls}`).join(', ') || '-'],
        ], layout.style),
        ...(row.nodes.length === 0 ? [] : ['', table([{ title: 'node' }, { title: 'calls', ...RIGHT }, { title: 'errors', ...RIGHT }, { title: 'warm' }], row.nodes.map(({ node, calls, errors, warm }) => [node, String(calls), String(errors), warm ? 'yes' : 'no']), layout)]),
      ].join('\n')
    })
    if (rows.length === 0 && !shell.settings.json) shell.out.note('No functions are deployed. `kumoi deploy FILE` deploys one.')
    const silent = row?.silent ?? []
    if (silent.length > 0) shell.out.warn(`not counted, because they did not answer: ${silent.join(', ')}`)
    return EXIT.done
  }),
})
