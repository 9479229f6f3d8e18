// Bundles for tests: files written into a directory of their own, built, and evaluated either here (fast, for properties) or as
// jobs of a real sandbox.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { HostCall, JobHooks, JobResult, Sandbox } from '../../functions/contract.ts'
import { SHIPPED } from '../../functions/contract.ts'
import type { Invocation } from '../../functions/deployed.ts'
import { buildBundle, type Built } from '../../functions/bundle/build.ts'
import { linkProgram, type AnyFunction, type Evaluated } from '../../functions/value/link.ts'
import { CustomKind } from '../../functions/value/node.ts'
import { decodeValue, encodeArray, encodeValue } from '../../functions/value/mod.ts'
import { defaultLimits, never, sha256 } from './sandbox.ts'

export const packageRoot = resolve(import.meta.dirname, '../..')
export type Files = Readonly<Record<string, string>>

export interface Project { readonly directory: string; remove(): void }

export function writeProject(files: Files, within?: string): Project {
  const root = mkdtempSync(join(tmpdir(), 'kumoi-bundle-test-'))
  const directory = within === undefined ? root : join(root, within)
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  return { directory, remove: () => rmSync(root, { recursive: true, force: true }) }
}

export interface BuildSettings { readonly entry?: string; readonly types?: 'check' | 'skip'; readonly within?: string }

/** Writes, builds and removes; the first file is the entry. */
export async function buildFiles(files: Files, { entry = Object.keys(files)[0] ?? '', types = 'skip', within }: BuildSettings = {}): Promise<Built> {
  const project = writeProject(files, within)
  try {
    return await buildBundle({ file: join(project.directory, entry), types, packageRoot })
  } finally {
    project.remove()
  }
}

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** `export default defineFunction({ name: 'f', run: ... })` around the text of `run`. */
export const functionFile = (run: string, before = ''): string => `import { defineFunction } from 'kumoi'\n${before}\nexport default defineFunction({ name: 'f', run: ${run} })\n`

interface Mark { readonly program: string; readonly site: number; values(): Readonly<Record<string, unknown>> }
interface Loaded extends Evaluated { readonly entry: AnyFunction }

/** The bundle evaluated in this process, and what the prelude does in a sandbox. */
export function loadHere(script: Uint8Array): { readonly definition: { readonly run: (context: unknown, payload?: unknown) => unknown }; ship(fn: unknown): Uint8Array; link(environment: Uint8Array): AnyFunction } {
  const text = textOf(script)
  const load = (): Loaded => {
    let loaded: Loaded | undefined
    linkProgram(text, new Uint8Array(0), { bundle: (evaluate) => (loaded = { ...evaluate(kumoi), entry: () => undefined }) })
    return loaded as Loaded
  }
  const kumoi = {
    defineFunction: (definition: unknown) => definition,
    ship(site: number, fn: AnyFunction, values: Mark['values'], name?: string) {
      Object.defineProperty(fn, SHIPPED, { value: { program: '', site, values }, configurable: true })
      if (name !== undefined && fn.name === '') Object.defineProperty(fn, 'name', { value: name })
      return fn
    },
  }
  const { definition } = load()
  return {
    definition: definition as never,
    ship: (fn) => encodeValue(fn, {
      root: 'fn',
      custom(value, walk) {
        const mark = (value as { readonly [SHIPPED]?: Mark })[SHIPPED]
        return mark === undefined ? undefined : [CustomKind.Function, mark.site, Object.entries(mark.values()).map(([name, held]) => walk.child(held, name))]
      },
    }),
    link: (environment) => linkProgram(text, environment, { bundle: (evaluate) => ({ ...evaluate(kumoi), entry: () => undefined }) }),
  }
}

export function invocationOf(script: Uint8Array, what: Invocation['what'], payload: unknown = null, trigger?: number): Invocation {
  return {
    what, payload, ...(trigger === undefined ? {} : { trigger }),
    call: { id: '0123456789abcdef', name: 'f', alias: 'stable', version: sha256(script), trace: '0123456789abcdef', traceparent: '', node: 'here', attempt: 1, epoch: null, cause: { type: 'call' }, deadlineMs: 1_000 },
  }
}

export interface RunSettings { readonly environment?: Uint8Array; readonly name?: string; readonly principal?: string; readonly hostCall?: (call: HostCall) => Promise<Uint8Array> }

/** One job: `items` through the entry, or through a function of the bundle when `environment` is given. */
export function runScript(sandbox: Sandbox, script: Uint8Array, items: readonly unknown[], { environment = new Uint8Array(0), name = 'f', principal = 'test', hostCall }: RunSettings = {}): Promise<JobResult> {
  const code = sha256(script), environmentHash = sha256(environment)
  const hooks: JobHooks = { hostCall: hostCall ?? (async () => encodeValue(undefined)), console() {} }
  return sandbox.run({
    principal, trace: '0'.repeat(16), stages: [{ verb: 'map', code, environment: environmentHash, name }], terminal: { verb: 'collect' }, baseIndex: 0,
    input: { type: 'items', count: items.length, bytes: encodeArray(items) }, limits: defaultLimits,
    blob: (hash) => (hash === code ? script : environment),
  }, hooks, never)
}

export const decodeArguments = (call: HostCall): readonly unknown[] => decodeValue(call.args, { profile: 'args' }) as unknown[]
