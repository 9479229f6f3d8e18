// A report as one SVG, written by hand: no script, no fonts, no other files; light or dark as the reader's screen is. Pure.
//
//   load of the machines (mean and highest)      | time runs from left to right under all of them alike
//   VMs by state (stacked)                       |
//   changing verbs and failed calls per interval |

import type { Point, SimulateReport } from './contract.ts'

const WIDTH = 960, LEFT = 64, RIGHT = 150, TOP = 56, PANEL = 150, GAP = 46, BOTTOM = 40
const INNER = WIDTH - LEFT - RIGHT
/** States in the order of their areas, from below; any other comes on top. */
const STATES = ['running', 'paused', 'stopping', 'saved', 'stopped', 'crashed']
const HOUR_MS = 3_600_000
const TIME_STEPS_MS = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800].map((seconds) => seconds * 1_000)
const TIME_LABELS_MAX = 13

interface Curve { readonly label: string; readonly style: string; readonly values: readonly number[] }
interface Panel { readonly title: string; readonly kind: 'lines' | 'areas' | 'bars'; readonly curves: readonly Curve[]; readonly max: number; text(value: number): string }

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
const place = (value: number): string => String(Math.round(value * 10) / 10)

/** 1, 2 or 5 times a power of ten, at least `value`. */
function niceMax(value: number): number {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= value * 0.999_999) ?? value
}

/** Moments for the axis of time, in milliseconds from the start, on round times of the clock. */
function timeTicks(startAtMs: number, forMs: number): readonly number[] {
  const step = TIME_STEPS_MS.find((ms) => forMs / ms <= TIME_LABELS_MAX) ?? forMs / TIME_LABELS_MAX
  const first = Math.ceil(startAtMs / step) * step - startAtMs
  return Array.from({ length: Math.max(0, Math.floor((forMs - first) / step) + 1) }, (_, i) => first + i * step)
}

const clockText = (ms: number, withSeconds: boolean): string => new Date(ms).toISOString().slice(11, withSeconds ? 19 : 16)

const differences = (points: readonly Point[], of: (point: Point) => number): readonly number[] => points.map((point, i) => of(point) - (i === 0 ? 0 : of(points[i - 1] as Point)))

function panelsOf({ points }: SimulateReport): readonly Panel[] {
  const states = [...new Set(points.flatMap((point) => Object.keys(point.states)))].sort((a, b) => (STATES.indexOf(a) + 99) % 99 - (STATES.indexOf(b) + 99) % 99)
  const most = Math.max(1, ...points.map((point) => Object.values(point.states).reduce((sum, n) => sum + n, 0)))
  const cloud = points.flatMap((point) => (point.cloud === undefined ? [] : [point.cloud]))
  const changes = differences(points, (point) => point.changes), errors = differences(points, (point) => point.errors)
  const pools: readonly Panel[] = cloud.length < points.length || points.length === 0 ? [] : [{
    title: 'Members of elastic groups, and VMs of pools without a place', kind: 'lines', max: niceMax(Math.max(1, ...cloud.map(({ members, waiting, failed }) => Math.max(members, waiting + failed)))), text: (value) => String(Math.round(value * 100) / 100),
    curves: [{ label: 'members', style: 'c1', values: cloud.map(({ members }) => members) }, { label: 'ready', style: 'c0', values: cloud.map(({ ready }) => ready) }, { label: 'no place', style: 'c2', values: cloud.map(({ waiting, failed }) => waiting + failed) }],
  }]
  return [
    {
      title: 'CPU load of the machines', kind: 'lines', max: 1, text: (value) => `${Math.round(value * 100)}%`,
      curves: [{ label: 'highest', style: 'c1', values: points.map(({ cpuMax }) => cpuMax) }, { label: 'mean', style: 'c0', values: points.map(({ cpuMean }) => cpuMean) }],
    },
    {
      title: 'VMs by state', kind: 'areas', max: niceMax(most), text: (value) => String(Math.round(value)),
      curves: states.map((state) => ({ label: state, style: `s-${STATES.includes(state) ? state : 'other'}`, values: points.map((point) => point.states[state] ?? 0) })),
    },
    ...pools,
    {
      title: 'Changes made, and calls that failed, per interval', kind: 'bars', max: niceMax(Math.max(1, ...changes, ...errors)), text: (value) => String(Math.round(value * 100) / 100),
      curves: [{ label: 'changes', style: 'c0', values: changes }, { label: 'failed calls', style: 'c2', values: errors }],
    },
  ]
}

function drawPanel(panel: Panel, report: SimulateReport, top: number): string {
  const { points, forMs, startAtMs } = report
  const x = (ms: number): number => LEFT + ms / forMs * INNER
  const y = (value: number): number => top + PANEL - Math.min(1, value / panel.max) * PANEL
  const parts = [`<text class="h" x="${LEFT}" y="${top - 10}">${escaped(panel.title)}</text>`]
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const at = place(y(panel.max * share))
    parts.push(`<line class="grid" x1="${LEFT}" y1="${at}" x2="${LEFT + INNER}" y2="${at}"/>`, `<text class="y" x="${LEFT - 8}" y="${at}">${escaped(panel.text(panel.max * share))}</text>`)
  }
  for (const ms of timeTicks(startAtMs, forMs)) parts.push(`<line class="tick" x1="${place(x(ms))}" y1="${top + PANEL}" x2="${place(x(ms))}" y2="${top + PANEL + 4}"/>`)
  if (panel.kind === 'areas') {
    let below = points.map(() => 0)
    for (const { style, values } of panel.curves) {
      const above = values.map((value, i) => value + (below[i] ?? 0))
      const there = points.map(({ atMs }, i) => `${place(x(atMs))},${place(y(above[i] ?? 0))}`)
      const back = points.map(({ atMs }, i) => `${place(x(atMs))},${place(y(below[i] ?? 0))}`).reverse()
      if (points.length > 0) parts.push(`<polygon class="area ${style}" points="${[...there, ...back].join(' ')}"/>`)
      below = above
    }
  } else if (panel.kind === 'lines') {
    for (const { style, values } of panel.curves) parts.push(`<polyline class="line ${style}" points="${points.map(({ atMs }, i) => `${place(x(atMs))},${place(y(values[i] ?? 0))}`).join(' ')}"/>`)
  } else {
    const width = Math.max(1, INNER / Math.max(1, points.length) - 1)
    panel.curves.forEach(({ style, values }, k) => points.forEach(({ atMs }, i) => {
      const value = values[i] ?? 0
      if (value > 0) parts.push(`<rect class="bar ${style}" x="${place(Math.max(LEFT, x(atMs) - width + k * width / 2))}" y="${place(y(value))}" width="${place(width / 2)}" height="${place(top + PANEL - y(value))}"/>`)
    }))
  }
  parts.push(`<line class="axis" x1="${LEFT}" y1="${top + PANEL}" x2="${LEFT + INNER}" y2="${top + PANEL}"/>`)
  panel.curves.forEach(({ label, style }, i) => parts.push(`<rect class="key ${style}" x="${LEFT + INNER + 14}" y="${top + 4 + i * 20}" width="12" height="12"/>`, `<text class="l" x="${LEFT + INNER + 32}" y="${top + 14 + i * 20}">${escaped(label)}</text>`))
  return parts.join('\n')
}

const COLOURS = `
text { font: 12px system-ui, sans-serif; fill: var(--ink) } .h { font-weight: 600; font-size: 13px } .t { font-weight: 600; font-size: 16px } .sub, .x, .y, .l { fill: var(--soft) }
.y { text-anchor: end; dominant-baseline: middle } .x { text-anchor: middle } .grid { stroke: var(--grid) } .axis, .tick { stroke: var(--soft) }
.line { fill: none; stroke: var(--c); stroke-width: 1.6; stroke-linejoin: round } .area, .bar, .key { fill: var(--c) } .down { fill: var(--down) }
.c0 { --c: #2f6fde } .c1 { --c: #e08a1e } .c2 { --c: #d43a3a }
.s-running { --c: #3f8f5b } .s-paused { --c: #d9b23b } .s-stopping { --c: #b9a06a } .s-saved { --c: #7f7fd5 } .s-stopped { --c: #9aa0a6 } .s-crashed { --c: #d43a3a } .s-other { --c: #5b6670 }`
const THEMES = `svg { --paper: #ffffff; --ink: #1d2329; --soft: #5f6b76; --grid: #e4e8ec; --down: #d43a3a1f; color-scheme: light dark }
@media (prefers-color-scheme: dark) { svg { --paper: #14181c; --ink: #e6eaee; --soft: #97a3ae; --grid: #2a3138; --down: #ff6b6b26 } }`

/** The whole file. */
export function plotSvg(report: SimulateReport): string {
  const panels = panelsOf(report)
  const { startAtMs, forMs, endedAtMs, hosts, vms, functions, faults, loads } = report
  const height = TOP + panels.length * PANEL + (panels.length - 1) * GAP + BOTTOM + 10
  const x = (ms: number): number => LEFT + Math.min(1, ms / forMs) * INNER
  const bottom = height - BOTTOM - 10
  const title = functions.map(({ name }) => name).join(', ')
  const ticks = timeTicks(startAtMs, forMs)
  const withSeconds = (ticks[1] ?? HOUR_MS) - (ticks[0] ?? 0) < 60_000
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(`Simulation of ${title}`)}">`,
    `<style>${THEMES}${COLOURS}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="var(--paper)"/>`,
    `<text class="t" x="${LEFT}" y="22">${escaped(title)}</text>`,
    `<text class="sub" x="${WIDTH - 16}" y="22" text-anchor="end">${escaped(`${hosts} machines, ${vms} VMs, ${loads}; from ${new Date(startAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`)}</text>`,
    ...faults.map(({ atMs, forMs: downMs }) => `<rect class="down" x="${place(x(atMs))}" y="${TOP}" width="${place(Math.max(1, x(atMs + downMs) - x(atMs)))}" height="${bottom - TOP}"/>`),
    ...panels.map((panel, i) => drawPanel(panel, report, TOP + i * (PANEL + GAP))),
    ...(endedAtMs < forMs ? [`<line class="axis" stroke-dasharray="4 3" x1="${place(x(endedAtMs))}" y1="${TOP}" x2="${place(x(endedAtMs))}" y2="${bottom}"/>`] : []),
    ...ticks.map((ms) => `<text class="x" x="${place(x(ms))}" y="${bottom + 20}">${clockText(startAtMs + ms, withSeconds)}</text>`),
    `<text class="x" x="${LEFT + INNER + 14}" y="${bottom + 20}" style="text-anchor: start">UTC</text>`,
    '</svg>',
    '',
  ].join('\n')
}
