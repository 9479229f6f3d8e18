// Pools and machines: checked, joined with what their hardware has, emptied, taken out.

import { test } from 'tap'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import { nodeOf, placed } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'
import { coldVm, describe, liveVm, obedient, serviceLab } from './service-lab.ts'

const code = (name: string): { readonly code: string } => ({ code: `KALI_ERR_${name}` })
const machineOf = (name: string): { readonly kind: 'PhysicalMachine'; readonly uuid: string; readonly home: string; readonly name: string; readonly attributes: {} } => ({ kind: 'PhysicalMachine', uuid: name, home: nodeOf(name), name, attributes: {} })

test('a pool is made with defaults and its policies, changed, and removed when empty or by force', async (t) => {
  const { service, view, by, ensured, agent, store } = await serviceLab(t)
  agent(obedient)
  t.match(await service.addPool({ uuid: 'p2', name: 'second', overcommit: { cpuRatio: 2 } }, by()), { overcommit: { cpuRatio: 2, memoryRatio: 1 }, migrations: { perHost: 1, perPool: 4 }, policies: ['kali-ha', 'kali-elasticity'], createdBy: 'alice' })
  t.same(ensured, ['kali-ha', 'kali-elasticity'])
  t.match(await failure(service.addPool({ uuid: 'p3', name: 'second' }, by())), code('NAME_TAKEN'))
  t.match(await service.changePool('p2', { reserve: { vcpus: 1 }, policies: ['mine'] }, by()), { reserve: { vcpus: 1, memoryMiB: 0 }, policies: ['mine'], overcommit: { cpuRatio: 2 } })
  t.equal(ensured.at(-1), 'mine')
  await service.removePool('p2', {}, by())
  t.match(await failure(service.removePool('p2', {}, by())), code('POOL_UNKNOWN'))
  await service.addVm('p1', coldVm('a', { image: 'debian' }), {}, by())
  await service.addGroup('p1', { uuid: 'g', name: 'g', vm: coldVm('a'), spec: { max: 2 } }, by())
  t.match(await failure(service.removePool('p1', {}, by())), code('NOT_EMPTY'))
  await service.removePool('p1', { force: true }, by())
  t.same([view.pools(), view.machines(), view.intents(), view.groups()], [[], [], [], []])
  t.same(await auditCloud(store), [])
})

test('a scheduler that is there under no name is refused when it is set, and the near one named', async (t) => {
  const { service, view, by, deployed } = await serviceLab(t)
  const named = (name: string) => ({ scheduler: { type: 'function', name } as const })
  t.match(await failure(service.changePool('p1', named('rnak'), by())), { ...code('SCHEDULER_UNKNOWN'), message: /no scheduler rnak \(did you mean rank\?\)/ })
  deployed.push('by-rack')
  t.match(await failure(service.addPool({ uuid: 'p2', name: 'p2', ...named('by-rak') }, by())), { ...code('SCHEDULER_UNKNOWN'), message: /did you mean by-rack/ })
  t.match(await failure(service.changePool('p1', { scheduler: { type: 'builtin', name: 'nothing-near' } }, by())), code('SCHEDULER_UNKNOWN'))
  t.same([view.pool('p1')?.scheduler, view.pool('p2')], [{ type: 'builtin', name: 'rank' }, undefined])
  t.match(await service.changePool('p1', named('by-rack'), by()), named('by-rack'))
})

test('a machine joins with its hardware, once, and leaves when nothing names it', async (t) => {
  const { service, view, by, seen, silent, book } = await serviceLab(t)
  describe(seen, 'm4')
  t.match(await service.addMachine('p1', machineOf('m4'), by()), { cores: 4, memoryMiB: 4_096, mode: 'in-service', booked: { vms: 0 } })
  t.match(await failure(service.addMachine('p1', machineOf('m4'), by())), { ...code('MACHINE_TAKEN'), message: /is in pool p1/ })
  t.match(await failure(service.addMachine('p1', machineOf('m5'), by())), { ...code('MACHINE_REFUSED'), message: /no hypervisor|not known/ })
  silent.add(nodeOf('m6'))
  t.match(await failure(service.addMachine('p1', machineOf('m6'), by())), { ...code('MACHINE_REFUSED'), message: /does not answer/ })
  await view.until((await book.intend(placed('a', 'm4'))).revision)
  t.match(await failure(service.removeMachine('p1', 'm4', by())), code('NOT_EMPTY'))
  await service.removeVm('p1', 'a', {}, by())
  await service.removeMachine('p1', 'm4', by())
  t.match(await failure(service.removeMachine('p1', 'm4', by())), code('MACHINE_UNKNOWN'))
})

test('draining moves what runs, re-homes what is off, goes into maintenance, and never over the limits', async (t) => {
  const { service, view, by, agent, book, store } = await serviceLab(t)
  agent(obedient)
  for (const name of ['a', 'b', 'c']) await view.until((await book.intend(placed(name, 'm1', name === 'c' ? { desired: 'stopped', booked: false } : {}))).revision)
  await view.until((await book.changeMachine('m3', (present) => present)).revision)
  let most = 0
  view.onChange(() => { most = Math.max(most, view.intents().filter(({ uuid, epoch, origin }) => origin === 'migrate' && view.status(uuid)?.epoch !== epoch).length) })
  t.match(await failure(service.setMachineMode('m1', 'maintenance', by())), code('MACHINE_REFUSED'))
  t.match(await service.setMachineMode('m1', 'draining', by()), { mode: 'maintenance', booked: { vms: 0 } })
  t.equal(most, 1, 'perHost is 1')
  t.match(['a', 'b', 'c'].map((vm) => view.intent(vm)), [{ origin: 'migrate', epoch: 2 }, { origin: 'migrate', epoch: 2 }, { origin: 'restore', epoch: 2, desired: 'stopped' }])
  t.same(view.intents({ machine: 'm1' }), [])
  t.match(await failure(service.addVm('p1', coldVm('big', { vcpus: 4 }), {}, by())), { ...code('NO_ROOM'), message: /m1: it is in maintenance/ })
  t.match(await service.setMachineMode('m1', 'in-service', by()), { mode: 'in-service' })
  t.same(await auditCloud(store), [])
})

test('what cannot be moved off is named, the machine stays draining, and it is resumable', async (t) => {
  const { service, view, by, agent, book, seen } = await serviceLab(t, ['m1', 'm2'])
  agent(obedient)
  seen.set('VM', [liveVm('foreign', 'm1')])
  for (const [name, vcpus] of [['a', 3], ['b', 1]] as const) await book.intend(placed(name, 'm1', { settings: { name, vcpus, memoryMiB: 512, devices: [] } }))
  await view.until((await book.intend(placed('c', 'm2', { settings: { name: 'c', vcpus: 3, memoryMiB: 512, devices: [] } }))).revision)
  await view.until((await book.changeMachine('m2', (present) => present)).revision)
  t.match(await failure(service.setMachineMode('m1', 'draining', by())), { ...code('DRAIN_BLOCKED'), message: /a: .*m2: needs 3 vcpus.*; foreign: no pool manages it/ })
  t.equal(view.machine('m1')?.mode, 'draining')
  t.same(view.intents({ machine: 'm1' }).map(({ name }) => name), ['a'])
  seen.set('VM', [])
  await service.removeVm('p1', 'c', {}, by())
  t.match(await service.setMachineMode('m1', 'draining', by()), { mode: 'maintenance' })
})

test('rules: those that cannot be kept are refused when made', async (t) => {
  const { service, view, by, book } = await serviceLab(t, ['m1', 'm2'])
  await book.intend(placed('a', 'm1'))
  await book.intend(placed('b', 'm2'))
  await view.until((await book.intend(placed('c', 'm2'))).revision)
  t.match(await failure(service.putRule({ name: 'spread', pool: 'p1', type: 'apart', hard: true, vms: ['a', 'b', 'c'] }, by())), code('RULE_INFEASIBLE'))
  t.same(await service.putRule({ name: 'spread', pool: 'p1', type: 'apart', hard: false, vms: ['a', 'b', 'c'] }, by()), { unkept: [] })
  t.match(view.rules('p1'), [{ name: 'spread', hard: false }])
  await service.removeRule('p1', 'spread', by())
  t.same(view.rules('p1'), [])
})

test('a snapshot: foreign VMs, machines that do not answer, one observation for all who ask, frozen, metrics of groups', async (t) => {
  const { service, view, by, seen, silent, asked, book, metrics, contact } = await serviceLab(t)
  await view.until((await book.intend(placed('uuid-a', 'm1', { name: 'a' }))).revision)
  seen.set('VM', [liveVm('a', 'm1'), liveVm('stray', 'm1'), { ...liveVm('off', 'm1'), attributes: { ...liveVm('off').attributes, state: 'stopped' } }])
  silent.add(nodeOf('m3'))
  contact(5_000)
  const before = asked.get('VM') ?? 0
  const [snapshot] = await Promise.all([service.snapshot('p1', by()), service.snapshot('p1', by())])
  t.equal((asked.get('VM') ?? 0) - before, 1)
  const [m1, , m3] = snapshot.machines
  t.match(m1, { booked: { vms: 1 }, foreign: { vms: 1, vcpus: 1, memoryMiB: 512 }, freeVcpus: 2, images: ['debian'], storage: ['shared', '/shared'], bridges: ['br0'], cpuRatio: 0.25, lease: { state: 'gone' } })
  t.match(m3, { name: 'm3', cpuRatio: 0, images: undefined }, 'not forgotten')
  t.match(snapshot.vms, [{ name: 'a', state: 'running', cpuRatio: 0.5, inFlight: true }])
  t.ok(snapshot.contactMs >= 5_000 && snapshot.contactMs < 6_000)
  t.throws(() => { (snapshot.machines as unknown[]).push({}) })
  t.ok(Object.isFrozen(snapshot.machines[0]?.booked))
  for (const [name, value] of [['rate', 0.7], ['bad', new Error('no')], ['odd', 'text']] as const) {
    metrics.set(name, value)
    await book.putGroup({ uuid: name, name, pool: 'p1', paused: false, account: 'alice', createdAtMs: 1, template: { name, vcpus: 1, memoryMiB: 1, devices: [] }, spec: { out: 0.8, in: 0.3, min: 1, max: 4, metric: { type: 'function', name }, hold: 3, periodMs: 1, warmUpMs: 1, cooldownOutMs: 1, cooldownInMs: 1, stepOut: 1, stepIn: 1, margin: 0.1, flightMs: 1, drainMs: 1 } }, 'new')
  }
  await view.until((await book.changeMachine('m1', (present) => present)).revision)
  t.same((await service.snapshot('p1', by())).metrics, { rate: 0.7, bad: undefined, odd: undefined })
})

test('a placement is tried, and nothing is done', async (t) => {
  const { service, view, by } = await serviceLab(t)
  t.match(await service.tryPlace('p1', { vcpus: 9, memoryMiB: 1 }, undefined, by()), { chosen: undefined, refused: [{ filter: 'room' }, {}, {}] })
  t.match(await service.tryPlace('p1', coldVm('a'), { type: 'builtin', name: 'packing' }, by()), { scheduler: 'packing', chosen: /m\d/ })
  t.same(view.intents(), [])
})
