// Fuzz targets of the wire: each takes a seed, makes its inputs from it, and throws when something
// other than a coded refusal comes of them. A failure is replayed by its target and seed:
//
//   node test/fuzz/run.ts --target peer --seed 17

import { deepStrictEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { seededRandom } from '../../fabric/clock.ts'
import type { Random } from '../../fabric/clock.ts'
import { decodeRecord, encodeRecord } from '../../fabric/rpc/codec.ts'
import type { FrameChannel } from '../../fabric/rpc/contract.ts'
import { MESSAGE, decodeFragment, decodeMessage, encodeFragment } from '../../fabric/rpc/messages.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { FrameParser } from '../../fabric/transport/frame-parser.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { FRAMES } from '../golden/wire/frames.ts'

export type FuzzTarget = (seed: number) => void | Promise<void>

const goldenBytes = Object.entries(FRAMES).map(([name, { since }]) =>
  Buffer.from(readFileSync(new URL(`../golden/wire/${since}/${name}.hex`, import.meta.url), 'utf8').trim(), 'hex'))

const pick = <T>(random: Random, items: readonly T[]): T => items[random.int(items.length)] as T

/** Runs `decode`; a coded refusal is undefined, any other failure is the fuzzer's find. */
function refusable<T>(decode: () => T): { value: T } | undefined {
  try {
    return { value: decode() }
  } catch (error) {
    ok(/^FABRIC_ERR_(RECORD_REFUSED|PROTOCOL|FRAME_TOO_LARGE)$/.test((error as { code?: string }).code ?? ''), String((error as Error).stack))
    return undefined
  }
}

/** Flips bits, cuts, doubles and inserts bytes. */
function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let result = Uint8Array.from(bytes)
  for (let edits = 1 + random.int(4); edits > 0; edits--) {
    const at = random.int(Math.max(1, result.length))
    switch (random.int(5)) {
      case 0: result[at] = (result[at] ?? 0) ^ (1 << random.int(8)); break
      case 1: result[at] = random.int(256); break
      case 2: result = result.slice(0, at); break
      case 3: result = Uint8Array.from([...result.slice(0, at), ...random.bytes(1 + random.int(6)), ...result.slice(at)]); break
      default: result = Uint8Array.from([...result.slice(0, at), ...result.slice(random.int(at + 1))])
    }
  }
  return result
}

/** CBOR heads strung together at random: deeper into the decoder than random bytes get. */
function randomCbor(random: Random): Uint8Array {
  const bytes: number[] = []
  for (let heads = 1 + random.int(30); heads > 0; heads--) {
    const major = random.int(8)
    const info = pick(random, [0, 1, 2, 3, 5, 8, 20, 22, 23, 24, 25, 26, 27, 31])
    bytes.push((major << 5) | info)
    const extra = info >= 24 && info <= 27 ? 1 << (info - 24) : 0
    for (let i = 0; i < extra; i++) bytes.push(i < extra - 1 ? 0 : random.int(40))
    if (major === 2 || major === 3) for (let i = 0; i < Math.min(info, 8); i++) bytes.push(random.int(major === 2 ? 256 : 128))
  }
  return Uint8Array.from(bytes)
}

/** What decodes must encode again, to something that decodes to the same. */
const codec: FuzzTarget = (seed) => {
  const random = seededRandom(seed)
  for (let i = 0; i < 200; i++) {
    const input = random.int(2) === 0 ? randomCbor(random) : mutate(random, pick(random, goldenBytes))
    const decoded = refusable(() => decodeRecord(input))
    if (decoded === undefined) continue
    const again = decodeRecord(encodeRecord(decoded.value))
    deepStrictEqual(normal(again), normal(decoded.value))
  }
}
/** -0 becomes 0 on the way: the one number that the encoder does not keep. */
const normal = (value: unknown): unknown => {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(normal)
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [`.${key}`, normal(item)]))
}

const messages: FuzzTarget = (seed) => {
  const random = seededRandom(seed)
  for (let i = 0; i < 300; i++) {
    const input = mutate(random, pick(random, goldenBytes))
    refusable(() => decodeMessage(input))
    refusable(() => decodeFragment(input))
  }
}

/** Random cuts of valid frames with rubbish at the end: the valid ones come out whole, rubbish never throws. */
const frames: FuzzTarget = (seed) => {
  const random = seededRandom(seed)
  const sent = Array.from({ length: 1 + random.int(6) }, () => random.bytes(1 + random.int(2_000)))
  const bytes = Buffer.concat([...sent.flatMap((frame) => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(frame.length)
    return [head, frame]
  }), random.bytes(random.int(40))])
  const got: Uint8Array[] = []
  const parser = new FrameParser((frame) => got.push(frame))
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + 1 + random.int(700))
    const fault = parser.take(bytes.subarray(at, to))
    at = to
    if (fault === undefined) continue
    ok((fault as { code?: string }).code === 'FABRIC_ERR_FRAME_TOO_LARGE')
    break
  }
  deepStrictEqual(got.slice(0, sent.length).map((frame) => Buffer.from(frame)), sent.map((frame) => Buffer.from(frame)))
}

/** A frame that means something to a live connection: right numbers most of the time, wrong fields some of it. */
function randomFrame(random: Random, opened: { calls: number }): Uint8Array {
  const call = (random.int(2) === 0 ? 1 : -1) * (1 + random.int(opened.calls + 2))
  // Now and then a number that may be in use, which ends the connection.
  const fresh = random.int(50) === 0 ? Math.abs(call) : ++opened.calls
  const body = pick(random, [null, 1, 'x', [1, 2], { a: 1 }, new Uint8Array(random.int(500))])
  const error = { code: 'X_ERR', message: 'fuzz' }
  const message = pick<unknown[]>(random, [
    [MESSAGE.OPEN, fresh, pick(random, ['echo', 'hang', 'throw', 'stream', 'missing']), pick(random, [0, 5, 50, 5_000]), null, 't', random.int(12), pick(random, [null, null, 'k']), random.int(2), body],
    [MESSAGE.RESULT, -Math.abs(call), body], [MESSAGE.FAIL, -Math.abs(call), error], [MESSAGE.DATA, call, body], [MESSAGE.END, call],
    [MESSAGE.CREDIT, call, 1 + random.int(1e7)], [MESSAGE.CANCEL, Math.abs(call), error], [MESSAGE.EVENT, 'e', body], [77, call],
  ])
  const frame = encodeRecord(message)
  switch (random.int(150)) {
    case 0: return mutate(random, frame)
    case 1: return random.bytes(1 + random.int(50))
    case 2: return encodeRecord([MESSAGE.GOODBYE, null])
    case 3: return encodeFragment(call, frame, 0)
    default: return frame
  }
}

/**
 * A live peer is fed frames that mean something. It must not throw, must settle every call that it
 * made, and must leave no timer behind.
 */
const peer: FuzzTarget = async (seed) => {
  const random = seededRandom(seed)
  const clock = new SimClock()
  const [ours, theirs] = createChannelPair()
  theirs.onFrame(() => undefined)
  const registry = createRegistry({ onFault: () => undefined })
  registry.method('echo', (body) => body)
  registry.method('hang', (_body, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })))
  registry.method('throw', () => { throw pick(random, [new Error('x'), undefined, 'text', { code: 5 }]) })
  registry.stream('stream', async (_body, _context, stream) => {
    for await (const message of stream) await stream.write(message)
    return null
  })
  registry.event('e', () => { throw new Error('event') })
  const tested = createRpcPeer({ channel: throttled(ours, random), registry, clock, caller: { via: 'link', node: 'c'.repeat(64), name: 'fuzz' } })
  const settled: Promise<unknown>[] = []
  const opened = { calls: 0 }
  let made = 0
  for (let steps = 20 + random.int(80); steps > 0; steps--) {
    if (random.int(6) === 0 && !tested.closed) {
      made++
      if (random.int(2) === 0) settled.push(tested.call('m', random.bytes(random.int(600_000)), { timeoutMs: 1 + random.int(3_000) }).catch(() => undefined))
      else {
        const stream = tested.open('s', null, { timeoutMs: 1 + random.int(3_000) })
        settled.push(stream.result.catch(() => undefined))
        settled.push(stream.write(random.bytes(random.int(600_000))).catch(() => undefined))
        settled.push(stream.read().catch(() => undefined))
        if (random.int(3) === 0) stream.cancel()
      }
    }
    theirs.send(pick(random, ['rpc', 'bulk']), randomFrame(random, opened))
    if (random.int(4) === 0) await clock.settle(random.int(400))
  }
  await clock.settle(6_000)
  await Promise.all(settled)
  tested.close()
  await clock.settle(30_100)
  ok(clock.pending === 0, `${clock.pending} timers are left after ${made} calls`)
}

/** Says "full" at random and drains later. */
function throttled(channel: FrameChannel, random: Random): FrameChannel {
  let drained: () => void = () => undefined
  return {
    send(lane, frame) {
      channel.send(lane, frame)
      if (random.int(3) > 0) return true
      setImmediate(() => drained())
      return false
    },
    onFrame: (receive) => channel.onFrame(receive),
    onDrain: (callback) => { drained = callback },
    onClose: (closed) => channel.onClose(closed),
    close: () => channel.close(),
  }
}

export const WIRE_TARGETS: Readonly<Record<string, FuzzTarget>> = { codec, messages, frames, peer }
