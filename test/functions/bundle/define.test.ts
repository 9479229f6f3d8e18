// defineFunction outside of a sandbox: a function's file can be loaded, and its `run` called with a context of the test's own.

import t from 'tap'
import { defineFunction, from, mac, range, type FunctionContext } from '../../../cli/function-api.ts'

t.test('a definition can be tried by hand', async (t) => {
  const lines: unknown[] = []
  const made = defineFunction({ name: 'hello', run: ({ log }, payload: { readonly to: string }) => { log.info({ to: payload.to }); return payload.to.length } })
  const context = { log: { info: (fields: unknown) => lines.push(fields) } } as unknown as FunctionContext
  t.equal(await made.run(context, { to: 'you' }), 3)
  t.same(lines, [{ to: 'you' }])
  t.ok(Object.isFrozen(made))
})

t.test('what only a sandbox has says so when it is called', async (t) => {
  t.throws(() => range(3), { code: 'FUNCTIONS_ERR_ONLY_INSIDE', message: /range of 'kumoi' is there inside deployed functions; in a program use dc\.range/ })
  t.throws(() => from([]), { code: 'FUNCTIONS_ERR_ONLY_INSIDE' })
  t.equal(mac(7), '52:54:00:00:00:07')
})
