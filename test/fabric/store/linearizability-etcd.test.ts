// A recorded history of concurrent clients of an etcd of three is linearizable, with a member killed and another halted.

import t from 'tap'
import { seededRandom, systemClock, systemRandom } from '../../../fabric/base.ts'
import { openEtcdStore } from '../../../fabric/store/etcd/store.ts'
import { etcdAbsent, startEtcd } from '../../support/etcd.ts'
import { notLinearizable, recordHistory } from '../../support/linearizability.ts'

const SEED = 20_261_122
const KEYS = ['x', 'y', 'z']

t.test('etcd of three, a member killed and another halted', { skip: etcdAbsent }, async (t) => {
  const etcd = await startEtcd(t, 3)
  const clients = await Promise.all(Array.from({ length: 5 }, () => openEtcdStore({ url: etcd.url, prefix: 'kumoi/linear/', clock: systemClock, random: systemRandom })))
  t.teardown(() => Promise.all(clients.map((client) => client.close())))
  let restarting: Promise<void> | undefined
  const history = await recordHistory({
    clients, keys: KEYS, calls: 100, random: seededRandom(SEED), timeoutMs: 3_000,
    onCall(count) {
      if (count === 100) restarting = etcd.kill(0).then(() => etcd.start(0))
      if (count === 300) { etcd.halt(1); setTimeout(() => etcd.go(1), 1_500) }
    },
  })
  await restarting
  t.equal(notLinearizable(history), undefined, `seed ${SEED}`)
})
