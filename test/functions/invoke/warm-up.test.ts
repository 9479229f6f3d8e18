// A node that gets a version ready leaves nothing to do for the first call: no isolate to link, and no spare one to make.
import t from 'tap'
import { openInvokeFabric } from '../../support/invoke-nodes.ts'

t.test('a version that was warmed up has its isolate, and is asked once more after the lane had time for its own', async (t) => {
  const fabric = await openInvokeFabric(1, { start: false })
  t.teardown(() => fabric.close())
  const [node] = fabric.nodes
  if (node === undefined) throw new Error('no node')
  const version = fabric.deploy('first', '({ what, payload }) => (what === "describe" ? {} : payload + 1)')
  const resolved = { name: 'first', alias: 'stable', deployer: 'local:0', manifest: fabric.manifest('first') }
  t.notOk(node.runner.warm(version))
  await node.runner.warmUp(resolved, new AbortController().signal)
  t.same(node.chunks, [1, 1])
  t.ok(node.runner.warm(version))
  t.equal(await node.client.invoke('first', 1), 2)
  t.equal(node.called[0]?.call.cold, false)
})

t.test('who leaves while a version is warmed up is told so', async (t) => {
  const fabric = await openInvokeFabric(1, { start: false })
  t.teardown(() => fabric.close())
  fabric.deploy('first', '() => ({})')
  const resolved = { name: 'first', alias: 'stable', deployer: 'local:0', manifest: fabric.manifest('first') }
  const leaving = new AbortController()
  leaving.abort(new Error('gone'))
  await t.rejects(fabric.nodes[0]!.runner.warmUp(resolved, leaving.signal), { message: 'gone' })
})
