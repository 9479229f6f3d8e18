// W3C trace context: what is believed of a traceparent, and what goes out.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { parseTraceparent, traceContext, traceIdOf, traceOf } from '../../../functions/mod.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736', SPAN = '00f067aa0ba902b7'
const random = seededRandom(1)

test('a valid traceparent is continued: same trace, same flags, a new span', (t) => {
  const { trace, traceId, spanId, traceparent } = traceContext({ traceparent: `00-${TRACE}-${SPAN}-01`, trace: 'f'.repeat(16), random })
  t.equal(traceId, TRACE)
  t.equal(trace, TRACE.slice(16), 'ours is the right half')
  t.not(spanId, SPAN)
  t.equal(traceparent, `00-${TRACE}-${spanId}-01`)
  t.equal(traceContext({ traceparent: `00-${TRACE}-${SPAN}-00`, trace: 'f'.repeat(16), random }).traceparent.slice(-2), '00', 'not sampled stays not sampled')
  t.equal(traceContext({ traceparent: `00-${TRACE}-${SPAN}-ff`, trace: 'f'.repeat(16), random }).traceparent.slice(-2), '03', 'flags that nobody knows are not passed on')
  t.end()
})

test('what the specification says to ignore starts a trace of our own', (t) => {
  const wrong = {
    'nothing': undefined, 'empty': '', 'version ff': `ff-${TRACE}-${SPAN}-01`, 'no trace': `00-${'0'.repeat(32)}-${SPAN}-01`, 'no span': `00-${TRACE}-${'0'.repeat(16)}-01`,
    'upper case': `00-${TRACE.toUpperCase()}-${SPAN}-01`, 'short trace': `00-${TRACE.slice(1)}-${SPAN}-01`, 'no flags': `00-${TRACE}-${SPAN}`,
    'version 00 with more': `00-${TRACE}-${SPAN}-01-what`, 'a space': ` 00-${TRACE}-${SPAN}-01`, 'two headers': `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`, 'later version without a dash': `01-${TRACE}-${SPAN}-01x`,
  }
  for (const [what, traceparent] of Object.entries(wrong)) {
    t.equal(parseTraceparent(traceparent), undefined, what)
    const made = traceContext({ traceparent, trace: '0123456789abcdef', random })
    t.equal(made.traceId, '00000000000000000123456789abcdef', `${what}: ours, padded`)
    t.equal(made.trace, '0123456789abcdef')
    t.equal(made.traceparent.slice(-2), '01')
  }
  t.same(parseTraceparent(`01-${TRACE}-${SPAN}-01-later`), { traceId: TRACE, spanId: SPAN, flags: 1 }, 'a later version is read as far as we know it')
  t.end()
})

test('what goes out is always valid, and the trace stays one over any number of hops', (t) => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)), fc.stringMatching(/^[0-9a-f]{15}[1-9a-f]$/), fc.integer({ min: 1, max: 5 }), (traceparent, trace, hops) => {
    const first = traceContext({ traceparent, trace, random })
    let at = first
    for (let hop = 0; hop < hops; hop++) at = traceContext({ traceparent: at.traceparent, trace: at.trace, random })
    return parseTraceparent(at.traceparent)?.traceId === first.traceId && at.trace === first.trace && /^[0-9a-f]{16}$/.test(at.trace)
  }))
  t.equal(traceOf(`${SPAN}${'0'.repeat(16)}`), SPAN, 'a right half of zeros is no trace: the left one is taken')
  t.equal(traceOf(traceIdOf('0123456789abcdef')), '0123456789abcdef')
  t.end()
})
