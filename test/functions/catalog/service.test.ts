// Deploys, rollbacks, aliases on three nodes in one process: what a shell asks, what each node then knows and keeps.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { functionKey, versionKey } from '../../../functions/catalog/records.ts'
import type { FunctionManifest } from '../../../functions/mod.ts'
import { bundleOf, cut, openCatalogFabric, versionOf } from '../../support/catalog-fabric.ts'
import type { TestNode } from '../../support/catalog-fabric.ts'
import { eventually } from '../../support/hosts.ts'

const codeOf = async (work: PromiseLike<unknown>): Promise<string | undefined> => work.then(() => undefined, (error: unknown) => errorCode(error))
const thrown = (work: () => unknown): string | undefined => { try { work(); return undefined } catch (error) { return errorCode(error) } }
const one = bundleOf('hot', 'one', { rights: ['vm:read'] })
const two = bundleOf('hot', 'two', { rights: ['vm:read', 'vm:operate'], triggers: [{ type: 'every', everyMs: 5_000 }] })
const textOf = async (node: TestNode, version: string): Promise<string> => new TextDecoder().decode(await node.catalog.code(version))

t.test('deploy, look, roll back, pause, remove', async (t) => {
  const { node, nodes, store } = await openCatalogFabric(t, 3)
  const steps: string[] = []
  const first = await node(0).client.deploy(one, { onProgress: (step) => steps.push(step) })
  t.equal(first.outcome, 'new')
  t.same([first.previous, first.changes, first.ready, first.copies], [undefined, [], ['n0', 'n1', 'n2'], ['n0', 'n1', 'n2']])
  t.same(steps, ['checking', 'copying', 'writing', 'getting ready'])
  for (const { warmed } of nodes) t.same(warmed, [versionOf(one)])

  const second = await node(1).client.deploy(two)
  t.equal(second.outcome, 'changed')
  t.equal(second.previous, versionOf(one))
  t.match(second.changes.filter(({ path }) => path === 'rights' || path === 'triggers'), [
    { path: 'triggers', before: 'none', after: 'every 5s' }, { path: 'rights', before: 'vm:read', after: 'vm:read, vm:operate' },
  ])
  t.same((await node(1).client.deploy(two)).outcome, 'same')
  for (const { catalog } of nodes) t.equal(catalog.resolve('hot', 0.5).manifest.version, versionOf(two))
  t.equal(await textOf(node(2), versionOf(two)), new TextDecoder().decode(two.script))
  t.equal(await node(2).catalog.sourceMap(versionOf(two)), '{"mappings":"two"}')

  const [row] = await node(2).client.list()
  t.same([row?.name, row?.record.generation, row?.versions.length], ['hot', 2, 2])
  t.same((await node(2).client.get('hot')).record, row?.record)
  t.equal((await node(2).client.rollback('hot')).aliases['stable']?.version, versionOf(one))
  t.equal(node(2).catalog.resolve('hot', 0.5).manifest.version, versionOf(one), 'who asked for it sees it at once')
  t.equal(await codeOf(node(2).client.rollback('hot')), 'FUNCTIONS_ERR_FUNCTION_NO_PREVIOUS')
  t.same((await node(0).client.alias('hot', { canary: `${versionOf(two).slice(0, 12)}:10%` })).aliases['canary'], { version: versionOf(two), percent: 10 })
  t.equal(node(0).catalog.resolve('hot@canary', 0).manifest.version, versionOf(two))
  t.equal(node(0).catalog.resolve(`hot@${versionOf(two).slice(0, 6)}`, 0).manifest.version, versionOf(two))
  t.equal(thrown(() => node(0).catalog.resolve('hot@nope', 0)), 'FUNCTIONS_ERR_FUNCTION_VERSION_UNKNOWN')

  t.equal((await node(0).client.pause('hot')).paused, true)
  t.equal(thrown(() => node(0).catalog.resolve('hot', 0)), 'FUNCTIONS_ERR_FUNCTION_PAUSED')
  t.equal((await node(0).client.resume('hot')).paused, false)
  const value = new Uint8Array(1)
  await store.transact({ then: [{ do: 'put', key: 'function-state/hot/x', value }, { do: 'put', key: 'function-size/hot', value }, { do: 'put', key: 'function-size/hotter', value }] })
  await node(0).client.remove('hot')
  t.same((await store.range('function')).entries.map(({ key }) => key), ['function-size/hotter'], 'records, versions and what other parts keep of it, and no more')
  t.same(await node(0).client.list(), [], 'at once for who asked')
  await eventually(() => nodes.every(({ catalog }) => catalog.list().length === 0))
  t.equal(await codeOf(node(0).client.get('hot')), 'FUNCTIONS_ERR_FUNCTION_UNKNOWN')
  t.equal(await codeOf(node(0).client.remove('hot')), 'FUNCTIONS_ERR_FUNCTION_UNKNOWN')
  t.equal((await node(0).client.deploy(one)).outcome, 'new', 'and again')
})

t.test('a mistyped name', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  await node(0).client.deploy(bundleOf('hot-machines', 'one'))
  const { get, pause } = node(0).client
  for (const ask of [get, pause]) await t.rejects(async () => { await ask('hot-machine') }, { code: 'FUNCTIONS_ERR_FUNCTION_UNKNOWN', message: /did you mean hot-machines/ })
})

t.test('who may', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  const narrowed = node(0).as('local:0/tenant')
  const running = node(0).as('fn:hot@0123456789ab/local:0')
  t.equal(await codeOf(narrowed.deploy(one)), 'FUNCTIONS_ERR_DEPLOY_DENIED')
  t.equal(await codeOf(narrowed.pause('hot')), 'FUNCTIONS_ERR_DEPLOY_DENIED')
  t.same(await narrowed.list(), [])
  t.equal(await codeOf(running.deploy(one)), 'FUNCTIONS_ERR_FUNCTION_DENIED', 'a function does not deploy itself')
  t.equal(await codeOf(running.remove('hot')), 'FUNCTIONS_ERR_FUNCTION_DENIED')
})

t.test('a dry run writes nothing', async (t) => {
  const { node, store } = await openCatalogFabric(t, 2)
  t.equal((await node(0).client.deploy(one, { dryRun: true })).outcome, 'new')
  t.same((await store.range('')).entries, [])
  t.notOk(node(0).blobs.has(versionOf(one)))
  await node(0).client.deploy(one)
  const planned = await node(0).client.deploy(two, { dryRun: true, alias: 'canary', percent: 5 })
  t.match(planned, { outcome: 'changed', previous: versionOf(one), record: { aliases: { canary: { percent: 5 }, stable: { version: versionOf(one) } }, generation: 2 } })
  t.equal(node(0).catalog.get('hot')?.record.generation, 1)
})

t.test('a script that lies about its size, or is too large', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  t.equal(await codeOf(node(0).client.deploy({ ...one, script: new Uint8Array(5 * 1024 * 1024) })), 'FUNCTIONS_ERR_BUNDLE_TOO_LARGE')
  t.equal(await codeOf(node(0).client.deploy({ ...one, script: new Uint8Array(0) })), 'FUNCTIONS_ERR_BUNDLE_TOO_LARGE')
  t.equal(await codeOf(node(0).client.deploy(bundleOf('hot', 'x', { name: 'Not A Name' }))), 'FUNCTIONS_ERR_DEFINITION_INVALID')
})

t.test('two deploys of one name at once: both happen, one after the other', async (t) => {
  const { node, nodes, store } = await openCatalogFabric(t, 3)
  const bundles = Array.from({ length: 6 }, (_, n) => bundleOf('hot', `v${n}`))
  const reports = await Promise.all(bundles.map((bundle, n) => node(n % 3).client.deploy(bundle)))
  t.same(reports.map(({ record }) => record.generation).toSorted(), [1, 2, 3, 4, 5, 6])
  const last = reports.find(({ record }) => record.generation === 6)
  for (const { catalog } of nodes) {
    await eventually(() => catalog.get('hot')?.record.generation === 6)
    t.equal(catalog.resolve('hot', 0).manifest.version, last?.manifest.version)
  }
  t.equal((await store.range('function-version/')).entries.length, 6)
  const raced = await Promise.all(['a', 'b'].map((code, n) => codeOf(node(n).client.deploy(bundleOf('hot', code), { generation: 6 }))))
  t.same(raced.toSorted(), ['FUNCTIONS_ERR_FUNCTION_CONFLICT', undefined], 'of two that name their generation one')
})

t.test('stopped at any step, nothing of a deploy is visible', async (t) => {
  const { node, store } = await openCatalogFabric(t, 3)
  await node(0).client.deploy(one)
  const before = (await store.range('')).entries
  for (const stop of ['get', 'range', 'transact']) {
    node(0).line((call) => { if (call === stop) cut() })
    t.equal(await codeOf(node(0).client.deploy(two)), 'FABRIC_ERR_STORE_UNREACHABLE', stop)
    node(0).line(() => {})
    t.same((await store.range('')).entries, before, stop)
    t.equal(node(1).catalog.resolve('hot', 0).manifest.version, versionOf(one))
  }
  t.equal((await node(0).client.deploy(two)).outcome, 'changed')
})

t.test('members that die while something is deployed, and a shell that leaves', async (t) => {
  const { node, store } = await openCatalogFabric(t, 4)
  await node(0).client.deploy(one)
  const { ready, copies } = await node(0).client.deploy(two, { onProgress: (step) => { if (step === 'copying') void node(2).kill() } })
  t.notOk(ready.includes('n2'))
  t.ok(ready.includes('n0') && ready.includes('n1') && ready.includes('n3'))
  t.ok(copies.length >= 2)
  // Half a script, and gone.
  const before = (await store.range('')).entries
  await t.rejects(node(1).client.deploy({ ...one, script: Object.assign(new Uint8Array(1_000), { subarray: () => { throw new Error('the shell ends') } }) }))
  await t.rejects(node(1).client.deploy(bundleOf('hot', 'x', { name: 'hot', triggers: 'none' as never })))
  t.same((await store.range('')).entries, before)
})

t.test('an answer of the store that got lost is looked up', async (t) => {
  const { node } = await openCatalogFabric(t, 2)
  let lost = false
  node(0).line((call) => {
    if (call !== 'transact answered' || lost) return
    lost = true
    throw Object.assign(new Error('lost'), { code: 'FABRIC_ERR_STORE_UNREACHABLE', outcome: 'unknown' })
  })
  t.equal((await node(0).client.deploy(one)).record.generation, 1)
  t.ok(lost)
})

t.test('records that were altered in the store are refused, and told of', async (t) => {
  const { node, store, logged } = await openCatalogFabric(t, 2)
  await node(0).client.deploy(one)
  await node(0).client.deploy(bundleOf('cold', 'one'))
  const entry = await store.get(functionKey('hot'))
  const text = new TextDecoder().decode(entry?.value)
  const put = async (key: string, value: string): Promise<void> => { await store.transact({ then: [{ do: 'put', key, value: new TextEncoder().encode(value) }] }) }
  const refusals: readonly (readonly [string, string])[] = [
    ['paused', text.replace('"paused":false', '"paused":true')],
    ['generation', text.replace('"generation":1', '"generation":2')],
    ['field', text.replace('{', '{"extra":1,')],
    ['no json', '{'],
    ['another function\'s', new TextDecoder().decode((await store.get(functionKey('cold')))?.value)],
    ['another node', text.replace(/"node":"../, '"node":"00')],
  ]
  for (const [what, altered] of refusals) {
    t.not(altered, text)
    const told = logged.length
    await put(functionKey('hot'), altered)
    await eventually(() => logged.length >= told + 2)
    t.equal(node(1).catalog.resolve('hot', 0).manifest.version, versionOf(one), `${what}: the good one is used`)
    t.match(await node(1).client.problems(), [{ name: 'hot' }], what)
  }
  await node(1).restart()
  t.equal(node(1).catalog.resolve('hot', 0).manifest.version, versionOf(one), 'known from the node\'s own copy')
  await eventually(() => node(1).catalog.problems().length === 1)

  // A version's manifest with more rights, under its own key.
  const key = versionKey('cold', versionOf(bundleOf('cold', 'one')))
  const version = new TextDecoder().decode((await store.get(key))?.value)
  await put(key, version.replace('"rights":[]', '"rights":["vm:admin"]'))
  await node(1).restart()
  t.same(node(1).catalog.get('cold')?.manifest.rights, [], 'who judged it before keeps what he judged')
  await node(1).restart('forgetting')
  await eventually(() => node(1).catalog.problems().some(({ name }) => name === 'cold'))
  t.equal(thrown(() => node(1).catalog.resolve('cold', 0)), 'FUNCTIONS_ERR_FUNCTION_UNSIGNED', 'who sees it for the first time does not')

  await put(functionKey('gone'), '{}')
  await eventually(() => node(0).catalog.problems().some(({ name }) => name === 'gone'))
  await store.transact({ then: [{ do: 'delete', key: functionKey('gone') }] })
  await eventually(() => !node(0).catalog.problems().some(({ name }) => name === 'gone'))
  t.equal((await node(0).client.deploy(two)).ready.length, 2, 'deployed again, it is trusted again')
  t.notOk((await node(0).client.problems()).some(({ name }) => name === 'hot'))
})

t.test('a blob damaged on disk, or gone, is had of another', async (t) => {
  const { node } = await openCatalogFabric(t, 3)
  await node(0).client.deploy(one)
  const version = versionOf(one)
  const file = join(node(1).directory, version.slice(0, 2), version)
  await writeFile(file, 'damaged')
  // Through the disk, as after a restart: a store with an empty memory.
  const { createBlobStore } = await import('../../../fabric/mod.ts')
  const fresh = await createBlobStore({ directory: node(1).directory })
  t.equal(await fresh.get(version), undefined, 'damaged is missing')
  Object.assign(node(1).blobs, fresh)
  t.equal(await textOf(node(1), version), new TextDecoder().decode(one.script))
  await node(1).blobs.flush()
  t.equal(await readFile(file, 'utf8'), new TextDecoder().decode(one.script), 'and whole again on this disk')
})

t.test('a peer that sends other bytes is passed over', async (t) => {
  const { node, logged } = await openCatalogFabric(t, 4)
  const { copies } = await node(0).client.deploy(one)
  t.ok(copies.length >= 3)
  const version = versionOf(one)
  const asking = node(3)
  // Everybody whom it asks first lies, one is honest.
  const bad = new TextEncoder().encode('something else')
  for (const n of [0, 1]) node(n).blobs.get = async () => bad
  asking.blobs.get = async () => undefined
  t.equal(await textOf(asking, version), new TextDecoder().decode(one.script))
  if (logged.length > 0) t.match(logged.join('\n'), /other bytes/)
  for (const n of [0, 1, 2]) node(n).blobs.get = async () => bad
  t.equal(await codeOf(asking.catalog.code(version)), 'FUNCTIONS_ERR_FUNCTION_CODE_MISSING')
})

t.test('a node that starts while the store cannot be reached knows its functions', async (t) => {
  const { node } = await openCatalogFabric(t, 2)
  await node(0).client.deploy(one)
  node(1).line(cut)
  await node(1).restart()
  t.equal(node(1).catalog.resolve('hot', 0).manifest.version, versionOf(one))
  t.equal(await textOf(node(1), versionOf(one)), new TextDecoder().decode(one.script))
  await node(0).client.deploy(two).then(({ ready }) => t.same(ready, ['n0'], 'the other one is told of as not ready'))
  node(1).line(() => {})
  await eventually(() => node(1).catalog.resolve('hot', 0).manifest.version === versionOf(two))
})

t.test('a watch that ends, or cannot be resumed: everything is read again', async (t) => {
  const { node, logged } = await openCatalogFabric(t, 2)
  await node(0).client.deploy(one)
  await node(0).client.deploy(bundleOf('cold', 'one'))
  const faults = [{ code: 'FABRIC_ERR_STORE_COMPACTED' }, { code: 'FABRIC_ERR_STORE_UNREACHABLE' }]
  // Each breaks the watch at the next change, and what changes meanwhile is seen all the same.
  for (const [n, fault] of faults.entries()) {
    let broken = false
    node(1).line((call) => {
      if (call !== 'watch' || broken) return
      broken = true
      throw Object.assign(new Error('the watch ended'), fault)
    })
    await node(0).client.deploy(bundleOf('hot', `again ${n}`))
    if (n === 0) await node(0).client.remove('cold')
    await eventually(() => broken && node(1).catalog.resolve('hot', 0).manifest.version === versionOf(bundleOf('hot', `again ${n}`)) && node(1).catalog.get('cold') === undefined)
  }
  t.equal(logged.filter((line) => /cannot be followed/.test(line)).length, 1, 'the first is nobody\'s concern')
})

t.test('shares of the calls', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  await node(0).client.deploy(one)
  await node(0).client.deploy(two, { alias: 'canary', percent: 10 })
  await node(0).client.deploy(bundleOf('hot', 'three'), { alias: 'blue', percent: 30 })
  const counts = new Map<string, number>()
  for (let draw = 0; draw < 1_000; draw++) {
    const { alias } = node(0).catalog.resolve('hot', draw / 1_000)
    counts.set(alias, (counts.get(alias) ?? 0) + 1)
  }
  t.same(Object.fromEntries(counts), { blue: 300, canary: 100, stable: 600 })
})

t.test('resolutions during a storm of deploys, rollbacks and moves: each has one whole version', async (t) => {
  const { node, nodes } = await openCatalogFabric(t, 3)
  const bundles = Array.from({ length: 30 }, (_, n) => bundleOf('hot', `v${n}`, { description: `v${n}` }))
  const told = new Map(bundles.map((bundle, n) => [versionOf(bundle), `v${n}`]))
  await node(0).client.deploy(bundles[0] ?? one)
  await node(0).client.deploy(bundles[1] ?? one)
  let storming = true
  const storm = (async () => {
    for (const [n, bundle] of bundles.entries()) {
      const { client } = node(n % 3)
      await client.deploy(bundle)
      if (n % 4 === 1) await client.rollback('hot').catch(() => {})
      if (n % 5 === 2) await client.alias('hot', { canary: `${versionOf(bundle)}:50%` })
    }
    storming = false
  })()
  let resolved = 0
  const check = ({ manifest }: { readonly manifest: FunctionManifest }): void => {
    resolved++
    if (manifest.description !== told.get(manifest.version)) t.fail(`a mixture: ${manifest.description} ${manifest.version}`)
  }
  while (storming || resolved < 200) {
    for (const { catalog } of nodes) {
      const found = catalog.resolve('hot', (resolved % 100) / 100)
      check(found)
      if (new TextDecoder().decode(await catalog.code(found.manifest.version)) !== `{"name":"hot","code":"${found.manifest.description}","description":"${found.manifest.description}"}`) t.fail('other code than its manifest says')
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  await storm
  t.ok(resolved >= 200, `${resolved} resolutions`)
  t.ok((await node(0).client.get('hot')).versions.length <= 20)
})
