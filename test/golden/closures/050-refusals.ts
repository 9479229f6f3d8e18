// What cannot travel, with the exact code and path.
import { readFile } from 'node:fs/promises'
import * as fs from 'node:fs'
import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { createServer } from 'node:net'
import type { AnyFunction, GoldenCase } from './case.ts'
import { capture } from '../../../functions/capture/mod.ts'
import { total } from './support/stateful-module.ts'

class Top {}
class Host extends Top { value = 1; #hidden = 2; arrow() { return () => this.value } secret() { return (o: Host) => o.#hidden } parent() { return () => super.toString() }  }
class Emitter extends EventEmitter { n = 1 }
let outside = 0
const proxied = new Proxy({ a: 1 }, {})
const chain = (): object => { let list = {}; for (let i = 0; i < 1_000; i++) list = { list }; return list }
/** Captures now, while the variable is still uninitialised, and throws what that threw when made. */
const attempt = (f: AnyFunction): ((late: unknown) => AnyFunction) => {
  try { capture(f) } catch (error) { return () => { throw error } }
  return () => f
}
const written = (): number => outside

export const cases: readonly GoldenCase[] = [
  { name: 'enclosing this', make: () => new Host().arrow(), error: 'CAPTURE_THIS', path: 'fn' },
  { name: 'enclosing super', make: () => new Host().parent() as AnyFunction, error: 'CAPTURE_SUPER' },
  { name: 'enclosing new.target', make: () => (function () { return () => new.target })(), error: 'CAPTURE_NEW_TARGET' },
  { name: 'private name of an enclosing class', make: () => new Host().secret(), error: 'CAPTURE_PRIVATE' },
  { name: 'enclosing arguments', make: () => (function (..._: number[]) { return () => arguments.length })(1), error: 'CAPTURE_ARGUMENTS' },
  { name: 'assignment to a captured variable', make: () => () => { outside = written() + 1 }, error: 'CAPTURE_WRITE', path: 'fn' },
  { name: 'increment inside a helper', make: () => { let n = 0; const bump = () => ++n; return () => bump() }, error: 'CAPTURE_WRITE', path: 'fn.bump' },
  { name: 'destructuring assignment', make: () => { let a = 0; const f = () => { [a] = [1] }; return () => { f(); return a } }, error: 'CAPTURE_WRITE' },
  { name: 'module state written by an imported helper', make: () => () => total(1), error: 'CAPTURE_WRITE', path: 'fn.total' },
  { name: 'variable without a value yet', make: () => { const f = () => late; const outcome = attempt(f); const late = 1; return outcome(late) }, error: 'CAPTURE_UNINITIALISED', path: 'f.late' },
  { name: 'name that is defined nowhere', make: () => new Function('return nowhereAtAll + 1') as AnyFunction, error: 'CAPTURE_UNDEFINED' },
  { name: 'direct eval', make: () => new Function('x', 'return eval(x)') as AnyFunction, error: 'CAPTURE_EVAL' },
  { name: 'dynamic import', make: () => () => import('node:fs'), error: 'CAPTURE_IMPORT' },
  { name: 'import.meta', make: () => () => import.meta.url, error: 'CAPTURE_IMPORT' },
  { name: 'builtin member, destructured', make: () => () => readFile('/etc/passwd'), error: 'CAPTURE_BUILTIN', path: 'fn.readFile' },
  { name: 'builtin namespace', make: () => () => fs.readFileSync('/etc/passwd'), error: 'CAPTURE_BUILTIN', path: 'fn.fs.readFileSync' },
  { name: 'builtin in data', make: () => { const tools = { read: [readFile] }; return () => tools.read }, error: 'CAPTURE_BUILTIN', path: 'fn.tools.read[0]' },
  { name: 'builtin itself', make: () => readFile as unknown as AnyFunction, error: 'CAPTURE_BUILTIN', path: 'readFile' },
  { name: 'instance of a class on EventEmitter', make: () => { const e = new Emitter(); return () => e.n }, error: 'CAPTURE_BUILTIN' },
  { name: 'stream', make: () => { const s = Readable.from([1]); return () => s.read() as unknown }, error: 'CAPTURE_OPAQUE', path: 'fn.s' },
  { name: 'server', make: () => { const s = createServer(); return () => s.listening }, error: 'CAPTURE_OPAQUE', path: 'fn.s' },
  { name: 'timer', make: () => { const t = setTimeout(() => undefined, 0); return () => t.hasRef() }, error: 'CAPTURE_BUILTIN' },
  { name: 'host global', make: () => () => process.pid, error: 'CAPTURE_GLOBAL' },
  { name: 'host global in a helper', make: () => { const get = () => fetch('http://localhost'); return () => get() }, error: 'CAPTURE_GLOBAL', path: 'fn.get' },
  { name: 'host function by another name', make: () => { const f = fetch; return () => f('http://localhost') }, error: 'CAPTURE_BUILTIN' },
  { name: 'native function without a path', make: () => { const { resolve } = Promise.withResolvers(); return () => resolve }, error: 'CAPTURE_NATIVE', path: 'fn.resolve' },
  { name: 'Promise', make: () => { const p = Promise.resolve(1); return () => p }, error: 'CAPTURE_OPAQUE', path: 'fn.p' },
  { name: 'WeakMap', make: () => { const w = new WeakMap(); return () => w }, error: 'CAPTURE_OPAQUE', path: 'fn.w' },
  { name: 'WeakRef', make: () => { const w = new WeakRef({}); return () => w }, error: 'CAPTURE_OPAQUE', path: 'fn.w' },
  { name: 'generator in progress', make: () => { const g = (function* () { yield 1 })(); return () => g.next() }, error: 'CAPTURE_OPAQUE', path: 'fn.g' },
  { name: 'iterator', make: () => { const i = [1].values(); return () => i.next() }, error: 'CAPTURE_OPAQUE', path: 'fn.i' },
  { name: 'URL', make: () => { const u = new URL('http://a/'); return () => u.href }, error: 'CAPTURE_OPAQUE', path: 'fn.u' },
  { name: 'AbortController', make: () => { const c = new AbortController(); return () => c.signal }, error: 'CAPTURE_OPAQUE', path: 'fn.c' },
  { name: 'SharedArrayBuffer', make: () => { const s = new SharedArrayBuffer(1); return () => s }, error: 'CAPTURE_OPAQUE', path: 'fn.s' },
  { name: 'Proxy', make: () => () => proxied.a, error: 'CAPTURE_PROXY', path: 'fn.proxied' },
  { name: 'unregistered symbol', make: () => { const s = Symbol('mine'); return () => s }, error: 'CAPTURE_SYMBOL', path: 'fn.s' },
  { name: 'own __proto__ key', make: () => { const o = JSON.parse('{"__proto__": 1}') as object; return () => o }, error: 'CAPTURE_OPAQUE', path: 'fn.o' },
  { name: 'nesting without end', make: () => { const deep = chain(); return () => deep }, error: 'CAPTURE_TOO_DEEP', path: 'fn.deep.list' },
  { name: '100 MB of bytes', make: () => { const big = new Uint8Array(100 << 20); return () => big.length }, error: 'CAPTURE_TOO_LARGE', path: 'fn' },
  { name: '100 MB in small strings', make: () => { const lines = Array.from({ length: 100 }, () => 'x'.repeat(1 << 20)); return () => lines.length }, error: 'CAPTURE_TOO_LARGE', path: 'fn' },
]
