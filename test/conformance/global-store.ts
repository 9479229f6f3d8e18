// What every global store promises (fabric/store/contract.ts), as tests over one that is handed in.

import type { Test } from 'tap'
import { LIMITS } from '../../fabric/mod.ts'
import type { GlobalStore, StoreBatch, StoreEvent } from '../../fabric/mod.ts'
import { failure } from '../support/rpc-pair.ts'

export interface StoreHarness {
  /** Empty under `prefix`; `again` is another client of the same one. */
  readonly store: GlobalStore
  readonly again: GlobalStore
  /** Lets this much of the store's own time pass; real stores wait. */
  pass(ms: number): Promise<void>
  /** Breaks and mends the clients' connections, where there are any. */
  readonly disturb?: () => Promise<void>
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined => value && new TextDecoder().decode(value)
const keyOf = (event: StoreEvent): string => event.type === 'put' ? event.entry.key : event.key

/** The next batch that has events. */
async function nextEvents(batches: AsyncIterator<StoreBatch>): Promise<StoreBatch> {
  for (;;) {
    const step = await batches.next()
    if (step.done === true) throw new Error('the watch ended')
    if (step.value.events.length > 0) return step.value
  }
}

export async function storeConformance(t: Test, open: (t: Test) => Promise<StoreHarness>): Promise<void> {
  const put = (store: GlobalStore, key: string, value: string, lease?: string): ReturnType<GlobalStore['transact']> =>
    store.transact({ then: [{ do: 'put', key, value: bytes(value), ...(lease === undefined ? {} : { lease }) }] })

  await t.test('a key has revisions and versions of its own', async (t) => {
    const { store, again } = await open(t)
    t.equal(await store.get('a'), undefined)
    const from = await store.revision()
    const first = await put(store, 'a', '1')
    t.same([first.succeeded, first.revision, first.entries], [true, from + 1, [undefined]])
    await put(store, 'a', '2')
    const entry = await again.get('a')
    t.match(entry, { key: 'a', createRevision: from + 1, modRevision: from + 2, version: 2 })
    t.equal(entry?.lease, undefined)
    t.equal(text(entry?.value), '2')
    await store.transact({ then: [{ do: 'delete', key: 'a' }] })
    t.equal(await again.get('a'), undefined)
    t.equal((await store.transact({ then: [{ do: 'delete', key: 'a' }] })).revision, from + 3, 'nothing changed, so neither did the revision')
    await put(store, 'a', '3')
    t.match(await store.get('a'), { createRevision: from + 4, modRevision: from + 4, version: 1 })
    t.equal(await again.revision(), from + 4)
  })

  await t.test('a transaction compares, then does all of one branch', async (t) => {
    const { store } = await open(t)
    const created = await store.transact({ when: [{ key: 'k', field: 'createRevision', is: '=', than: 0 }], then: [{ do: 'put', key: 'k', value: bytes('mine') }, { do: 'get', key: 'k' }], otherwise: [{ do: 'get', key: 'k' }] })
    t.equal(created.succeeded, true)
    t.equal(text(created.entries[1]?.value), 'mine', 'it reads its own writes')
    t.equal(created.entries[1]?.modRevision, created.revision)
    const refused = await store.transact({ when: [{ key: 'k', field: 'createRevision', is: '=', than: 0 }], then: [{ do: 'put', key: 'k', value: bytes('theirs') }], otherwise: [{ do: 'get', key: 'k' }, { do: 'put', key: 'seen', value: bytes('') }] })
    t.equal(refused.succeeded, false)
    t.equal(text(refused.entries[0]?.value), 'mine')
    t.equal((await store.get('seen'))?.value.byteLength, 0, 'an empty value is a value')
    const check = async (field: 'modRevision' | 'version', is: '=' | '!=' | '<' | '>', than: number): Promise<boolean> => (await store.transact({ when: [{ key: 'k', field, is, than }], then: [] })).succeeded
    const at = created.revision
    t.same(await Promise.all([check('modRevision', '=', at), check('modRevision', '!=', at), check('modRevision', '<', at + 1), check('modRevision', '>', at), check('version', '>', 0), check('version', '<', 1)]), [true, false, true, false, true, false])
    const value = async (is: '=' | '!=', than: string, key = 'k'): Promise<boolean> => (await store.transact({ when: [{ key, field: 'value', is, than: bytes(than) }], then: [] })).succeeded
    t.same(await Promise.all([value('=', 'mine'), value('!=', 'mine'), value('!=', 'other'), value('=', '', 'absent'), value('!=', 'x', 'absent')]), [true, false, true, false, false], 'a key that is not there has no value to compare')
    t.equal((await store.transact({ then: [] })).succeeded, true)
  })

  await t.test('a prefix is a range in order of UTF-8, in pages, and can be deleted', async (t) => {
    const { store } = await open(t)
    const keys = ['r/a', 'r/a/1', 'r/b', 'r/\u{ff5e}', 'r/\u{1f600}', 'r/é']
    await store.transact({ then: [...keys, 's', 'q/z'].map((key) => ({ do: 'put', key, value: bytes(key) })) })
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const whole = await store.range('r/')
    t.same(whole.entries.map(({ key }) => key), sorted)
    t.same([whole.more, whole.revision], [false, await store.revision()])
    const pages: string[] = []
    for (let after: string | undefined; ;) {
      const page = await store.range('r/', { limit: 2, ...(after === undefined ? {} : { after }) })
      pages.push(...page.entries.map(({ key }) => key))
      after = page.entries.at(-1)?.key
      if (!page.more) break
    }
    t.same(pages, sorted)
    t.same((await store.range('none/')).entries, [])
    const before = await store.revision()
    const gone = await store.transact({ then: [{ do: 'delete-prefix', prefix: 'r/' }, { do: 'put', key: 'x', value: bytes('1') }] })
    t.equal(gone.revision, before + 1)
    t.same((await store.range('')).entries.map(({ key }) => key), ['q/z', 's', 'x'])
  })

  await t.test('what cannot be done is refused, and nothing of it is done', async (t) => {
    const { store } = await open(t)
    const from = await store.revision()
    const value = bytes('v')
    const wrong: readonly (() => Promise<unknown>)[] = [
      () => store.get(''), () => store.get('\ud800'), () => put(store, 'k'.repeat(LIMITS.storeKeyBytesMax + 1), ''),
      () => store.range('a', { limit: 0 }), () => store.range('a', { limit: LIMITS.storeRangeMax + 1 }), () => store.grant(1), () => store.grant(LIMITS.storeLeaseMsMax + 1),
      () => store.transact({ then: [{ do: 'put', key: 'a', value }, { do: 'put', key: 'a', value }] }),
      () => store.transact({ then: [{ do: 'put', key: 'a', value }, { do: 'delete', key: 'a' }] }),
      () => store.transact({ then: [{ do: 'put', key: 'a/b', value }, { do: 'delete-prefix', prefix: 'a/' }] }),
      () => store.transact({ then: [{ do: 'delete-prefix', prefix: 'a' }, { do: 'delete-prefix', prefix: 'a/' }] }),
      () => store.transact({ then: [{ do: 'put', key: 'a', value: new Uint8Array(LIMITS.storeValueBytesMax + 1) }] }),
      () => store.transact({ then: Array.from({ length: LIMITS.storeOperationsMax + 1 }, (_, i) => ({ do: 'get', key: `k${i}` })) }),
    ]
    for (const [at, call] of wrong.entries()) t.match(await failure(call()), { code: 'FABRIC_ERR_STORE_INVALID', outcome: 'not-started' }, `case ${at}`)
    t.match(await failure(store.transact({ then: [{ do: 'put', key: 'b', value }, { do: 'put', key: 'a', value, lease: '7fffffff12345678' }] })), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
    t.equal(await store.revision(), from)
    t.same((await store.range('')).entries, [])
  })

  await t.test('large and many values come back whole', async (t) => {
    const { store, again } = await open(t)
    const large = Uint8Array.from({ length: LIMITS.storeValueBytesMax }, (_, i) => i * 7)
    for (const key of ['l/1', 'l/2', 'l/3']) await store.transact({ then: [{ do: 'put', key, value: large }] })
    t.ok(Buffer.compare((await again.get('l/2'))?.value ?? bytes(''), large) === 0)
    const keys: string[] = []
    for (let after: string | undefined; ;) {
      const page = await again.range('l/', after === undefined ? {} : { after })
      keys.push(...page.entries.map(({ key }) => key))
      after = page.entries.at(-1)?.key
      if (!page.more) break
    }
    t.same(keys, ['l/1', 'l/2', 'l/3'])
  })

  await t.test('compare-and-put by many at once: each value is seen once', async (t) => {
    const { store, again } = await open(t)
    await put(store, 'counter', '0')
    const add = async (client: GlobalStore): Promise<void> => {
      for (;;) {
        const entry = await client.get('counter')
        const answer = await client.transact({ when: [{ key: 'counter', field: 'modRevision', is: '=', than: entry?.modRevision ?? 0 }], then: [{ do: 'put', key: 'counter', value: bytes(String(Number(text(entry?.value)) + 1)) }] })
        if (answer.succeeded) return
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(i % 2 === 0 ? store : again)))
    t.equal(text((await store.get('counter'))?.value), '20')
  })

  await t.test('a watch tells each change once and in order, a transaction at a time', async (t) => {
    const { store, again } = await open(t)
    const stop = new AbortController()
    const batches = again.watch('w/', { signal: stop.signal })[Symbol.asyncIterator]()
    const start = await batches.next()
    t.same([start.value?.events, start.value?.revision], [[], await store.revision()], 'first: from where it watches')
    await put(store, 'other', 'x')
    await store.transact({ then: [{ do: 'put', key: 'w/1', value: bytes('1') }, { do: 'put', key: 'w/2', value: bytes('2') }, { do: 'put', key: 'v', value: bytes('no') }] })
    await store.transact({ then: [{ do: 'delete', key: 'w/1' }] })
    const one = await nextEvents(batches), two = await nextEvents(batches)
    t.same(one.events.map((event) => [event.type, keyOf(event)]), [['put', 'w/1'], ['put', 'w/2']])
    t.match(one.events[0], { entry: { createRevision: one.revision, modRevision: one.revision, version: 1 } })
    t.same(two.events, [{ type: 'delete', key: 'w/1', modRevision: two.revision }])
    t.equal(two.revision, one.revision + 1)
    const ended = batches.next()
    stop.abort()
    t.equal((await ended).done, true, 'the signal ends it')
  })

  await t.test('a watch from a revision has no gap, with writes under way', async (t) => {
    const harness = await open(t)
    const { store, again } = harness
    const from = await store.revision()
    const writes = 60
    let written = 0
    // Under its condition a write whose outcome is unknown may be sent again: it happens once.
    const write = async (i: number): Promise<void> => {
      const key = `g/${i % 7}`
      try {
        await store.transact({ when: [{ key, field: 'version', is: '=', than: Math.floor(i / 7) }], then: [{ do: 'put', key, value: bytes(String(i)) }] })
      } catch (error) {
        if ((error as { outcome?: string }).outcome !== 'unknown') throw error
        await write(i)
      }
    }
    const writer = (async () => { for (let i = 0; i < writes; i++) { await write(i); written = i + 1 } })()
    const seen: string[] = []
    const stop = new AbortController()
    t.teardown(() => stop.abort())
    for await (const batch of again.watch('g/', { after: from, signal: stop.signal })) {
      for (const event of batch.events) if (event.type === 'put') seen.push(text(event.entry.value) ?? '')
      if (seen.length === 20) await harness.disturb?.()
      if (seen.length >= writes) break
    }
    await writer
    t.equal(written, writes)
    t.same(seen, Array.from({ length: writes }, (_, i) => String(i)))
  })

  await t.test('a lease keeps its keys until it ends, and not a moment less', async (t) => {
    const { store, again, pass } = await open(t)
    const lease = await store.grant(2_000)
    t.equal(lease.lifetimeMs, 2_000)
    await put(store, 'held', 'me', lease.id)
    await put(store, 'freed', 'me', lease.id)
    await put(store, 'freed', 'mine now')
    t.equal((await again.get('held'))?.lease, lease.id)
    for (let i = 0; i < 2; i++) {
      await pass(1_200)
      t.ok(await lease.keepAlive() > 1_000)
    }
    await pass(1_000)
    t.ok(await again.get('held'), 'kept alive')
    const stop = new AbortController()
    const batches = again.watch('held', { signal: stop.signal })[Symbol.asyncIterator]()
    await batches.next()
    const gone = nextEvents(batches)
    const [ended] = await Promise.all([gone, pass(3_000)])
    t.match(ended.events, [{ type: 'delete', key: 'held' }])
    stop.abort()
    t.equal(await again.get('held'), undefined)
    t.ok(await again.get('freed'), 'a put without it detaches the key')
    t.match(await failure(lease.keepAlive()), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
    t.match(await failure(put(store, 'late', 'x', lease.id)), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
  })

  await t.test('a lease that is revoked takes its keys at once', async (t) => {
    const { store, again } = await open(t)
    const lease = await store.grant(60_000)
    await store.transact({ then: [{ do: 'put', key: 'x/1', value: bytes(''), lease: lease.id }, { do: 'put', key: 'x/2', value: bytes(''), lease: lease.id }] })
    const before = await store.revision()
    await lease.revoke()
    t.same((await again.range('x/')).entries, [])
    t.equal(await store.revision(), before + 1, 'both in one revision')
    t.match(await failure(lease.revoke()), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
  })
}
