// What is said to a reference whose object went away: why, and only if it was here.

import t from 'tap'
import { createLocalObjects } from '../../rmo/mod.ts'
import { authority, createTestFabric, must, nodeId } from '../support/rmo-fabric.ts'
import { createTestHosts, eventually } from '../support/hosts.ts'

const [A, B] = ['6f0a2c1e-0f6b-4f5e-9d2b-3a1f0c9e7b51', '7f0a2c1e-0f6b-4f5e-9d2b-3a1f0c9e7b51']
const left = { name: 'web', reason: 'it was removed by local:0' }

t.test('tombstones: of what was here, until it is again; bounded, the oldest go', (t) => {
  const objects = createLocalObjects({ forwardsMax: 2, tombstonesMax: 2 })
  const add = (uuid: string): void => objects.add({ kind: 'VM', uuid, local: {} })
  objects.remove('VM', A, left)
  t.equal(objects.tombstone('VM', A), undefined, 'it was never here')
  add(A)
  objects.remove('VM', A, left)
  objects.remove('VM', A, { name: 'other', reason: 'again' })
  t.same(objects.tombstone('VM', A), left, 'the first removal counts')
  t.equal(objects.tombstone('Volume', A), undefined)
  add(A)
  t.equal(objects.tombstone('VM', A), undefined, 'it is here again')
  objects.remove('VM', A, nodeId(2))
  t.same([objects.tombstone('VM', A), objects.movedTo('VM', A)], [undefined, nodeId(2)], 'one that moved is not gone')
  for (const uuid of ['1', '2', '3']) { add(uuid); objects.remove('VM', uuid) }
  t.same(['1', '2', '3'].map((uuid) => objects.tombstone('VM', uuid)?.name), [undefined, '2', '3'])
  t.end()
})

t.test('a reference to what is gone says so, here, from another node and in a map', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'])
  t.teardown(() => fabric.close())
  const [alpha, beta] = [fabric.node('alpha'), fabric.node('beta')]
  const target = { kind: 'VM', uuid: A, home: beta.member.id }
  beta.objects.add({ kind: 'VM', uuid: A, local: {} })
  beta.objects.remove('VM', A, left)
  const expected = { code: 'RMO_ERR_GONE', message: /VM web is gone: it was removed by local:0/ }
  t.throws(() => beta.capabilities.find(target), expected)
  await t.rejects(alpha.capabilities.invoke(target, 'start', [], authority()), expected)
  const refreshed = await beta.capabilities.refresh([{ ...target, name: 'web', attributes: {} }, { ...target, uuid: B, name: 'db', attributes: {} }], authority())
  t.match(refreshed, [{ error: { code: 'RMO_ERR_GONE' } }, { error: { code: 'RMO_ERR_OBJECT_UNKNOWN' } }])
  await t.rejects(alpha.capabilities.invoke({ ...target, uuid: B }, 'start', [], authority()), { code: 'RMO_ERR_OBJECT_UNKNOWN' }, 'it was never there')
})

t.test('hosts say what was removed, and by whom', async (t) => {
  const fabric = await createTestHosts(['host1', 'host2'])
  t.teardown(() => fabric.stop())
  const [a, b] = [fabric.host('host1'), fabric.host('host2')]
  const [web, db, away] = [await a.add({ name: 'web' }), await a.add({ name: 'db' }), await a.add({ name: 'away' })]
  const snapshot = await web.snapshot({ name: 'before' }, authority())
  await a.host.vmm.remove(web.reference(), {}, authority())
  t.match(a.objects.tombstone('VM', web.uuid), { name: 'web', reason: /removed by local:/ })
  t.match(a.objects.tombstone('Snapshot', snapshot.uuid), { name: 'before' })
  a.driver.faults.removeForeign(db.uuid)
  await eventually(() => a.host.vms.get(db.uuid) === undefined)
  t.match(a.objects.tombstone('VM', db.uuid), { name: 'db', reason: /not in the hypervisor any more/ })
  await away.migrate(b.pm, {}, authority())
  t.equal(a.objects.tombstone('VM', away.uuid), undefined)
  t.equal(a.objects.movedTo('VM', away.uuid), must(b).id)
})
