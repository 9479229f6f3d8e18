// npm packages are carried by reference: name, version and the path of the export; the target uses its own copy.
//
// Found by where the value's script lies (under node_modules) and confirmed by identity: the value must be
// reachable from a public entry of the package, by one or two member names. require() gives the same
// instance that import gave (CommonJS, and ES modules through require of their file).

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PackageExport {
  readonly specifier: string
  readonly name: string
  readonly version: string
  /** Member names from the namespace to the value. */
  readonly path: readonly string[]
}

interface PackageFile { readonly name?: string; readonly version?: string; readonly exports?: unknown; readonly main?: string }
interface Package { readonly root: string; readonly name: string; readonly version: string; readonly entries: readonly { readonly specifier: string; readonly file: string }[] }

const PACKAGE = /^(.*[/\\]node_modules[/\\]((?:@[^/\\]+[/\\])?[^/\\]+))(?:[/\\]|$)/
const CONDITIONS = [['node', 'import', 'module-sync', 'default'], ['node', 'require', 'module-sync', 'default']] as const
const known = new Map<string, Package | undefined>()

/** Name of the package that a file belongs to; undefined for the program's own files. */
export const packageOf = (url: string): string | undefined => PACKAGE.exec(filePath(url))?.[2]?.replace('\\', '/')

const filePath = (url: string): string => (url.startsWith('file:') ? fileURLToPath(url) : url)

/** The public export that `value`, defined in the script at `url`, is; undefined when it is none. */
export function packageExport(value: unknown, url: string): PackageExport | undefined {
  const root = PACKAGE.exec(filePath(url))?.[1]
  const found = root === undefined ? undefined : load(root)
  if (found === undefined) return undefined
  const require = createRequire(join(found.root, 'package.json'))
  for (const { specifier, file } of found.entries) {
    const namespace = tryRequire(require, file)
    const path = pathTo(value, namespace)
    if (path !== undefined) return { specifier, name: found.name, version: found.version, path }
  }
  return undefined
}

function load(root: string): Package | undefined {
  if (!known.has(root)) known.set(root, read(root))
  return known.get(root)
}

function read(root: string): Package | undefined {
  try {
    const file = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageFile
    const folder = root.slice(root.lastIndexOf(`node_modules${sep}`) + 13).replaceAll(sep, '/')
    const name = file.name ?? folder
    return { root, name, version: file.version ?? '0.0.0', entries: entriesOf(root, folder, file) }
  } catch {
    // No readable package.json: not a package that a target could have.
    return undefined
  }
}

function entriesOf(root: string, name: string, file: PackageFile): { specifier: string; file: string }[] {
  const entries: { specifier: string; file: string }[] = []
  const add = (specifier: string, target: string | undefined): void => {
    if (target === undefined || target.includes('*')) return
    const path = join(root, target)
    if (existsSync(path) && !entries.some((entry) => entry.file === path)) entries.push({ specifier, file: path })
  }
  if (file.exports === undefined) {
    const main = file.main ?? 'index.js'
    for (const candidate of [main, `${main}.js`, join(main, 'index.js')]) add(name, candidate)
    return entries
  }
  for (const conditions of CONDITIONS) {
    for (const [subpath, target] of Object.entries(subpaths(file.exports))) add(name + subpath.slice(1), resolve(target, conditions))
  }
  return entries
}

const subpaths = (exports: unknown): Record<string, unknown> =>
  typeof exports === 'object' && exports !== null && Object.keys(exports).some((key) => key.startsWith('.')) ? exports as Record<string, unknown> : { '.': exports }

function resolve(target: unknown, conditions: readonly string[]): string | undefined {
  if (typeof target === 'string') return target
  if (typeof target !== 'object' || target === null) return undefined
  for (const [condition, inner] of Object.entries(target)) {
    if (!conditions.includes(condition)) continue
    const found = resolve(inner, conditions)
    if (found !== undefined) return found
  }
  return undefined
}

/** Loads an entry only if it is loaded already or harmless to load: it is the package whose code the caller holds. */
function tryRequire(require: NodeJS.Require, file: string): unknown {
  try {
    return require(file) as unknown
  } catch {
    // An entry for other conditions (top-level await, a missing peer): not the one the value came from.
    return undefined
  }
}

function pathTo(value: unknown, namespace: unknown): readonly string[] | undefined {
  if (value === namespace) return []
  for (const first of keysOf(namespace)) {
    const member = (namespace as Record<string, unknown>)[first]
    if (member === value) return [first]
  }
  const inner = keysOf(namespace).includes('default') ? (namespace as Record<string, unknown>)['default'] : undefined
  for (const second of keysOf(inner)) if ((inner as Record<string, unknown>)[second] === value) return ['default', second]
  return undefined
}

/** Names of data properties and of module namespace members; getters are not run. */
function keysOf(holder: unknown): readonly string[] {
  if ((typeof holder !== 'object' && typeof holder !== 'function') || holder === null) return []
  return Object.getOwnPropertyNames(holder).filter((key) => Object.getOwnPropertyDescriptor(holder, key)?.get === undefined)
}
