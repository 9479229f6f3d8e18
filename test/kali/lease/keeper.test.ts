// The lease of a host on virtual time: never running when it could be taken over, whatever happens to clocks, network,
// store, node and watchdog.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { T, createWorld } from './lease-world.ts'
import type { Fault, World, WorldOptions } from './lease-world.ts'

const CALM: WorldOptions = { seed: 1, hostRate: 1, storeRate: 1, delayMsMax: 20, killMs: 1_000 }
async function world(t: { teardown(fn: () => unknown): unknown }, options: Partial<WorldOptions> = {}): Promise<World> {
  const made = createWorld({ ...CALM, ...options })
  t.teardown(() => made.stop())
  return made
}

test('asks nobody anything before the first VM, and lets go with the last', async (t) => {
  const it = await world(t)
  await it.run(30_000)
  t.same([it.lease.held, it.lease.ageMs(), it.log], [false, Infinity, []])
  const changes: boolean[] = []
  it.lease.onChange((held) => changes.push(held))
  const armed = it.lease.arm({ uuid: 'a', name: 'a' })
  await it.run(1_000)
  await armed
  t.ok(it.lease.held && it.lease.isArmed('a') && !it.lease.isArmed('b'))
  await it.run(60_000)
  t.ok(it.lease.ageMs() < T.renewMs + 100, 'renewed each R')
  const second = it.lease.arm({ uuid: 'b', name: 'b' })
  await it.run(100)
  await second
  await it.lease.disarm('a')
  await it.run(1_000)
  t.ok(it.lease.held && !it.lease.isArmed('a'))
  const gone = it.lease.disarm('b')
  await it.run(1_000)
  await gone
  t.same([it.lease.held, changes], [false, [true, false]])
  t.match(it.log.at(-1), /let go of the host lease/)
})

test('cut off alone: gives up after F, and takes the lease anew when all are off and the store answers', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  t.ok(it.running())
  it.happen({ type: 'alone', forMs: 40_000 })
  await it.run(T.giveUpMs + 100)
  t.notOk(it.lease.held)
  await it.run(2_000)
  t.notOk(it.running())
  await it.run(45_000)
  t.ok(it.running() && it.lease.held)
  t.same([it.violations, it.starts()], [[], 2])
})

test('cut off from the store while the others are not: gives up, whatever else they answer', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  it.happen({ type: 'cut-from-store', forMs: 60_000 })
  await it.run(T.giveUpMs + 2_000)
  t.same([it.lease.held, it.running()], [false, false])
  await it.run(20_000)
  t.same(it.violations, [])
})

test('the age counts from before a renewal was sent, however late it is answered', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  it.happen({ type: 'answers-late', forMs: 60_000, byMs: 1_500 })
  await it.run(T.renewMs + 1_600)
  let youngest = Infinity
  for (let i = 0; i < 400; i++) { await it.run(50); youngest = Math.min(youngest, it.lease.ageMs()) }
  t.ok(youngest >= 1_500, `${youngest}`)
  t.ok(it.running() && it.starts() === 1)
})

test('arming is refused while nothing answers, and while VMs are being given up', async (t) => {
  const it = await world(t)
  it.happen({ type: 'alone', forMs: 60_000 })
  const refused = it.lease.arm({ uuid: 'a', name: 'a' }).then(() => 'armed', errorCode)
  await it.run(20_000)
  t.equal(await refused, 'KALI_ERR_LEASE_LOST')
})

test('the store out of reach for all: VMs go on for as long as all say so, and F longer', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  it.happen({ type: 'store-away', forMs: 120_000 })
  await it.run(110_000)
  t.ok(it.running() && it.lease.held, 'nobody can take over')
  await it.run(40_000)
  t.ok(it.running() && it.lease.held, 'its lease ended meanwhile and was taken again')
  t.same([it.starts(), it.violations], [1, []])
  it.happen({ type: 'store-away', forMs: 60_000 })
  await it.run(15_000)
  it.happen({ type: 'alone', forMs: 60_000 })
  await it.run(T.giveUpMs + T.renewMs + 3_000)
  t.notOk(it.running(), 'the first missing answer starts F again')
})

test('a stalled node finds out before it does anything, and its watchdog was there in time', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  it.happen({ type: 'stall', forMs: 60_000 })
  await it.run(T.giveUpMs + 1_500)
  t.notOk(it.running())
  t.match(it.log.findLast((line) => line.includes('killed')), /watchdog/)
  await it.run(70_000)
  t.same(it.violations, [])
  t.equal(it.starts(), 2)
})

test('a watchdog that dies is replaced, and VMs go on', async (t) => {
  const it = await world(t)
  it.want()
  await it.run(5_000)
  it.happen({ type: 'watchdog-dies' })
  await it.run(1_000)
  t.ok(it.lease.isArmed('vm'))
  it.happen({ type: 'stall', forMs: 60_000 })
  await it.run(T.giveUpMs + 1_500)
  t.notOk(it.running(), 'the new one watches it')
})

test('property: never running when it could be taken over', { timeout: 60_000 }, async (t) => {
  const span = fc.integer({ min: 0, max: 40_000 })
  const fault: fc.Arbitrary<Fault> = fc.oneof(
    fc.record({ type: fc.constant('alone' as const), forMs: span }), fc.record({ type: fc.constant('store-away' as const), forMs: span }), fc.record({ type: fc.constant('cut-from-store' as const), forMs: span }),
    fc.record({ type: fc.constant('stall' as const), forMs: span }), fc.record({ type: fc.constant('answers-lost' as const), forMs: span }),
    fc.record({ type: fc.constant('answers-late' as const), forMs: span, byMs: fc.integer({ min: 1_000, max: T.giveUpMs }) }))
  // Both clocks' errors together stay within S over one L.
  const rate = fc.double({ min: 0.96, max: 1.04, noNaN: true })
  const numRuns = Number(process.env['LEASE_RUNS'] ?? 25)
  let starts = 0
  await fc.assert(fc.asyncProperty(
    fc.record({ seed: fc.nat(), hostRate: rate, storeRate: rate, delayMsMax: fc.constantFrom(1, 100, 1_500), killMs: fc.integer({ min: 0, max: T.killMs }) }),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 15_000 }), fault), { maxLength: 5 }),
    async (options, faults) => {
      const it = createWorld(options)
      it.want()
      for (const [afterMs, each] of faults) { await it.run(afterMs); it.happen(each) }
      await it.run(T.leaseMs + 45_000)
      starts += it.starts()
      await it.stop()
      if (it.violations.length > 0) throw new Error([it.violations[0], ...it.log].join('\n'))
    }), { numRuns })
  t.ok(starts >= numRuns / 2, 'they did run')
})
