// A real Open vSwitch that goes away and comes back under the driver: database killed, daemon dead, changes missed.

import { test } from 'tap'
import { systemClock } from '../../../fabric/base.ts'
import { createSwitchDriver } from '../../../rmo/driver/switch/driver.ts'
import { RMO } from '../../../rmo/errors.ts'
import type { SwitchDriver } from '../../../rmo/host/contract.ts'
import { callWithin, ip, openOvs, ovsObstacle } from '../../support/switch-lab.ts'

const call = () => callWithin(15_000)
/** Resolves when an inventory is as wished, looked at after each change that the driver tells. */
async function whenSeen(driver: SwitchDriver, look: (inventory: Awaited<ReturnType<SwitchDriver['inventory']>>) => boolean): Promise<void> {
  for (;;) {
    const alive = systemClock.after(20_000, () => {})
    const changed = new Promise<void>((resolve) => { const stop = driver.onChange(() => { stop(); resolve() }) })
    if (look(await driver.inventory())) { alive.cancel(); return }
    await changed
    alive.cancel()
  }
}

const obstacle = ovsObstacle()
const needs = obstacle === undefined ? {} : { skip: obstacle }

/** Resolves when `act` no longer rejects as unavailable; tried again at each change that the driver tells. */
async function whenBack<T>(driver: SwitchDriver, act: () => Promise<T>): Promise<T> {
  for (;;) {
    const alive = systemClock.after(20_000, () => {})
    const changed = new Promise<void>((resolve) => { const stop = driver.onChange(() => { stop(); resolve() }) })
    try { return await act() } catch (error) {
      if ((error as { code?: string }).code !== RMO.SWITCH_UNAVAILABLE.code) throw error
      await changed
    } finally { alive.cancel() }
  }
}

/** An Open vSwitch of the test's own with one switch on it. */
async function withSwitch(t: { teardown(after: () => unknown): unknown }) {
  const lab = await openOvs()
  t.teardown(() => lab.close())
  const driver = createSwitchDriver({ clock: systemClock, machineUuid: '6d6f6a69-0000-8000-8000-000000000001', hostName: () => 'alpha', namespace: lab.namespace, ovsSocket: lab.socketPath })
  t.teardown(() => driver.close())
  await driver.open()
  const own = await driver.createSwitch('sw0', 'openvswitch', call())
  return { lab, driver, own }
}

test('the database is killed and comes back with changes that were missed', needs, async (t) => {
  const { lab, driver, own } = await withSwitch(t)
  ip('-n', lab.namespace, 'link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'dev1')
  const port = await driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 10 } }, call())
  await lab.stopDatabase()
  t.same((await driver.inventory()).ports.map(({ uuid }) => uuid), [port.uuid], 'unknown is not gone')
  await lab.startDatabase()
  lab.vsctl('set', 'Port', 'dev0', 'tag=20')
  await whenBack(driver, () => driver.changePort(port.uuid, {}, call()))
  t.same((await driver.inventory()).ports.map(({ uuid, vlanTag }) => [uuid, vlanTag]), [[port.uuid, 20]])
})

test('a daemon that does not carry a change out ends with the deadline; the change is there when it comes back', needs, async (t) => {
  const { lab, driver, own } = await withSwitch(t)
  const port = await driver.addPort(own.uuid, { name: 'int0', internal: true }, call())
  await lab.stopSwitch()
  await t.rejects(driver.changePort(port.uuid, { vlanTag: 7 }, callWithin(200)), { code: RMO.SWITCH_TIMEOUT.code, outcome: 'unknown' })
  await lab.startSwitch()
  await driver.changePort(port.uuid, { trunkTags: [] }, call())
  t.same((await driver.inventory()).ports.map(({ vlanTag }) => vlanTag), [7])
  await driver.removePort(port.uuid, call())
  await driver.removeSwitch(own.uuid, call())
})

test('a limit is in force or leaves nothing; one that is taken away leaves no QoS rows', needs, async (t) => {
  const { lab, driver, own } = await withSwitch(t)
  ip('-n', lab.namespace, 'link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'dev1')
  const qosRows = (): number => lab.vsctl('--format=csv', '--no-headings', '--columns=_uuid', 'list', 'QoS').split('\n').filter((line) => line !== '').length
  const limited = await driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 10 }, rateKiBps: 500 }, call()).then(() => true, (error: { code: string }) => {
    t.equal(error.code, RMO.DRIVER_UNSUPPORTED.code)
    return false
  })
  t.equal(qosRows(), limited ? 1 : 0)
  t.equal((await driver.inventory()).ports.length, limited ? 1 : 0, 'all or nothing')
  const port = await driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 10 }, ...(limited ? { rateKiBps: 500 } : {}) }, call())
  // As libvirt limits: its own QoS row at the port.
  lab.vsctl('set', 'Port', 'dev0', 'qos=@q', '--', '--id=@q', 'create', 'QoS', 'type=linux-htb', 'other_config:max-rate=8192000')
  await whenSeen(driver, ({ ports }) => ports[0]?.rateKiBps === 1_000 || (limited && ports[0]?.rateKiBps === 500))
  await driver.changePort(port.uuid, { rateKiBps: 0 }, call())
  t.equal(qosRows(), 0)
  t.same((await driver.inventory()).ports.map(({ vlanTag, rateKiBps }) => [vlanTag, rateKiBps]), [[10, 0]])
})

test('an internal port of a userspace datapath has no limit, and says so', needs, async (t) => {
  const { driver, own } = await withSwitch(t)
  if (own.datapath !== 'netdev') { t.pass('the kernel datapath is here'); return }
  await t.rejects(driver.addPort(own.uuid, { name: 'int0', internal: true, rateKiBps: 5 }, call()), { code: RMO.DRIVER_UNSUPPORTED.code })
  t.same((await driver.inventory()).ports, [])
})
