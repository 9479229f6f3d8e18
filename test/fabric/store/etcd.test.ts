// The global store on etcd: the conformance suite over one member, addresses, and an etcd that is not there.

import t from 'tap'
import { parseEtcdUrl } from '../../../fabric/store/etcd/url.ts'
import { storeConformance } from '../../conformance/global-store.ts'
import { etcdAbsent, freshPrefix, openEtcd, startEtcd } from '../../support/etcd.ts'
import { failure } from '../../support/rpc-pair.ts'

const pass = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

t.test('one member', { skip: etcdAbsent }, async (t) => {
  const etcd = await startEtcd(t, 1)
  await storeConformance(t, async (t) => {
    const prefix = freshPrefix()
    return { store: await openEtcd(t, etcd.url, prefix), again: await openEtcd(t, etcd.url, prefix), pass }
  })
})

t.test('an etcd that is not there is told of in time, and a write to it did not happen', async (t) => {
  const store = await openEtcd(t, 'etcd://127.0.0.1:1,127.0.0.1:2')
  t.equal(store.description, 'etcd at 127.0.0.1:1, 127.0.0.1:2')
  const expected = { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'not-started' }
  t.match(await failure(store.transact({ then: [{ do: 'delete', key: 'a' }] }, { timeoutMs: 300 })), expected)
  t.match(await failure(store.get('a', { timeoutMs: 300 })), { code: expected.code })
})

t.test('addresses', async (t) => {
  t.match(parseEtcdUrl('etcd://a,b:1234,[::1]:7'), { endpoints: ['http://a:2379', 'http://b:1234', 'http://[::1]:7'], description: 'etcd at a:2379, b:1234, [::1]:7' })
  const secured = parseEtcdUrl('etcds://me:p%40ss:word@a:1?ca=/etc/ca.pem')
  t.same([secured.endpoints, secured.user, secured.tls], [['https://a:1'], { name: 'me', password: 'p@ss:word' }, { ca: '/etc/ca.pem' }])
  t.notMatch(secured.description, /p@ss/)
  for (const url of ['', 'http://a', 'etcd://', 'etcd://a,', 'etcd://a:0', 'etcd://a:70000', 'etcd://a/b', 'etcd://a,a', 'etcd://a b', 'etcd://a?ca=x', 'etcds://a?frob=x', 'etcd://me:%zz@a']) {
    const error = await failure((async () => parseEtcdUrl(url))())
    t.equal(error.code, 'FABRIC_ERR_STORE_URL', url)
  }
  t.notMatch((await failure((async () => parseEtcdUrl('etcd://me:secret@a:0'))())).message, /secret/)
})
