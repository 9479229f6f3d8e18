// `--merge`: machines that answered alike are printed once, under a folded list of their names, as
// ClusterShell's clubak does. Pure.

import type { Outcome } from '../../functions/mod.ts'
import { failureText } from './value.ts'

export interface MergedGroup { readonly nodes: readonly string[]; readonly text: string; readonly failed: boolean }

interface Numbered { readonly prefix: string; readonly digits: string; readonly suffix: string }

/** Splits at the last run of digits, which is what counts in "rack1-node12". */
function numbered(name: string): Numbered | undefined {
  const match = /^(.*?)(\d+)(\D*)$/s.exec(name)
  const [, prefix, digits, suffix] = match ?? []
  return prefix === undefined || digits === undefined || suffix === undefined || digits.length > 15 ? undefined : { prefix, digits, suffix }
}

/** Ascending digit strings of one padding -> "1-3,07". */
function ranges(digits: readonly string[]): string {
  const parts: string[] = []
  for (let i = 0; i < digits.length;) {
    let end = i
    while (end + 1 < digits.length && Number(digits[end + 1]) === Number(digits[end]) + 1) end++
    parts.push(end === i ? `${digits[i]}` : end === i + 1 ? `${digits[i]},${digits[end]}` : `${digits[i]}-${digits[end]}`)
    i = end + 1
  }
  return parts.join(',')
}

/** "node1", "node2", "node3", "web" -> "node[1-3],web"; padding is kept, duplicates are dropped. */
export function foldNames(names: readonly string[]): string {
  const distinct = [...new Set(names)].map((name) => ({ name, split: numbered(name) }))
  // A leading zero fixes the width of its family: 08, 09 and 10 go together, 8 and 08 do not.
  const family = (n: Numbered): string => `${n.prefix}\0${n.suffix}\0`
  const padded = new Set(distinct.flatMap(({ split }) => (split !== undefined && /^0\d/.test(split.digits) ? [`${family(split)}${split.digits.length}`] : [])))
  const groups = new Map<string, { readonly name: string; readonly first: Numbered | undefined; readonly digits: string[] }>()
  for (const { name, split } of distinct) {
    const fixed = split === undefined ? undefined : `${family(split)}${split.digits.length}`
    const key = split === undefined ? `=${name}` : fixed !== undefined && padded.has(fixed) ? fixed : `${family(split)}free`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { name, first: split, digits: split === undefined ? [] : [split.digits] })
    else if (split !== undefined) group.digits.push(split.digits)
  }
  return [...groups.values()].map(({ name, first, digits }) => {
    if (first === undefined || digits.length === 1) return name
    return `${first.prefix}[${ranges(digits.sort((a, b) => Number(a) - Number(b)))}]${first.suffix}`
  }).join(',')
}

/** Outcomes with equal text and equal fate go together; largest group first, ties as they came. */
export function mergeOutcomes(outcomes: readonly Outcome<unknown>[], textOf: (value: unknown) => string): MergedGroup[] {
  const groups = new Map<string, { readonly nodes: string[]; readonly text: string; readonly failed: boolean }>()
  for (const outcome of outcomes) {
    const failed = outcome.status !== 'value'
    const text = outcome.status === 'value' ? textOf(outcome.value) : `${outcome.status}: ${failureText(outcome)}`
    const node = outcome.nodeName ?? (outcome.status === 'value' ? undefined : outcome.element) ?? '?'
    const key = `${failed ? 1 : 0}${text}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { nodes: [node], text, failed })
    else group.nodes.push(node)
  }
  return [...groups.values()].sort((a, b) => Number(a.failed) - Number(b.failed) || b.nodes.length - a.nodes.length)
}

/** "alpha,beta: text", or the text on lines of its own when it has several. */
export function mergedText(groups: readonly MergedGroup[]): string {
  return groups.map(({ nodes, text }) => {
    const count = new Set(nodes).size > 1 ? ` (${new Set(nodes).size})` : ''
    return text.includes('\n') ? `--- ${foldNames(nodes)}${count}\n${text}` : `${foldNames(nodes)}${count}: ${text}`
  }).join('\n')
}
