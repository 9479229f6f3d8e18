// Access rules of the cloud's objects: the same on every node, gone with their object, and read before they are judged by.

import t from 'tap'
import type { Test } from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import { createMemoryStore } from '../../../fabric/mod.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createGlobalAccess } from '../../../kali/kinds/home/access.ts'
import type { GlobalAccess } from '../../../kali/kinds/home/access.ts'
import { GLOBAL_UUID } from '../../../kali/kinds/global.ts'
import { protectionUuidOf } from '../../../kali/kinds/high-availability-settings.ts'
import { kumoiKinds } from '../../../kali/mod.ts'
import { createAccessPolicy, createLedger, localPolicy, NO_USERS } from '../../../rmo/mod.ts'
import type { AclRule, Decision, GateRequest, Ledger, Policy } from '../../../rmo/mod.ts'
import { cloudNodes, groupRecord, placed, machineRecord, poolRecord } from '../../support/cloud-book.ts'
import type { CloudNode } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'

const POOL = { kind: 'Pool', uuid: 'p1' }
const TENANT = 'local:0/tenant'
const MAY_CREATE: readonly AclRule[] = [{ effect: 'allow', principal: TENANT, verbs: ['create'] }]
const asks = (change: Partial<GateRequest> = {}): GateRequest => ({ principal: TENANT, trace: 't', node: 'n', ...POOL, name: 'p1', verb: 'add', acl: 'create', ...change })

interface Node extends CloudNode { readonly access: GlobalAccess; readonly own: Ledger; readonly ledger: Ledger; readonly policy: Policy }
const withAccess = (node: CloudNode): Node => {
  const access = createGlobalAccess({ view: node.view, book: node.book, kinds: kumoiKinds, clock: systemClock })
  const own = createLedger({ store: createMemoryStore(), clock: systemClock })
  const ledger = access.ledger(own)
  const { judge } = createAccessPolicy({ kinds: kumoiKinds, rulesOf: (of) => ledger.rules(of), ancestors: (of) => [of], trust: NO_USERS })
  return { ...node, access, own, ledger, policy: access.policy((request) => judge(request)) }
}
async function twoNodes(t: Pick<Test, 'teardown'>): Promise<readonly [Node, Node]> {
  const [here, there] = await cloudNodes(t, 2)
  await here.book.createPool(poolRecord())
  return [withAccess(here), withAccess(there as CloudNode)]
}
const allowed = async (policy: Policy, request: GateRequest): Promise<boolean> => ((await policy(request)) as Decision).allowed

t.test('rules of a pool that are set on one node are judged by on every node', async (t) => {
  const [here, there] = await twoNodes(t)
  t.equal(await allowed(there.policy, asks()), false)
  await here.ledger.setRules(POOL, MAY_CREATE)
  t.same(here.ledger.rules(POOL), MAY_CREATE, 'at once where they were set')
  await there.view.until(here.view.access('Pool', 'p1')?.revision ?? 0)
  t.equal(await allowed(there.policy, asks()), true)
  t.equal(await allowed(there.policy, asks({ acl: 'delete', verb: 'remove' })), false)
  await there.ledger.setRules(POOL, [])
  await here.view.until(there.view.revision)
  t.same(here.ledger.rules(POOL), [])
  await here.ledger.setRules(POOL, [])
})

t.test('rules changed on two nodes at once from the same ones: one of the two is told', async (t) => {
  const [here, there] = await twoNodes(t)
  const vm = { kind: 'VM', uuid: 'v1' }
  for (const object of [POOL, vm]) {
    const outcomes = await Promise.all([here, there].map(({ ledger }) => ledger.setRules(object, MAY_CREATE, []).then(() => 'done', (error: { readonly code?: string }) => error.code)))
    t.same(outcomes.sort(), ['KALI_ERR_CHANGED', 'done'])
    await Promise.all([here, there].map(({ view }) => view.until(Math.max(here.view.revision, there.view.revision))))
    await there.ledger.setRules(object, [], MAY_CREATE)
    t.same(there.ledger.rules(object), [])
  }
  const alone = { kind: 'VM', uuid: 'v2' }
  await here.own.setRules(alone, MAY_CREATE)
  await here.ledger.setRules(alone, [], MAY_CREATE)
  t.same(here.ledger.rules(alone), [], 'those that only its home has are compared too')
})

t.test('rules of what stays at its home stay there', async (t) => {
  const [here, there] = await twoNodes(t)
  const volume = { kind: 'Volume', uuid: 'v1' }
  await here.ledger.setRules(volume, MAY_CREATE)
  t.same(here.ledger.rules(volume), MAY_CREATE)
  t.same(there.ledger.rules(volume), [])
  t.equal(here.view.access('Volume', 'v1'), undefined)
})

t.test('rules of a VM are wherever it comes to, also when its machine was lost with its ledger', async (t) => {
  const [here, there] = await twoNodes(t)
  const vm = { kind: 'VM', uuid: 'v1' }
  await here.ledger.setRules(vm, MAY_CREATE)
  t.same(here.ledger.rules(vm), MAY_CREATE)
  await there.view.until(here.view.access('VM', 'v1')?.revision ?? 0)
  t.same(there.ledger.rules(vm), MAY_CREATE, 'taken over: that node has never heard of it')
  await here.access.hostLedger(here.own).setRules(vm, [])
  t.same(there.ledger.rules(vm), MAY_CREATE, 'a home that it has left forgets its copy only')
  await here.own.setRules(vm, MAY_CREATE)
  await there.ledger.setRules(vm, [])
  await here.view.until(there.view.revision)
  t.same(here.ledger.rules(vm), [], 'and a copy that stayed behind does not come back')
  await here.access.hostLedger(here.own).dropRules(vm)
  t.same([here.own.rules(vm), here.ledger.rules(vm)], [[], []])
  await here.book.createPool(poolRecord('p3')).then(({ revision }) => here.view.until(revision))
  t.equal(here.view.access('VM', 'v1'), undefined, 'removed for good: its record goes')
})

t.test('rules go with their object, and cannot be given to what is not there', async (t) => {
  const [{ book, view, ledger }] = await twoNodes(t)
  await book.joinMachine(machineRecord())
  await book.putGroup(groupRecord('g'), 'new')
  const protection = { restarts: 1, relocations: 1, windowMs: 1_000, onGuestShutdown: 'leave', priority: 0, armed: false } as const
  await book.intend(placed('a', 'm1', { protection }))
  const ha = { kind: 'HighAvailability', uuid: protectionUuidOf('a') }
  for (const object of [POOL, { kind: 'Elasticity', uuid: 'g' }, ha, { kind: 'Global', uuid: GLOBAL_UUID }]) await ledger.setRules(object, MAY_CREATE)
  await book.removeGroup('g')
  const bare = await book.change('a', ({ protection: _, ...present }) => ({ ...present, desired: 'stopped', booked: false }))
  await view.until(bare!.revision)
  t.same([view.access('Elasticity', 'g'), view.access(ha.kind, ha.uuid)], [undefined, undefined])
  await book.forget('a', () => true)
  await book.leaveMachine('m1')
  await book.removePool('p1')
  await book.createPool(poolRecord('p2')).then(({ revision }) => view.until(revision))
  t.equal(view.access('Pool', 'p1'), undefined)
  t.match(view.access('Global', GLOBAL_UUID), { rules: MAY_CREATE })
  t.match(await failure(ledger.setRules(POOL, MAY_CREATE)), { code: 'KALI_ERR_POOL_UNKNOWN' })
  t.match(await failure(ledger.setRules({ kind: 'Elasticity', uuid: 'g' }, MAY_CREATE)), { code: 'KALI_ERR_GROUP_UNKNOWN' })
})

t.test('before the rules have been read, changes of the cloud wait, and are refused in the end; reads and others do not wait', async (t) => {
  const clock = new SimClock()
  const ready = Promise.withResolvers<void>()
  const view = { ready: ready.promise, access: () => undefined, async until() {} }
  const { policy } = createGlobalAccess({ view, book: { async setAccess() { return 1 } }, kinds: kumoiKinds, clock })
  const judged = policy(localPolicy())
  const changing = asks({ principal: 'local:0', kind: 'Global', uuid: GLOBAL_UUID, verb: 'mode', acl: 'operate' })
  t.match(judged(asks({ principal: 'local:0', acl: 'read' })), { allowed: true })
  t.match(judged(asks({ principal: 'local:0', kind: 'VM' })), { allowed: true })
  const refused = judged(changing)
  clock.advance(LIMITS.cloudSeenMs)
  t.match(await refused, { allowed: false, reason: /have not|could not be read/ })
  const waiting = judged(changing)
  ready.resolve()
  t.match(await waiting, { allowed: true })
  t.match(judged(changing), { allowed: true }, 'and at once from then on')
})
