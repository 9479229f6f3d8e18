// Every form a function can be written in.
import type { GoldenCase } from './case.ts'

const three = 3
const object = {
  base: 10,
  shorthand(x: number) { return this.base + x },
  async waits(x: number) { return this.base + await Promise.resolve(x) },
  ['computed' + three](x: number) { return x * three },
  * generates(x: number) { yield x; yield three },
  get double(): number { return this.base * 2 },
  get(x: number) { return x + three },
  'quoted key'(x: number) { return x - three },
  async *streams() { yield 1; yield three },
}
function factorial(n: number): number { return n <= 1 ? 1 : n * factorial(n - 1) }
const isEven = (n: number): boolean => n === 0 || isOdd(n - 1)
const isOdd = (n: number): boolean => n !== 0 && isEven(n - 1)

export const cases: readonly GoldenCase[] = [
  { name: 'arrow with expression body', make: () => (x: number) => x * 2, calls: [[21]], want: [42] },
  { name: 'arrow with block body', make: () => (x: number) => { const y = x + 1; return y * three }, calls: [[1]], want: [6] },
  { name: 'arrow that returns an object literal', make: () => (x: number) => ({ x, three }), calls: [[1]], want: [{ x: 1, three: 3 }] },
  { name: 'arrow without parentheses', make: () => new Function('return x => x + 1')() as (x: number) => number, calls: [[1]], want: [2] },
  { name: 'async arrow', make: () => async (x: number) => await Promise.resolve(x) + three, calls: [[1]], want: [4] },
  { name: 'function expression', make: () => function (x: number) { return x + three }, calls: [[1]], want: [4] },
  { name: 'named function expression that recurses', make: () => function down(n: number): number { return n === 0 ? 0 : 1 + down(n - 1) }, calls: [[5]], want: [5] },
  { name: 'function declaration that recurses', make: () => factorial, calls: [[5]], want: [120] },
  { name: 'mutual recursion', make: () => isEven, calls: [[10], [7]], want: [true, false] },
  { name: 'generator', make: () => () => [...object.generates(1)], want: [[1, 3]] },
  { name: 'generator function itself', make: () => { function* count(n: number) { for (let i = 0; i < n; i++) yield i }; return (n: number) => Array.from(count(n)) }, calls: [[3]], want: [[0, 1, 2]] },
  { name: 'async generator', make: () => async () => { const out: number[] = []; for await (const x of object.streams()) out.push(x); return out }, want: [[1, 3]] },
  { name: 'method shorthand by its object', make: () => (x: number) => object.shorthand(x), calls: [[1]], want: [11] },
  { name: 'method shorthand alone', make: () => object['computed3'] as (x: number) => number, calls: [[4]], want: [12] },
  { name: 'async method', make: () => (x: number) => object.waits(x), calls: [[1]], want: [11] },
  { name: 'method called get', make: () => object.get, calls: [[1]], want: [4] },
  { name: 'method with a quoted key', make: () => object['quoted key'], calls: [[4]], want: [1] },
  { name: 'generator method alone', make: () => { const { generates } = object; return () => [...generates.call(object, 7)] }, want: [[7, 3]] },
  { name: 'getter stays a getter', make: () => () => { const before = object.double; object.base = 20; const after = object.double; object.base = 10; return [before, after] }, want: [[20, 40]] },
  { name: 'setter', make: () => { const box = { held: 1, set value(x: number) { this.held = x * three } }; return (x: number) => { box.value = x; return box.held } }, calls: [[5]], want: [15] },
  { name: 'default, rest and destructured parameters', make: () => (a: number, { b, c: [d] }: { b: number; c: number[] }, e = a + three, ...rest: number[]) => [a, b, d, e, rest], calls: [[1, { b: 2, c: [3] }, undefined, 9, 8]], want: [[1, 2, 3, 4, [9, 8]]] },
  { name: 'default parameter that reads a captured name', make: () => (x = three) => x, want: [3] },
  { name: 'tagged template', make: () => { const tag = (parts: TemplateStringsArray, ...values: unknown[]) => parts.raw.join('|') + values.join(','); return (x: number) => tag`a${x}b\n${three}` }, calls: [[1]], want: ['a|b\\n|1,3'] },
  { name: 'new Function', make: () => new Function('a', 'b', 'return a * b') as () => number, calls: [[6, 7]], want: [42] },
  { name: 'sloppy function keeps its mode', make: () => new Function('return (function () { return typeof this })()') as () => string, want: ['object'] },
  { name: 'strict function keeps its mode', make: () => function (this: unknown) { return (function (this: unknown) { return typeof this })() }, want: ['undefined'] },
  { name: 'bound function', make: () => (function (this: { k: number }, a: number, b: number) { return this.k + a + b }).bind({ k: 1 }, 2), calls: [[3]], want: [6] },
  { name: 'function bound twice', make: () => ((a: number, b: number, c: number) => [a, b, c, three]).bind(null, 1).bind(null, 2), calls: [[3]], want: [[1, 2, 3, 3]] },
  { name: 'bound function that is captured', make: () => { const add = ((a: number, b: number) => a + b).bind(null, 5); return (x: number) => add(x) }, calls: [[3]], want: [8] },
  { name: 'name of an anonymous function', make: () => { const named = () => 1; return () => named.name }, want: ['named'] },
  { name: 'function with own properties', make: () => { const counter = Object.assign(() => counter.step, { step: 4 }); return counter }, want: [4] },
  { name: 'closure that has itself as a property', make: () => { const f = Object.assign(() => f.self === f, { self: undefined as unknown }); f.self = f; return f }, want: [true] },
  { name: 'immediately invoked function inside', make: () => (x: number) => (() => { let y = x; y += three; return y })(), calls: [[1]], want: [4] },
  { name: 'labels, switch and loops', make: () => (n: number) => { let s = 0; outer: for (let i = 0; ; i++) { switch (i) { case 3: break outer; default: s += i * n } } return s }, calls: [[2]], want: [6] },
  { name: 'optional chaining and nullish', make: () => (o: { a?: { b: number } } | null) => o?.a?.b ?? three, calls: [[{ a: { b: 1 } }], [null], [{}]], want: [1, 3, 3] },
  { name: 'var hoisting and inner functions', make: () => (x: number) => { var y = 0; if (x > 0) { var y = inner(x) } function inner(z: number) { return z + three } return y }, calls: [[1]], want: [4] },
]
