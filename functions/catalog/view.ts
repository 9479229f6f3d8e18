// This node's copy of the records, in memory: look-ups and the choice of a version. No I/O.
//
// A resolution is of one record as it was at one moment: whatever changes afterwards, the caller has one whole version.

import { nearest } from '../../fabric/base.ts'
import type { Hash } from '../../fabric/base.ts'
import type { CatalogProblem } from '../deployed-api.ts'
import type { DeployedFunction, FunctionRecord, ResolvedFunction, VersionRecord } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { findVersion } from './changes.ts'

const STABLE = 'stable'

export class CatalogView {
  readonly #functions = new Map<string, DeployedFunction>()
  /** By function and what of it ("" the record itself, else a version). */
  readonly #problems = new Map<string, ReadonlyMap<string, string>>()
  #sorted: readonly DeployedFunction[] | undefined

  get(name: string): DeployedFunction | undefined { return this.#functions.get(name) }
  list(): readonly DeployedFunction[] { return this.#sorted ??= [...this.#functions.values()].toSorted((a, b) => (a.record.name < b.record.name ? -1 : 1)) }
  names(): readonly string[] { return [...new Set([...this.#functions.keys(), ...this.#problems.keys()])] }
  problems(): readonly CatalogProblem[] { return [...this.#problems].flatMap(([name, reasons]) => [...reasons.values()].map((reason) => ({ name, reason }))) }

  set(name: string, deployed: DeployedFunction | undefined, problems: ReadonlyMap<string, string>): void {
    this.#sorted = undefined
    if (deployed === undefined) this.#functions.delete(name)
    else this.#functions.set(name, deployed)
    if (problems.size === 0) this.#problems.delete(name)
    else this.#problems.set(name, problems)
  }

  /** deployed.ts: Catalog.resolve. */
  resolve(reference: string, draw: number): ResolvedFunction {
    const at = reference.indexOf('@')
    const name = at < 0 ? reference : reference.slice(0, at)
    const deployed = this.#functions.get(name)
    if (deployed === undefined) {
      const [reason] = this.#problems.get(name)?.values() ?? []
      if (reason !== undefined) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason })
      throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: nearest(name, [...this.#functions.keys()]) ?? '' })
    }
    const { record, versions } = deployed
    if (record.paused) throw FUNCTIONS.FUNCTION_PAUSED({ name })
    if (at < 0) {
      const alias = drawn(record, versions, draw)
      return resolved(name, alias, usable(name, record.aliases[alias]?.version, versions))
    }
    const wanted = reference.slice(at + 1)
    // "constructor" is a name too, and no alias of every function.
    const named = Object.hasOwn(record.aliases, wanted) ? record.aliases[wanted] : undefined
    if (named !== undefined) return resolved(name, wanted, usable(name, named.version, versions))
    return resolved(name, '', usable(name, findVersion(name, wanted, versions.keys(), Object.keys(record.aliases)), versions))
  }

  version(name: string, prefix: string): VersionRecord | undefined {
    const versions = this.#functions.get(name)?.versions ?? new Map<Hash, VersionRecord>()
    for (const [version, record] of versions) if (prefix !== '' && version.startsWith(prefix)) return record
    return undefined
  }

  /** The function of which this is a version, or the source map of one. */
  owner(hash: Hash): { readonly name: string; readonly version: VersionRecord } | undefined {
    for (const { record: { name }, versions } of this.#functions.values()) {
      for (const version of versions.values()) if (version.manifest.version === hash || version.manifest.sourceMap === hash) return { name, version }
    }
    return undefined
  }
}

/** The alias that takes a call which names none: shares in order of the aliases' names, the rest is stable's. */
function drawn({ aliases }: FunctionRecord, versions: ReadonlyMap<Hash, VersionRecord>, draw: number): string {
  let at = draw * 100
  for (const [name, { version, percent = 0 }] of Object.entries(aliases).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (percent === 0 || !versions.has(version)) continue
    if (at < percent) return name
    at -= percent
  }
  return STABLE
}

function usable(name: string, version: Hash | undefined, versions: ReadonlyMap<Hash, VersionRecord>): VersionRecord {
  const record = version === undefined ? undefined : versions.get(version)
  if (record === undefined) throw FUNCTIONS.FUNCTION_UNSIGNED({ name, reason: `the record of its version ${version?.slice(0, 12)} is missing or was refused` })
  return record
}

const resolved = (name: string, alias: string, { manifest, by }: VersionRecord): ResolvedFunction => ({ name, alias, manifest, deployer: by })
