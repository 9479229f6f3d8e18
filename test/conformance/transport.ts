// What every Transport must do, run against each implementation:
//
//   transportSuite('memory', { setup, teardown })
//
// `setup` makes a world whose transports can reach each other; `world.until` waits for a condition in
// the world's own time (virtual or real), so nothing here sleeps or measures time.

import { test } from 'tap'
import type { Test } from 'tap'
import { LIMITS } from '../../fabric/limits.ts'
import type { Lane, Link, Transport } from '../../fabric/transport/contract.ts'

export interface TransportWorld {
  /** A transport with this name and an id of its own, not started. */
  create(name: string): Promise<Transport>
  /** Resolves when the condition holds; rejects after a generous bound. */
  until(condition: () => boolean, what: string): Promise<void>
  /** Ends a transport as a killed process would; undefined where the implementation cannot do it in-process. */
  readonly kill: ((transport: Transport) => void) | undefined
}

export interface TransportHarness {
  setup(): Promise<TransportWorld>
  teardown(world: TransportWorld): Promise<void>
}

const LANES: readonly Lane[] = ['gossip', 'rpc', 'bulk']

interface Seen { readonly link: Link; readonly frames: Record<Lane, Uint8Array[]>; closed: string | undefined; drains: number }

/** Records everything that comes over each link of a transport, as its owner would: at once when it is announced. */
function watch(transport: Transport): Seen[] {
  const seen: Seen[] = []
  transport.onLink((link) => {
    const entry: Seen = { link, frames: { gossip: [], rpc: [], bulk: [] }, closed: undefined, drains: 0 }
    for (const lane of LANES) {
      link.onFrame(lane, (frame) => entry.frames[lane].push(frame))
      link.onDrain(lane, () => { entry.drains++ })
    }
    link.onClose((why) => { entry.closed = why })
    seen.push(entry)
  })
  return seen
}

export function transportSuite(implementation: string, harness: TransportHarness): void {
  const scenario = (title: string, run: (t: Test, world: TransportWorld) => Promise<void>): void => {
    void test(`${implementation}: ${title}`, async (t) => {
      const world = await harness.setup()
      try {
        await run(t, world)
      } finally {
        await harness.teardown(world)
      }
    })
  }
  /** Two started nodes with a link between them. */
  const pair = async (world: TransportWorld) => {
    const [a, b] = await Promise.all([world.create('alpha'), world.create('beta')])
    const [seenA, seenB] = [watch(a), watch(b)]
    await a.start()
    await b.start()
    const link = await settled(world, a.dial(b.id, { addresses: b.addresses() }))
    await world.until(() => seenB.length === 1, 'the accepted link is announced')
    return { a, b, link, atA: seenA[0] as Seen, atB: seenB[0] as Seen, seenA, seenB }
  }

  scenario('a dialled link is announced once at both ends, with the peer known', async (t, world) => {
    const { a, b, link, seenA, seenB } = await pair(world)
    t.equal(seenA.length, 1)
    t.equal(seenA[0]?.link, link)
    t.match(link.peer, { id: b.id, name: 'beta' })
    t.match(seenB[0]?.link.peer, { id: a.id, name: 'alpha' })
    t.equal(a.link(b.id), link)
    t.strictSame([...a.links()], [link])
    t.equal(await settled(world, a.dial(b.id)), link, 'dialling again gives the present link')
    for (const lane of LANES) t.type(link.describe()[lane], 'string')
  })

  scenario('each lane keeps its order, both ways, and frames keep their bounds', async (t, world) => {
    const { link, atA, atB } = await pair(world)
    const sizes = [1, 2, 1_000, 65_536, LIMITS.frameBytesMax]
    for (const [lane, mark] of [['gossip', 1], ['rpc', 2], ['bulk', 3]] as const) {
      for (const bytes of lane === 'gossip' ? sizes.slice(0, 3) : sizes) link.send(lane, new Uint8Array(bytes).fill(mark))
      atB.link.send(lane, Uint8Array.of(mark, mark))
    }
    await world.until(() => atB.frames.bulk.length === sizes.length && atB.frames.rpc.length === sizes.length && atB.frames.gossip.length === 3, 'all frames arrive')
    for (const lane of ['rpc', 'bulk'] as const) t.strictSame(atB.frames[lane].map((frame) => frame.length), sizes, lane)
    t.ok(LANES.every((lane, index) => atB.frames[lane].every((frame) => frame.every((byte) => byte === index + 1))), 'no lane has bytes of another')
    await world.until(() => LANES.every((lane) => atA.frames[lane].length === 1), 'the answers arrive')
  })

  scenario('the receiver may keep its frame, the sender may reuse its own', async (t, world) => {
    const { link, atB } = await pair(world)
    const frame = Uint8Array.of(1, 2, 3)
    link.send('rpc', frame)
    await world.until(() => atB.frames.rpc.length === 1, 'it arrives')
    frame.fill(9)
    atB.link.send('rpc', Uint8Array.of(5))
    t.strictSame([...atB.frames.rpc[0] as Uint8Array], [1, 2, 3])
  })

  scenario('thousands of small frames arrive complete and in order', async (t, world) => {
    const { link, atB } = await pair(world)
    const count = 3_000
    for (let i = 0; i < count; i++) link.send('rpc', Uint8Array.of(i >> 8, i & 255))
    await world.until(() => atB.frames.rpc.length === count, 'all arrive')
    t.ok(atB.frames.rpc.every((frame, i) => frame[0] === i >> 8 && frame[1] === (i & 255)))
  })

  scenario('send says false above the bound, and drain follows', async (t, world) => {
    const { link, atA, atB } = await pair(world)
    const frame = new Uint8Array(LIMITS.frameBytesMax)
    let sent = 0
    do sent++
    while (link.send('bulk', frame) && sent < 64)
    t.ok(sent < 64, `full after ${sent} MiB`)
    await world.until(() => atA.drains > 0, 'drained')
    await world.until(() => atB.frames.bulk.length === sent, 'nothing is lost by it')
  })

  scenario('closing a link is seen at both ends; frames to it are dropped; it can be dialled again', async (t, world) => {
    const { a, b, link, atA, atB, seenB } = await pair(world)
    link.send('rpc', Uint8Array.of(7))
    link.close()
    link.close()
    await world.until(() => atA.closed !== undefined && atB.closed !== undefined, 'both ends know')
    t.equal(atB.closed, 'closed')
    t.strictSame(atB.frames.rpc.map((frame) => [...frame]), [[7]], 'what was sent before arrives')
    // An overlay may have found the other again by itself, meanwhile.
    t.not(a.link(b.id), link)
    t.notOk([...b.links()].includes(link))
    t.equal(link.send('rpc', Uint8Array.of(1)), true)
    const again = await settled(world, a.dial(b.id, { addresses: b.addresses() }))
    t.not(again, link)
    await world.until(() => seenB.length >= 2, 'announced again')
  })

  scenario('dialling each other at once leaves one link that works', async (t, world) => {
    const [a, b] = await Promise.all([world.create('alpha'), world.create('beta')])
    const [seenA, seenB] = [watch(a), watch(b)]
    await a.start()
    await b.start()
    await settled(world, Promise.all([a.dial(b.id, { addresses: b.addresses() }), b.dial(a.id, { addresses: a.addresses() })]))
    await world.until(() => [...a.links()].length === 1 && [...b.links()].length === 1, 'one link each')
    a.link(b.id)?.send('rpc', Uint8Array.of(1))
    b.link(a.id)?.send('rpc', Uint8Array.of(2))
    const arrived = (seen: Seen[]): boolean => seen.some((entry) => entry.frames.rpc.length === 1)
    await world.until(() => arrived(seenA) && arrived(seenB), 'it carries frames both ways')
    t.ok(seenA.length >= 1)
  })

  scenario('a node that is not there is unreachable, within the bound', async (t, world) => {
    const { a, b } = await pair(world)
    const gone = await world.create('gone')
    await t.rejects(settled(world, a.dial(gone.id, { timeoutMs: 500 })), { code: 'FABRIC_ERR_UNREACHABLE', outcome: 'not-started' })
    await t.rejects(settled(world, a.dial(a.id, { timeoutMs: 500 })), { code: 'FABRIC_ERR_UNREACHABLE' })
    t.ok(a.link(b.id), 'other links are not touched')
  })

  scenario('closing a transport says goodbye on every link', async (t, world) => {
    const { a, b, atB } = await pair(world)
    await settled(world, a.close())
    await world.until(() => atB.closed !== undefined, 'the peer knows')
    t.equal(atB.closed, 'closed')
    t.strictSame([...b.links()], [])
    await t.rejects(settled(world, b.dial(a.id, { timeoutMs: 500 })), { code: 'FABRIC_ERR_UNREACHABLE' })
  })

  scenario('a killed process is told apart from a goodbye', async (t, world) => {
    if (world.kill === undefined) {
      t.pass('skipped: this implementation cannot be killed inside one process (test/e2e does it)')
      return
    }
    const { a, atB } = await pair(world)
    world.kill(a)
    await world.until(() => atB.closed !== undefined, 'the peer knows')
    t.equal(atB.closed, 'reset')
  })

  scenario('nodes are discovered', async (t, world) => {
    const [a, b] = await Promise.all([world.create('alpha'), world.create('beta')])
    const found: string[] = []
    a.onDiscovered((id) => found.push(id))
    b.onDiscovered((id) => found.push(id))
    await a.start()
    await b.start()
    await world.until(() => found.includes(a.id) || found.includes(b.id), 'one finds the other')
    t.notOk(found.some((id) => id !== a.id && id !== b.id))
  })
}

/** Waits for a promise in the world's time. */
async function settled<T>(world: TransportWorld, promise: Promise<T>): Promise<T> {
  let done = false
  promise.then(() => { done = true }, () => { done = true })
  await world.until(() => done, 'the operation ends')
  return promise
}
