// The gossip codec: round trip, exact sizes, one encoding per message, and strictness against garbage.

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { fc } from '../../support/property.ts'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import { decodeMessage, encodeMessage, messageBytes, quantisedLoad, recordBytes } from '../../../fabric/membership/messages.ts'
import type { Message } from '../../../fabric/membership/messages.ts'
import { anyMessage, anyRecord, member } from './arbitraries.ts'

/** Same fields whatever the order and prototype. */
const plain = (message: Message): unknown => JSON.parse(JSON.stringify(message))

const refused = (frame: Uint8Array): boolean => {
  try { decodeMessage(frame); return false } catch (error) { return errorCode(error) === 'FABRIC_ERR_BAD_GOSSIP' }
}

t.test('what goes in comes out, in exactly the bytes foretold', async (t) => {
  fc.assert(fc.property(anyMessage(), (message) => {
    const frame = encodeMessage(message)
    return frame.length === messageBytes(message) && isDeepStrictEqual(plain(decodeMessage(frame)), plain(message))
  }), { numRuns: 500 })
  t.pass()
})

t.test('record sizes add up', async (t) => {
  fc.assert(fc.property(anyRecord(), (record) => messageBytes({ type: 'news', news: [record] }) === 3 + recordBytes(record)))
  t.ok(recordBytes(member()) < 80, 'an ordinary record is small')
})

t.test('no prefix and no longer frame is accepted', async (t) => {
  fc.assert(fc.property(anyMessage(), fc.nat(1_000), (message, cut) => {
    const frame = encodeMessage(message)
    return refused(frame.subarray(0, cut % frame.length)) && refused(Uint8Array.from([...frame, 0]))
  }))
  t.pass()
})

t.test('garbage and flipped bits: refused with our code, or the one encoding of what they mean', async (t) => {
  const holds = (frame: Uint8Array): boolean => {
    let message: Message
    try { message = decodeMessage(frame) } catch (error) { return errorCode(error) === 'FABRIC_ERR_BAD_GOSSIP' }
    return Buffer.compare(encodeMessage(message), frame) === 0
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => holds(tail) && holds(Uint8Array.from([1, (tail[0] ?? 0) % 7, ...tail]))), { numRuns: 3_000 })
  fc.assert(fc.property(anyMessage(), fc.nat(), fc.nat(7), (message, at, bit) => {
    const frame = encodeMessage(message)
    const index = at % frame.length
    frame[index] = (frame[index] as number) ^ (1 << bit)
    return holds(frame)
  }), { numRuns: 3_000 })
  t.pass()
})

t.test('limits', async (t) => {
  t.ok(refused(new Uint8Array(LIMITS.gossipFrameBytesMax + 1).fill(1)), 'too long')
  t.ok(refused(encodeMessage({ type: 'news', news: [member({ profile: { name: 'x'.repeat(65), addresses: [], version: '1', startedAtMs: 1 } })] })), 'long name')
  t.ok(refused(encodeMessage({ type: 'news', news: [member({ incarnation: 2 ** 41 })] })), 'incarnation out of bounds')
  t.ok(refused(encodeMessage({ type: 'news', news: [member({ ageMs: 5 })] })), 'a live tombstone')
  t.ok(refused(encodeMessage({ type: 'news', news: [member({ accusers: [{ id: 'cd'.repeat(32), strong: true }] })] })), 'accusers of a member alive')
})

t.test('loads are cut to what can travel', async (t) => {
  t.strictSame(quantisedLoad({ cpuRatio: 0.12345, queued: 2.4 }), { cpuRatio: 0.123, queued: 2 })
  t.strictSame(quantisedLoad({ cpuRatio: Number.NaN, queued: -1 }), { cpuRatio: 0, queued: 0 })
  t.strictSame(quantisedLoad({ cpuRatio: 7, queued: Number.POSITIVE_INFINITY }), { cpuRatio: 1, queued: 0 })
})
