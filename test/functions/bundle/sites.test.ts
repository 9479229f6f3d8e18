// Closure sites: what a shipped function of a bundle answers elsewhere is what it answers in place; what cannot travel is
// refused with its place in the user's file; positions stay true.

import { SourceMap } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { fc } from '../../support/property.ts'
import t, { type Test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { buildFiles, functionFile, loadHere, textOf } from '../../support/bundles.ts'

/** A collection that keeps what its d-verbs are given. */
interface Spy { readonly shipped: unknown[]; readonly pms: Record<string, (...args: unknown[]) => unknown> }
function spy(): Spy {
  const shipped: unknown[] = []
  const take = (...args: unknown[]): unknown => { shipped.push(args.find((arg) => typeof arg === 'function')); return pms }
  const pms = Object.fromEntries(['dmap', 'dfilter', 'dreduce', 'dfold', 'dgroupBy', 'dsum', 'dsome'].map((verb) => [verb, take]))
  return { shipped, pms }
}

type Called = (...args: unknown[]) => unknown

/** Runs `run`, and answers each shipped function as it is here and as it is after a journey. */
async function journey(run: string, before = '', payload: unknown = undefined): Promise<readonly { readonly here: Called; readonly there: Called }[]> {
  const { script } = await buildFiles({ 'f.ts': functionFile(run, before) })
  const { definition, ship, link } = loadHere(script)
  const { shipped, pms } = spy()
  await definition.run({ pms }, payload)
  return shipped.map((fn) => ({ here: fn as Called, there: link(ship(fn)) }))
}

async function same(t: Test, name: string, run: string, args: readonly unknown[], before = ''): Promise<void> {
  const all = await journey(run, before)
  t.ok(all.length > 0, `${name}: something was shipped`)
  for (const { here, there } of all) t.same(await there(...args), await here(...args), name)
}

t.test('a function answers elsewhere what it answers in place', async (t) => {
  await same(t, 'nothing captured', '({ pms }: any) => { pms.dmap((x: number) => x + 1) }', [4])
  await same(t, 'locals by value', '({ pms }: any) => { const limit = 3, list = [1, { a: new Map([[1, new Date(5)]]) }]; pms.dmap((x: number) => [x > limit, list]) }', [4])
  await same(t, 'the module\'s constants and functions', '({ pms }: any) => { pms.dmap((x: number) => twice(x) + RATE) }', [4], 'const RATE = Math.sqrt(2); function twice(x: number): number { return x * 2 }')
  await same(t, 'a variable of the module that is assigned again', '({ pms }: any) => { count = 7; pms.dmap((x: number) => x + count) }', [4], 'let count = 1')
  await same(t, 'a local helper and its own captures', '({ pms }: any) => { const by = 3; const scale = (x: number) => x * by; function both(x: number) { return [scale(x), by] } pms.dmap((x: number) => both(x)) }', [4])
  await same(t, 'recursion', '({ pms }: any) => { const fact = (n: number): number => (n < 2 ? 1 : n * fact(n - 1)); pms.dmap(fact) }', [5])
  await same(t, 'two that call each other', '({ pms }: any) => { const even = (n: number): boolean => n === 0 || odd(n - 1); const odd = (n: number): boolean => n !== 0 && even(n - 1); pms.dfilter(even) }', [5])
  await same(t, 'a function declaration, used before it stands there', '({ pms }: any) => { pms.dmap(later); function later(x: number) { return x + base } ; var base = 2 }', [4])
  await same(t, 'a function of the module by its name', '({ pms }: any) => { pms.dmap(hot) }', [4], 'const hot = (x: number): boolean => x > 3')
  await same(t, 'a function made by a function', '({ pms }: any) => { pms.dfilter(above(3)); const near = 2; pms.dfilter(below(near)) }', [4], 'const above = (limit: number) => (x: number): boolean => x > limit; function below(limit: number) { return (x: number): boolean => x < limit }')
  await same(t, 'either of two', '({ pms }: any) => { const up = Date.now() > 0; pms.dmap(up ? (x: number) => x + 1 : (x: number) => x - 1) }', [4])
  await same(t, 'functions in a captured object', '({ pms }: any) => { const by = 2; const tools = { half: (x: number) => x / by, k: 3 }; pms.dmap((x: number) => tools.half(x) + tools.k) }', [4])
  await same(t, 'a fold', '({ pms }: any) => { const by = 2; pms.dfold(0, (a: number, b: number) => a + b * by) }', [4, 5])
  await same(t, 'asynchronous', '({ pms }: any) => { const by = 2; pms.dmap(async (x: number) => (await Promise.resolve(x)) * by) }', [4])
  await same(t, 'names that shadow', '({ pms }: any) => { const x = 1; { const x = 2; pms.dmap((y: number) => { const z = x; return [z, y, (x => x)(3)] }) } }', [4], 'const x = 0')
  await same(t, 'a named function expression', '({ pms }: any) => { pms.dmap(function walk(n: number): number { return n === 0 ? 0 : 1 + walk(n - 1) }) }', [4])
  await same(t, 'the same name as something of the module', '({ pms }: any) => { for (const rate of [1, 2]) pms.dmap((x: number) => x * rate + other()) }', [4], 'const rate = 9; const other = () => rate')
  await same(t, 'a generator, defaults, rest, destructuring', '({ pms }: any) => { const k = 2; pms.dmap(function ({ a = k, ...rest }: any = {}, ...more: any[]) { return [...(function* () { yield a; yield rest; yield more })()] }) }', [{ b: 1 }, 3])
  await same(t, 'enums and namespaces of TypeScript', '({ pms }: any) => { pms.dmap((x: number) => [Color.Red, Tools.half(x)]) }', [4], 'enum Color { Green, Red } namespace Tools { export const half = (x: number): number => x / 2 }')
  await same(t, 'an optional call, and a loop\'s own variable', '({ pms }: any) => { for (let i = 0; i < 3; i++) pms?.dmap((x: number) => x * i) }', [4])
  await same(t, 'from a method, by way of a private field', 'async ({ pms }: any) => { new Holder(pms).go() }', [4], 'class Holder { #pms; constructor(pms: any) { this.#pms = pms } go(): void { const by = 3; this.#pms.dmap((x: number) => x * by) } }')
  await same(t, 'a name of ours', '({ pms }: any) => { const $kumoi = 3, $c = 4; pms.dmap(($v: number) => [$v, $kumoi, $c]) }', [4])
  await same(t, 'classes of the module', '({ pms }: any) => { const by = 2; pms.dmap((x: number) => new Counter(by).add(x)) }', [4], 'class Base { #n; constructor(n: number) { this.#n = n } add(x: number): number { return this.#n + x } } class Counter extends Base {}')
})

t.test('files of packages: CommonJS, and modules that are loaded late', async (t) => {
  const { script } = await buildFiles({
    'f.ts': functionFile('async ({ pms }: any) => { cjs.over(pms, 5); (await import(\'./late.ts\')).over(pms, 6) }', 'import cjs from \'plain\''),
    'late.ts': 'const twice = 2\nexport function over(pms: any, k: number) { pms.dmap((x: number) => x * twice * k) }\n',
    'node_modules/plain/package.json': '{ "name": "plain", "version": "1.0.0" }', 'node_modules/plain/index.js': 'const base = 10\nconst add = (a, b) => a + b + base\nexports.over = (pms, k) => pms.dmap((x) => add(x, k))\n',
  })
  const { definition, ship, link } = loadHere(script)
  const { shipped, pms } = spy()
  await definition.run({ pms })
  t.same(shipped.map((fn) => link(ship(fn))(1)), [16, 12])
})

t.test('inside a shipped function, more can be shipped', async (t) => {
  const [outer] = await journey('({ pms }: any) => { const a = 1; pms.dmap((pm: any) => { const b = 10; pm.dmap((vm: number) => vm + a + b) }) }')
  const inner = spy()
  await outer?.there(inner.pms)
  const [fn] = inner.shipped
  t.equal((fn as Called)(100), 111)
})

t.test('stacks and names stay', async (t) => {
  const [first, second] = await journey('({ pms }: any) => { const named = (x: number) => x; pms.dmap(named); pms.dmap((x: number) => x) }')
  t.equal((first?.here as { readonly name: string }).name, 'named')
  t.equal((first?.there as unknown as { readonly name: string }).name, 'named')
  t.equal((second?.there as unknown as { readonly name: string }).name, '')
})

t.test('property: captured plain values', async (t) => {
  const { script } = await buildFiles({ 'f.ts': functionFile('({ pms }: any, payload: any) => { const [a, b] = payload; const held = { a, list: [b] }; let last = b; last = a; pms.dmap((x: unknown) => [x, a, held, last, [...String(b)]]) }') })
  const { definition, ship, link } = loadHere(script)
  const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withNullPrototype: true }).filter((made) => typeof made !== 'object' || made === null || !('toString' in made && typeof made.toString !== 'function'))
  fc.assert(fc.property(fc.tuple(value, fc.oneof(fc.string(), fc.double(), fc.integer())), value, (payload, x) => {
    const { shipped, pms } = spy()
    definition.run({ pms }, payload)
    const [fn] = shipped as [Called]
    const here = fn(x), there = link(ship(fn))(x)
    if (!isDeepStrictEqual(here, there)) throw new Error(`${JSON.stringify(here)} is not ${JSON.stringify(there)}`)
  }), { numRuns: 300 })
})

t.test('what cannot be shipped is refused with its place in the TypeScript file', async (t) => {
  const refused = async (run: string, what: RegExp, where: string, before = ''): Promise<void> => {
    const error = await buildFiles({ 'f.ts': functionFile(run, before) }).then(() => undefined, (thrown: unknown) => thrown)
    t.equal(errorCode(error), 'FUNCTIONS_ERR_BUNDLE_SHIPPED', run)
    t.match((error as Error).message, what)
    t.match((error as Error).message, where)
  }
  await refused('function ({ pms }: any) { pms.dmap(() => (this as any).x) }', /`this`/, 'f.ts:3:')
  await refused('function ({ pms }: any) { pms.dmap(() => arguments.length) }', /`arguments`/, 'f.ts:3:')
  await refused('({ pms }: any) => { let n = 0; pms.dmap(() => { n++ }) }', /assigns to `n`/, 'f.ts:3:')
  await refused('({ pms }: any) => {\n  pms.dmap(\n    () => { total += 1 })\n}', /assigns to `total`/, 'f.ts:5:5', 'let total = 0')
  await refused('({ pms }: any) => {\n class Box { v = 1 }\n pms.dmap(() => new Box()) }', /class `Box`/, 'f.ts:5:')
  await refused('({ pms }: any) => { pms.dmap((s: string) => eval(s)) }', /`eval`/, 'f.ts:3:')
  await refused('({ pms }: any) => { let n = 0; const bump = () => { n += 1 }; pms.dmap(() => bump()) }', /assigns to `n`/, 'f.ts:3:')
  await refused('function ({ pms }: any) { const C = class { m(ps: any) { ps.dmap(() => (this as any).x) } }; new C().m(pms) }', /`this`/, 'f.ts:3:')
})

t.test('positions: every token of the script that came from a file is found there', async (t) => {
  const lib = 'export interface Box { v: number }\nexport const unbox = (box: Box): number => {\n  return box.v /* value */ + offsetOf(box)\n}\nfunction offsetOf({ v }: Box): number { return v > marker ? 1 : 0 }\nconst marker = 12345\n'
  const { script, sourceMap } = await buildFiles({
    'hot.ts': functionFile('({ pms }: any) => {\n  const limitValue: number = 3\n  const helperName = (x: number): number => x * limitValue\n  return pms.dmap((machineName: any) => unbox(machineName) + helperName(67890)) }', 'import { unbox } from \'./lib/box.ts\''), 'lib/box.ts': lib,
  })
  const map = JSON.parse(textOf(sourceMap)) as { sources: string[]; sourcesContent: string[] }
  t.same([...map.sources].sort(), ['hot.ts', 'kumoi', 'lib/box.ts'])
  t.notMatch(textOf(script), /sourceMappingURL/)
  const reader = new SourceMap(map as never)
  let checked = 0
  textOf(script).split('\n').forEach((line, row) => {
    for (const match of line.matchAll(/machineName|helperName|limitValue|12345|67890|unbox|offsetOf|marker/g)) {
      const entry = reader.findEntry(row, match.index)
      // Thunks and marks are ours: they have no place of their own.
      const before = line.slice(0, match.index)
      if (!('originalSource' in entry) || /(\(\{ |let |= \$v\[0\]; |\{ |"|ship\(\d+, )$/.test(before) || /\$c\.set/.test(before) && !/return \(\) =>/.test(before)) continue
      const source = map.sourcesContent[map.sources.indexOf(entry.originalSource)]?.split('\n')[entry.originalLine] ?? ''
      t.equal(source.slice(entry.originalColumn, entry.originalColumn + match[0].length), match[0], `${row}:${match.index}`)
      checked++
    }
  })
  t.ok(checked >= 15, `${checked} tokens, at their place and in the table of sites`)
})
