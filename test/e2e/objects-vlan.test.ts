// VLAN isolation between real guests: two hosts with an Open vSwitch each, joined by a trunk; guests with tags on their
// ports ping each other over it or not, and a tag that is changed changes that at once.
//
//   host1: red1 (10), blue1 (20)   == cable, all tags ==   host2: red2 (10)

import t from 'tap'
import { Bridge, mac } from '../../rmo/mod.ts'
import type { Port, VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, guestOn, must } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'

t.setTimeout(230_000)

/** Of a ping that must not arrive: many round trips of an emulated guest. */
const SILENCE_PINGS = 3

t.test('VLAN isolation between guests on Open vSwitch', { skip: await labObstacle('libvirt', 'ovs'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 2, switch: 'ovs' })
  const dc = await lab.host('host1').connect()
  const guest = (host: string, name: string, no: number, tag: number): Promise<VM> => guestOn(lab, dc, host, {
    name, devices: [Bridge('xenbr', name, mac(no), { vlan: { tag } })],
    context: { hostname: name, network: { version: 2, ethernets: { eth0: { match: { macaddress: mac(no) }, addresses: [`10.88.0.${no}/24`] } } } },
  })
  const red1 = await guest('host1', 'red1', 1, 10)
  const blue1 = await guest('host1', 'blue1', 2, 20)
  const red2 = await guest('host2', 'red2', 3, 10)
  for (const vm of [red1, blue1, red2]) t.equal(await ask(vm, 'hostname'), vm.name)

  const received = async (from: VM, no: number): Promise<number> => Number(/(\d+) packets received/.exec(await ask(from, `ping -c ${SILENCE_PINGS} -W 2 10.88.0.${no}`))?.[1] ?? Number.NaN)
  const reaches = (what: string, from: VM, no: number): Promise<true> => until(what, async () => await received(from, no) > 0, GUEST_PATIENCE_MS).then(() => true)
  const portOf = async (vm: VM): Promise<Port> => {
    const [port] = await vm.ports
    if (port === undefined) throw new Error(`${vm.name} has no port`)
    return port
  }

  await t.test('the same tag reaches, also on another host; another tag does not', async (t) => {
    t.ok(await reaches('red1 reaches red2', red1, 3))
    t.equal(await received(red1, 2), 0, 'red1 does not reach blue1 on its own host')
    t.equal(await received(blue1, 3), 0, 'nor blue1 red2 on the other')
    t.match({ ...await portOf(red1) }, { name: 'red1', vlanTag: 10 })
    t.match(await must(lab.exec('host1', 'ovs-vsctl', 'get', 'port', 'blue1', 'tag')), '20')
  })

  await t.test('port.vlanTag = 20 moves a running guest to the other network', async (t) => {
    const port = await portOf(red1)
    port.vlanTag = 20
    await dc.settled()
    t.match(await must(lab.exec('host1', 'ovs-vsctl', 'get', 'port', 'red1', 'tag')), '20')
    t.ok(await reaches('red1 reaches blue1', red1, 2))
    t.equal(await received(red1, 3), 0, 'and red2 no more')
  })

  await t.test('its counters move with its traffic', async (t) => {
    const port = await portOf(red1)
    const before = await port.stats()
    await ask(red1, `ping -c ${SILENCE_PINGS} -W 2 10.88.0.2`)
    await until('they grew', async () => { const after = await port.stats(); return after.receivedBytes > before.receivedBytes && after.sentBytes > before.sentBytes }, GUEST_PATIENCE_MS)
    t.ok(before.linkUp)
  })
})
