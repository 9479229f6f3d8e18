// Idempotency keys: one effect and one answer, while running, after, and across connections.

import { test } from 'tap'
import { LIMITS } from '../../../fabric/limits.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import { IdempotencyWindow } from '../../../fabric/rpc/idempotency.ts'
import { createPair, failure, turn } from '../../support/rpc-pair.ts'

test('same key, one effect, same answer: at once, later, and after a lost connection', async (t) => {
  const registry = createRegistry()
  let effects = 0
  let finish: (body: unknown) => void = () => undefined
  let aborted = false
  registry.method('create', (_body, { signal }) => {
    effects++
    signal.addEventListener('abort', () => { aborted = true })
    return new Promise((resolve) => { finish = resolve })
  })
  const first = createPair({ registry })
  const options = { idempotencyKey: 'k', principal: 'local:0' }
  const lost = failure(first.client.call('create', 0, options))
  await turn()
  first.channels[1].close()
  t.match(await lost, { code: 'FABRIC_ERR_PEER_GONE', outcome: 'unknown' })
  t.equal(aborted, false, 'the run outlasts its connection')
  const second = createPair({ registry })
  const joined = [second.client.call('create', 0, options), second.client.call('create', 0, options)]
  await turn()
  finish({ id: 7 })
  for (const answer of await Promise.all(joined)) t.match(answer, { id: 7 })
  t.match(await second.client.call('create', 0, options), { id: 7 }, 'repeated later')
  t.equal(effects, 1)
})

test('another key, method or principal is another call; a failure is an answer too', async (t) => {
  const { client, registry } = createPair()
  let effects = 0
  registry.method('a', () => ++effects)
  registry.method('b', () => ++effects)
  registry.method('fails', () => { effects++; throw new RangeError('no') })
  t.equal(await client.call('a', 0, { idempotencyKey: '1' }), 1)
  t.equal(await client.call('a', 0, { idempotencyKey: '2' }), 2)
  t.equal(await client.call('b', 0, { idempotencyKey: '1' }), 3)
  t.equal(await client.call('a', 0, { idempotencyKey: '1', principal: 'other' }), 4)
  t.equal(await client.call('a', 0, { idempotencyKey: '1' }), 1)
  for (let i = 0; i < 2; i++) t.match(await failure(client.call('fails', 0, { idempotencyKey: '1' })), { name: 'RangeError' })
  t.equal(effects, 5)
})

test('the window ends', async (t) => {
  const { client, registry, clock } = createPair()
  let effects = 0
  registry.method('a', () => ++effects)
  t.equal(await client.call('a', 0, { idempotencyKey: 'k' }), 1)
  clock.advance(LIMITS.idempotencyWindowMs + 1)
  t.equal(await client.call('a', 0, { idempotencyKey: 'k' }), 2)
})

test('a run that all its callers cancelled is stopped and forgotten', async (t) => {
  const { client, registry } = createPair()
  let runs = 0
  registry.method('hang', (_body, { signal }) => { runs++; return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))) })
  const one = new AbortController()
  const two = new AbortController()
  const calls = [one, two].map(({ signal }) => failure(client.call('hang', 0, { idempotencyKey: 'k', signal })))
  await turn()
  t.equal(runs, 1)
  one.abort()
  await turn()
  const third = failure(client.call('hang', 0, { idempotencyKey: 'k', timeoutMs: 1_000 }))
  await turn()
  t.equal(runs, 1, 'one caller still waits')
  two.abort()
  await Promise.all(calls)
  t.equal(runs, 1)
  client.close()
  await third
})

test('a run that outlasts its connection still ends by its deadline', async (t) => {
  const { client, registry, clock, channels } = createPair()
  let reason: unknown
  registry.method('hang', (_body, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => { reason = signal.reason; reject(signal.reason) })))
  const call = failure(client.call('hang', 0, { idempotencyKey: 'k', timeoutMs: 1_000 }))
  await turn()
  channels[1].close()
  await call
  clock.advance(1_100)
  t.match(reason, { code: 'FABRIC_ERR_DEADLINE' })
})

test('the window is bounded in number and bytes; running entries are never evicted', (t) => {
  const window = new IdempotencyWindow()
  const attempt = { outcome: new Promise<never>(() => undefined), waiting: 1, abort: () => undefined }
  for (let i = 0; i < LIMITS.idempotencyEntriesMax; i++) window.begin(`k${i}`, attempt, 0)
  t.throws(() => window.begin('one more', attempt, 0), { code: 'FABRIC_ERR_BUSY' })
  window.ended('k5', { body: new Uint8Array(10) }, 0)
  window.begin('now', attempt, 0)
  t.equal(window.find('k5', 0), undefined)
  t.ok(window.find('k4', 0))
  const bytes = new IdempotencyWindow()
  for (let i = 0; i < 10; i++) {
    bytes.begin(`k${i}`, attempt, 0)
    bytes.ended(`k${i}`, { body: new Uint8Array(LIMITS.idempotencyBytesMax / 4) }, 0)
  }
  t.equal(bytes.find('k0', 0), undefined)
  t.ok(bytes.find('k9', 0))
  t.ok(bytes.size <= 4)
  t.end()
})
