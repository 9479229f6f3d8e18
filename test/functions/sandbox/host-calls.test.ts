// Capability handles: attributes, verbs, collections; budgets; references that go out and come back.

import t from 'tap'
import { REFERENCE, type ReferenceRecord } from '../../../functions/contract.ts'
import { decodeValue } from '../../../functions/value/mod.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes, valuesOf } from '../../support/sandbox.ts'

const { sandbox, close } = await openSandbox()
t.teardown(close)

const record = (kind: string, n: number, attributes: Record<string, unknown>): ReferenceRecord =>
  ({ kind, uuid: `00000000-0000-8000-8000-00000000000${n}`, home: 'a'.repeat(64), name: `${kind.toLowerCase()}${n}`, attributes })
const reference = (made: ReferenceRecord): object => ({ [REFERENCE]: made })
const machine = reference(record('PhysicalMachine', 1, { cores: 8 }))
const vms = [1, 2, 3].map((n) => reference(record('VM', n, { cpuRatio: n / 4 })))

t.test('attributes without a call, verbs with one', async (t) => {
  const seen: unknown[] = []
  const hooks = makeHooks((call, args) => { seen.push([call.verb, call.target?.kind, call.target?.uuid, args]); return { stdout: 'ok' } })
  const source = 'async (pm) => [pm.name, pm.cores, pm.kind, Object.keys(pm), (await pm.exec("uname", ["-r"])).stdout]'
  t.same(valuesOf(await sandbox.run(makeJob({ source, items: [machine] }), hooks, never)), [['physicalmachine1', 8, 'PhysicalMachine', ['kind', 'uuid', 'name', 'cores'], 'ok']])
  t.same(seen, [['exec', 'PhysicalMachine', '00000000-0000-8000-8000-000000000001', ['uname', ['-r']]]])
})

t.test('collections are filtered right there and encode back as references', async (t) => {
  const hooks = makeHooks((call) => (call.verb === 'vms' ? vms : 'stopped'))
  const filtered = await sandbox.run(makeJob({ source: '(pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.4)', items: [machine] }), hooks, never)
  const [run] = filtered.runs
  const [[first, second]] = decodeValue(run !== undefined && 'values' in run ? run.values : new Uint8Array()) as [[Record<symbol, ReferenceRecord>, Record<symbol, ReferenceRecord>]]
  t.same([first[REFERENCE]?.name, second[REFERENCE]?.name], ['vm2', 'vm3'])
  const source = 'async (pm) => [await pm.vms.length, await pm.vms.map((vm) => vm.name), await pm.vms.at(0).stop(), (await pm.vms.at(1)).name, await pm.vms.reduce((a, vm) => a + vm.cpuRatio, 0)]'
  t.same(valuesOf(await sandbox.run(makeJob({ source, items: [machine] }), hooks, never)), [[3, ['vm1', 'vm2', 'vm3'], 'stopped', 'vm2', 1.5]])
})

t.test('a handle is frozen and keeps nothing of the host', async (t) => {
  const source = '(pm) => { "use strict"; const tries = []; for (const f of [() => { pm.name = "x" }, () => { pm.exec = 1 }, () => { Object.getPrototypeOf(pm).exec = 1 }]) { try { f(); tries.push("done") } catch (e) { tries.push(e.name) } } return tries }'
  t.same(valuesOf(await sandbox.run(makeJob({ source, items: [machine] }), makeHooks(), never)), [['TypeError', 'TypeError', 'TypeError']])
})

t.test('a failing call rejects in the sandbox with its code', async (t) => {
  const hooks = makeHooks(() => { throw Object.assign(new Error('not allowed'), { code: 'RMO_ERR_DENIED' }) })
  t.same(valuesOf(await sandbox.run(makeJob({ source: 'async (pm) => { try { await pm.exec("x") } catch (e) { return [e.code, e.message, e instanceof Error] } }', items: [machine] }), hooks, never)), [['RMO_ERR_DENIED', 'not allowed', true]])
  t.match(outcomes(await sandbox.run(makeJob({ source: '(pm) => pm.exec("x")', items: [machine] }), hooks, never)), [{ status: 'error', code: 'RMO_ERR_DENIED' }])
})

t.test('calls are bounded in number, in flight and in bytes', async (t) => {
  let now = 0
  let most = 0
  const hooks = makeHooks(async () => { most = Math.max(most, ++now); await new Promise((r) => setImmediate(r)); now--; return 1 })
  const all = await sandbox.run(makeJob({ source: '(pm) => Promise.all(Array.from({ length: 200 }, () => pm.exec("x"))).then((a) => a.length)', items: [machine] }), hooks, never)
  t.same(valuesOf(all), [200])
  t.ok(most <= 64, `at most 64 in flight, saw ${most}`)
  const budget = { limits: { hostCalls: 3 } }
  t.match(outcomes(await sandbox.run(makeJob({ source: 'async (pm) => { for (let i = 0; i < 4; i++) await pm.exec(i) }', items: [machine] }, budget), hooks, never)), [{ code: 'FUNCTIONS_ERR_SANDBOX_HOST_CALLS' }])
  t.match(outcomes(await sandbox.run(makeJob({ source: '(pm) => pm.exec("x".repeat(300000))', items: [machine] }), hooks, never)), [{ status: 'error' }])
})

t.test('a call left behind reaches nobody once the run is over', async (t) => {
  let calls = 0
  const hooks = makeHooks(() => { calls++; return 1 })
  const source = '(pm) => { (async () => { for (;;) await pm.exec("x") })(); return "done" }'
  t.same(valuesOf(await sandbox.run(makeJob({ source, items: [machine] }), hooks, never)), ['done'])
  await sandbox.run(makeJob({ source: '() => 1' }), makeHooks(), never)
  t.ok(calls <= 1, `${calls} calls`)
})
