// VMs come under the cloud's care and leave it; nothing overbooked, nothing left of what failed.

import { test } from 'tap'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import { placed } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'
import { coldVm, liveVm, obedient, secondService, serviceLab } from './service-lab.ts'

const code = (name: string): { readonly code: string } => ({ code: `KALI_ERR_${name}` })

test('a cold VM is placed, booked, and answered when it runs; its decision is journaled', async (t) => {
  const { service, view, by, agent, book } = await serviceLab(t)
  agent(obedient)
  const { vm, choice } = await service.addVm('p1', coldVm('a', { image: 'debian' }), {}, by())
  const intent = view.intent(vm)
  t.match(intent, { name: 'a', account: 'alice', desired: 'running', epoch: 1, origin: 'create', booked: true, machine: { uuid: choice?.chosen }, decidedBy: 'alice' })
  t.equal(view.status(vm)?.phase, 'running')
  t.match(view.machine(intent?.machine?.uuid ?? '')?.booked, { vms: 1, vcpus: 1, memoryMiB: 512 })
  const [decision] = await book.decisions('p1', { about: vm })
  t.match(decision, { id: intent?.decision, action: 'place', outcome: 'done', policy: 'alice', choice: { scheduler: 'rank' } })
})

test('start: false makes it and leaves it off, not booked', async (t) => {
  const { service, view, by, agent } = await serviceLab(t)
  agent(obedient)
  const { vm } = await service.addVm('p1', coldVm('a'), { start: false }, by())
  t.match([view.intent(vm), view.status(vm)], [{ desired: 'stopped', booked: false }, { phase: 'stopped' }])
})

test('one that cannot be made is withdrawn: why, and nothing left', async (t) => {
  const { service, store, view, by, agent } = await serviceLab(t)
  agent(({ desired }) => desired === 'absent' ? 'forget' : { phase: 'failed', error: 'its disk is full.' })
  t.match(await failure(service.addVm('p1', coldVm('a'), {}, by())), { ...code('VM_FAILED'), message: /its disk is full\. It was withdrawn/ })
  t.equal(view.intent('uuid-a'), undefined)
  t.same(await auditCloud(store), [])
})

test('refusals: no room with each machine\'s reason, name taken, managed already, unknown pool; nothing is written', async (t) => {
  const { service, view, store, by, agent, book } = await serviceLab(t, ['m1', 'm2'])
  agent(obedient)
  t.match(await failure(service.addVm('p1', coldVm('big', { vcpus: 9 }), {}, by())), { ...code('NO_ROOM'), message: /m1: needs 9 vcpus, 4 free; m2/ })
  t.match(await book.decisions('p1', { about: 'uuid-big' }), [{ outcome: 'refused', action: 'place' }])
  t.match(await failure(service.addVm('p1', coldVm('a', { image: 'none' }), {}, by())), { ...code('NO_ROOM'), message: /no image none/ })
  await service.addVm('p1', coldVm('a'), {}, by())
  t.match(await failure(service.addVm('p1', coldVm('a', {}, 'another'), {}, by())), code('NAME_TAKEN'))
  t.match(await failure(service.addVm('p1', liveVm('a'), {}, by())), { ...code('VM_REFUSED'), message: /p1 manages it/ })
  t.match(await failure(service.addVm('p9', coldVm('b'), {}, by())), code('POOL_UNKNOWN'))
  await service.putQuota({ scope: 'account/alice', limit: { vms: 1 } }, by())
  t.match(await failure(service.addVm('p1', coldVm('b'), {}, by())), code('QUOTA'))
  await service.changePool('p1', { scheduler: { type: 'function', name: 'mine' } }, by())
  t.match(await failure(service.addVm('p1', coldVm('c'), {}, by({ principal: 'bob' }))), { ...code('SCHEDULER_FAILED'), message: /broken/ })
  t.equal(view.intents().length, 1)
  t.same(await auditCloud(store), [])
})

test('the caller\'s time ends before it runs: it goes on by itself', async (t) => {
  const { service, view, by } = await serviceLab(t)
  t.match(await failure(service.addVm('p1', coldVm('a'), {}, by({ remainingMs: 400 }))), code('UNFINISHED'))
  t.match(view.intent('uuid-a'), { desired: 'running', booked: true })
})

test('two services that place at once never overbook', async (t) => {
  const lab = await serviceLab(t, ['m1', 'm2'])
  const other = await secondService(t, lab.store, ['m1', 'm2'])
  lab.agent(obedient)
  // Room for 8 of one vcpu.
  const tries = Array.from({ length: 12 }, (_, at) => (at % 2 === 0 ? lab : other).service.addVm('p1', coldVm(`v${at}`), {}, lab.by()))
  const ended = await Promise.allSettled(tries)
  t.equal(ended.filter(({ status }) => status === 'fulfilled').length, 8)
  for (const each of ended) if (each.status === 'rejected') t.match(each.reason, code('NO_ROOM'))
  t.same(await auditCloud(lab.store), [])
})

test('a live VM is managed from now on, where it is; not one of a machine outside the pool', async (t) => {
  const { service, view, seen, by } = await serviceLab(t)
  seen.set('VM', [liveVm('a', 'm2')])
  t.same(await service.addVm('p1', liveVm('a', 'm2'), {}, by()), { vm: 'uuid-a' })
  t.match(view.intent('uuid-a'), { desired: 'running', origin: 'present', epoch: 1, booked: true, machine: { uuid: 'm2' } })
  t.match(await failure(service.addVm('p1', liveVm('b', 'm9'), {}, by())), { ...code('VM_REFUSED'), message: /not in the pool/ })
})

test('out of the pool: forgotten and left as it is, or destroyed by its agent', async (t) => {
  const { service, view, store, by, agent } = await serviceLab(t)
  agent(obedient)
  for (const name of ['a', 'b']) await service.addVm('p1', coldVm(name), {}, by())
  await service.removeVm('p1', 'a', {}, by())
  t.equal(view.intent('uuid-a'), undefined)
  agent(() => undefined)
  t.match(await failure(service.removeVm('p1', 'uuid-b', { destroy: true }, by({ remainingMs: 400 }))), code('UNFINISHED'))
  t.match(view.intent('uuid-b'), { desired: 'absent', booked: true })
  t.match(view.machine(view.intent('uuid-b')?.machine?.uuid ?? '')?.booked, { vms: 1 }, 'it takes its room until it is gone')
  agent(obedient)
  await service.removeVm('p1', 'uuid-b', { destroy: true }, by()).catch((error: unknown) => t.match(error, code('VM_UNKNOWN')))
  t.match(await failure(service.removeVm('p1', 'b', {}, by())), code('VM_UNKNOWN'))
  t.same(await auditCloud(store), [])
})

test('moved live by the intent: epoch + 1, not armed on the way, answered when it runs there', async (t) => {
  const { service, view, by, agent, lease, book } = await serviceLab(t)
  agent(obedient)
  const { vm } = await service.addVm('p1', coldVm('a'), {}, by())
  const from = view.intent(vm)?.machine?.uuid ?? '', to = from === 'm2' ? 'm3' : 'm2'
  await lease(from, 'held')
  await service.protect('p1', coldVm('a'), {}, by())
  await book.change(vm, ({ revision: _, ...present }) => ({ ...present, protection: { ...present.protection!, armed: true } }))
  await service.migrateVm('p1', vm, to, by())
  t.match(view.intent(vm), { machine: { uuid: to }, epoch: 2, origin: 'migrate', protection: { armed: false } })
  t.match(await failure(service.migrateVm('p1', vm, to, by())), { ...code('VM_REFUSED'), message: /it is on/ })
  // The hypervisor refuses: its agent takes the intent back.
  agent(() => undefined)
  const moving = failure(service.migrateVm('p1', vm, from, by()))
  await new Promise<void>((resolve) => { const stop = view.onChange(() => { if (view.intent(vm)?.epoch === 3) { stop(); resolve() } }) })
  await book.change(vm, ({ revision: _, ...present }) => ({ ...present, machine: { ...view.machine(to)!, uuid: to }, epoch: 4, origin: 'present', reason: 'it could not be moved: no route' }))
  t.match(await moving, { ...code('VM_REFUSED'), message: /no route/ })
})

test('migrations of a machine and of the pool are limited: users wait their turn, policies are refused', async (t) => {
  const { service, view, by, agent, book } = await serviceLab(t)
  agent(({ epoch }) => ({ phase: epoch === 1 ? 'running' : 'migrating' }))
  for (const name of ['a', 'b']) await view.until((await book.intend(placed(name, 'm1'))).revision)
  await view.until((await book.changeMachine('m2', (present) => present)).revision)
  t.match(await failure(service.migrateVm('p1', 'a', 'm2', by({ remainingMs: 400 }))), { ...code('UNFINISHED'), message: /before it ran there/ })
  t.match(await failure(service.migrateVm('p1', 'b', 'm3', by({ remainingMs: 400 }))), { ...code('UNFINISHED'), message: /before a place among the migrations/ })
  t.match((await service.act('p1', { policy: 'x', round: 0, memory: {}, proposals: [{ action: { do: 'migrate', vm: 'b', epoch: 1, to: 'm3' }, reason: 'r' }] }, by())).results, [{ outcome: 'refused', reason: /from or to m1, of 1 at once/ }])
  t.equal(view.intent('b')?.epoch, 1)
  const turn = service.migrateVm('p1', 'b', 'm3', by())
  agent(obedient)
  await turn
  t.match([view.intent('a'), view.intent('b')], [{ machine: { uuid: 'm2' } }, { machine: { uuid: 'm3' } }])
})
