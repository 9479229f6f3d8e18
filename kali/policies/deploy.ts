// The policies that are delivered become deployed functions when a pool first names them: built on the spot by the same
// bundler as a user's, deployed by the node in its own name.
//
//   pool made -> ensurePolicies(names) -> missing: deploy     ours, of an older revision: deploy     anything else: left alone
//
// A policy is ours when its stable version was deployed by `as` and says a revision (policy.ts); what a user deployed under the
// name has another deployer, whatever it says, and is his for good. Nodes of two releases do not fight: only newer replaces.

import { fileURLToPath } from 'node:url'
import { errorCode } from '../../fabric/base.ts'
import type { BuildOptions, Built, BuiltBundle, DeployOptions, FunctionRow } from '../../functions/mod.ts'
import { POLICY_REVISION, revisionOf } from './policy.ts'

/** By function name. Names in full: what packs the product rewrites them to .js. */
const ENTRIES: Readonly<Record<string, URL>> = {
  'kali-ha': new URL('./functions/ha.ts', import.meta.url),
  'kali-elasticity': new URL('./functions/elasticity.ts', import.meta.url),
  'kali-consolidation': new URL('./functions/consolidation.ts', import.meta.url),
  'kali-rebalance': new URL('./functions/rebalance.ts', import.meta.url),
}
export const DELIVERED_POLICIES: readonly string[] = Object.keys(ENTRIES)
/** Path of a delivered policy's entry, for `kumoi simulate` and tests; undefined: a user's own. */
export const policyFile = (name: string): string | undefined => (ENTRIES[name] === undefined ? undefined : fileURLToPath(ENTRIES[name]))

export interface EnsureOptions {
  /** Names of policies as pools have them; those that are not delivered with Kumoi are the user's to deploy. */
  readonly names: readonly string[]
  /** Folder of Kumoi's package.json. */
  readonly packageRoot: string
  /** Principal in whose name `deploy` deploys. */
  readonly as: string
  /** functions/mod.ts: buildBundle. */
  build(options: BuildOptions): Promise<Built>
  deploy(bundle: BuiltBundle, options: DeployOptions): Promise<unknown>
  /** What is deployed, as the store has it. */
  list(): Promise<readonly Pick<FunctionRow, 'name' | 'record' | 'manifest' | 'versions'>[]>
}
/** 'kept': it is there, of this revision or a newer one. 'users': somebody's own is there. 'unknown': not delivered with Kumoi, and not deployed. */
export type Ensured = 'new' | 'renewed' | 'kept' | 'users' | 'unknown'

/** What `deploy` rejects with when another node was first. */
const OVERTAKEN: ReadonlySet<string> = new Set(['FUNCTIONS_ERR_FUNCTION_CONFLICT'])

/** By name. One after the other: a bundle takes the compiler a moment, and nobody waits for the second one. */
export async function ensurePolicies(options: EnsureOptions): Promise<Readonly<Record<string, Ensured>>> {
  const rows = new Map((await options.list()).map((row) => [row.name, row]))
  const outcomes: Record<string, Ensured> = {}
  for (const name of new Set(options.names)) outcomes[name] = await ensure(name, rows.get(name), options)
  return outcomes
}

async function ensure(name: string, row: Pick<FunctionRow, 'record' | 'manifest' | 'versions'> | undefined, { packageRoot, as, build, deploy }: EnsureOptions): Promise<Ensured> {
  const file = policyFile(name)
  if (file === undefined) return row === undefined ? 'unknown' : 'users'
  if (row !== undefined) {
    const revision = revisionOf(row.manifest.description)
    if (revision === undefined || row.versions.find(({ manifest }) => manifest.version === row.manifest.version)?.by !== as) return 'users'
    if (revision >= POLICY_REVISION) return 'kept'
  }
  const bundle = await build({ file, types: 'skip', packageRoot })
  try {
    await deploy(bundle, { generation: row?.record.generation ?? 0 })
  } catch (error) {
    if (OVERTAKEN.has(errorCode(error) ?? '')) return 'kept'
    throw error
  }
  return row === undefined ? 'new' : 'renewed'
}
