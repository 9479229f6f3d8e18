// What functions may do and what comes back: stages, terminals, async elements, errors, console, limits.

import t from 'tap'
import { createHash } from 'node:crypto'
import type { Job } from '../../../functions/contract.ts'
import { bundlePackage } from '../../../functions/sandbox/bundle.ts'
import { encodeArray } from '../../../functions/value/mod.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes, valuesOf, type JobSettings, type MadeJob } from '../../support/sandbox.ts'

const { sandbox, close } = await openSandbox()
t.teardown(close)
const run = async (made: MadeJob, settings: JobSettings = {}): Promise<unknown[]> => valuesOf(await sandbox.run(makeJob(made, settings), makeHooks(), never))
const items = [1, 2, 3, 4, 5]

t.test('stages', async (t) => {
  t.same(await run({ source: '(x, i) => [x, i]', items }, { baseIndex: 10 }), [[1, 10], [2, 11], [3, 12], [4, 13], [5, 14]], 'map with index')
  t.same(await run({ source: '(x) => x % 2', items }, { verb: 'filter' }), [1, 3, 5], 'filter')
  t.same(await run({ source: '(x) => [x, x]', items: [1, 2] }, { verb: 'flatMap' }), [1, 1, 2, 2], 'flatMap')
  t.same(await run({ source: '(x) => x', items }, { verb: 'forEach' }), [], 'forEach')
  t.same(await run({ source: '', range: { count: 4, start: 10, step: -2 } }, { stages: [] }), [10, 8, 6, 4], 'range, no stage')
  const stages = [{ verb: 'flatMap', source: 'async (x) => [x, x * 10]' }, { verb: 'filter', source: '(x) => x > 2' }, { verb: 'map', source: 'async (x) => x + 1' }] as const
  t.same(await run({ source: '', items: [1, 2, 3] }, { stages }), [11, 21, 4, 31], 'fused chain, partly asynchronous, in order')
})

t.test('counts tell how many outputs each element had', async (t) => {
  const { runs } = await sandbox.run(makeJob({ source: '(x) => Array(x).fill(x)', items: [2, 0, 1] }, { verb: 'flatMap' }), makeHooks(), never)
  const [only] = runs
  t.ok(only !== undefined && 'counts' in only && only.counts !== undefined)
  t.same(only !== undefined && 'counts' in only ? [...new Uint32Array(only.counts?.slice().buffer as ArrayBuffer)] : [], [2, 0, 1])
})

t.test('terminals', async (t) => {
  const over = (terminal: JobSettings['terminal'], operator?: string, more: JobSettings = {}): Promise<unknown[]> =>
    run({ source: '', items }, { stages: [], ...(terminal === undefined ? {} : { terminal }), ...(operator === undefined ? {} : { operator }), ...more })
  t.same(await over('count'), [5])
  t.same(await over('sum'), [15])
  t.same(await over('min'), [1])
  t.same(await over('max'), [5])
  t.same(await over('reduce', '(a, b) => `${a}${b}`'), ['12345'])
  t.same(await over('reduce', 'async (a, b) => a + b'), [15])
  t.same(await over('fold', '(a, b) => a + b', { initial: 100 }), [115])
  t.same(await over('group', '(x) => x % 2 === 0 ? "even" : "odd"'), [new Map([['odd', [1, 3, 5]], ['even', [2, 4]]])])
  t.same(await over('some', '(x) => x > 4'), [true])
  t.same(await over('every', '(x) => x > 4'), [false])
  t.same(await over('find', 'async (x) => x > 2'), [3])
  t.same(await over('find', '(x) => x > 9'), [], 'nothing found: no output')
  t.same(await run({ source: '(x) => BigInt(x)', items }, { terminal: 'sum' }), [15n])
  t.match(await run({ source: '(x) => "a"', items: [1] }, { terminal: 'sum' }), [/needs numbers/])
  const { decided } = await sandbox.run(makeJob({ source: '', items }, { stages: [], terminal: 'some', operator: '(x) => x === 1' }), makeHooks(), never)
  t.ok(decided, 'later chunks need not run')
  const failed = outcomes(await sandbox.run(makeJob({ source: '(x) => { if (x === 3) throw new Error("three"); return x }', items }, { terminal: 'sum', baseIndex: 7 }), makeHooks(), never))
  t.equal(failed.length, 5, 'a failure is shared by all elements of a fold')
  t.match(failed[0], { status: 'error', message: 'three' })
})

t.test('an error belongs to its element and is complete', async (t) => {
  const source = '(x) => { if (x === 2) { const e = new RangeError("no two", { cause: new TypeError("deeper") }); e.code = "E_TWO"; throw e } return x }'
  const { runs } = await sandbox.run(makeJob({ source, items: [1, 2, 3] }, { baseIndex: 5 }), makeHooks(), never)
  t.equal(runs.length, 3)
  t.match(runs[1], { from: 6, count: 1, failure: { status: 'error', error: { code: 'E_TWO', name: 'RangeError', message: 'no two', cause: { name: 'TypeError', message: 'deeper' } } } })
  const [, second] = runs
  const stack = second !== undefined && 'failure' in second ? second.failure.error.stack ?? '' : ''
  t.match(stack, 'kumoi:shipped')
  t.notMatch(stack, 'kumoi:prelude')
  t.match(await run({ source: '() => { throw "text" }' }), ['error: text'])
  t.match(await run({ source: '(x) => (x === 2 ? () => 1 : x)', items: [1, 2, 3] }), [1, /^error: /, 3], 'what cannot be encoded is an error of its element')
  t.match(await run({ source: '(x) => undefined.y' }), [/^error: /])
})

t.test('code that cannot be linked fails every element and ran nowhere', async (t) => {
  const { runs } = await sandbox.run(makeJob({ source: 'this is no javascript', items: [1, 2] }), makeHooks(), never)
  t.match(runs, [{ from: 0, count: 2, failure: { status: 'error', mayHaveRun: false } }])
})

t.test('async elements run side by side, bounded', async (t) => {
  const source = `(() => { let now = 0, most = 0; return async () => { now++; most = Math.max(most, now); await new Promise((r) => setTimeout(r, 5)); now--; return most } })()`
  const most = await run({ source, items: Array.from({ length: 20 }, (_, i) => i) }, { limits: { concurrency: 4 } }) as number[]
  t.equal(Math.max(...most), 4)
})

t.test('at the deadline settled elements keep their values', async (t) => {
  const seen = outcomes(await sandbox.run(makeJob({ source: 'async (x) => { if (x === 2) await new Promise(() => {}); return x }', items: [1, 2, 3] }, { limits: { timeoutMs: 300 } }), makeHooks(), never))
  t.match(seen, [{ status: 'value', value: 1 }, { status: 'timeout', code: 'FUNCTIONS_ERR_SANDBOX_TIMEOUT' }, { status: 'value', value: 3 }])
})

t.test('CPU budget', async (t) => {
  t.match(outcomes(await sandbox.run(makeJob({ source: '() => { for (;;); }' }, { limits: { cpuTimeMs: 100 } }), makeHooks(), never)), [{ status: 'timeout', code: 'FUNCTIONS_ERR_SANDBOX_CPU' }])
})

t.test('lines of a quick function that is warm all come, before its answer', async (t) => {
  const job = makeJob({ source: '(x) => { console.log(`line ${x}`); return x }', items: [1, 2] })
  for (let round = 0; round < 20; round++) {
    const lines: string[] = []
    t.same(valuesOf(await sandbox.run(job, makeHooks(undefined, lines), never)), [1, 2])
    t.match(lines, [/line 1/, /line 2/], `round ${round}`)
  }
})

t.test('console is captured, cut, and never missed by the caller', async (t) => {
  const lines: string[] = []
  await sandbox.run(makeJob({ source: '(x) => { console.log("seen", { x }); console.error(new Map([[1, "a"]])); }', items: [7] }), makeHooks(undefined, lines), never)
  t.same(lines, ['log: seen { x: 7 }', 'error: Map [[1, "a"]]'])
  const many: string[] = []
  await sandbox.run(makeJob({ source: '() => { for (let i = 0; i < 1e4; i++) console.log("x".repeat(1000)) }' }), makeHooks(undefined, many), never)
  t.ok(many.length < 100, 'bounded')
  t.match(many.at(-1), /budget/)
})

t.test('web functions an isolate lacks', async (t) => {
  const source = `async () => {
    const order = []
    queueMicrotask(() => order.push('microtask'))
    const stopped = setTimeout(() => order.push('never'), 1)
    clearTimeout(stopped)
    await new Promise((r) => setTimeout(() => { order.push('timer'); r() }, 5))
    const text = new TextDecoder().decode(new TextEncoder().encode('Grüße 🌸'))
    const clone = structuredClone({ when: new Date(0), set: new Set([1]) })
    return [order, text, clone.when instanceof Date, clone.set.has(1), new Date(2020, 1).getFullYear(), Date.now() > 1e12]
  }`
  t.same(await run({ source }), [[['microtask', 'timer'], 'Grüße 🌸', true, true, 2020, true]])
})

t.test('cancelling ends a run at once, with an outcome for every element', async (t) => {
  const stop = new AbortController()
  const lines: string[] = []
  const job = makeJob({ source: '(x) => { console.log("begun"); for (;;); }', items: [1, 2] })
  const hooks = { ...makeHooks(undefined, lines), console: () => stop.abort() }
  t.match(outcomes(await sandbox.run(job, hooks, stop.signal)), [{ status: 'cancelled' }, { status: 'cancelled' }])
  const before = AbortSignal.abort()
  t.match((await sandbox.run(makeJob({ source: '(x) => x' }), makeHooks(), before)).runs, [{ failure: { status: 'cancelled' } }])
})

t.test('npm packages by reference', async (t) => {
  const version = '8.19.0'
  const job = (specifier: string, name: string, wanted: string): Job => {
    const code = `/*packages ${JSON.stringify([[specifier, name, wanted]])}*/(environment, runtime) => runtime.link(environment, [[0, () => () => (text) => text]], [])`
    const bytes = new TextEncoder().encode(code)
    const made = makeJob({ source: '(x) => x', items: ['a'] })
    return { ...made, stages: [{ verb: 'map', code: createHash('sha256').update(bytes).digest('hex'), environment: made.stages[0]?.environment ?? '', name: 'packaged' }], input: { type: 'items', count: 1, bytes: encodeArray(['a']) }, blob: () => bytes }
  }
  t.same(valuesOf(await sandbox.run(job('acorn', 'acorn', version), makeHooks(), never)), ['a'], 'this node\'s copy is bundled and linked')
  t.match(outcomes(await sandbox.run(job('acorn', 'acorn', '1.0.0'), makeHooks(), never)), [{ status: 'error', code: 'FUNCTIONS_ERR_SANDBOX_PACKAGE_VERSION' }])
  t.match(outcomes(await sandbox.run(job('no-such-thing', 'no-such-thing', '1.0.0'), makeHooks(), never)), [{ status: 'error', code: 'FUNCTIONS_ERR_SANDBOX_PACKAGE_MISSING' }])
  const copy = (held: string, text: string) => ({ node_modules: { tiny: { 'package.json': `{ "name": "tiny", "version": "${held}", "main": "index.js" }`, 'index.js': `exports.text = '${text}'` } } })
  const dir = t.testdir({ absent: {}, old: copy('1.0.0', 'old one'), right: copy('1.2.3', 'right one') })
  const bundled = await bundlePackage({ specifier: 'tiny', name: 'tiny', version: '1.2.3' }, ['absent', 'old', 'right'].map((name) => `${dir}/${name}`))
  t.match(bundled, /right one/, 'the first directory with the version asked for')
})
