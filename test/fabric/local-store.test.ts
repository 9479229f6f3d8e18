// The local store's contract, over memory and LMDB: ordered, atomic, durable.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fc } from '../support/property.ts'
import t from 'tap'
import { createMemoryStore, openLocalStore } from '../../fabric/mod.ts'
import type { LocalStore, StoreChange } from '../../fabric/mod.ts'

function directory(t: { teardown(fn: () => void): unknown }): string {
  const made = mkdtempSync(join(tmpdir(), 'kumoi-store-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const IMPLEMENTATIONS: Readonly<Record<string, (t: { teardown(fn: () => void): unknown }) => Promise<LocalStore>>> = {
  memory: async () => createMemoryStore(),
  lmdb: (t) => openLocalStore(join(directory(t), 'store')),
}

const key = fc.stringMatching(/^[a-c]{1,3}(\/[a-zé☃]{0,4})?$/)
const change: fc.Arbitrary<StoreChange> = fc.record({ key, value: fc.option(fc.string(), { nil: undefined }) })

for (const [name, open] of Object.entries(IMPLEMENTATIONS)) {
  t.test(name, async (t) => {
    const store = await open(t)
    t.teardown(() => store.close())

    t.test('is a sorted map, batch by batch', async (t) => {
      const model = new Map<string, string>()
      await fc.assert(fc.asyncProperty(fc.array(change, { maxLength: 12 }), fc.stringMatching(/^[a-c]{0,2}$/), fc.integer({ min: 1, max: 5 }), fc.boolean(), async (changes, prefix, limit, reverse) => {
        await store.write(changes)
        for (const { key, value } of changes) {
          if (value === undefined) model.delete(key)
          else model.set(key, value)
        }
        for (const [key, value] of model) if (store.get(key) !== value) return false
        const sorted = [...model.keys()].filter((each) => each.startsWith(prefix)).sort()
        if (reverse) sorted.reverse()
        const wanted = sorted.slice(0, limit).map((each) => ({ key: each, value: model.get(each) }))
        return JSON.stringify(store.range({ prefix, limit, reverse })) === JSON.stringify(wanted)
      }), { numRuns: 60 })
      t.pass()
    })
    t.test('refuses a bad key and writes none of its batch', async (t) => {
      await t.rejects(store.write([{ key: 'zz', value: 'kept?' }, { key: '', value: '' }]), { code: 'FABRIC_ERR_STORE_FAILED' })
      t.equal(store.get('zz'), undefined)
    })
  })
}

t.test('lmdb keeps what was written when it is opened again', async (t) => {
  const path = join(directory(t), 'store')
  const first = await openLocalStore(path)
  await first.write([{ key: 'a', value: '1' }, { key: 'b', value: '2' }])
  await first.write([{ key: 'a', value: undefined }])
  await first.close()
  const second = await openLocalStore(path)
  t.same(second.range({ prefix: '', limit: 10 }), [{ key: 'b', value: '2' }])
  await second.close()
})

t.test('a place that cannot be a store is told by code', async (t) => {
  const file = join(directory(t), 'file')
  writeFileSync(file, 'no store')
  await t.rejects(openLocalStore(join(file, 'below')), { code: 'FABRIC_ERR_STORE_FAILED' })
})
