// Random bytes of the system: short ones are cut off a longer draw, each given once.
import { test } from 'tap'
import { systemRandom } from '../../fabric/base.ts'

test('bytes of every length, and none given twice', (t) => {
  for (const length of [0, 1, 31, 32, 33, 1_024, 70_000]) t.equal(systemRandom.bytes(length).length, length)
  const drawn = new Set(Array.from({ length: 2_000 }, () => Buffer.from(systemRandom.bytes(16)).toString('hex')))
  t.equal(drawn.size, 2_000)
  t.notOk(drawn.has('0'.repeat(32)))
  t.end()
})

test('what was given is the caller\'s own', (t) => {
  const first = systemRandom.bytes(8), kept = first.slice()
  const second = systemRandom.bytes(8)
  second.fill(0)
  t.same(first, kept)
  t.equal(first.buffer.byteLength, 8, 'not a view of what others get')
  t.end()
})
