// defineFunction outside of a sandbox: a function's file can be loaded, and its `run` called with a context of the test's own.

import t from 'tap'
import { byRank, defineFunction, defineScheduler, from, mac, range, type FunctionContext } from '../../../cli/function-api.ts'

t.test('a definition can be tried by hand', async (t) => {
  const lines: unknown[] = []
  const made = defineFunction({ name: 'hello', run: ({ log }, payload: { readonly to: string }) => { log.info({ to: payload.to }); return payload.to.length } })
  const context = { log: { info: (fields: unknown) => lines.push(fields) } } as unknown as FunctionContext
  t.equal(await made.run(context, { to: 'you' }), 3)
  t.same(lines, [{ to: 'you' }])
  t.ok(Object.isFrozen(made))
})

t.test('a scheduler can be tried by hand too', async (t) => {
  const made = defineScheduler({ name: 'by-rank', limits: { timeout: '1s' }, schedule: (vm, pms) => pms.filter((pm) => pm.availableFor(vm)).sort(byRank) })
  const payload = { vm: { uuid: 'v' }, pms: [{ uuid: 'a', rank: 0.9, available: false }, { uuid: 'b', rank: 0.1, available: true }, { uuid: 'c', rank: 0.5, available: true }] } as never
  t.same(await made.run(undefined, payload), { machines: ['c', 'b'], list: true })
  t.match(made, { name: 'by-rank', limits: { timeout: '1s' } })
  t.notOk('schedule' in made)
  t.throws(() => defineScheduler({ name: 'f', schedule: undefined as never }), { name: 'TypeError', message: /needs schedule\(vm, pms\)/ })
})

t.test('what only a sandbox has says so when it is called', async (t) => {
  t.throws(() => range(3), { code: 'FUNCTIONS_ERR_ONLY_INSIDE', message: /range of 'kumoi' is there inside deployed functions; in a program use dc\.range/ })
  t.throws(() => from([]), { code: 'FUNCTIONS_ERR_ONLY_INSIDE' })
  t.equal(mac(7), '52:54:00:00:00:07')
})
