// The audit for people: a line a record, a table of verdicts.

import type { AuditRow } from '../../kali/contract.ts'
import type { AuditReport } from '../../rmo/mod.ts'
import type { Style } from './style.ts'
import { table } from './table.ts'
import type { TableLayout } from './table.ts'
import { neutralLine } from './text.ts'

type Record = Exclude<AuditRow, { readonly notice: unknown }>

/** What became of it, or that it began. */
const wordOf = ({ phase, outcome, count }: Record): string => (phase === 'intent' ? 'begun' : phase === 'refused' ? `refused${count === undefined ? '' : ` ${count} times`}` : outcome ?? '')
const paint = (word: string, style: Style): string => (word === 'done' ? style.green(word) : word === 'begun' ? style.dim(word) : style.red(word))

/** Time, node, record, who, what, of what, how it ended. Without a final line break. */
export function auditText(record: Record, style: Style): string {
  const { atMs, nodeName, seq, principal, verb, object, name, error, tookMs } = record
  const what = object === '' ? name ?? '' : name === undefined ? object : `${object.split('/')[0]}/${name}`
  return [
    style.dim(new Date(atMs).toISOString().replace('T', ' ').slice(0, 23)), `${neutralLine(nodeName)}#${seq}`, style.bold(neutralLine(principal)), neutralLine(verb), ...(what === '' ? [] : [neutralLine(what)]),
    paint(wordOf(record), style), ...(tookMs === undefined ? [] : [style.dim(`${tookMs} ms`)]), ...(error === undefined ? [] : [neutralLine(error)]),
  ].join('  ')
}

const HEAD_CHARS = 12

export function auditTable(reports: readonly AuditReport[], layout: TableLayout): string {
  const right = { align: 'right', whole: true } as const
  const count = (report: AuditReport, says: string): number => report.witnesses.filter((witness) => witness.says === says).length
  const witnessText = (report: AuditReport): string => {
    const words = [`${count(report, 'agrees')} agree`, ...(count(report, 'contradicts') > 0 ? [`${count(report, 'contradicts')} contradict`] : []), ...(count(report, 'away') > 0 ? [`${count(report, 'away')} away`] : [])]
    return report.verdict === 'away' ? '-' : words.join(', ')
  }
  return table(
    [{ title: 'node', whole: true }, { title: 'records', ...right }, { title: 'dropped', ...right }, { title: 'head' }, { title: 'checkpoints', ...right }, { title: 'witnesses' }, { title: 'verdict', whole: true, paint: (cell, style) => (cell === 'sound' ? style.green(cell) : cell === 'tampered' ? style.red(cell) : style.yellow(cell)) }],
    reports.map((report) => [report.name, String(report.records), String(report.dropped), report.head.slice(0, HEAD_CHARS), String(report.checkpoints), witnessText(report), report.verdict]), layout)
}
