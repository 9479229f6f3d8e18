// The copy of a database that a monitor keeps: tables of rows, changed by the server's updates.
//
//   monitor's reply (all rows as "new") --+
//   "update" notification ----------------+--> applyUpdates --> Tables
//
// RFC 7047 section 4.1.6: per table and row uuid there is {old?, new?}. `new` is the whole row (monitored columns), so an
// update replaces a row and needs no diff; a row without `new` is gone. (monitor_cond would save bytes by sending
// differences of sets and maps; one switch has too few rows for that to matter.) Pure: tables are replaced, never changed.

import type { Row } from './values.ts'

/** Table name to row uuid to row. */
export type Tables = ReadonlyMap<string, ReadonlyMap<string, Row>>

export const NO_TABLES: Tables = new Map()

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Tables after the updates; parts that are no table updates are skipped. */
export function applyUpdates(tables: Tables, updates: unknown): Tables {
  if (!isRecord(updates)) return tables
  const next = new Map(tables)
  for (const [table, rows] of Object.entries(updates)) {
    if (!isRecord(rows)) continue
    const changed = new Map(next.get(table))
    for (const [uuid, change] of Object.entries(rows)) {
      if (!isRecord(change)) continue
      if (isRecord(change['new'])) changed.set(uuid, change['new'])
      else changed.delete(uuid)
    }
    next.set(table, changed)
  }
  return next
}

export const rowsOf = (tables: Tables, table: string): ReadonlyMap<string, Row> => tables.get(table) ?? new Map<string, Row>()
