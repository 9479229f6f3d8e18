// What the benches of deployed functions share: their sources, bundled as `kumoi deploy` does it.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBundle } from '../../functions/mod.ts'
import type { BuiltBundle } from '../../functions/mod.ts'
import type { Scope } from './figure.ts'

const PACKAGE_ROOT = join(import.meta.dirname, '..', '..')

export type Build = (source: string) => Promise<BuiltBundle>

/** Types are not checked: that is `kumoi deploy`'s time before anything is deployed. */
export async function bundler(scope: Scope): Promise<Build> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-bench-bundle-'))
  scope.defer(() => rm(directory, { recursive: true, force: true }))
  return async (source) => {
    const file = join(directory, 'function.ts')
    await writeFile(file, source)
    return buildBundle({ file, types: 'skip', packageRoot: PACKAGE_ROOT })
  }
}
