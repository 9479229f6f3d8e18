// The hardened CBOR profile through its door: what passes, what is refused, and that refusing is cheap.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { decodeRecord, encodeRecord } from '../../../fabric/rpc/codec.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { codeOf } from '../../support/code-of.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
/** As decoding returns it: objects without prototype, plain byte arrays, no negative zero. */
const landed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(landed)
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (typeof value === 'object' && value !== null) {
    return Object.assign(Object.create(null) as object, Object.fromEntries(Object.entries(value).map(([key, item]) => [key, landed(item)])))
  }
  return Object.is(value, -0) ? 0 : value
}
const text = fc.string({ unit: 'grapheme' }).filter((value) => value.isWellFormed() && !value.startsWith('\ufeff'))
const body = fc.letrec((tie) => ({
  any: fc.oneof({ maxDepth: 6 },
    fc.constant(null), fc.boolean(), fc.integer(), fc.double(), fc.bigInt({ min: -(2n ** 500n), max: 2n ** 500n }), text,
    fc.uint8Array({ maxLength: 400 }), fc.array(tie('any'), { maxLength: 8 }),
    fc.dictionary(text.filter((key) => key !== '__proto__'), tie('any'), { maxKeys: 8 })),
})).any

test('plain data comes back equal, objects without a prototype', (t) => {
  fc.assert(fc.property(body, (value) => {
    t.strictSame(decodeRecord(encodeRecord(value)), landed(value))
  }), { numRuns: 300 })
  const value = decodeRecord(encodeRecord({ nested: { a: 1 } })) as { nested: object }
  t.equal(Object.getPrototypeOf(value), null)
  t.equal(Object.getPrototypeOf(value.nested), null)
  t.end()
})

test('byte strings are views into the frame, of plain Uint8Array', (t) => {
  const frame = encodeRecord([new Uint8Array([1, 2, 3])])
  const [bytes] = decodeRecord(frame) as [Uint8Array]
  t.equal(bytes.constructor, Uint8Array)
  t.equal(bytes.buffer, frame.buffer)
  t.end()
})

test('each hostile form is refused with the same code', (t) => {
  const long = (head: string, fill: number, count: number): Uint8Array => Uint8Array.from([...hex(head), ...new Uint8Array(count).fill(fill)])
  const forms: Record<string, Uint8Array> = {
    'empty': hex(''),
    'truncated array': hex('83 01 02'),
    'truncated text': hex('65 61 62'),
    'truncated head': hex('1a 00 00'),
    'trailing bytes': hex('01 01'),
    'indefinite array': hex('9f 01 ff'),
    'indefinite map': hex('bf 61 61 01 ff'),
    'indefinite bytes': hex('5f 41 00 ff'),
    'lone break': hex('ff'),
    'reserved length': hex('1c'),
    'date tag': hex('c1 00'),
    'regexp tag': hex('d8 23 61 61'),
    'set tag': hex('d9 0102 81 01'),
    'shared reference tag': hex('d8 1c 80'),
    'record definition tag': hex('d9 dfff 83 18 40 81 61 61 01'),
    'packed table tag': hex('d8 33 84 80 80 80 00'),
    'bundled strings tag': hex('d9 dff9 82 00 00'),
    'simple value': hex('e0'),
    'simple value in a byte': hex('f8 20'),
    'declared length 2^63': hex('9b 80 00 00 00 00 00 00 00'),
    'declared text 4 GiB': hex('7a ff ff ff ff'),
    'invalid UTF-8': hex('62 c3 28'),
    'overlong UTF-8': hex('62 c0 80'),
    'surrogate in UTF-8': hex('63 ed a0 80'),
    'duplicate keys': hex('a2 61 61 01 61 61 02'),
    'nested duplicate keys': hex('81 a2 61 61 01 61 61 02'),
    'number key': hex('a1 01 02'),
    'map key that is an array': hex('a1 80 02'),
    '__proto__ key': Uint8Array.from([0xa1, 0x69, ...Buffer.from('__proto__'), 0xa0]),
    'bignum of 65 bytes': long('c2 58 41', 0xff, 65),
    'bignum of 256 KB': long('c2 5a 00 04 00 00', 0xff, 262_144),
    'bignum in a tag': hex('c2 c2 41 01'),
    'depth 33': Uint8Array.from([...new Array<number>(33).fill(0x81), 0x01]),
    'depth 100,000': new Uint8Array(100_000).fill(0x81),
    'too many items': long('9a 00 01 11 70', 0x00, 70_000),
    'too many maps': long('99 ff ff', 0xa0, 65_535),
    'too many different keys': hex(`b9 1388 ${Array.from({ length: 5_000 }, (_, i) => `64 ${Buffer.from(i.toString(36).padStart(4, '0')).toString('hex')} 00`).join('')}`),
    'too many texts beyond ASCII': Uint8Array.from([0x99, 0x27, 0x10, ...Array.from({ length: 10_000 }, () => [0x62, 0xc3, 0xa9]).flat()]),
    'text above the limit': long('7a 00 04 00 01', 0x61, 262_145),
  }
  for (const [name, bytes] of Object.entries(forms)) t.equal(codeOf(() => decodeRecord(bytes)), 'FABRIC_ERR_RECORD_REFUSED', name)
  t.end()
})

test('what the profile cannot carry is refused by the sender', (t) => {
  const circle: unknown[] = []
  circle.push(circle)
  const bodies: Record<string, unknown> = {
    'Map': new Map([['a', 1]]), 'Set': new Set([1]), 'Date': new Date(0), 'RegExp': /a/, 'function': () => 1, 'symbol': Symbol('a'),
    'Float64Array': new Float64Array(2), 'circle': circle, 'iterable': (function* () { yield 1 })(),
    '__proto__ key': JSON.parse('{"__proto__":1}'), 'big integer': 2n ** 600n, 'lone surrogate': '\ud800',
    'long text': 'a'.repeat(LIMITS.cborStringBytesMax + 1), 'depth': JSON.parse('['.repeat(40) + ']'.repeat(40)),
  }
  for (const [name, value] of Object.entries(bodies)) t.equal(codeOf(() => encodeRecord(value)), 'FABRIC_ERR_BODY_NOT_PLAIN', name)
  t.equal(codeOf(() => encodeRecord(new Uint8Array(LIMITS.messageBytesMax))), 'FABRIC_ERR_MESSAGE_TOO_LARGE')
  t.strictSame(decodeRecord(encodeRecord([1, 'still works'])), [1, 'still works'])
  t.end()
})

test('long lists of like records pass', (t) => {
  const members = Array.from({ length: 1_000 }, (_, i) => ({ id: `${i}`, name: `ノード${i}`, a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, load: { cpuRatio: 0.5, queued: i } }))
  t.strictSame(decodeRecord(encodeRecord(members)), landed(members))
  t.end()
})

test('keys that shadow Object.prototype survive a relay', (t) => {
  const hostile = { constructor: 'x', toString: 1, hasOwnProperty: null, toJSON: [1], valueOf: {} }
  const once = decodeRecord(encodeRecord(hostile))
  t.strictSame(decodeRecord(encodeRecord(once)), landed(hostile))
  t.end()
})
