// The catalog on real nodes: certificates of joined members, links, blobs, the store at the founder.

import t from 'tap'
import { bundleOf, versionOf } from '../../support/catalog-fabric.ts'
import { openCatalogNodes } from '../../support/catalog-nodes.ts'
import { eventually } from '../../support/hosts.ts'

t.setTimeout(60_000)

t.test('deployed by a member that then leaves: believed, kept and had all the same', async (t) => {
  const nodes = await openCatalogNodes((after) => { t.teardown(after) }, ['alpha', 'beta', 'gamma', 'delta'])
  const [alpha, beta, gamma, delta] = nodes
  if (alpha === undefined || beta === undefined || gamma === undefined || delta === undefined) throw new Error('four nodes')
  const one = bundleOf('hot', 'x'.repeat(1_000_000))
  const { ready, copies, record } = await delta.client.deploy(one)
  t.same(ready, ['alpha', 'beta', 'delta', 'gamma'])
  t.ok(copies.length >= 3)
  t.equal(record.node, delta.fabric.id)
  await delta.stop()
  await eventually(() => [alpha, beta, gamma].every(({ fabric }) => fabric.membership.member(delta.fabric.id)?.state === 'left'))
  t.equal((await gamma.client.pause('hot')).node, gamma.fabric.id)
  t.equal((await beta.client.get('hot')).versions[0]?.node, delta.fabric.id)
  t.equal((await beta.catalog.code(versionOf(one))).length, one.script.length)
  const { ready: left } = await beta.client.deploy(bundleOf('hot', 'two'))
  t.same(left, ['alpha', 'beta', 'gamma'])
  t.same(await alpha.client.problems(), [])
})
