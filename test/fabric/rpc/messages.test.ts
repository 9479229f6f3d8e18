// Messages and fragments, and the frames of released versions, which are decoded for ever.

import { readFileSync, readdirSync } from 'node:fs'
import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { encodeRecord } from '../../../fabric/rpc/codec.ts'
import * as wire from '../../../fabric/rpc/messages.ts'
import { FRAMES } from '../../golden/wire/frames.ts'
import { codeOf } from '../../support/code-of.ts'

/** Null-prototype objects compare as plain ones. */
const normal = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_, item: unknown) => (item instanceof Uint8Array ? Buffer.from(item).toString('hex') : typeof item === 'bigint' ? `${item}n` : item)))

const golden = new URL('../../golden/wire/', import.meta.url)

for (const version of readdirSync(golden).filter((name) => /^\d/.test(name))) {
  for (const file of readdirSync(new URL(`${version}/`, golden))) {
    test(`golden ${version}/${file}`, (t) => {
      const name = file.replace(/\.hex$/, '')
      const bytes = Buffer.from(readFileSync(new URL(`${version}/${file}`, golden), 'utf8').trim(), 'hex')
      const frame = FRAMES[name]
      t.ok(frame, 'its expected message is in frames.ts')
      if (frame !== undefined) t.strictSame(normal(frame.decode(bytes)), normal(frame.expected))
      t.end()
    })
  }
}

test('golden frames of this version are what is sent today', (t) => {
  for (const [name, frame] of Object.entries(FRAMES)) {
    const kept = readFileSync(new URL(`${frame.since}/${name}.hex`, golden), 'utf8').trim()
    t.equal(Buffer.from(frame.encode()).toString('hex'), kept, name)
  }
  t.end()
})

test('a field of the wrong type breaks the protocol', (t) => {
  const open = [1, 5, 'm', 100, null, 't', 0, null, 0, 'body']
  const wrong: unknown[] = [
    {}, 7, [], ['x'], [-1], [1.5],
    ...[0, -5, 1.5, 2 ** 40, 'a'].map((call) => open.with(1, call)),
    open.with(2, ''), open.with(2, 7), open.with(2, 'm'.repeat(300)), open.with(3, -1), open.with(3, NaN), open.with(3, null),
    open.with(4, 5), open.with(5, null), open.with(6, -1), open.with(6, 1.5), open.with(7, 3), open.with(8, 2), open.slice(0, 5),
    [3, 1, null], [3, 1, { code: 'x' }], [3, 1, { code: 1, message: 'm' }], [7, 1], [6, 1, 0], [6, 1, -3], [6, 1, 'x'], [8, 5, null], [8], [9, 3], [5, 0],
  ]
  for (const message of wrong) t.equal(codeOf(() => wire.decodeMessage(encodeRecord(message))), 'FABRIC_ERR_PROTOCOL', JSON.stringify(message))
  t.end()
})

test('later versions may add fields and numbers', (t) => {
  t.match(wire.decodeMessage(encodeRecord([5, 9, 'new field'])), { type: 5, call: 9 })
  t.strictSame(wire.decodeMessage(encodeRecord([99, 'whatever'])), { type: 'unknown' })
  t.end()
})

test('an error record always travels: what cannot be encoded is left out', (t) => {
  const frame = wire.encodeFail(-3, { code: 'X_ERR', message: 'bad \ud800 text', details: { when: new Date(0) }, cause: { code: 'Y', message: 'm', details: { f: () => 1 } } })
  t.match(wire.decodeMessage(frame), { type: 3, call: -3, error: { code: 'X_ERR', message: 'bad \ufffd text', cause: { code: 'Y' } } })
  t.end()
})

test('long byte strings are encoded the same as short ones are', (t) => {
  for (const bytes of [0, 1, 4_095, 4_096, 70_000, 1_000_000]) {
    const body = new Uint8Array(bytes).map((_, i) => i)
    const open = { call: 3, method: 'm', timeoutMs: 5, principal: null, trace: 't', hop: 0, key: null, shape: 0, body } as const
    t.strictSame(wire.decodeMessage(wire.encodeOpen(open)), { type: 1, ...open })
    t.strictSame(wire.decodeMessage(wire.encodeData(-3, body, 'm')), { type: 4, call: -3, body })
  }
  t.end()
})

test('fragments carry any message in any cut', (t) => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 700_000 }), fc.integer({ min: -1000, max: 1000 }).filter((call) => call !== 0), (bytes, call) => {
    const message = new Uint8Array(bytes).map((_, i) => i * 31)
    const parts: Uint8Array[] = []
    for (let from = 0, part = 'more'; part !== 'last';) {
      const fragment = wire.decodeFragment(wire.encodeFragment(call, message, from))
      t.equal(fragment.call, call)
      parts.push(fragment.payload)
      from += fragment.payload.length
      part = fragment.part
    }
    t.ok(Buffer.concat(parts).equals(message))
  }), { numRuns: 30 })
  for (const bad of ['01', '0103 00000001 00', '0100 00000001', '0102 00000001 00', '0101 00000000 00']) {
    t.equal(codeOf(() => wire.decodeFragment(Buffer.from(bad.replaceAll(' ', ''), 'hex'))), 'FABRIC_ERR_PROTOCOL', bad)
  }
  t.end()
})
