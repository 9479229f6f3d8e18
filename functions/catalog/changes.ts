// What may happen to the record of a function: deploy, rollback, moves of aliases, pause, resume. Pure:
// (state, wish) -> what is to be written, or the error that the caller gets. One store transaction each (service.ts).
//
// Invariants: 'stable' is always there; every alias and the first entry of the history name a version that is kept; the
// present stable version is not in the history; shares of the calls sum to less than 100; the generation grows by one.

import type { Hash } from '../../fabric/base.ts'
import type { AliasTarget, FunctionRecord, Signed } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { FUNCTION_NAME } from './manifest-shape.ts'

/** A record before it is signed. */
export type FunctionBody = Omit<FunctionRecord, keyof Signed>
/** `versions`: those that are kept, oldest first. */
export interface FunctionState { readonly name: string; readonly record: FunctionBody | undefined; readonly versions: readonly Hash[] }

export type Wish =
  | { readonly do: 'deploy'; readonly version: Hash; readonly alias: string; readonly percent?: number; readonly generation?: number }
  | { readonly do: 'rollback'; readonly version?: string }
  | { readonly do: 'alias'; readonly moves: Readonly<Record<string, string | null>> }
  | { readonly do: 'pause' | 'resume' }

export interface Bounds { readonly versionsKept: number; readonly aliasesMax: number }
/** `next` undefined: it is so already. `forget`: versions that nobody can go back to any more. */
export interface Change { readonly next: FunctionBody | undefined; readonly forget: readonly Hash[] }

const STABLE = 'stable'
const UNCHANGED: Change = { next: undefined, forget: [] }
/** Shorter ones would soon name two. */
const PREFIX = /^[0-9a-f]{4,64}$/

/** The version that a hash or a prefix of one names. Throws FUNCTION_VERSION_UNKNOWN. */
export function findVersion(name: string, reference: string, versions: Iterable<Hash>, aliases: readonly string[] = []): Hash {
  const kept = [...versions]
  const found = PREFIX.test(reference) ? kept.filter((version) => version.startsWith(reference)) : []
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const why = found.length > 1 ? 'several versions begin so' : /^[0-9a-f]{1,3}$/.test(reference) ? 'of a version write four digits or more' : undefined
  const known = [...aliases, ...(found.length > 1 ? found : kept).map((version) => version.slice(0, 12))].join(', ')
  throw FUNCTIONS.FUNCTION_VERSION_UNKNOWN({ name, reference, known, ...(why === undefined ? {} : { why }) })
}

/** Throws FUNCTION_UNKNOWN, FUNCTION_VERSION_UNKNOWN, FUNCTION_CONFLICT, FUNCTION_NO_PREVIOUS, PAYLOAD_INVALID. */
export function change(state: FunctionState, wish: Wish, bounds: Bounds): Change {
  if (wish.do === 'deploy') return deployed(state, wish, bounds)
  const { name, record } = state
  if (record === undefined) throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: '' })
  switch (wish.do) {
    case 'pause':
    case 'resume': {
      const paused = wish.do === 'pause'
      return record.paused === paused ? UNCHANGED : written(state, { ...record, paused }, bounds)
    }
    case 'rollback': return rolledBack(state, record, wish.version, bounds)
    case 'alias': return moved(state, record, wish.moves, bounds)
  }
}

function deployed(state: FunctionState, { version, alias, percent, generation }: Extract<Wish, { readonly do: 'deploy' }>, bounds: Bounds): Change {
  const { name, record, versions } = state
  if (generation !== undefined && generation !== (record?.generation ?? 0)) throw FUNCTIONS.FUNCTION_CONFLICT({ name, by: `others (it is at generation ${record?.generation ?? 0}, not ${generation})` })
  const known: FunctionState = { ...state, versions: [...versions.filter((kept) => kept !== version), version] }
  if (record === undefined) {
    if (alias !== STABLE) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'alias', expected: '"stable" for a function that is not deployed yet', got: `"${alias}"` })
    return written(known, { name, aliases: checkedAliases({ [alias]: target(version, percent) }, bounds), history: [], paused: false, generation: 0 }, bounds)
  }
  const present = record.aliases[alias]
  if (present !== undefined && present.version === version && present.percent === percent && versions.includes(version)) return UNCHANGED
  return written(known, { ...record, aliases: checkedAliases({ ...record.aliases, [alias]: target(version, percent) }, bounds) }, bounds)
}

/** Without a version: one step back each time. With one: there, and what was stable after it is no longer gone back to. */
function rolledBack(state: FunctionState, record: FunctionBody, reference: string | undefined, bounds: Bounds): Change {
  const { name, versions } = state
  const stable = stableOf(record)
  const version = reference === undefined ? record.history[0] : findVersion(name, reference, versions, Object.keys(record.aliases))
  if (version === undefined) throw FUNCTIONS.FUNCTION_NO_PREVIOUS({ name })
  if (version === stable) return UNCHANGED
  const at = record.history.indexOf(version)
  const history = at < 0 ? [stable, ...record.history] : record.history.slice(at + 1)
  return written(state, { ...record, aliases: { ...record.aliases, [STABLE]: { version } }, history }, bounds)
}

function moved(state: FunctionState, record: FunctionBody, moves: Readonly<Record<string, string | null>>, bounds: Bounds): Change {
  const { name, versions } = state
  const aliases = new Map(Object.entries(record.aliases))
  for (const [alias, where] of Object.entries(moves)) {
    if (where === null) {
      if (alias === STABLE) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'alias stable', expected: 'a version: every function has a stable one', got: 'nothing' })
      if (!aliases.delete(alias)) throw FUNCTIONS.FUNCTION_VERSION_UNKNOWN({ name, reference: alias, known: Object.keys(record.aliases).join(', ') })
      continue
    }
    const [, reference = '', share] = /^([^:]*)(?::(\d{1,3})%)?$/.exec(where) ?? []
    if (reference === '') throw FUNCTIONS.PAYLOAD_INVALID({ what: `alias ${alias}`, expected: 'VERSION, ALIAS or VERSION:10%', got: `"${where}"` })
    // "stable=canary": where the alias pointed before any of these moves.
    const version = record.aliases[reference]?.version ?? findVersion(name, reference, versions, Object.keys(record.aliases))
    aliases.set(alias, target(version, share === undefined ? undefined : Number(share)))
  }
  const next = checkedAliases(Object.fromEntries(aliases), bounds)
  return sameAliases(record.aliases, next) ? UNCHANGED : written(state, { ...record, aliases: next }, bounds)
}

const target = (version: Hash, percent: number | undefined): AliasTarget => ({ version, ...(percent === undefined ? {} : { percent }) })
const stableOf = (record: FunctionBody): Hash => (record.aliases[STABLE] as AliasTarget).version

function sameAliases(a: FunctionBody['aliases'], b: FunctionBody['aliases']): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name]?.version === b[name]?.version && a[name]?.percent === b[name]?.percent)
}

function checkedAliases(aliases: FunctionBody['aliases'], { aliasesMax }: Bounds): FunctionBody['aliases'] {
  const entries = Object.entries(aliases)
  if (entries.length > aliasesMax) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'aliases', expected: `at most ${aliasesMax} of one function`, got: String(entries.length) })
  let sum = 0
  for (const [name, { percent }] of entries) {
    if (!FUNCTION_NAME.test(name)) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the name of an alias', expected: 'a-z, 0-9 and dashes, at most 63', got: `"${name}"` })
    if (percent === undefined) continue
    if (name === STABLE) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'alias stable', expected: 'a version without a share: it takes what the others leave', got: `${percent}%` })
    if (!Number.isInteger(percent) || percent < 1) throw FUNCTIONS.PAYLOAD_INVALID({ what: `the share of alias ${name}`, expected: 'whole percents from 1 to 99', got: String(percent) })
    sum += percent
  }
  if (sum > 99) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the shares of the aliases', expected: 'less than 100% together, so that some calls are left for stable', got: `${sum}%` })
  return aliases
}

/** Puts history, bounds and generation right. */
function written(state: FunctionState, wished: FunctionBody, bounds: Bounds): Change {
  const stable = stableOf(wished)
  const before = state.record === undefined ? undefined : stableOf(state.record)
  const rolled = state.record !== undefined && wished.history !== state.record.history
  const line = rolled || before === undefined || before === stable ? wished.history : [before, ...wished.history.filter((version) => version !== before)]
  const kept = new Set(state.versions)
  const history = line.filter((version) => version !== stable && kept.has(version))
  const needed = new Set([...Object.values(wished.aliases).map(({ version }) => version), ...history.slice(0, 1)])
  const room = Math.max(0, bounds.versionsKept - needed.size)
  const others = state.versions.filter((version) => !needed.has(version))
  const forget = others.slice(0, Math.max(0, others.length - room))
  const gone = new Set(forget)
  return { next: { ...wished, history: history.filter((version) => !gone.has(version)), generation: (state.record?.generation ?? 0) + 1 }, forget }
}
