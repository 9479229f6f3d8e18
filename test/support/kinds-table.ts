// The README's table of kinds, made from the registry, so that it cannot say what is not so.
//
//   node test/support/kinds-table.ts     puts it between the markers in README.md; test/tidy.test.ts compares

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { kumoiKinds } from '../../kali/mod.ts'
import type { Kind } from '../../rmo/mod.ts'

const BEGIN = '<!-- kinds:begin -->'
const END = '<!-- kinds:end -->'
const README = join(import.meta.dirname, '..', '..', 'README.md')

/** What every kind has; see the table of common members. */
const COMMON: ReadonlySet<string> = new Set(['name', 'uuid', 'info', 'stats', 'dump', 'patch', 'acls', 'account', 'audit'])

const own = (names: Iterable<string>): string[] => [...names].filter((name) => !COMMON.has(name))

function row({ kind, plural, shape, events, streams }: Kind): string {
  const settable = new Set(shape.settable)
  const attributes = own(shape.attributes).map((name) => (settable.has(name) ? `**${name}**` : name))
  const verbs = [...own(shape.verbs), ...Object.keys(streams)]
  const related = [...Object.keys(shape.collections), ...Object.keys(shape.references ?? {})]
  const cells = [`${kind}: \`${plural}\``, attributes.join(' '), verbs.join(' '), related.join(' '), Object.keys(events).join(' ')]
  return `| ${cells.map((cell) => (cell === '' ? '-' : cell)).join(' | ')} |`
}

export const kindsTable = (): string => ['| kind: collection | attributes (**bold**: can be set) | verbs | leads to | events |', '| --- | --- | --- | --- | --- |', ...kumoiKinds.kinds.map(row)].join('\n')

/** The table as it stands in the README; undefined without markers. */
export function writtenTable(readme: string): string | undefined {
  const from = readme.indexOf(BEGIN), to = readme.indexOf(END)
  return from < 0 || to < from ? undefined : readme.slice(from + BEGIN.length, to).trim()
}

if (import.meta.main) {
  const readme = await readFile(README, 'utf8')
  const before = writtenTable(readme)
  if (before === undefined) throw new Error(`README.md has no ${BEGIN} ... ${END}`)
  const from = readme.indexOf(BEGIN) + BEGIN.length
  await writeFile(README, `${readme.slice(0, from)}\n${kindsTable()}\n${readme.slice(readme.indexOf(END))}`)
}
