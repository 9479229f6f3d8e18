// The end of a node, on a clock of the test's: every part is asked, in reverse, whatever the others do.

import t from 'tap'
import { LIMITS, SimClock } from '../../fabric/mod.ts'
import { Stopping } from '../../kali/stopping.ts'

interface Warning { readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
function open(): { readonly clock: SimClock; readonly warnings: Warning[]; readonly parts: Stopping; readonly ended: string[]; readonly part: (name: string) => void } {
  const clock = new SimClock()
  const warnings: Warning[] = [], ended: string[] = []
  const parts = new Stopping({ clock, warn: (message, fields) => { warnings.push({ message, fields }) } })
  return { clock, warnings, parts, ended, part: (name) => parts.add(name, () => { ended.push(name) }) }
}
const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

t.test('in reverse, one after the other, once', async (t) => {
  const { parts, part, ended, warnings } = open()
  part('first')
  parts.add('slow', async () => { await turn(); ended.push('slow') })
  part('last')
  t.notOk(parts.begun)
  const [one, other] = [parts.stop(), parts.stop()]
  t.ok(parts.begun)
  await Promise.all([one, other])
  t.same(ended, ['last', 'slow', 'first'])
  t.same(warnings, [])
})

t.test('one that never ends is named and left behind; those that throw or reject keep nobody either', async (t) => {
  const { clock, parts, part, ended, warnings } = open()
  part('fabric')
  parts.add('throws', () => { throw new Error('at once') })
  parts.add('rejects', () => Promise.reject(new Error('later')))
  parts.add('hangs', () => new Promise<void>(() => {}))
  part('door')
  let over = false
  const stopping = parts.stop().then(() => { over = true })
  await turn()
  t.same(ended, ['door'])
  clock.advance(LIMITS.stopStepMs - 1)
  await turn()
  t.notOk(over, 'its time is its own')
  clock.advance(1)
  await stopping
  t.same(ended, ['door', 'fabric'])
  t.match(warnings, [
    { message: /did not stop in time/, fields: { part: 'hangs', waitedMs: LIMITS.stopStepMs } },
    { message: /did not stop cleanly/, fields: { part: 'rejects', reason: /later/ } },
    { message: /did not stop cleanly/, fields: { part: 'throws', reason: /at once/ } },
  ])
})

t.test('one that rejects after its time is heard by nobody', async (t) => {
  const { clock, parts, warnings } = open()
  const { promise, reject } = Promise.withResolvers<void>()
  parts.add('late', () => promise)
  const stopping = parts.stop()
  await turn()
  clock.advance(LIMITS.stopStepMs)
  await stopping
  reject(new Error('too late'))
  await turn()
  t.equal(warnings.length, 1)
})

t.test('what starts while the node ends is stopped, too', async (t) => {
  const { parts, part, ended } = open()
  const { promise, resolve } = Promise.withResolvers<void>()
  parts.add('starting', () => promise)
  const stopping = parts.stop()
  await turn()
  part('during')
  resolve()
  await stopping
  t.same(ended, ['during'])
  part('after')
  await turn()
  t.same(ended, ['during', 'after'])
})
