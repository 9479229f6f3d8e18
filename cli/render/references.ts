// Lists of resource-mapped objects, with the columns that their kind declares for tables
// (rmo/kinds/*.ts, kali/kinds/*.ts). They are loaded here only when there is a reference to show: by then it is.

import { bytesText, durationText, mebibytesText, ratioText } from './units.ts'
import { referenceOf } from './shapes.ts'
import { table } from './table.ts'
import type { TableLayout } from './table.ts'
import { cellText } from './value.ts'

type Format = 'text' | 'ratio' | 'bytes' | 'mebibytes' | 'number' | 'duration'
export interface KindColumn { readonly attribute: string; readonly title: string; readonly format: Format }

/** Columns of a kind, those for wide tables only when asked; undefined for a kind that this program does not know. */
export async function columnsOf(kind: string, { wide = false }: { readonly wide?: boolean } = {}): Promise<readonly KindColumn[] | undefined> {
  const { kumoiKinds } = await import('../../kali/mod.ts')
  const found = kumoiKinds.kinds.find((k) => k.kind === kind)
  return found === undefined ? undefined : Object.entries(found.attributes).flatMap(([attribute, { column }]) =>
    column === 'none' || (column.wide === true && !wide) || attribute === 'name' ? [] : [{ attribute, title: column.header.toLowerCase(), format: column.format }])
}

/** What can follow `pm.`: attributes and verbs. */
export async function wordsOf(kind: string): Promise<readonly string[]> {
  const { kumoiKinds } = await import('../../kali/mod.ts')
  const found = kumoiKinds.kinds.find((k) => k.kind === kind)
  if (found === undefined) return []
  const { shape, streams } = found
  return ['name', 'uuid', ...shape.attributes, ...shape.verbs, ...Object.keys(streams), 'watch', 'unwatch', ...Object.keys(shape.collections), ...Object.keys(shape.references ?? {})]
}

/** Where a property of an object of a kind leads, when it is another object or several. */
export async function relationOf(kind: string, property: string): Promise<{ readonly kind: string; readonly many: boolean } | undefined> {
  const { kumoiKinds } = await import('../../kali/mod.ts')
  const shape = kumoiKinds.kinds.find((k) => k.kind === kind)?.shape
  const many = shape?.collections[property], one = shape?.references?.[property]
  return many !== undefined ? { kind: many, many: true } : one !== undefined ? { kind: one, many: false } : undefined
}

/** Kind of each collection, by its name: vms -> VM. */
export async function kindsByPlural(): Promise<ReadonlyMap<string, string>> {
  const { kumoiKinds } = await import('../../kali/mod.ts')
  return new Map(kumoiKinds.kinds.map(({ plural, kind }) => [plural, kind]))
}

const FORMATS: Readonly<Record<Format, (value: unknown) => string>> = {
  text: (value) => (Array.isArray(value) ? value.map(cellText).join(', ') : cellText(value)) || '-',
  number: cellText,
  ratio: (value) => (typeof value === 'number' ? ratioText(value) : '-'),
  bytes: (value) => (typeof value === 'number' ? bytesText(value) : '-'),
  mebibytes: (value) => (typeof value === 'number' ? mebibytesText(value) : '-'),
  duration: (value) => (typeof value === 'number' ? durationText(value * 1_000) : '-'),
}

/** `references` are all of one kind; an attribute that a record lacks is a dash. */
export function referencesTable(references: readonly unknown[], columns: readonly KindColumn[], layout: TableLayout): string {
  const rows = references.map((reference) => {
    const record = referenceOf(reference)
    return [record?.name ?? '?', ...columns.map(({ attribute, format }) => {
      const value = attribute === 'state' && record?.cold === true ? 'cold' : record?.attributes[attribute]
      return value === undefined ? '-' : FORMATS[format](value)
    })]
  })
  return table([{ title: 'name' }, ...columns.map((c) => ({ title: c.title, align: c.format === 'text' ? 'left' : 'right' } as const))], rows, layout)
}
