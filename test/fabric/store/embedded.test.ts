// The embedded store and its disk: what a restart keeps, watches that go on over it, a disk that is full, histories that end.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { LIMITS, seededRandom } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { openEmbeddedStore } from '../../../fabric/store/embedded.ts'
import type { StoreEngine } from '../../../fabric/store/engine.ts'
import { createLocalStore } from '../../../fabric/store/local.ts'
import { failure } from '../../support/rpc-pair.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const put = (store: StoreEngine, key: string, value: string | Uint8Array, lease?: string): ReturnType<StoreEngine['transact']> =>
  store.transact({ then: [{ do: 'put', key, value: typeof value === 'string' ? bytes(value) : value, ...(lease === undefined ? {} : { lease }) }] })

function scratch(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'kumoi-embedded-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}
const open = (directory: string, clock: SimClock): Promise<StoreEngine> => openEmbeddedStore({ directory, description: 'embedded at alpha', clock, random: seededRandom(1) })

t.test('a restart keeps all of it: a watch goes on with no gap, a lease has its whole lifetime again', async (t) => {
  const directory = join(scratch(t), 'store')
  const clock = new SimClock({ startMs: 5_000 })
  const before = await open(directory, clock)
  const lease = await before.grant(10_000)
  await put(before, 'held', 'me', lease.id)
  await put(before, 'a', '1')
  const from = await before.revision()
  await put(before, 'a', '2')
  await before.transact({ then: [{ do: 'delete', key: 'a' }] })
  await clock.settle(9_000)
  const entry = await before.get('held')
  await before.close()
  t.match(await failure(before.get('a')), { code: 'FABRIC_ERR_STORE_UNREACHABLE' })

  // A machine that has been started again: its monotonic clock begins anew.
  const later = new SimClock({ startMs: 1 })
  const store = await open(directory, later)
  t.teardown(() => store.close())
  t.same(await store.get('held'), entry)
  t.equal(await store.revision(), from + 2)
  const stop = new AbortController()
  const seen: unknown[] = []
  for await (const { revision, events } of store.watch('a', { after: from, signal: stop.signal })) {
    for (const event of events) seen.push([revision, event.type])
    if (seen.length === 2) break
  }
  t.same(seen, [[from + 1, 'put'], [from + 2, 'delete']])
  await later.settle(9_000)
  t.ok(await store.get('held'), 'not early')
  await later.settle(1_500)
  t.equal(await store.get('held'), undefined)
})

const mountAbsent = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0 ? false : 'absent: root, to mount a small disk'
t.test('a full disk: a typed error, nothing half, and on it goes when there is room', { skip: mountAbsent }, async (t) => {
  const mount = scratch(t)
  t.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'kumoi-store-test', mount]).status, 0)
  t.teardown(() => { spawnSync('umount', [mount]) })
  const clock = new SimClock()
  let store = await open(join(mount, 'store'), clock)
  t.teardown(() => store.close())
  await put(store, 'small', 'kept')
  let written = 0
  let refused: { code?: string; outcome?: string } | undefined
  for (let i = 0; i < 100 && refused === undefined; i++) await put(store, `fill/${i}`, new Uint8Array(100_000)).then(() => { written++ }, (error: unknown) => { refused = error as never })
  t.match(refused, { code: 'FABRIC_ERR_STORE_FAILED', outcome: 'failed' })
  const revision = await store.revision()
  t.equal(revision, 2 + written)
  t.equal((await store.range('fill/')).entries.length, written, 'reads go on')
  t.equal(await store.get(`fill/${written}`), undefined)
  spawnSync('mount', ['-o', 'remount,size=16m', mount])
  t.equal((await put(store, 'after', 'room')).revision, revision + 1)
  await store.close()
  store = await open(join(mount, 'store'), clock)
  t.equal(await store.revision(), revision + 1)
  t.ok(await store.get('small'))
  t.equal((await store.range('fill/')).entries.length, written)
})

t.test('what the disk refuses is undone, whatever came with it; reads of the same moment are answered', async (t) => {
  const clock = new SimClock()
  let refuse = false
  let hold: (() => void) | undefined
  const store = createLocalStore({
    kind: 'embedded', description: 'embedded at alpha', clock, random: seededRandom(1),
    async persist() {
      await new Promise<void>((done) => { hold = done })
      if (refuse) throw new Error('no room')
    },
  })
  t.teardown(() => store.close())
  const turn = (): Promise<void> => new Promise((done) => setImmediate(done))
  const first = put(store, 'a', '1')
  await turn()
  hold?.()
  await first
  refuse = true
  const blocked = put(store, 'a', '2')
  const [swap, read] = [store.transact({ when: [{ key: 'a', field: 'version', is: '=', than: 1 }], then: [] }), store.get('a')]
  const settled = Promise.allSettled([blocked, swap])
  await turn()
  hold?.()
  await turn()
  hold?.()
  t.match((await settled)[0], { status: 'rejected', reason: { message: 'no room' } })
  t.match(await read, { version: 1 }, 'as before')
  t.equal(await store.revision(), 2)
})

t.test('a history that is too long forgets its beginning, and says so', async (t) => {
  const clock = new SimClock()
  const store = createLocalStore({ kind: 'memory', description: 'memory', clock, random: seededRandom(1) })
  t.teardown(() => store.close())
  for (let i = 0; i < LIMITS.storeHistoryEventsMax + 10; i++) await put(store, 'a', '')
  t.match(await failure(store.watch('', { after: 2 })[Symbol.asyncIterator]().next() as Promise<unknown>), { code: 'FABRIC_ERR_STORE_COMPACTED' })
  const now = await store.revision()
  const first = await store.watch('', { after: now - 100 })[Symbol.asyncIterator]().next()
  t.equal(first.value?.revision, now - 100)
})

t.test('a store that is full takes no more, and lets go', async (t) => {
  const clock = new SimClock()
  const store = createLocalStore({ kind: 'memory', description: 'memory', clock, random: seededRandom(1) })
  t.teardown(() => store.close())
  const value = new Uint8Array(LIMITS.storeValueBytesMax)
  let at = 0
  let refused: unknown
  while (refused === undefined && at < 300) await put(store, `k/${at}`, value).then(() => { at++ }, (error: unknown) => { refused = error })
  t.match(refused, { code: 'FABRIC_ERR_STORE_FULL', outcome: 'not-started' })
  await store.transact({ then: [{ do: 'delete', key: 'k/0' }] })
  await put(store, 'k/0', value)
})
