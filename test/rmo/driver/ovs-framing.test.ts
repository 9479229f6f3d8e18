// The pure parts of the OVSDB client: framing however the stream is cut, values, tables from updates.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { createFraming } from '../../../rmo/driver/ovs/framing.ts'
import { kilobitsOf, rateOfKilobits } from '../../../rmo/driver/ovs/records.ts'
import { NO_TABLES, applyUpdates } from '../../../rmo/driver/ovs/tables.ts'
import { mapValue, readMap, readNumber, readSet, readText, setValue } from '../../../rmo/driver/ovs/values.ts'

const message = fc.dictionary(fc.string(), fc.jsonValue())
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

test('framing gives back every message, however the stream is cut', (t) => {
  fc.assert(fc.property(fc.array(message, { maxLength: 8 }), fc.constantFrom('', ' ', '\n\t'), fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }), (messages, between, cuts) => {
    const stream = bytesOf(messages.map((each) => JSON.stringify(each)).join(between))
    const framing = createFraming({ bytesMax: 1_000_000 })
    const texts: string[] = []
    for (let at = 0, cut = 0; at < stream.length; cut++) {
      const end = at + 1 + (cuts[cut % cuts.length] ?? 0)
      // The buffer is used again by whoever reads the socket: framing must keep nothing of it.
      const chunk = Uint8Array.from(stream.subarray(at, end))
      texts.push(...framing.feed(chunk))
      chunk.fill(0)
      at = end
    }
    return framing.pendingBytes === 0 && JSON.stringify(texts.map((text) => JSON.parse(text) as unknown)) === JSON.stringify(messages)
  }))
  t.end()
})

test('framing is bounded, and refuses what is no object', (t) => {
  const long = bytesOf(JSON.stringify({ text: 'x'.repeat(100) }))
  t.throws(() => createFraming({ bytesMax: 50 }).feed(long), /more than 50 bytes/, 'in one piece')
  t.throws(() => { const framing = createFraming({ bytesMax: 50 }); for (const byte of long) framing.feed(Uint8Array.of(byte)) }, /more than 50 bytes/, 'in many')
  t.same(createFraming({ bytesMax: long.length }).feed(long).length, 1, 'the bound itself fits')
  for (const text of ['x', '[1]', '"a"', '}', '1']) t.throws(() => createFraming({ bytesMax: 50 }).feed(bytesOf(text)), /cannot start/, text)
  t.end()
})

test('any bytes are an answer or an error, never a hang', (t) => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 16 }), (chunks) => {
    const framing = createFraming({ bytesMax: 256 })
    try { for (const chunk of chunks) framing.feed(chunk) } catch (error) { return error instanceof Error }
    return framing.pendingBytes <= 256
  }))
  t.end()
})

test('values of RFC 7047 section 5.1', (t) => {
  t.same(readSet('a'), ['a'], 'a bare atom is a set of one')
  t.same(readSet(['set', [['uuid', 'u1'], ['uuid', 'u2']]]), ['u1', 'u2'])
  t.same(readSet(['uuid', 'u1']), ['u1'])
  t.same(readSet(['set', []]), [])
  t.equal(readNumber(['set', []]), undefined)
  t.equal(readText(['set', []]), '')
  t.same(readMap(['map', [['rx_bytes', 5], ['b', 'c']]]), { rx_bytes: '5', b: 'c' })
  for (const odd of [undefined, null, {}, [], ['map'], ['map', [1, [2]]], ['set', 7], [['uuid']]]) {
    t.same(readMap(odd), {}, JSON.stringify(odd))
    t.same(readSet(odd), [])
  }
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.string()), (entries) => { t.same(readMap(mapValue(entries)), { ...entries }) }), { numRuns: 30 })
  fc.assert(fc.property(fc.array(fc.integer()), (atoms) => { t.same(readSet(setValue(atoms)), atoms) }), { numRuns: 30 })
  t.end()
})

test('a rate that was set is read back', (t) => {
  fc.assert(fc.property(fc.nat(100_000_000), (rate) => rateOfKilobits(kilobitsOf(rate)) === rate))
  t.end()
})

/** A change of one row: what it holds then, or undefined when it was deleted. */
const change = fc.record({ table: fc.constantFrom('Bridge', 'Port', '__proto__'), uuid: fc.constantFrom('a', 'b', 'c'), row: fc.option(fc.record({ name: fc.string() }), { nil: undefined }) })

test('tables after updates are what a replay says', (t) => {
  fc.assert(fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
    const model = new Map<string, object>()
    let tables = NO_TABLES
    for (const { table, uuid, row } of changes) {
      const before = tables
      const size = before.get(table)?.size
      tables = applyUpdates(tables, JSON.parse(`{${JSON.stringify(table)}: {${JSON.stringify(uuid)}: ${JSON.stringify(row === undefined ? { old: {} } : { new: row })}}}`))
      if (row === undefined) model.delete(`${table}/${uuid}`)
      else model.set(`${table}/${uuid}`, row)
      if (before.get(table)?.size !== size) return false
    }
    const flat = [...tables].flatMap(([table, rows]) => [...rows].map(([uuid, row]) => [`${table}/${uuid}`, row] as const))
    const byKey = (a: readonly [string, object], b: readonly [string, object]): number => a[0] < b[0] ? -1 : 1
    return JSON.stringify(flat.sort(byKey)) === JSON.stringify([...model].sort(byKey))
  }))
  t.same(applyUpdates(NO_TABLES, 'nonsense'), NO_TABLES)
  t.same([...applyUpdates(NO_TABLES, { Bridge: 7, Port: { a: null } })].map(([table, rows]) => [table, rows.size]), [['Port', 0]])
  t.end()
})
