// What reaches the terminal and what reaches programs: neutralising, widths, tables, JSON, merging.

import { fc } from '../support/property.ts'
import t from 'tap'

import { CodedError } from '../../fabric/base.ts'
import { toJson } from '../../cli/render/json.ts'
import { foldNames, mergeOutcomes, mergedText } from '../../cli/render/merge.ts'
import { columnsOf, referencesTable } from '../../cli/render/references.ts'
import { PLAIN_STYLE, wantsColor } from '../../cli/render/style.ts'
import { fitWidths, table } from '../../cli/render/table.ts'
import { neutral, neutralLine, truncate, width } from '../../cli/render/text.ts'
import { bytesText, durationText, parseDurationMs } from '../../cli/render/units.ts'
import { failuresTable, forPeople } from '../../cli/render/value.ts'
import type { PeopleLayout } from '../../cli/render/value.ts'
import type { Outcome } from '../../functions/mod.ts'
import { reference } from '../support/fake-datacenter.ts'

const FILE: PeopleLayout = { style: PLAIN_STYLE, terminal: false, columns: undefined }
const TERMINAL: PeopleLayout = { style: PLAIN_STYLE, terminal: true, columns: 40 }
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

const value = (index: number, nodeName: string, v: unknown): Outcome<unknown> => ({ status: 'value', index, value: v, node: 'n', nodeName })
const failure = (index: number, nodeName: string, message: string): Outcome<unknown> =>
  ({ status: 'error', index, error: new CodedError(message, { code: 'X_ERR' }), node: 'n', nodeName, element: nodeName, mayHaveRun: true })

t.test('no value drives a terminal', async (t) => {
  const hostile = fc.string({ unit: fc.constantFrom('a', '\u001b', '[2J', '\u009b', '\r', '\b', '\u202e', '\n', '\u007f', ']0;t\u0007') })
  const any = fc.anything({ values: [hostile, fc.integer(), fc.boolean()], key: hostile, withMap: true, withSet: true, withDate: true })
  fc.assert(fc.property(any, (v) => {
    if (CONTROL.test(forPeople(v, TERMINAL) ?? '')) throw new Error('a control character passed')
  }), { numRuns: 500 })
  t.equal(neutral('a\u001b[31mb\r\nc\td'), 'a\\e[31mb\nc\td')
  t.equal(neutralLine('a\nb\tc'), 'a\\nb\\tc')
  t.equal(forPeople('a\u001bb', FILE), 'a\u001bb', 'a pipe gets the bytes')
})

t.test('widths count cells, not code units', async (t) => {
  t.equal(width('abc'), 3)
  t.equal(width('日本'), 4)
  t.equal(width('e\u0301'), 1)
  t.equal(width('👩‍👩‍👧'), 2)
  t.equal(truncate('日本語', 5), '日本…')
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, columns) => width(truncate(text, columns)) <= columns))
})

t.test('columns fit the terminal, the widest gives first', async (t) => {
  t.same(fitWidths([5, 40, 20], 50), [5, 21, 20])
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }), fc.integer({ min: 80, max: 200 }), (natural, room) => {
    const widths = fitWidths(natural, room)
    return widths.reduce((a, b) => a + b, 0) + 2 * (widths.length - 1) <= room && widths.every((w, i) => w <= (natural[i] ?? 0))
  }))
  const narrow = table([{ title: 'version', whole: true }, { title: 'rights' }], [['7cbbbbb1057e', 'vm:read, pm:read']], { ...FILE, columns: 24 })
  t.equal(narrow.split('\n')[1], '7cbbbbb1057e  vm:read, …', 'what is whole is not cut')
  const text = table([{ title: 'name' }, { title: 'n', align: 'right' }], [['a', '1'], ['bb', '22']], FILE)
  t.equal(text, 'name   n\na      1\nbb    22')
})

t.test('values for people', async (t) => {
  t.equal(forPeople(undefined, FILE), undefined)
  t.equal(forPeople(['a', 'b'], FILE), 'a\nb')
  t.equal(forPeople(12n, FILE), '12')
  t.equal(forPeople([{ name: 'x', cpu: 0.5 }, { name: 'y', other: true }], FILE), 'name  cpu  other\nx     0.5\ny          true')
  t.equal(forPeople({ a: 1, b: 'two' }, FILE), 'a  1\nb  two')
  t.equal(forPeople({ a: { b: [1] } }, FILE), '{ a: { b: [ 1 ] } }')
  t.equal(forPeople(new Map([['k', 1]]), FILE), 'key  value\nk    1')
  t.match(forPeople([reference('alpha')], FILE), /^name +kind +cpuRatio\nalpha +PhysicalMachine +0\.5$/, 'references are read, never called')
  t.match(forPeople([failure(0, 'beta', 'broke'), value(1, 'alpha', 'fine\n')], FILE), /alpha +value +fine\n +beta +beta +error +X_ERR: broke/, 'failures last')
})

t.test('objects of a kind have the columns that it declares', async (t) => {
  const columns = await columnsOf('PhysicalMachine')
  t.match(columns, [{ attribute: 'state' }])
  t.match(referencesTable([reference('alpha')], columns ?? [], FILE), /^name +state +address +cpu.*\nalpha +- +- +50%/)
  t.equal(await columnsOf('Unicorn'), undefined)
})

t.test('failures beyond the limit are counted', async (t) => {
  const many = Array.from({ length: 25 }, (_, i) => failure(i, `n${i}`, 'no'))
  t.match(failuresTable(many, FILE), /\.\.\. and 5 more/)
})

t.test('JSON has a word for every value', async (t) => {
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  const cases: readonly [unknown, string][] = [
    [undefined, 'null'], [{ a: undefined, b: [undefined] }, '{"b":[null]}'], [12345678901234567890n, '"12345678901234567890"'],
    [[NaN, Infinity, -Infinity, -0], '["NaN","Infinity","-Infinity",0]'], [new Date(0), '"1970-01-01T00:00:00.000Z"'], [new Date(NaN), 'null'],
    [new Map<unknown, unknown>([['a', 1], [2, undefined]]), '{"a":1,"2":null}'], [new Map([[{}, 1]]), '[[{},1]]'], [new Map<unknown, number>([[1, 1], ['1', 2]]), '[[1,1],["1",2]]'],
    [new Set([1, 'x']), '[1,"x"]'], [new Uint8Array([1, 2]), '"AQI="'], [new Float64Array([0.5]), '[0.5]'], [new BigInt64Array([1n]), '["1"]'],
    [Object.assign(new TypeError('no'), { code: 'C' }), '{"name":"TypeError","message":"no","code":"C"}'],
    [cyclic, '{"self":"[Circular]"}'], [(function named() {}), '"[Function: named]"'], [JSON.parse('{"__proto__": 1}'), '{"__proto__":1}'],
    ['\u009b\u202e\u007f', '"\\u009b\\u202e\\u007f"'], [reference('a'), '{"kind":"PhysicalMachine","name":"a","uuid":"uuid-a","home":"' + 'a'.repeat(64) + '","cpuRatio":0.5}'],
  ]
  for (const [input, expected] of cases) t.equal(toJson(input), expected)
  fc.assert(fc.property(fc.jsonValue(), (v) => { t.same(JSON.parse(toJson(v)), JSON.parse(JSON.stringify(v))) }), { numRuns: 200 })
  fc.assert(fc.property(fc.anything({ withMap: true, withSet: true, withBigInt: true, withTypedArray: true, withDate: true, withNullPrototype: true }), (v) => { JSON.parse(toJson(v)) }), { numRuns: 500 })
})

t.test('equal answers are printed once', async (t) => {
  t.equal(foldNames(['node1', 'node2', 'node3', 'web', 'node7']), 'node[1-3,7],web')
  t.equal(foldNames(['n08', 'n09', 'n10', 'n8']), 'n[08-10],n8')
  t.equal(foldNames(['rack1-node2-ib', 'rack1-node3-ib']), 'rack1-node[2,3]-ib')
  t.equal(foldNames(['alpha', 'alpha']), 'alpha')
  const groups = mergeOutcomes([value(0, 'n1', 'x'), value(1, 'n2', 'y'), value(2, 'n3', 'x'), failure(3, 'n4', 'broke')], String)
  t.equal(mergedText(groups), 'n[1,3] (2): x\nn2: y\nn4: error: X_ERR: broke')
  t.equal(mergedText([{ nodes: ['a', 'b'], text: 'l1\nl2', failed: false }]), '--- a,b (2)\nl1\nl2')
})

t.test('folding loses no name', async () => {
  const expand = (folded: string): string[] => folded.split(/,(?![^[]*\])/).flatMap((part) => {
    const match = /^(.*)\[([^\]]+)\](.*)$/s.exec(part)
    if (match === null) return [part]
    return (match[2] ?? '').split(',').flatMap((range) => {
      const [from = '', to = from] = range.split('-')
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => `${match[1]}${from.startsWith('0') || from.length === to.length ? String(Number(from) + i).padStart(from.length, '0') : Number(from) + i}${match[3]}`)
    })
  })
  const name = fc.tuple(fc.constantFrom('n', 'web', 'rack1-n'), fc.integer({ min: 0, max: 120 }), fc.constantFrom(0, 2, 3), fc.constantFrom('', '-ib')).map(([p, n, z, s]) => `${p}${String(n).padStart(z, '0')}${s}`)
  fc.assert(fc.property(fc.uniqueArray(name, { maxLength: 40 }), (names) => {
    const back = names.length === 0 ? [] : expand(foldNames(names))
    if (back.toSorted().join() !== names.toSorted().join()) throw new Error(`${names.join()} became ${foldNames(names)}`)
  }))
})

t.test('units and colour', async (t) => {
  t.equal(bytesText(1536), '1.5 KiB')
  t.equal(bytesText(undefined), '-')
  t.equal(durationText(3_600_000 * 50), '2d 2h')
  t.equal(durationText(61_000), '1m 1s')
  t.equal(durationText(0), '0s')
  t.equal(parseDurationMs('1.5s'), 1500)
  for (const bad of ['', '2', '-1s', 's', '0s', '1 year']) t.equal(parseDurationMs(bad), undefined)
  const wish = { color: true, terminal: true, env: {} }
  t.equal(wantsColor(wish), true)
  t.equal(wantsColor({ ...wish, env: { NO_COLOR: '1', FORCE_COLOR: '1' } }), false)
  t.equal(wantsColor({ ...wish, terminal: false, env: { FORCE_COLOR: '1' } }), true)
  t.equal(wantsColor({ ...wish, color: false }), false)
})
