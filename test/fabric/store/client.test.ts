// The embedded store over RPC: the conformance suite with connections that break, and who may ask.

import t from 'tap'
import type { Test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createStoreClient } from '../../../fabric/store/client.ts'
import { createMemoryGlobalStore } from '../../../fabric/store/memory.ts'
import { storeConformance } from '../../conformance/global-store.ts'
import { failure } from '../../support/rpc-pair.ts'
import { linkTo } from '../../support/store-link.ts'

function over(t: Test) {
  const clock = new SimClock()
  const engine = createMemoryGlobalStore({ clock })
  const links = [linkTo(engine, systemClock), linkTo(engine, systemClock)] as const
  const [store, again] = links.map((link, at) => createStoreClient({ description: 'embedded at alpha', era: 0, clock: systemClock, random: seededRandom(at), peer: async () => link.peer() }))
  t.teardown(async () => {
    await Promise.all([store?.close(), again?.close(), engine.close()])
    for (const link of links) link.cut()
  })
  if (store === undefined || again === undefined) throw new Error('no client')
  return { clock, engine, links, store, again }
}

t.test('conformance', (t) => storeConformance(t, async (t) => {
  const { clock, links, store, again } = over(t)
  return { store, again, pass: (ms) => clock.settle(ms), disturb: async () => links[1].cut() }
}))

t.test('reads wait for a connection; a write that may have arrived is not sent again', async (t) => {
  const { engine, links: [link], store } = over(t)
  link.reachable = false
  const read = store.get('a')
  const write = store.transact({ then: [{ do: 'put', key: 'a', value: new Uint8Array(1) }] })
  link.reachable = true
  await read
  t.equal((await write).succeeded, true, 'it had not been sent')
  link.reachable = false
  link.cut()
  t.match(await failure(store.get('a', { timeoutMs: 60 })), { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'not-started' })
  link.reachable = true
  await store.revision()
  const unanswered = store.transact({ then: [{ do: 'put', key: 'b', value: new Uint8Array(1) }] })
  await new Promise((done) => setImmediate(done))
  link.cut()
  const outcome = await unanswered.then(() => 'done', (error: { code?: string; outcome?: string }) => `${error.code} ${error.outcome}`)
  const there = await engine.get('b')
  t.ok(outcome === 'done' ? there !== undefined : outcome === 'FABRIC_ERR_STORE_UNREACHABLE unknown', outcome)
  t.ok(there === undefined || there.version === 1, 'once at most')
})

t.test('a call that is given up ends at once', async (t) => {
  const { links: [link], store } = over(t)
  link.reachable = false
  const stop = new AbortController()
  const read = failure(store.get('a', { signal: stop.signal }))
  stop.abort(new Error('enough'))
  t.match(await read, { message: 'enough' })
})

t.test('a shell may not', async (t) => {
  const clock = new SimClock()
  const engine = createMemoryGlobalStore({ clock })
  const link = linkTo(engine, systemClock, 'socket')
  t.teardown(() => link.cut())
  for (const method of ['store.get', 'store.transact', 'store.revision']) t.match(await failure(link.peer().call(method, [0, 'a'])), { code: 'FABRIC_ERR_STORE_MEMBERS_ONLY' }, method)
  const stream = link.peer().open('store.watch', [0, '', null])
  t.match(await failure(stream.result), { code: 'FABRIC_ERR_STORE_MEMBERS_ONLY' })
})

t.test('messages of strangers are refused, and do nothing', async (t) => {
  const clock = new SimClock()
  const engine = createMemoryGlobalStore({ clock })
  const link = linkTo(engine, systemClock)
  t.teardown(() => link.cut())
  const bodies: readonly (readonly unknown[])[] = [[], [1, 2, 3], [[], [['put', 'a', 'no bytes', null]], []], [[], [['frob', 'a']], []], [[['a', 'value', '<', new Uint8Array(1)]], [], []], [[['a', 'version', '=', 0.5]], [], []], [[], Array.from({ length: 1_000 }, () => ['get', 'a']), []]]
  for (const body of bodies) t.match(await failure(link.peer().call('store.transact', [0, ...body])), { code: /^FABRIC_ERR_(RECORD_REFUSED|STORE_INVALID)$/ })
  for (const body of [null, 1, 'x', { when: [] }]) t.match(await failure(link.peer().call('store.transact', body)), { code: 'FABRIC_ERR_RECORD_REFUSED' })
  t.match(await failure(link.peer().call('store.revision', [7])), { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'not-started' }, 'an era that it does not have')
  t.equal(await engine.revision(), 1)
})
