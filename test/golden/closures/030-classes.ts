// Classes and instances, private state included.
import type { GoldenCase } from './case.ts'

class Counter {
  #count = 0
  static #made = 0
  static registry: string[] = []
  label: string
  constructor(label: string, start: number) { this.label = label; this.#count = start; Counter.#made++ }
  get count() { return this.#count }
  increment() { this.#count++; return this.#step(1) }
  #step(by: number) { return this.#count + by - 1 }
  static made() { return Counter.#made }
  static is(value: object) { return #count in value }
}
class Named extends Counter {
  #name = 'n'
  constructor(name: string) { super(`<${name}>`, 10); this.#name = name }
  describe() { return `${this.#name} ${this.label} ${this.count}` }
  override increment() { return super.increment() + 1000 }
}
class Shape { area() { return 0 } scaled(k: number) { return this.area() * k } static unit() { return new this() } }
class Square extends Shape { side = 2; override area() { return this.side ** 2 } }
class Tally<T> extends Map<T, number> { #total = 0; add(key: T) { this.#total++; this.set(key, (this.get(key) ?? 0) + 1); return this } get total() { return this.#total } }
class Stack<T> extends Array<T> { get top() { return this[this.length - 1] } }
class Refused extends Error { readonly code: string; constructor(message: string, code: string) { super(message); this.name = 'Refused'; this.code = code } }
class Point { x: number; y: number; constructor(x: number, y: number) { this.x = x; this.y = y } *[Symbol.iterator]() { yield this.x; yield this.y } }
class Boxed { readonly #inner: Counter; constructor(inner: Counter) { this.#inner = inner } get inner() { return this.#inner } }
class Node { #next: Node | undefined; constructor(next?: Node) { this.#next = next } link(next: Node) { this.#next = next } get next() { return this.#next } }
class Picky { #value: number; constructor({ value }: { value: number }) { this.#value = value } get value() { return this.#value } }
class PickyChild extends Picky { #extra: number; constructor({ value, extra }: { value: number; extra: number }) { super({ value }); this.#extra = extra } get extra() { return this.#extra } }
class SideEffect { static runs = 0; #secret = ++SideEffect.runs; static { SideEffect.runs = 100 } get secret() { return this.#secret } }
const mixin = (Base: typeof Shape) => class extends Base { override area() { return 7 } }
const Mixed = mixin(Shape)
interface Legacy { name: string; greet(): string }
function Legacy(this: Legacy, name: string) { this.name = name }
Legacy.prototype.greet = function (this: Legacy) { return `hello ${this.name}` }

const make = {
  counter: () => { const c = new Counter('a', 5); c.increment(); return c },
  tally: () => new Tally<string>().add('a').add('b').add('a'),
}

export const cases: readonly GoldenCase[] = [
  { name: 'class constructed at the target', make: () => () => new Square().scaled(3), want: [12] },
  { name: 'static method with this', make: () => () => Square.unit() instanceof Square, want: [true] },
  { name: 'super method', make: () => () => new Named('z').increment(), want: [1011] },
  { name: 'instance keeps its class', make: () => { const square = new Square(); square.side = 3; return () => [square.area(), square instanceof Square, square instanceof Shape] }, want: [[9, true, true]] },
  { name: 'instance with #private fields', make: () => { const c = make.counter(); return () => [c.count, c.increment(), c.count, c.label] }, want: [[6, 7, 7, 'a']] },
  { name: '#private in derived and base class', make: () => { const n = new Named('bob'); n.increment(); return () => [n.describe(), n.count, Counter.is(n)] }, want: [['bob <bob> 11', 11, true]] },
  { name: 'static private state', make: () => { new Counter('q', 0); const before = Counter.made(); return () => { new Counter('r', 0); return Counter.made() - before } }, want: [1] },
  { name: 'static public state is current', make: () => { Counter.registry = ['x']; return () => Counter.registry }, want: [['x']] },
  { name: '#private that holds another instance', make: () => { const b = new Boxed(make.counter()); return () => b.inner.count }, want: [6] },
  { name: '#private cycle', make: () => { const a = new Node(); const b = new Node(a); a.link(b); return () => [a.next === b, b.next === a] }, want: [[true, true]] },
  { name: 'base constructor that destructures', make: () => { const p = new Picky({ value: 9 }); return () => p.value }, want: [9] },
  { name: 'derived constructor that destructures cannot be stamped', make: () => { const p = new PickyChild({ value: 9, extra: 1 }); return () => p.extra }, error: 'CAPTURE_OPAQUE', path: 'fn.p' },
  { name: 'derived constructor that destructures can be called', make: () => () => new PickyChild({ value: 9, extra: 1 }).extra, want: [1] },
  { name: 'initialisers do not run again for instances', make: () => { const s = new SideEffect(); return () => [s.secret, SideEffect.runs, new SideEffect().secret] }, want: [[101, 101, 102]] },
  { name: 'subclass of Map with private state', make: () => { const t = make.tally(); return () => [t.get('a'), t.total, t.size, t.add('b').total] }, want: [[2, 3, 2, 4]] },
  { name: 'subclass of Array', make: () => { const s = Stack.from([1, 2, 3]) as Stack<number>; return () => [s.top, s.length, Array.isArray(s), s instanceof Stack] }, want: [[3, 3, true, true]] },
  { name: 'subclass of Error', make: () => { const e = new Refused('no', 'E_NO'); return () => [e instanceof Refused, e instanceof Error, e.message, e.name, e.code] }, want: [[true, true, 'no', 'Refused', 'E_NO']] },
  { name: 'iterator method by symbol', make: () => { const p = new Point(1, 2); return () => [...p] }, want: [[1, 2]] },
  { name: 'class from a mixin keeps its actual superclass', make: () => () => [new Mixed().scaled(2), new Mixed() instanceof Shape], want: [[14, true]] },
  { name: 'class expression', make: () => { const Local = class { v = 3; get() { return this.v } }; return () => new Local().get() }, want: [3] },
  { name: 'class name of an anonymous class', make: () => { const Local = class { v = 1 }; return () => Local.name }, want: ['Local'] },
  { name: 'constructor function with prototype methods', make: () => { const l = new (Legacy as unknown as new (name: string) => Legacy)('ann'); return () => [l.greet(), l instanceof (Legacy as unknown as new () => Legacy)] }, want: [['hello ann', true]] },
  { name: 'object made from another object', make: () => { const parent = { hi() { return `hi ${(this as unknown as { n: string }).n}` } }; const child = Object.create(parent, { n: { value: 'kid', enumerable: true } }) as { hi(): string }; return () => child.hi() }, want: ['hi kid'] },
  { name: 'instance in a Map in an array, twice', make: () => { const c = make.counter(); const data = [new Map([['c', c]]), c] as const; return () => (data[0].get('c') === data[1]) }, want: [true] },
  { name: 'the class itself', make: () => { const Square2 = Square; return (() => Square2) as () => unknown as never }, calls: [], want: [] },
  { name: 'class whose method captures', make: () => { const factor = 6; class Scale { by(x: number) { return x * factor } } return (x: number) => new Scale().by(x) }, calls: [[7]], want: [42] },
  { name: 'classes that refer to each other', make: () => { class A { b() { return new B() } } class B { a() { return new A() } } return () => new A().b().a() instanceof A }, want: [true] },
  { name: 'base class that knows its subclass', make: () => { class Base { static kinds: unknown[] = []; make() { return new Sub() } } class Sub extends Base { tag = 's' } Base.kinds = [Sub]; return () => [new Base().make().tag, Base.kinds[0] === Sub] }, want: [['s', true]] },
  { name: 'accessors of a class', make: () => { class Temp { #c = 10; get f() { return this.#c * 1.8 + 32 } set f(v: number) { this.#c = (v - 32) / 1.8 } } const t = new Temp(); return () => { t.f = 212; return Math.round(t.f) } }, want: [212] },
  { name: 'private accessor and in-check', make: () => { class P { get #x() { return 5 } static read(p: P) { return #x in p ? p.#x : 0 } } const p = new P(); return () => P.read(p) }, want: [5] },
]
