// Cells that die: who is named, who is run again, what is not done twice, what is refused afterwards.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'tap'
import { REFERENCE } from '../../../functions/contract.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes, valuesOf } from '../../support/sandbox.ts'

/** Aborts the whole process (spike D). */
const BOMB = '"ab".repeat(2e8).split("")'
const machine = (n: number): object => ({ [REFERENCE]: { kind: 'PhysicalMachine', uuid: `00000000-0000-8000-8000-00000000000${n}`, home: 'a'.repeat(64), name: `pm${n}`, attributes: {} } })

test('the element that kills is named, the others get their values', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const source = `(x) => { if (x === 4) return ${BOMB}.length; return x * 10 }`
  const seen = outcomes(await sandbox.run(makeJob({ source, items: [1, 2, 3, 4, 5, 6] }, { baseIndex: 100 }), makeHooks(), never))
  t.equal(seen.length, 6)
  t.match(seen[3], { index: 103, status: /crash|out-of-memory/ })
  t.same(seen.filter(({ status }) => status === 'value').map(({ value }) => value), [10, 20, 30, 50, 60])
})

test('an isolate out of memory names its element too, without costing the cell', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  await sandbox.warm('test')
  const pid = sandbox.stats().cells[0]?.pid
  const source = '(x) => { if (x === 2) { const a = []; for (;;) a.push({ x, y: [x] }) } return x }'
  const seen = outcomes(await sandbox.run(makeJob({ source, items: [1, 2, 3] }, { limits: { heapLimitMiB: 16 } }), makeHooks(), never))
  t.match(seen, [{ value: 1 }, { status: /out-of-memory|crash/, index: 1 }, { value: 3 }])
  t.ok(pid !== undefined)
})

test('a run again repeats no effect: calls are answered from the journal', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const calls: string[] = []
  const hooks = makeHooks((call, args) => { calls.push(`${call.target?.uuid.slice(-1)}:${String(args[0])}`); return calls.length })
  const source = `async (pm, i) => { const a = await pm.exec("first"); const b = await pm.exec("second"); if (i === 1) ${BOMB}; return [a, b] }`
  const seen = outcomes(await sandbox.run(makeJob({ source, items: [machine(1), machine(2), machine(3)] }), hooks, never))
  t.match(seen[1], { status: /crash|out-of-memory/ })
  t.equal(seen[0]?.status, 'value')
  t.equal(seen[2]?.status, 'value')
  t.same(calls.toSorted(), ['1:first', '1:second', '2:first', '2:second', '3:first', '3:second'], 'each call was made once')
})

test('a function that keeps killing cells is refused', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const job = makeJob({ source: `() => ${BOMB}.length` })
  for (let i = 0; i < 3; i++) t.match(outcomes(await sandbox.run(job, makeHooks(), never)), [{ status: /crash|out-of-memory/ }])
  await t.rejects(sandbox.run(job, makeHooks(), never), { code: 'FUNCTIONS_ERR_SANDBOX_QUARANTINED' })
  t.same(sandbox.stats().quarantined, [job.stages[0]?.code])
  t.same(valuesOf(await sandbox.run(makeJob({ source: '() => 1' }), makeHooks(), never)), [1], 'others are not')
})

test('bystanders of a kill are run again, and not held to have killed', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  let waiting = 0
  const { promise: all, resolve: allWait } = Promise.withResolvers<void>()
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
  const hooks = makeHooks(async () => { if (++waiting === 8) allWait(); await answered; return 'there' })
  const job = makeJob({ source: 'async (pm) => { await pm.exec("x"); return 1 }', items: [machine(1)] })
  const bystanders = Array.from({ length: 8 }, () => sandbox.run(job, hooks, never))
  await all
  const pid = sandbox.stats().cells[0]?.pid
  const bomb = makeJob({ source: `() => ${BOMB}.length` })
  const killing = sandbox.run(bomb, makeHooks(), never)
  for (let i = 0; i < 500 && sandbox.stats().cells[0]?.pid === pid; i++) await new Promise((resolve) => { setTimeout(resolve, 10) })
  answer()
  for (const result of await Promise.all(bystanders)) t.same(valuesOf(result), [1])
  t.match(outcomes(await killing), [{ status: /crash|out-of-memory/ }])
  t.same(sandbox.stats().quarantined, [])
  t.equal(sandbox.stats().cells[0]?.kills, 1, 'one kill, by the one that did it')
  t.same(valuesOf(await sandbox.run(job, makeHooks(() => 'there'), never)), [1], 'and they are still called')
})

test('many that wait with much memory take turns; nobody is killed for what all take together', async (t) => {
  const { sandbox, close } = await openSandbox({ workers: 1 })
  t.teardown(close)
  const hooks = makeHooks(async () => { await new Promise((resolve) => { setTimeout(resolve, 800) }); return 'there' })
  const job = makeJob({ source: 'async (pm) => { const kept = new Array(5e6).fill(0.5); await pm.exec("x"); return kept.length }', items: [machine(1)] })
  const results = await Promise.all(Array.from({ length: 20 }, () => sandbox.run(job, hooks, never)))
  for (const result of results) t.same(valuesOf(result), [5e6])
  t.equal(sandbox.stats().cells[0]?.kills, 0)
})

test('code is asked for once per lane, and a cell belongs to one principal', async (t) => {
  const { sandbox, close } = await openSandbox({ workers: 1 })
  t.teardown(close)
  const asked: string[] = []
  const job = makeJob({ source: '(x) => x' }, { onBlob: (hash) => asked.push(hash) })
  for (let i = 0; i < 3; i++) await sandbox.run(job, makeHooks(), never)
  t.equal(asked.length, 1)
  await sandbox.run({ ...job, principal: 'other' }, makeHooks(), never)
  t.equal(asked.length, 2)
  const pids = new Set(sandbox.stats().cells.map(({ pid }) => pid))
  t.equal(pids.size, 2)
})

test('no cell outlives the kernel: SIGKILL of the parent, one cell idle and one stuck in a builtin', async (t) => {
  // Killed, it cannot clean up after itself.
  const folder = mkdtempSync(join(tmpdir(), 'kumoi-orphan-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const child = spawn(process.execPath, ['--no-node-snapshot', join(import.meta.dirname, '../../support/sandbox-orphan.ts')], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TMPDIR: folder } })
  const [line] = await once(createInterface({ input: child.stdout }), 'line') as [string]
  const pids = JSON.parse(line) as number[]
  t.equal(pids.length, 2)
  const alive = (pid: number): boolean => {
    try {
      return readdirSync(`/proc/${pid}`).length > 0 && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
    } catch {
      return false
    }
  }
  t.ok(pids.every(alive))
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (let i = 0; i < 100 && pids.some(alive); i++) await new Promise((resolve) => { setTimeout(resolve, 20) })
  t.same(pids.filter(alive), [])
})

test('row 51: a cell holds no environment of the kernel, no secret in its arguments, and no network', async (t) => {
  process.env['KUMOI_TEST_SECRET'] = 'hunter2'
  const { sandbox, close } = await openSandbox({ spareCells: 0 })
  t.teardown(close)
  await sandbox.warm('test')
  const pid = sandbox.stats().cells[0]?.pid ?? 0
  const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').filter((entry) => entry !== '')
  t.same(environment.map((entry) => entry.split('=')[0]), ['LIBC', 'MALLOC_ARENA_MAX'])
  t.notMatch(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), 'hunter2')
  t.match(readFileSync(`/proc/${pid}/status`, 'latin1'), /^NoNewPrivs:\s+1$/m)
  const allowed = spawnSync('unshare', ['-rn', 'true']).status === 0
  if (allowed) t.not(readlinkSync(`/proc/${pid}/ns/net`), readlinkSync('/proc/self/ns/net'))
})
