// From a function's file to one script and its source map: first step of `kumoi deploy`, in the shell's process.
//
//   hot.ts + what it imports --esbuild--> one module --sites.ts--> program of the sandbox (functions/contract.ts: Program)
//                            --tsc------> type errors
//
// The same sources give the same bytes from any directory and on any machine: paths are relative to the file, those of
// packages begin at node_modules, and no tsconfig of the user's is read. The map lies apart and has the sources in it.

import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { BuildFailure, Metafile } from 'esbuild'
import { LIMITS } from '../../fabric/base.ts'
import type { BuiltBundle } from '../deployed-api.ts'
import { FUNCTIONS } from '../errors.ts'
import { runEsbuild } from './esbuild.ts'
import { isBuiltin, isKumoiFile, KUMOI_FILE, kumoiModule, KUMOI_NAMES, nameOfOurs } from './kumoi-module.ts'
import { rewriteSites } from './sites.ts'
import type { SourceMapText } from './splice.ts'
import { checkTypes } from './type-check.ts'

export interface BuildOptions {
  /** Path of the function's file. */
  readonly file: string
  /** 'check': tsc looks at it too (TypeScript files only). */
  readonly types: 'check' | 'skip'
  /** Folder of Kumoi's package.json. */
  readonly packageRoot: string
}
export interface Built extends BuiltBundle {
  /** For people; one a line. */
  readonly warnings: readonly string[]
}

const BIGGEST_SHOWN = 3
const utf8 = new TextEncoder()

/** Throws BUNDLE_FAILED, BUNDLE_TYPES, BUNDLE_SHIPPED or BUNDLE_TOO_LARGE, with places in the user's files. */
export async function buildBundle({ file, types, packageRoot }: BuildOptions): Promise<Built> {
  const path = resolve(file)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isFile() !== true) throw FUNCTIONS.BUNDLE_FAILED({ file, reason: found === undefined ? 'there is no such file' : 'it is no file; name the files in it, as in `kumoi deploy functions/*.ts`' })
  // What cannot even be bundled is told once, by esbuild, and without waiting for tsc.
  const ending = new AbortController()
  const checking = types === 'check' ? checkTypes({ file: path, packageRoot, signal: ending.signal }) : Promise.resolve({ warnings: [] })
  checking.catch(() => {})
  try {
    const built = await bundle(path, packageRoot)
    return { ...built, warnings: [...(await checking).warnings, ...built.warnings] }
  } finally {
    ending.abort()
    await checking.catch(() => {})
  }
}

async function bundle(path: string, packageRoot: string): Promise<Built> {
  const directory = dirname(path)
  const name = basename(path)
  const { metafile, outputFiles, warnings } = await build(path, directory, packageRoot)
  const output = Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint !== undefined)
  const text = outputFiles.find((made) => made.path.endsWith('.js'))?.text ?? ''
  const map = JSON.parse(outputFiles.find((made) => made.path.endsWith('.map'))?.text ?? '{}') as SourceMapText
  refuseBuiltins(metafile, name)
  if (output?.exports.includes('default') !== true) throw FUNCTIONS.BUNDLE_FAILED({ file: name, reason: 'it has no default export; write `export default defineFunction({ name, run })`' })
  const tidy = (input: string): string => portable(input, directory, packageRoot)
  const sources = map.sources.map(tidy)
  // Our own files have types in a checkout and none in an installed package: the map says the same of both.
  const sourcesContent = map.sourcesContent.map((content, i) => (isKumoiFile(sources[i] ?? '') ? null : content))
  const rewritten = rewriteSites(text, { ...map, sources, sourcesContent }, renames(Object.keys(metafile.inputs), tidy))
  const script = utf8.encode(rewritten.text)
  const inputs = Object.entries(output.inputs)
  if (script.length > LIMITS.bundleBytesMax) {
    const biggest = inputs.toSorted(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput).slice(0, BIGGEST_SHOWN)
    throw FUNCTIONS.BUNDLE_TOO_LARGE({ bytes: script.length, bytesMax: LIMITS.bundleBytesMax, biggest: biggest.map(([input, { bytesInOutput }]) => `${tidy(input)} (${bytesInOutput} bytes)`).join(', ') })
  }
  const used = inputs.map(([input]) => input)
  return {
    script, sourceMap: mapBytes(rewritten.map), packages: packagesOf(used, directory),
    files: used.filter((input) => !input.startsWith('kumoi:') && !input.includes('node_modules/')).map(tidy).filter((input) => !isKumoiFile(input)).sort(),
    warnings: [...warnings.map(placed), ...rewritten.unknown.map((use) => `${use} is not there in a sandbox`)],
  }
}

type Output = Awaited<ReturnType<typeof runEsbuild>> & { readonly metafile: Metafile }

async function build(path: string, directory: string, packageRoot: string): Promise<Output> {
  try {
    return await runEsbuild({
      entryPoints: [path], absWorkingDir: directory, outfile: join(directory, 'bundle.js'), format: 'esm', platform: 'neutral', mainFields: ['module', 'main'],
      metafile: true, sourcemap: 'external', legalComments: 'none', tsconfigRaw: {}, define: { 'process.env.NODE_ENV': '"production"' },
      supported: { 'top-level-await': false, 'import-meta': false }, logOverride: { 'empty-import-meta': 'error' }, plugins: [kumoiModule(packageRoot)],
    }) as Output
  } catch (error) {
    const [first, ...others] = (error as Partial<BuildFailure>).errors ?? []
    if (first === undefined) throw error
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`
    throw FUNCTIONS.BUNDLE_FAILED({ file: basename(path), reason: `${placed(first)}${more}` }, { cause: error })
  }
}

interface Message { readonly text: string; readonly location: { readonly file: string; readonly line: number; readonly column: number; readonly lineText: string } | null }

/** "hot.ts:3:9: text" and the line with a mark under the place. */
function placed({ text, location }: Message): string {
  const told = text.replace(/No matching export in "kumoi:kumoi" for import "([^"]*)"/, (_, wanted: string) => `kumoi has no ${wanted} for deployed functions; it has ${KUMOI_NAMES.join(', ')}, and what run() is given`)
    .replace(/^Could not resolve "([^."/][^"]*)"$/, (all: string, wanted: string) => `${all}; is it installed beside the file (npm install ${wanted})?`)
    .replace(/^No loader is configured for "\.node" files.*/, 'a native module cannot run in a sandbox; use a package in plain JavaScript')
  if (location === null) return told
  return `${location.file}:${location.line}:${location.column + 1}: ${told}\n    ${location.lineText.slice(0, 200)}\n    ${' '.repeat(Math.min(200, location.column))}^`
}

/** The way by which a module of Node came in, from the user's file on. */
function refuseBuiltins(metafile: Metafile, name: string): void {
  const left = Object.values(metafile.outputs).flatMap(({ imports }) => imports).find(({ path, external }) => external === true && isBuiltin(path))
  if (left === undefined) return
  const chain = wayTo(metafile, name, left.path)
  throw FUNCTIONS.BUNDLE_FAILED({ file: name, reason: `${chain.join(' imports ')}, a module of Node, which a sandbox does not have; use what run() is given, and the language's own functions` })
}

function wayTo(metafile: Metafile, entry: string, wanted: string): readonly string[] {
  const ways: string[][] = [[entry]]
  const seen = new Set([entry])
  for (const way of ways) {
    for (const { path } of metafile.inputs[way.at(-1) ?? '']?.imports ?? []) {
      if (path === wanted) return [...way, path]
      if (seen.has(path)) continue
      seen.add(path)
      ways.push([...way, path])
    }
  }
  return [entry, wanted]
}

/** A path as esbuild tells it, without what depends on where things lie. */
function portable(input: string, directory: string, packageRoot: string): string {
  if (input.startsWith('kumoi:')) return KUMOI_FILE
  const ours = nameOfOurs(packageRoot, resolve(directory, input))
  if (ours !== undefined) return ours
  const at = input.lastIndexOf('node_modules/')
  return at < 0 ? input : input.slice(at)
}

/** Where esbuild writes paths into the script: a comment before each file, and the name of each CommonJS module. */
function renames(inputs: readonly string[], tidy: (input: string) => string): ReadonlyMap<string, string> {
  const words = new Map<string, string>()
  for (const input of inputs) {
    // Also those that stay as they are: the map must not tell that others were changed.
    const to = tidy(input)
    words.set(`// ${input}\n`, `// ${to}\n`)
    words.set(`${JSON.stringify(input)}(`, `${JSON.stringify(to)}(`)
  }
  return words
}

/** Without the sources of packages when they make it too large; without any when even that does not help. */
function mapBytes(map: SourceMapText): Uint8Array {
  const bytes = utf8.encode(JSON.stringify(map))
  if (bytes.length <= LIMITS.sourceMapBytesMax) return bytes
  const own = utf8.encode(JSON.stringify({ ...map, sourcesContent: map.sourcesContent.map((content, i) => (map.sources[i]?.startsWith('node_modules/') === true ? null : content)) }))
  return own.length <= LIMITS.sourceMapBytesMax ? own : utf8.encode(JSON.stringify({ ...map, sourcesContent: [] }))
}

const PACKAGE = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//

function packagesOf(inputs: readonly string[], directory: string): BuiltBundle['packages'] {
  const found = new Map<string, { readonly name: string; readonly version: string }>()
  for (const input of inputs) {
    const [, root, name] = PACKAGE.exec(input) ?? []
    if (root === undefined || name === undefined || found.has(root)) continue
    const { version } = JSON.parse(readFileSync(join(resolve(directory, root), 'package.json'), 'utf8')) as { version?: string }
    found.set(root, { name, version: version ?? '0.0.0' })
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1))
}
