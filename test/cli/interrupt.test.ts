// Progress, interruption and the time around them, on a virtual clock.

import t from 'tap'

import { LIMITS } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { Interrupt } from '../../cli/interrupt.ts'
import { ProgressLine, progressText } from '../../cli/render/progress.ts'
import { distance, nearest } from '../../cli/suggest.ts'

t.test('progress shows late, redraws, and leaves nothing', async (t) => {
  const clock = new SimClock()
  let screen = ''
  const line = new ProgressLine({ isTTY: true, columns: 80, write: (text: string) => { screen += text } }, clock)
  line.update({ total: 10, done: 1, failed: 0, pending: 9 })
  clock.advance(LIMITS.progressDelayMs - 1)
  t.equal(screen, '', 'short work shows nothing')
  line.update({ total: 10, done: 3, failed: 1, pending: 6 })
  clock.advance(1)
  t.equal(screen, '\r\u001b[2K3 of 10 done, 1 failed, 6 pending')
  screen = ''
  line.around(() => { screen += 'a console line\n' })
  t.equal(screen, '\r\u001b[2Ka console line\n', 'cleared before anything else is written')
  clock.advance(LIMITS.progressRedrawMs)
  t.match(screen, /3 of 10 done/)
  screen = ''
  line.stop()
  t.equal(screen, '\r\u001b[2K')
  clock.advance(10_000)
  t.equal(screen, '\r\u001b[2K')
  t.equal(progressText({ total: undefined, done: 5, failed: 0, pending: 2 }), '5 done, 2 pending')
})

t.test('no terminal, no progress', async (t) => {
  const clock = new SimClock()
  let written = ''
  const line = new ProgressLine({ write: (text: string) => { written += text } }, clock)
  line.update({ total: 10, done: 1, failed: 0, pending: 9 })
  clock.advance(10_000)
  line.stop()
  t.equal(written, '')
})

t.test('first Ctrl-C asks, the second leaves, one that arrives twice is one', async (t) => {
  const clock = new SimClock()
  const exits: number[] = []
  const interrupt = new Interrupt({ clock, exit: (status) => exits.push(status) })
  interrupt.press()
  t.equal(interrupt.signal.aborted, true)
  clock.advance(LIMITS.interruptRepeatMs - 1)
  interrupt.press()
  t.same(exits, [], 'from the terminal and from the launcher')
  clock.advance(LIMITS.interruptRepeatMs + 1)
  interrupt.press()
  t.same(exits, [130])
})

t.test('clean-up has a bound', async (t) => {
  const clock = new SimClock()
  const exits: number[] = []
  const interrupt = new Interrupt({ clock, exit: (status) => exits.push(status) })
  interrupt.press(143)
  clock.advance(LIMITS.interruptGraceMs)
  t.same(exits, [143])
})

t.test('an interrupted wait takes what still comes, for a moment', async (t) => {
  const clock = new SimClock()
  const interrupt = new Interrupt({ clock, exit: () => {} })
  const late = Promise.withResolvers<string>()
  const kept = interrupt.race(late.promise)
  const lost = interrupt.race(new Promise(() => {}))
  interrupt.limit(100)
  t.equal(interrupt.remainingMs(), 100)
  clock.advance(100)
  t.notOk(interrupt.signal.aborted, 'calls with the same bound tell their own outcomes first')
  clock.advance(LIMITS.interruptSettleMs)
  t.ok(interrupt.signal.aborted)
  late.resolve('late')
  t.equal(await kept, 'late')
  clock.advance(LIMITS.interruptSettleMs)
  await t.rejects(lost, { code: 'CLI_ERR_TIMEOUT' })
})

t.test('did you mean', async (t) => {
  t.equal(distance('nodse', 'nodes'), 1)
  t.equal(distance('', 'abc'), 3)
  t.equal(nearest('tiket', ['ticket', 'nodes']), 'ticket')
  t.equal(nearest('comp', ['completion', 'nodes']), 'completion')
  t.equal(nearest('xyzzy', ['ticket', 'nodes']), undefined)
})
