// Load traces: what is read, what is refused with its line, and the loads made of it.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { parseTrace, parseTraceTime } from '../../../kali/mod.ts'
import { patternOf, sequencesOf } from '../../../kali/simulate/trace.ts'

const START = Date.UTC(2026, 0, 1)
const read = (text: string) => parseTrace(text, { file: 'load.csv', startAtMs: START })
const VMS = [{ name: 'web1', host: 'sim1' }, { name: 'web2', host: 'sim2' }, { name: 'db1', host: 'sim2' }]

test('seconds, units and dates are times; the last line that fits counts', async (t) => {
  const rows = read('# load\ntime,target,cpuRatio\n0,*,0.1\n10m,web*,0.5\n2026-01-01T00:20:00Z,sim2,1\n')
  t.same(rows.map(({ atMs }) => atMs), [0, 600_000, 1_200_000])
  const [web1, web2, db1] = sequencesOf(rows, VMS, { forMs: 1_800_000, interpolation: 'step' })
  t.same([web1, web2, db1].map((of) => of?.cpuRatios), [[0.1, 0.5, 0.5], [0.1, 0.5, 1], [0.1, 0.1, 1]])
  t.equal(web1?.stepMs, 600_000)
})

test('linear goes straight from one value to the next, and holds the last', async (t) => {
  const [of] = sequencesOf(read('time,vm,cpuRatio\n0,web1,0\n100,web1,1\n'), VMS, { forMs: 150_000, interpolation: 'linear' })
  const at = (ms: number): number => of?.cpuRatios[ms / (of.stepMs)] ?? NaN
  t.equal(at(0), 0)
  t.equal(at(50_000), 0.5)
  t.equal(at(100_000), 1)
  t.equal(of?.cpuRatios.at(-1), 1)
})

test('what is wrong is told with its line', async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ['', 1], ['0,*,0.5\n', 1], ['time,vm,cpuRatio\n', 2], ['time,vm,cpuRatio\n0,*,0.5\nnoon,*,0.5\n', 3], ['time,vm,cpuRatio\n\n# x\n0,*,1.5\n', 4], ['time,vm,cpuRatio\n0,*\n', 2], ['time,vm,cpuRatio\n0,*,\n', 2], ['time,vm,cpuRatio\n0,,0.5\n', 2],
  ]
  for (const [text, line] of cases) {
    try {
      read(text)
      t.fail(`it was taken: ${JSON.stringify(text)}`)
    } catch (error) {
      t.equal(errorCode(error), 'KALI_ERR_TRACE_INVALID')
      t.match((error as Error).message, `load.csv, line ${line}:`, JSON.stringify(text))
    }
  }
})

test('any rows, written and read, are the same; any text is read or refused', async (t) => {
  const row = fc.record({ atMs: fc.integer({ min: 0, max: 86_400 }).map((s) => s * 1_000), pattern: fc.stringMatching(/^[a-z*][a-z0-9*-]{0,8}$/), cpuRatio: fc.integer({ min: 0, max: 100 }).map((n) => n / 100) })
  fc.assert(fc.property(fc.array(row, { minLength: 1 }), (rows) => {
    const text = `time,vm,cpuRatio\n${rows.map(({ atMs, pattern, cpuRatio }) => `${atMs / 1_000},${pattern},${cpuRatio}`).join('\n')}`
    t.same(read(text).map(({ atMs, pattern, cpuRatio }) => ({ atMs, pattern, cpuRatio })), rows.toSorted((a, b) => a.atMs - b.atMs))
  }), { numRuns: 50 })
  fc.assert(fc.property(fc.string(), (text) => {
    try { read(`time,vm,cpuRatio\n${text}`) } catch (error) { t.equal(errorCode(error), 'KALI_ERR_TRACE_INVALID') }
  }), { numRuns: 200 })
})

test('patterns fit as their regular expression does', async (t) => {
  const word = fc.stringMatching(/^[ab-]{0,6}$/)
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), word, (parts, name) => {
    t.equal(patternOf(parts.join('*'))(name), new RegExp(`^${parts.join('.*')}$`).test(name))
  }), { numRuns: 300 })
})

test('times', async (t) => {
  t.same(['90', '1.5', '5m', '2h30m', '1d', '250ms', '2026-01-02', 'soon', '', '-5'].map((text) => parseTraceTime(text, START)), [90_000, 1_500, 300_000, 9_000_000, 86_400_000, 250, 86_400_000, undefined, undefined, undefined])
})
