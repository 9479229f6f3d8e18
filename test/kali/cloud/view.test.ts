// The view: kept by a watch, indexes, gaps, records that cannot be read, waiting for a revision, contact with the store.

import t from 'tap'
import type { Test } from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createMemoryGlobalStore } from '../../../fabric/store/memory.ts'
import type { GlobalStore } from '../../../fabric/mod.ts'
import { CLOUD_KEYS } from '../../../kali/cloud/keys.ts'
import { encodeRecord, RECORDS } from '../../../kali/cloud/read.ts'
import { createCloudView } from '../../../kali/cloud/view.ts'
import { cloudNode, cloudNodes, groupRecord, intentRecord, machineRecord, nodeOf, placed, placeOf, poolRecord, statusRecord } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'

const put = (store: GlobalStore, key: string, value: Uint8Array | string): Promise<{ readonly revision: number }> =>
  store.transact({ then: [{ do: 'put', key, value: typeof value === 'string' ? new TextEncoder().encode(value) : value }] })

t.test('records by pool, machine, node and group, in order of names, as they move', async (t) => {
  const [{ book, view }, other] = await cloudNodes(t, 2)
  await book.createPool(poolRecord('p1'))
  await book.createPool(poolRecord('p2', { name: 'another' }))
  for (const machine of ['m2', 'm1']) await book.joinMachine(machineRecord(machine))
  await book.putGroup(groupRecord('g'), 'new')
  await book.intend(placed('b', 'm1', { group: 'g' }))
  await book.intend(placed('a'))
  await book.status(statusRecord('a'))
  const { revision } = await book.intend(intentRecord('c', { pool: 'p2' }))
  await view.until(revision)
  const names = (records: readonly { readonly name: string }[]): string => records.map(({ name }) => name).join(' ')
  t.equal(names(view.pools()), 'another p1')
  t.equal(names(view.machines('p1')), 'm1 m2')
  t.equal(names(view.intents()), 'a b c')
  t.equal(names(view.intents({ pool: 'p1' })), 'a b')
  t.equal(names(view.intents({ node: nodeOf('m1'), group: 'g' })), 'b')
  t.equal(names(view.intents({ pool: 'p2', machine: 'm1' })), '')
  t.equal(view.intents({ machine: 'm1' }), view.intents({ machine: 'm1' }), 'made once')
  t.match(view.status('a'), { phase: 'running' })
  t.match([view.mode(), view.lease(nodeOf('m1')), view.quota('pool/p1')], [{ mode: 'armed' }, undefined, undefined])
  const moved = await other!.book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: 2 }))
  await view.until(moved!.revision)
  t.equal(names(view.intents({ machine: 'm1' })), 'b')
  t.equal(names(view.intents({ node: nodeOf('m2') })), 'a')
  t.throws(() => { (view.intent('a') as { name: string }).name = 'mine' }, 'records are shared, and frozen')
  t.throws(() => { (view.intents() as unknown[]).pop() })
  const gone = await other!.book.change('b', ({ group: _, ...present }) => ({ ...present, reason: 'alone' }))
  await view.until(gone!.revision)
  t.equal(names(view.intents({ group: 'g' })), '')
})

t.test('listeners are told of each change, after all of a transaction is there', async (t) => {
  const [{ book, view, warnings }] = await cloudNodes(t)
  await book.createPool(poolRecord())
  const { revision } = await book.joinMachine(machineRecord())
  await view.until(revision)
  const told: string[] = []
  const off = view.onChange(({ type, key }) => told.push(`${type} ${key} ${view.intent('a')?.booked} ${view.machine('m1')?.booked.vms}`))
  view.onChange(() => { throw new Error('mine') })
  const made = await book.intend(placed('a'))
  await view.until(made.revision)
  t.same(told.sort(), ['machine m1 true 1', 'vm a true 1'])
  t.match(warnings, [/listener.*mine/, /listener/])
  off()
  await book.forget('a', () => true)
  await view.until((await book.changeMachine('m1', (present) => present)).revision)
  t.equal(view.intent('a'), undefined)
  t.equal(told.length, 2)
})

t.test('a record that cannot be read is logged and left out, and its older one with it', async (t) => {
  const [{ book, view, store, warnings }] = await cloudNodes(t)
  const { revision } = await book.createPool(poolRecord())
  await view.until(revision)
  for (const [bad, text] of [['no JSON', '{'], ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22])], ['a list', '[]'], ['another shape', '{"uuid":7}']] as const) {
    await view.until((await put(store, CLOUD_KEYS.pool('p1'), text)).revision)
    t.equal(view.pool('p1'), undefined, bad)
    await view.until((await put(store, CLOUD_KEYS.pool('p1'), encodeRecord(RECORDS.pool, poolRecord()))).revision)
    t.match(view.pool('p1'), { name: 'p1' })
  }
  t.equal(warnings.length, 4)
  await view.until((await put(store, 'cloud/later/x', 'of a newer node')).revision)
  const kept = { ...poolRecord(), colour: 'blue' }
  await put(store, CLOUD_KEYS.pool('p1'), encodeRecord(RECORDS.pool, kept))
  await book.changePool('p1', (pool) => ({ ...pool, description: 'changed' }))
  t.match(JSON.parse(new TextDecoder().decode((await store.get(CLOUD_KEYS.pool('p1')))!.value)), { colour: 'blue', description: 'changed' }, 'fields of a newer node survive')
})

t.test('many records come in pages; a watch that fell behind reads everything again', async (t) => {
  const engine = createMemoryGlobalStore({ clock: systemClock })
  t.teardown(() => engine.close())
  const record = (at: number): Uint8Array => encodeRecord(RECORDS.intent, intentRecord(`v${at}`))
  for (let at = 0; at < 2_300; at += 100) await engine.transact({ then: Array.from({ length: 100 }, (_, more) => ({ do: 'put', key: CLOUD_KEYS.vm(`v${at + more}`), value: record(at + more) }) as const) })
  let broken: ((reason: Error) => void) | undefined
  const flaky: GlobalStore = Object.assign(Object.create(engine) as GlobalStore, {
    range: engine.range.bind(engine), revision: engine.revision.bind(engine), transact: engine.transact.bind(engine),
    async *watch(...given: Parameters<GlobalStore['watch']>) {
      const over = Promise.withResolvers<never>()
      over.promise.catch(() => {})
      broken = over.reject
      const watch = engine.watch(...given)[Symbol.asyncIterator]()
      for (;;) {
        const next = await Promise.race([watch.next(), over.promise])
        if (next.done === true) return
        yield next.value
      }
    },
  })
  const { view, warnings } = await cloudNode(t, flaky)
  t.equal(view.intents({ pool: 'p1' }).length, 2_300)
  broken?.(Object.assign(new Error('too old'), { code: 'FABRIC_ERR_STORE_COMPACTED' }))
  await engine.transact({ then: [{ do: 'delete', key: CLOUD_KEYS.vm('v7') }] })
  const { revision } = await put(engine, CLOUD_KEYS.vm('v8'), encodeRecord(RECORDS.intent, intentRecord('v8', { reason: 'newer' })))
  await view.until(revision)
  t.equal(view.intent('v7'), undefined)
  t.match(view.intent('v8'), { reason: 'newer' })
  t.equal(view.intents().length, 2_299)
  t.same(warnings, [], 'compaction is nothing to talk about')
})

t.test('what changes while the pages are read is never shown older than it was read', async (t) => {
  const engine = createMemoryGlobalStore({ clock: systemClock })
  t.teardown(() => engine.close())
  const write = (vm: string, reason: string): ReturnType<typeof put> => put(engine, CLOUD_KEYS.vm(vm), encodeRecord(RECORDS.intent, intentRecord(vm, { reason })))
  for (const vm of ['a', 'b', 'c']) await write(vm, 'first')
  const paged: GlobalStore = Object.assign(Object.create(engine) as GlobalStore, {
    watch: engine.watch.bind(engine), revision: engine.revision.bind(engine), transact: engine.transact.bind(engine),
    async range(prefix: string, options: Parameters<GlobalStore['range']>[1] = {}) {
      const page = await engine.range(prefix, { ...options, limit: 1 })
      if (options.after === undefined) for (const reason of ['second', 'third']) await write('c', reason)
      return page
    },
  })
  const view = createCloudView({ store: paged, clock: systemClock, log: { info() {}, warn() {} } })
  t.teardown(() => view.stop())
  const reasons: (string | undefined)[] = []
  view.onChange(({ key }) => { if (key === 'c') reasons.push(view.intent('c')?.reason) })
  view.start()
  await view.ready
  await view.until((await write('c', 'fourth')).revision)
  t.same(reasons, ['third', 'fourth'])
})

async function withClock(t: Test): Promise<{ readonly clock: SimClock; readonly store: { away: boolean; silent: boolean }; readonly view: ReturnType<typeof createCloudView> }> {
  const clock = new SimClock({ startMs: 1_000 })
  const engine = createMemoryGlobalStore({ clock })
  const state = { away: false, silent: false }
  const store: GlobalStore = Object.assign(Object.create(engine) as GlobalStore, {
    range: engine.range.bind(engine), watch: engine.watch.bind(engine), transact: engine.transact.bind(engine),
    revision: (...given: Parameters<GlobalStore['revision']>) => (state.away ? Promise.reject(new Error('away')) : state.silent ? new Promise<number>(() => {}) : engine.revision(...given)),
  })
  const view = createCloudView({ store, clock, log: { info() {}, warn() {} } })
  t.teardown(async () => { await view.stop(); await engine.close() })
  return { clock, store: state, view }
}

t.test('contact: since the first answer after a gap; over when an answer is late, refused, or this process stood still', async (t) => {
  const { clock, store, view } = await withClock(t)
  t.equal(view.contactSinceMs(), undefined)
  view.start()
  await view.ready
  await clock.settle(0)
  t.equal(view.contactSinceMs(), 1_000)
  await clock.settle(60_000)
  t.equal(view.contactSinceMs(), 1_000)
  store.away = true
  await clock.settle(LIMITS.cloudContactMs)
  t.equal(view.contactSinceMs(), undefined, 'refused')
  store.away = false
  await clock.settle(LIMITS.cloudContactMs)
  const since = clock.nowMs()
  t.equal(view.contactSinceMs(), since, 'from now on')
  store.silent = true
  await clock.settle(LIMITS.cloudContactMs + LIMITS.cloudContactPatienceMs)
  t.equal(view.contactSinceMs(), undefined, 'no answer')
  store.silent = false
  await clock.settle(LIMITS.cloudContactMs + LIMITS.cloudContactPatienceMs)
  t.equal(typeof view.contactSinceMs(), 'number')
  // Stopped and continued: the clock has gone on, no timer has run yet.
  const asleep = new SimClock({ startMs: 0 })
  const engine = createMemoryGlobalStore({ clock: asleep })
  let aheadMs = 0
  const still = createCloudView({ store: engine, clock: { nowMs: () => asleep.nowMs() + aheadMs, wallMs: () => asleep.wallMs(), after: (ms, callback) => asleep.after(ms, callback) }, log: { info() {}, warn() {} } })
  still.start()
  await still.ready
  await asleep.settle(10_000)
  t.equal(still.contactSinceMs(), 0)
  aheadMs = 30_000
  t.equal(still.contactSinceMs(), undefined, 'it does not know what was')
  await asleep.settle(LIMITS.cloudContactMs)
  t.ok(still.contactSinceMs()! >= 40_000, 'and begins anew')
  await still.stop()
  t.equal(still.contactSinceMs(), undefined)
  await engine.close()
})

t.test('waiting for a revision that does not come ends, and so does waiting when the view stops', async (t) => {
  const { clock, view } = await withClock(t)
  view.start()
  await view.ready
  const waiting = failure(view.until(99))
  await clock.settle(LIMITS.cloudSeenMs)
  t.match(await waiting, { code: 'KALI_ERR_STORE_AWAY' })
  const stopped = failure(view.until(99))
  await view.stop()
  t.match(await stopped, { code: 'KALI_ERR_STORE_AWAY' })
  t.match(await failure(view.until(99)), { code: 'KALI_ERR_STORE_AWAY' })
})
