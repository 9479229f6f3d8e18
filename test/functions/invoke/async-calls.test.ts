// Asynchronous calls: kept, tried again, dead letters, keys, and workers that die.

import t from 'tap'
import { until } from '../../support/until.ts'
import { fakeSandbox } from '../../support/fake-sandbox.ts'
import { openInvokeFabric } from '../../support/invoke-nodes.ts'
import type { InvokeFabric } from '../../support/invoke-nodes.ts'
import { failure } from '../../support/rpc-pair.ts'

const shared = globalThis as unknown as { seen?: unknown[]; fails?: number }
const empty = async (fabric: InvokeFabric): Promise<boolean> => (await fabric.store.range('call')).entries.filter(({ key }) => !key.startsWith('call-key/')).length === 0

t.test('on two nodes', async (t) => {
  const fabric = await openInvokeFabric(2, { sandbox: () => fakeSandbox(), subscribers: (topic) => (topic === 'hot' ? ['keep', 'flaky'] : []) })
  t.teardown(() => fabric.close())
  const [a] = fabric.nodes as [InvokeFabric['nodes'][0]]
  t.beforeEach(() => { shared.seen = []; shared.fails = 0 })
  fabric.deploy('keep', '({ payload, call }) => { globalThis.seen.push([payload, call.attempt]) }')
  fabric.deploy('flaky', '({ payload, call }) => { globalThis.seen.push(call.attempt); if (globalThis.fails-- > 0) throw new Error("not yet") }', { retry: { attempts: 3, backoffMs: 5 } })

  t.test('is made once and forgotten', async (t) => {
    const id = await a.client.enqueue('keep', { n: 1 })
    t.match(id, /^[0-9a-f]{16}$/)
    await until('made', () => empty(fabric))
    t.strictSame(shared.seen, [[{ n: 1 }, 1]])
  })

  t.test('is tried again, and no more than its attempts; then it is a dead letter with its error', async (t) => {
    shared.fails = 2
    await a.client.enqueue('flaky', 1)
    await until('made', () => empty(fabric))
    t.strictSame(shared.seen, [1, 2, 3])
    shared.seen = []
    shared.fails = 99
    const id = await a.client.enqueue('flaky', ['letter'])
    await until('dead', async () => (await a.client.dead('flaky')).length === 1)
    t.strictSame(shared.seen, [1, 2, 3])
    t.match(await a.client.dead(), [{ id, name: 'flaky', state: 'dead', attempts: 3, cause: 'call', payload: ['letter'], error: { code: 'FUNCTIONS_ERR_THROWN', message: 'not yet' } }])
    t.ok(await empty(fabric))
    t.match(await failure(a.client.redrive('flaky', ['0'.repeat(16)])), { code: 'FUNCTIONS_ERR_CALL_UNKNOWN' })
    shared.fails = 0
    t.equal(await a.client.redrive('flaky'), 1)
    await until('made', () => empty(fabric))
    t.strictSame(await a.client.dead(), [])
  })

  t.test('the same key: one call', async (t) => {
    const ids = await Promise.all([1, 2, 3].map(() => a.client.enqueue('keep', 'k', { idempotencyKey: 'one' })))
    t.equal(new Set(ids).size, 1)
    await until('made', () => empty(fabric))
    t.strictSame(shared.seen, [['k', 1]])
    t.equal(await a.client.invoke('keep', 'k', { idempotencyKey: 'one' }), undefined, 'an invoke with the key gets the answer that is there')
    t.equal(shared.seen?.length, 1)
  })

  t.test('a topic calls everybody who hears it, once under a key', async (t) => {
    t.equal(await a.client.emit('hot', 5), 2)
    await until('made', () => empty(fabric))
    t.equal(shared.seen?.length, 2)
    t.equal(await a.client.emit('cold', 5), 0)
  })

  t.test('a paused function keeps its queue; discarding empties it', async (t) => {
    fabric.deploy('keep', '({ payload, call }) => { globalThis.seen.push([payload, call.attempt]) }', { paused: true })
    for (let n = 0; n < 40; n++) await a.client.enqueue('keep', n)
    t.equal((await a.client.waiting('keep')).length, 40)
    t.match((await a.client.waiting('keep'))[0], { name: 'keep', state: 'waiting', attempts: 0 })
    t.strictSame(shared.seen, [])
    t.match(await failure(a.client.invoke('keep')), { code: 'FUNCTIONS_ERR_FUNCTION_PAUSED' })
    const [first] = await a.client.waiting('keep')
    t.equal(await a.client.discard('keep', [first?.id ?? '']), 1)
    fabric.deploy('keep', '({ payload, call }) => { globalThis.seen.push([payload, call.attempt]) }')
    await until('made', () => empty(fabric))
    t.equal(shared.seen?.length, 39)
  })

  t.test('many are spread over the nodes', async (t) => {
    const before = fabric.nodes.map((node) => node.called.length)
    await Promise.all(Array.from({ length: 60 }, (_, n) => a.client.enqueue('keep', n)))
    await until('made', () => empty(fabric))
    t.equal(shared.seen?.length, 60)
    t.ok(fabric.nodes.every((node, n) => node.called.length > (before[n] ?? 0)))
  })
})

t.test('a worker that dies with a call under way loses nothing', async (t) => {
  shared.seen = []
  const fabric = await openInvokeFabric(2, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  const [a, b] = fabric.nodes as [InvokeFabric['nodes'][0], InvokeFabric['nodes'][0]]
  fabric.deploy('once', '({ payload, call }) => { globalThis.seen.push([call.node, call.attempt]); return call.attempt === 1 ? new Promise(() => {}) : 0 }')
  const id = await a.client.enqueue('once', 1)
  await until('begun', () => shared.seen?.length === 1)
  const [worker, other] = a.asyncCalls.claims === 1 ? [a, b] : [b, a]
  t.match(await other.client.waiting(), [{ id, state: 'running', attempts: 1 }])
  await worker.stop()
  await until('made by the other', () => empty(fabric))
  t.strictSame(shared.seen.map((seen) => (seen as unknown[])[1]), [1, 2])
})
