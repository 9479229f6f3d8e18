// Hostile bytes: whatever comes in, decodeValue answers a value or VALUE_MALFORMED, soon, and nothing else.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { decodeValue, encodeValue, scanValue } from '../../../functions/value/mod.ts'

const outcome = (bytes: Uint8Array, profile?: 'args' | 'value'): string => {
  try {
    decodeValue(bytes, profile === undefined ? {} : { profile })
    return 'value'
  } catch (error) {
    return (error as { code?: string }).code ?? `leak: ${(error as Error).stack}`
  }
}
const MALFORMED = 'FUNCTIONS_ERR_VALUE_MALFORMED'
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const MARK = 'd96b75'

t.test('property: random bytes', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => ['value', MALFORMED].includes(outcome(bytes))), { numRuns: 3_000 })
  t.pass()
})

t.test('property: mutated bytes of rich values', async (t) => {
  const cycle: unknown[] = [new Map<unknown, unknown>([[{ a: 1 }, new Set([1n, -0])]]), new Date(1), /x/g, new Error('e'), new Float64Array(2), Object.create(null), [1, , 2], Symbol.iterator, 2n ** 90n, 'a\ud800']
  cycle.push(cycle)
  const good = encodeValue(cycle)
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (edits) => {
    const bytes = good.slice()
    for (const [at, byte] of edits) bytes[at] = byte
    return ['value', MALFORMED].includes(outcome(bytes))
  }), { numRuns: 2_500 })
  t.pass()
})

t.test('property: truncation and trailing bytes are refused', async (t) => {
  fc.assert(fc.property(fc.anything({ withMap: true, withDate: true, key: fc.string().filter((key) => key !== '__proto__') }), fc.nat(), (value, cut) => {
    const bytes = encodeValue(value)
    return outcome(bytes.slice(0, cut % bytes.length)) === MALFORMED && outcome(Uint8Array.of(...bytes, 0)) === MALFORMED
  }))
  t.pass()
})

t.test('what is refused', async (t) => {
  const refused: Record<string, string> = {
    'nothing': '', 'indefinite array': '9f01ff', 'indefinite text': '7f6161ff', 'reserved length': '1c', 'break': 'ff',
    'bignum tag': 'c24101', 'record definition': 'd9dfff8319e00081616101', 'shared value tag': 'd81c80', 'packed tag': 'd83380', 'date tag': 'c100', 'bundled strings': 'd9dff980',
    'simple value': 'e0', 'two-byte simple value': 'f820', 'array longer than the bytes': '9affffffff00', 'map longer than the bytes': 'bb00000000ffffffff', 'text longer than the bytes': '7a7fffffff61', 'length of 2^64': '9bffffffffffffffff',
    'number as key': 'a10102', '__proto__ key': 'a1695f5f70726f746f5f5f01',
    'mark around text': `${MARK}6161`, 'empty mark': `${MARK}80`, 'unknown mark': `${MARK}811863`, 'function': `${MARK}82 11 00`, 'reference out of the table': `${MARK}8200 00`,
    'reference to itself': `${MARK}83 01 81 ${MARK}8200 00 ${MARK}8200 00`, 'huge pattern flags': `${MARK}8408 6161 617a 00`, 'invalid pattern': `${MARK}8408 6128 60 00`,
    'odd bytes of a Float64Array': `${MARK}83 09 09 43 010203`, 'buffer kind out of range': `${MARK}83 09 1863 40`, 'bigint that is no number': `${MARK}8204 617a`, 'array of length -1': `${MARK}830b 20 80`, 'symbol nobody knows': `${MARK}830e 65 6b6e6f776e 6178`,
    'accessor': `${MARK}83 0c f7 82 6161 ${MARK}8312 f6f6`, 'reference without identity': `${MARK}82 0f a0`,
  }
  for (const [name, bytes] of Object.entries(refused)) t.equal(outcome(hex(bytes)), MALFORMED, name)
})

t.test('bombs end at once', async (t) => {
  t.equal(outcome(new Uint8Array(100_000).fill(0x81)), MALFORMED, 'nested arrays')
  t.equal(outcome(hex(`${MARK}82`.repeat(20_000))), MALFORMED, 'nested marks')
  const bignum = new Uint8Array(262_149).fill(0xff)
  bignum.set([0xc2, 0x5a, 0, 4, 0])
  t.equal(outcome(bignum), MALFORMED, 'a bignum of 256 KB')
  const digits = encodeValue('f'.repeat(20_000))
  t.equal(outcome(Uint8Array.of(...hex(`${MARK}8204`), ...digits)), MALFORMED, 'a bigint of 10 KB')
  const table = (depth: number): string => `${MARK}83 01 98${depth.toString(16).padStart(2, '0')} ${Array.from({ length: depth }, (_, i) => (i + 1 < depth ? `81${MARK}8200${i + 1 < 24 ? (i + 1).toString(16).padStart(2, '0') : `18${(i + 1).toString(16)}`}` : '00')).join('')} ${MARK}820000`
  t.equal(outcome(hex(table(200))), 'value')
  const pattern = encodeValue('(a+)+'.repeat(20_000))
  t.equal(outcome(Uint8Array.of(...hex(`${MARK}8408`), ...pattern, 0x60, 0)), MALFORMED, 'a pattern of 100 KB')
})

t.test('the args profile is tighter', async (t) => {
  let nested: unknown = 1
  for (let i = 0; i < 30; i++) nested = { nested }
  const wide = Array.from({ length: 70_000 }, () => 1)
  let deeper: unknown = 1
  for (let i = 0; i < 60; i++) deeper = [deeper]
  t.equal(outcome(encodeValue(wide), 'args'), MALFORMED)
  t.equal(outcome(encodeValue(wide)), 'value')
  t.equal(outcome(encodeValue('x'.repeat(300_000)), 'args'), MALFORMED)
  t.equal(outcome(encodeValue(deeper), 'args'), MALFORMED)
  t.equal(outcome(encodeValue(nested), 'args'), 'value')
  t.equal(outcome(encodeValue(2n ** 1_000n), 'args'), MALFORMED)
  t.equal(outcome(encodeValue(2n ** 1_000n)), 'value')
})

t.test('scanValue reports what decoders need', async (t) => {
  t.match(scanValue(encodeValue([1, 'a', { b: 2 }])), { items: 6, marked: false, arrayCount: 3 })
  t.match(scanValue(encodeValue(new Date(0))), { marked: true, arrayCount: -1 })
})
