// What capture promises beyond shipping: deterministic hashes, code apart from values, manifests, packages by
// reference, capabilities, clear failure without the inspector.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'
import t from 'tap'
import { capture, explain } from '../../../functions/capture/mod.ts'
import { COLLECTION, REFERENCE } from '../../../functions/contract.ts'
import { linkProgram, programPackages } from '../../../functions/value/mod.ts'
import type { AnyFunction, LinkHooks } from '../../../functions/value/mod.ts'

const text = (fn: (...args: never[]) => unknown): string => new TextDecoder().decode(capture(fn).program.code)
const ship = (fn: (...args: never[]) => unknown, hooks: LinkHooks = {}): AnyFunction => linkProgram(text(fn), capture(fn).environment.bytes, hooks)
const codeOf = (thunk: () => unknown): string | undefined => {
  try { thunk(); return undefined } catch (error) { return (error as { code?: string }).code }
}

t.test('same code with other values: code hash stays, environment hash changes', async (t) => {
  const make = (limit: number, names: string[]) => (x: number) => x > limit && names.length > 0
  const [a, b, again] = [capture(make(1, ['a'])), capture(make(2, ['b', 'c'])), capture(make(1, ['a']))]
  t.equal(a.program.hash, b.program.hash)
  t.not(a.environment.hash, b.environment.hash)
  t.equal(a.environment.hash, again.environment.hash)
})

t.test('more closures of one maker do not change the code', async (t) => {
  const adder = (n: number) => (x: number) => x + n
  const make = (count: number) => { const all = Array.from({ length: count }, (_, n) => adder(n)); return () => all.length }
  t.equal(capture(make(2)).program.hash, capture(make(9)).program.hash)
})

t.test('values are read at capture time', async (t) => {
  let limit = 1
  const fn = () => limit
  const before = capture(fn)
  limit = 2
  t.equal(linkProgram(text(fn), before.environment.bytes)(), 1)
  t.equal(ship(fn)(), 2)
})

t.test('a function without captures has an empty environment and is captured once', async (t) => {
  const fn = (x: number) => x * 2
  t.equal(capture(fn).environment.bytes.length, 0)
  t.equal(capture(fn), capture(fn))
  const changed = Object.assign((x: number) => x, {})
  capture(changed)
  Object.assign(changed, { step: 3 })
  t.ok(capture(changed).environment.bytes.length > 0, 'a property added later is seen')
})

t.test('identical hashes in two processes', async (t) => {
  const program = join(import.meta.dirname, 'hashes.program.ts')
  const run = () => execFileSync(process.execPath, ['--no-warnings', program], { encoding: 'utf8' })
  const first = run()
  t.match(first, /^([0-9a-f]{64} [0-9a-f]{64}\n){5}$/)
  t.equal(run(), first)
})

t.test('explain shows names, bytes, location, capabilities', async (t) => {
  const table = 'x'.repeat(1000)
  const helper = () => table
  const pms = { [COLLECTION]: { type: 'kind', kind: 'PhysicalMachine' } }
  const pm = { [REFERENCE]: { kind: 'VM', uuid: 'u', home: 'h', name: 'n', attributes: {} } }
  const report = () => [helper(), pms, pm]
  const manifest = explain(report)
  t.equal(manifest.name, 'report')
  t.match(manifest.location, /capture\.test\.ts:\d+$/)
  t.same(manifest.capabilities, ['PhysicalMachine', 'VM'])
  t.match(manifest.captured.map(({ path, type }) => ({ path, type })), [{ path: 'helper.table', type: 'string' }, { path: 'helper', type: 'function' }, { path: 'pms' }, { path: 'pm' }])
  t.ok((manifest.captured[0]?.bytes ?? 0) >= 1000)
  t.ok(manifest.codeBytes > 0 && manifest.environmentBytes > 1000)
})

t.test('references and collections are re-bound by the target', async (t) => {
  const spec = { type: 'kind', kind: 'PhysicalMachine' }
  // Proxies with a REFERENCE are what a shell holds.
  const pm = new Proxy({}, { get: (_, key) => (key === REFERENCE ? { kind: 'VM', uuid: 'u1', home: 'h', name: 'n', attributes: { name: 'n' } } : undefined) })
  const pms = { [COLLECTION]: spec }
  const fn = ship(() => [pm, pms], { reference: (record) => `ref ${record.uuid}`, collection: (got) => got })
  t.same(fn(), ['ref u1', spec])
})

t.test('npm packages travel by reference', async (t) => {
  const root = t.testdir({})
  const add = (name: string, file: object, files: Record<string, string>): void => {
    mkdirSync(join(root, 'node_modules', name), { recursive: true })
    writeFileSync(join(root, 'node_modules', name, 'package.json'), JSON.stringify({ name, ...file }))
    for (const [path, body] of Object.entries(files)) writeFileSync(join(root, 'node_modules', name, path), body)
  }
  add('old-style', { version: '1.2.3' }, { 'index.js': 'let calls = 0; exports.count = () => ++calls; exports.chunk = (list, n) => [list.slice(0, n), list.slice(n)]' })
  add('new-style', { version: '4.0.0', type: 'module', exports: { '.': './main.js', './sub': { import: './sub.js' }, './package.json': './package.json' } }, {
    'main.js': 'let state = 1; export default function greet(n) { state++; return "hi " + n }; export const tools = { up: s => s.toUpperCase() }', 'sub.js': 'export class Thing { #x = 1; get x() { return this.#x } }; const hidden = () => 1; export const expose = () => hidden',
  })
  writeFileSync(join(root, 'program.mjs'), `
    import { chunk, count } from 'old-style'
    import greet from 'new-style'
    import * as everything from 'new-style'
    import { Thing, expose } from 'new-style/sub'
    const hidden = expose()
    export const uses = { chunk: () => [chunk([1, 2, 3], 1), count()], greet: () => greet('ann'), namespace: () => everything.default('bob'), sub: () => new Thing().x, hidden: () => hidden() }
  `)
  const { uses } = await import(pathToFileURL(join(root, 'program.mjs')).href) as { uses: Record<string, () => unknown> }
  const target: Record<string, unknown> = {
    'old-style': { chunk: (...args: unknown[]) => ['target', ...args], count: () => 'target count' },
    'new-style': { default: (name: string) => `target ${name}` },
    'new-style/sub': { Thing: class { x = 'target x' } },
  }
  const hooks: LinkHooks = { package: (specifier, name, version) => { asked.push(`${specifier} ${name}@${version}`); return target[specifier] } }
  const asked: string[] = []
  const use = (name: string) => uses[name] as () => unknown
  t.same(ship(use('chunk'), hooks)(), [['target', [1, 2, 3], 1], 'target count'])
  t.equal(ship(use('greet'), hooks)(), 'target ann')
  t.equal(ship(use('namespace'), hooks)(), 'target bob')
  t.equal(ship(use('sub'), hooks)(), 'target x')
  t.ok(asked.includes('new-style/sub new-style@4.0.0') && asked.includes('old-style old-style@1.2.3'))
  t.same(programPackages(text(use('chunk'))), [{ specifier: 'old-style', name: 'old-style', version: '1.2.3' }])
  t.same(explain(use('greet')).packages, [{ specifier: 'new-style', name: 'new-style', version: '4.0.0' }])
  t.equal(codeOf(() => capture(use('hidden'))), 'FUNCTIONS_ERR_CAPTURE_PACKAGE')
  t.equal(codeOf(() => ship(use('greet'))), 'FUNCTIONS_ERR_PROGRAM_BROKEN', 'a target without the package says so')
})

t.test('own additions to the global object are captured', async (t) => {
  Object.assign(globalThis, { kumoiTestGlobal: { n: 5 } })
  t.teardown(() => Reflect.deleteProperty(globalThis, 'kumoiTestGlobal'))
  t.same(ship(new Function('return kumoiTestGlobal.n') as never)(), 5)
})

t.test('what is not a function, and a target without code, say so', async (t) => {
  t.equal(codeOf(() => capture(null as never)), 'FUNCTIONS_ERR_CAPTURE_NOT_A_FUNCTION')
  t.equal(codeOf(() => capture('f' as never)), 'FUNCTIONS_ERR_CAPTURE_NOT_A_FUNCTION')
  const fn = capture((() => { const a = 1; return () => a })())
  t.equal(codeOf(() => linkProgram('(e, r) => r.link(e, [], [])', fn.environment.bytes)), 'FUNCTIONS_ERR_PROGRAM_BROKEN')
  t.equal(codeOf(() => linkProgram('not javascript (', fn.environment.bytes)), 'FUNCTIONS_ERR_PROGRAM_BROKEN')
  t.equal(codeOf(() => linkProgram(new TextDecoder().decode(fn.program.code), fn.environment.bytes.subarray(1))), 'FUNCTIONS_ERR_VALUE_MALFORMED')
})

t.test('under --permission without the inspector the error says what to do', async (t) => {
  const folder = join(import.meta.dirname, '../../..')
  // env -i: tap's hooks for child processes do not load under --permission.
  const out = execFileSync('/usr/bin/env', ['-i', process.execPath, '--no-warnings', '--permission', `--allow-fs-read=${folder}/*`, join(import.meta.dirname, 'permission.program.ts')], { encoding: 'utf8' })
  t.match(out, /FUNCTIONS_ERR_CAPTURE_INSPECTOR .*--allow-inspector/)
})

t.test('closures of another realm and of a script', async (t) => {
  const context = vm.createContext({})
  const run = (code: string): (...args: never[]) => unknown => vm.runInContext(code, context) as () => unknown
  t.same(ship(run('const limit = 2; const list = new Map([[1, { a: [1] }]]); x => [Math.max(1, limit), list.get(1)]'))(), [2, { a: [1] }])
  t.equal(ship(run('class A { #x = 1; get x() { return this.#x } }; const a = new A(); () => a.x'))(), 1)
  t.equal(ship(run('const { sqrt } = Math; const M = Math; () => sqrt(M.abs(-4))'))(), 2)
  t.equal(ship(run('var onGlobal = 3; function read() { return onGlobal } ; () => read()'))(), 3)
  t.equal(ship(vm.runInThisContext('let inScript = 7; const get = () => inScript; () => get()') as () => unknown)(), 7)
})
