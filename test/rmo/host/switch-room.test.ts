// Switches and ports as objects, over the memory driver: their life, their events, whose VM a port is.

import { test } from 'tap'
import type { Test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { createMemorySwitches } from '../../../rmo/driver/switch/memory.ts'
import type { LocalPort } from '../../../rmo/kinds/port.ts'
import type { LocalSwitch } from '../../../rmo/kinds/switch.ts'
import { RMO } from '../../../rmo/mod.ts'
import type { ObjectEvent } from '../../../rmo/mod.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { SWITCH_MACHINE, domainWith, openSwitchHost } from '../../support/switch-host.ts'

const by = authority()
const VM = '11111111-1111-4111-8111-111111111111'

async function open(t: Test) {
  const driver = createMemorySwitches({ machineUuid: SWITCH_MACHINE, random: seededRandom(7), hostName: () => 'alpha' })
  const host = await openSwitchHost(driver)
  t.teardown(() => host.close())
  const aSwitch = (uuid: string): LocalSwitch => must(host.objects.get('Switch', uuid)).local as LocalSwitch
  const aPort = (uuid: string): LocalPort => must(host.objects.get('Port', uuid)).local as LocalPort
  const events = (of: { onEvent(listener: (event: ObjectEvent) => void): () => void }): string[] => {
    const seen: string[] = []
    of.onEvent(({ atMs, ...event }) => { t.ok(Number.isInteger(atMs)); seen.push(JSON.stringify(event)) })
    return seen
  }
  return { driver, host, room: host.room, aSwitch, aPort, events }
}

test('a switch is an object while there is one', async (t) => {
  const { host, room, aSwitch, events } = await open(t)
  const made = await room.createSwitch({ name: 'sw0', type: 'openvswitch' }, by)
  t.match(made, { kind: 'Switch', name: 'sw0', attributes: { type: 'openvswitch', host: 'alpha', up: true } })
  t.equal((await room.createSwitch({ name: 'sw0', type: 'openvswitch' }, by)).uuid, made.uuid)
  await t.rejects(room.createSwitch({ name: 'sw0' }, by), { code: RMO.NAME_TAKEN.code }, 'the default type is linux')
  const seen = events(aSwitch(made.uuid))
  await aSwitch(made.uuid).remove(by)
  t.same(seen, ['{"type":"gone","reason":"it was removed"}'])
  t.same(host.objects.list('Switch'), [])
})

test('ports come and go with verbs, and are told', async (t) => {
  const { host, room, aSwitch, aPort, events } = await open(t)
  const sw = aSwitch((await room.createSwitch({ name: 'sw0', type: 'openvswitch' }, by)).uuid)
  const seen = events(sw)
  const made = await sw.addPort({ name: 'dev0', vlan: { tag: 10 } }, by)
  t.match(made, { kind: 'Port', name: 'dev0', attributes: { switchName: 'sw0', vlanTag: 10, vmName: '' } })
  t.same(sw.ports().map(({ uuid }) => uuid), [made.uuid])
  t.same(sw.info().ports, ['dev0'])
  await t.rejects(sw.remove(by), { code: RMO.IN_USE.code, details: { by: ['dev0'] } })
  const ofPort = events(aPort(made.uuid))
  await aPort(made.uuid).change({ vlanTag: 20 }, by)
  t.equal(aPort(made.uuid).attributes().vlanTag, 20)
  const other = await room.createSwitch({ name: 'sw1', type: 'openvswitch' }, by)
  t.throws(() => aSwitch(other.uuid).removePort(made, by), { code: RMO.ARGUMENT_INVALID.code }, 'not one of its own')
  const held = aPort(made.uuid)
  await sw.removePort(made, by)
  await sw.removePort(made, by)
  t.same(host.objects.list('Port'), [])
  t.throws(() => held.attributes(), { code: RMO.GONE.code })
  t.same(seen, [`{"type":"portAdded","uuid":"${made.uuid}","name":"dev0"}`, `{"type":"portRemoved","uuid":"${made.uuid}","name":"dev0"}`])
  t.same(ofPort, ['{"type":"changed","vlanTag":20,"trunkTags":[],"rateKiBps":0,"vmName":""}', '{"type":"gone","reason":"it was taken out of its switch"}'])
})

test('what others do is seen: a VM plugged in, its link, its traffic', async (t) => {
  const { driver, host, room, aSwitch, aPort, events } = await open(t)
  const sw = aSwitch((await room.createSwitch({ name: 'sw0', type: 'openvswitch' }, by)).uuid)
  const { uuid } = driver.simulate.plug('sw0', { name: 'vnet0', mac: 'fe:54:00:00:00:01', vlanTag: 5 })
  await room.refresh()
  const port = aPort(uuid)
  t.match(port.attributes(), { name: 'vnet0', vmName: '', vlanTag: 5 })
  const seen = events(port)
  host.setDomains([domainWith({ uuid: VM, name: 'web1', interfaces: [{ target: 'vnet0' }] })])
  t.equal(port.attributes().vmName, 'web1')
  t.same(room.portsOf(VM).map((each) => each.uuid), [uuid])
  const same = port.attributes()
  await room.refresh()
  t.equal(port.attributes(), same, 'the same value while nothing changed')
  await t.rejects(port.remove(by), { code: RMO.IN_USE.code, details: { by: ['VM web1'] } })
  await t.rejects(sw.remove(by), { code: RMO.IN_USE.code, details: { by: ['vnet0 (VM web1)'] } })
  driver.simulate.setLink('vnet0', 'down')
  driver.simulate.traffic('vnet0', { receivedBytes: 100, sentBytes: 5 })
  t.match(await port.stats(), { linkUp: false, receivedBytes: 100, sentBytes: 5 })
  t.match(await sw.stats(), { ports: 1, portsUp: 0, receivedBytes: 100, sentBytes: 5 })
  driver.simulate.unplug('vnet0')
  await room.refresh()
  t.same(seen.map((event) => (JSON.parse(event) as { type: string }).type), ['changed', 'down', 'gone'], 'counters are no events')
})

test('whose port it is: as the switch was told, by the device of a running VM, by its address', async (t) => {
  const { driver, host, room, aPort } = await open(t)
  await room.createSwitch({ name: 'sw0', type: 'openvswitch' }, by)
  const told = driver.simulate.plug('sw0', { name: 'tapx', vmUuid: VM }).uuid
  const byMac = driver.simulate.plug('sw0', { name: 'tapy', mac: 'fe:54:00:AA:00:02' }).uuid
  const named = driver.simulate.plug('sw0', { name: 'vnet7' }).uuid
  await room.refresh()
  host.setDomains([
    domainWith({ uuid: VM, name: 'told', state: 'stopped', interfaces: [] }),
    domainWith({ uuid: '22222222-2222-4222-8222-222222222222', name: 'bymac', interfaces: [{ mac: '52:54:00:aa:00:02' }] }),
    domainWith({ uuid: '33333333-3333-4333-8333-333333333333', name: 'off', state: 'stopped', interfaces: [{ target: 'vnet7' }] }),
  ])
  t.equal(aPort(told).attributes().vmName, 'told')
  t.equal(aPort(byMac).attributes().vmName, 'bymac')
  t.equal(aPort(named).attributes().vmName, '', 'a stopped VM has no port')
})

test('a change that is told is read without being asked', async (t) => {
  const { driver, room, aSwitch } = await open(t)
  const sw = aSwitch((await room.createSwitch({ name: 'sw0', type: 'linux' }, by)).uuid)
  // The room's own timers keep no process alive.
  const alive = systemClock.after(20_000, () => {})
  t.teardown(() => alive.cancel())
  const told = new Promise<ObjectEvent>((resolve) => { sw.onEvent(resolve) })
  driver.simulate.plug('sw0', { name: 'vnet0' })
  t.match(await told, { type: 'portAdded', name: 'vnet0' })
})
