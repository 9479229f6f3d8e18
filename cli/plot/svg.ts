// A plot as one SVG, written by hand: panels under one axis of time, lines, steps or stacked areas, and marked moments. Pure.
//
//   title                                        subtitle
//   [marks: ours solid, the paper's dashed, each with its words on a row of its own where they would touch]
//   panel 1   y label, grid, curves              legend
//   panel 2
//   x label
//
// No script, no fonts, no other files, and no CSS variables: what draws the PNG (png.ts) knows none. 'auto' follows the
// reader's screen by a media query; 'light' and 'dark' are fixed.

export type Theme = 'auto' | 'light' | 'dark'

/** One curve: a value for each of the plot's moments; undefined: there was none (the line is broken there). */
export interface Curve { readonly label: string; readonly values: readonly (number | undefined)[]; /** Colour, 0 to 7; default: its place in the panel. */ readonly colour?: number; /** As the paper's: drawn thin and dashed. */ readonly dashed?: true }
export interface Panel {
  readonly title: string
  readonly unit: string
  readonly kind: 'lines' | 'steps' | 'areas'
  /** Top of the axis; left out: a round number over the highest value. */
  readonly max?: number
  /** Words for whole numbers from 0 in place of figures: states. */
  readonly words?: readonly string[]
  /** Level drawn across: a threshold. */
  readonly level?: { readonly value: number; readonly label: string }
  readonly curves: readonly Curve[]
}
export interface Mark { readonly atSeconds: number; readonly label: string; readonly whose: 'ours' | 'paper' }
export interface Plot {
  readonly title: string
  readonly subtitle: string
  readonly xLabel: string
  readonly seconds: readonly number[]
  /** Right end of the axis. */
  readonly endSeconds: number
  readonly panels: readonly Panel[]
  readonly marks: readonly Mark[]
}

const WIDTH = 960, LEFT = 72, RIGHT = 176, HEAD = 52, SUBTITLE_ROW = 17, MARK_ROW = 17, PANEL = 190, GAP = 48, FOOT = 56
const INNER = WIDTH - LEFT - RIGHT
const CHAR_WIDTH = 6.3
const TICKS_MAX = 13
const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 100, 120, 200, 300, 600, 1_200, 3_600]

export const escaped = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f]/g, '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
const place = (value: number): string => String(Math.round(value * 10) / 10)

/** 1, 2, 4, 5, 8 or 10 times a power of ten, at least `value`; 1 for nothing. */
export function niceMax(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((nice) => nice >= value * 0.999_999) ?? value
}

export function ticksOf(endSeconds: number): readonly number[] {
  const step = STEPS.find((one) => endSeconds / one < TICKS_MAX) ?? Math.ceil(endSeconds / TICKS_MAX)
  return Array.from({ length: Math.floor(endSeconds / step) + 1 }, (_, i) => i * step)
}

/** Into how many the axis is cut, so that round numbers stand there: 0, 10, ... 50, and 0, 20, ... 80. */
const partsOf = (max: number): number => (/^[15]/.test(max.toExponential()) ? 5 : 4)

/** Words on lines of so many letters; a longer word has a line of its own. */
export function linesOf(text: string, letters: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > letters) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

const highest = ({ kind, curves }: Panel): number => {
  const length = Math.max(0, ...curves.map(({ values }) => values.length))
  const heights = Array.from({ length }, (_, i) => kind === 'areas' ? curves.reduce((sum, { values }) => sum + (values[i] ?? 0), 0) : Math.max(0, ...curves.map(({ values }) => values[i] ?? 0)))
  return Math.max(0, ...heights)
}

/** Unbroken pieces of a curve, as points. */
function pieces(seconds: readonly number[], values: readonly (number | undefined)[], point: (second: number, value: number) => string, steps: boolean): string[] {
  const found: string[][] = []
  let open: string[] | undefined
  values.forEach((value, i) => {
    const second = seconds[i]
    if (value === undefined || second === undefined) { open = undefined; return }
    if (open === undefined) found.push(open = [])
    const before = values[i - 1]
    if (steps && before !== undefined && open.length > 0) open.push(point(second, before))
    open.push(point(second, value))
  })
  return found.map((points) => points.join(' '))
}

function drawPanel(panel: Panel, { seconds, endSeconds }: Plot, top: number): string[] {
  const max = panel.max ?? niceMax(highest(panel))
  const x = (second: number): number => LEFT + Math.min(1, Math.max(0, second / endSeconds)) * INNER
  const y = (value: number): number => top + PANEL - Math.min(1, Math.max(0, value / max)) * PANEL
  const point = (second: number, value: number): string => `${place(x(second))},${place(y(value))}`
  const out = [`<text class="h" x="${LEFT}" y="${place(top - 10)}">${escaped(panel.title)}</text>`]
  // Whole numbers where few are counted: 0, 1, 2, 3 rather than 0, 0.75, 1.5.
  const parts = max <= 8 && Number.isInteger(max) && max > 1 ? max : partsOf(max)
  const rows = panel.words?.map((_, i) => i) ?? Array.from({ length: parts + 1 }, (_, i) => i / parts * max)
  for (const row of rows) {
    const at = place(y(row))
    out.push(`<line class="grid" x1="${LEFT}" y1="${at}" x2="${LEFT + INNER}" y2="${at}"/>`, `<text class="y" x="${LEFT - 8}" y="${place(y(row) + 4)}">${escaped(panel.words?.[row] ?? String(Math.round(row * 100) / 100))}</text>`)
  }
  out.push(`<text class="soft" transform="translate(16 ${place(top + PANEL / 2)}) rotate(-90)" text-anchor="middle">${escaped(panel.unit)}</text>`)
  let below: readonly number[] = seconds.map(() => 0)
  panel.curves.forEach(({ values, colour, dashed }, i) => {
    const style = `c${(colour ?? i) % 8}`
    if (panel.kind !== 'areas') {
      for (const points of pieces(seconds, values, point, panel.kind === 'steps')) out.push(`<polyline class="line ${style}-line${dashed === true ? ' dashed' : ''}" points="${points}"/>`)
      return
    }
    const above = below.map((floor, k) => floor + (values[k] ?? 0))
    const there = seconds.map((second, k) => point(second, above[k] ?? 0)), back = seconds.map((second, k) => point(second, below[k] ?? 0)).reverse()
    if (seconds.length > 0) out.push(`<polygon class="${style}-fill" points="${[...there, ...back].join(' ')}"/>`)
    below = above
  })
  if (panel.level !== undefined) {
    const at = y(panel.level.value)
    out.push(`<line class="level" x1="${LEFT}" y1="${place(at)}" x2="${LEFT + INNER}" y2="${place(at)}"/>`, `<text class="soft small" x="${LEFT + INNER - 4}" y="${place(at - 4)}" text-anchor="end">${escaped(panel.level.label)}</text>`)
  }
  out.push(`<path class="axis" d="M${LEFT} ${top} V${top + PANEL} H${LEFT + INNER}"/>`)
  panel.curves.forEach(({ label, colour, dashed }, i) => {
    const style = `c${(colour ?? i) % 8}`, row = top + 8 + i * 20
    out.push(panel.kind === 'areas' ? `<rect class="${style}-fill" x="${LEFT + INNER + 14}" y="${row - 6}" width="16" height="12"/>` : `<line class="line ${style}-line${dashed === true ? ' dashed' : ''}" x1="${LEFT + INNER + 14}" y1="${row}" x2="${LEFT + INNER + 30}" y2="${row}"/>`,
      `<text class="soft" x="${LEFT + INNER + 38}" y="${row + 4}">${escaped(label)}</text>`)
  })
  return out
}

/** A row for each mark's words, so that none touch. */
export function markRows(marks: readonly Mark[], endSeconds: number): readonly number[] {
  const ends: number[] = []
  return marks.map(({ atSeconds, label }) => {
    const from = atSeconds / endSeconds * INNER, to = from + 8 + label.length * CHAR_WIDTH
    const free = ends.findIndex((end) => end <= from)
    const row = free < 0 ? ends.length : free
    ends[row] = to
    return row
  })
}

interface Colours { readonly paper: string; readonly ink: string; readonly soft: string; readonly grid: string; readonly paperMark: string; readonly curves: readonly string[] }
const LIGHT: Colours = { paper: '#ffffff', ink: '#1d2329', soft: '#57626d', grid: '#e4e8ec', paperMark: '#8a6d1f', curves: ['#2f6fde', '#e08a1e', '#3f8f5b', '#b0489a', '#d43a3a', '#7f6fd5', '#1d9aa8', '#7a7f85'] }
const DARK: Colours = { paper: '#14181c', ink: '#e6eaee', soft: '#9aa6b1', grid: '#2a3138', paperMark: '#d9b85c', curves: ['#6ea0ff', '#f2a94a', '#6cc48b', '#dd7fc8', '#ff7a7a', '#a99cff', '#4cc6d4', '#a5abb1'] }

const rules = ({ paper, ink, soft, grid, paperMark, curves }: Colours): string => [
  `.bg{fill:${paper}} .mark{stroke:${paper}} text{fill:${ink}} .soft,.x,.y{fill:${soft}} .grid{stroke:${grid}} .axis{stroke:${soft}} .level{stroke:${soft}} .ours{stroke:${ink}} .paper{stroke:${paperMark}} .paper-text{fill:${paperMark}}`,
  ...curves.map((colour, i) => `.c${i}-line{stroke:${colour}} .c${i}-fill{fill:${colour}}`),
].join('\n')
const SHAPES = `text{font-family:system-ui,"DejaVu Sans",sans-serif;font-size:12px} .t{font-weight:600;font-size:16px} .h{font-weight:600;font-size:13px} .small{font-size:11px} .mark{stroke-width:5;stroke-linejoin:round;paint-order:stroke} .x{text-anchor:middle} .y{text-anchor:end}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round} .dashed{stroke-dasharray:5 4;stroke-width:1.2} .axis{fill:none} .level{stroke-dasharray:2 4} .ours{stroke-width:1.2} .paper{stroke-width:1.2;stroke-dasharray:5 4}`
const styleOf = (theme: Theme): string => `${SHAPES}\n${rules(theme === 'dark' ? DARK : LIGHT)}${theme === 'auto' ? `\n@media (prefers-color-scheme: dark){\n${rules(DARK)}\n}` : ''}`

/** The whole file. */
export function plotSvg(plot: Plot, theme: Theme): string {
  const { title, subtitle, xLabel, endSeconds, panels } = plot
  const marks = plot.marks.filter(({ atSeconds }) => atSeconds >= 0 && atSeconds <= endSeconds).toSorted((a, b) => a.atSeconds - b.atSeconds)
  const rows = markRows(marks, endSeconds)
  const under = linesOf(subtitle, Math.floor((WIDTH - LEFT) / CHAR_WIDTH) - 1)
  const head = HEAD + (under.length - 1) * SUBTITLE_ROW
  const first = head + (Math.max(-1, ...rows) + 1) * MARK_ROW + 26
  const bottom = first + panels.length * PANEL + Math.max(0, panels.length - 1) * GAP
  const height = bottom + FOOT
  const x = (second: number): number => LEFT + second / endSeconds * INNER
  const rowOf = (i: number): number => head + 12 + (rows[i] ?? 0) * MARK_ROW
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${styleOf(theme)}</style>`,
    `<rect class="bg" width="${WIDTH}" height="${height}"/>`,
    `<text class="t" x="${LEFT}" y="24">${escaped(title)}</text>`,
    ...under.map((line, i) => `<text class="soft" x="${LEFT}" y="${42 + i * SUBTITLE_ROW}">${escaped(line)}</text>`),
    // Words after all lines, with a rim of the background: a later mark's line crosses them, and they stay legible.
    ...marks.map(({ atSeconds, whose }, i) => `<line class="${whose}" x1="${place(x(atSeconds))}" y1="${rowOf(i) - 9}" x2="${place(x(atSeconds))}" y2="${bottom}"/>`),
    ...marks.map(({ atSeconds, label, whose }, i) => `<text class="${whose === 'paper' ? 'mark paper-text small' : 'mark small'}" x="${place(x(atSeconds) + 4)}" y="${rowOf(i)}">${escaped(label)}</text>`),
    ...panels.flatMap((panel, i) => drawPanel(panel, plot, first + i * (PANEL + GAP))),
    ...ticksOf(endSeconds).map((second) => `<text class="x" x="${place(x(second))}" y="${bottom + 18}">${second}</text>`),
    `<text class="x" x="${LEFT + INNER / 2}" y="${bottom + 38}">${escaped(xLabel)}</text>`,
    '</svg>',
    '',
  ].join('\n')
}
