// Effects that are not the attacker's to have: calls made by a singleton whose epoch is over, by code that runs in no epoch, and
// answers behind an idempotency key of somebody else.

import t from 'tap'
import type { JobHooks, Sandbox } from '../../functions/contract.ts'
import type { CallScope, InvokeRequest, SystemCall } from '../../functions/deployed.ts'
import { FUNCTIONS } from '../../functions/errors.ts'
import { registerNested } from '../../functions/invoke/nested.ts'
import { functionPrincipal } from '../../functions/principal.ts'
import { holderKey } from '../../functions/trigger/fence.ts'
import { encodeArray, encodeValue } from '../../functions/value/mod.ts'
import { fakeSandbox } from '../support/fake-sandbox.ts'
import { authority, openInvokeFabric } from '../support/invoke-nodes.ts'
import { until } from '../support/until.ts'

const FENCED = { code: 'FUNCTIONS_ERR_FUNCTION_FENCED' }
const VERSION = 'ab'.repeat(32)
const shared = globalThis as unknown as { attackSeen?: unknown[] }
const request = (reference: string, over: Partial<InvokeRequest> = {}): InvokeRequest => ({ reference, payload: encodeArray([1]), cause: { type: 'call' }, ...over })
const asFunction = (epoch: number | undefined): ReturnType<typeof authority> => authority({ principal: functionPrincipal({ name: 'single', version: VERSION, epoch, deployer: 'local:0' }) })

t.test('a holder that was stopped and wakes up puts no calls', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox(), start: false, subscribers: () => ['target'] })
  t.teardown(() => fabric.close())
  fabric.deploy('target', '() => 1')
  const { store } = fabric
  const { asyncCalls } = fabric.nodes[0]!
  const waiting = async (): Promise<number> => (await store.range('call/')).entries.length
  const took = async (): Promise<number> => (await store.transact({ then: [{ do: 'put', key: holderKey('single'), value: new Uint8Array(1) }] })).revision
  const first = await took()
  t.match(await asyncCalls.enqueue(request('target'), asFunction(first)), /^[0-9a-f]{16}$/)
  t.equal(await asyncCalls.emit('hot', encodeArray([1]), { from: 'single', deployer: 'local:0' }, asFunction(first)), 1)
  t.equal(await waiting(), 2, 'in its epoch it may')

  await store.transact({ then: [{ do: 'delete', key: holderKey('single') }] })
  await t.rejects(asyncCalls.enqueue(request('target'), asFunction(first)), FENCED, 'nobody holds it')
  const second = await took()
  await t.rejects(asyncCalls.enqueue(request('target'), asFunction(first)), { ...FENCED, details: { epoch: first, reason: `epoch ${second} holds it` } })
  await t.rejects(asyncCalls.enqueue(request('target', { idempotencyKey: 'k' }), asFunction(first)), FENCED, 'nor under a key')
  await t.rejects(asyncCalls.emit('hot', encodeArray([1]), { from: 'single', deployer: 'local:0' }, asFunction(first)), FENCED)
  await t.rejects(asyncCalls.emit('hot', encodeArray([1]), { from: 'single', deployer: 'local:0', key: 'k' }, asFunction(first)), FENCED)
  t.equal(await waiting(), 2)
  t.equal((await store.range('call-key/')).entries.length, 0, 'and takes no key from the new one')

  const id = await asyncCalls.enqueue(request('target', { idempotencyKey: 'k' }), asFunction(second))
  t.equal(await asyncCalls.enqueue(request('target', { idempotencyKey: 'k' }), asFunction(second)), id)
  await store.transact({ then: [{ do: 'delete', key: holderKey('single') }] })
  const third = await took()
  t.equal(await asyncCalls.enqueue(request('target', { idempotencyKey: 'k' }), asFunction(third)), id, 'the next holder has the same key: one call')
})

t.test('nor does it call anybody', async (t) => {
  const calls = new Map<string, SystemCall>()
  const made: string[] = []
  const asked: [string, number][] = []
  registerNested({ register: (verb, call) => { calls.set(verb, call) } }, {
    invoke: async ({ reference }) => { made.push(reference); return { status: 'value', value: encodeArray([1]), call: {} as never } },
    invokeAll: async ({ reference }) => { made.push(reference); return [] },
    enqueue: async () => '', runHere: async () => { throw new Error('not here') },
  }, { check: async (name, epoch) => { asked.push([name, epoch]); if (epoch !== 8) throw FUNCTIONS.FUNCTION_FENCED({ name, epoch, reason: 'epoch 8 holds it' }) } })
  const invoke = async (epoch: number | undefined, options: object = {}): Promise<unknown> => {
    const scope: CallScope = { name: 'single', version: VERSION, alias: 'stable', callId: '0', trace: '0', deployer: 'local:0', budget: 5, secrets: [], rights: ['function:invoke'], ...(epoch === undefined ? {} : { epoch }) }
    return calls.get('fn.invoke')?.(['target', encodeArray([1]), options], scope, asFunction(epoch), () => {})
  }
  await t.rejects(invoke(7), FENCED)
  await t.rejects(invoke(7, { target: 'all' }), FENCED)
  t.same(made, [])
  await invoke(8)
  await invoke(undefined)
  t.same(made, ['target', 'target'])
  t.same(asked, [['single', 7], ['single', 7], ['single', 8]], 'who is no singleton is not asked about')
})

t.test('a filter, and code that runs while a version is loaded, have no account to act on', async (t) => {
  const tried: string[] = []
  const calling: Sandbox = {
    ...fakeSandbox(),
    async run(job, hooks: JobHooks, signal) {
      const answer = await hooks.hostCall({ target: undefined, verb: 'fn.enqueue', args: encodeValue(['target', encodeArray([1])]), element: 0 } as never, signal).then(() => 'made', () => 'refused')
      tried.push(answer)
      return { runs: [{ from: 0, count: job.input.type === 'items' ? job.input.count : 0, outputs: 1, values: encodeValue([true]) }], cpuMs: 0, wallMs: 0, decided: false }
    },
  }
  const fabric = await openInvokeFabric(1, { sandbox: () => calling, start: false })
  t.teardown(() => fabric.close())
  fabric.deploy('target', '() => 1')
  fabric.deploy('sly', '() => 2', { rights: ['function:invoke'], triggers: [{ type: 'event', kind: 'VM', events: [], where: {}, filtered: true }] })
  const { invoker, runner } = fabric.nodes[0]!
  const resolved = { name: 'sly', alias: 'stable', deployer: 'local:0', manifest: fabric.manifest('sly') }
  await invoker.filterHere(resolved, 0, request('sly'), authority())
  await runner.warmUp(resolved, new AbortController().signal)
  t.same([...new Set(tried)], ['refused'])
  await invoker.invoke(request('sly'), authority())
  t.equal(tried.at(-1), 'made', 'its run may')
})

t.test('an idempotency key is its caller\'s own', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  shared.attackSeen = []
  fabric.deploy('pay', '({ payload }) => { globalThis.attackSeen.push(payload); return `receipt ${payload}` }')
  const { invoker } = fabric.nodes[0]!
  const call = async (principal: string, payload: unknown): Promise<unknown> => {
    const outcome = await invoker.invoke(request('pay', { payload: encodeArray([payload]), idempotencyKey: 'order-1' }), authority({ principal }))
    return outcome.status === 'value' ? Buffer.from(outcome.value).toString('latin1').replace(/^[^r]*/, '') : outcome.status
  }
  t.equal(await call('local:0', 'alice'), 'receipt alice')
  t.equal(await call('http:open', 'mallory'), 'receipt mallory', 'who guesses a key does not read the answer behind it')
  t.equal(await call('local:0', 'again'), 'receipt alice')
  t.equal(await call('local:0/tenant', 'bob'), 'receipt bob')
  t.equal(await call(functionPrincipal({ name: 'a', version: VERSION, epoch: 3, deployer: 'local:0' }), 'a3'), 'receipt a3')
  t.equal(await call(functionPrincipal({ name: 'a', version: 'cd'.repeat(32), epoch: 9, deployer: 'local:0' }), 'a9'), 'receipt a3', 'a function keeps its keys over deploys and epochs')
  t.equal(await call(functionPrincipal({ name: 'b', version: VERSION, deployer: 'local:0' }), 'b'), 'receipt b', 'another does not see them')
  t.same(shared.attackSeen, ['alice', 'mallory', 'bob', 'a3', 'b'])

  shared.attackSeen = []
  const queue = (principal: string): Promise<string> => invoker.enqueue(request('pay', { idempotencyKey: 'queued' }), authority({ principal }))
  const [mine, poisoned] = [await queue('http:open'), await queue('local:0')]
  t.not(mine, poisoned, 'nobody\'s call is kept from being made')
  t.equal(await queue('local:0'), poisoned)
  await until('both made', () => shared.attackSeen?.length === 2)
})
