// The sketch of durations: merged it is as one, and its quantiles are right to its error.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { Sketch, SKETCH_ERROR_RATIO } from '../../../functions/observe/sketch.ts'

const of = (values: readonly number[]): Sketch => values.reduce((sketch, ms) => { sketch.add(ms); return sketch }, new Sketch())
const durations = fc.array(fc.double({ min: 0.01, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 300 })
const fraction = fc.constantFrom(0, 0.01, 0.5, 0.9, 0.95, 0.99, 1)

test('sketches of several nodes, merged, are the sketch of all values', (t) => {
  fc.assert(fc.property(fc.array(durations, { minLength: 1, maxLength: 5 }), fraction, (parts, at) => {
    const merged = parts.map(of).reduce((all, part) => all.merge(Sketch.fromWire(part.toWire())), new Sketch())
    const whole = of(parts.flat())
    return merged.total === whole.total && merged.quantile(at) === whole.quantile(at)
  }))
  t.end()
})

test('a quantile is within the error of the true one', (t) => {
  fc.assert(fc.property(durations, fraction, (values, at) => {
    const sorted = values.toSorted((a, b) => a - b)
    const exact = sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)] ?? 0
    return Math.abs(of(values).quantile(at) / exact - 1) <= SKETCH_ERROR_RATIO + 1e-9
  }))
  t.ok(SKETCH_ERROR_RATIO < 0.05)
  t.equal(new Sketch().quantile(0.5), 0, 'of nothing')
  t.end()
})

test('what a peer sends is no trusted sketch', (t) => {
  for (const wire of [null, 'x', { a: 1 }, [1], [-1, 5], [1e9, 5], [1.5, 5], [3, -1], [3, Infinity], [3, '7'], Array.from({ length: 100_000 }, () => 'x')]) t.equal(Sketch.fromWire(wire).total, 0)
  t.equal(Sketch.fromWire([3, 7, 999, 1, 4]).total, 7)
  fc.assert(fc.property(fc.anything(), (wire) => Sketch.fromWire(wire).total >= 0))
  t.end()
})
