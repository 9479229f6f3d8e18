// Calls that share chunks: each has its own answer, error and deadline; limits; breaker; singletons; keys; nodes that die.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { fakeSandbox } from '../../support/fake-sandbox.ts'
import { openInvokeFabric } from '../../support/invoke-nodes.ts'
import type { InvokeFabric } from '../../support/invoke-nodes.ts'
import { failure } from '../../support/rpc-pair.ts'
import { until } from '../../support/until.ts'

type Node = InvokeFabric['nodes'][0]
const shared = globalThis as unknown as { runs: number; held?: PromiseWithResolvers<number> }

t.test('one node', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  const [a] = fabric.nodes as [Node]
  shared.runs = 0

  t.test('any mix of quick, slow, throwing and hanging calls', async (t) => {
    fabric.deploy('mix', `async ({ payload: { does, n } }) => {
      if (does === 'throw') throw new Error('no ' + n)
      if (does === 'hang') return new Promise(() => {})
      if (does === 'slow') await new Promise((resolve) => setTimeout(resolve, 5))
      return n
    }`, { limits: { queue: 10_000 } })
    await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('quick', 'quick', 'quick', 'slow', 'throw', 'hang'), { minLength: 1, maxLength: 120 }), async (kinds) => {
      const ended = await Promise.all(kinds.map((does, n) => a.client.call('mix', { does, n }, does === 'hang' ? { timeoutMs: 40 } : {})))
      return ended.every(({ value, error, call }, n) => {
        switch (kinds[n]) {
          case 'throw': return error?.message === `no ${n}` && call !== undefined
          case 'hang': return (error as { code?: string } | undefined)?.code === 'FUNCTIONS_ERR_SANDBOX_TIMEOUT'
          default: return value === n && call !== undefined
        }
      })
    }), { numRuns: 12 })
  })

  t.test('quick calls are gathered, and a slow one holds nobody up', async (t) => {
    a.chunks.length = 0
    fabric.deploy('quick', '({ payload }) => payload === "wait" ? globalThis.held.promise : payload')
    for (let round = 0; round < 300 && Math.max(0, ...a.chunks) <= 8; round++) await Promise.all(Array.from({ length: 40 }, (_, n) => a.client.invoke('quick', n)))
    t.ok(Math.max(...a.chunks) > 8, `chunks of up to ${Math.max(...a.chunks)}`)
    shared.held = Promise.withResolvers()
    const waiting = a.client.invoke('quick', 'wait')
    t.strictSame(await Promise.all([1, 2, 3].map((n) => a.client.invoke('quick', n))), [1, 2, 3])
    shared.held.resolve(9)
    t.equal(await waiting, 9)
  })

  t.test('more than run and wait: busy, at once', async (t) => {
    fabric.deploy('narrow', '() => globalThis.held.promise', { limits: { concurrency: 2, queue: 3 } })
    shared.held = Promise.withResolvers()
    const taken = Array.from({ length: 5 }, () => a.client.invoke('narrow'))
    await until('all five are in', () => a.runner.calls === 5)
    t.match(await failure(a.client.invoke('narrow')), { code: 'FUNCTIONS_ERR_FUNCTION_BUSY', outcome: 'not-started', retryable: true })
    t.equal(a.counts.get('narrow busy'), 1)
    shared.held.resolve(1)
    t.strictSame(await Promise.all(taken), [1, 1, 1, 1, 1])
  })

  t.test('a function that kills its cell is refused after a few times', async (t) => {
    fabric.deploy('killer', '() => { throw { kill: true } }')
    for (let n = 0; n < LIMITS.quarantineKills; n++) t.match((await a.client.call('killer')).error, { code: 'FUNCTIONS_ERR_SANDBOX_CRASH' })
    t.match(await failure(a.client.invoke('killer')), { code: 'FUNCTIONS_ERR_FUNCTION_BROKEN', outcome: 'not-started' })
    t.equal(a.counts.get('killer breaker-opened'), 1)
    t.match(a.lines.at(-1), { name: 'killer', level: 'system' })
  })

  t.test('one key, one effect', async (t) => {
    fabric.deploy('counted', 'async ({ payload }) => { globalThis.runs++; await null; if (payload === "throw") throw new Error("thrown once"); return globalThis.runs }')
    const [first, second] = await Promise.all([1, 2].map(() => a.client.invoke('counted', null, { idempotencyKey: 'k' })))
    t.equal(first, 1)
    t.equal(second, 1)
    t.equal(await a.client.invoke('counted', null, { idempotencyKey: 'k' }), 1, 'later, too')
    for (let n = 0; n < 2; n++) t.match(await failure(a.client.invoke('counted', 'throw', { idempotencyKey: 'e' })), { message: 'thrown once' })
    t.equal(shared.runs, 2, 'an error is an answer')
    t.equal(await a.client.invoke('counted', null, { idempotencyKey: 'other' }), 3)
  })

  t.test('nothing ran under a key: it may be used again', async (t) => {
    fabric.deploy('killer2', '() => { throw { kill: true } }')
    for (let n = 0; n < LIMITS.quarantineKills; n++) await a.client.call('killer2')
    for (let n = 0; n < 2; n++) t.match(await failure(a.client.invoke('killer2', null, { idempotencyKey: 'k' })), { code: 'FUNCTIONS_ERR_FUNCTION_BROKEN' })
    t.equal((await fabric.store.range('call-key/killer2/')).entries.length, 0)
  })
})

t.test('two nodes', async (t) => {
  const fabric = await openInvokeFabric(2, { sandbox: () => fakeSandbox(), holder: (name) => (name === 'single' ? { node: 1, epoch: 7 } : undefined) })
  t.teardown(() => fabric.close())
  const [a, b] = fabric.nodes as [Node, Node]

  t.test('a singleton runs at its holder, in its epoch, one at a time; without a holder it does not run', async (t) => {
    fabric.deploy('single', 'async ({ call }) => { const before = globalThis.runs++; await null; return [call.node, call.epoch, globalThis.runs - before] }', { singleton: true })
    const answers = await Promise.all(Array.from({ length: 10 }, () => a.client.invoke('single')))
    t.ok(answers.every((answer) => JSON.stringify(answer) === '["n1",7,1]'))
    fabric.deploy('nobodys', '() => 1', { singleton: true })
    t.match(await failure(a.client.invoke('nobodys', null, { timeoutMs: 200 })), { code: 'FUNCTIONS_ERR_FUNCTION_UNHELD' })
  })

  t.test('busy here: another node does it', async (t) => {
    fabric.deploy('one', '({ call }) => globalThis.held.promise.then(() => call.node)', { limits: { concurrency: 1, queue: 0 } })
    shared.held = Promise.withResolvers()
    const both = [a.client.invoke('one'), a.client.invoke('one')]
    await until('one on each', () => a.runner.calls + b.runner.calls === 2 && a.runner.calls === 1)
    shared.held.resolve(0)
    t.strictSame((await Promise.all(both)).toSorted(), ['n0', 'n1'])
  })

  t.test('a node that dies under a call: it may have run, and is not run again', async (t) => {
    shared.runs = 0
    fabric.deploy('counts', '() => { globalThis.runs++; return new Promise(() => {}) }')
    const lost = a.client.call('counts', null, { target: 'node:n1' })
    await until('it runs', () => shared.runs === 1)
    const control = new AbortController()
    const keyed = b.client.call('counts', null, { target: 'node:n1', idempotencyKey: 'k', signal: control.signal })
    await until('the keyed one runs', () => shared.runs === 2)
    b.kill()
    t.match((await lost).error, { code: 'FUNCTIONS_ERR_NODE_GONE', outcome: 'unknown' })
    t.match((await a.client.call('counts', null, { idempotencyKey: 'k' })).error, { code: 'FUNCTIONS_ERR_NODE_GONE', outcome: 'unknown' }, 'nobody knows whether the first with this key ran')
    t.equal(shared.runs, 2)
    t.match(await failure(a.client.invoke('counts', null, { target: 'node:n1' })), { code: 'FUNCTIONS_ERR_NODE_GONE', outcome: 'not-started' })
    control.abort(new Error('enough'))
    await keyed.catch(() => {})
  })
})
