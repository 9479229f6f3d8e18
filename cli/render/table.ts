// Aligned columns without borders: what people, grep and awk all read. Truncates only on a terminal,
// and then the widest columns first, so that a short column is never cut for a long one's sake.

import { LIMITS } from '../../fabric/base.ts'
import type { Style } from './style.ts'
import { neutralLine, pad, truncate, width } from './text.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Never cut: half a number or half a version is none. */
  readonly whole?: true
  readonly paint?: (cell: string, style: Style) => string
}

export interface TableLayout {
  readonly style: Style
  /** Cells of the terminal; undefined: not a terminal, nothing is cut. */
  readonly columns: number | undefined
}

const GAP = 2
const WIDTH_MIN = 6

/** Lowers the widest columns step by step until all fit in `room`. */
export function fitWidths(natural: readonly number[], room: number): number[] {
  const widths = [...natural]
  let excess = widths.reduce((sum, w) => sum + w, 0) + GAP * Math.max(0, widths.length - 1) - room
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= WIDTH_MIN) break
    const at = widths.flatMap((w, i) => (w === widest ? [i] : []))
    const next = Math.max(WIDTH_MIN, ...widths.filter((w) => w < widest))
    const step = Math.max(1, Math.min(widest - next, Math.ceil(excess / at.length)))
    for (const i of at) {
      if (excess <= 0) break
      widths[i] = widest - Math.min(step, excess)
      excess -= Math.min(step, excess)
    }
  }
  return widths
}

/** `fitWidths` of the columns that may be cut, in the room that the whole ones leave. */
function cutWidths(columns: readonly Column[], natural: readonly number[], room: number): readonly number[] {
  const whole = natural.filter((_, i) => columns[i]?.whole === true)
  const left = room - whole.reduce((sum, w) => sum + w + GAP, 0)
  const cut = fitWidths(natural.filter((_, i) => columns[i]?.whole !== true), left).values()
  return natural.map((w, i) => (columns[i]?.whole === true ? w : cut.next().value ?? w))
}

/** Rows of raw text -> lines of one table, without a final line break. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], layout: TableLayout): string {
  const clean = rows.map((row) => columns.map((_, i) => neutralLine(row[i] ?? '')))
  const titles = columns.map((c) => neutralLine(c.title))
  const natural = titles.map((title, i) => {
    let most = width(title)
    for (let r = 0; r < Math.min(clean.length, LIMITS.tableSampleRowsMax); r++) most = Math.max(most, width(clean[r]?.[i] ?? ''))
    return most
  })
  const widths = layout.columns === undefined ? natural : cutWidths(columns, natural, layout.columns)
  const line = (cells: readonly string[], painted: boolean): string => cells.map((cell, i) => {
    const column = columns[i], columnWidth = widths[i] ?? 0
    const cut = layout.columns === undefined ? cell : truncate(cell, columnWidth)
    const last = i === cells.length - 1 && column?.align !== 'right'
    const placed = last ? cut : pad(cut, columnWidth, column?.align ?? 'left')
    return painted && column?.paint !== undefined ? column.paint(placed, layout.style) : placed
  }).join(' '.repeat(GAP)).trimEnd()
  return [layout.style.dim(line(titles, false)), ...clean.map((row) => line(row, true))].join('\n')
}
