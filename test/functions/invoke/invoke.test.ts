// Calls by name, over real cells and two nodes.

import t from 'tap'
import { openInvokeFabric } from '../../support/invoke-nodes.ts'
import { failure } from '../../support/rpc-pair.ts'
import { makeHooks, makeJob, openSandbox } from '../../support/sandbox.ts'
import { decodeValue } from '../../../functions/value/mod.ts'

t.test('calls over two nodes with real cells', async (t) => {
  const fabric = await openInvokeFabric(2)
  t.teardown(() => fabric.close())
  const [a, b] = fabric.nodes as [typeof fabric.nodes[0], typeof fabric.nodes[0]]

  t.test('a call gets its own answer, its invocation and a record', async (t) => {
    const version = fabric.deploy('echo', '({ payload, call }) => ({ payload, call })')
    const { value, call } = await a.client.call('echo', new Map([['a', -0]]), { target: 'node:n1' })
    const given = value as { payload: Map<string, number>; call: Record<string, unknown> }
    t.ok(Object.is(given.payload.get('a'), -0), 'values that are no plain data travel as they are')
    t.match(given.call, { name: 'echo', alias: 'stable', version, node: 'n1', attempt: 1, epoch: null, cause: { type: 'call' } })
    t.match(call, { name: 'echo', node: b.id, nodeName: 'n1', version, alias: 'stable', cause: 'call', attempt: 1, cold: true, nested: 0 })
    t.equal(given.call['id'], call?.callId)
    t.equal((await a.client.call('echo', 1, { target: 'node:n1' })).call?.cold, false, 'the second is warm')
    t.match(b.called.map(({ status }) => status), ['value', 'value'], 'the observer of the node that ran it is told')
  })

  t.test('a throw is the outcome, with the function\'s own error', async (t) => {
    fabric.deploy('throws', '({ payload }) => { throw new TypeError(`no ${payload}`) }')
    const error = await failure(a.client.invoke('throws', 'way', { target: 'node:n1' }))
    t.match(error, { name: 'TypeError', message: 'no way', code: 'FUNCTIONS_ERR_THROWN' })
    t.match(error.stack, /kumoi:throws@/)
  })

  t.test('everywhere', async (t) => {
    const answers = await a.client.invokeAll('echo', 'x')
    t.strictSame(answers.map(({ node }) => node).toSorted(), ['n0', 'n1'])
  })

  t.test('a version that the target has not seen yet is fetched, and no mixture runs', async (t) => {
    fabric.deploy('ahead', '() => "new"', {}, [0])
    t.equal(await a.client.invoke('ahead', null, { target: 'node:n1' }), 'new')
  })

  t.test('an unknown name, a malformed target', async (t) => {
    t.match(await failure(a.client.invoke('nobody')), { code: 'FUNCTIONS_ERR_FUNCTION_UNKNOWN' })
    t.match(await failure(a.client.invoke('echo', 1, { target: 'node:nowhere' })), { code: 'FUNCTIONS_ERR_NODE_GONE' })
    t.match(await failure(a.client.invoke('echo', 1, { target: 'there' as 'any' })), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
  })

  t.test('a deadline ends the call, and others go on', async (t) => {
    fabric.deploy('slow', '({ payload }) => payload === "hang" ? new Promise(() => {}) : payload')
    const hanging = a.client.call('slow', 'hang', { target: 'node:n1', timeoutMs: 300 })
    t.equal(await a.client.invoke('slow', 7, { target: 'node:n1' }), 7)
    t.match((await hanging).error, { code: 'FUNCTIONS_ERR_SANDBOX_TIMEOUT', outcome: 'unknown' })
  })

  t.test('a caller who leaves ends his call', async (t) => {
    const control = new AbortController()
    const call = a.client.invoke('slow', 'hang', { target: 'node:n1', signal: control.signal })
    setTimeout(() => control.abort(new Error('enough')), 100)
    await t.rejects(call)
    t.equal(await a.client.invoke('slow', 8, { target: 'node:n1' }), 8)
  })
})

t.test('in a chunk, what has ended does not wait for a neighbour that hangs', async (t) => {
  const { sandbox, close } = await openSandbox()
  t.teardown(close)
  const control = new AbortController()
  const told = new Map<number, unknown>()
  const four = Promise.withResolvers<void>()
  const source = `async (x) => {
    if (x === 'hang') return new Promise(() => {})
    if (x === 'late') await new Promise((resolve) => setTimeout(resolve, 30))
    if (x === 'throw') throw new RangeError('mine alone')
    return x
  }`
  const job = { ...makeJob({ source, items: ['hang', 1, 'late', 'throw', new Map([[1, 2]]), 'hang'] }, { baseIndex: 10 }), early: true }
  const running = sandbox.run(job, {
    ...makeHooks(),
    settled(index, ended) {
      told.set(index, 'failure' in ended ? ended.failure.error.message : (decodeValue(ended.values) as unknown[])[0])
      if (told.size === 4) four.resolve()
    },
  }, control.signal)
  await Promise.race([four.promise, running])
  t.strictSame([...told].toSorted(([a], [b]) => a - b), [[11, 1], [12, 'late'], [13, 'mine alone'], [14, new Map([[1, 2]])]])
  control.abort(new Error('enough'))
  t.equal((await running).runs.reduce((sum, { count }) => sum + count, 0), 6, 'and the result covers all')
})
