// The driver through its public door, over the memory transport on virtual time.

import t from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import type { MembershipEvent } from '../../../fabric/membership/contract.ts'
import { createMembership } from '../../../fabric/membership/driver.ts'
import type { MembershipNode } from '../../../fabric/membership/driver.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createMemoryNetwork } from '../../../fabric/transport/memory.ts'
import type { MemoryNetwork } from '../../../fabric/transport/memory.ts'
import type { Transport } from '../../../fabric/transport/contract.ts'

interface Station { readonly id: string; readonly transport: Transport; readonly membership: MembershipNode; readonly events: string[] }

class Fabric {
  readonly clock = new SimClock()
  readonly network: MemoryNetwork
  readonly stations: Station[] = []

  /** `lostAfterMs`: how long a silent link stays up; undefined: for ever. */
  constructor(lostAfterMs?: number) {
    this.network = createMemoryNetwork({ clock: this.clock, random: seededRandom(1), faults: { delayMs: 1 }, discoveryMs: undefined, ...(lostAfterMs === undefined ? {} : { lostAfterMs }) })
  }

  /** Adds a node whose id is the first letter of its name; it knows the first node. */
  async add(name: string): Promise<Station> {
    const id = name.slice(0, 1).repeat(64)
    const transport = this.network.transport({ id, name, version: '0.1.0' })
    await transport.start()
    const membership = createMembership({
      transport, clock: this.clock, random: seededRandom(name.charCodeAt(0)),
      self: { name, version: '0.1.0', startedAtMs: this.clock.wallMs() },
    })
    const events: string[] = []
    membership.onEvent((event: MembershipEvent) => events.push(`${event.type} ${event.member.name}`))
    const station = { id, transport, membership, events }
    const founder = this.stations[0]
    this.stations.push(station)
    membership.start(founder === undefined ? [] : [{ id: founder.id, addresses: founder.transport.addresses() }])
    return station
  }

  async run(ms: number): Promise<void> { await this.clock.settle(this.clock.nowMs() + ms) }
}

const id = (letter: string): string => letter.repeat(64)
const names = (station: Station): string[] => station.membership.members().map((member) => `${member.name}:${member.state}`)

t.test('three nodes find each other through one seed and gossip what they are', async (t) => {
  const fabric = new Fabric()
  const alpha = await fabric.add('alpha'), beta = await fabric.add('beta')
  await fabric.add('cecil')
  await fabric.run(2_000)
  for (const station of fabric.stations) t.strictSame(names(station), ['alpha:alive', 'beta:alive', 'cecil:alive'])
  t.strictSame(alpha.events.sort(), ['joined beta', 'joined cecil'])
  t.match(alpha.membership.member(beta.id), { name: 'beta', version: '0.1.0', addresses: beta.transport.addresses() })
  t.equal(beta.membership.self.name, 'beta')
  t.equal(alpha.membership.nameHolder('beta', 'f'.repeat(64)), beta.id)
  t.notOk(alpha.membership.isNameTaken('beta', beta.id), 'its own name')
  t.equal(new Set(fabric.stations.map((station) => station.membership.snapshot().viewHash)).size, 1)
})

t.test('a killed node is known dead to all within 2 s, a restarted one is back with a higher incarnation', async (t) => {
  const fabric = new Fabric()
  const alpha = await fabric.add('alpha'), beta = await fabric.add('beta'), cecil = await fabric.add('cecil')
  await fabric.run(2_000)
  beta.membership.stop()
  fabric.network.kill(beta.id)
  await fabric.run(2_000)
  for (const station of [alpha, cecil]) t.equal(station.membership.member(beta.id)?.state, 'dead')
  t.ok((alpha.membership.member(beta.id)?.sinceMs ?? 0) <= fabric.clock.wallMs())
  const again = await fabric.add('beta')
  await fabric.run(3_000)
  t.match(alpha.membership.member(beta.id), { state: 'alive', incarnation: 2 })
  t.match(alpha.events.slice(2), ['suspected beta', 'died beta', 'joined beta'])
  t.equal(again.membership.self.incarnation, 2)
})

t.test('a cut during which the link stays up, as TCP does until it gives up: the members meet again, on that link or a new one', async (t) => {
  for (const lostAfterMs of [undefined, 20_000]) {
    const fabric = new Fabric(lostAfterMs)
    const alpha = await fabric.add('alpha'), beta = await fabric.add('beta')
    await fabric.add('cecil')
    await fabric.run(2_000)
    fabric.network.partition([alpha.id, beta.id], [id('c')])
    await fabric.run(30_000)
    t.strictSame(names(alpha), ['alpha:alive', 'beta:alive', 'cecil:dead'])
    fabric.network.heal()
    await fabric.run(10_000)
    for (const station of fabric.stations) t.strictSame(names(station), ['alpha:alive', 'beta:alive', 'cecil:alive'], `lost after ${lostAfterMs} ms`)
    for (const { membership } of fabric.stations) membership.stop()
  }
})

t.test('leave: resolves soon, and everybody knows', async (t) => {
  const fabric = new Fabric()
  const alpha = await fabric.add('alpha'), beta = await fabric.add('beta')
  await fabric.run(2_000)
  const left = beta.membership.leave()
  await fabric.run(100)
  await left
  t.equal(alpha.membership.member(beta.id)?.state, 'left')
  await beta.transport.close()
  await fabric.run(5_000)
  t.strictSame(alpha.events, ['joined beta', 'left beta'], 'no suspicion of one that said goodbye')
})

t.test('loads reach the neighbours; garbage is counted and dropped', async (t) => {
  const fabric = new Fabric()
  const alpha = await fabric.add('alpha'), beta = await fabric.add('beta')
  await fabric.run(2_000)
  beta.membership.setLoad({ cpuRatio: 0.75, queued: 2 })
  await fabric.run(2_000)
  t.strictSame(alpha.membership.member(beta.id)?.load, { cpuRatio: 0.75, queued: 2 })
  beta.transport.link(alpha.id)?.send('gossip', Uint8Array.of(1, 99))
  await fabric.run(10)
  t.equal(alpha.membership.snapshot().framesRefused, 1)
  t.equal(alpha.membership.member(beta.id)?.state, 'alive')
})

t.test('discovered strangers are dialled', async (t) => {
  const clock = new SimClock()
  const network = createMemoryNetwork({ clock, random: seededRandom(1), discoveryMs: 5 })
  const memberships: MembershipNode[] = []
  for (const name of ['delta', 'echo']) {
    const transport = network.transport({ id: name.slice(0, 1).repeat(64), name, version: '0.1.0' })
    await transport.start()
    const membership = createMembership({ transport, clock, random: seededRandom(2), self: { name, version: '0.1.0', startedAtMs: 0 } })
    membership.start([])
    memberships.push(membership)
  }
  await clock.settle(1_000)
  for (const membership of memberships) t.strictSame(membership.members().map((member) => member.name), ['delta', 'echo'])
})

t.test('stop is silent and final; leave after it resolves', async (t) => {
  const fabric = new Fabric()
  const alpha = await fabric.add('alpha')
  alpha.membership.stop()
  await alpha.membership.leave()
  t.equal(fabric.clock.pending, 0, 'no timer is left')
})
