// Runs that end before their time, through the public door: nothing short passes for a whole answer.

import t from 'tap'
import { connect, startNode } from '../../kali/mod.ts'
import { openLab } from '../support/fabric-lab.ts'

t.setTimeout(90_000)
const lab = await openLab(t)
const node = await startNode({ data: lab.dir('alpha'), name: 'alpha', listen: '127.0.0.1' })
t.teardown(() => node.stop())
const dc = await connect({ data: lab.dir('alpha'), defaults: { timeoutMs: 30_000 } })
t.teardown(() => dc.close())

async function* stuckAfter(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield i
  await new Promise(() => {})
}

t.test('an input that is never read to its end is no complete answer', async (t) => {
  const outcomes = await dc.from(stuckAfter(3)).dmap((x) => x, { timeoutMs: 700 }).settled()
  t.same(outcomes.map(({ index, status }) => `${index} ${status}`), ['0 value', '1 value', '2 value', '3 timeout'])
  await t.rejects(Promise.resolve(dc.from(stuckAfter(0)).dmap((x) => x, { timeoutMs: 700 })), { code: 'FUNCTIONS_ERR_MAP_FAILED' })
  await t.rejects(dc.from(stuckAfter(3)).dsum(undefined, { timeoutMs: 700 }), { code: 'FUNCTIONS_ERR_RUN_TIMEOUT' })
})

t.test('a run that is cancelled at once has an outcome for each element', async (t) => {
  const control = new AbortController()
  const asked = dc.range(10).dmap(() => new Promise(() => {}), { signal: control.signal }).settled()
  setImmediate(() => control.abort())
  t.same((await asked).map(({ status }) => status), Array.from({ length: 10 }, () => 'cancelled'))
})

t.test('ten thousand references travel as one question', async (t) => {
  const [pm] = await dc.pms
  t.equal((await dc.from(Array.from({ length: 10_000 }, () => pm!)).dmap((each) => each.name)).length, 10_000)
})

t.test('a range that cannot be counted is refused where it is written', (t) => {
  for (const [from, to, step] of [[0, NaN, 1], [0, 5, 0], [5, 0, 0], [0, Infinity, 1], [-1e308, 1e308, 1e-300]] as const) t.throws(() => dc.range(from, to, step), { code: 'FUNCTIONS_ERR_BAD_RANGE' })
  t.end()
})
