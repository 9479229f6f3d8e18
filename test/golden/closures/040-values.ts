// Captured data of every kind, with identity and cycles.
import type { GoldenCase } from './case.ts'

const cycle: { self?: unknown; list: unknown[] } = { list: [] }
cycle.self = cycle
cycle.list.push(cycle)
const common = { n: 1 }
const holes: unknown[] = [1, , 3]
const bytes = new Uint8Array([9, 8, 7, 6]).subarray(1, 3)
const failure = Object.assign(new RangeError('far', { cause: new Error('why') }), { code: 'E_FAR' })

export const cases: readonly GoldenCase[] = [
  { name: 'numbers', make: () => { const all = [0, -0, 1.5, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 40)]; return () => all }, want: [[0, -0, 1.5, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 40)]] },
  { name: 'undefined and null', make: () => { const u = undefined; const n = null; return () => [u, n] }, want: [[undefined, null]] },
  { name: 'bigints', make: () => { const b = [1n, -1n, 2n ** 63n, -(2n ** 70n)]; return () => b } },
  { name: 'strings with lone surrogates', make: () => { const s = 'a\ud800b'; return () => [s, s.length] } },
  { name: 'Date', make: () => { const d = new Date(86_400_000); return () => d.toISOString() } },
  { name: 'RegExp', make: () => { const r = /(\d+)-(?<n>\w)/giu; return (s: string) => s.replace(r, '$2$1') }, calls: [['12-a 3-b']], want: ['a12 b3'] },
  { name: 'Map and Set', make: () => { const m = new Map<unknown, unknown>([[common, 'c'], ['k', new Set([1])]]); return () => [m.get('k'), m.size, [...m.keys()][0] === m.keys().next().value] } },
  { name: 'typed arrays and buffers', make: () => { const f = new Float64Array([1.5, -0]); const b = new ArrayBuffer(4); const v = new DataView(new ArrayBuffer(2)); return () => [f, bytes, b.byteLength, v.byteLength, bytes.buffer.byteLength] }, want: [[new Float64Array([1.5, -0]), new Uint8Array([8, 7]), 4, 2, 2]] },
  { name: 'Error with code and cause', make: () => () => [failure.message, failure.code, (failure.cause as Error).message, failure instanceof RangeError], want: [['far', 'E_FAR', 'why', true]] },
  { name: 'cycle', make: () => () => [cycle.self === cycle, cycle.list[0] === cycle], want: [[true, true]] },
  { name: 'shared object stays one object', make: () => { const a = { common }; const b = { common }; return () => { a.common.n = 7; return b.common.n } }, want: [7] },
  { name: 'sparse array', make: () => () => [holes.length, 1 in holes, holes[2]], want: [[3, false, 3]] },
  { name: 'array with extra properties', make: () => { const m = /b(c)/.exec('abcd'); return () => [m?.index, m?.[1]] }, want: [[1, 'c']] },
  { name: 'null prototype', make: () => { const o = Object.assign(Object.create(null) as Record<string, number>, { a: 1 }); return () => [Object.getPrototypeOf(o), o['a']] }, want: [[null, 1]] },
  { name: 'frozen settings', make: () => { const s = Object.freeze({ a: Object.freeze([1, 2]) }); return () => s.a }, want: [[1, 2]] },
  { name: 'symbols', make: () => { const s = Symbol.for('kumoi.test'); const o = { [s]: 1, [Symbol.toStringTag]: 'Mine' }; return () => [o[s], String(o), Symbol.keyFor(s)] }, want: [[1, '[object Mine]', 'kumoi.test']] },
  { name: 'functions in data', make: () => { const verbs = { add: (a: number, b: number) => a + b, all: [(x: number) => x * 2] }; return () => [verbs.add(1, 2), verbs.all[0]?.(4)] }, want: [[3, 8]] },
  { name: 'functions in a Map and in a Set', make: () => { const m = new Map([['f', () => 'm']]); const s = new Set([() => 's']); return () => [m.get('f')?.(), [...s][0]?.()] }, want: [['m', 's']] },
  { name: 'object that holds a function that holds the object', make: () => { const o = { n: 3, get: () => o.n }; return () => { o.n = 4; return o.get() } }, want: [4] },
  { name: 'captured native function', make: () => { const { sqrt } = Math; const has = Object.prototype.hasOwnProperty; return (x: number) => [sqrt(x), has.call({ a: 1 }, 'a')] }, calls: [[9]], want: [[3, true]] },
  { name: 'captured constructor and namespace', make: () => { const M = Map; const J = JSON; return () => J.stringify([...new M([[1, 2]])]) }, want: ['[[1,2]]'] },
  { name: 'boxed primitives', make: () => { const n = Object(5) as number; return () => [typeof n, n + 1] }, want: [['object', 6]] },
  { name: 'key called constructor', make: () => { const o = { constructor: 1, toJSON: 2, then: 3 }; return () => [o.constructor, o.toJSON, o.then] }, want: [[1, 2, 3]] },
  { name: 'cycle of functions and data', make: () => { const registry: Record<string, unknown> = {}; const lookup = (k: string) => registry[k]; registry['lookup'] = lookup; return () => lookup('lookup') === lookup }, want: [true] },
  { name: 'closures of one maker', make: () => { const adders = [1, 2, 3].map((n) => (x: number) => x + n); return (x: number) => adders.map((f) => f(x)) }, calls: [[10]], want: [[11, 12, 13]] },
]
