import { createContext, runInContext } from 'node:vm'
import { fc } from '../support/property.ts'
import { test } from 'tap'
import { REFERENCE } from '../../functions/mod.ts'
import { nearest } from '../../fabric/near.ts'
import { anything, boolean, byteCount, bytes, dictionary, either, integer, list, number, oneOf, optional, ratio, record, reference, text, uuid } from '../../rmo/schema.ts'
import type { Infer, Type } from '../../rmo/schema.ts'

const at = { call: 'Kind.verb', path: 'x' }
const accepts = (type: Type<unknown>, value: unknown): boolean => {
  try { type.check(value, at); return true } catch (error) {
    if ((error as { code?: string }).code?.startsWith('RMO_ERR_ARGUMENT_') === true) return false
    throw error
  }
}
const types = {
  text: text(), boolean: boolean(), integer: integer({ unit: 'count' }), ratio: ratio(), bytes: bytes(), uuid: uuid(), oneOf: oneOf('a', 'b'),
  list: list(text()), dictionary: dictionary(number({ unit: 'count' })), record: record({ a: text(), b: optional(boolean()) }),
  either: either(text(), bytes()), reference: reference('VM'), optional: optional(text()),
}

test('a check answers an equal value or a coded refusal, for anything', async (t) => {
  fc.assert(fc.property(fc.constantFrom(...Object.values(types)), fc.anything(), (type: Type<unknown>, value) => {
    if (!accepts(type, value)) return true
    const checked = type.check(value, at)
    return type.check(checked, at) !== undefined || checked === undefined
  }), { numRuns: 500 })
  t.pass()
})

test('what fits', async (t) => {
  for (const [type, value] of [
    [types.text, ''], [types.integer, 0], [types.ratio, 1], [types.bytes, new Uint8Array(2)], [types.bytes, Buffer.from('a')], [types.oneOf, 'b'],
    [types.list, ['a']], [types.dictionary, { a: 1 }], [types.record, { a: 'x' }], [types.record, Object.assign(Object.create(null) as object, { a: 'x', b: true })],
    [types.either, 'a'], [types.optional, undefined], [types.uuid, '00000000-0000-8000-8000-000000000000'],
  ] as const) t.ok(accepts(type, value), `${type.expected}: ${JSON.stringify(value)}`)
  for (const [type, value] of [
    [types.text, 3], [types.text, 'x'.repeat(70_000)], [types.integer, 1.5], [types.integer, -1], [types.integer, NaN], [types.ratio, 1.1], [types.ratio, NaN],
    [types.bytes, [1]], [types.oneOf, 'c'], [types.oneOf, ['a']], [types.list, 'a'], [types.list, new Array(5_000)], [types.record, { a: 'x', c: 1 }],
    [types.record, { b: true }], [types.record, new Map()], [types.record, []], [types.record, null], [types.dictionary, { a: 'x' }], [types.either, 3], [types.reference, { kind: 'VM' }],
  ] as const) t.notOk(accepts(type, value), `${type.expected}: ${String(value).slice(0, 20)}`)
})

test('refusals name the property path, and the option that was meant', async (t) => {
  const type = record({ disks: list(record({ sizeBytes: byteCount({ min: 1 }) })), timeoutMs: optional(integer({ unit: 'milliseconds' })) })
  t.throws(() => type.check({ disks: [{ sizeBytes: 1 }, { sizeBytes: 0 }] }, { call: 'VM.add', path: 'options' }),
    { code: 'RMO_ERR_ARGUMENT_INVALID', message: 'VM.add: options.disks[1].sizeBytes must be an integer (bytes) of at least 1, got 0.' })
  t.throws(() => type.check({ disks: [], timeoutms: 1 }, { call: 'VM.add', path: 'options' }),
    { code: 'RMO_ERR_ARGUMENT_UNKNOWN', message: 'VM.add: there is no option options.timeoutms. Did you mean timeoutMs? Options: disks, timeoutMs.' })
})

test('values of another realm fit', async (t) => {
  const [options, array, data] = runInContext('[{ a: "x" }, ["y"], new Uint8Array(1)]', createContext()) as unknown[]
  t.ok(accepts(types.record, options))
  t.ok(accepts(types.list, array))
  t.ok(accepts(types.bytes, data))
})

test('a key named __proto__ stays a key', async (t) => {
  const checked = dictionary(anything()).check(JSON.parse('{"__proto__": {"polluted": 1}}'), at)
  t.equal(Object.getPrototypeOf(checked), Object.prototype)
  t.equal((checked as { polluted?: unknown }).polluted, undefined)
})

test('references are taken by their record and kind', async (t) => {
  const vm = { kind: 'VM', uuid: 'u', home: 'h', name: 'n', attributes: {} }
  t.equal(types.reference.check({ [REFERENCE]: vm }, at), vm)
  t.notOk(accepts(types.reference, { [REFERENCE]: { ...vm, kind: 'Volume' } }))
})

test('TypeScript infers what a schema checks', async (t) => {
  const type = record({ name: text(), sizes: list(byteCount()), mode: optional(oneOf('fast', 'safe')) })
  const value: Infer<typeof type> = { name: 'a', sizes: [1] }
  const back: { readonly name: string; readonly sizes: readonly number[]; readonly mode?: 'fast' | 'safe' } = type.check(value, at)
  t.same(back, value)
})

test('nearest', async (t) => {
  t.equal(nearest('cpuRato', ['cores', 'cpuRatio', 'name']), 'cpuRatio')
  t.equal(nearest('memoryFree', ['memoryTotalBytes', 'memoryFreeBytes']), 'memoryFreeBytes')
  t.equal(nearest('zzz', ['cores', 'cpuRatio']), undefined)
})
