// Has tsc look at a function's file, as a user's editor would, but without the DOM's names, 'kumoi' as cli/function-api.ts
// declares it. (Node's names cannot be kept out, declarations of packages bring them in; build.ts warns of what a sandbox lacks.) The compiler is the user's own (from the file's folder on), else the one beside Kumoi; where
// there is none, the types are not checked and a note says so. Only what is wrong in the user's files counts.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { LIMITS } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { isInstalled } from './kumoi-module.ts'

export interface TypeCheckOptions { readonly file: string; readonly packageRoot: string; readonly signal: AbortSignal }

/** What an isolate has beside the language (sandbox/prelude/globals.ts). */
const GLOBALS = `declare const console: Record<'debug' | 'error' | 'info' | 'log' | 'warn', (...data: unknown[]) => void>
declare function setTimeout<A extends unknown[]>(task: (...args: A) => void, delayMs?: number, ...args: A): number
declare function clearTimeout(timer: number | undefined): void
declare function queueMicrotask(task: () => void): void
declare function structuredClone<T>(value: T): T
declare class TextEncoder { readonly encoding: string; encode(text?: string): Uint8Array<ArrayBuffer> }
declare class TextDecoder { constructor(label?: string); readonly encoding: string; decode(input?: ArrayBuffer | ArrayBufferView): string }
`

/** "path(line,column): error TS1234: text", as tsc prints with --pretty false. */
const PROBLEM = /^(.+?)\((\d+),(\d+)\): error (TS\d+: .*)$/

/** Throws BUNDLE_TYPES; answers notes for people. */
export async function checkTypes({ file, packageRoot, signal }: TypeCheckOptions): Promise<{ readonly warnings: readonly string[] }> {
  if (!/\.[cm]?tsx?$/.test(file)) return { warnings: [] }
  const compiler = findCompiler([dirname(file), packageRoot])
  const declarations = declarationsFile(packageRoot)
  if (compiler === undefined || declarations === undefined) return { warnings: ['types were not checked: no TypeScript compiler was found; `npm install --save-dev typescript` beside the file adds one'] }
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-types-'))
  try {
    await writeFile(join(directory, 'sandbox.d.ts'), GLOBALS)
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        target: 'esnext', module: 'esnext', moduleResolution: 'bundler', lib: ['esnext'], types: [], strict: true, noEmit: true, skipLibCheck: true,
        allowImportingTsExtensions: true, resolveJsonModule: true, allowJs: true, paths: { kumoi: [declarations] },
      },
      files: [join(directory, 'sandbox.d.ts'), file],
    }))
    return await report(await run(compiler, directory, signal), file, packageRoot)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** tsc's own entry (not bin/tsc, whose want of a suffix loaders trip over), found as the file would import typescript. */
function findCompiler(directories: readonly string[]): string | undefined {
  for (const directory of directories) {
    try {
      const entry = join(dirname(createRequire(join(directory, 'x')).resolve('typescript/package.json')), 'lib/tsc.js')
      if (existsSync(entry)) return entry
    } catch {
      // Not installed there.
    }
  }
  return undefined
}

const declarationsFile = (packageRoot: string): string | undefined =>
  [join(packageRoot, isInstalled(packageRoot) ? 'dist/cli/function-api.d.ts' : 'cli/function-api.ts')].find((path) => existsSync(path))

interface Finished { readonly status: number | null; readonly directory: string; readonly text: string }

function run(compiler: string, directory: string, signal: AbortSignal): Promise<Finished> {
  const { promise, resolve: done, reject } = Promise.withResolvers<Finished>()
  // What this process was told to load is not the compiler's business: a loader may not even be found from there.
  const { NODE_OPTIONS: _ours, ...env } = process.env
  const child = spawn(process.execPath, [compiler, '-p', directory, '--pretty', 'false'], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMITS.typeCheckMs, signal })
  let text = ''
  const take = (chunk: string): void => { if (text.length < LIMITS.typeCheckChars) text += chunk }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', take)
  child.on('error', reject)
  child.on('close', (status) => done({ status, directory, text }))
  return promise
}

function report({ status, directory, text }: Finished, file: string, packageRoot: string): { readonly warnings: readonly string[] } {
  if (status === 0) return { warnings: [] }
  const problems = text.split('\n').flatMap((line) => {
    const match = PROBLEM.exec(line)
    if (match === null) return []
    const [, path = '', row = '', column = '', what = ''] = match
    const place = resolve(directory, path)
    return isKumoi(place, packageRoot) || place.includes('/node_modules/') ? [] : [`${relative(dirname(file), place)}:${row}:${column}: ${what}`]
  })
  const [first] = problems
  if (first !== undefined) throw FUNCTIONS.BUNDLE_TYPES({ file: relative(dirname(file), file), errors: problems.length, first: first.replace(/\.$/, ''), problems: problems.slice(0, LIMITS.typeProblemsShown) })
  // All problems lie in other people's files: nothing that the user could mend.
  return PROBLEM.test(text.split('\n')[0] ?? '') ? { warnings: [] } : { warnings: [`types were not checked: ${text.trim().split('\n')[0] ?? 'tsc failed'}`] }
}

/** A file of Kumoi's own; the user's may lie in its folder too (examples, tests). */
const isKumoi = (path: string, packageRoot: string): boolean => /^(fabric|functions|rmo|kali|cli|dist)\//.test(relative(packageRoot, path))
