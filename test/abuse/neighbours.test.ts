// What one hostile function must not do to others: same principal, other principals, the host process.

import { test } from 'tap'
import { makeHooks, makeJob, never, openSandbox, outcomes, valuesOf } from '../support/sandbox.ts'

const SPLIT_BOMB = '() => "ab".repeat(2e8).split("").length'
const STUCK = '() => { const m = []; m.length = 2 ** 32 - 1; m[5] = 1; m.sort(); return 1 }'

test('row 42: pollution does not reach the next function on the same worker', async (t) => {
  const { sandbox, close } = await openSandbox({ workers: 1 })
  t.teardown(close)
  const pollute = '() => { Object.prototype.polluted = 1; Array.prototype.map = () => "mine"; globalThis.left = 2; return 1 }'
  await sandbox.run(makeJob({ source: pollute }), makeHooks(), never)
  const seen = await sandbox.run(makeJob({ source: '() => [({}).polluted, typeof left, [1].map((x) => x + 1)]' }), makeHooks(), never)
  t.same(valuesOf(seen), [[undefined, 'undefined', [2]]], 'another function')
  const fresh = { limits: { fresh: true } }
  const own = '() => { const before = typeof globalThis.left; globalThis.left = 1; return before }'
  await sandbox.run(makeJob({ source: own }, fresh), makeHooks(), never)
  t.same(valuesOf(await sandbox.run(makeJob({ source: own }, fresh), makeHooks(), never)), ['undefined'], 'the same function, fresh')
})

test('two abort bombs with innocent neighbours in the same cell: only the bombs fail', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  // The bombs are re-run alone before they are blamed, and the innocent wait: what counts here is who fails.
  const patient = { limits: { timeoutMs: 90_000 } }
  const innocent = makeJob({ source: 'async (x) => { await new Promise((r) => setTimeout(r, 20)); return x * 2 }', items: [1, 2, 3] }, patient)
  const bombs = [SPLIT_BOMB, `${SPLIT_BOMB} + 1`].map((source) => sandbox.run(makeJob({ source }, patient), makeHooks(), never))
  const others = [innocent, innocent, innocent].map((job) => sandbox.run(job, makeHooks(), never))
  for (const result of await Promise.all(others)) t.same(valuesOf(result), [2, 4, 6])
  for (const result of await Promise.all(bombs)) t.match(outcomes(result), [{ status: /crash|out-of-memory/, index: 0 }])
})

test('a builtin that nothing but SIGKILL ends: the neighbour is answered meanwhile, the caller by its deadline', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const stuck = sandbox.run(makeJob({ source: STUCK }, { principal: 'stuck', limits: { timeoutMs: 500 } }), makeHooks(), never)
  t.same(valuesOf(await sandbox.run(makeJob({ source: '(x) => x', items: ['here'] }, { principal: 'neighbour' }), makeHooks(), never)), ['here'])
  t.match(outcomes(await stuck), [{ status: /timeout|crash|out-of-memory|error/ }])
  t.same(valuesOf(await sandbox.run(makeJob({ source: '(x) => x', items: ['back'] }, { principal: 'stuck' }), makeHooks(), never)), ['back'])
})

test('the only innocent in a cell that is killed for a stuck neighbour is made again, not blamed', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const slow = '(x) => new Promise((done) => setTimeout(() => done(x), 1_500))'
  const innocent = sandbox.run(makeJob({ source: slow, items: ['whole'] }, { principal: 'shared', limits: { timeoutMs: 60_000 } }), makeHooks(), never)
  const stuck = sandbox.run(makeJob({ source: STUCK }, { principal: 'shared', limits: { timeoutMs: 500 } }), makeHooks(), never)
  t.match(outcomes(await stuck), [{ status: 'timeout' }])
  t.same(valuesOf(await innocent), ['whole'])
  for (let i = 0; i < 3; i++) {
    const again = sandbox.run(makeJob({ source: slow, items: [i] }, { principal: 'shared', limits: { timeoutMs: 60_000 } }), makeHooks(), never)
    await sandbox.run(makeJob({ source: `${STUCK} + ${i}` }, { principal: 'shared', limits: { timeoutMs: 500 } }), makeHooks(), never)
    t.same(valuesOf(await again), [i], 'nor refused after several')
  }
})

test('the sandbox sees exactly the bytes that were sent, not the pool around them', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const source = '(bytes) => [bytes.byteLength, bytes.buffer.byteLength, bytes.byteOffset]'
  const pooled = Buffer.from('hello')
  t.same(valuesOf(await sandbox.run(makeJob({ source, items: [new Uint8Array(pooled.buffer, pooled.byteOffset, pooled.length)] }), makeHooks(), never)), [[5, 5, 0]], 'as an element')
  const call = `async (pm) => { const bytes = await structuredClone(new Uint8Array([1, 2, 3, 4, 5])); return [bytes.byteLength, bytes.buffer.byteLength] }`
  t.same(valuesOf(await sandbox.run(makeJob({ source: call }), makeHooks(), never)), [[5, 5]], 'as a clone')
})
