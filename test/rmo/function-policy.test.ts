// What a deployed function may do with objects: rights of its version, its deployer's own limits, fencing of singletons.

import { test } from 'tap'
import { functionPrincipal, parseFunctionPrincipal } from '../../functions/mod.ts'
import { createFunctionRules, kindProblem, localPolicy, rightProblem, rmoKinds } from '../../rmo/mod.ts'
import { ACL_VERBS } from '../../rmo/gate.ts'
import type { GateRequest } from '../../rmo/gate.ts'
import { boxKinds } from '../support/box-kinds.ts'
import { authority, createTestFabric } from '../support/rmo-fabric.ts'

const VERSION = 'ab12'.repeat(16)
const principal = (over: { readonly epoch?: number; readonly deployer?: string } = {}): string => functionPrincipal({ name: 'hot', version: VERSION, deployer: 'local:0', ...over })
const request = (over: Partial<GateRequest>): GateRequest => ({ principal: principal(), trace: '', node: 'n', kind: 'VM', uuid: 'u', name: 'vm', verb: 'info', acl: 'read', ...over })
const stale = Object.assign(new Error('stale'), { code: 'STALE' })

function rules(rights: readonly string[] | undefined, { present = 7, singleton = false } = {}) {
  return createFunctionRules({ kinds: rmoKinds, versionOf: (name, version) => (name === 'hot' && VERSION.startsWith(version) && rights !== undefined ? { rights, singleton } : undefined), fence: async (_name, epoch) => { if (epoch !== present) throw stale } })
}
const allowed = async (rights: readonly string[] | undefined, over: Partial<GateRequest>): Promise<boolean> => (await rules(rights).policy(localPolicy())(request(over))).allowed

test('the principal says name, version, epoch and deployer', (t) => {
  t.same(parseFunctionPrincipal(principal({ epoch: 12, deployer: 'local:0/alice' })), { name: 'hot', version: VERSION.slice(0, 12), epoch: 12, deployer: 'local:0/alice' })
  t.equal(parseFunctionPrincipal('local:0'), undefined)
  t.equal(parseFunctionPrincipal('fn:hot@zz/local:0'), undefined)
  t.end()
})

test('rights say what a function may do', async (t) => {
  t.ok(await allowed(['vm:read'], {}))
  t.ok(await allowed(['VM:read'], {}), 'a kind by its own name')
  t.ok(await allowed(['vms:*'], { verb: 'start', acl: 'operate' }))
  t.ok(await allowed(['*:operate'], { verb: 'start', acl: 'operate' }))
  t.notOk(await allowed(['vm:read'], { verb: 'start', acl: 'operate' }))
  t.notOk(await allowed([], {}), 'none by default')
  t.notOk(await allowed(undefined, {}), 'a version that nobody knows')
  t.ok(await allowed(['vm:read'], { kind: 'PhysicalMachine', verb: 'info' }), 'the way to its VMs is open')
  t.ok(await allowed(['vm:read'], { kind: 'PhysicalMachine', verb: 'vms' }))
  t.notOk(await allowed(['image:read'], { kind: 'PhysicalMachine', verb: 'vms' }), 'reading pm.vms is reading VMs')
  t.notOk(await allowed(['vm:*'], { kind: 'PhysicalMachine', verb: 'exec', acl: 'execute' }))
})

test('a function never may more than its deployer', async (t) => {
  t.notOk(await allowed(['vm:operate'], { principal: principal({ deployer: 'local:0/alice' }), verb: 'start', acl: 'operate' }))
  t.ok(await allowed(['vm:read'], { principal: principal({ deployer: 'local:0/alice' }) }))
  t.notOk(await allowed(['vm:read'], { principal: principal({ deployer: 'somebody' }) }))
})

test('a singleton changes things only in the present epoch', async (t) => {
  const policy = rules(['vm:*']).policy(localPolicy())
  const start = { verb: 'start', acl: 'operate' } as const
  t.ok((await policy(request({ principal: principal({ epoch: 7 }), ...start }))).allowed)
  await t.rejects(async () => policy(request({ principal: principal({ epoch: 6 }), ...start })), { code: 'STALE' })
  t.ok((await policy(request({ principal: principal({ epoch: 6 }) }))).allowed, 'reading is nobody\'s harm')
  const single = rules(['vm:*'], { singleton: true }).policy(localPolicy())
  t.match(await single(request(start)), { allowed: false, reason: /under its epoch/ }, 'its filter and its module code have no epoch')
  t.ok((await single(request({}))).allowed)
  t.ok((await single(request({ principal: principal({ epoch: 7 }), ...start }))).allowed)
})

test('rights that make no sense are told of', (t) => {
  for (const acl of Object.keys(ACL_VERBS)) t.equal(rightProblem(`vm:${acl}`, rmoKinds), undefined)
  for (const right of ['pm:execute', 'switch:read', 'storagepool:create', '*:read', 'vm:*']) t.equal(rightProblem(right, rmoKinds), undefined, right)
  for (const kind of ['VM', 'vm', 'vms', 'pm', 'PhysicalMachine', 'switch']) t.equal(kindProblem(kind, rmoKinds), undefined, kind)
  for (const kind of ['rocket', '', '*']) t.match(kindProblem(kind, rmoKinds), /vm, /)
  for (const right of ['vm', 'vm:fly', 'rocket:read', ':', 'vm:read:now']) t.not(rightProblem(right, rmoKinds), undefined, right)
  t.end()
})

test('listings and elements of maps are kept from who may not read them, on every node', async (t) => {
  const { policy, unreadable } = createFunctionRules({ kinds: boxKinds, versionOf: () => ({ rights: ['box:read'], singleton: false }), fence: async () => {} })
  const fabric = createTestFabric(['a', 'b'], { kinds: boxKinds, policy: policy(localPolicy()), unreadable })
  t.teardown(() => fabric.close())
  const { capabilities } = fabric.node('a')
  const as = authority({ principal: principal() })
  t.equal((await capabilities.resolve('PhysicalMachine', as)).length, 2)
  await t.rejects(capabilities.resolve('VM', as), { code: 'RMO_ERR_DENIED' })
  t.same(await capabilities.resolve('Box', as), [])
  const [, other] = await capabilities.resolve('PhysicalMachine', authority())
  t.ok(other)
  await t.rejects(capabilities.invoke(other!, 'exec', ['/bin/true'], as), { code: 'RMO_ERR_DENIED' }, 'the home refuses, whoever asked')
})
