// The in-process network: the conformance suite, then its faults, each on virtual time from a seed.

import { test } from 'tap'
import { seededRandom } from '../../../fabric/clock.ts'
import { linkChannel } from '../../../fabric/rpc/link-channel.ts'
import { createRpcPeer } from '../../../fabric/rpc/peer.ts'
import { createRegistry } from '../../../fabric/rpc/registry.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import type { Link, Transport } from '../../../fabric/transport/contract.ts'
import { createMemoryNetwork } from '../../../fabric/transport/memory.ts'
import type { Faults, MemoryNetwork } from '../../../fabric/transport/memory.ts'
import { failure } from '../../support/rpc-pair.ts'
import { transportSuite } from '../../conformance/transport.ts'
import type { TransportWorld } from '../../conformance/transport.ts'

const idOf = (n: number): string => n.toString(16).padStart(64, '0')

for (const [name, faults] of Object.entries({ 'memory': {}, 'memory with delays': { delayMs: 3, jitterMs: 5 } })) {
  const transports = new WeakMap<TransportWorld, Transport[]>()
  transportSuite(name, {
    async setup() {
      const clock = new SimClock()
      const network = createMemoryNetwork({ clock, random: seededRandom(1), faults })
      const made: Transport[] = []
      const world: TransportWorld = {
        create(name) {
          made.push(network.transport({ id: idOf(made.length + 1), name, version: '0.1.0' }))
          return Promise.resolve(made.at(-1) as Transport)
        },
        async until(condition, what) {
          for (let steps = 0; !condition(); steps++) {
            if (steps > 2_000) throw new Error(`never happened: ${what}`)
            await clock.settle(5)
          }
        },
        kill: (transport) => network.kill(transport.id),
      }
      transports.set(world, made)
      return world
    },
    async teardown(world) { for (const transport of transports.get(world) ?? []) await transport.close() },
  })
}

interface World { readonly clock: SimClock; readonly network: MemoryNetwork; readonly a: Transport; readonly b: Transport; readonly near: Link; readonly far: Link }

async function world(faults: Faults = {}, seed = 1, lostAfterMs?: number): Promise<World> {
  const clock = new SimClock()
  const network = createMemoryNetwork({ clock, random: seededRandom(seed), faults, ...(lostAfterMs === undefined ? {} : { lostAfterMs }) })
  const a = network.transport({ id: idOf(1), name: 'a', version: '0.1.0' })
  const b = network.transport({ id: idOf(2), name: 'b', version: '0.1.0' })
  await a.start()
  await b.start()
  const dialled = a.dial(b.id)
  clock.advance(1_000)
  return { clock, network, a, b, near: await dialled, far: b.link(a.id) as Link }
}

test('same seed, same run; another seed, another run', async (t) => {
  const run = async (seed: number): Promise<string> => {
    const { clock, near, far } = await world({ delayMs: 5, jitterMs: 20, lanes: { gossip: { lossRatio: 0.3, duplicateRatio: 0.2, reorderRatio: 0.3 } } }, seed)
    const log: string[] = []
    far.onFrame('gossip', (frame) => log.push(`${clock.nowMs().toFixed(3)}:${frame[0]}`))
    for (let i = 0; i < 50; i++) near.send('gossip', Uint8Array.of(i))
    clock.advance(1_000)
    return log.join(' ')
  }
  t.equal(await run(1), await run(1))
  t.not(await run(1), await run(2))
})

test('loss, duplicates and overtaking stay within their lane', async (t) => {
  const { clock, network, near, far } = await world({ delayMs: 5, jitterMs: 20, lanes: { gossip: { lossRatio: 0.3, duplicateRatio: 0.2, reorderRatio: 0.3 } } })
  const got = { gossip: [] as number[], rpc: [] as number[] }
  far.onFrame('gossip', (frame) => got.gossip.push(frame[0] as number))
  far.onFrame('rpc', (frame) => got.rpc.push(frame[0] as number))
  for (let i = 0; i < 200; i++) {
    near.send('gossip', Uint8Array.of(i))
    near.send('rpc', Uint8Array.of(i))
  }
  clock.advance(1_000)
  t.strictSame(got.rpc, Array.from({ length: 200 }, (_, i) => i))
  t.ok(new Set(got.gossip).size < 180, 'some are lost')
  t.ok(got.gossip.length > new Set(got.gossip).size, 'some come twice')
  t.ok(got.gossip.some((value, i) => value < (got.gossip[i - 1] ?? -1)), 'some are overtaken')
  t.ok(network.counters.lostFrames > 20)
})

test('a one-way partition stops one direction; healing lets later frames pass', async (t) => {
  const { clock, network, a, b, near, far } = await world()
  const got: string[] = []
  near.onFrame('rpc', (frame) => got.push(`a${frame[0]}`))
  far.onFrame('rpc', (frame) => got.push(`b${frame[0]}`))
  network.block(a.id, b.id)
  near.send('rpc', Uint8Array.of(1))
  far.send('rpc', Uint8Array.of(2))
  clock.advance(10)
  t.strictSame(got, ['a2'])
  network.heal()
  near.send('rpc', Uint8Array.of(3))
  clock.advance(10)
  t.strictSame(got, ['a2', 'b3'])
  network.partition([a.id], [b.id])
  near.send('rpc', Uint8Array.of(4))
  far.send('rpc', Uint8Array.of(5))
  clock.advance(10)
  t.equal(got.length, 2)
})

test('a crash is silence until the link is given up; a kill is a reset; a pause holds frames', async (t) => {
  const crash = await world({}, 1, 5_000)
  const why: string[] = []
  crash.near.onClose((reason) => why.push(reason))
  crash.network.crash(crash.b.id)
  crash.clock.advance(4_999)
  t.strictSame(why, [])
  crash.clock.advance(2)
  t.strictSame(why, ['lost'])
  t.equal(crash.a.link(crash.b.id), undefined)

  const paused = await world()
  const got: number[] = []
  paused.far.onFrame('rpc', (frame) => got.push(frame[0] as number))
  paused.network.pause(paused.b.id)
  for (let i = 0; i < 3; i++) paused.near.send('rpc', Uint8Array.of(i))
  paused.clock.advance(10_000)
  t.strictSame(got, [])
  paused.network.resume(paused.b.id)
  t.strictSame(got, [0, 1, 2])
})

test('a node may come back under its id', async (t) => {
  const { clock, network, a, b } = await world()
  network.kill(b.id)
  clock.advance(10)
  const again = network.transport({ id: b.id, name: 'b', version: '0.1.0' })
  await again.start()
  const dialled = a.dial(b.id)
  clock.advance(10)
  t.equal((await dialled).peer.id, b.id)
})

test('RPC over a link: calls, and what the loss of the link says', async (t) => {
  const { clock, network, b, near, far } = await world({ delayMs: 10 })
  const registry = createRegistry()
  registry.method('echo', (body) => body)
  registry.method('hang', () => new Promise(() => undefined))
  createRpcPeer({ channel: linkChannel(far), registry, clock, caller: { via: 'link', node: idOf(1), name: 'a' } })
  const client = createRpcPeer({ channel: linkChannel(near), registry: createRegistry(), clock, caller: { via: 'link', node: idOf(2), name: 'b' } })
  const answer = client.call('echo', new Uint8Array(2_000_000), { lane: 'bulk' })
  const before = clock.nowMs()
  await clock.settle(100)
  t.equal((await answer as Uint8Array).length, 2_000_000)
  t.equal(clock.nowMs() - before, 100)
  const hanging = failure(client.call('hang', 0))
  await clock.settle(50)
  network.kill(b.id)
  await clock.settle(50)
  t.match(await hanging, { code: 'FABRIC_ERR_PEER_GONE', outcome: 'unknown', message: /process is gone/ })
})
