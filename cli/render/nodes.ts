// The table of `kumoi nodes`: figures humanised, states coloured.

import type { NodeRow } from '../../kali/contract.ts'
import { table } from './table.ts'
import type { Column, TableLayout } from './table.ts'
import type { Style } from './style.ts'
import { bytesText, durationText, ratioText } from './units.ts'

const paintState = (cell: string, style: Style): string => {
  const state = cell.trim()
  return state === 'alive' ? style.green(cell) : state === 'suspect' ? style.yellow(cell) : state === 'dead' ? style.red(cell) : style.dim(cell)
}

const COLUMNS: readonly Column[] = [
  { title: 'name' }, { title: 'state', paint: paintState }, { title: 'address' },
  { title: 'cpu', align: 'right' }, { title: 'memory', align: 'right' }, { title: 'version' }, { title: 'since', align: 'right' },
]

const memoryText = (row: NodeRow): string => {
  const { memoryTotalBytes: total, memoryFreeBytes: free } = row
  return total === undefined ? '-' : free === undefined ? bytesText(total) : `${bytesText(total - free)} / ${bytesText(total)}`
}

export function nodesTable(rows: readonly NodeRow[], layout: TableLayout, nowMs: number): string {
  return table(COLUMNS, rows.map((row) => [
    row.name, row.state, row.addresses[0] ?? '-', ratioText(row.cpuRatio), memoryText(row), row.version, durationText(nowMs - row.sinceMs),
  ]), layout)
}
