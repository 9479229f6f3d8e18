// What every SwitchDriver must do, run against each implementation:
//
//   switchSuite('memory, linux', 'linux', { setup, teardown })
//
// `world.addDevice` makes a network device that a port can be; `behindItsBack` removes one from its switch with other
// means than the driver.

import { test } from 'tap'
import type { Test } from 'tap'
import { RMO } from '../../rmo/mod.ts'
import type { SwitchDriver, SwitchRecord } from '../../rmo/host/contract.ts'
import { callWithin } from '../support/switch-lab.ts'

export interface SwitchWorld {
  readonly driver: SwitchDriver
  addDevice(name: string): void
  behindItsBack(switchName: string, portName: string): void
}
export interface SwitchHarness {
  readonly skip?: string | undefined
  setup(): Promise<SwitchWorld>
  teardown(world: SwitchWorld): Promise<void>
}

const call = () => callWithin(20_000)

/** Resolves with the first inventory for which `look` holds; inventories are taken when the driver tells of a change. */
async function seen(driver: SwitchDriver, what: string, look: (inventory: Awaited<ReturnType<SwitchDriver['inventory']>>) => boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const end = (settle: () => void): void => { clearTimeout(timer); stop(); settle() }
    const timer = setTimeout(() => end(() => reject(new Error(`never seen: ${what}`))), 15_000)
    const check = (): void => { driver.inventory().then((now) => { if (look(now)) end(resolve) }, (error: Error) => end(() => reject(error))) }
    const stop = driver.onChange(check)
    check()
  })
}

export function switchSuite(implementation: string, type: SwitchRecord['type'], harness: SwitchHarness): void {
  const scenario = (title: string, run: (t: Test, world: SwitchWorld) => Promise<void>): void => {
    void test(`${implementation}: ${title}`, harness.skip === undefined ? {} : { skip: harness.skip }, async (t) => {
      const world = await harness.setup()
      try {
        await run(t, world)
      } finally {
        await harness.teardown(world)
      }
    })
  }
  const refused = (t: Test, promise: Promise<unknown>, code: string, why: string) => t.rejects(promise, { code }, why)

  scenario('a switch is made once, listed, and removed', async (t, { driver }) => {
    t.equal(driver.typeOf('sw0'), undefined)
    const made = await driver.createSwitch('sw0', type, call())
    t.match(made, { name: 'sw0', type, up: true })
    t.match(made.uuid, /^[0-9a-f-]{36}$/)
    t.equal((await driver.createSwitch('sw0', type, call())).uuid, made.uuid, 'the same again is answered')
    t.same((await driver.inventory()).switches.map(({ uuid, name }) => ({ uuid, name })), [{ uuid: made.uuid, name: 'sw0' }])
    t.equal(driver.typeOf('sw0'), type)
    t.same((await driver.inventory()).ports, [], 'it has no port of its own')
    await driver.removeSwitch(made.uuid, call())
    await driver.removeSwitch(made.uuid, call())
    await seen(driver, 'no switch', ({ switches }) => switches.length === 0)
    t.equal(driver.typeOf('sw0'), undefined)
  })

  scenario('names that no interface can have are refused', async (t, { driver, addDevice }) => {
    for (const name of ['', '.', '..', 'a/b', 'a b', '-x', 'x'.repeat(16), 'ä', 'a\n']) {
      await refused(t, driver.createSwitch(name, type, call()), RMO.ARGUMENT_INVALID.code, JSON.stringify(name))
    }
    const fifteen = await driver.createSwitch('x'.repeat(15), type, call())
    await refused(t, driver.addPort(fifteen.uuid, { name: 'a b' }, call()), RMO.ARGUMENT_INVALID.code, 'port')
    addDevice('sw-dev0')
    await driver.addPort(fifteen.uuid, { name: 'sw-dev0' }, call())
    await refused(t, driver.createSwitch('sw-dev0', type, call()), RMO.NAME_TAKEN.code, 'a port has the name')
  })

  scenario('a port is plugged once, counted, and taken out', async (t, { driver, addDevice }) => {
    const own = await driver.createSwitch('sw0', type, call())
    addDevice('dev0')
    const port = await driver.addPort(own.uuid, { name: 'dev0' }, call())
    t.match(port, { name: 'dev0', switchUuid: own.uuid, vlanTag: 0, trunkTags: [], rateKiBps: 0 })
    t.type(port.receivedBytes, 'number')
    t.type(port.sentBytes, 'number')
    t.equal((await driver.addPort(own.uuid, { name: 'dev0' }, call())).uuid, port.uuid, 'the same again is answered')
    await t.rejects(driver.removeSwitch(own.uuid, call()), { code: RMO.IN_USE.code, details: { by: ['dev0'] } })
    await driver.removePort(port.uuid, call())
    await driver.removePort(port.uuid, call())
    await seen(driver, 'no port', ({ ports }) => ports.length === 0)
    await driver.removeSwitch(own.uuid, call())
  })

  scenario('a device is in one switch', async (t, { driver, addDevice }) => {
    const [a, b] = [await driver.createSwitch('swa', type, call()), await driver.createSwitch('swb', type, call())]
    addDevice('dev0')
    const port = await driver.addPort(a.uuid, { name: 'dev0' }, call())
    await refused(t, driver.addPort(b.uuid, { name: 'dev0' }, call()), type === 'linux' ? RMO.IN_USE.code : RMO.NAME_TAKEN.code, 'it is in the other one')
    t.same((await driver.inventory()).ports.map(({ uuid, switchUuid }) => ({ uuid, switchUuid })), [{ uuid: port.uuid, switchUuid: a.uuid }])
  })

  scenario('a device that is not there leaves nothing behind', async (t, { driver }) => {
    const own = await driver.createSwitch('sw0', type, call())
    await refused(t, driver.addPort(own.uuid, { name: 'nodev' }, call()), RMO.SWITCH_FAILED.code, 'no device')
    await seen(driver, 'no port', ({ ports }) => ports.length === 0)
  })

  scenario('what is gone says so, and what contradicts itself is refused', async (t, { driver, addDevice }) => {
    const nowhere = '00000000-0000-4000-8000-000000000000'
    await refused(t, driver.addPort(nowhere, { name: 'dev0' }, call()), RMO.GONE.code, 'switch')
    await refused(t, driver.changePort(nowhere, { rateKiBps: 0 }, call()), RMO.GONE.code, 'port')
    const own = await driver.createSwitch('sw0', type, call())
    addDevice('dev0')
    const port = await driver.addPort(own.uuid, { name: 'dev0' }, call())
    for (const change of [{ vlanTag: -1 }, { vlanTag: 4_095 }, { vlanTag: 1.5 }, { trunkTags: [1, 4_095] }, { vlanTag: 1, trunkTags: [2] }, { rateKiBps: -1 }]) {
      await refused(t, driver.changePort(port.uuid, change, call()), RMO.ARGUMENT_INVALID.code, JSON.stringify(change))
    }
    await driver.changePort(port.uuid, {}, call())
  })

  scenario('changes behind its back are told', async (t, { driver, addDevice, behindItsBack }) => {
    const own = await driver.createSwitch('sw0', type, call())
    addDevice('dev0')
    await driver.addPort(own.uuid, { name: 'dev0' }, call())
    const gone = seen(driver, 'the port is gone', ({ ports }) => ports.length === 0)
    behindItsBack('sw0', 'dev0')
    await gone
    t.pass('the driver told of it')
  })

  scenario(type === 'linux' ? 'VLANs are refused' : 'tags and trunks are set, exclude each other, and are cleared', async (t, { driver, addDevice }) => {
    const own = await driver.createSwitch('sw0', type, call())
    addDevice('dev0')
    addDevice('dev1')
    if (type === 'linux') {
      await refused(t, driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 10 } }, call()), RMO.DRIVER_UNSUPPORTED.code, 'tag')
      const port = await driver.addPort(own.uuid, { name: 'dev0' }, call())
      await refused(t, driver.changePort(port.uuid, { trunkTags: [10] }, call()), RMO.DRIVER_UNSUPPORTED.code, 'trunk')
      await refused(t, driver.addPort(own.uuid, { name: 'swint', internal: true }, call()), RMO.DRIVER_UNSUPPORTED.code, 'internal')
      return
    }
    const vlanOf = async (uuid: string) => (await driver.inventory()).ports.filter((port) => port.uuid === uuid).map(({ vlanTag, trunkTags }) => [vlanTag, trunkTags])
    const access = await driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 10 } }, call())
    const trunk = await driver.addPort(own.uuid, { name: 'dev1', vlan: { trunk: [20, 10, 20] } }, call())
    t.same(await vlanOf(access.uuid), [[10, []]])
    t.same(await vlanOf(trunk.uuid), [[0, [10, 20]]])
    await refused(t, driver.addPort(own.uuid, { name: 'dev0', vlan: { tag: 11 } }, call()), RMO.NAME_TAKEN.code, 'another tag is another wish')
    await driver.changePort(access.uuid, { trunkTags: [30] }, call())
    t.same(await vlanOf(access.uuid), [[0, [30]]], 'a trunk has no tag')
    await driver.changePort(access.uuid, { vlanTag: 20 }, call())
    t.same(await vlanOf(access.uuid), [[20, []]], 'an access port has no trunk')
    await driver.changePort(access.uuid, { vlanTag: 0 }, call())
    t.same(await vlanOf(access.uuid), [[0, []]])
    const internal = await driver.addPort(own.uuid, { name: 'swint', internal: true }, call())
    t.match(internal, { name: 'swint', vlanTag: 0 })
  })

  scenario('a rate is in force, or refused as a whole', async (t, { driver, addDevice }) => {
    const own = await driver.createSwitch('sw0', type, call())
    addDevice('dev0')
    const port = await driver.addPort(own.uuid, { name: 'dev0' }, call())
    const rate = async () => (await driver.inventory()).ports.find(({ uuid }) => uuid === port.uuid)?.rateKiBps
    const outcome = await driver.changePort(port.uuid, { rateKiBps: 1_000 }, call()).then(() => 'set', (error: { code: string }) => error.code)
    t.match(outcome, new RegExp(`^(set|${RMO.DRIVER_UNSUPPORTED.code})$`))
    t.equal(await rate(), outcome === 'set' ? 1_000 : 0, outcome)
    await driver.changePort(port.uuid, { rateKiBps: 0 }, call())
    t.equal(await rate(), 0)
  })
}
