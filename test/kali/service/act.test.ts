// Acts of policies: whatever is asked for, nothing unsafe is done, and nothing twice.

import { test } from 'tap'
import type { Test } from 'tap'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import type { ActResult, CloudAction, IntentRecord } from '../../../kali/cloud/contract.ts'
import { memberUuid } from '../../../kali/service/members.ts'
import { groupRecord, placed, placeOf, sized } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'
import { obedient, secondService, serviceLab } from './service-lab.ts'
import type { ServiceLab } from './service-lab.ts'

const code = (name: string): { readonly code: string } => ({ code: `KALI_ERR_${name}` })
const PROTECTION = { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0 } as const

/** One round of a policy with these actions; its results. */
async function acts(lab: ServiceLab, ...actions: readonly CloudAction[]): Promise<ActResult['results']> {
  const { round } = await lab.service.memory('p1', 'test', lab.by())
  return (await lab.service.act('p1', { policy: 'test', round, memory: { memory: {}, notes: {} }, proposals: actions.map((action) => ({ action, reason: 'a test' })) }, lab.by())).results
}
async function labWith(t: Test, change: Partial<IntentRecord> = {}): Promise<ServiceLab> {
  const lab = await serviceLab(t)
  await lab.view.until((await lab.book.intend(placed('a', 'm1', change))).revision)
  return lab
}
const armed = { protection: { ...PROTECTION, armed: true } }
const RELOCATE = { do: 'relocate', vm: 'a', epoch: 1 } as const

test('a takeover: only when armed, its lease gone, contact a whole lease, the epoch the same', async (t) => {
  const lab = await labWith(t, armed)
  const { view, book, members } = lab
  await lab.lease('m1', 'held')
  members.set(view.machine('m1')!.node, 'dead')
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason: /lease of m1 stands/ }], 'suspicion restarts nothing')
  await lab.lease('m1', 'gone')
  lab.contact(19_000)
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason: /whole lease of 20 s/ }])
  lab.contact(20_001)
  t.match(await acts(lab, { ...RELOCATE, epoch: 2 }), [{ outcome: 'refused', reason: /no longer this machine's in epoch 2/ }])
  t.match(await acts(lab, { ...RELOCATE, to: 'm1' }), [{ outcome: 'refused' }])
  t.match(view.intent('a'), { epoch: 1, machine: { uuid: 'm1' } })
  t.match(await acts(lab, RELOCATE), [{ outcome: 'done' }])
  t.match(view.intent('a'), { epoch: 2, origin: 'restore', booked: true, protection: { armed: false }, tries: { relocations: 1 } })
  t.not(view.intent('a')?.machine?.uuid, 'm1')
  t.equal(view.machine('m1')?.booked.vms, 0)
  const [decision] = await book.decisions('p1', { about: 'a', limit: 1 })
  t.match(decision, { id: view.intent('a')?.decision, action: 'relocate', outcome: 'done', choice: { refused: [{ machine: 'm1' }] }, details: { from: 'm1' } })
  t.same(await auditCloud(lab.store), [])
})

test('never: one that was not armed, not protected, or that a human has to clear', async (t) => {
  for (const [change, reason] of [[{ protection: { ...PROTECTION, armed: false } }, /had not armed/], [{}, /not protected/], [{ ...armed, error: 'too often' }, /given up/], [{ ...armed, desired: 'stopped', booked: false }, /meant to be stopped/]] as const) {
    const lab = await labWith(t, change)
    t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason }])
    t.equal(lab.view.intent('a')?.epoch, 1)
  }
})

test('the lease comes back between the look and the transaction: refused by the store', async (t) => {
  const lab = await labWith(t, armed)
  // A view that does not see leases: what is refused is refused in the transaction.
  Object.defineProperty(lab.view, 'lease', { value: () => undefined })
  await lab.lease('m1', 'held')
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused' }])
  t.match(await lab.book.read('a'), { epoch: 1, machine: { uuid: 'm1' } })
})

test('from a live host only on its agent\'s promise, and not once that is withdrawn', async (t) => {
  const lab = await labWith(t, armed)
  const { view, book } = lab
  await lab.lease('m1', 'held')
  const says = async (phase: 'running' | 'failed' | 'crashed', epoch = 1): Promise<void> => {
    await book.status({ uuid: 'a', machine: view.intent('a')!.machine!.uuid, epoch, phase, sinceMs: 1, attempts: 1 })
    await view.until((await book.changeMachine('m3', (present) => present)).revision)
  }
  await says('running')
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason: /lease of m1 stands/ }])
  await says('failed')
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason: /still tries/ }], 'failed is tried again there')
  await says('crashed')
  const stale = view.status('a')
  await says('running')
  Object.defineProperty(view, 'status', { value: () => stale, configurable: true })
  t.match(await acts(lab, RELOCATE), [{ outcome: 'refused' }], 'it runs again, and this node has not seen it yet')
  delete (view as { status?: unknown }).status
  await says('crashed')
  t.match(await acts(lab, RELOCATE), [{ outcome: 'done' }])
  t.match(view.intent('a'), { epoch: 2, protection: { armed: false } })
})

test('the same request twice, and from two nodes at once: one effect', async (t) => {
  const lab = await labWith(t, armed)
  const other = await secondService(t, lab.store)
  const request = { policy: 'test', round: 0, memory: {}, proposals: [{ action: RELOCATE, reason: 'a test' }] }
  const both = await Promise.allSettled([lab.service.act('p1', request, lab.by()), other.service.act('p1', request, lab.by())])
  t.same(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  t.match(await failure(lab.service.act('p1', request, lab.by())), code('CHANGED'))
  t.match(await lab.book.read('a'), { epoch: 2 })
  t.same(await lab.service.memory('p1', 'test', lab.by()), { round: 1, memory: {} })
})

test('frozen: nothing but notes', async (t) => {
  const lab = await labWith(t, armed)
  await lab.service.setMode('freeze', 'an upgrade', lab.by())
  t.match(await acts(lab, RELOCATE, { do: 'retry', vm: 'a', epoch: 1 }, { do: 'note', about: ['a'] }), [{ outcome: 'refused', reason: /freeze/ }, { outcome: 'refused' }, { outcome: 'nothing' }])
  t.equal(lab.view.intent('a')?.epoch, 1)
})

test('what is refused or noted again and again is journaled once', async (t) => {
  const lab = await labWith(t)
  for (let round = 0; round < 4; round++) await acts(lab, RELOCATE, { do: 'note', about: ['x'] })
  t.equal((await lab.book.decisions('p1')).length, 2)
})

test('ages that change from round to round are no news', async (t) => {
  const lab = await labWith(t, armed)
  for (const contactMs of [5_000, 6_100, 7_300]) {
    lab.contact(contactMs)
    t.match(await acts(lab, RELOCATE), [{ outcome: 'refused', reason: /this node has had the global store for/ }])
  }
  t.equal((await lab.book.decisions('p1')).length, 1)
})

test('tries of a window that is over begin anew, whoever tries, and are counted from there', async (t) => {
  const long = { restarts: 1, relocations: 1, sinceMs: Date.now() - PROTECTION.windowMs - 60_000 }
  const lab = await labWith(t, { ...armed, tries: long })
  const { view } = lab
  t.match(await acts(lab, { do: 'retry', vm: 'a', epoch: 1 }), [{ outcome: 'done' }])
  const first = view.intent('a')?.tries
  t.match(first, { restarts: 1, relocations: 0 })
  t.ok((first?.sinceMs ?? 0) > long.sinceMs, 'a new window')
  t.match(await acts(lab, { do: 'retry', vm: 'a', epoch: 1 }), [{ outcome: 'done' }])
  t.match(view.intent('a')?.tries, { restarts: 2, relocations: 0, sinceMs: first?.sinceMs })
  t.match(await acts(lab, RELOCATE), [{ outcome: 'done' }])
  t.match(view.intent('a')?.tries, { restarts: 2, relocations: 1, sinceMs: first?.sinceMs })
})

test('retry tells the agent anew, give-up waits for a human, clear begins anew', async (t) => {
  const lab = await labWith(t, armed)
  const before = lab.view.intent('a')
  t.match(await acts(lab, { do: 'retry', vm: 'a', epoch: 1 }), [{ outcome: 'done' }])
  t.not(lab.view.intent('a')?.decision, before?.decision)
  t.equal(lab.view.intent('a')?.epoch, 1)
  t.match(await acts(lab, { do: 'give-up', vm: 'a', epoch: 1, error: 'it keeps crashing' }, { do: 'retry', vm: 'a', epoch: 1 }, RELOCATE, { do: 'give-up', vm: 'a', epoch: 1, error: 'again' }), [{ outcome: 'done' }, { outcome: 'refused' }, { outcome: 'refused' }, { outcome: 'nothing' }])
  t.match((await lab.service.why('p1', 'a', lab.by())).summary, /vm a was given up: it keeps crashing; .*kumoi ha clear a/)
  await lab.service.clear('a', {}, lab.by())
  t.match(lab.view.intent('a'), { tries: { restarts: 0, relocations: 0 }, decidedBy: 'alice' })
  t.equal(lab.view.intent('a')?.error, undefined)
})

test('a human\'s word that the host is off: not while it answers or its lease stands', async (t) => {
  const lab = await labWith(t, { protection: { ...PROTECTION, armed: false } })
  const { service, view, by } = lab
  const node = view.machine('m1')!.node
  t.match(await failure(service.clear('a', { hostIsDead: true }, by())), { ...code('NOT_TAKEABLE'), message: /answers/ })
  lab.members.set(node, 'dead')
  await lab.lease('m1', 'held')
  t.match(await failure(service.clear('a', { hostIsDead: true }, by())), { ...code('NOT_TAKEABLE'), message: /lease/ })
  await lab.lease('m1', 'gone')
  t.match(await service.clear('a', { hostIsDead: true }, by()), { epoch: 2, booked: true, decidedBy: 'alice' })
  t.not(view.intent('a')?.machine?.uuid, 'm1')
  t.match(await lab.book.decisions('p1', { about: 'a', limit: 1 }), [{ action: 'relocate', reason: /alice says that m1 is off for certain/ }])
})

test('pending: placed when there is room, in a new epoch', async (t) => {
  const lab = await serviceLab(t)
  const { revision } = await lab.book.intend({ ...placed('a', 'm1', { epoch: 3, booked: false }), machine: undefined } as unknown as IntentRecord)
  await lab.view.until(revision)
  t.match((await lab.service.why('p1', 'a', lab.by())).summary, /vm a is pending/)
  t.match(await acts(lab, { do: 'place', vm: 'a', to: 'm2' }, { do: 'place', vm: 'a' }), [{ outcome: 'done' }, { outcome: 'nothing' }])
  t.match(lab.view.intent('a'), { epoch: 4, machine: placeOf('m2'), booked: true })
})

test('a group grows by number, never over max, and shrinks, never below min or its original', async (t) => {
  const lab = await serviceLab(t)
  const { book, view } = lab
  lab.agent((intent) => intent.desired === 'absent' ? undefined : { phase: intent.desired === 'running' ? 'ready' : 'stopped' })
  const group = groupRecord('g', { original: 'a', spec: { ...groupRecord('g').spec, min: 2, max: 3 }, template: sized('g') })
  await book.putGroup(group, 'new')
  await view.until((await book.intend(placed('a', 'm1', { group: 'g' }))).revision)
  const grow = (member: string): CloudAction => ({ do: 'grow', group: 'g', member })
  t.match(await acts(lab, grow('1'), grow('1'), grow('x')), [{ outcome: 'done' }, { outcome: 'nothing' }, { outcome: 'refused', reason: /no number/ }])
  t.match(view.intent(memberUuid('g', '1')), { name: 'g-1', group: 'g', origin: 'create', epoch: 1, account: 'alice', settings: { name: 'g-1' } })
  t.match(await book.decisions('p1', { about: memberUuid('g', '1') }), [{ action: 'grow' }, { action: 'grow', outcome: 'done' }])
  t.match(await acts(lab, grow('2'), grow('3')), [{ outcome: 'done' }, { outcome: 'refused', reason: /max is 3/ }])
  const shrink = (vm: string): CloudAction => ({ do: 'shrink', group: 'g', vm })
  t.match(await acts(lab, shrink('a'), shrink('nobody')), [{ outcome: 'refused', reason: /made from/ }, { outcome: 'nothing' }])
  const [one, two] = [memberUuid('g', '1'), memberUuid('g', '2')]
  await book.change(two, ({ revision: _, ...present }) => ({ ...present, protection: { ...PROTECTION, armed: false } }))
  t.match(await acts(lab, shrink(two), shrink(two), shrink(one)), [{ outcome: 'done' }, { outcome: 'nothing' }, { outcome: 'refused', reason: /min is 2/ }])
  t.match(view.intent(two), { desired: 'absent', booked: true }, 'it takes its room until it is gone')
  t.equal(view.intent(two)?.protection, undefined, 'protection is withdrawn with it')
  lab.agent(obedient)
  t.match((await lab.service.why('p1', 'g', lab.by())).summary, /group g has \d ready and \d in flight of 2 to 3/)
})

test('two nodes that act at once hold max and min as one does', async (t) => {
  const lab = await serviceLab(t)
  const other = await secondService(t, lab.store)
  const { book, view } = lab
  lab.agent((intent) => intent.desired === 'absent' ? undefined : { phase: 'ready' })
  const both = async (name: string, [one, two]: readonly [CloudAction, CloudAction]): Promise<readonly string[]> => {
    const done = await Promise.all([[lab, one], [other, two]].map(async ([at, action], i) => {
      const { service, by } = at as ServiceLab
      const policy = `${name}-${i}`
      return (await service.act('p1', { policy, round: 0, memory: { memory: {}, notes: {} }, proposals: [{ action: action as CloudAction, reason: 'a test' }] }, by())).results
    }))
    return done.flat().map(({ outcome }) => outcome).sort()
  }
  for (let run = 0; run < 6; run++) {
    const uuid = `g${run}`
    await book.putGroup(groupRecord(uuid, { spec: { ...groupRecord(uuid).spec, min: 1, max: 1 }, template: sized(uuid, 1, 64) }), 'new')
    const { revision } = await book.changeMachine('m1', (present) => present)
    await Promise.all([view.until(revision), other.view.until(revision)])
    t.same(await both(`grow-${run}`, [{ do: 'grow', group: uuid, member: '1' }, { do: 'grow', group: uuid, member: '2' }]), ['done', 'refused'])
    t.equal(view.intents({ group: uuid }).length, 1)
    const group = view.group(uuid)!
    await book.putGroup({ ...groupRecord(uuid), spec: { ...group.spec, max: 2 }, template: group.template }, group.revision)
    const last = await book.changeMachine('m1', (present) => present)
    await Promise.all([view.until(last.revision), other.view.until(last.revision)])
    for (const member of ['1', '2']) await lab.service.act('p1', { policy: `fill-${run}-${member}`, round: 0, memory: {}, proposals: [{ action: { do: 'grow', group: uuid, member }, reason: 'a test' }] }, lab.by())
    await new Promise<void>((resolve) => {
      const look = (): void => { if ([view, other.view].every((each) => ['1', '2'].every((member) => each.status(memberUuid(uuid, member))?.phase === 'ready'))) { for (const end of ends) end(); resolve() } }
      const ends = [view, other.view].map((each) => each.onChange(look))
      look()
    })
    t.same(await both(`shrink-${run}`, [{ do: 'shrink', group: uuid, vm: memberUuid(uuid, '1') }, { do: 'shrink', group: uuid, vm: memberUuid(uuid, '2') }]), ['done', 'refused'])
    await view.until((await book.changeMachine('m1', (present) => present)).revision)
    t.equal(view.intents({ group: uuid }).filter(({ desired }) => desired === 'running').length, 1)
    for (const { uuid: vm } of view.intents({ group: uuid })) await book.forget(vm, () => true)
  }
  t.same(await auditCloud(lab.store), [])
})

test('machines sleep when nothing is there, and wake', async (t) => {
  const lab = await labWith(t)
  t.match(await acts(lab, { do: 'sleep', machine: 'm1' }, { do: 'sleep', machine: 'm2' }, { do: 'sleep', machine: 'm2' }), [{ outcome: 'refused' }, { outcome: 'done' }, { outcome: 'nothing' }])
  t.equal(lab.view.machine('m2')?.asleep, true)
  t.match(await acts(lab, { do: 'wake', machine: 'm2' }), [{ outcome: 'done' }])
  t.equal(lab.view.machine('m2')?.asleep, undefined)
})

test('a policy speaks for itself: no function replaces the memory of another', async (t) => {
  const lab = await labWith(t)
  const request = { policy: 'kali-ha', round: 0, memory: { memory: {}, notes: {} }, proposals: [] }
  const as = (name: string) => ({ ...lab.by(), principal: `fn:${name}@${'a'.repeat(12)}#7/local:0` })
  t.match(await failure(lab.service.act('p1', request, as('mine'))), code('POLICY_FOREIGN'))
  t.equal((await lab.service.memory('p1', 'kali-ha', lab.by())).round, 0, 'nothing was remembered')
  t.match(await lab.service.act('p1', request, as('kali-ha')), { round: 1 })
})
