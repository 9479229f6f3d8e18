import { test } from 'tap'
import { seededRandom, systemClock } from '../../fabric/base.ts'
import { createMemoryDriver } from '../../rmo/driver/memory/driver.ts'
import { createMemorySwitches } from '../../rmo/driver/switch/memory.ts'
import type { LocalSwitch } from '../../rmo/kinds/switch.ts'
import { createMachine, rmoKinds } from '../../rmo/mod.ts'
import { kindSuite } from '../conformance/kind.ts'
import type { KindSetup } from '../conformance/kind.ts'
import { authority, member, must } from '../support/rmo-fabric.ts'
import { createTestHosts } from '../support/hosts.ts'
import { call, openStorageHost } from '../support/storage-host.ts'
import { SWITCH_MACHINE, openSwitchHost } from '../support/switch-host.ts'

/** A switch with one port. */
async function switchObject(kind: 'Switch' | 'Port'): ReturnType<KindSetup['setup']> {
  const driver = createMemorySwitches({ machineUuid: SWITCH_MACHINE, random: seededRandom(1), hostName: () => 'alpha' })
  const host = await openSwitchHost(driver)
  const { uuid } = await host.room.createSwitch({ name: 'sw0', type: 'openvswitch' }, authority())
  await (must(host.objects.get('Switch', uuid)).local as LocalSwitch).addPort({ name: 'dev0', vlan: { tag: 10 } }, authority())
  return { local: must(host.objects.list(kind)[0]).local, teardown: () => host.close() }
}

/** A host with a VM that runs, and a snapshot of it. */
async function hostObject(kind: 'VMM' | 'VM' | 'Snapshot'): ReturnType<KindSetup['setup']> {
  const fabric = await createTestHosts(['alpha'])
  const { objects, host, pm, add } = must(fabric.hosts[0])
  const machine = createMachine({ self: () => member(1, 'alpha'), data: '/var/lib/kumoi', clock: systemClock })
  objects.add({ kind: 'PhysicalMachine', uuid: pm.uuid, local: machine })
  const vm = await add({ name: 'web', labels: { tier: 'front' } }, { start: true })
  await vm.snapshot({ name: 'before' }, authority())
  await host.resync()
  return { local: must(objects.list(kind)[0]).local, teardown: async () => { machine.stop(); await fabric.stop() } }
}

/** A simulated host with its pools, the image "guest", an overlay of it and a network. */
async function storageObject(kind: 'StoragePool' | 'Volume' | 'Image' | 'Network'): ReturnType<KindSetup['setup']> {
  const driver = createMemoryDriver({ name: 'alpha', clock: systemClock, random: seededRandom(1) })
  await driver.open()
  const host = await openStorageHost(driver)
  // A disk of an image: the image has been looked for by then.
  await host.storage.disks.prepare('11111111-2222-4333-8444-555555555555', { name: 'web', memoryMiB: 64, vcpus: 1, devices: [], image: 'guest' }, call)
  await host.resync()
  return { local: must(host.objects.list(kind)[0]).local, teardown: async () => { host.close(); await driver.close() } }
}

/** An object of each kind to try it on. */
const SETUPS: Readonly<Record<string, KindSetup['setup']>> = {
  PhysicalMachine: async () => {
    const machine = createMachine({ self: () => member(1, 'alpha'), data: '/var/lib/kumoi', clock: systemClock })
    return { local: machine, teardown: () => machine.stop() }
  },
  VMM: async () => hostObject('VMM'),
  VM: async () => hostObject('VM'),
  Snapshot: async () => hostObject('Snapshot'),
  Switch: async () => switchObject('Switch'),
  Port: async () => switchObject('Port'),
  StoragePool: async () => storageObject('StoragePool'),
  Volume: async () => storageObject('Volume'),
  Image: async () => storageObject('Image'),
  Network: async () => storageObject('Network'),
}

test('every kind of the registry can be tried', async (t) => {
  t.same(Object.keys(SETUPS).sort(), rmoKinds.kinds.map((kind) => kind.kind).sort())
})

for (const kind of rmoKinds.kinds) {
  const setup = SETUPS[kind.kind]
  if (setup !== undefined) test(kind.kind, (t) => kindSuite(t, { kind, setup, authority: authority() }))
}
