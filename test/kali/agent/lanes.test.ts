// So much at once, starts first, and nobody waits for what it was called back from.

import t from 'tap'
import { createLanes } from '../../../kali/agent/lanes.ts'

t.test('bounded, urgent first, called back at once', async (t) => {
  const lanes = createLanes(1), never = new AbortController().signal
  const order: string[] = []
  const first = Promise.withResolvers<void>()
  const running = lanes.run(false, never, async () => { order.push('first'); await first.promise })
  const back = new AbortController()
  const others = [
    lanes.run(false, never, async () => { order.push('make') }),
    lanes.run(true, never, async () => { order.push('start') }),
  ]
  const called = lanes.run(true, back.signal, async () => { order.push('never') })
  back.abort(new Error('called back'))
  await t.rejects(called, /called back/)
  await t.rejects(lanes.run(true, back.signal, async () => { order.push('never') }), /called back/)
  t.same(order, ['first'])
  first.resolve()
  await Promise.all([running, ...others])
  t.same(order, ['first', 'start', 'make'])
})
