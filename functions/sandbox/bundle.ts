// Makes the three scripts that a cell loads (prelude, cell main, lane worker) and the npm
// packages that shipped functions name. Nothing is built ahead: bundles are made at the first start and
// kept in the node's cache directory under the hash of everything they were made from, so that a cell needs
// neither type stripping nor any file of the project. esbuild is loaded on a cache miss only.

import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BuildOptions, Plugin } from 'esbuild'
import { runEsbuild } from '../bundle/esbuild.ts'
import { FUNCTIONS } from '../errors.ts'

const here = dirname(fileURLToPath(import.meta.url))
/** ".ts" in a checkout, ".js" in a packed release. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const source = (name: string): string => join(here, `${name}${extension}`)
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export interface CellScripts { readonly prelude: string; readonly main: string; readonly worker: string }

interface CacheEntry { readonly key: string; readonly inputs: Readonly<Record<string, string>> }

/** Node modules that only unused parts of a bundle import: dropped with them. */
const withoutNode: Plugin = {
  name: 'without-node',
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, external: true, sideEffects: false }))
  },
}

function fresh(cachePath: string, recordPath: string, key: string): boolean {
  if (!existsSync(cachePath) || !existsSync(recordPath)) return false
  try {
    const record = JSON.parse(readFileSync(recordPath, 'utf8')) as CacheEntry
    return record.key === key && Object.entries(record.inputs).every(([path, hash]) => existsSync(path) && sha256(readFileSync(path)) === hash)
  } catch {
    return false
  }
}

/** Written beside, then renamed: two nodes may share a directory. */
function writeAtomically(path: string, text: string): void {
  const beside = `${path}.${process.pid}.${performance.now()}`
  writeFileSync(beside, text, { mode: 0o600 })
  renameSync(beside, path)
}

async function cached(directory: string, name: string, entry: string, options: BuildOptions): Promise<string> {
  const path = join(directory, name)
  const recordPath = `${path}.json`
  const key = JSON.stringify([entry, options, process.version])
  if (fresh(path, recordPath, key)) return path
  const built = await runEsbuild({ ...options, entryPoints: [entry], metafile: true, absWorkingDir: here })
  const inputs: Record<string, string> = {}
  for (const input of Object.keys(built.metafile?.inputs ?? {})) {
    const file = resolve(here, input)
    if (existsSync(file)) inputs[file] = sha256(readFileSync(file))
  }
  writeAtomically(path, built.outputFiles[0]?.text ?? '')
  writeAtomically(recordPath, JSON.stringify({ key, inputs } satisfies CacheEntry))
  return path
}

const isolateOptions: BuildOptions = { platform: 'neutral', mainFields: ['module', 'main'], format: 'iife', globalName: 'kumoi', minifyWhitespace: true }

/** Where scripts and cells' trees are kept; 0700. */
export const scriptsDirectory = (cacheDirectory: string): string => join(cacheDirectory, 'sandbox')

/** Paths of the scripts in `cacheDirectory`, made when they are missing or stale. */
export async function cellScripts(cacheDirectory: string): Promise<CellScripts> {
  const directory = scriptsDirectory(cacheDirectory)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const require = createRequire(import.meta.url)
  const nodeOptions: BuildOptions = {
    platform: 'node', format: 'esm', define: { KUMOI_ISOLATED_VM: JSON.stringify(require.resolve('isolated-vm')), KUMOI_PISCINA: JSON.stringify(require.resolve('piscina')) },
  }
  const prelude = await cached(directory, 'prelude.js', source('prelude/main'), {
    ...isolateOptions, plugins: [withoutNode], banner: { js: '(function(){' }, footer: { js: 'return kumoi.boot})()' },
  })
  const main = await cached(directory, 'cell-main.mjs', source('cell/main'), nodeOptions)
  const worker = await cached(directory, 'lane-worker.mjs', source('cell/lane-worker'), nodeOptions)
  return { prelude, main, worker }
}

export interface PackageRequest { readonly specifier: string; readonly name: string; readonly version: string }

/**
 * Text of an expression giving the namespace of this node's copy of a package: the first of that version found
 * from one of the directories.
 * Throws SANDBOX_PACKAGE_MISSING, SANDBOX_PACKAGE_VERSION or SANDBOX_PACKAGE_BROKEN.
 */
export async function bundlePackage(request: PackageRequest, directories: readonly string[]): Promise<string> {
  const { specifier, name, version } = request
  const copies = directories.flatMap((fromDirectory) => {
    const manifest = findManifest(name, fromDirectory)
    return manifest === undefined ? [] : [{ fromDirectory, found: manifest.version }]
  })
  const chosen = copies.find((copy) => copy.found === version) ?? copies[0]
  if (chosen === undefined) throw FUNCTIONS.SANDBOX_PACKAGE_MISSING({ name, version, directory: directories[0] ?? '.' })
  const { fromDirectory, found } = chosen
  if (found !== version) throw FUNCTIONS.SANDBOX_PACKAGE_VERSION({ name, version, found })
  try {
    const built = await runEsbuild({
      ...isolateOptions, platform: 'browser', conditions: ['import', 'default'], mainFields: ['module', 'main'],
      stdin: { contents: `import * as namespace from ${JSON.stringify(specifier)}\nexport { namespace }`, resolveDir: fromDirectory, loader: 'js' },
    })
    return `(function(){${built.outputFiles[0]?.text ?? ''}\nreturn kumoi.namespace})()`
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n').slice(0, 3).join(' ') : String(error)
    throw FUNCTIONS.SANDBOX_PACKAGE_BROKEN({ name, version, reason: reason.replaceAll(fromDirectory, '.') })
  }
}

const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/

function findManifest(name: string, fromDirectory: string): { readonly version: string } | undefined {
  if (!PACKAGE_NAME.test(name)) return undefined
  for (let directory = resolve(fromDirectory); ; directory = dirname(directory)) {
    const path = join(directory, 'node_modules', name, 'package.json')
    if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as { version: string }
    if (dirname(directory) === directory) return undefined
  }
}
