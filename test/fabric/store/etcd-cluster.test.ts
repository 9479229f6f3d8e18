// The global store on an etcd of three: the conformance suite, with members killed while they are watched and written to.

import t from 'tap'
import { storeConformance } from '../../conformance/global-store.ts'
import { etcdAbsent, freshPrefix, openEtcd, startEtcd } from '../../support/etcd.ts'

const pass = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

t.test('three members, one of them killed and back', { skip: etcdAbsent }, async (t) => {
  const etcd = await startEtcd(t, 3)
  let victim = 0
  await storeConformance(t, async (t) => {
    const prefix = freshPrefix()
    return {
      store: await openEtcd(t, etcd.url, prefix), again: await openEtcd(t, etcd.url, prefix), pass,
      async disturb() {
        const at = victim++ % 3
        await etcd.kill(at)
        await etcd.start(at)
      },
    }
  })
})
