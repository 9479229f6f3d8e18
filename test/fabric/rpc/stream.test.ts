// Streams: both directions, credit, fairness beside calls, every way to end.

import { test } from 'tap'
import { LIMITS } from '../../../fabric/limits.ts'
import { MESSAGE, decodeMessage, encodeData } from '../../../fabric/rpc/messages.ts'
import type { RpcStream } from '../../../fabric/rpc/contract.ts'
import { createPair, failure, turn } from '../../support/rpc-pair.ts'

const never = (): Promise<never> => new Promise(() => undefined)

test('messages go both ways, in order, then the result', async (t) => {
  const { client, registry } = createPair()
  registry.stream('double', async (factor, _context, stream) => {
    let count = 0
    for await (const item of stream) {
      await stream.write((item as number) * (factor as number))
      count++
    }
    stream.end()
    return count
  })
  const stream = client.open('double', 2)
  for (let i = 0; i < 100; i++) await stream.write(i)
  stream.end()
  const got: unknown[] = []
  for await (const item of stream) got.push(item)
  t.strictSame(got, Array.from({ length: 100 }, (_, i) => 2 * i))
  t.equal(await stream.result, 100)
  t.equal(await stream.read(), undefined)
  t.match(await failure(stream.write(1)), { code: 'FABRIC_ERR_STREAM_ENDED' })
})

test('the first messages leave with the open, in the same turn', async (t) => {
  const sent: number[] = []
  const { client } = createPair({ onSend: (frame) => { sent.push(decodeMessage(frame).type as number); return frame } })
  const stream = client.open('s', 0)
  void stream.write(1).catch(() => undefined)
  void stream.write(2).catch(() => undefined)
  stream.end()
  t.strictSame(sent, [MESSAGE.OPEN, MESSAGE.DATA, MESSAGE.DATA, MESSAGE.END])
})

test('a reader that does not read stops the writer within the window', async (t) => {
  const { client, registry } = createPair()
  const piece = new Uint8Array(100_000)
  let written = 0
  registry.stream('source', async (_body, _context, stream) => {
    for (; written < 500; written++) await stream.write(piece)
    return written
  })
  const stream = client.open('source', 0)
  await turn()
  const windowPieces = Math.ceil(LIMITS.streamCreditBytes / piece.length)
  t.ok(written >= windowPieces - 1 && written <= windowPieces + 1, `${written} pieces under way`)
  let read = 0
  while (await stream.read() !== undefined) read++
  t.equal(read, 500)
  t.equal(await stream.result, 500)
})

test('many tiny messages are bounded too', async (t) => {
  const { client, registry } = createPair()
  let written = 0
  registry.stream('source', async (_body, { signal }, stream) => {
    while (!signal.aborted) { await stream.write(0); written++ }
    return 0
  })
  const stream = client.open('source', 0)
  for (let i = 0; i < 20; i++) await turn()
  t.ok(written < LIMITS.streamCreditBytes / 64, `${written} messages`)
  stream.cancel()
})

test('a sender that ignores credit is cut off', async (t) => {
  const { client, registry, channels } = createPair()
  registry.stream('sink', never)
  const stream = client.open('sink', 0)
  const piece = encodeData(1, new Uint8Array(200_000), 's')
  for (let sent = 0; sent <= LIMITS.streamCreditBytes + 2 * piece.length; sent += piece.length) channels[0].send('rpc', piece)
  t.match(await failure(stream.result), { code: 'FABRIC_ERR_PEER_GONE', message: /without credit/ })
})

test('writes that wait are bounded and fail with the stream', async (t) => {
  const { client, registry } = createPair()
  registry.stream('sink', never)
  const stream = client.open('sink', 0)
  const piece = new Uint8Array(LIMITS.streamCreditBytes)
  await stream.write(piece)
  const waiting = Array.from({ length: LIMITS.pendingWritesMax }, () => failure(stream.write(1)))
  t.match(await failure(stream.write(1)), { code: 'FABRIC_ERR_BUSY' })
  stream.cancel()
  t.match((await Promise.all(waiting))[0], { code: 'FABRIC_ERR_CANCELLED' })
})

test('the handler fails: what came before is read, then the error', async (t) => {
  const { client, registry } = createPair()
  registry.stream('fails', async (_body, _context, stream) => {
    await stream.write('one')
    throw new TypeError('half-way')
  })
  const stream = client.open('fails', 0)
  await failure(stream.result)
  t.equal(await stream.read(), 'one')
  t.match(await failure(stream.read()), { name: 'TypeError', message: 'half-way' })
  t.match(await failure(stream.write(1)), { message: 'half-way' })
})

test('the client cancels: the handler, its reads and its writes hear of it', async (t) => {
  const { client, registry } = createPair()
  let ended: Promise<Error>[] = []
  let signal: AbortSignal | undefined
  registry.stream('s', async (_body, context, stream) => {
    signal = context.signal
    ended = [failure(stream.read()), failure((async () => { for (;;) { await stream.write(1); await turn() } })())]
    return never()
  })
  const stream = client.open('s', 0)
  await turn()
  stream.cancel(Object.assign(new Error('enough'), { code: 'ENOUGH' }))
  t.match(await failure(stream.result), { code: 'ENOUGH' })
  t.match(await failure(stream.read()), { code: 'ENOUGH' })
  await turn()
  t.match(signal?.reason, { code: 'ENOUGH' })
  for (const error of await Promise.all(ended)) t.match(error, { code: 'ENOUGH' })
})

test('the handler cancels: the client hears of it, the handler is told to stop', async (t) => {
  const { client, registry } = createPair()
  let served: RpcStream | undefined
  let signal: AbortSignal | undefined
  registry.stream('s', (_body, context, stream) => { served = stream; signal = context.signal; return never() })
  const stream = client.open('s', 0)
  await turn()
  served?.cancel(Object.assign(new Error('shutting down'), { code: 'DOWN' }))
  t.match(await failure(stream.result), { code: 'DOWN' })
  t.equal(signal?.aborted, true)
})

test('leaving a for-await loop early cancels', async (t) => {
  const { client, registry } = createPair()
  let signal: AbortSignal | undefined
  registry.stream('endless', async (_body, context, stream) => {
    signal = context.signal
    for (;;) await stream.write(1)
  })
  const stream = client.open('endless', 0)
  for await (const item of stream) { t.equal(item, 1); break }
  await turn()
  t.equal(signal?.aborted, true)
  t.match(await failure(stream.result), { code: 'FABRIC_ERR_CANCELLED' })
})

test('a stream ends by its deadline and with its connection', async (t) => {
  const { client, registry, clock, channels } = createPair()
  registry.stream('s', never)
  const late = client.open('s', 0, { timeoutMs: 100 })
  const reading = failure(late.read())
  await clock.settle(200)
  t.match(await reading, { code: 'FABRIC_ERR_DEADLINE' })
  const cut = client.open('s', 0)
  const read = failure(cut.read())
  channels[1].close()
  t.match(await read, { code: 'FABRIC_ERR_PEER_GONE' })
})

test('a refused stream fails at every use', async (t) => {
  const { client, registry } = createPair()
  registry.method('call', () => 0)
  for (const stream of [client.open('s', new Date(0)), client.open('missing', 0), client.open('call', 0), client.open('s', 0, { idempotencyKey: 'k' })]) {
    const error = await failure(stream.result)
    t.match(error.code, /BODY_NOT_PLAIN|UNKNOWN_METHOD|IDEMPOTENT_STREAM/)
    t.match(await failure(stream.read()), { code: error.code })
    t.match(await failure(stream.write(1)), { code: error.code })
  }
})
