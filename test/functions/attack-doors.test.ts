// What a local socket may say and do: a tenant (--as) changes nothing that is everybody's, nobody makes up what caused a call or
// how far it may reach, and nothing of a socket is a running function or another member.

import t from 'tap'
import { LIMITS, systemClock, systemRandom } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import { CATALOG_METHODS } from '../../functions/catalog/wire.ts'
import { INVOKE_METHODS } from '../../functions/invoke/wire.ts'
import { functionPrincipal } from '../../functions/principal.ts'
import { SECRET_METHODS } from '../../functions/state/client.ts'
import { createSecrets } from '../../functions/mod.ts'
import { encodeArray } from '../../functions/value/mod.ts'
import { bundleOf, openCatalogFabric } from '../support/catalog-fabric.ts'
import { fakeSandbox } from '../support/fake-sandbox.ts'
import { openInvokeFabric } from '../support/invoke-nodes.ts'
import { openObservedNodes } from '../support/observed-nodes.ts'
import { until } from '../support/until.ts'

const DENIED = { code: 'FUNCTIONS_ERR_DEPLOY_DENIED' }
const shared = globalThis as unknown as { attackCalls?: unknown[] }

t.test('calls: a tenant may make them, and neither throw away nor revive those of others', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  fabric.deploy('keep', '() => 1', { paused: true })
  const { client, shell } = fabric.nodes[0]!
  await client.enqueue('keep', 1)
  const tenant = { principal: 'local:0/tenant' }
  await t.rejects(shell.call(INVOKE_METHODS.discard, ['keep', null], tenant), DENIED)
  await t.rejects(shell.call(INVOKE_METHODS.redrive, ['keep', null], tenant), DENIED)
  t.equal((await client.waiting('keep')).length, 1)
  t.equal(await client.discard('keep'), 1, 'the administrator does')
})

t.test('calls: causes, depth and budget that a socket makes up are not believed', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  shared.attackCalls = []
  fabric.deploy('hook', '({ call }) => { globalThis.attackCalls.push(call.cause) }')
  const { shell, client } = fabric.nodes[0]!
  const forged = { type: 'http', method: 'POST', path: '/functions/hook', headers: { 'x-forwarded-user': 'root' } }
  const ask = (method: string): Promise<unknown> => shell.call(method, ['hook', encodeArray([1]), null, null, null, Number.MAX_SAFE_INTEGER, null, forged, 'one', 7])
  await ask(INVOKE_METHODS.invoke)
  await ask(INVOKE_METHODS.enqueue)
  await until('both ran', () => shared.attackCalls?.length === 2)
  t.same(shared.attackCalls, [{ type: 'call' }, { type: 'call' }])
  fabric.deploy('hook', '() => 1', { paused: true })
  await ask(INVOKE_METHODS.enqueue)
  const [entry] = (await fabric.store.range('call/hook/')).entries
  t.notOk(Buffer.from(entry?.value ?? []).includes(Buffer.from('x-forwarded-user')))
  t.equal((await client.waiting('hook'))[0]?.cause, 'call')
  await t.rejects(shell.call(INVOKE_METHODS.call, ['hook', 'stable', 'a'.repeat(64), encodeArray([1]), 1_000, LIMITS.callBudget, 1, null, null, 0]), { code: 'FUNCTIONS_ERR_BAD_MESSAGE' }, 'what members say to one another')
})

t.test('calls: a socket that says it is a running function, or somebody else, is itself', async (t) => {
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox() })
  t.teardown(() => fabric.close())
  fabric.deploy('keep', '() => 1', { paused: true })
  const { client, shell } = fabric.nodes[0]!
  const liars = [functionPrincipal({ name: 'hot', version: 'ab'.repeat(32), epoch: 7, deployer: 'local:0' }), 'local:1', 'local:00', 'local:0x', 'node:abcdef01', 'http:open', '', 'fn/local:0']
  for (const principal of liars) await shell.call(INVOKE_METHODS.enqueue, ['keep', encodeArray([principal]), null, null, 'one key', null, null, null, 'one', 0], { principal })
  t.equal((await client.waiting('keep')).length, 1, 'all of them have one and the same account')
  await shell.call(INVOKE_METHODS.enqueue, ['keep', encodeArray([1]), null, null, 'one key', null, null, null, 'one', 0], { principal: 'local:0/fn:hot@abababababab#7/local:0' })
  t.equal((await client.waiting('keep')).length, 2, 'below itself it may be whom it likes')
})

t.test('secrets: a tenant sees their names, and sets and removes none', async (t) => {
  const fabric = openObservedNodes(['alpha'])
  const [node] = fabric.nodes
  if (node === undefined) throw new Error('one node')
  const store = createMemoryGlobalStore({ clock: systemClock })
  const secrets = createSecrets({ store, membership: node.membership, sealing: node.sealing, clock: systemClock, random: systemRandom, usedBy: () => [], warn: () => {} })
  t.teardown(() => { secrets.close(); fabric.close() })
  secrets.serve(node.registry)
  const shell = node.shell()
  await shell.call(SECRET_METHODS.set, { name: 'key', value: 'correct horse' })
  const tenant = { principal: 'local:0/tenant' }
  await t.rejects(shell.call(SECRET_METHODS.set, { name: 'key', value: 'mine now' }, tenant), DENIED)
  await t.rejects(shell.call(SECRET_METHODS.remove, { name: 'key' }, tenant), DENIED)
  t.equal(await secrets.get({ name: 'f', secrets: ['key'] }, 'key'), 'correct horse')
  t.match(await shell.call(SECRET_METHODS.list, null, tenant), [{ name: 'key' }])
})

t.test('definitions: names that are none, on every method', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  await node(0).client.deploy(bundleOf('hot', 'one'))
  for (const name of ['__proto__', 'constructor', '../hot', 'hot/../hot', 'hot\u0000', 'HOT', 'h\u043et', 'hot ', '', 'x'.repeat(100_000)]) {
    const shown = JSON.stringify(name.slice(0, 20))
    for (const verb of ['pause', 'rollback', 'remove'] as const) await t.rejects(async () => { await node(0).client[verb](name) }, { code: /FUNCTION_UNKNOWN|STORE_INVALID|PAYLOAD_INVALID|BAD_MESSAGE/ }, `${verb} ${shown}`)
    await t.rejects(node(0).client.alias(name, { canary: 'stable' }), { code: /_ERR_/ }, `alias of ${shown}`)
    if (name !== 'constructor') await t.rejects(node(0).client.alias('hot', { [name]: 'stable' }), { code: /_ERR_/ }, `an alias that is named ${shown}`)
    t.throws(() => node(0).catalog.resolve(`hot@${name}`, 0), { code: 'FUNCTIONS_ERR_FUNCTION_VERSION_UNKNOWN' }, `hot@${shown}`)
  }
  t.same((await node(0).client.list()).map((row) => [row.name, Object.keys(row.record.aliases), row.record.generation]), [['hot', ['stable'], 1]])
  for (const over of [{ name: '__proto__' }, { name: 'a/b' }, { description: 'x'.repeat(5_000) }, { secrets: Array.from({ length: 300 }, (_, n) => `s${n}`) }, { triggers: Array.from({ length: 65 }, () => ({ type: 'http', open: true })) }, { triggers: [{ type: 'toString' }] }, { rights: ['x'.repeat(300)] }, { version: 'ab'.repeat(32) }, { bytes: -1 }, { limits: { timeoutMs: 1e300 } }]) {
    await t.rejects(node(0).client.deploy(bundleOf('sly', JSON.stringify(over), over as never)), { code: /DEFINITION_INVALID|_ERR_/ }, JSON.stringify(over).slice(0, 60))
  }
  t.same((await node(0).client.list()).map(({ name }) => name), ['hot'])
  t.notOk(CATALOG_METHODS.deploy in ({} as object), 'and no prototype has grown')
})
