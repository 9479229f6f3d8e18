// The global store on an etcd of three: the conformance suite, with members killed while they are watched and written to.

import t from 'tap'
import type { Test } from 'tap'
import { systemClock, systemRandom } from '../../../fabric/base.ts'
import type { StoreEngine } from '../../../fabric/store/engine.ts'
import { openEtcdStore } from '../../../fabric/store/etcd/store.ts'
import { storeConformance } from '../../conformance/global-store.ts'
import { etcdAbsent, startEtcd } from '../../support/etcd.ts'

let opened = 0
async function open(t: Test, url: string, prefix = `kumoi/${opened++}/`): Promise<StoreEngine> {
  const store = await openEtcdStore({ url, prefix, clock: systemClock, random: systemRandom })
  t.teardown(() => store.close())
  return store
}
const pass = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

t.test('three members, one of them killed and back', { skip: etcdAbsent }, async (t) => {
  const etcd = await startEtcd(t, 3)
  let victim = 0
  await storeConformance(t, async (t) => {
    const prefix = `kumoi/${opened++}/`
    return {
      store: await open(t, etcd.url, prefix), again: await open(t, etcd.url, prefix), pass,
      async disturb() {
        const at = victim++ % 3
        await etcd.kill(at)
        await etcd.start(at)
      },
    }
  })
})
