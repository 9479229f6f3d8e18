// One frame of `kumoi top`: a fleet, what is looked at, the size of the screen -> lines. Pure.
//
//   kumoi top  12:00:01   4 machines (1 dead)   12 VMs: 11 running, 1 in flight   cpu [######....] 61 %
//   POOLS      a row each, few
//   MACHINES   a row each, few
//   VMS        the focused section takes the room that is left, and scrolls
//   DECISIONS  the last ones
//   keys
//
// Never more than `height` lines, never a line wider than `width` cells; without a height (a pipe, --once) all rows.

import { PLAIN_STYLE } from '../render/style.ts'
import type { Style } from '../render/style.ts'
import { table } from '../render/table.ts'
import type { Column } from '../render/table.ts'
import { neutralLine, truncate, width as cellsOf } from '../render/text.ts'
import { countText, durationText, mebibytesText, ratioText } from '../render/units.ts'
import { SECTIONS } from './contract.ts'
import type { Fleet, Look, Section } from './contract.ts'

export interface Screen { readonly width: number | undefined; readonly height: number | undefined; readonly style: Style }
export interface Frame { readonly lines: readonly string[]; /** Of the focused section: its rows, and how many are shown. */ readonly rows: number; readonly page: number }

const RIGHT = { align: 'right', whole: true } as const
const BUSY_RATIO = 0.9
const bad = (cell: string, style: Style): string => (/^(dead|error|failed|crashed|lost)/.test(cell) ? style.red(cell) : /^(suspect|unknown|pending|draining|maintenance)/.test(cell) ? style.yellow(cell) : cell)
const busy = (cell: string, style: Style): string => (Number.parseInt(cell.trim(), 10) >= BUSY_RATIO * 100 ? style.red(cell) : cell)

const COLUMNS: Readonly<Record<Section, readonly Column[]>> = {
  pools: [{ title: 'pool', whole: true }, { title: 'machines', ...RIGHT }, { title: 'vms', ...RIGHT }, { title: 'in flight', ...RIGHT }, { title: 'vcpus', ...RIGHT }, { title: 'memory', ...RIGHT }, { title: 'scheduler' }, { title: 'elastic' }],
  machines: [{ title: 'machine' }, { title: 'pool' }, { title: 'state', paint: bad }, { title: 'cpu', ...RIGHT, paint: busy }, { title: 'memory', ...RIGHT }, { title: 'vms', ...RIGHT }, { title: 'lease' }],
  vms: [{ title: 'vm' }, { title: 'pool' }, { title: 'machine' }, { title: 'state', paint: bad }, { title: 'cpu', ...RIGHT, paint: busy }, { title: 'vcpus', ...RIGHT }, { title: 'memory', ...RIGHT }, { title: 'kept by' }],
  decisions: [{ title: 'ago', ...RIGHT }, { title: 'pool' }, { title: 'by' }, { title: 'what', paint: (cell, style) => (cell.includes('refused') ? style.yellow(cell) : cell) }, { title: 'about' }, { title: 'because' }],
}
/** Rows of a section that is not looked at. */
const ROWS_ASIDE: Readonly<Record<Section, number>> = { pools: 4, machines: 6, vms: 8, decisions: 4 }
const ORDER: readonly Section[] = ['pools', 'machines', 'vms', 'decisions']
const KEYS = 'q quit   tab section   up/down page-up/page-down scroll   sort: c cpu, m memory, n name'

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
function sorted<T extends { readonly name: string; readonly cpuRatio: number | undefined; readonly memoryMiB: number | undefined }>(rows: readonly T[], sort: Look['sort']): readonly T[] {
  const key = (row: T): number => (sort === 'cpu' ? row.cpuRatio : row.memoryMiB) ?? -1
  return rows.toSorted(sort === 'name' ? byName : (a, b) => key(b) - key(a) || byName(a, b))
}

const memoryText = (used: number | undefined, all: number | undefined): string => (used === undefined || all === undefined ? '-' : `${mebibytesText(used)} of ${mebibytesText(all)}`)

/** The rows of a section in order; only those that are shown are put into words. */
interface Rows { readonly count: number; words(from: number, to: number): readonly (readonly string[])[] }
const rowsFrom = <T>(items: readonly T[], words: (item: T) => readonly string[]): Rows => ({ count: items.length, words: (from, to) => items.slice(from, to).map(words) })

function rowsOf(fleet: Fleet, section: Section, sort: Look['sort']): Rows {
  switch (section) {
    case 'pools': return rowsFrom(fleet.pools, (one) => [one.name, String(one.machines), String(one.vms), String(one.inFlight), `${one.bookedVcpus}/${Math.round(one.vcpus)}`, memoryText(one.bookedMemoryMiB, one.memoryMiB), one.scheduler, one.groups])
    case 'machines': return rowsFrom(sorted(fleet.machines, sort), (one) => [one.name, one.pool, one.state, ratioText(one.cpuRatio), memoryText(one.memoryUsedMiB, one.memoryMiB), String(one.vms), one.lease])
    case 'vms': return rowsFrom(sorted(fleet.vms, sort), (one) => [one.name, one.pool, one.machine, one.state, ratioText(one.cpuRatio), String(one.vcpus), mebibytesText(one.memoryMiB), one.keptBy])
    case 'decisions': return rowsFrom(fleet.decisions, (one) => [durationText(fleet.atMs - one.atMs), one.pool, one.by, one.what, one.about, one.because])
  }
}

const BAR_CELLS = 20
const bar = (ratio: number): string => { const full = Math.round(Math.min(1, Math.max(0, ratio)) * BAR_CELLS); return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] ${ratioText(ratio)}` }

function headOf({ atMs, mode, machines, vms, silent }: Fleet): string {
  const dead = machines.filter(({ state }) => state === 'dead').length
  const running = vms.filter(({ state }) => state === 'running' || state === 'ready').length
  const loads = machines.flatMap(({ cpuRatio }) => (cpuRatio === undefined ? [] : [cpuRatio]))
  const mean = loads.length === 0 ? undefined : loads.reduce((sum, ratio) => sum + ratio, 0) / loads.length
  return [
    `kumoi top  ${new Date(atMs).toISOString().slice(11, 19)}`, `${countText(machines.length, 'machine')}${dead === 0 ? '' : ` (${dead} dead)`}`, `${countText(vms.length, 'VM')}, ${running} running`,
    ...(mean === undefined ? [] : [`cpu ${bar(mean)}`]), ...(mode === 'armed' || mode === '' ? [] : [`mode ${mode}`]), ...(silent.length === 0 ? [] : [`no answer: ${silent.join(', ')}`]),
  ].join('   ')
}

/** Room for the rows of each section: what the focused one does not need less than the others want, they keep. */
function share(counts: Readonly<Record<Section, number>>, focus: Section, room: number): Readonly<Record<Section, number>> {
  const shown = { pools: 0, machines: 0, vms: 0, decisions: 0 }
  let left = Math.max(0, room)
  const give = (section: Section, most: number): void => { const rows = Math.max(0, Math.min(most, counts[section] - shown[section], left)); shown[section] += rows; left -= rows }
  give(focus, Math.max(1, Math.ceil(room / 2)))
  for (const section of SECTIONS) if (section !== focus) give(section, ROWS_ASIDE[section])
  give(focus, left)
  for (const section of SECTIONS) give(section, left)
  return shown
}

export function frame(fleet: Fleet, look: Look, { width, height, style }: Screen): Frame {
  const all = Object.fromEntries(ORDER.map((section) => [section, rowsOf(fleet, section, look.sort)])) as Readonly<Record<Section, Rows>>
  const present = ORDER.filter((section) => section === look.focus || all[section].count > 0)
  const cut = (line: string): string => (width === undefined ? line : truncate(line, width))
  const foot = height === undefined ? [] : [style.dim(cut(look.problem === undefined ? KEYS : neutralLine(look.problem)))]
  // Each section has a title, a head and a blank line before it.
  const room = height === undefined ? Infinity : height - 1 - foot.length - present.length * 3
  const counts = Object.fromEntries(ORDER.map((section) => [section, all[section].count])) as Record<Section, number>
  const shown = room === Infinity ? counts : share(counts, look.focus, room)
  const lines = [style.bold(cut(neutralLine(headOf(fleet))))]
  for (const section of present) {
    const { count, words } = all[section], page = shown[section]
    const from = section === look.focus ? Math.min(look.scroll, Math.max(0, count - page)) : 0
    const some = page === 0 && count > 0 ? ` ${count}` : page < count ? ` ${from + 1}-${from + page} of ${count}` : ''
    const title = `${section.toUpperCase()}${some}`
    lines.push('', section === look.focus && height !== undefined ? style.cyan(cut(`> ${title}`)) : style.bold(cut(title)))
    if (page === 0 && count > 0) continue
    const seen = words(from, from + page)
    const bare = table(COLUMNS[section], seen, { style: PLAIN_STYLE, columns: width }).split('\n'), painted = table(COLUMNS[section], seen, { style, columns: width }).split('\n')
    // Columns that are never cut can be wider than a narrow screen: such a line is cut, and loses its colours.
    lines.push(...bare.map((line, i) => (width !== undefined && cellsOf(line) > width ? cut(line) : painted[i] ?? line)))
  }
  const body = height === undefined ? lines : lines.slice(0, Math.max(1, height - foot.length))
  const padded = height === undefined ? body : [...body, ...Array.from({ length: Math.max(0, height - foot.length - body.length) }, () => '')]
  return { lines: [...padded, ...foot].slice(0, height ?? Infinity), rows: counts[look.focus], page: shown[look.focus] }
}
