// A report in words, for people; `kumoi simulate` prints it. Pure: the same report, the same text.

import type { ActionTally, CloudPoint, CloudTallyReport, FunctionReport, Point, SimulateReport } from './contract.ts'

const HOUR_MS = 3_600_000
/** Rows of the table over time. */
const ROWS = 12

/** "2026-01-01 05:00:00". */
export const momentText = (wallMs: number): string => new Date(wallMs).toISOString().slice(0, 19).replace('T', ' ')
const spanText = (ms: number): string => (ms % HOUR_MS === 0 ? `${ms / HOUR_MS} h` : ms >= HOUR_MS ? `${Math.floor(ms / HOUR_MS)} h ${Math.round(ms % HOUR_MS / 60_000)} min` : ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Math.round(ms / 100) / 10} s`)
const countText = (counts: Readonly<Record<string, number>>): string => Object.entries(counts).map(([name, n]) => `${n} ${name}`).join(', ')
const percent = (ratio: number): string => `${Math.round(ratio * 100)}%`

function functionLines({ name, version, calls, errors, causes, lines, counts, firstError }: FunctionReport, startAtMs: number): readonly string[] {
  return [
    `${name} (${version.slice(0, 12)}): ${calls} call${calls === 1 ? '' : 's'}${calls === 0 ? '' : ` (${countText(causes)})`}, ${errors} failed`,
    ...(Object.keys(lines).length === 0 ? [] : [`  lines: ${countText(lines)}`]),
    ...(Object.keys(counts).length === 0 ? [] : [`  told: ${countText(counts)}`]),
    ...(firstError === undefined ? [] : [
      `  first failure at ${momentText(startAtMs + firstError.atMs)}, call ${firstError.callId}: ${firstError.code === '' ? firstError.status : firstError.code}: ${firstError.message}`,
      ...(firstError.stack ?? '').split('\n').slice(1, 7).filter((line) => line.trim() !== '').map((line) => `    ${line.trim()}`),
    ]),
  ]
}

function timeTable({ points, startAtMs, endedAtMs }: SimulateReport): readonly (readonly string[])[] {
  const every = Math.max(1, Math.ceil(points.length / ROWS))
  const shown = points.filter(({ atMs }, i) => i % every === 0 || atMs === endedAtMs)
  return shown.map((point: Point, i) => {
    const before = shown[i - 1]
    const since = (of: (point: Point) => number): string => String(of(point) - (before === undefined ? 0 : of(before)))
    return [momentText(startAtMs + point.atMs), percent(point.cpuMean), percent(point.cpuMax), countText(point.states), String(point.hostsDown), since((p) => p.calls), since((p) => p.errors), since((p) => p.changes), ...(point.cloud === undefined ? [] : cloudCells(point.cloud))]
  })
}
export const TIME_COLUMNS = ['time (UTC)', 'load', 'highest', 'vms', 'down', 'calls', 'failed', 'changes'] as const

const cloudCells = ({ vms, members, ready, waiting, failed, asleep }: CloudPoint): readonly string[] => [String(vms), members === ready ? String(members) : `${ready} of ${members}`, String(waiting + failed), String(asleep)]
/** Further ones, where there are pools. */
const CLOUD_COLUMNS = ['in pools', 'members', 'without a place', 'asleep'] as const

function poolLines({ pools, missing }: CloudTallyReport): readonly string[] {
  return [
    ...pools.map(({ name, machines, vms, scheduler, policies }) => `pool ${name}: ${machines} machine${machines === 1 ? '' : 's'}, ${vms} VM${vms === 1 ? '' : 's'}, placed by ${scheduler}; policies: ${policies.join(', ') || 'none'}`),
    ...(missing.length === 0 ? [] : [`named by pools and not simulated: ${missing.join(', ')}; give their files, or --policy NAME for one of Kumoi's`]),
  ]
}
const reasonsText = (actions: readonly ActionTally[]): string => actions.flatMap(({ action, reasons }) => reasons.map(({ reason, times }) => `${action} ${times}x: ${reason}`)).slice(0, 2).join('; ')
function policyRows({ policies }: CloudTallyReport): readonly (readonly string[])[] {
  return policies.map(({ policy, pool, rounds, actions }) => {
    const outcome = (of: 'done' | 'refused'): string => actions.filter((tally) => tally[of] > 0).map((tally) => `${tally[of]} ${tally.action}`).join(', ') || '0'
    return [policy, pool, String(rounds), outcome('done'), outcome('refused'), reasonsText(actions)]
  })
}
function violationRows({ violations }: CloudTallyReport, startAtMs: number): readonly (readonly string[])[] {
  return violations.map(({ what, broken, times, minutes, first }) => [what, broken ? 'MUST NOT BE' : '', String(times), String(minutes), `${momentText(startAtMs + first.atMs).slice(11)} ${first.text}`])
}
const POLICY_COLUMNS = ['policy', 'pool', 'rounds', 'done', 'refused', 'why refused'] as const
const VIOLATION_COLUMNS = ['violation', 'kind', 'times', 'minutes', 'first'] as const

export interface ReportText {
  readonly head: readonly string[]
  /** Kind and verb, calls, failed, of which objects most. */
  readonly verbs: readonly (readonly string[])[]
  readonly time: readonly (readonly string[])[]
  /** Columns after those of TIME_COLUMNS; the tables beside it. Empty without pools. */
  readonly cloudColumns: readonly string[]
  readonly tables: readonly { readonly columns: readonly string[]; readonly rows: readonly (readonly string[])[] }[]
}

export function reportText(report: SimulateReport): ReportText {
  const { hosts, vms, startAtMs, forMs, endedAtMs, ended, seed, loads, functions, emitted, stateChanges, verbs, faults, warnings, cloud } = report
  const how = ended === 'done' ? '' : ended === 'error' ? ' (ended by the first failure)' : ' (stopped)'
  const counted = (title: string, counts: Readonly<Record<string, number>>): readonly string[] => (Object.keys(counts).length === 0 ? [] : [`${title}: ${Object.entries(counts).map(([name, n]) => `${name} ${n}x`).join(', ')}`])
  return {
    head: [
      `${hosts} machine${hosts === 1 ? '' : 's'}, ${vms} VMs, ${loads}, seed ${seed}`,
      `${momentText(startAtMs)} to ${momentText(startAtMs + endedAtMs)} UTC: ${spanText(endedAtMs)}${endedAtMs < forMs ? ` of ${spanText(forMs)}` : ''}${how}`,
      ...functions.flatMap((of) => functionLines(of, startAtMs)),
      ...(cloud === undefined ? [] : poolLines(cloud)),
      ...counted('emitted', emitted), ...counted('state written', stateChanges),
      ...(faults.length === 0 ? [] : [`machines that went down: ${faults.filter(({ atMs }) => atMs <= endedAtMs).map(({ host, atMs }) => `${host} at ${momentText(startAtMs + atMs).slice(11)}`).join(', ') || 'none yet'}`]),
      ...counted('warnings', warnings),
    ],
    verbs: verbs.map(({ kind, verb, calls, failed, objects, objectsInAll }) => [
      `${kind}.${verb}`, String(calls), countText(failed) || '0',
      objects.slice(0, 3).map(({ name, calls: n }) => `${name} ${n}x`).join(', ') + (objectsInAll > 3 ? `, ${objectsInAll - 3} more` : ''),
    ]),
    time: timeTable(report),
    cloudColumns: cloud === undefined ? [] : CLOUD_COLUMNS,
    tables: cloud === undefined ? [] : [
      ...(cloud.policies.length === 0 ? [] : [{ columns: POLICY_COLUMNS, rows: policyRows(cloud) }]),
      { columns: VIOLATION_COLUMNS, rows: cloud.violations.length === 0 ? [['none', '', '0', '0', '']] : violationRows(cloud, startAtMs) },
    ],
  }
}
