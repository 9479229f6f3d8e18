// Who holds what: one at a time, spread over the nodes, given back at once, taken over after a death, and never believed
// longer than the lease can have lived.

import { fc } from '../../support/property.ts'
import t from 'tap'
import type { NodeId } from '../../../fabric/base.ts'
import { HoldersCore } from '../../../functions/trigger/holders-core.ts'
import { rankOf } from '../../../functions/trigger/rendezvous.ts'
import { createTriggerLab } from '../../support/trigger-lab.ts'

const NODES = ['alpha', 'beta', 'gamma']
const names = Array.from({ length: 30 }, (_, i) => `keeper-${i}`)

t.test('each function has one holder, they are spread, and everybody knows them', async (t) => {
  const lab = createTriggerLab()
  const all = NODES.map((name) => lab.holders(name, NODES))
  for (const holders of all) holders.want(names)
  await lab.clock.settle(2_000)
  const counts = new Map<string, number>()
  for (const name of names) {
    const [first, ...others] = all.map((holders) => holders.holder(name))
    t.ok(first !== undefined, name)
    for (const other of others) t.same(other, first)
    counts.set(first?.node ?? '', (counts.get(first?.node ?? '') ?? 0) + 1)
    t.equal(all.filter((holders) => holders.mine(name) !== undefined).length, 1)
  }
  t.equal(counts.size, 3, JSON.stringify([...counts]))
  for (const holders of all) await holders.stop()
})

t.test('a clean stop hands over in well under a second; a wanted list that shrinks gives back', async (t) => {
  const lab = createTriggerLab()
  const [one, two] = [lab.holders('alpha', NODES), lab.holders('beta', NODES)]
  one.want(names)
  await lab.clock.settle(2_000)
  t.equal(names.filter((name) => one.mine(name) !== undefined).length, names.length)
  two.want(names)
  await lab.clock.settle(1_000)
  const before = one.mine('keeper-0')
  void one.stop()
  t.equal(one.mine('keeper-0'), undefined, 'at once')
  await lab.clock.settle(700)
  t.equal(names.filter((name) => two.mine(name) !== undefined).length, names.length)
  t.ok((two.mine('keeper-0') ?? 0) > (before ?? 0), 'the epoch has grown')
  two.want(names.slice(1))
  await lab.clock.settle(1_000)
  t.equal(two.holder('keeper-0'), undefined)
  t.equal(await lab.store.get('holder/keeper-0'), undefined)
  await two.stop()
})

t.test('one that is silent is replaced when its lease is over, and knows by itself, without a word from the store', async (t) => {
  const lab = createTriggerLab()
  let silent = false
  const never = new Promise<never>(() => {})
  const grant = lab.store.grant.bind(lab.store)
  const { store } = lab
  const cut = { description: 'cut', get: store.get.bind(store), range: store.range.bind(store), watch: store.watch.bind(store), revision: store.revision.bind(store), close: async () => {},
    transact: (...args: Parameters<typeof store.transact>) => silent ? never : store.transact(...args),
    grant: async (lifetimeMs: number) => { const lease = await grant(lifetimeMs); return { ...lease, keepAlive: () => silent ? never : lease.keepAlive(), revoke: () => lease.revoke() } } }
  const { startHolders } = await import('../../../functions/mod.ts')
  const one = startHolders({ store: cut, clock: lab.clock, self: 'alpha' as NodeId, nodes: () => NODES as NodeId[], log: { info() {}, warn() {} }, leaseMs: 5_000 })
  one.want(['keeper'])
  await lab.clock.settle(1_000)
  const two = lab.holders('beta', NODES)
  two.want(['keeper'])
  await lab.clock.settle(10_000)
  const epoch = one.mine('keeper')
  t.type(epoch, 'number', 'kept alive')
  silent = true
  let gaveUpMs = 0, takenMs = 0
  const sinceMs = lab.clock.nowMs()
  while (takenMs === 0 && lab.clock.nowMs() < sinceMs + 20_000) {
    await lab.clock.settle(10)
    if (gaveUpMs === 0 && one.mine('keeper') === undefined) gaveUpMs = lab.clock.nowMs() - sinceMs
    if (two.mine('keeper') !== undefined) takenMs = lab.clock.nowMs() - sinceMs
  }
  t.ok(gaveUpMs > 0 && gaveUpMs < takenMs, `gave up after ${gaveUpMs} ms, taken over after ${takenMs} ms`)
  t.ok(takenMs <= 5_000 + 1_500)
  await t.rejects(two.check('keeper', epoch ?? 0), { code: 'FUNCTIONS_ERR_FUNCTION_FENCED' })
  await two.check('keeper', two.mine('keeper') ?? 0)
  void one.stop()
  void two.stop()
  await lab.clock.settle(2_000)
})

t.test('a node that comes back does not wait for its own old lease', async (t) => {
  const lab = createTriggerLab()
  const lease = await lab.store.grant(60_000)
  await lab.store.transact({ then: [{ do: 'put', key: 'holder/keeper', value: new TextEncoder().encode('{"node":"alpha"}'), lease: lease.id }] })
  const holders = lab.holders('alpha', NODES)
  holders.want(['keeper'])
  t.equal(holders.mine('keeper'), undefined)
  await lab.clock.settle(1_500)
  t.type(holders.mine('keeper'), 'number')
  await holders.stop()
})

t.test('the core: never acts under a lease that may be over, whatever is told, in whatever order', (t) => {
  const event = fc.oneof(
    fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 3_000 }) }),
    fc.record({ type: fc.constant('kept' as const), sentAgoMs: fc.integer({ min: 0, max: 6_000 }), id: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('leased' as const), askedAgoMs: fc.integer({ min: 0, max: 6_000 }), id: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('gone' as const), id: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('see' as const), revision: fc.integer({ min: 1, max: 40 }), lease: fc.constantFrom('a', 'b', 'other', undefined) }),
  )
  fc.assert(fc.property(fc.array(event, { maxLength: 60 }), (events) => {
    const core = new HoldersCore({ self: 'me' as NodeId, settleMs: 250, marginRatio: 0.1, staggerMs: 100, rank: () => 0 })
    let nowMs = 10_000
    core.load(new Map(), 0, nowMs)
    core.want(new Set(['f']), nowMs)
    let lease: string | undefined
    /** Latest moment at which the lease was asked for or kept: it cannot end before that plus its lifetime. */
    let aliveFromMs = -Infinity
    let newest = 0
    let key: { readonly epoch: number; readonly lease: string } | undefined
    for (const e of events) {
      if (e.type === 'pass') nowMs += e.ms
      else if (e.type === 'leased') { lease = e.id; aliveFromMs = nowMs - e.askedAgoMs; core.leased(e.id, 5_000, aliveFromMs, nowMs) }
      else if (e.type === 'kept') { if (e.id === lease) aliveFromMs = Math.max(aliveFromMs, nowMs - e.sentAgoMs); core.kept(e.id, 5_000, nowMs - e.sentAgoMs) }
      else if (e.type === 'gone') { if (e.id === lease) lease = undefined; core.leaseGone(e.id) }
      else {
        const seen = e.lease === undefined ? undefined : { node: (e.lease === 'other' ? 'other' : 'me') as NodeId, epoch: e.revision, lease: e.lease }
        if (e.revision > newest) { newest = e.revision; key = seen }
        core.see('f', seen, e.revision, nowMs)
      }
      const mine = core.mine('f', nowMs)
      if (mine === undefined) continue
      if (lease === undefined || key?.lease !== lease || mine !== key.epoch || nowMs > aliveFromMs + 4_500) return false
    }
    return true
  }))
  t.end()
})

t.test('ranks: all nodes agree, each is somebody\'s first choice, one that leaves changes only what it had', (t) => {
  fc.assert(fc.property(fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 }), fc.string(), (nodes, name) => {
    const ids = nodes as NodeId[]
    const order = ids.map((id) => rankOf(name, id, ids))
    if (order.toSorted((a, b) => a - b).some((rank, i) => rank !== i)) return false
    const [gone, ...left] = ids
    const rest = left.toSorted((a, b) => rankOf(name, a, left) - rankOf(name, b, left))
    const before = ids.filter((id) => id !== gone).toSorted((a, b) => rankOf(name, a, ids) - rankOf(name, b, ids))
    return rest.join() === before.join()
  }))
  t.end()
})
