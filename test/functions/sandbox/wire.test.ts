// The two byte formats between kernel and cell: frames survive any cut of the stream, and results that do not
// add up are refused, whatever the bytes. Also the pure parts of recovery: journal, quarantine, gate.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { FrameReader, frameHeader, writeFrame, FRAME_HEADER_BYTES, type Frame, type FrameFields } from '../../../functions/sandbox/frames.ts'
import { parseErrorText, parseResult } from '../../../functions/sandbox/results.ts'
import { writeResult, type WrittenRun } from '../../../functions/sandbox/prelude/writer.ts'
import { decodeText, encodeText } from '../../../functions/sandbox/prelude/text.ts'
import { Journal } from '../../../functions/sandbox/kernel/journal.ts'
import { Quarantine } from '../../../functions/sandbox/kernel/quarantine.ts'
import { Gate } from '../../../functions/sandbox/kernel/gate.ts'
import type { HostCall } from '../../../functions/contract.ts'

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const float = fc.double({ noNaN: true })
const fields: fc.Arbitrary<Required<FrameFields>> = fc.record({
  type: fc.integer({ min: 0, max: 255 }), flags: fc.integer({ min: 0, max: 255 }), id: u32, b: u32, c: u32, d: u32, x: float, y: float, z: float, w: float,
  body: fc.uint8Array({ maxLength: 40_000, size: 'max' }),
})

test('frames arrive whole and exact however the stream is cut', (t) => {
  fc.assert(fc.property(fc.array(fields, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 20 }), (sent, cuts) => {
    const chunks: Uint8Array[] = []
    for (const frame of sent) writeFrame({ write: (bytes) => chunks.push(bytes), cork() {}, uncork() {} }, frame)
    const stream = Buffer.concat(chunks)
    const received: Frame[] = []
    const reader = new FrameReader(1 << 20, (frame) => received.push(frame))
    for (let at = 0, i = 0; at < stream.length; i++) {
      const step = cuts[i % cuts.length] ?? 1
      if (!reader.push(stream.subarray(at, at + step))) return false
      at += step
    }
    return received.length === sent.length && received.every((frame, i) => {
      const wanted = sent[i] as Required<FrameFields>
      return frame.body.buffer.byteLength === wanted.body.length && Buffer.compare(frame.body, wanted.body) === 0
        && frame.id === wanted.id && Object.is(frame.x, wanted.x) && Object.is(frame.w, wanted.w) && frame.flags === wanted.flags
    })
  }), { numRuns: 60 })
  t.end()
})

test('a frame above the bound ends the stream before anything is allocated for it', (t) => {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  frameHeader({ type: 1 }, header)
  new DataView(header.buffer).setUint32(0, 0xffff_ffff, true)
  t.notOk(new FrameReader(1_000, () => t.fail('delivered')).push(header))
  t.end()
})

const runsOf = (lengths: readonly { readonly count: number; readonly fails: boolean }[]): { runs: WrittenRun[]; count: number } => {
  let from = 0
  const runs = lengths.map(({ count, fails }): WrittenRun => {
    const at = from
    from += count
    return fails ? { from: at, count, status: 0, error: encodeText('{"code":"X","message":"y"}') } : { from: at, count, outputs: count, counts: undefined, values: Uint8Array.of(0x80) }
  })
  return { runs, count: from }
}

test('results round trip; altered, cut or random bytes never throw and never claim other elements', (t) => {
  const shape = fc.array(fc.record({ count: fc.integer({ min: 1, max: 50 }), fails: fc.boolean() }), { minLength: 1, maxLength: 6 })
  fc.assert(fc.property(shape, fc.integer({ min: 0, max: 1_000 }), fc.nat(), fc.integer({ min: 0, max: 255 }), (lengths, base, position, byte) => {
    const { runs, count } = runsOf(lengths)
    const bytes = writeResult(runs, 1)
    const parsed = parseResult(bytes, count, base)
    if (parsed === undefined || !parsed.decided || parsed.runs.length !== runs.length || parsed.runs[0]?.from !== base) return false
    if (parseResult(bytes, count + 1, base) !== undefined || parseResult(bytes.slice(0, -1), count, base) !== undefined) return false
    bytes[position % bytes.length] = byte
    const altered = parseResult(bytes, count, base)
    return altered === undefined || altered.runs.reduce((sum, run) => sum + run.count, 0) === count
  }))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 100 }), (bytes, count) => {
    const parsed = parseResult(bytes, count, 0)
    return parsed === undefined || parsed.runs.reduce((sum, run) => sum + run.count, 0) === count
  }))
  t.equal(parseErrorText(encodeText('{"code":1}')), undefined)
  t.match(parseErrorText(encodeText('{"code":"A","message":"b","details":{"n":1,"o":{}},"extra":1,"cause":{"code":"C","message":"d"}}')), { code: 'A', details: { n: 1 }, cause: { code: 'C' } })
  t.end()
})

test('text coding of the isolate agrees with the platform', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Buffer.compare(encodeText(text), new TextEncoder().encode(text)) === 0))
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => decodeText(new TextEncoder().encode(text)) === text))
  t.equal(encodeText('\ud800x').length, 4)
  t.end()
})

const call = (verb: string, args = 0): HostCall => ({ target: { kind: 'VM', uuid: 'u', home: 'h' }, verb, args: Uint8Array.of(args), element: 0 })

test('the journal answers the same calls once each and notices another path', async (t) => {
  const journal = new Journal(10_000)
  const answer = Promise.resolve(Uint8Array.of(9))
  t.same(journal.find(0, 0, call('a')), { type: 'new' })
  journal.record(0, 0, call('a'), answer)
  journal.record(-1, 0, call('loose'), answer)
  journal.rewind()
  t.equal(journal.find(0, 0, call('a')).type, 'answered')
  t.equal(journal.find(0, 0, call('b')).type, 'mismatch')
  t.equal(journal.find(0, 1, call('a')).type, 'new')
  t.equal(journal.find(3, 0, call('loose')).type, 'answered', 'a call whose element was not known')
  t.equal(journal.find(4, 0, call('loose')).type, 'new', 'but only once')
  journal.record(1, 0, { ...call('big'), args: new Uint8Array(20_000) }, answer)
  await answer
  t.ok(journal.overflowed)
})

test('quarantine counts kills within its window', (t) => {
  const quarantine = new Quarantine(3, 1_000)
  for (const at of [0, 10, 20]) quarantine.record('f', at)
  t.ok(quarantine.refuses('f', 30))
  t.same(quarantine.list(30), ['f'])
  t.notOk(quarantine.refuses('g', 30))
  t.notOk(quarantine.refuses('f', 1_015), 'the first kill has left the window')
  t.end()
})

test('the gate: exclusive use waits for the shared ones, later ones wait for it', async (t) => {
  const gate = new Gate()
  const order: string[] = []
  const first = await gate.shared()
  const alone = gate.exclusive().then((leave) => { order.push('alone'); return leave })
  const second = gate.shared().then((leave) => { order.push('second'); return leave })
  t.notOk(gate.tryShared(), 'nobody overtakes')
  first()
  ;(await alone)()
  ;(await second)()
  t.same(order, ['alone', 'second'])
  t.ok(gate.tryShared())
})

test('the gate: a nested run passes those who wait, and the one that may wait for it', async (t) => {
  const gate = new Gate()
  const outer = await gate.shared()
  let alone = false
  const exclusive = gate.exclusive().then((leave) => { alone = true; return leave })
  const inner = gate.nested()
  outer()
  await Promise.resolve()
  t.notOk(alone, 'an exclusive user waits for nested ones too')
  inner()
  const leave = await exclusive
  const guest = gate.nested()
  leave()
  t.ok(gate.tryShared(), 'a guest of an exclusive user keeps nobody else out')
  guest()
})
