// The pure parts of calls by name: bytes put together and taken apart, sizes of chunks, breaker, choice of a node, queue.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS, seededRandom } from '../../../fabric/base.ts'
import { BatchSize } from '../../../functions/invoke/batch-size.ts'
import { Breaker } from '../../../functions/invoke/breaker.ts'
import { checkPayload, encodeInvocations, noPayload, splitItems } from '../../../functions/invoke/items.ts'
import { CallQueue } from '../../../functions/invoke/queue.ts'
import { chooseNode } from '../../../functions/invoke/routing.ts'
import { readOutcome, readRequest, writeOutcome, writeRequest } from '../../../functions/invoke/wire.ts'
import type { CallRecord } from '../../../functions/deployed.ts'
import { decodeValue, encodeArray, encodeValue } from '../../../functions/value/mod.ts'

const call = { id: '0'.repeat(16), name: 'f', alias: 'stable', version: 'a'.repeat(64), trace: 't', traceparent: '', node: 'n', attempt: 1, epoch: null, cause: { type: 'call' }, deadlineMs: 5 } as const
const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, maxDepth: 3 })

/** As bytes: equal values have equal bytes. */
const same = (a: unknown, b: unknown): boolean => Buffer.from(encodeValue(a)).equals(Buffer.from(encodeValue(b)))

t.test('payloads go into invocations and answers come apart unchanged', async (t) => {
  fc.assert(fc.property(fc.array(value, { minLength: 1, maxLength: 40 }), (values) => {
    const items = decodeValue(encodeInvocations(values.map((payload) => ({ what: 'run', payload: encodeValue([payload]), call })))) as { what: string; payload: unknown; call: unknown }[]
    const parts = splitItems(encodeArray(values), values.length)
    return items.length === values.length && items.every((item, i) => item.what === 'run' && same(item.payload, values[i]) && same(item.call, call))
      && parts.every((part, i) => { checkPayload(part, 1e9); return same((decodeValue(part) as unknown[])[0], values[i]) })
  }), { numRuns: 150 })
  const [filter] = decodeValue(encodeInvocations([{ what: 'filter', trigger: 2, payload: noPayload(), call }])) as { what: string; trigger: number; payload: unknown }[]
  t.match(filter, { what: 'filter', trigger: 2 })
  t.ok(filter !== undefined && 'payload' in filter && filter.payload === undefined)
})
t.test('hostile bytes are refused, in time linear in their length', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, count) => {
    try {
      return splitItems(bytes, count).length === count
    } catch (error) {
      return (error as { code: string }).code === 'FUNCTIONS_ERR_VALUE_MALFORMED'
    }
  }), { numRuns: 2_000 })
  t.throws(() => checkPayload(encodeValue([1, 2]), 100), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' }, 'one value, no more')
  t.throws(() => checkPayload(Uint8Array.of(0x81, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255), 100), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
  t.throws(() => checkPayload(encodeValue(['x'.repeat(200)]), 100), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
})

t.test('requests and outcomes survive the wire', async (t) => {
  const request = { reference: 'f@canary', payload: encodeValue([1]), cause: { type: 'topic', topic: 'x', from: 'y' }, target: 'node:b', timeoutMs: 5, idempotencyKey: 'k', budget: 3, depth: 2, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } as const
  t.strictSame(readRequest(writeRequest(request, 'one')).request, request)
  const record: CallRecord = { callId: 'c', name: 'f', alias: '', version: 'a'.repeat(64), trace: 't', node: 'b'.repeat(64), nodeName: 'b', cause: 'call', attempt: 1, epoch: 7, startedAtMs: 1, queuedMs: 2, runMs: 3, cpuMs: 4, cold: true, nested: 5 }
  const outcome = { status: 'value', value: encodeValue([2]), call: record } as const
  t.strictSame(readOutcome(writeOutcome(outcome)), outcome)
  t.throws(() => readOutcome(['what', {}, true, null]), { code: 'FUNCTIONS_ERR_BAD_MESSAGE' })
})

t.test('chunks grow while they are quick, and are one again after a hang', async (t) => {
  const size = new BatchSize()
  t.equal(size.size, 1)
  for (let i = 0; i < 20; i++) size.ended(size.size, 1)
  t.equal(size.size, LIMITS.invokeBatchMax)
  size.ended(64, LIMITS.invokeBatchTargetMs + 1)
  t.equal(size.size, LIMITS.invokeBatchMax / 2)
  size.ended(32, 1_000)
  t.equal(size.size, 1, 'a slow function is not gathered')
  size.ended(1, 1)
  t.equal(size.size, 2)
  size.poisoned()
  size.ended(1, 1)
  t.equal(size.size, 1, 'not soon again')
})

t.test('the breaker opens, tries once, and opens for longer', async (t) => {
  const breaker = new Breaker()
  for (let i = 1; i < LIMITS.quarantineKills; i++) t.notOk(breaker.killed(i))
  t.equal(breaker.admit(10), 'go')
  t.ok(breaker.killed(10))
  t.strictSame(breaker.admit(11), { seconds: 60 })
  const laterMs = 10 + LIMITS.quarantineMs
  t.equal(breaker.admit(laterMs), 'trial')
  t.match(breaker.admit(laterMs), { seconds: 1 }, 'one trial at a time')
  breaker.inconclusive(laterMs)
  t.equal(breaker.admit(laterMs), 'trial', 'a trial that told nothing is made again')
  t.ok(breaker.killed(laterMs))
  t.strictSame(breaker.admit(laterMs + 1), { seconds: 120 })
  t.equal(breaker.admit(laterMs + 2 * LIMITS.quarantineMs), 'trial')
  breaker.survived()
  t.equal(breaker.state, 'closed')
})

t.test('calls go to the better of two, warm and near ones first', async (t) => {
  const random = seededRandom(1)
  const node = (id: string, calls: number, warm = true) => ({ id, calls, cpuRatio: 0, warm })
  t.equal(chooseNode([], 'a', random), undefined)
  for (let i = 0; i < 50; i++) {
    t.equal(chooseNode([node('a', 0), node('b', 0)], 'a', random), 'a')
    t.equal(chooseNode([node('a', 50), node('b', 1)], 'a', random), 'b')
    t.equal(chooseNode([node('b', 2), node('c', 2, false), node('d', 2, false)], 'a', random), 'b', 'the only warm one is always looked at')
  }
  const many = Array.from({ length: 20 }, (_, i) => node(`n${i}`, 0))
  const chosen = new Set(Array.from({ length: 400 }, () => chooseNode(many, 'elsewhere', random)))
  t.ok(chosen.size > 15, 'and they are spread')
})

t.test('the queue: in turn, later when told so, never longer than the pause when the clock is set back', async (t) => {
  const queue = new CallQueue({ lagMs: () => 0 })
  const put = (name: string, id: string, revision: number, nextAtMs = 0, pauseMs = 0): void => queue.put({ name, id, modRevision: revision, nextAtMs, pauseMs, bytes: 0 }, 0, 1_000)
  for (let i = 0; i < 5; i++) put('loud', `l${i}`, i + 1)
  put('quiet', 'q', 9)
  t.strictSame(queue.take(0, 3, () => true).map(({ name }) => name).toSorted(), ['loud', 'loud', 'quiet'], 'a loud function leaves room')
  put('later', 'x', 10, 1_500, 500)
  t.equal(queue.nextDueMs((name) => name === 'later'), 500)
  put('back', 'y', 11, 9_999_999, 500)
  t.equal(queue.nextDueMs((name) => name === 'back'), 500, 'the wall clock was set back by hours: half a second all the same')
  t.strictSame(queue.take(10_000, 9, (name) => name === 'paused'), [])
  queue.claimed('later', 'x', 12)
  t.strictSame(queue.take(10_000, 9, (name) => name === 'later'), [], 'somebody has it')
  queue.released('later', 'x', 13, 10_000)
  queue.claimed('later', 'x', 12)
  t.equal(queue.take(10_000, 9, (name) => name === 'later').length, 1, 'what is told late does not count')
  queue.gone('later', 'x')
  queue.settled('later', 'x', 10_000)
  t.equal(queue.count('later'), 0)
})
