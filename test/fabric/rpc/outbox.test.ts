// The outgoing queue: order within a call, turns between long messages, small frames first, bounds.

import { test } from 'tap'
import { LIMITS } from '../../../fabric/limits.ts'
import { decodeFragment, isFragment } from '../../../fabric/rpc/messages.ts'
import { Outbox } from '../../../fabric/rpc/outbox.ts'
import { Reassembly } from '../../../fabric/rpc/reassembly.ts'

const fragment = LIMITS.fragmentBytesMax
/** A message of this many bytes whose first byte is no fragment's. */
const message = (bytes: number, mark = 0x80): Uint8Array => new Uint8Array(bytes).fill(mark)

/** A channel that takes one frame for each drain. */
function slowChannel() {
  const sent: string[] = []
  const frames: Uint8Array[] = []
  let room = 0
  const outbox: Outbox = new Outbox((frame) => {
    frames.push(frame)
    sent.push(isFragment(frame) ? `${decodeFragment(frame).call}:${decodeFragment(frame).part}` : `small ${frame.length}`)
    return false
  }, () => { room++ })
  return { sent, frames, outbox, rooms: () => room, drain: (times: number) => { for (let i = 0; i < times; i++) outbox.drained() } }
}

test('long messages take turns; a small frame waits for one fragment at most', (t) => {
  const { sent, outbox, drain } = slowChannel()
  outbox.post(1, message(3 * fragment))
  outbox.post(2, message(3 * fragment))
  outbox.post(3, message(10))
  drain(1)
  t.strictSame(sent, ['1:more', 'small 10'])
  drain(5)
  t.strictSame(sent.slice(2), ['2:more', '1:more', '2:more', '1:last', '2:last'])
  drain(3)
  t.equal(sent.length, 7)
  t.end()
})

test('frames of one call keep their order behind its long message', (t) => {
  const { sent, outbox, drain } = slowChannel()
  const handed: string[] = []
  outbox.post(1, message(2 * fragment), () => handed.push('long'))
  outbox.post(1, message(11), () => handed.push('eleven'))
  outbox.post(1, message(fragment + 1), () => handed.push('second long'))
  outbox.post(1, message(12), () => handed.push('twelve'))
  outbox.post(2, message(20))
  drain(10)
  t.strictSame(sent, ['1:more', 'small 20', '1:last', 'small 11', '1:more', '1:last', 'small 12'])
  t.strictSame(handed, ['long', 'eleven', 'second long', 'twelve'])
  t.equal(outbox.hasRoom, true)
  t.end()
})

test('a dropped call sends nothing more, and takes back what it began', (t) => {
  const { sent, frames, outbox, drain } = slowChannel()
  outbox.post(1, message(3 * fragment))
  outbox.post(1, message(11))
  outbox.post(2, message(2 * fragment))
  outbox.drop(1)
  outbox.drop(1)
  drain(10)
  t.strictSame(sent, ['1:more', '1:abandoned', '2:more', '2:last'])
  const reassembly = new Reassembly()
  const whole = frames.map((frame) => reassembly.take(frame)).filter((each) => each !== undefined)
  t.strictSame(whole.map((each) => each.length), [2 * fragment])
  t.end()
})

test('at most a few long messages are under way: what the receiver must hold is bounded', (t) => {
  const { frames, outbox, drain } = slowChannel()
  const count = 3 * LIMITS.interleavedMessagesMax
  for (let call = 1; call <= count; call++) outbox.post(call, message(2 * fragment))
  drain(3 * count)
  const reassembly = new Reassembly()
  t.equal(frames.map((frame) => reassembly.take(frame)).filter((each) => each !== undefined).length, count)
  const hostile = new Reassembly()
  const part = (call: number): Uint8Array => Uint8Array.of(1, 0, 0, 0, 0, call, 0)
  for (let call = 1; call <= LIMITS.interleavedMessagesMax; call++) hostile.take(part(call))
  t.throws(() => hostile.take(part(99)), { code: 'FABRIC_ERR_PROTOCOL' })
  t.end()
})

test('a message above the limit is refused while it arrives', (t) => {
  const reassembly = new Reassembly()
  const part = new Uint8Array(6 + fragment)
  part.set([1, 0, 0, 0, 0, 1])
  t.throws(() => { for (let bytes = 0; bytes <= LIMITS.messageBytesMax; bytes += fragment) reassembly.take(part) }, { code: 'FABRIC_ERR_PROTOCOL' })
  t.end()
})

test('room is announced once it is back; small frames that nobody takes are a flood', (t) => {
  const { outbox, drain, rooms } = slowChannel()
  for (let call = 1; call <= 40; call++) outbox.post(call, message(fragment - 1))
  t.equal(outbox.hasRoom, false)
  drain(50)
  t.equal(outbox.hasRoom, true)
  t.equal(rooms(), 1)
  for (let i = 0; i < LIMITS.queuedFramesMax + 3; i++) outbox.post(0, message(2))
  t.equal(outbox.flooded, true)
  t.end()
})
