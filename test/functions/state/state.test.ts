// Durable state: versions, bounds, and the fence of a singleton.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { systemClock } from '../../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import type { GlobalStore } from '../../../fabric/mod.ts'
import { createState } from '../../../functions/mod.ts'
import type { CallScope, NodeState, SystemCall } from '../../../functions/mod.ts'

const scope = (over: Partial<CallScope> = {}): CallScope => ({ name: 'hot', version: 'a'.repeat(64), alias: 'stable', callId: 'c', trace: 't', deployer: 'local:0', budget: 1, secrets: [], rights: [], ...over })
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value)
const open = (): { store: GlobalStore; state: NodeState } => {
  const store = createMemoryGlobalStore({ clock: systemClock })
  return { store, state: createState({ store }) }
}

test('get, put, delete, list; each function has its own', async (t) => {
  const { state } = open()
  t.equal(await state.get(scope(), 'a'), null)
  const first = await state.put(scope(), 'a', bytes('1'), undefined)
  t.match(await state.get(scope(), 'a'), { version: first })
  const second = await state.put(scope(), 'a', bytes('2'), first)
  t.ok(second > first)
  t.equal(await state.get(scope({ name: 'hotter' }), 'a'), null)
  await state.put(scope({ name: 'hotter' }), 'a', bytes('other'), 0)
  await state.put(scope(), 'b/1', bytes('x'), 0)
  t.same((await state.list(scope(), '')).map(({ key, value, version }) => [key, text(value), version > 0]), [['a', '2', true], ['b/1', 'x', true]])
  t.same((await state.list(scope(), 'b/')).map(({ key }) => key), ['b/1'])
  t.equal(await state.delete(scope(), 'a', undefined), true)
  t.equal(await state.delete(scope(), 'a', undefined), false)
})

test('a conflict says what was expected and what is there', async (t) => {
  const { state } = open()
  const version = await state.put(scope(), 'a', bytes('1'), 0)
  await t.rejects(state.put(scope(), 'a', bytes('2'), 0), { code: 'FUNCTIONS_ERR_STATE_CONFLICT', details: { expected: 0, found: version } })
  await t.rejects(state.put(scope(), 'a', bytes('2'), version + 5), { code: 'FUNCTIONS_ERR_STATE_CONFLICT', details: { expected: version + 5, found: version } })
  await t.rejects(state.put(scope(), 'new', bytes('2'), 7), { code: 'FUNCTIONS_ERR_STATE_CONFLICT', details: { expected: 7, found: 0 } })
  await t.rejects(state.delete(scope(), 'a', 1e6), { code: 'FUNCTIONS_ERR_STATE_CONFLICT' })
  t.equal(text((await state.get(scope(), 'a'))?.value), '1')
})

test('bounds: keys, values, their number; also when many make the last one at once', async (t) => {
  const { store, state } = open()
  await t.rejects(state.put(scope(), 'big', new Uint8Array(65_537), undefined), { code: 'FUNCTIONS_ERR_STATE_TOO_LARGE' })
  for (const key of ['', 'x'.repeat(257), 'a\u0000b', '\ud800']) await t.rejects(state.put(scope(), key, bytes(''), undefined), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
  for (let n = 0; n < 250; n++) await state.put(scope(), `k${n}`, bytes('v'), undefined)
  const last = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => state.put(scope(), `last${n}`, bytes('v'), undefined)))
  t.equal(last.filter(({ status }) => status === 'fulfilled').length, 6)
  for (const one of last) if (one.status === 'rejected') t.match(one.reason, { code: /STATE_FULL|STATE_BUSY/ })
  t.equal((await state.list(scope(), '')).length, 256)
  await state.put(scope(), 'k1', bytes('w'), undefined)
  await state.delete(scope(), 'k0', undefined)
  await state.put(scope(), 'again', bytes('v'), undefined)
  await store.transact({ then: state.clear('hot') })
  t.equal((await store.range('state')).entries.length, 0, 'removed with the function')
})

test('compare-and-put loses no update', async (t) => {
  const { state } = open()
  const add = async (): Promise<void> => {
    for (;;) {
      const before = await state.get(scope(), 'n')
      try {
        await state.put(scope(), 'n', bytes(String(Number(text(before?.value)) + 1)), before?.version ?? 0)
        return
      } catch (error) {
        if ((error as { code?: string }).code !== 'FUNCTIONS_ERR_STATE_CONFLICT') throw error
      }
    }
  }
  await Promise.all(Array.from({ length: 40 }, add))
  t.equal(text((await state.get(scope(), 'n'))?.value), '40')
})

test('the count of keys is right after any history', async (t) => {
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom('put', 'delete', 'put0'), fc.constantFrom('a', 'b', 'c', 'd')), { maxLength: 30 }), async (steps) => {
    const { store, state } = open()
    const model = new Set<string>()
    for (const [what, key] of steps) {
      if (what === 'delete') { await state.delete(scope(), key, undefined); model.delete(key) }
      else if (what === 'put') { await state.put(scope(), key, bytes('v'), undefined); model.add(key) }
      else { await state.put(scope(), key, bytes('v'), 0).catch(() => {}); model.add(key) }
    }
    const count = await store.get('state-keys/hot')
    return Number(text(count?.value)) === model.size && JSON.stringify((await state.list(scope(), '')).map(({ key }) => key)) === JSON.stringify([...model].sort())
  }), { numRuns: 50 })
  t.end()
})

test('a stale holder writes nothing', async (t) => {
  const { store, state } = open()
  const elect = async (node: string): Promise<number> => {
    await store.transact({ then: [{ do: 'delete', key: 'holder/hot' }] })
    return (await store.transact({ then: [{ do: 'put', key: 'holder/hot', value: bytes(node) }] })).revision
  }
  const old = await elect('alpha')
  const version = await state.put(scope({ epoch: old }), 'a', bytes('old'), undefined)
  const now = await elect('beta')
  const fenced = { code: 'FUNCTIONS_ERR_FUNCTION_FENCED', details: { epoch: old } }
  await t.rejects(state.put(scope({ epoch: old }), 'a', bytes('stale'), undefined), fenced, 'over a key')
  await t.rejects(state.put(scope({ epoch: old }), 'a', bytes('stale'), version), fenced, 'with the right version')
  await t.rejects(state.put(scope({ epoch: old }), 'new', bytes('stale'), 0), fenced, 'a new key')
  await t.rejects(state.delete(scope({ epoch: old }), 'a', undefined), fenced)
  t.equal(text((await state.get(scope({ epoch: old }), 'a'))?.value), 'old', 'reading is not fenced')
  await state.put(scope({ epoch: now }), 'a', bytes('new'), undefined)
  await store.transact({ then: [{ do: 'delete', key: 'holder/hot' }] })
  await t.rejects(state.put(scope({ epoch: now }), 'a', bytes('x'), undefined), { code: 'FUNCTIONS_ERR_FUNCTION_FENCED', message: /nobody/ })
})

test('as running functions call it, with what they send checked', async (t) => {
  const { state } = open()
  const calls = new Map<string, SystemCall>()
  state.register({ register: (verb, call) => { calls.set(verb, call) } })
  const authority = { principal: 'p', trace: 't', hop: 1, signal: new AbortController().signal, remainingMs: () => 1_000 }
  const call = async (verb: string, ...args: unknown[]): Promise<unknown> => calls.get(verb)?.(args, scope(), authority, () => {})
  const version = await call('state.put', 'k', bytes('v'), null)
  t.match(await call('state.get', 'k'), { version })
  t.match(await call('state.list', null), [{ key: 'k', version }])
  for (const wrong of [['state.put', 'k', 'text', null], ['state.put', 7, bytes(''), null], ['state.put', 'k', bytes(''), -1], ['state.put', 'k', bytes(''), 1.5], ['state.get'], ['state.list', 5], ['state.delete', {}, null]] as const) {
    const [verb, ...args] = wrong
    await t.rejects(call(verb, ...args), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' }, JSON.stringify(wrong))
  }
  t.equal(await call('state.delete', 'k', version), true)
})
