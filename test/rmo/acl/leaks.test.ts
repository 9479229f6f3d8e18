// Every path by which attributes and names leave a home, asked by a user who may see one box of three: what he may not read is not
// there in listings, refused by name everywhere else, on the home and through another node.

import t from 'tap'
import { RACK_UUID, addRack, boxKinds } from '../../support/box-kinds.ts'
import { authority, createTestFabric } from '../../support/rmo-fabric.ts'
import { LIMITS, uuidOfNode } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import type { ReferenceRecord } from '../../../functions/mod.ts'
import { createAccessPolicy, localPolicy, referenceRecord } from '../../../rmo/mod.ts'
import type { AclRule, Target } from '../../../rmo/mod.ts'
import { createOpenRights } from '../../../rmo/acl/standing.ts'
import { rule } from './lab.ts'

const ALICE = authority({ principal: 'user:alice' })
const bare = ({ kind, uuid, home, name }: ReferenceRecord): ReferenceRecord => ({ kind, uuid, home, name, attributes: {} })
const targetOf = ({ kind, uuid, home }: ReferenceRecord): Target => ({ kind, uuid, home })

async function setup(t: { teardown(fn: () => void): unknown }) {
  const rules = new Map<string, readonly AclRule[]>()
  let revoked = false
  const { judge } = createAccessPolicy({
    kinds: boxKinds, rulesOf: ({ uuid }) => rules.get(uuid) ?? [], ancestors: ({ kind, uuid }) => [{ kind, uuid }],
    trust: { user: (name) => (name === 'alice' ? { groups: [], roles: [], revoked } : undefined), role: () => [], get version() { return revoked ? 1 : 0 } },
  })
  const fabric = createTestFabric(['a', 'b'], { kinds: boxKinds, policy: (request) => judge(request) })
  // Its timers are background ones: waiting for what they bring keeps nobody's process alive.
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => { clearInterval(alive); fabric.close() })
  const home = fabric.node('b')
  addRack(home.objects, home.member.id)
  const rack = { kind: 'Rack', uuid: RACK_UUID, home: home.member.id }
  const boxes: ReferenceRecord[] = []
  for (const name of ['hers', 'secret1', 'secret2']) {
    const cold = await home.capabilities.invoke(rack, 'createBox', [{ name }], authority())
    const made = referenceRecord(await home.capabilities.invoke(rack, 'add', [cold], authority()))
    if (made !== undefined) boxes.push(made)
  }
  const [hers, ...secrets] = boxes as [ReferenceRecord, ...ReferenceRecord[]]
  const allow = (...written: readonly string[]): void => { rules.set(hers.uuid, written.map(rule)); rules.set(RACK_UUID, [rule('allow user:alice rack:read')]) }
  allow('allow user:alice box:read box:watch')
  return { fabric, home, rack, hers, secrets, rules, allow, cut: () => { revoked = true } }
}
const namesOf = (records: readonly { readonly name: string }[]): readonly string[] => records.map(({ name }) => name)

for (const through of ['a', 'b'] as const) {
  t.test(`what she may not read, asked through ${through}`, async (t) => {
    const { fabric, rack, hers, secrets } = await setup(t)
    const { capabilities } = fabric.node(through)
    for (const withAttributes of [true, false]) {
      const { references, failures } = await capabilities.list('Box', { withAttributes }, ALICE)
      t.same([namesOf(references), failures], [['hers'], []], 'a listing leaves it out, and is no failure')
    }
    t.same(namesOf(await capabilities.resolve('Box', ALICE)), ['hers'])
    t.same(namesOf(await capabilities.resolve('Box', ALICE, 'names' as never)), ['hers'])
    t.same(namesOf(await capabilities.resolve('PhysicalMachine', ALICE)), [], 'machines come from membership, and are judged as well')
    t.same(namesOf((await capabilities.invoke(rack, 'boxes', [], ALICE) as readonly unknown[]).map((value) => referenceRecord(value) ?? { name: '?' })), ['hers'], 'a collection has what she may read of it')
    for (const secret of secrets) {
      for (const verb of ['info', 'stats', 'dump', 'open', 'inside', 'rack', 'account', 'audit', 'acls']) await t.rejects(capabilities.invoke(bare(secret), verb, [], ALICE), { code: 'RMO_ERR_DENIED' }, `${verb} of ${secret.name}`)
      await t.rejects(capabilities.invoke(bare(secret), 'patch', [{ name: 'x' }], ALICE), { code: 'RMO_ERR_DENIED' })
    }
    t.same(await capabilities.invoke(bare(hers), 'open', [], ALICE), 'hers', 'and what she may, she may')
    await t.rejects(capabilities.invoke(bare(hers), 'acls', [], ALICE), { code: 'RMO_ERR_DENIED' }, 'rules are for who administers')
    await t.rejects(capabilities.invoke(bare(hers), 'acls', [[rule('allow user:alice *:*')]], ALICE), { code: 'RMO_ERR_DENIED' })
    t.equal((await capabilities.list('Box', { withAttributes: true }, authority())).references.length, 3, 'the administrator sees all')
    t.equal((await capabilities.list('Box', { withAttributes: true }, authority({ principal: 'user:mallory' }))).references.length, 0)
    t.equal((await capabilities.list('Box', { withAttributes: true }, authority({ principal: 'nobody' }))).references.length, 0)
  })
}

t.test('references that came with a closure are looked at with the rights of who runs it', async (t) => {
  const { home, hers, secrets } = await setup(t)
  const fresh = await home.capabilities.refresh([hers, ...secrets].map(bare), ALICE)
  t.match(fresh, [{ name: 'hers', attributes: { sizeMiB: 10 } }, { error: { code: 'RMO_ERR_DENIED' } }, { error: { code: 'RMO_ERR_DENIED' } }])
  t.notMatch(JSON.stringify(fresh.slice(1)), /sizeMiB/)
  t.same((await home.capabilities.refresh([bare({ ...hers, uuid: secrets[0]?.uuid ?? '' })], ALICE)).map((answer) => 'error' in answer), [true], 'also under the name of another')
})

for (const through of ['a', 'b'] as const) {
  t.test(`a watch that was opened under a right ends with it, through ${through}`, async (t) => {
    const { fabric, hers, secrets, allow } = await setup(t)
    const { watches } = fabric.node(through)
    const opening = watches.anywhere(targetOf(secrets[0] as ReferenceRecord), {}, ALICE)
    await t.rejects(opening.then(({ events }) => events.next()), { code: 'RMO_ERR_DENIED' })
    await opening.then(({ stop }) => stop(), () => {})
    const watch = await watches.anywhere(targetOf(hers), {}, ALICE)
    allow('allow user:alice box:read')
    await t.rejects(watch.events.next(), { code: 'RMO_ERR_DENIED' })
    watch.stop()
    t.equal(watches.open, 0)
  })
}

t.test('a watch of a user who is cut off ends', async (t) => {
  const { fabric, hers, cut } = await setup(t)
  const watch = await fabric.node('b').watches.here(targetOf(hers), {}, ALICE)
  cut()
  await t.rejects(watch.events.next(), { code: 'RMO_ERR_DENIED', message: /cut off/ })
  watch.stop()
})

t.test('what is open is asked again within LIMITS.aclRecheckMs, and no longer once it is let go', async (t) => {
  const clock = new SimClock()
  const rights = createOpenRights({ clock })
  let refusal: Error | undefined, asked = 0
  const ended: Error[] = []
  const ask = async (): Promise<Error | undefined> => { asked++; return refusal }
  rights.hold(ask, (error) => ended.push(error))
  const letGo = rights.hold(async () => { throw new Error('the store is away') }, (error) => ended.push(error))
  const look = async (): Promise<void> => { clock.advance(LIMITS.aclRecheckMs); for (let i = 0; i < 10; i++) await Promise.resolve() }
  await look()
  t.same([asked, ended.length], [1, 0], 'a question that fails ends nothing')
  refusal = new Error('denied')
  await look()
  t.same([asked, ended], [2, [refusal]])
  letGo()
  await look()
  t.same([asked, ended.length], [2, 1])
  t.ok(LIMITS.aclRecheckMs * 2 < 10_000, 'within the 10 s of the promise, the store\'s watch included')
})

t.test('without users and rules it is as ever', (t) => {
  const judge = localPolicy()
  const ask = (principal: string): boolean => judge({ principal, trace: '', node: '', kind: 'VM', uuid: uuidOfNode('0'.repeat(64)), name: '', verb: 'start', acl: 'operate' }).allowed
  t.same(['local:0', 'local:0/x', 'user:alice', 'nobody'].map(ask), [true, false, false, false])
  t.end()
})
