// Records of the store that were written by somebody who cannot sign: put back, moved, renamed, changed. Nothing of them is used,
// the function goes on as it was, and whoever asks is told.

import t from 'tap'
import { encodeStored, functionKey, openFunction, openVersion, versionKey } from '../../functions/catalog/records.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import { bundleOf, openCatalogFabric, versionOf } from '../support/catalog-fabric.ts'
import { eventually } from '../support/hosts.ts'

const putBytes = (store: GlobalStore, key: string, value: Uint8Array): Promise<unknown> => store.transact({ then: [{ do: 'put', key, value }] })
const valueOf = async (store: GlobalStore, key: string): Promise<Uint8Array> => (await store.get(key))?.value ?? new Uint8Array()

t.test('an older record that was put back is not used: no rollback without a signature of its own', async (t) => {
  const { store, node } = await openCatalogFabric(t, 2)
  const [bad, good] = [bundleOf('hot', 'vulnerable'), bundleOf('hot', 'mended')]
  await node(0).client.deploy(bad)
  const old = await valueOf(store, functionKey('hot'))
  await node(0).client.deploy(good)
  const present = await valueOf(store, functionKey('hot'))
  await eventually(() => [0, 1].every((n) => node(n).catalog.get('hot')?.manifest.version === versionOf(good)))
  await putBytes(store, functionKey('hot'), old)
  await eventually(() => [0, 1].every((n) => node(n).catalog.problems().length === 1))
  for (const n of [0, 1]) {
    t.equal(node(n).catalog.get('hot')?.manifest.version, versionOf(good))
    t.match(node(n).catalog.problems(), [{ name: 'hot', reason: /of generation 1, and 2 has been seen/ }])
  }
  await node(1).restart()
  await eventually(() => node(1).catalog.problems().length === 1)
  t.equal(node(1).catalog.get('hot')?.manifest.version, versionOf(good), 'nor after a restart: the node knows what it had')
  await putBytes(store, functionKey('hot'), present)
  await eventually(() => [0, 1].every((n) => node(n).catalog.problems().length === 0))
  await putBytes(store, functionKey('hot'), old)
  t.equal((await node(0).client.deploy(bundleOf('hot', 'newer'))).outcome, 'changed', 'a deploy mends it')
  await eventually(() => [0, 1].every((n) => node(n).catalog.get('hot')?.manifest.version === versionOf(bundleOf('hot', 'newer')) && node(n).catalog.problems().length === 0))
})

t.test('a function that was removed and made anew begins again, whoever missed the removal', async (t) => {
  const { store, node } = await openCatalogFabric(t, 1)
  for (const code of ['one', 'two', 'three']) await node(0).client.deploy(bundleOf('hot', code))
  const last = await valueOf(store, functionKey('hot'))
  await node(0).client.remove('hot')
  const { record } = await node(0).client.deploy(bundleOf('hot', 'again'))
  t.equal(record.generation, 1)
  await eventually(() => node(0).catalog.get('hot')?.record.generation === 1)
  t.same(node(0).catalog.problems(), [])
  t.ok(last.length > 0)
})

t.test('a signed record under another key, or of another kind, is not used', async (t) => {
  const { store, node } = await openCatalogFabric(t, 1)
  const [one, two] = [bundleOf('hot', 'one'), bundleOf('cold', 'two')]
  await node(0).client.deploy(one)
  await node(0).client.deploy(two)
  const [hot, version] = [await valueOf(store, functionKey('hot')), await valueOf(store, versionKey('hot', versionOf(one)))]
  await putBytes(store, functionKey('cold'), hot)
  await putBytes(store, functionKey('new'), hot)
  await putBytes(store, functionKey('kind'), version)
  await putBytes(store, versionKey('cold', versionOf(one)), version)
  await eventually(() => node(0).catalog.problems().length >= 3)
  t.match(new Map(node(0).catalog.problems().map(({ name, reason }) => [name, reason])), new Map([['cold', /it is the record of hot/], ['new', /it is the record of hot/], ['kind', /cannot be read/]]))
  t.same(node(0).catalog.list().map(({ record, manifest }) => [record.name, manifest.version]), [['cold', versionOf(two)], ['hot', versionOf(one)]])
  t.throws(() => node(0).catalog.resolve('new', 0), { code: 'FUNCTIONS_ERR_FUNCTION_UNSIGNED' })
})

t.test('records that were changed in any place, or are none', async (t) => {
  const { store, node } = await openCatalogFabric(t, 1)
  const bundle = bundleOf('hot', 'one', { rights: ['vm:read'] })
  await node(0).client.deploy(bundle)
  const record = node(0).catalog.get('hot')?.record
  const version = node(0).catalog.get('hot')?.versions.get(versionOf(bundle))
  if (record === undefined || version === undefined) throw new Error('deployed')
  // Every signature is taken for good here: what is left are the shape and the key.
  const believing = { node: record.node, sign: () => '00', verify: () => true }
  const UNSIGNED = { code: 'FUNCTIONS_ERR_FUNCTION_UNSIGNED' }
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
  const shapes: readonly unknown[] = [
    '', 'null', '[]', '{}', '{"name":"hot"}', `{"__proto__":${JSON.stringify(record)}}`, '['.repeat(100_000), { ...record, extra: 1 }, { ...record, aliases: {} }, { ...record, aliases: { __proto__: null, stable: { version: 'x' } } },
    { ...record, aliases: { ...record.aliases, '../x': { version: versionOf(bundle) } } }, { ...record, aliases: { stable: { version: versionOf(bundle), percent: 1e9 } } }, { ...record, generation: 1.5 }, { ...record, generation: '1' }, { ...record, paused: 0 },
    { ...record, by: 'x'.repeat(10_000) }, { ...record, history: Array.from({ length: 100 }, () => versionOf(bundle)) }, { ...record, signature: 'zz' }, { ...record, node: '../..' }, { ...record, name: 'HOT' },
  ]
  for (const shape of shapes) t.throws(() => openFunction('hot', text(shape), believing), UNSIGNED, JSON.stringify(shape)?.slice(0, 60))
  t.throws(() => openFunction('hot', new Uint8Array([0xff, 0xfe]), believing), UNSIGNED, 'no UTF-8')
  const { manifest } = version
  for (const over of [{ rights: [1] }, { rights: ['x'.repeat(1_000)] }, { triggers: [{ type: 'every', everyMs: 0 }] }, { triggers: [{ type: '__proto__' }] }, { triggers: [{ type: 'http', open: 'yes' }] }, { limits: {} }, { target: 'node:' }, { version: 'ab'.repeat(32) }, { name: 'cold' }, { bytes: 1e12 }, { more: true }]) {
    t.throws(() => openVersion('hot', manifest.version, text({ ...version, manifest: { ...manifest, ...over } }), believing), UNSIGNED, JSON.stringify(over).slice(0, 60))
  }
  // With the real signatures: more rights, another deployer, another node.
  for (const changed of [{ ...version, manifest: { ...manifest, rights: ['*:*'] } }, { ...version, by: 'local:1' }, { ...version, node: '0'.repeat(64) }, { ...version, atMs: version.atMs + 1 }]) {
    await putBytes(store, versionKey('hot', manifest.version), encodeStored(changed))
    await node(0).restart('forgetting')
    await eventually(() => node(0).catalog.problems().length > 0)
    t.equal(node(0).catalog.get('hot'), undefined, 'a node that never saw the true one runs none')
  }
})
