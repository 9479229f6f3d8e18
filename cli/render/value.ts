// One result -> text for people: lists of records as a table, lists of plain values one per line,
// plain values plainly, the rest through util.inspect. The last step before the terminal.
//
// Invariant: on a terminal every string has passed `neutral`; to a file or pipe a plain string goes
// out byte for byte, like every tool's output would.

import { inspect } from 'node:util'

import { LIMITS } from '../../fabric/base.ts'
import type { Outcome } from '../../functions/mod.ts'
import { areOutcomes, isRecord, referenceOf } from './shapes.ts'
import type { Style } from './style.ts'
import { table } from './table.ts'
import type { Column, TableLayout } from './table.ts'
import { neutral, pad, width } from './text.ts'

export interface PeopleLayout extends TableLayout { readonly terminal: boolean }

/** undefined: nothing to print. No final line break. */
export function forPeople(value: unknown, layout: PeopleLayout): string | undefined {
  if (value === undefined) return undefined
  if (Array.isArray(value)) return listText(value, layout)
  const record = recordOf(value)
  if (record !== undefined) return recordText(record, layout)
  if (value instanceof Map && value.size > 0) return mapText(value, layout)
  if (value instanceof Set) return listText([...value], layout)
  return scalarText(value, layout)
}

/** What a table row or a field list can show: a plain object, or a reference with its attributes. */
function recordOf(value: unknown): Record<string, unknown> | undefined {
  const reference = referenceOf(value)
  if (reference !== undefined) return { name: reference.name, kind: reference.kind, ...(reference.cold === true ? { state: 'cold' } : {}), ...reference.attributes }
  return isRecord(value) ? value : undefined
}

function scalarText(value: unknown, layout: PeopleLayout): string {
  if (typeof value === 'string') return layout.terminal ? neutral(value) : value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' || value === null) return String(value)
  return inspected(value, layout.columns ?? 100)
}

/** Strings inside are escaped by inspect itself; keys, class names and error texts are not. */
function inspected(value: unknown, breakLength: number): string {
  const text = value instanceof Error
    ? `${value.name}: ${value.message}`
    : inspect(replaceReferences(value, 0), { depth: LIMITS.inspectDepthMax, maxArrayLength: LIMITS.inspectItemsMax, maxStringLength: 10_000, breakLength, customInspect: false })
  return neutral(text)
}

// inspect would walk into the proxy; its record says what it is.
function replaceReferences(value: unknown, depth: number): unknown {
  const reference = referenceOf(value)
  if (reference !== undefined) return { kind: reference.kind, name: reference.name, uuid: reference.uuid, ...(reference.cold === true ? { state: 'cold' } : {}) }
  if (depth > LIMITS.inspectDepthMax) return value
  if (Array.isArray(value)) return value.map((item) => replaceReferences(item, depth + 1))
  if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, replaceReferences(v, depth + 1)]))
  return value
}

/** One value on one line: a cell of a table, a value beside a node's name. */
export function cellText(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString()
  if (typeof value === 'object' || typeof value === 'function') {
    const reference = referenceOf(value)
    if (reference !== undefined) return reference.name
    return value === null ? '' : inspected(value, Infinity).replaceAll(/\s*\n\s*/g, ' ')
  }
  return String(value)
}

const isNumeric = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint' || value === undefined || value === null

/** Records with any keys -> one table; columns in order of first appearance. */
export function recordsTable(records: readonly Readonly<Record<string, unknown>>[], layout: TableLayout): string {
  const keys = new Set<string>()
  for (const record of records) for (const key of Object.keys(record)) keys.add(key)
  const names = [...keys]
  const columns = names.map((title): Column => ({ title, align: records.every((r) => isNumeric(r[title])) ? 'right' : 'left' }))
  return table(columns, records.map((record) => names.map((name) => cellText(record[name]))), layout)
}

function listText(items: readonly unknown[], layout: PeopleLayout): string | undefined {
  if (items.length === 0) return undefined
  if (areOutcomes(items)) return outcomesTable(items, layout)
  const records = items.map(recordOf)
  if (records.every((r) => r !== undefined && Object.keys(r).length > 0)) return recordsTable(records as Record<string, unknown>[], layout)
  return items.map((item) => (item === undefined ? 'undefined' : Array.isArray(item) || recordOf(item) !== undefined ? inspected(item, Infinity) : scalarText(item, layout))).join('\n')
}

function recordText(record: Readonly<Record<string, unknown>>, layout: PeopleLayout): string {
  const entries = Object.entries(record)
  if (entries.length === 0) return '{}'
  const nested = entries.some(([, v]) => typeof v === 'object' && v !== null && recordOf(v) !== undefined)
  if (nested) return inspected(record, layout.columns ?? 100)
  return fields(entries.map(([key, item]) => [key, cellText(item)] as const), layout.style)
}

/** Names and values in two columns, nothing cut. */
export function fields(entries: readonly (readonly [string, string])[], style: Style): string {
  const widest = Math.max(...entries.map(([key]) => width(neutral(key))))
  return entries.map(([key, item]) => `${style.dim(pad(neutral(key), widest, 'left'))}  ${neutral(item)}`).join('\n')
}

function mapText(map: ReadonlyMap<unknown, unknown>, layout: PeopleLayout): string {
  const rows = [...map].map(([key, item]) => [cellText(key), cellText(item)])
  return table([{ title: 'key' }, { title: 'value' }], rows, layout)
}

/** node | status | value or error, failures last. */
export function outcomesTable(outcomes: readonly Outcome<unknown>[], layout: TableLayout): string {
  const ordered = [...outcomes.filter((o) => o.status === 'value'), ...outcomes.filter((o) => o.status !== 'value')]
  const columns: Column[] = [
    { title: 'element', align: 'right' }, { title: 'node' },
    { title: 'status', paint: (cell, style) => (cell.trim() === 'value' ? style.green(cell) : style.red(cell)) },
    { title: 'result' },
  ]
  return table(columns, ordered.map((o) => [
    o.status !== 'value' && o.element !== undefined ? o.element : String(o.index), o.nodeName ?? '?', o.status === 'value' ? 'value' : o.status,
    o.status === 'value' ? trimmed(o.value) : failureText(o),
  ]), layout)
}

// Command output ends in a line break that a table cell has no use for.
const trimmed = (value: unknown): string => cellText(typeof value === 'string' ? value.replace(/\n$/, '') : execText(value))

// pm.exec() answers { code, stdout, stderr }: what people asked for is the text.
function execText(value: unknown): unknown {
  if (!isRecord(value) || typeof value['stdout'] !== 'string' || typeof value['stderr'] !== 'string') return value
  return value['stdout'].replace(/\n$/, '') || value['stderr'].replace(/\n$/, '') || value
}

/** Why an element failed, in one line. */
export const failureText = (outcome: Exclude<Outcome<unknown>, { status: 'value' }>): string =>
  `${nameOf(outcome.error)}${outcome.error.message}${outcome.mayHaveRun && outcome.status !== 'error' ? ' (it may have run)' : ''}`

/** The class of what the user's function threw; the code of what the system says; nothing for a plain Error. */
function nameOf(error: Error & { readonly code?: string }): string {
  if (error.name === 'Error') return ''
  if (error.name !== 'CodedError') return `${error.name}: `
  return error.code === undefined ? '' : `${error.code}: `
}

/** The short table under the others' results. */
export function failuresTable(outcomes: readonly Outcome<unknown>[], layout: TableLayout): string {
  const failed = outcomes.filter((o) => o.status !== 'value')
  const shown = failed.slice(0, LIMITS.failuresShownMax)
  const text = table([{ title: 'node' }, { title: 'element' }, { title: 'why', paint: (cell, style) => style.red(cell) }, { title: 'error' }],
    shown.map((o) => [o.nodeName ?? '?', o.element ?? String(o.index), o.status, failureText(o)]), layout)
  const more = failed.length - shown.length
  return more > 0 ? `${text}\n... and ${more} more; .settled() has them all` : text
}
