// The hostile function bodies of the abuse suite (numbers: reliability.md 3.4), one row each: the body, what it
// may end in, and its budget. `outcomes` is the complete list: any other ending fails the suite, and so does an
// answer after deadline + 500 ms. A row without a body says why it is not run here.
//
// Letters of reliability.md: T = timeout, M = out-of-memory, K = the cell was killed (crash, or what the
// supervisor calls it: out-of-memory, timeout), E and Q = error, N = not reachable: the body itself checks and
// returns 'safe'.

import type { OutcomeStatus } from '../../functions/contract.ts'

export interface AbuseRow {
  readonly row: number
  readonly title: string
  readonly body: string
  readonly outcomes: readonly OutcomeStatus[]
  /** For rows that end in a value: the value that proves harmlessness. */
  readonly value?: unknown
  readonly timeoutMs?: number
  readonly code?: string
  readonly resultBytes?: number
  readonly hostCalls?: number
}

export interface AbsentRow { readonly row: number; readonly title: string; readonly reason: string }

const T = ['timeout'] as const
const E = ['error'] as const
const N = ['value'] as const
const MK = ['out-of-memory', 'crash', 'timeout'] as const
const EMK = ['error', 'out-of-memory', 'crash', 'timeout'] as const

export const ROWS: readonly AbuseRow[] = [
  { row: 1, title: 'endless empty loop', body: '() => { for (;;); }', outcomes: T },
  { row: 2, title: 'endless await loop', body: 'async () => { for (;;) await 0 }', outcomes: T },
  { row: 3, title: 'microtask that re-queues itself', body: '() => { const again = () => queueMicrotask(again); again(); return new Promise(() => {}) }', outcomes: ['timeout', 'out-of-memory'] },
  { row: 4, title: 'promise that never settles', body: '() => new Promise(() => {})', outcomes: T },
  { row: 5, title: 'async host call, then spin', body: '(pm) => { pm.exec("x"); for (;;); }', outcomes: ['timeout', 'crash'] },
  { row: 6, title: 'async host calls for ever', body: 'async (pm) => { for (;;) await pm.exec("x") }', outcomes: ['timeout', 'error'] },
  { row: 7, title: 'tight synchronous host calls', body: '(pm) => { for (;;) pm.exec("x") }', outcomes: E, code: 'FUNCTIONS_ERR_SANDBOX_HOST_CALLS' },
  { row: 8, title: 'fire-and-forget host calls with big arguments', body: '(pm) => { const big = "x".repeat(300000); for (;;) pm.exec(big) }', outcomes: E },
  { row: 9, title: 'backtracking regex', body: '() => /^(a+)+$/.test("a".repeat(60) + "b")', outcomes: T },
  { row: 10, title: 'spin in sort comparator', body: '() => [3, 1, 2].sort(() => { for (;;); })', outcomes: T },
  { row: 10, title: 'spin in replace callback', body: '() => "aaa".replace(/a/g, () => { for (;;); })', outcomes: T },
  { row: 11, title: 'spin in toJSON', body: '() => JSON.stringify({ toJSON() { for (;;); } })', outcomes: T },
  { row: 12, title: 'catch the timeout and go on', body: '() => { for (;;) { try { for (;;); } catch {} finally { for (;;); } } }', outcomes: T },
  { row: 13, title: 'result with a spinning getter', body: '() => ({ get x() { for (;;); } })', outcomes: ['timeout', 'error'] },
  { row: 14, title: 'result is a trapping proxy', body: '() => new Proxy({}, { get() { throw new Error("trap") }, ownKeys() { throw new Error("trap") }, getPrototypeOf() { throw new Error("trap") } })', outcomes: E },
  { row: 15, title: 'thenable that never settles', body: '() => ({ then() {} })', outcomes: ['timeout', 'error'] },
  { row: 15, title: 'thenable that resolves to itself', body: '() => { const t = { then(resolve) { resolve(t) } }; return t }', outcomes: ['timeout', 'error'] },
  { row: 16, title: 'throw with spinning message getter', body: '() => { throw { get message() { for (;;); } } }', outcomes: ['timeout', 'crash'] },
  { row: 17, title: 'throw a proxy with spinning traps', body: '() => { throw new Proxy(new Error("x"), { get() { for (;;); }, getPrototypeOf() { for (;;); } }) }', outcomes: ['timeout', 'crash'] },
  { row: 18, title: 'unhandled rejection with spinning getter', body: '() => { Promise.reject({ get message() { for (;;); }, get stack() { for (;;); } }); return "answered" }', outcomes: ['value', 'timeout', 'crash'], value: 'answered' },
  { row: 19, title: 'stack-trace formatter that spins', body: '() => { Error.prepareStackTrace = () => { for (;;); }; throw new Error("x") }', outcomes: ['error', 'timeout', 'crash'] },
  { row: 20, title: 'plain recursion', body: '() => { const f = () => f() + 1; return f() }', outcomes: E },
  { row: 21, title: 'recursion that catches its overflow', body: '() => { const f = () => { try { f() } catch { f() } }; for (;;) f() }', outcomes: T },
  { row: 22, title: 'a million nested arrays serialised', body: '() => { let a = []; for (let i = 0; i < 1e6; i++) a = [a]; return JSON.stringify(a) }', outcomes: ['error', 'timeout', 'out-of-memory'] },
  { row: 23, title: 'deeply nested return value', body: '() => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a }', outcomes: E },
  { row: 24, title: 'parser bomb through eval and Function', body: '() => { const text = "(".repeat(1e6); try { return (0, eval)(text) } catch (e) { return new Function(text)() } }', outcomes: ['error', 'timeout', 'out-of-memory'] },
  { row: 25, title: 'growing array of arrays', body: '() => { const a = []; for (;;) a.push(new Array(1000).fill(1)) }', outcomes: MK, timeoutMs: 2_000 },
  { row: 26, title: 'fill of 1e9 elements', body: '() => new Array(1e9).fill(1).length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 26, title: 'fill of 1e8 elements', body: '() => new Array(1e8).fill({}).length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 27, title: 'string doubled, split and joined', body: '() => { let s = "ab"; while (s.length < 2e8) s += s; return s.split("").join("-").length }', outcomes: EMK, timeoutMs: 2_000 },
  { row: 28, title: 'spread of a 5e8 string', body: '() => [..."a".repeat(5e8)].length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 29, title: 'match-all over a 64 MB string', body: '() => [..."a".repeat(64e6).matchAll(/a/g)].length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 30, title: 'big-integer powers', body: '() => { let n = 3n; for (;;) n = n ** 7n }', outcomes: EMK, timeoutMs: 1_000 },
  { row: 31, title: 'buffer copied to plain array', body: '() => Array.from(new Uint8Array(3e8)).length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 31, title: 'abort bomb: split of a huge string', body: '() => "ab".repeat(2e8).split("").length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 32, title: 'map of a million objects and on', body: '() => { const m = new Map(); for (let i = 0; ; i++) m.set({}, { i }) }', outcomes: MK, timeoutMs: 2_000 },
  { row: 33, title: 'many small typed arrays', body: '() => { const a = []; for (;;) a.push(new Uint8Array(65536).fill(1)) }', outcomes: EMK, timeoutMs: 2_000 },
  { row: 33, title: 'one 2 GB typed array', body: '() => new Uint8Array(2 ** 31).fill(1).length', outcomes: EMK, timeoutMs: 2_000 },
  { row: 34, title: 'resizable buffer grown to 1 GB', body: '() => { const b = new ArrayBuffer(8, { maxByteLength: 2 ** 30 }); return typeof b.resize === "undefined" ? "safe" : "grown" }', outcomes: ['value', 'error'], value: 'safe' },
  { row: 35, title: 'wasm memory', body: '() => typeof WebAssembly === "undefined" ? "safe" : "present"', outcomes: N, value: 'safe' },
  { row: 36, title: 'shared memory and a wait', body: '() => typeof SharedArrayBuffer + typeof Atomics === "undefinedundefined" ? "safe" : "present"', outcomes: N, value: 'safe' },
  { row: 37, title: 'JSON amplification', body: '() => { let a = "x".repeat(1e6); let o = {}; for (let i = 0; i < 500; i++) o[i] = a; return JSON.stringify([o, o, o, o]).length }', outcomes: EMK, timeoutMs: 2_000 },
  { row: 38, title: 'huge thrown string', body: '() => { throw "x".repeat(2e8) }', outcomes: ['error', 'out-of-memory'], timeoutMs: 10_000 },
  { row: 38, title: 'huge result', body: '() => "x".repeat(2.5e8)', outcomes: ['error', 'out-of-memory', 'crash'], timeoutMs: 10_000 },
  { row: 38, title: 'result above its budget', body: '() => "x".repeat(5000)', outcomes: E, resultBytes: 4_096 },
  { row: 39, title: 'infinite stack-trace depth, collected', body: '() => { Error.stackTraceLimit = Infinity; const kept = []; const f = (n) => { kept.push(new Error("x").stack); f(n + 1) }; for (;;) { try { f(0) } catch {} } }', outcomes: ['timeout', 'out-of-memory', 'crash'], timeoutMs: 1_000 },
  { row: 40, title: 'constructor walk from argument, global, error and callback', body: `(pm) => {
    const reach = []
    for (const start of [pm, pm.exec, globalThis, console.log, setTimeout, new Error("x"), structuredClone, pm.vms]) {
      let at = start
      for (let i = 0; i < 4 && at; i++) {
        let made
        try { made = at.constructor && at.constructor.constructor } catch { break }
        if (typeof made === "function") {
          try { const host = made("return typeof process + typeof require + typeof global + typeof Buffer")(); if (host !== "undefinedundefinedundefinedundefined") reach.push(host) } catch {}
        }
        at = Object.getPrototypeOf(at)
      }
    }
    return reach.length === 0 ? "safe" : reach }`, outcomes: N, value: 'safe' },
  { row: 41, title: 'symbol arguments to host calls', body: 'async (pm) => { await pm.exec(Symbol("x")) }', outcomes: E },
  { row: 41, title: 'spinning getter in arguments', body: 'async (pm) => { await pm.exec({ get x() { for (;;); } }) }', outcomes: ['timeout', 'error'] },
  { row: 43, title: 'built-ins that the prelude uses replaced', body: `async (pm) => {
    const seen = []
    const spy = (name) => function (...args) { seen.push(name); throw new Error("spied") }
    Promise.prototype.then = spy("then"); JSON.stringify = spy("stringify"); JSON.parse = spy("parse")
    Map.prototype.get = spy("get"); Map.prototype.set = spy("set"); WeakMap.prototype.get = spy("weak")
    Object.freeze = spy("freeze"); Reflect.apply = spy("apply")
    const answer = await pm.exec("x")
    return answer === "answered" && seen.length === 0 ? "safe" : seen.join()
  }`, outcomes: N, value: 'safe' },
  { row: 44, title: 'dynamic import', body: 'async () => { await import("node:fs") }', outcomes: E },
  { row: 44, title: 'require, process, module names', body: '() => [typeof require, typeof process, typeof module, typeof Buffer, typeof fetch, typeof __dirname].every((t) => t === "undefined") ? "safe" : "present"', outcomes: N, value: 'safe' },
  { row: 45, title: 'finaliser that spins after return', body: '() => typeof FinalizationRegistry === "undefined" && typeof WeakRef === "undefined" ? "safe" : "present"', outcomes: N, value: 'safe' },
  { row: 45, title: 'microtask loop left behind', body: '() => { const again = () => queueMicrotask(again); again(); return "answered" }', outcomes: ['value', 'timeout', 'out-of-memory', 'crash'], value: 'answered' },
  { row: 46, title: 'fine time', body: '() => { const seen = new Set(); for (let i = 0; i < 2e5; i++) { seen.add(Date.now()); seen.add(+new Date()) } return typeof performance === "undefined" && [...seen].every((ms) => ms % 100 === 0) ? "safe" : "fine" }', outcomes: N, value: 'safe', timeoutMs: 10_000 },
  { row: 48, title: '__proto__ and constructor as keys of arguments', body: 'async (pm) => { await pm.exec(JSON.parse(\'{"__proto__": {"polluted": 1}}\')); return ({}).polluted === undefined ? "safe" : "polluted" }', outcomes: ['value', 'error'], value: 'safe' },
  { row: 51, title: 'secrets in the realm', body: '() => Object.getOwnPropertyNames(globalThis).filter((name) => /env|argv|secret|kumoi|post|boot/i.test(name)).length === 0 ? "safe" : "found"', outcomes: N, value: 'safe' },
]

export const ABSENT: readonly AbsentRow[] = [
  { row: 42, title: 'prototype pollution, then the next invocation on the same worker', reason: 'two invocations: test/abuse/neighbours.test.ts' },
  { row: 47, title: 'object outside the caller\'s ACL', reason: 'the gate belongs to rmo, the sandbox hands every call to it: access.test.ts' },
  { row: 49, title: 'source with cached data, snapshot or source map', reason: 'there is no field for it: a Program is text and a hash' },
  { row: 50, title: 'recursive self-deployment', reason: 'depth and budget travel with the call: test/functions/context/nesting.test.ts' },
  { row: 52, title: 'fork bomb by policy', reason: 'the breaker of a version: test/functions/invoke/runner.test.ts' },
]
