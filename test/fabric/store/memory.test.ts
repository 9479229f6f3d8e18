// The global store in memory and on LMDB, in this process, on virtual time: the conformance suite.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { openEmbeddedStore } from '../../../fabric/store/embedded.ts'
import { storeConformance } from '../../conformance/global-store.ts'

t.test('memory', (t) => storeConformance(t, async (t) => {
  const clock = new SimClock()
  const store = createMemoryGlobalStore({ clock })
  t.teardown(() => store.close())
  return { store, again: store, pass: (ms) => clock.settle(ms) }
}))

t.test('embedded', (t) => storeConformance(t, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-global-store-'))
  const clock = new SimClock()
  const store = await openEmbeddedStore({ directory: join(directory, 'store'), description: 'embedded at alpha', clock, random: seededRandom(1) })
  t.teardown(async () => {
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { store, again: store, pass: (ms) => clock.settle(ms) }
}))
