import { test } from 'tap'
import { LIMITS, uuidOfNode } from '../../fabric/base.ts'
import { METHODS, localPolicy, readListingStream } from '../../rmo/mod.ts'
import { authority, createTestFabric, must, nodeId } from '../support/rmo-fabric.ts'

const target = (n: number) => ({ kind: 'PhysicalMachine', uuid: uuidOfNode(nodeId(n)), home: nodeId(n) })

test('resolve gives live members by name, then uuid, without asking anybody', async (t) => {
  const fabric = createTestFabric(['web', 'db', 'app', 'db'])
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('web')
  fabric.change('app', 'suspect')
  const resolved = await capabilities.resolve('PhysicalMachine', authority())
  t.same(resolved.map(({ name, home }) => [name, home]), [['app', nodeId(3)], ['db', nodeId(2)], ['db', nodeId(4)], ['web', nodeId(1)]])
  t.match(resolved[0], { attributes: { name: 'app', state: 'suspect', address: '127.0.0.1:7003', version: '0.1.0' } })
  t.equal(resolved[3]?.attributes.cores, fabric.node('web').machine.attributes().cores, 'this node knows itself in full')
  t.same(fabric.nodes.flatMap(({ linkCalls }) => linkCalls), [])
  fabric.change('app', 'dead')
  t.equal((await capabilities.resolve('PhysicalMachine', authority())).length, 3)
  await t.rejects(capabilities.resolve('Toaster', authority()), { code: 'RMO_ERR_KIND_UNKNOWN', message: /Kinds of this node: PhysicalMachine/ })
})

test('list asks each home in parallel and names those that failed', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'])
  t.teardown(() => fabric.close())
  fabric.cut('b')
  const { references, failures } = await fabric.node('a').capabilities.list('PhysicalMachine', { withAttributes: true }, authority())
  t.same(references.map(({ name, attributes }) => [name, typeof attributes.cpuRatio]), [['a', 'number'], ['b', 'undefined'], ['c', 'number']])
  t.match(failures, [{ name: 'b', node: nodeId(2), error: { code: 'FABRIC_ERR_UNREACHABLE' } }])
  t.equal(failures.length, 1)
  const { peer, codec } = fabric.node('c').session
  const toShell = await readListingStream(peer.open(METHODS.list, { kind: 'PhysicalMachine', withAttributes: true }), 'PhysicalMachine', codec)
  t.match(toShell, { references: { length: 3 }, failures: [{ name: 'b' }] }, 'a shell gets the same')
})

test('a node speaks for its own objects only', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'])
  t.teardown(() => fabric.close())
  const b = fabric.node('b')
  b.objects.add({ kind: 'PhysicalMachine', uuid: uuidOfNode(nodeId(3)), local: { ...b.machine, attributes: () => ({ ...b.machine.attributes(), name: 'stolen' }) } })
  t.ok(b.capabilities.listHere('PhysicalMachine').some(({ name }) => name === 'stolen'))
  fabric.cut('c')
  const { references } = await fabric.node('a').capabilities.list('PhysicalMachine', { withAttributes: true }, authority())
  t.same(references.map(({ name, home }) => [name, home]), [['a', nodeId(1)], ['b', nodeId(2)], ['c', nodeId(3)]])
})

test('refresh answers for local objects, and cheaply', async (t) => {
  const fabric = createTestFabric(['a', 'b'])
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('a')
  const [own, other] = await capabilities.resolve('PhysicalMachine', authority())
  const refreshed = await capabilities.refresh([must(own), must(other)], authority())
  t.match(refreshed, [{ name: 'a', attributes: { cores: Number, cpuRatio: Number } }, { error: { code: 'RMO_ERR_OBJECT_UNKNOWN' } }])
})

test('invoke runs here or at the home, and is never forwarded twice', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'])
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('a')
  t.match(await capabilities.invoke(target(1), 'exec', ['echo', ['here']], authority()), { stdout: 'here\n' })
  t.match(await capabilities.invoke(target(2), 'exec', ['echo', ['there']], authority()), { stdout: 'there\n' })
  t.same(fabric.node('b').linkCalls, [METHODS.invoke])
  t.match(await capabilities.invoke({ ...target(2), home: nodeId(3) }, 'info', [], authority()), { name: 'b' }, 'membership knows the home of a machine, whatever the reference says')
  t.same(fabric.node('c').linkCalls, [])
  const { codec } = fabric.node('a').session
  await t.rejects(fabric.node('c').capabilities.invokeHere(target(2), 'info', codec.encode([]), authority()), { code: 'RMO_ERR_OBJECT_UNKNOWN', message: /c has no PhysicalMachine/ })
})

test('what is wrong with a call is said by code', async (t) => {
  const fabric = createTestFabric(['a', 'b'])
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('a')
  for (const n of [1, 2]) {
    await t.rejects(capabilities.invoke(target(n), 'exce', [], authority()), { code: 'RMO_ERR_VERB_UNKNOWN', message: /has no verb "exce". Did you mean exec\? It has: / })
    await t.rejects(capabilities.invoke(target(n), 'constructor', [], authority()), { code: 'RMO_ERR_VERB_UNKNOWN' })
    await t.rejects(capabilities.invoke(target(n), 'exec', [7], authority()), { code: 'RMO_ERR_ARGUMENT_INVALID' })
    await t.rejects(capabilities.invoke(target(n), 'exec', ['no-such'], authority()), { code: 'RMO_ERR_EXEC_NOT_FOUND' })
  }
  await t.rejects(capabilities.invoke(target(9), 'info', [], authority()), { code: 'RMO_ERR_GONE', message: /not a member/ })
  fabric.change('b', 'left')
  await t.rejects(capabilities.invoke(target(2), 'info', [], authority()), { code: 'RMO_ERR_GONE', message: /PhysicalMachine b is gone: its node left the fabric/ })
  fabric.change('b', 'alive')
  fabric.cut('b')
  await t.rejects(capabilities.invoke(target(2), 'info', [], authority()), { code: 'FABRIC_ERR_UNREACHABLE' })
})

test('the gate stands at the home, for everybody, and logs privileged verbs', async (t) => {
  const fabric = createTestFabric(['a', 'b'])
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('a')
  const narrowed = authority({ principal: 'local:0/tenant' })
  for (const n of [1, 2]) {
    t.match(await capabilities.invoke(target(n), 'info', [], narrowed), { version: '0.1.0' })
    await t.rejects(capabilities.invoke(target(n), 'exec', ['id'], narrowed), { code: 'RMO_ERR_DENIED', message: /^local:0\/tenant may not run programs on PhysicalMachine [ab] \(needs "execute"\)/ })
    await t.rejects(capabilities.invoke(target(n), 'exec', ['id', 'wrong'], narrowed), { code: n === 1 ? 'RMO_ERR_DENIED' : 'RMO_ERR_ARGUMENT_INVALID' })
    await t.rejects(capabilities.invoke(target(n), 'info', [], authority({ principal: 'nobody' })), { code: 'RMO_ERR_DENIED' })
  }
  await capabilities.invoke(target(2), 'exec', ['true'], authority())
  t.same(fabric.node('b').gateLog.map(({ principal, verb, acl, allowed, name }) => ({ principal, verb, acl, allowed, name })), [
    { principal: 'local:0/tenant', verb: 'exec', acl: 'execute', allowed: false, name: 'b' },
    { principal: 'local:0', verb: 'exec', acl: 'execute', allowed: true, name: 'b' },
  ])
})

test('a node may grant more', async (t) => {
  const policy = localPolicy({ grants: { 'local:0/ci': ['execute'] } })
  const ask = (principal: string, acl: 'execute' | 'inspect' | 'read') => policy({ principal, trace: '', node: '', kind: 'K', uuid: '', name: '', verb: 'v', acl })
  t.match(ask('local:0/ci', 'execute'), { allowed: true })
  t.match(ask('local:0/ci', 'inspect'), { allowed: false })
  t.match(ask('local:1000', 'inspect'), { allowed: true })
  t.match(ask('local:0x', 'read'), { allowed: false })
})

test('hostile and damaged messages are refused by code', async (t) => {
  const fabric = createTestFabric(['a'])
  t.teardown(() => fabric.close())
  const { peer, codec } = fabric.node('a').session
  const good = { ...target(1), verb: 'info', args: codec.encode([]) }
  t.ok(await peer.call(METHODS.invoke, good))
  for (const body of [null, 7, [], {}, { ...good, uuid: 'x' }, { ...good, home: 'x' }, { ...good, args: 'x' }, { ...good, extra: 1 }, { ...good, kind: 'x'.repeat(2_000) }]) {
    await t.rejects(peer.call(METHODS.invoke, body), { code: /^RMO_ERR_ARGUMENT_/ })
  }
  await t.rejects(peer.call(METHODS.invoke, { ...good, args: codec.encode({ length: 1 }) }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await t.rejects(readListingStream(peer.open(METHODS.list, { kind: 'PhysicalMachine' }), 'PhysicalMachine', codec), { code: 'RMO_ERR_ARGUMENT_INVALID' })
})

test('the directory keeps bounded hints', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'])
  t.teardown(() => fabric.close())
  const [a, b, c] = fabric.nodes
  const { directory } = must(a).capabilities
  const hosted = { ...must(a).capabilities.kinds.kindOf('PhysicalMachine'), residence: 'hosted' as const }
  directory.learn('VM', 'u', must(b).member.id)
  t.equal(directory.locate(hosted, { kind: 'VM', uuid: 'u', home: must(a).member.id }), must(b).member.id, 'the hint wins over the last known home')
  directory.learn('VM', 'u', must(c).member.id)
  t.equal(directory.locate(hosted, { kind: 'VM', uuid: 'u', home: must(a).member.id }), must(c).member.id)
  fabric.change('c', 'dead')
  t.throws(() => directory.locate(hosted, { kind: 'VM', uuid: 'u', home: must(a).member.id }), { code: 'RMO_ERR_GONE' })
  t.equal(directory.locate(hosted, { kind: 'VM', uuid: 'u', home: must(a).member.id }), must(a).member.id, 'a hint that led nowhere is forgotten')
  for (let i = 0; i < LIMITS.directoryEntriesMax + 10; i++) directory.learn('VM', `v${i}`, must(b).member.id)
  t.equal(directory.locate(hosted, { kind: 'VM', uuid: 'v0', home: must(a).member.id }), must(a).member.id, 'the oldest hints go first')
})
