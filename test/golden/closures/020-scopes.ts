// Where captured variables live: every kind of scope, shadowing, and values read at the moment of capture.
import type { GoldenCase } from './case.ts'
import { shared, twice } from './support/local-module.ts'
import defaultThing from './support/local-module.ts'
import * as namespace from './support/local-module.ts'

let moduleLet = 1
moduleLet = 5
var moduleVar = 'v'
const settings = { limit: 0.9 }

export const cases: readonly GoldenCase[] = [
  { name: 'module const, let and var', make: () => () => [settings.limit, moduleLet, moduleVar], want: [[0.9, 5, 'v']] },
  { name: 'block scope', make: () => { { const inner = 2; return () => inner } }, want: [2] },
  { name: 'for-let gives each closure its own', make: () => { const all: (() => number)[] = []; for (let i = 0; i < 3; i++) all.push(() => i); return () => all.map((f) => f()) }, want: [[0, 1, 2]] },
  { name: 'for-of', make: () => { for (const [a, b] of [[1, 2] as const]) return () => a + b; return () => 0 }, want: [3] },
  { name: 'catch parameter', make: () => { try { throw new TypeError('bad') } catch (error) { return () => (error as Error).message } }, want: ['bad'] },
  { name: 'switch scope', make: () => { switch (1 as number) { case 1: { const x = 'one'; return () => x } default: return () => '' } }, want: ['one'] },
  { name: 'default parameter scope', make: () => ((a: number, f = () => a) => f)(7), want: [7] },
  { name: 'function parameters', make: () => ((a: number, [b]: number[], { c }: { c: number }, ...d: number[]) => () => [a, b, c, d])(1, [2], { c: 3 }, 4), want: [[1, 2, 3, [4]]] },
  { name: 'nested closures three deep', make: () => { const a = 1; return (() => { const b = 2; return (() => { const c = 3; return () => a + b + c })() })() }, want: [6] },
  { name: 'shadowed global', make: () => { const Math = { sqrt: (x: number) => `not ${x}` }; return () => Math.sqrt(4) }, want: ['not 4'] },
  { name: 'inner declaration shadows a captured name', make: () => { const x = 1; return () => { const y = x; { const x = 2; return [x, y] } } }, want: [[2, 1]] },
  { name: 'parameter shadows a captured name', make: () => { const x = 1; const f = (x: number) => x; return () => [f(2), x] }, want: [[2, 1]] },
  { name: 'named import of a local module', make: () => (x: number) => twice(x) + shared.base, calls: [[2]], want: [104] },
  { name: 'default import of a local module', make: () => () => defaultThing.label, want: ['local'] },
  { name: 'namespace import carries only the members read', make: () => () => namespace.twice(4), want: [8] },
  { name: 'captured helper with its own captures', make: () => { const table = { a: 1 }; const look = (k: 'a') => table[k]; return () => look('a') }, want: [1] },
  { name: 'two helpers share one object', make: () => { const box = { n: 0 }; const inc = () => { box.n++ }; const read = () => box.n; return () => { inc(); inc(); return read() } }, want: [2] },
  { name: 'typeof of a name that does not exist', make: () => () => typeof (globalThis as { nowhere?: unknown }).nowhere + new Function('return typeof nowhereAtAll')(), want: ['undefinedundefined'] },
  { name: 'TypeScript syntax: annotations, generics, as, satisfies, non-null', make: () => { const map = new Map<string, number>([['a', 1]]); return <T extends string>(key: T): number => ((map.get(key)! as number) satisfies number) }, calls: [['a']], want: [1] },
  { name: 'TypeScript syntax: this parameter, optional, overload-like union', make: () => function (this: void, a?: number, b: number | string = 2): [number, number | string] { return [a ?? 0, b] }, calls: [[1]], want: [[1, 2]] },
  { name: 'TypeScript syntax: type-only declarations inside', make: () => (x: number) => { type Pair = [number, number]; interface Box { readonly pair: Pair } const box: Box = { pair: [x, x] }; return box.pair }, calls: [[1]], want: [[1, 1]] },
  { name: 'globals handed in as captured', make: () => new Function('return fleet.size + 1') as () => number, options: { globals: { fleet: { size: 41 } } }, want: [42] },
]
