// High availability and elastic groups as users ask for them, and why.

import { test } from 'tap'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import { memberUuid } from '../../../kali/service/members.ts'
import { specWith, templateOf } from '../../../kali/service/group-spec.ts'
import { nodeOf, placed } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'
import { coldVm, describe, liveVm, obedient, serviceLab } from './service-lab.ts'

const code = (name: string): { readonly code: string } => ({ code: `KALI_ERR_${name}` })
const disk = (path: string) => ({ type: 'disk', path, format: 'qcow2' }) as const

test('protected: with defaults, not armed by this; changed without losing what its host has armed; taken back', async (t) => {
  const { service, view, book, by, agent, ensured } = await serviceLab(t)
  agent(obedient)
  const { vm } = await service.addVm('p1', coldVm('a', { devices: [disk('/shared/a.qcow2')] }), {}, by())
  t.match(await service.protect('p1', coldVm('a'), { priority: 5 }, by()), { protection: { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 5, armed: false } })
  t.ok(ensured.includes('kali-ha'))
  await view.until((await book.change(vm, ({ revision: _, ...present }) => ({ ...present, protection: { ...present.protection!, armed: true } })))!.revision)
  t.match(await service.protect('p1', coldVm('a'), { restarts: 3 }, by()), { protection: { restarts: 3, priority: 5, armed: true } })
  await service.unprotect(vm, by())
  t.equal(view.intent(vm)?.protection, undefined)
  await service.unprotect(vm, by())
  t.match(await failure(service.unprotect('nobody', by())), code('VM_UNKNOWN'))
})

test('an empty promise is refused: disks or bridges of one machine, a device of the host, no other machine, two nodes', async (t) => {
  const { service, by, agent, seen, members } = await serviceLab(t)
  agent(obedient)
  const own = liveVm('a', 'm1', { devices: [disk('/local/a.qcow2')] })
  const device = liveVm('b', 'm1', { devices: [disk('/dev/sdb')] })
  const bridged = liveVm('c', 'm1', { devices: [{ type: 'interface', bridge: 'br7' }] })
  seen.set('VM', [own, device, bridged])
  t.match(await failure(service.protect('p1', own, {}, by())), { ...code('NOT_MOVABLE'), message: /m2 has not shared storage \/local; m3/ })
  t.match(await failure(service.protect('p1', device, {}, by())), { ...code('NOT_MOVABLE'), message: /\/dev\/sdb is a device/ })
  t.match(await failure(service.protect('p1', bridged, {}, by())), { ...code('NOT_MOVABLE'), message: /bridge br7/ })
  // A path of the same name on another machine is another directory.
  for (const machine of ['m1', 'm2', 'm3']) seen.get('StoragePool')!.push({ kind: 'StoragePool', uuid: `own-of-${machine}`, home: nodeOf(machine), name: 'own', attributes: { name: 'own', path: '/local', state: 'active' } })
  t.match(await failure(service.protect('p1', own, {}, by())), { ...code('NOT_MOVABLE'), message: /m2 has not shared storage \/local; m3/ })
  members.set(nodeOf('m3'), 'dead')
  t.match(await failure(service.protect('p1', own, {}, by())), { ...code('TWO_NODES'), message: /there are 2/ }, 'a dead one is no third vote')
  members.set(nodeOf('m3'), 'left')
  t.match(await failure(service.protect('p1', own, {}, by())), { ...code('TWO_NODES'), message: /there are 2/ })
})

test('the pool\'s promise to survive a host binds what is protected', async (t) => {
  const { service, by, agent } = await serviceLab(t, ['m1', 'm2', 'm3'])
  agent(obedient)
  await service.changePool('p1', { survivesHosts: 2 }, by())
  for (const name of ['a', 'b', 'c']) await service.addVm('p1', coldVm(name, { memoryMiB: 2_500 }), {}, by())
  t.match(await failure(service.protect('p1', coldVm('a'), {}, by())), { ...code('NO_ROOM'), message: /after the loss of 2 machines/ })
  await service.changePool('p1', { survivesHosts: 0 }, by())
  await service.protect('p1', coldVm('a'), {}, by())
})

test('a group: from a VM with an image; what cannot be copied is told; removed with its members, never its original', async (t) => {
  const { service, view, by, agent, store } = await serviceLab(t)
  agent(obedient)
  t.match(await failure(service.addGroup('p1', { uuid: 'g', vm: coldVm('own', { devices: [disk('/shared/x')] }), spec: { max: 3 } }, by())), { ...code('GROUP_SPEC'), message: /image import/ })
  t.same(view.intents(), [], 'told before anything is made')
  const vm = coldVm('web', { image: 'debian', devices: [{ type: 'interface', bridge: 'br0', mac: '52:54:00:00:00:01' }] })
  t.match(await service.addGroup('p1', { uuid: '11111111-1111-4111-8111-111111111111', name: 'shop', vm, spec: { max: 3, min: 1 } }, by()), { name: 'shop', original: 'uuid-web', spec: { out: 0.8, in: 0.3, hold: 3, periodMs: 10_000, cooldownInMs: 300_000, drainMs: 120_000 }, template: { image: 'debian', devices: [{ type: 'interface', bridge: 'br0', mac: undefined }] } })
  const group = '11111111-1111-4111-8111-111111111111'
  t.equal(view.intent('uuid-web')?.group, group)
  t.match(await failure(service.addGroup('p1', { uuid: 'h', name: 'shop', vm: coldVm('w2', { image: 'debian' }), spec: { max: 1 } }, by())), code('NAME_TAKEN'))
  t.match(await failure(service.addGroup('p1', { uuid: 'h', vm, spec: { max: 1 } }, by())), { ...code('VM_REFUSED'), message: /member of group shop/ })
  t.match(await failure(service.removeVm('p1', 'web', {}, by())), { ...code('VM_REFUSED'), message: /was made from it/ })
  t.match(await failure(service.changeGroup(group, { spec: { out: 0.2 } }, by())), code('GROUP_SPEC'))
  t.match(await service.changeGroup(group, { spec: { max: 5 }, paused: true }, by()), { paused: true, spec: { max: 5, out: 0.8 } })
  t.match((await service.act('p1', { policy: 'kali-elasticity', round: 0, memory: {}, proposals: [{ action: { do: 'grow', group, member: '1' }, reason: 'load' }] }, by())).results, [{ outcome: 'refused', reason: /paused/ }])
  await service.changeGroup(group, { paused: false }, by())
  await service.act('p1', { policy: 'kali-elasticity', round: 1, memory: { memory: {}, notes: { [group]: { held: 'cooling down' } } }, proposals: [{ action: { do: 'grow', group, member: '1' }, reason: 'load' }] }, by())
  t.match(view.intent(memberUuid(group, '1')), { name: 'shop-1', settings: { image: 'debian' } })
  t.match(await service.why('p1', 'shop', by()), { summary: /group shop has .* of 1 to 5: cooling down/, notes: { 'kali-elasticity': { held: 'cooling down' } }, decisions: [{ action: 'grow' }] })
  await service.removeGroup(group, {}, by())
  t.same(view.intents().map(({ uuid, group: of }) => [uuid, of]), [['uuid-web', undefined]])
  t.match(await failure(service.removeGroup(group, {}, by())), code('GROUP_UNKNOWN'))
  t.same(await auditCloud(store), [])
})

test('specs are whole and do not contradict themselves; templates have nothing that only one VM may have', (t) => {
  for (const wrong of [{}, { max: 0 }, { max: 2, min: 3 }, { max: 2, out: 0.3, in: 0.3 }, { max: 2, out: 1.5 }, { max: 2, hold: 0 }, { max: 2, drainMs: -1 }, { max: 2, schedule: [{ from: 'a', to: 'b', max: 3 }] }, { max: 4, schedule: [{ from: 'a', to: 'b', min: 3, max: 2 }] }]) t.throws(() => specWith(wrong), code('GROUP_SPEC'))
  t.match(specWith({ hold: 1 }, specWith({ max: 4, out: 0.9 })), { max: 4, out: 0.9, hold: 1 })
  const template = templateOf({
    name: 'web', vcpus: 2, memoryMiB: 512, instanceId: 'i-1', autostart: true, labels: { tier: 'web' }, context: { hostname: 'web', runcmd: ['x'], network: { version: 2 } },
    devices: [{ ...disk('/shared/web.qcow2'), role: 'root', base: 'debian', target: 'vda', sizeMiB: 2_048 }, { ...disk('/shared/seed.iso'), role: 'seed' }, { ...disk('/iso/tools.iso'), device: 'cdrom', readOnly: true }, { ...disk('/shared/data'), sizeMiB: 100 }, { type: 'interface', bridge: 'br0', mac: '52:54:00:00:00:01', target: 'vnet3' }],
  }, 'shop')
  t.same(template, {
    name: 'shop', vcpus: 2, memoryMiB: 512, labels: { tier: 'web' }, image: 'debian', context: { runcmd: ['x'] },
    devices: [{ type: 'disk', format: 'qcow2', create: 'auto', target: 'vda', sizeMiB: 2_048, role: 'root' }, { ...disk('/iso/tools.iso'), device: 'cdrom', readOnly: true }, { type: 'disk', format: 'qcow2', create: 'auto', sizeMiB: 100 }, { type: 'interface', bridge: 'br0' }],
  })
  t.throws(() => templateOf({ name: 'w', vcpus: 1, memoryMiB: 1, image: 'debian', devices: [{ ...disk('/a'), role: 'root' }, { ...disk('/b'), role: 'data' }] }, 'g'), code('GROUP_SPEC'))
  t.end()
})

test('why: one sentence that says what it waits for, and what it rests on', async (t) => {
  const lab = await serviceLab(t)
  const { service, view, book, by, lease, members, contact } = lab
  const protection = { restarts: 1, relocations: 1, windowMs: 1_000, onGuestShutdown: 'leave', priority: 0, armed: true } as const
  await view.until((await book.intend(placed('web-2', 'm1', { protection }))).revision)
  await lease('m1', 'held')
  const summary = async (about?: string): Promise<string> => (await service.why('p1', about, by())).summary
  t.match(await summary('web-2'), /on its way: m1 has not taken up epoch 1/)
  await book.status({ uuid: 'web-2', machine: 'm1', epoch: 1, phase: 'running', sinceMs: 1, attempts: 1 })
  await view.until((await book.changeMachine('m1', (present) => present)).revision)
  t.match(await summary('web-2'), /vm web-2 runs on m1, protected: a test/)
  members.set(nodeOf('m1'), 'dead')
  t.match(await summary('web-2'), /may be running: host m1 is dead, but its lease stands/)
  await lease('m1', 'gone')
  contact(12_300)
  const explained = await service.why('p1', 'web-2', by())
  t.match(explained.summary, /vm web-2 is not running: host m1 lost its lease 0(\.\d)? s ago; it can be taken over in 7\.[67] s/)
  t.match(explained, { about: 'web-2', lease: { node: 'm1', state: 'gone', leaseMs: 20_000 }, status: { phase: 'running' }, intent: { epoch: 1 }, placement: { chosen: /m[23]/, refused: [{ machine: 'm1', filter: 'avoid' }] } })
  contact(20_001)
  await service.act('p1', { policy: 'kali-ha', round: 0, memory: { memory: {}, notes: { 'web-2': { reason: 'ALARM: 2 of 3 machines are lost' } } }, proposals: [] }, by())
  t.match(await summary('web-2'), /it can be taken over now; kali-ha: ALARM: 2 of 3/, 'and what holds the policy back')
  await service.setMode('freeze', 'upgrade', by())
  t.match(await summary('web-2'), /nothing is taken over while the cloud is set to freeze/)
  t.match(await summary(), /pool p1: 3 machines; 1 of 1 wanted VM running; the cloud is set to freeze \(upgrade\)/)
  t.match(await summary('m1'), /machine m1 is in-service, its node dead, its lease gone for/)
  t.match(await failure(service.why('p1', 'nobody', by())), code('VM_UNKNOWN'))
})

test('machines of one node are told apart', async (t) => {
  const { service, view, seen, by, book } = await serviceLab(t, ['m1'])
  describe(seen, 'm2')
  // m2 is simulated on m1's node.
  for (const [kind, list] of seen) seen.set(kind, list.map((each) => ({ ...each, home: nodeOf('m1'), ...(kind === 'StoragePool' || kind === 'Image' || kind === 'Switch' ? { attributes: { ...each.attributes, host: list.indexOf(each) === 0 ? 'm1' : 'm2' } } : {}) })))
  seen.set('VM', [{ ...liveVm('stray', 'm2'), home: nodeOf('m1') }])
  await service.addMachine('p1', { kind: 'PhysicalMachine', uuid: 'm2', home: nodeOf('m1'), name: 'm2', attributes: {} }, by())
  await view.until((await book.changeMachine('m1', (present) => present)).revision)
  t.match((await service.snapshot('p1', by())).machines, [{ name: 'm1', foreign: { vms: 0 } }, { name: 'm2', foreign: { vms: 1 } }])
})
