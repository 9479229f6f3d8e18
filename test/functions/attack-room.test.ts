// Attacks on room: who fills the store, a queue or the dead letters with large values is refused, typed, and the others go on.

import t from 'tap'
import { LIMITS, seededRandom } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { createLocalStore } from '../../fabric/store/local.ts'
import { encodeArray } from '../../functions/value/mod.ts'
import { fakeSandbox } from '../support/fake-sandbox.ts'
import { authority, openInvokeFabric } from '../support/invoke-nodes.ts'
import { until } from '../support/until.ts'

const MiB = 1024 * 1024
const BUSY = { code: 'FUNCTIONS_ERR_FUNCTION_BUSY' }

t.test('a store full of large values still takes what holders, claims and workers write', async (t) => {
  const store = createLocalStore({ kind: 'memory', description: 'memory', clock: new SimClock(), random: seededRandom(1) })
  t.teardown(() => store.close())
  const large = new Uint8Array(MiB)
  for (let at = 0; ; at++) {
    const full = await store.transact({ then: [{ do: 'put', key: `bomb/${at}`, value: large }] }).then(() => false, (error: unknown) => { t.match(error, { code: 'FABRIC_ERR_STORE_FULL', outcome: 'not-started' }); return true })
    if (full || at > 300) break
  }
  const lease = await store.grant(5_000)
  await store.transact({ then: [{ do: 'put', key: 'holder/f', value: new Uint8Array(100), lease: lease.id }] })
  await store.transact({ then: [{ do: 'put', key: 'bomb/0', value: large }, { do: 'put', key: 'call-claim/f/1', value: new Uint8Array(40), lease: lease.id }] }, {})
  await store.transact({ then: [{ do: 'put', key: 'dead/f/1', value: large }, { do: 'delete', key: 'bomb/0' }] })
  await t.rejects(store.transact({ then: [{ do: 'put', key: 'state/f/x', value: large }] }), { code: 'FABRIC_ERR_STORE_FULL' })
})

t.test('asynchronous calls with large payloads: one function is busy, also when they come at once; others are not', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox(), start: false, subscribers: () => ['bombed'] })
  t.teardown(() => fabric.close())
  for (const name of ['bombed', 'other']) fabric.deploy(name, '() => 1')
  const { asyncCalls, counts } = fabric.nodes[0]!
  asyncCalls.start()
  const payload = encodeArray(['x'.repeat(900_000)])
  const many = await Promise.allSettled(Array.from({ length: 64 }, () => asyncCalls.enqueue({ reference: 'bombed', payload, cause: { type: 'call' }, timeoutMs: 1 }, authority())))
  const taken = many.filter(({ status }) => status === 'fulfilled').length
  t.ok(taken >= 10 && taken * payload.length <= LIMITS.asyncWaitingBytesMax, `${taken} taken`)
  for (const one of many) if (one.status === 'rejected') t.match(one.reason, BUSY)
  t.equal(counts.get('bombed busy'), 64 - taken)
  await asyncCalls.enqueue({ reference: 'other', payload, cause: { type: 'call' } }, authority())
})

t.test('a record that nobody can read hides no other, holds nobody up, and can be thrown away', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  const seen = globalThis as unknown as { attackMade?: number }
  seen.attackMade = 0
  fabric.deploy('keep', '() => { globalThis.attackMade++ }')
  const { client } = fabric.nodes[0]!
  const poison = [new Uint8Array(0), new Uint8Array([0xff, 0xff]), encodeArray([1]), encodeArray([1, ['keep'], 2, 3, 4, 5, 6, 7, 8]), new TextEncoder().encode('{"a":1}')]
  for (const kind of ['call', 'dead']) for (const [n, value] of poison.entries()) await fabric.store.transact({ then: [{ do: 'put', key: `${kind}/keep/${String(n).repeat(16)}`, value }] })
  await fabric.store.transact({ then: [{ do: 'put', key: 'call/keep/../../x', value: new Uint8Array(1) }, { do: 'put', key: 'call/__proto__/0000000000000000', value: new Uint8Array(1) }] })
  await client.enqueue('keep', 1)
  await until('the honest one was made', () => seen.attackMade === 1)
  t.match(await client.dead('keep'), poison.map(() => ({ state: 'dead', error: { code: /BAD_MESSAGE|VALUE_MALFORMED/ } })))
  t.equal((await client.waiting('keep')).length, poison.length)
  t.equal(await client.redrive('keep'), 0, 'and is not put back')
  t.equal(await client.discard('keep'), 2 * poison.length + 1)
  t.same(await client.dead(), [])
})

t.test('dead letters are bounded by their bytes too; the oldest go, and are counted', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  fabric.deploy('fails', '() => { throw new Error("no") }', { retry: { attempts: 1, backoffMs: 1 } })
  const { asyncCalls, counts } = fabric.nodes[0]!
  const payload = encodeArray(['x'.repeat(900_000)])
  let last = ''
  for (let n = 0; n < 24; n++) {
    last = await asyncCalls.enqueue({ reference: 'fails', payload, cause: { type: 'call' } }, authority())
    await until('buried', async () => (await fabric.store.range('call/fails/')).entries.length === 0)
  }
  const kept: string[] = []
  for (let after: string | undefined; ;) {
    const page = await fabric.store.range('dead/fails/', after === undefined ? {} : { after })
    kept.push(...page.entries.map(({ key }) => key))
    after = kept.at(-1)
    if (!page.more) break
  }
  t.ok(kept.length >= 10 && kept.length * payload.length <= LIMITS.deadLettersBytesMax, `${kept.length} kept`)
  t.ok(kept.includes(`dead/fails/${last}`), 'the newest is there')
  await until('counted', () => (counts.get('fails dead-dropped') ?? 0) === 24 - kept.length)
})
