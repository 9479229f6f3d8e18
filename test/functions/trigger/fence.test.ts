// The fence: what it asks, how often, and what it makes of late answers and of none.

import t from 'tap'
import type { GlobalStoreEntry } from '../../../fabric/mod.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createFence } from '../../../functions/trigger/fence.ts'

const FENCED = { code: 'FUNCTIONS_ERR_FUNCTION_FENCED' }

/** A store whose answers are given by hand. */
function scene() {
  const clock = new SimClock()
  const reads: { readonly key: string; answer(epoch: number): void; fail(): void }[] = []
  const store = {
    get: (key: string) => new Promise<GlobalStoreEntry | undefined>((resolve, reject) => reads.push({
      key, answer: (epoch) => resolve(epoch === 0 ? undefined : { key, value: new Uint8Array(), createRevision: epoch, modRevision: epoch, version: 1 }), fail: () => reject(new Error('cut')),
    })),
  }
  return { clock, reads, fence: createFence({ store, clock }), turn: () => clock.settle(0) }
}

t.test('the present epoch passes, any other is refused', async (t) => {
  const { fence, reads } = scene()
  const now = fence.check('f', 7)
  reads[0]?.answer(7)
  await now
  const stale = t.rejects(fence.check('f', 6), FENCED)
  await stale
  t.equal(reads.length, 1, 'an older one than was ever seen is refused without asking')
  const none = t.rejects(fence.check('f', 7), { ...FENCED, message: /nobody holds it/ })
  reads[1]?.answer(0)
  await none
  t.equal(reads[0]?.key, 'holder/f')
})

t.test('calls that come during a read share the next one: never an answer that was asked for before they came', async (t) => {
  const { fence, reads, turn } = scene()
  const first = fence.check('f', 7)
  const later = [fence.check('f', 7), fence.check('f', 7), fence.check('f', 7)]
  const other = fence.check('g', 3)
  t.equal(reads.length, 2, 'one a name')
  reads[0]?.answer(7)
  reads[1]?.answer(3)
  await Promise.all([first, other])
  await turn()
  t.equal(reads.length, 3)
  reads[2]?.answer(7)
  await Promise.all(later)
})

t.test('a newer epoch that becomes known meanwhile refuses', async (t) => {
  const { fence, reads } = scene()
  const check = t.rejects(fence.check('f', 7), { ...FENCED, message: /epoch 9 has begun/ })
  fence.see('f', 9)
  reads[0]?.answer(7)
  await check
})

t.test('an answer that comes too late is not believed, and asked for again', async (t) => {
  const { fence, reads, clock } = scene()
  const check = fence.check('f', 7)
  await clock.settle(260)
  reads[0]?.answer(7)
  await clock.settle(100)
  t.equal(reads.length, 2)
  reads[1]?.answer(7)
  await check
})

t.test('no answer: refused, in bounded time', async (t) => {
  const { fence, reads, clock } = scene()
  const check = t.rejects(fence.check('f', 7), FENCED)
  await clock.settle(3_000)
  await check
  t.ok(reads.length > 3)
  const cut = t.rejects(fence.check('g', 7), FENCED)
  for (let i = 0; i < 60; i++) { reads.at(-1)?.fail(); await clock.settle(50) }
  await cut
})
