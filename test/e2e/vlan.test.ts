// VLAN isolation by traffic: namespaces as machines, plugged by veth into an Open vSwitch of our own with a
// userspace datapath, through Switch and Port objects as a shell holds them. Needs root and openvswitch.
//
//   a (tag 10) --+                          +-- d (tag 10)
//   b (tag 10) --+-- sw0 == trunk == sw1 ---+
//   c (tag 20) --+                          +-- e (tag 20)
//
// Reachability is asked by a datagram and its echo (busybox and iputils may be absent; node is here).

import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { test } from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../fabric/base.ts'
import { createSwitchDriver } from '../../rmo/driver/switch/driver.ts'
import { makeReference } from '../../rmo/mod.ts'
import type { Port, Switch } from '../../rmo/mod.ts'
import { authority, createTestFabric, must } from '../support/rmo-fabric.ts'
import { SWITCH_MACHINE, openSwitchHost } from '../support/switch-host.ts'
import { ip, openNamespace, openOvs, ovsObstacle } from '../support/switch-lab.ts'

const PORT = 7_700
const ECHO = `const s = require('node:dgram').createSocket('udp4'); s.on('message', (m, r) => s.send(m, r.port, r.address)); s.bind(${PORT}, () => console.log('ready'))`
/** Sends until an echo comes or the patience is over; prints which. */
const PROBE = `
const [to, patienceMs] = process.argv.slice(1)
const s = require('node:dgram').createSocket('udp4')
s.on('error', () => {})
s.on('message', () => { console.log('reached'); process.exit() })
setInterval(() => s.send('x', ${PORT}, to), 50)
s.send('x', ${PORT}, to)
setTimeout(() => { console.log('silent'); process.exit() }, Number(patienceMs))`

/** How long an answer may take that must come, and how long silence is listened to. */
const PATIENCE_MS = 10_000
const SILENCE_MS = 700

interface Machine { readonly name: string; readonly namespace: string; readonly device: string; readonly address: string }

async function started(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the echo ended with ${code}`)))
  })
}

async function openMachines(t: Test, switchNamespace: string) {
  const undo: (() => void)[] = []
  t.teardown(() => { for (const step of undo.reverse()) step() })
  const listen = async (namespace: string): Promise<void> => {
    const echo = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', ECHO], { stdio: ['ignore', 'pipe', 'ignore'] })
    undo.push(() => { echo.kill('SIGKILL') })
    await started(echo)
  }
  const add = async (name: string, last: number): Promise<Machine> => {
    const space = openNamespace(name)
    undo.push(() => space.close())
    const machine = { name, namespace: space.name, device: `kvl-${name}`, address: `10.92.0.${last}` }
    ip('-n', switchNamespace, 'link', 'add', machine.device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space.name)
    ip('-n', switchNamespace, 'link', 'set', machine.device, 'up')
    ip('-n', space.name, 'addr', 'add', `${machine.address}/24`, 'dev', 'eth0')
    ip('-n', space.name, 'link', 'set', 'eth0', 'up')
    await listen(space.name)
    return machine
  }
  const probe = (from: Machine, address: string, patienceMs: number): boolean =>
    execFileSync('ip', ['netns', 'exec', from.namespace, process.execPath, '-e', PROBE, address, String(patienceMs)], { encoding: 'utf8' }).trim() === 'reached'
  return {
    add,
    reaches: (from: Machine, to: Machine | string) => probe(from, typeof to === 'string' ? to : to.address, PATIENCE_MS),
    silent: (from: Machine, to: Machine | string) => !probe(from, typeof to === 'string' ? to : to.address, SILENCE_MS),
  }
}

const obstacle = ovsObstacle()
test('a VLAN tag isolates, and moves with the port object', { timeout: 120_000, ...(obstacle === undefined ? {} : { skip: obstacle }) }, async (t) => {
  const lab = await openOvs()
  t.teardown(() => lab.close())
  const fabric = createTestFabric(['alpha'])
  t.teardown(() => fabric.close())
  const node = fabric.node('alpha')
  const driver = createSwitchDriver({ clock: systemClock, machineUuid: SWITCH_MACHINE, hostName: () => 'alpha', namespace: lab.namespace, ovsSocket: lab.socketPath })
  const host = await openSwitchHost(driver, { objects: node.objects, self: node.member.id })
  t.teardown(() => host.close())
  const machines = await openMachines(t, lab.namespace)
  const [a, b, c] = [await machines.add('a', 1), await machines.add('b', 2), await machines.add('c', 3)]

  const sw = makeReference(await host.room.createSwitch({ name: 'sw0', type: 'openvswitch' }, authority()), node.session) as unknown as Switch
  t.equal(sw.datapath === 'netdev' || sw.datapath === 'system', true, sw.datapath)
  const ports = new Map<Machine, Port>()
  for (const [machine, tag] of [[a, 10], [b, 10], [c, 20]] as const) ports.set(machine, await sw.addPort({ name: machine.device, vlan: { tag } }))
  const [portB, portC] = [must(ports.get(b)), must(ports.get(c))]
  t.equal(portC.vlanTag, 20)

  t.ok(machines.reaches(a, b), 'the same tag reaches')
  t.ok(machines.silent(a, c), 'another tag does not')
  t.ok(machines.silent(c, b), 'nor the other way')

  portC.vlanTag = 10
  portB.vlanTag = 20
  // dump() waits for the assignments.
  t.match((await portC.dump()).settings, { vlanTag: 10 })
  t.match((await portB.dump()).settings, { vlanTag: 20 })
  t.ok(machines.reaches(a, c), 'moved in: reaches')
  t.ok(machines.silent(a, b), 'moved out: does not')

  // A second switch, joined by a trunk: d is on it with tag 10, e with tag 20.
  const far = makeReference(await host.room.createSwitch({ name: 'sw1', type: 'openvswitch' }, authority()), node.session) as unknown as Switch
  ip('-n', lab.namespace, 'link', 'add', 'kvl-t0', 'up', 'type', 'veth', 'peer', 'name', 'kvl-t1')
  ip('-n', lab.namespace, 'link', 'set', 'kvl-t1', 'up')
  const [d, e] = [await machines.add('d', 4), await machines.add('e', 5)]
  const farPorts = [
    await far.addPort({ name: d.device, vlan: { tag: 10 } }),
    await far.addPort({ name: e.device, vlan: { tag: 20 } }),
    await far.addPort({ name: 'kvl-t1' }),
  ]
  const trunk = await sw.addPort({ name: 'kvl-t0', vlan: { trunk: [10, 20] } })
  t.ok(machines.reaches(c, d), 'the trunk carries 10')
  t.ok(machines.reaches(b, e), 'the trunk carries 20')
  t.ok(machines.silent(c, e), 'and keeps them apart')
  trunk.trunkTags = [20]
  await trunk.dump()
  t.ok(machines.silent(a, d), 'not 10 any more')
  t.ok(machines.reaches(b, e), 'still 20')

  const stats = await portC.stats()
  t.ok(stats.linkUp)
  await t.rejects(portC.patch({ vlanTag: 4_095 }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await t.rejects(sw.remove(), { code: 'RMO_ERR_IN_USE' })
  for (const port of [...ports.values(), ...farPorts, trunk]) await port.remove()
  for (const each of [sw, far]) await each.remove()
  t.equal(lab.vsctl('list-br').trim(), '')
  t.same(node.objects.list('Port'), [])
})
