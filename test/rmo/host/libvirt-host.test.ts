// The host over libvirt's own simulated hypervisor (test:///default): no daemon, but the real library.

import { test } from 'tap'
import { errorCode, seededRandom, systemClock, uuidOfNode } from '../../../fabric/base.ts'
import { createMemoryStore } from '../../../fabric/mod.ts'
import { libvirtInstalled } from '../../../kali/hosts.ts'
import { createHost } from '../../../rmo/host/host.ts'
import type { Host } from '../../../rmo/host/host.ts'
import { createLocalObjects, rmoKinds } from '../../../rmo/mod.ts'
import type { LocalObjects, ObjectEvent } from '../../../rmo/mod.ts'
import { eventually } from '../../support/hosts.ts'
import { authority, must, nodeId } from '../../support/rmo-fabric.ts'

const skip = libvirtInstalled() ? false : 'absent: libvirt.so.0'

async function libvirtHost(t: { teardown(fn: () => unknown): unknown }): Promise<{ host: Host; objects: LocalObjects }> {
  const { createLibvirtDriver } = await import('../../../rmo/libvirt.ts')
  const objects = createLocalObjects({ forwardsMax: 16 })
  const alive = setInterval(() => {}, 60_000)
  const host = createHost({
    self: nodeId(1), machineUuid: uuidOfNode(nodeId(1)), hostName: () => 'host1', objects, kinds: rmoKinds, clock: systemClock, random: seededRandom(1), directory: '/nonexistent',
    driver: createLibvirtDriver({ uri: 'test:///default', clock: systemClock, random: seededRandom(2), threads: 2 }),
    store: createMemoryStore(), log: { info: () => {}, warn: () => {} },
    peers: { call: () => Promise.reject(new Error('no peers')), invoke: () => Promise.reject(new Error('no peers')), nameOf: (id) => id },
  })
  t.teardown(async () => { clearInterval(alive); await host.stop() })
  await host.ready
  return { host, objects }
}

test('over the real library: what is there, a life, adoption', { skip }, async (t) => {
  const { host, objects } = await libvirtHost(t)
  const foreign = must(host.vms.byName('test'))
  t.match(foreign.attributes(), { state: 'running', managed: false, host: 'host1' })
  t.match(host.vmm.attributes(), { state: 'connected', driver: 'libvirt', uri: 'test:///default' })

  const by = authority()
  const draft = host.vmm.createVM({ name: 'größe <&"\'> 1', memoryMiB: 64, devices: [{ type: 'interface', network: 'default' }], labels: { tier: 'front' }, description: 'a & b' })
  await host.vmm.add(draft, {}, by)
  const vm = must(host.vms.get(draft.uuid))
  t.match(vm.attributes(), { name: 'größe <&"\'> 1', state: 'stopped', managed: true, labels: { tier: 'front' }, description: 'a & b', macs: [/^5a:/] })
  const heard: string[] = []
  host.subscribe('VM', vm.uuid, (event: ObjectEvent) => heard.push(event.type))
  await vm.start({}, by)
  t.equal(vm.attributes().state, 'running')
  await vm.suspend(by)
  await vm.resume(by)
  await vm.start({}, by)
  await vm.destroy(by)
  t.equal(vm.attributes().state, 'stopped')
  await eventually(() => heard.includes('stopped'))
  await host.resync()
  t.same(heard, ['started', 'suspended', 'resumed', 'stopped'])
  await vm.apply({ memoryMiB: 128, labels: { tier: 'back' } }, by)
  t.match(vm.attributes(), { memoryMiB: 128, labels: { tier: 'back' } })
  const settings = vm.settings()
  t.match(await vm.info(by), { driver: 'libvirt', definition: /<domain/, createdBy: 'local:0' })
  const error: unknown = await host.vmm.add({ ...draft, uuid: '11111111-2222-4333-8444-555555555555' }, {}, by).catch((failure: unknown) => failure)
  t.equal(errorCode(error), 'RMO_ERR_NAME_TAKEN')
  await host.vmm.remove(vm.reference(), {}, by)
  t.equal(objects.get('VM', vm.uuid), undefined)
  t.same(heard.at(-1), 'gone')
  await host.vmm.add({ ...draft, attributes: { ...settings } }, { start: true }, by)
  t.same(must(host.vms.get(draft.uuid)).settings(), settings, 'made again from its settings')
  await host.vmm.remove(host.reference('VM', draft.uuid), { force: true }, by)
})
