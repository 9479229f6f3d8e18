// The value codec through its door: round trips, refusals with their path, self-contained items.

import { fc } from '../../support/property.ts'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { COLLECTION, REFERENCE } from '../../../functions/contract.ts'
import { arrayHeader, checkArray, decodeValue, encodeArray, encodeValue, joinArrays, readArrayHeader } from '../../../functions/value/mod.ts'

const codeOf = (thunk: () => unknown): string | undefined => {
  try { thunk(); return undefined } catch (error) { return (error as { code?: string }).code }
}
const messageOf = (thunk: () => unknown): string => {
  try { thunk(); return 'no error' } catch (error) { return (error as Error).message }
}
const roundTrip = (value: unknown): unknown => decodeValue(encodeValue(value))

t.test('property: what structured data fast-check makes comes back equal', async (t) => {
  const anything = fc.anything({
    withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withSparseArray: true, withTypedArray: true, withUnicodeString: true, withBoxedValues: true, maxDepth: 4,
    key: fc.string().filter((key) => key !== '__proto__'),
  })
  fc.assert(fc.property(anything, (value) => isDeepStrictEqual(roundTrip(value), value)), { numRuns: 200 })
  t.pass()
})

t.test('property: any string, any number, any bigint', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.double(), fc.bigInt(), fc.array(fc.integer({ min: 0xd700, max: 0xe000 })), (s, d, b, units) => {
    const odd = String.fromCharCode(...units)
    return isDeepStrictEqual(roundTrip([s, d, b, odd, { [`k${s}`]: 1 }]), [s, d, b, odd, { [`k${s}`]: 1 }])
  }))
  t.pass()
})

t.test('encoded bytes own a buffer of exactly their size', async (t) => {
  for (const value of [1, 'x'.repeat(5_000), [new Date(0)], new Uint8Array(2 << 20)]) {
    const bytes = encodeValue(value)
    t.equal(bytes.buffer.byteLength, bytes.length)
  }
  const slice = new Uint8Array(1_000).subarray(10, 12)
  t.equal((roundTrip(slice) as Uint8Array).buffer.byteLength, 2, 'a view travels with its own window only')
  t.ok(encodeValue(new Float32Array(new ArrayBuffer(4_000), 8, 2)).length < 40)
  t.equal(Object.getPrototypeOf(roundTrip(Buffer.from('ab'))), Uint8Array.prototype)
})

t.test('cycles and shared references', async (t) => {
  const value: Record<string, unknown> = { list: [], map: new Map(), set: new Set(), error: new Error('e') }
  for (const key of ['list', 'map', 'set'] as const) {
    if (key === 'list') (value[key] as unknown[]).push(value)
    if (key === 'map') (value[key] as Map<unknown, unknown>).set(value, value)
    if (key === 'set') (value[key] as Set<unknown>).add(value)
  }
  (value['error'] as Error).cause = value
  const back = roundTrip(value) as { list: unknown[]; map: Map<unknown, unknown>; set: Set<unknown>; error: Error }
  t.equal(back.list[0], back)
  t.equal(back.map.get(back), back)
  t.ok(back.set.has(back))
  t.equal(back.error.cause, back)
  const shared = { n: 1 }
  const pair = roundTrip([shared, [shared]]) as [object, [object]]
  t.equal(pair[0], pair[1][0])
})

t.test('errors keep name, message, stack, code, cause and own properties', async (t) => {
  class Mine extends TypeError { code = 'E_MINE'; override name = 'Mine'; where = { line: 3 } }
  const error = new Mine('broken', { cause: new RangeError('root') })
  const back = roundTrip(error) as Mine
  t.ok(back instanceof TypeError)
  t.equal(back.name, 'Mine')
  t.match(back, { message: 'broken', code: 'E_MINE', where: { line: 3 }, stack: error.stack })
  t.ok(back.cause instanceof RangeError)
  const many = roundTrip(new AggregateError([new Error('a'), 1], 'both')) as AggregateError
  t.equal((many.errors[0] as Error).message, 'a')
  t.notOk(Object.keys(roundTrip(new Error('x')) as object).length)
})

t.test('instances of classes become plain objects, by decision', async (t) => {
  class Point { x = 1; y = [2]; get sum() { return 3 } }
  const back = roundTrip(new Point()) as object
  t.same(back, { x: 1, y: [2] })
  t.equal(Object.getPrototypeOf(back), Object.prototype)
})

t.test('refusals name the path and a way out', async (t) => {
  t.match(messageOf(() => encodeValue({ a: [0, 1, 2, { f() { return 1 } }] })), /^result\.a\[3\]\.f is a function/)
  t.match(messageOf(() => encodeValue({ p: Promise.resolve() })), /^result\.p is a Promise .*await it first/)
  t.match(messageOf(() => encodeValue(new Map([['k', [Symbol('s')]]]))), /^result<"k">\[0\] is an unregistered symbol/)
  t.match(messageOf(() => encodeArray([1, { 'odd key': new WeakSet() }], { root: 'item' })), /^item\[1\]\["odd key"\] is a WeakSet/)
  for (const value of [new URL('http://a/'), [1].values(), new SharedArrayBuffer(1), new Intl.NumberFormat(), JSON.parse('{"__proto__":1}'), 2n ** 40_000n]) {
    t.equal(codeOf(() => encodeValue(value)), 'FUNCTIONS_ERR_VALUE_UNSUPPORTED')
  }
})

t.test('depth and size are capped with clear errors', async (t) => {
  let deep: unknown = 1
  for (let i = 0; i < 100_000; i++) deep = [deep]
  t.equal(codeOf(() => encodeValue(deep)), 'FUNCTIONS_ERR_VALUE_TOO_DEEP')
  let fits: unknown = new Date(0)
  for (let i = 0; i < LIMITS.valueDepthMax - 1; i++) fits = { fits: [fits] }
  t.equal(codeOf(() => encodeValue(fits)), 'FUNCTIONS_ERR_VALUE_TOO_DEEP')
  let just: unknown = new Map([[1, new Date(0)]])
  for (let i = 0; i < LIMITS.valueDepthMax - 4; i++) just = i % 2 === 0 ? new Map([['k', just]]) : [just]
  t.same(roundTrip(just), just, 'the deepest that may be written can be read')
  t.equal(codeOf(() => encodeValue('x'.repeat(2_000), { sizeBytesMax: 300 })), 'FUNCTIONS_ERR_VALUE_TOO_LARGE')
  t.equal(codeOf(() => encodeValue(new Map([['big', new Float64Array(1_000)]]), { sizeBytesMax: 1_000 })), 'FUNCTIONS_ERR_VALUE_TOO_LARGE')
  t.equal(codeOf(() => encodeValue(Array.from({ length: 100 }, () => 70_000), { sizeBytesMax: 300 })), 'FUNCTIONS_ERR_VALUE_TOO_LARGE', 'bytes are counted in the end')
})

t.test('references and collections', async (t) => {
  const record = { kind: 'VM', uuid: 'u', home: 'n1', name: 'v', attributes: { cpuRatio: 0.5, since: new Date(0) } }
  const bytes = encodeValue({ vm: { [REFERENCE]: record }, pms: { [COLLECTION]: { type: 'kind', kind: 'PhysicalMachine' } } })
  t.same(decodeValue(bytes, { reference: (got) => got.uuid, collection: (spec) => spec.type }), { vm: 'u', pms: 'kind' })
  const inert = decodeValue(bytes) as { vm: Record<symbol, unknown> }
  t.same(inert.vm[REFERENCE], record, 'without hooks a reference stays a reference')
  t.same(encodeValue(inert), bytes)
})

t.test('arrays of items join without decoding', async (t) => {
  const shared = { s: 1 }
  const chunks = [[1, 2, 3], [[shared, shared], new Date(5)], [], Array.from({ length: 300 }, (_, i) => ({ i })), [undefined, -0]]
  const parts = chunks.map((chunk) => encodeArray(chunk))
  const joined = joinArrays(parts)
  t.same(decodeValue(joined), chunks.flat())
  t.equal(joined.buffer.byteLength, joined.length)
  t.equal(readArrayHeader(joined).count, 307)
  checkArray(joined, 307)
  t.equal(codeOf(() => checkArray(joined, 306)), 'FUNCTIONS_ERR_VALUE_MALFORMED')
  t.equal(codeOf(() => checkArray(encodeValue({}), 0)), 'FUNCTIONS_ERR_VALUE_MALFORMED')
  const items = decodeValue(encodeArray([shared, shared])) as unknown[]
  t.not(items[0], items[1], 'items are independent values')
  for (const count of [0, 23, 24, 255, 256, 65_535, 65_536, 5_000_000]) t.equal(readArrayHeader(arrayHeader(count)).count, count)
})

t.test('cold references carry their settings, and no others are believed', async (t) => {
  const record = (over: object): object => ({ [REFERENCE]: { kind: 'VM', uuid: 'u', home: '', name: 'v', attributes: {}, ...over } })
  const back = (value: object): object => (decodeValue(encodeValue(value), { profile: 'args' }) as { readonly [REFERENCE]: object })[REFERENCE]
  const settings = fc.dictionary(fc.string().filter((key) => key !== '__proto__'), fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__')), { maxKeys: 8 }).map((made) => ({ ...made }))
  fc.assert(fc.property(settings, fc.string(), (attributes, name) => isDeepStrictEqual(back(record({ cold: true, name, attributes })), { kind: 'VM', uuid: 'u', home: '', name, attributes, cold: true })), { numRuns: 100 })
  t.notOk('cold' in back(record({})), 'a live one stays live')
  for (const over of [{ cold: 1 }, { cold: false }, { cold: true, attributes: null }, { cold: true, attributes: [] }, { cold: true, attributes: new Map() }, { cold: true, name: 7 }]) {
    t.equal(codeOf(() => back(record(over))), 'FUNCTIONS_ERR_VALUE_MALFORMED', JSON.stringify(over))
  }
})
