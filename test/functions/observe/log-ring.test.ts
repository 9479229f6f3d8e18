// The ring of lines: its bounds, its fairness, and what becomes of a flood.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { LogRing, matches } from '../../../functions/observe/log-ring.ts'
import { logLine } from '../../support/observed-nodes.ts'

const generous = { burstLines: 1e6, linesPerSecond: 1e6 }
const texts = (ring: LogRing, name?: string): string[] => ring.last({ name }, 1e6).map(({ line }) => line.text)

test('never more lines nor bytes than its bounds, and always the newest of each function', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(400)), { maxLength: 200 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 700, max: 20_000 }), (writes, linesMax, bytesMax) => {
    const ring = new LogRing({ ...generous, linesMax, bytesMax })
    const all = new Map<string, number[]>()
    for (const [name, size] of writes) {
      for (const { seq } of ring.push(logLine({ name, text: 'x'.repeat(size) }), 0)) all.set(name, [...all.get(name) ?? [], seq])
      if (ring.lines > linesMax || ring.bytes > bytesMax) return false
    }
    return [...all].every(([name, seqs]) => {
      const kept = ring.last({ name }, 1e6).map(({ seq }) => seq)
      return JSON.stringify(kept) === JSON.stringify(seqs.slice(seqs.length - kept.length))
    }) && ring.last({}, 1e6).length === ring.lines
  }))
  t.end()
})

test('a function that floods pushes out itself, and no other', (t) => {
  const ring = new LogRing({ ...generous, linesMax: 100 })
  for (let n = 0; n < 20; n++) ring.push(logLine({ name: 'quiet', text: `q${n}` }), 0)
  for (let n = 0; n < 10_000; n++) ring.push(logLine({ name: 'flood', text: `f${n}` }), 0)
  t.equal(texts(ring, 'quiet').length, 20)
  t.equal(texts(ring, 'flood').length, 80)
  t.equal(texts(ring, 'flood').at(-1), 'f9999')
  const bytes = new LogRing({ ...generous, bytesMax: 50_000 })
  for (let n = 0; n < 10; n++) bytes.push(logLine({ name: 'quiet', text: `q${n}` }), 0)
  for (let n = 0; n < 1_000; n++) bytes.push(logLine({ name: 'flood', text: 'x'.repeat(5_000) }), 0)
  t.equal(texts(bytes, 'quiet').length, 10, 'in bytes too')
  t.end()
})

test('above its rate lines are counted, and the count is told', (t) => {
  const ring = new LogRing({ burstLines: 10, linesPerSecond: 5 })
  for (let n = 0; n < 100; n++) ring.push(logLine({ text: `f${n}` }), 0)
  ring.push(logLine({ name: 'other', text: 'here' }), 0)
  t.equal(texts(ring, 'hot').length, 10)
  t.same(texts(ring, 'other'), ['here'], 'each function has a rate of its own')
  t.same(ring.push(logLine({ text: 'again' }), 1_000).map(({ line }) => [line.level, line.text]), [['system', '90 lines dropped: more than 5 a second'], ['info', 'again']])
  for (let n = 0; n < 10; n++) ring.push(logLine(), 1_000)
  t.same(ring.overdue(1_000).map(({ line }) => line.text), [], 'no room yet')
  t.same(ring.overdue(3_000).map(({ line }) => line.text), ['6 lines dropped: more than 5 a second'], 'told also when nothing more comes')
  t.same(ring.overdue(60_000), [])
  t.end()
})

test('a line is cut to its bound and says so', (t) => {
  const ring = new LogRing({ lineBytesMax: 100 })
  ring.push(logLine({ text: '\ud83d\ude00'.repeat(1_000), fields: { big: 'y'.repeat(500) } }), 0)
  const [kept] = ring.last({}, 1)
  t.match(kept?.line.text, /\.\.\. \(1900 more characters\)$/)
  t.ok(kept?.line.text.isWellFormed())
  t.same(kept?.line.fields, { cut: 'fields of 510 characters' })
  t.end()
})

test('filters: name, call, level; numbers go on', (t) => {
  t.ok(matches(logLine({ level: 'system' }), { level: 'error' }), 'lines about a function pass every level')
  t.notOk(matches(logLine({ level: 'info' }), { level: 'warn' }))
  t.notOk(matches(logLine(), { callId: 'other' }))
  const ring = new LogRing()
  for (let n = 0; n < 10; n++) ring.push(logLine({ name: n % 2 === 0 ? 'even' : 'odd', text: String(n) }), 0)
  t.same(ring.last({}, 3).map(({ line }) => line.text), ['7', '8', '9'])
  t.same(ring.last({ name: 'even' }, 2).map(({ line }) => line.text), ['6', '8'])
  t.same(ring.last({}, 0), [])
  t.same(ring.last({}, 100, 8).map(({ line }) => line.text), ['8', '9'], 'after a number')
  t.end()
})
