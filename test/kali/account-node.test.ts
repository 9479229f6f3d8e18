// Who sees whose accounts, and a member that does not answer is named.

import t from 'tap'
import { SimClock } from '../../fabric/sim-clock.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import { serveAccounts } from '../../kali/account-node.ts'
import type { AccountServiceOptions } from '../../kali/account-node.ts'
import { NO_USAGE } from '../../rmo/mod.ts'
import type { UsageRow } from '../../rmo/mod.ts'
import { failure } from '../support/rpc-pair.ts'

const row = (owner: string, id: string, hourMs = 0): UsageRow => ({ ...NO_USAGE, owner, kind: 'VM', id, name: id, pool: '', hourMs, vmMs: 10, vcpuMs: 20 })

t.test('a user sees his own, whoever has account:read all; who is silent is named', async (t) => {
  const clock = new SimClock()
  const store = createMemoryGlobalStore({ clock })
  t.teardown(() => store.close())
  const methods = new Map<string, (body: unknown, context: { readonly principal: string; readonly signal: AbortSignal }) => Promise<unknown>>()
  const options = {
    fabric: {
      id: 'a', registry: { method: (name: string, run: never) => void methods.set(name, run) }, peer: () => Promise.reject(new Error('no way there')),
      membership: { self: { name: 'alpha' }, members: () => [{ id: 'a', name: 'alpha', state: 'alive' }, { id: 'b', name: 'beta', state: 'alive' }, { id: 'c', name: 'gone', state: 'left' }] },
    },
    store, clock, accounts: { book: { rows: () => [row('user:alice', 'v1'), row('user:alice', 'v1', 3_600_000), row('user:bob', 'v2')] }, settle: async () => {} },
    may: (principal: string) => (principal === 'local:0' ? { allowed: true } : { allowed: false, reason: 'no rule' }),
  }
  serveAccounts(options as unknown as AccountServiceOptions)
  const call = (method: string, principal: string, body: unknown): Promise<unknown> => methods.get(method)!(body, { principal, signal: new AbortController().signal })
  const list = (principal: string, user?: string): Promise<unknown> => call('account.list', principal, { sinceMs: 0, untilMs: 1, ...(user === undefined ? {} : { user }) })
  t.match(await list('local:0'), { rows: [{ id: 'v1', vmMs: 20, vcpuMs: 40, node: 'alpha' }, { id: 'v2' }], silent: [{ node: 'beta', reason: 'no way there' }], only: undefined })
  t.match(await list('local:0', 'bob'), { rows: [{ owner: 'user:bob' }] })
  const own = await list('user:alice/vm:read') as { readonly rows: readonly { readonly owner: string }[]; readonly only?: string }
  t.same([own.rows.map(({ owner }) => owner), own.only], [['user:alice'], 'user:alice'])
  t.match(await failure(list('user:alice', 'bob')), { code: 'RMO_ERR_DENIED' })
  t.match(await failure(list('local:0/tenant')), { code: 'RMO_ERR_DENIED' })
  t.match(await failure(call('account.rows', 'nobody', { sinceMs: 0, untilMs: 1 })), { code: 'RMO_ERR_DENIED' }, 'asked again on each node')
  t.match(await failure(call('account.list', 'local:0', { sinceMs: NaN, untilMs: 1 })), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.match(await failure(call('account.setPrices', 'user:alice', { currency: 'EUR' })), { code: 'RMO_ERR_DENIED' })
  await call('account.setPrices', 'local:0', { currency: 'EUR', vcpuHour: 2 })
  t.match(await call('account.prices', 'user:alice', null), { currency: 'EUR', vcpuHour: 2, callsMillion: 0 })
})
