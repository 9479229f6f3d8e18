// The switch suite over memory, Linux bridges in a namespace, and an Open vSwitch of our own.

import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { createMemorySwitches } from '../../../rmo/driver/switch/memory.ts'
import { createSwitchDriver } from '../../../rmo/driver/switch/driver.ts'
import { switchSuite } from '../../conformance/switch.ts'
import type { SwitchHarness } from '../../conformance/switch.ts'
import { ip, namespaceObstacle, openNamespace, openOvs, ovsObstacle } from '../../support/switch-lab.ts'

const machineUuid = '6d6f6a69-0000-8000-8000-000000000001'
const hostName = (): string => 'alpha'

const memory: SwitchHarness = {
  async setup() {
    const devices = new Set<string>()
    const driver = createMemorySwitches({ machineUuid, random: seededRandom(1), hostName, hasDevice: (name) => devices.has(name) })
    return { driver, addDevice: (name) => { devices.add(name) }, behindItsBack: (_bridge, port) => driver.simulate.unplug(port) }
  },
  async teardown({ driver }) { await driver.close() },
}
switchSuite('memory, linux', 'linux', memory)
switchSuite('memory, openvswitch', 'openvswitch', memory)

const dummy = (namespace: string) => (name: string): void => { ip('-n', namespace, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-p`) }
const closers = new WeakMap<object, () => void | Promise<void>>()
const teardown: SwitchHarness['teardown'] = async (world) => {
  await world.driver.close()
  await closers.get(world)?.()
}

switchSuite('Linux bridges', 'linux', {
  skip: namespaceObstacle(), teardown,
  async setup() {
    const namespace = openNamespace('br')
    const driver = createSwitchDriver({ clock: systemClock, machineUuid, hostName, namespace: namespace.name, ovsSocket: '/nonexistent/db.sock' })
    await driver.open()
    const world = { driver, addDevice: dummy(namespace.name), behindItsBack: (_bridge: string, port: string) => { ip('-n', namespace.name, 'link', 'set', 'dev', port, 'nomaster') } }
    closers.set(world, () => namespace.close())
    return world
  },
})

switchSuite('Open vSwitch', 'openvswitch', {
  skip: ovsObstacle(), teardown,
  async setup() {
    const lab = await openOvs()
    const driver = createSwitchDriver({ clock: systemClock, machineUuid, hostName, namespace: lab.namespace, ovsSocket: lab.socketPath })
    await driver.open()
    const world = { driver, addDevice: dummy(lab.namespace), behindItsBack: (bridge: string, port: string) => { lab.vsctl('del-port', bridge, port) } }
    closers.set(world, () => lab.close())
    return world
  },
})
