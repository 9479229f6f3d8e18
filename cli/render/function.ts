// What `kumoi deploy` and `kumoi functions` show of deployed functions.

import type { DeployReport, FunctionManifest, FunctionRecord, FunctionRow } from '../../functions/mod.ts'
import { table } from './table.ts'
import type { TableLayout } from './table.ts'
import { bytesText, durationText } from './units.ts'
import { fields } from './value.ts'

/** Enough of a version for people and for every command that takes one. */
export const versionText = (version: string): string => version.slice(0, 12)

/** Given in, because it is of functions/, which help must not load. */
export type TriggerText = (trigger: FunctionManifest['triggers'][number]) => string

const joined = (items: readonly string[], none: string): string => (items.length === 0 ? none : items.join(', '))

function triggersText({ triggers }: FunctionManifest, triggerText: TriggerText): string {
  return joined(triggers.map(triggerText), 'by call')
}

/** "canary 3f2a91c0d4e5 10%": all aliases but stable. */
function aliasesText({ aliases }: FunctionRecord): string {
  return joined(Object.entries(aliases).filter(([name]) => name !== 'stable').map(([name, { version, percent }]) => `${name} ${versionText(version)}${percent === undefined ? '' : ` ${percent}%`}`), '-')
}

function manifestFields(manifest: FunctionManifest, triggerText: TriggerText): (readonly [string, string])[] {
  const { description, bytes, files, packages, singleton, target, rights, secrets, limits, retry } = manifest
  return [
    ...(description === '' ? [] : [['about', description] as const]),
    ['version', versionText(manifest.version)],
    ['script', `${bytesText(bytes)} of ${joined(files, 'no files')}`],
    ['packages', joined(packages.map(({ name, version }) => `${name}@${version}`), 'none')],
    ['runs', `${triggersText(manifest, triggerText)}${singleton ? ', one at a time in the whole fabric' : ''}, on ${target}`],
    ['rights', joined(rights, 'none')],
    ...(secrets.length === 0 ? [] : [['secrets', joined(secrets, '')] as const]),
    ['limits', `${durationText(limits.timeoutMs)}, ${limits.heapLimitMiB} MiB, ${limits.concurrency} at once and ${limits.queue} waiting on a node; ${retry.attempts} attempts`],
  ]
}

const OUTCOMES = { new: 'new', changed: 'changed', same: 'is deployed already' } as const

export function deployText(report: DeployReport, { dryRun, alias }: { readonly dryRun: boolean; readonly alias: string }, triggerText: TriggerText, layout: TableLayout): string {
  const { name, manifest, outcome, previous, changes, copies, ready } = report
  const head = `${name}${alias === 'stable' ? '' : `@${alias}`} ${versionText(manifest.version)} ${dryRun && outcome !== 'same' ? `would be ${outcome}` : OUTCOMES[outcome]}`
  const lines = fields([
    ...manifestFields(manifest, triggerText).filter(([title]) => title !== 'version'),
    ...(dryRun ? [] : [['copies on', joined(copies, 'no node')], ['ready on', joined(ready, 'no node')]] as const),
  ], layout.style)
  const told = changes.filter(({ path }) => path !== 'version')
  const difference = previous === undefined ? '' : told.length === 0 ? `\n\nto ${versionText(previous)}: only the code differs` : `\n\n${table([{ title: `to ${versionText(previous)}` }, { title: 'before' }, { title: 'now' }], told.map(({ path, before, after }) => [path, before, after]), layout)}`
  return `${head}\n${lines}${difference}`
}

export function functionsTable(rows: readonly FunctionRow[], triggerText: TriggerText, layout: TableLayout, nowMs: number): string {
  return table([{ title: 'name', whole: true }, { title: 'version', whole: true }, { title: 'state', whole: true }, { title: 'trigger' }, { title: 'rights' }, { title: 'aliases' }, { title: 'holder' }, { title: 'changed', align: 'right', whole: true }],
    rows.map(({ name, record, manifest, holder }) => [
      name, versionText(manifest.version), record.paused ? 'paused' : 'active', triggersText(manifest, triggerText), joined(manifest.rights, '-'), aliasesText(record),
      holder?.node ?? '-', durationText(nowMs - record.atMs),
    ]), layout)
}

export function functionText({ name, record, manifest, versions, holder }: FunctionRow, triggerText: TriggerText, layout: TableLayout, nowMs: number): string {
  const head = fields([
    ['function', name], ...manifestFields(manifest, triggerText),
    ['state', record.paused ? 'paused' : 'active'],
    ...(holder === undefined ? [] : [['held by', `${holder.node} in epoch ${holder.epoch}`] as const]),
    ['changed', `${durationText(nowMs - record.atMs)} ago by ${record.by}, ${record.generation} ${record.generation === 1 ? 'change' : 'changes'} in all`],
  ], layout.style)
  const roleOf = (version: string): string => {
    const named = Object.entries(record.aliases).filter(([, target]) => target.version === version).map(([alias, { percent }]) => `${alias}${percent === undefined ? '' : ` ${percent}%`}`)
    const back = record.history.indexOf(version)
    return [...named, ...(back < 0 ? [] : [back === 0 ? 'rollback goes here' : `${back + 1} back`])].join(', ') || '-'
  }
  const rows = versions.map(({ manifest: of, atMs, by }) => [versionText(of.version), roleOf(of.version), bytesText(of.bytes), by, durationText(nowMs - atMs)])
  return `${head}\n\n${table([{ title: 'version' }, { title: 'is' }, { title: 'script', align: 'right' }, { title: 'deployed by' }, { title: 'ago', align: 'right' }], rows, layout)}`
}
