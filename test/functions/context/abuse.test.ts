// Functions whose nested runs fail, hang, kill their cell, or are forged by it: outcomes for every element, typed refusals, nothing left.

import t from 'tap'
import type { Job } from '../../../functions/contract.ts'
import { decodeValue, encodeValue } from '../../../functions/value/mod.ts'
import { CallBudget } from '../../../functions/plan/call-budget.ts'
import { deployedLimits, openFunctionNodes, runBody as run } from '../../support/function-nodes.ts'

const world = await openFunctionNodes(2)
const alone = await openFunctionNodes(1)
t.teardown(() => Promise.all([world.close(), alone.close()]))

t.test('failures inside: one error with every outcome, or outcomes', async (t) => {
  const failing = 'range(4).dmap(n => { if (n === 2) throw Object.assign(new TypeError("odd one"), { code: "MINE" }); return n })'
  t.same(await run(world, `try { await ${failing} } catch (error) { return [error.code, error.message.includes("1 of 4"), error.outcomes.map(o => o.status), error.cause.code, error.cause.name, error.cause.stack.includes("kumoi:")] }`),
    [['FUNCTIONS_ERR_MAP_FAILED', true, ['value', 'value', 'error', 'value'], 'MINE', 'TypeError', true]])
  t.same(await run(world, `return (await ${failing}.settled()).map(o => [o.index, o.status, o.value, o.error?.message])`), [[[0, 'value', 0, undefined], [1, 'value', 1, undefined], [2, 'error', undefined, 'odd one'], [3, 'value', 3, undefined]]])
  t.match(await run(world, 'return range(3).dmap(() => "x".repeat(50_000)).dmap(x => x + x)', { limits: { resultBytes: 200_000 } }), [{ code: 'FUNCTIONS_ERR_MAP_FAILED' }])
  t.match(await run(world, 'return from(["x".repeat(300_000)]).dmap(n => n)'), [{ code: /VALUE_TOO_LARGE|HOST_CALL_BYTES/ }])
  t.match(await run(world, 'return range(3).dmap(n => n, { colour: "red" })'), [{ code: 'FUNCTIONS_ERR_BAD_OPTION' }])
  t.match(await run(world, 'return range(3).dmap(n => n, { concurrency: 0.5, retries: 1.5 })'), [{ code: 'FUNCTIONS_ERR_BAD_OPTION' }])
})

t.test('a nested deadline ends what has not settled, and no more', async (t) => {
  t.same(await run(world, 'const done = await range(4).dmap(n => n < 3 ? n : new Promise(() => {}), { timeoutMs: 300, concurrency: 1 }).settled(); return [...new Set(done.map(o => o.status))].sort()'), [['timeout', 'value']])
})

t.test('an element that kills its isolate, or its cell with the run that waits for it', async (t) => {
  const small = { limits: { heapLimitMiB: 16 } }
  const statuses = (what: string): Promise<unknown[]> => run(alone, `return (await range(3).dmap(n => { if (n === 1) { ${what} } return n }).settled()).map(o => o.status)`, small)
  t.same(await statuses('const a = []; for (;;) a.push({ n, m: [n] })'), [['value', 'out-of-memory', 'value']])
  t.same(await statuses('return "ab".repeat(2e8).split("").length'), [['value', 'crash', 'value']])
  t.same(await run(alone, 'return 1'), [1], 'and everything goes on')
})

t.test('the end of the outer call ends the inner ones everywhere', async (t) => {
  world.called.length = 0
  const control = new AbortController()
  const going = run(world, 'return pms.dmap(pm => pm.sleep())', { signal: control.signal })
  while (world.called.filter((each) => each.endsWith('sleep')).length < 2) await new Promise((resolve) => setImmediate(resolve))
  control.abort(new Error('enough'))
  t.match(await going, [{ status: 'cancelled' }])
  while (world.called.filter((each) => each.endsWith('aborted')).length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.pass('both sleepers were told')
})

t.test('what a cell forges is refused, typed', async (t) => {
  const version = await world.deploy('import { defineFunction } from "kumoi"\nexport default defineFunction({ name: "tested", run: () => 1 })')
  const node = world.nodes[0]!
  const environment = encodeValue(null)
  const good = { source: { type: 'range', from: 0, to: 2, step: 1 }, stages: [{ verb: 'map', code: version, environment, name: 'f' }], terminal: { verb: 'collect' }, options: {} }
  const scope = { name: 'tested', version, alias: 'stable', callId: '0', trace: '0', deployer: 'local:0', budget: 10, secrets: [], rights: [] }
  const ask = async (body: unknown, element = 0): Promise<string> => {
    try {
      const bytes = await node.hostCalls.answer({ target: undefined, verb: 'run', args: body instanceof Uint8Array ? body : encodeValue([body]), element }, {
        authority: { principal: `fn:tested@${version.slice(0, 12)}/local:0`, trace: '0', hop: 1, signal: new AbortController().signal, remainingMs: () => 5_000 },
        scope: (of) => (of === 0 ? scope : undefined), remainingMs: () => 5_000, limits: deployedLimits, depth: 0, budget: () => new CallBudget(10),
        program: (hash) => (hash === version ? new Uint8Array(0) : undefined), console: () => {},
      }, new AbortController().signal)
      return `answered ${(decodeValue(bytes) as unknown[]).length}`
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }
  const before = node.jobs.length
  const wrong: Readonly<Record<string, unknown>> = {
    'no bytes of a value': new Uint8Array([0xff, 0xff]), 'no arguments': encodeValue([]), 'a number': 5, 'no stages': { ...good, stages: undefined },
    'another program': { ...good, stages: [{ ...good.stages[0], code: 'a'.repeat(64) }] }, 'an environment by hash': { ...good, stages: [{ ...good.stages[0], environment: 'a'.repeat(64) }] },
    'an unknown verb': { ...good, stages: [{ ...good.stages[0], verb: 'exec' }] }, 'an unknown terminal': { ...good, terminal: { verb: 'all' } },
    'too many stages': { ...good, stages: Array.from({ length: 65 }, () => good.stages[0]) }, 'a range without end': { ...good, source: { type: 'range', from: -1e308, to: 1e308, step: 1e-300 } },
    'no source': { ...good, source: { type: 'files' } }, 'a home that is none': { ...good, source: { type: 'references', references: [['VM', 'u', 'nowhere', 'n']] } },
    'items that are none': { ...good, source: { type: 'items' }, items: [5] }, 'an empty piece': { ...good, source: { type: 'items' }, items: [encodeValue([])] }, 'time that is no number': { ...good, options: { timeoutMs: NaN } },
    'retries below none': { ...good, options: { retries: -1 } },
  }
  for (const [what, body] of Object.entries(wrong)) t.match(await ask(body), /^FUNCTIONS_ERR_(BAD_MESSAGE|VALUE_MALFORMED)$/, what)
  t.equal(await ask(good, 7), 'FUNCTIONS_ERR_CALL_UNSCOPED', 'an element that there is not')
  t.equal(await ask(good, -1), 'FUNCTIONS_ERR_CALL_UNSCOPED', 'an element that is not known')
  t.equal(node.jobs.length, before, 'nothing was started')
  const most = { ...good, options: { timeoutMs: 1e12, heapLimitMiB: 1e6, cpuTimeMs: 1e12, resultBytes: 1e12 } }
  const earlier = new Set<Job>(world.nodes.flatMap(({ jobs }) => jobs))
  await ask(most)
  // On whichever node it was placed.
  const asked = world.nodes.flatMap(({ jobs }) => jobs).find((job: Job) => job.depth === 1 && !earlier.has(job))?.limits
  t.ok(asked !== undefined && asked.timeoutMs <= 5_000 && asked.heapLimitMiB <= deployedLimits.heapLimitMiB && asked.resultBytes <= deployedLimits.resultBytes, 'no more than the caller has')
})

t.test('a shell is believed neither a depth nor an account', async (t) => {
  const version = await world.deploy('import { defineFunction } from "kumoi"\nexport default defineFunction({ name: "tested", run: () => 1 })')
  const node = world.nodes[0]!
  const body = { source: { type: 'range', from: 0, to: 1, step: 1 }, stages: [{ verb: 'map', code: version, environment: version, name: 'f' }], terminal: { verb: 'collect' }, limits: deployedLimits, inline: { [version]: new Uint8Array(0) }, retries: null, nested: { depth: 7, budget: 1e9, scope: null } }
  const before = node.jobs.length
  await node.shell.open('functions.execute', { ...body, only: ['chunk', 0, 0, 1, ['range', 0, 1]] }, { timeoutMs: 2_000 }).result.catch(() => {})
  t.ok(node.jobs.slice(before).every(({ depth }) => depth === undefined))
})
