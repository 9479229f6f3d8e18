// What `explain` shows: everything a function would carry, by name and size.

import type { Manifest } from '../../functions/mod.ts'
import { table } from './table.ts'
import type { TableLayout } from './table.ts'
import { bytesText } from './units.ts'
import { fields } from './value.ts'

export function manifestText(manifest: Manifest, layout: TableLayout): string {
  const head = fields([
    ['function', manifest.name === '' ? '(anonymous)' : manifest.name],
    ...(manifest.location === undefined ? [] : [['written at', manifest.location] as const]),
    ['code', `${manifest.codeHash.slice(0, 16)}…  ${bytesText(manifest.codeBytes)}`],
    ['values', manifest.captured.length === 0 ? 'none' : `${manifest.environmentHash.slice(0, 16)}…  ${bytesText(manifest.environmentBytes)}`],
    ['packages', manifest.packages.map((p) => `${p.name}@${p.version}`).join(', ') || 'none'],
    ['reaches', manifest.capabilities.join(', ') || 'nothing but its arguments'],
  ], layout.style)
  if (manifest.captured.length === 0) return head
  const rows = manifest.captured.map((c) => [c.path, c.type, String(c.bytes)])
  return `${head}\n\n${table([{ title: 'captured' }, { title: 'type' }, { title: 'bytes', align: 'right' }], rows, layout)}`
}
