// Calls between two peers: answers, errors, deadlines, cancellation, limits, loss of the connection.

import { test } from 'tap'
import { LIMITS } from '../../../fabric/limits.ts'
import { MESSAGE, decodeMessage } from '../../../fabric/rpc/messages.ts'
import { encodeRecord } from '../../../fabric/rpc/codec.ts'
import type { CallContext } from '../../../fabric/rpc/contract.ts'
import { createPair, failure, turn } from '../../support/rpc-pair.ts'

const never = (): Promise<never> => new Promise(() => undefined)

test('a call is answered with what the handler returned, at once or later', async (t) => {
  const { client, registry } = createPair()
  registry.method('now', (body) => body)
  registry.method('later', async (body) => { await turn(); return [body] })
  t.match(await client.call('now', { a: [1, 2n, 'x', null] }), { a: [1, 2n, 'x', null] })
  t.strictSame(await client.call('later', 1), [1])
  t.equal(await client.call('now', undefined), undefined)
  const big = new Uint8Array(3 * LIMITS.fragmentBytesMax + 5).fill(9)
  t.ok(Buffer.from(await client.call('now', big) as Uint8Array).equals(big), 'long messages are cut and put together')
})

test('both ends may call; numbers do not collide', async (t) => {
  const { client, server, registry, clientRegistry } = createPair()
  registry.method('who', () => 'server')
  clientRegistry.method('who', () => 'client')
  t.strictSame(await Promise.all([client.call('who', 0), server.call('who', 0)]), ['server', 'client'])
})

test('errors arrive as they were: code, name, message, stack, cause', async (t) => {
  const { client, registry } = createPair()
  registry.method('type', () => { throw new TypeError('no good', { cause: new RangeError('inner') }) })
  registry.method('text', () => { throw 'just text' })
  registry.method('nothing', async () => { throw undefined })
  registry.method('coded', async () => { throw Object.assign(new Error('full'), { code: 'ENOSPC' }) })
  registry.method('odd', () => { throw Object.assign(new Error('odd'), { name: Symbol('x'), stack: 5 }) })
  registry.method('unsendable', () => new Map())
  const type = await failure(client.call('type', 0))
  t.match(type, { code: 'FABRIC_ERR_HANDLER_THREW', name: 'TypeError', message: 'no good', cause: { name: 'RangeError', message: 'inner' } })
  t.match(type.stack, /peer\.test\.ts/, 'the remote stack')
  t.match(await failure(client.call('text', 0)), { code: 'FABRIC_ERR_HANDLER_THREW', message: 'just text' })
  t.match(await failure(client.call('nothing', 0)), { code: 'FABRIC_ERR_HANDLER_THREW', message: 'undefined' })
  t.match(await failure(client.call('coded', 0)), { code: 'ENOSPC' })
  t.match(await failure(client.call('odd', 0)), { message: 'odd' })
  t.match(await failure(client.call('unsendable', 0)), { code: 'FABRIC_ERR_BODY_NOT_PLAIN', outcome: 'unknown' })
  t.match(await failure(client.call('missing', 0)), { code: 'FABRIC_ERR_UNKNOWN_METHOD', outcome: 'not-started' })
  t.match(await failure(client.call('type', new Date(0))), { code: 'FABRIC_ERR_BODY_NOT_PLAIN', outcome: 'not-started' })
})

test('a silent peer: the call ends by its own clock, and is cancelled there', async (t) => {
  const { client, registry, clock } = createPair()
  let context: CallContext | undefined
  registry.method('hang', (_body, given) => { context = given; return never() })
  const call = failure(client.call('hang', 0, { timeoutMs: 500 }))
  await turn()
  t.equal(context?.remainingMs(), 500)
  clock.advance(200)
  t.equal(context?.remainingMs(), 300)
  t.equal(context?.signal.aborted, false)
  await clock.settle(300 + 2 * LIMITS.deadlineStepMs)
  t.match(await call, { code: 'FABRIC_ERR_DEADLINE', outcome: 'unknown' })
  t.equal(context?.signal.aborted, true)
  t.equal((context?.signal.reason as { code?: string }).code, 'FABRIC_ERR_DEADLINE')
})

test('a call that was never sent says so', async (t) => {
  const { client, channels, clock } = createPair({ onSend: () => undefined })
  t.match(await failure(client.call('m', 0, { timeoutMs: 0 })), { code: 'FABRIC_ERR_DEADLINE', outcome: 'not-started' })
  t.match(await failure(client.call('m', 0, { signal: AbortSignal.abort(new Error('no')) })), { code: 'FABRIC_ERR_CANCELLED', outcome: 'not-started' })
  const lost = failure(client.call('m', 0))
  await clock.settle(LIMITS.callTimeoutMs + 100)
  t.match(await lost, { code: 'FABRIC_ERR_DEADLINE', outcome: 'unknown' }, 'lost on the way: the default deadline ends it')
  channels[0].close()
  t.equal(client.closed, true)
  t.match(await failure(client.call('m', 0)), { code: 'FABRIC_ERR_PEER_GONE', outcome: 'not-started' })
})

test('deadlines of many calls end in order, with one timer', async (t) => {
  const { client, registry, clock } = createPair()
  registry.method('hang', never)
  const ended: number[] = []
  const calls = [900, 100, 500, 101, 300].map((timeoutMs) => client.call('hang', 0, { timeoutMs }).catch(() => { ended.push(timeoutMs) }))
  t.ok(clock.pending <= 1)
  await clock.settle(1_000)
  await Promise.all(calls)
  t.strictSame(ended, [100, 101, 300, 500, 900])
})

test('cancellation reaches the handler, and the caller hears of it at once', async (t) => {
  const { client, registry } = createPair()
  let reason: unknown
  registry.method('hang', (_body, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => { reason = signal.reason; reject(signal.reason) })))
  const controller = new AbortController()
  const call = failure(client.call('hang', 0, { signal: controller.signal }))
  await turn()
  controller.abort(new Error('user pressed Ctrl-C'))
  t.match(await call, { code: 'FABRIC_ERR_CANCELLED', outcome: 'unknown', message: /Ctrl-C/ })
  await turn()
  t.match(reason, { code: 'FABRIC_ERR_CANCELLED', message: /Ctrl-C/ })
})

test('a nested call inherits principal, trace, hop and what time is left; it dies with its parent', async (t) => {
  const far = createPair()
  const near = createPair()
  let inner: CallContext | undefined
  let innerMs = 0
  far.registry.method('inner', (_body, context) => { inner = context; innerMs = context.remainingMs(); return never() })
  near.registry.method('outer', (_body, parent) => {
    near.clock.advance(400)
    return far.client.call('inner', 0, { parent, timeoutMs: 60_000 })
  })
  const controller = new AbortController()
  const outer = failure(near.client.call('outer', 0, { timeoutMs: 1_000, principal: 'local:0/tenant', signal: controller.signal }))
  await turn()
  t.match(inner, { principal: 'local:0/tenant', hop: 1 })
  t.match(inner?.trace, /^[0-9a-f]{16}$/)
  t.equal(innerMs, 600)
  controller.abort()
  await outer
  await turn()
  t.equal(inner?.signal.aborted, true)
})

test('hops are bounded on both sides', async (t) => {
  const { client, registry } = createPair()
  let calls = 0
  registry.method('loop', (_body, parent) => { calls++; return client.call('loop', 0, { parent }) })
  t.match(await failure(client.call('loop', 0)), { code: 'FABRIC_ERR_TOO_MANY_HOPS' })
  t.equal(calls, LIMITS.hopsMax + 1)
})

test('who calls: members are believed, a local shell is its socket or a tenant below it', async (t) => {
  const principal = (_body: unknown, context: CallContext): string => context.principal
  const link = createPair()
  link.registry.method('who', principal)
  t.equal(await link.client.call('who', 0, { principal: 'local:5' }), 'local:5')
  t.equal(await link.client.call('who', 0), 'node:aaaaaaaa')
  const socket = createPair({ caller: 'socket', principal: 'local:7' })
  socket.registry.method('who', principal)
  t.equal(await socket.client.call('who', 0), 'local:7')
  t.equal(await socket.client.call('who', 0, { principal: 'local:7/red' }), 'local:7/red')
  t.equal(await socket.client.call('who', 0, { principal: 'local:77' }), 'local:7')
  t.equal(await socket.client.call('who', 0, { principal: 'root' }), 'local:7')
})

test('calls in flight are bounded on both sides; cancelling does not make room for more handlers', async (t) => {
  const { client, registry, channels } = createPair()
  let running = 0
  registry.method('hang', () => { running++; return never() })
  const controller = new AbortController()
  const first = Array.from({ length: LIMITS.callsInFlightMax }, () => client.call('hang', 0, { signal: controller.signal }).catch(() => undefined))
  t.match(await failure(client.call('hang', 0)), { code: 'FABRIC_ERR_BUSY', outcome: 'not-started', retryable: true }, 'refused here')
  await turn()
  t.equal(running, LIMITS.callsInFlightMax)
  controller.abort()
  await Promise.all(first)
  t.match(await failure(client.call('hang', 0)), { code: 'FABRIC_ERR_BUSY' }, 'refused there')
  t.equal(running, LIMITS.callsInFlightMax)
  channels[0].close()
})

test('the connection ends: every call ends, handlers are told', async (t) => {
  const { client, server, registry, channels } = createPair()
  let signal: AbortSignal | undefined
  let served = 0
  registry.method('hang', (_body, context) => { served++; signal = context.signal; return never() })
  const closed: (Error | undefined)[] = []
  client.onClose((reason) => closed.push(reason))
  const calls = Array.from({ length: 5 }, () => failure(client.call('hang', 0)))
  await turn()
  channels[1].close()
  for (const error of await Promise.all(calls)) t.match(error, { code: 'FABRIC_ERR_PEER_GONE', outcome: 'unknown', retryable: true })
  t.equal(served, 5)
  t.equal(server.closed, true)
  t.match(signal?.reason, { code: 'FABRIC_ERR_PEER_GONE' })
  t.equal(closed.length, 1)
  client.onClose((reason) => closed.push(reason))
  t.equal(closed.length, 2, 'a late listener hears of it too')
})

test('a goodbye ends the other side without a fault', async (t) => {
  const { client, server } = createPair()
  const reasons: unknown[] = []
  server.onClose((reason) => reasons.push(reason))
  client.close()
  client.close()
  await turn()
  t.strictSame(reasons, [undefined])
  t.equal(server.closed, true)
})

test('garbage ends the connection with the reason, on both sides', async (t) => {
  const frames: Record<string, Uint8Array> = {
    'not CBOR': Uint8Array.of(0xff, 0xff),
    'no message': encodeRecord({ a: 1 }),
    'bad field': encodeRecord([MESSAGE.OPEN, 'x']),
    'answer from the asker': encodeRecord([MESSAGE.RESULT, 3, 1]),
    'cancellation of ours': encodeRecord([MESSAGE.CANCEL, -3, { code: 'X', message: 'x' }]),
    'fragment of nothing': Uint8Array.of(1, 0, 0, 0, 0, 1),
    'call number in use': encodeRecord([MESSAGE.OPEN, 1, 'hang', 1000, null, 't', 0, null, 0, null]),
  }
  for (const [name, frame] of Object.entries(frames)) {
    const { client, server, registry, channels } = createPair()
    registry.method('hang', never)
    const pending = failure(client.call('hang', 0))
    const reasons: (Error & { code?: string } | undefined)[] = []
    server.onClose((reason) => reasons.push(reason))
    await turn()
    channels[0].send('rpc', frame)
    t.match(await pending, { code: 'FABRIC_ERR_PEER_GONE' }, name)
    t.match(reasons[0]?.code, /FABRIC_ERR_(PROTOCOL|RECORD_REFUSED)/, name)
  }
})

test('events reach their handler; unknown ones and throwing handlers hurt nobody', async (t) => {
  const { client, registry } = createPair()
  const seen: unknown[] = []
  registry.event('e', (body, caller) => seen.push([body, caller.via]))
  registry.event('bad', () => { throw new Error('handler') })
  registry.method('ping', () => 'pong')
  client.emit('e', 1)
  client.emit('bad', 1)
  client.emit('unknown', 1)
  t.equal(await client.call('ping', 0), 'pong')
  t.strictSame(seen, [[1, 'link']])
  t.throws(() => client.emit('e', new Uint8Array(LIMITS.fragmentBytesMax)), { code: 'FABRIC_ERR_MESSAGE_TOO_LARGE' })
})

test('late and foreign answers are dropped', async (t) => {
  const { client, registry, channels, clock } = createPair()
  let answer: (body: unknown) => void = () => undefined
  registry.method('slow', () => new Promise((resolve) => { answer = resolve }))
  registry.method('ping', () => 'pong')
  const slow = failure(client.call('slow', 0, { timeoutMs: 50 }))
  await clock.settle(100)
  t.match(await slow, { code: 'FABRIC_ERR_DEADLINE' })
  answer('too late')
  channels[1].send('rpc', encodeRecord([MESSAGE.RESULT, -999, 1]))
  channels[1].send('rpc', encodeRecord([MESSAGE.FAIL, -998, { code: 'X', message: 'x' }]))
  t.equal(await client.call('ping', 0), 'pong')
})

test('a registered name is registered once', (t) => {
  const { registry } = createPair()
  registry.method('m', () => 0)
  t.throws(() => registry.stream('m', async () => 0), /broken invariant/)
  t.end()
})

test('the wire carries remaining time, not a clock', async (t) => {
  const opens: number[] = []
  const { client, registry } = createPair({ onSend: (frame) => {
    const message = decodeMessage(frame)
    if (message.type === MESSAGE.OPEN) opens.push(message.timeoutMs)
    return frame
  } })
  registry.method('m', () => 0)
  await client.call('m', 0, { timeoutMs: 1234.5 })
  await client.call('m', 0, { timeoutMs: Infinity })
  t.strictSame(opens, [1235, LIMITS.callTimeoutMsMax])
})
