// The book over a store in memory: names, machines, bookings, quotas, epochs, conditions, groups, memories.

import t from 'tap'
import type { Test } from 'tap'
import { errorCode, systemClock } from '../../../fabric/base.ts'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import { CLOUD_KEYS, leaseGone } from '../../../kali/cloud/keys.ts'
import type { CloudBook } from '../../../kali/cloud/parts.ts'
import { cloudNode, cloudNodes, groupRecord, intentRecord, machineRecord, nodeOf, placed, placeOf, poolRecord, sized, statusRecord } from '../../support/cloud-book.ts'
import type { GlobalStore } from '../../../fabric/mod.ts'
import type { CloudNode } from '../../support/cloud-book.ts'
import { failure } from '../../support/rpc-pair.ts'

const code = (name: string): { readonly code: string } => ({ code: `KALI_ERR_${name}` })
/** A pool with two machines of 4 cores and 4,096 MiB. */
async function withPool(book: CloudBook): Promise<void> {
  await book.createPool(poolRecord())
  await book.joinMachine(machineRecord('m1'))
  await book.joinMachine(machineRecord('m2'))
}
const bookedOn = async ({ view, book }: CloudNode, machine: string): Promise<readonly number[]> => {
  const { revision } = await book.changeMachine(machine, (present) => present)
  await view.until(revision)
  const { vms, vcpus, memoryMiB } = view.machine(machine)!.booked
  return [vms, vcpus, memoryMiB]
}

t.test('pools: names are unique and move with the pool; only an empty one goes', async (t) => {
  const [node] = await cloudNodes(t)
  const { book, view, store } = node
  const made = await book.createPool(poolRecord('p1', { name: 'first' }))
  await view.until(made.revision)
  t.same(view.pool('p1'), made)
  t.match(await failure(book.createPool(poolRecord('p2', { name: 'first' }))), code('NAME_TAKEN'))
  t.match(await failure(book.createPool(poolRecord('p1', { name: 'second' }))), code('CHANGED'))
  await book.changePool('p1', (pool) => ({ ...pool, name: 'renamed' }))
  await book.createPool(poolRecord('p2', { name: 'first' }))
  t.match(await failure(book.changePool('p2', (pool) => ({ ...pool, name: 'renamed' }))), code('NAME_TAKEN'))
  t.match(await failure(book.changePool('p9', (pool) => pool)), code('POOL_UNKNOWN'))
  await book.joinMachine(machineRecord('m1'))
  t.match(await failure(book.removePool('p1')), { ...code('NOT_EMPTY'), message: /1 machine/ })
  await book.leaveMachine('m1')
  const intent = await book.intend(intentRecord('a'))
  t.match(await failure(book.removePool('p1')), { ...code('NOT_EMPTY'), message: /1 VM/ })
  await book.forget('a', ({ revision }) => revision === intent.revision)
  await book.putGroup(groupRecord('g'), 'new')
  t.match(await failure(book.removePool('p1')), code('NOT_EMPTY'))
  await book.removeGroup('g')
  await book.putRule({ name: 'r', pool: 'p1', type: 'apart', hard: true, vms: ['a'] })
  await book.putQuota({ scope: 'pool/p1', limit: { vms: 1 } })
  await book.remember('kali-ha', 'p1', 0, {})
  await book.removePool('p1')
  t.match(await failure(book.removePool('p1')), code('POOL_UNKNOWN'))
  await book.removePool('p2')
  t.same((await store.range('')).entries, [], 'nothing is left of them')
})

t.test('machines: in one pool at a time; not out of it while a VM names it, booked or not', async (t) => {
  const [node, other] = await cloudNodes(t, 2)
  const { book } = node
  await withPool(book)
  await book.createPool(poolRecord('p2'))
  t.match(await failure(other!.book.joinMachine(machineRecord('m1', { pool: 'p2' }))), { ...code('MACHINE_TAKEN'), message: /in pool p1/ })
  t.match(await failure(book.joinMachine(machineRecord('m9', { pool: 'p9' }))), code('POOL_UNKNOWN'))
  await book.intend(intentRecord('a', { desired: 'stopped', machine: placeOf('m1'), epoch: 1 }))
  t.match(await failure(other!.book.leaveMachine('m1')), { ...code('NOT_EMPTY'), message: /VM a/ }, 'another node knows it, too')
  await book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: 2 }))
  await other!.book.leaveMachine('m1')
  t.match(await failure(book.leaveMachine('m1')), code('MACHINE_UNKNOWN'))
  t.match(await failure(book.changeMachine('m1', (present) => present)), code('MACHINE_UNKNOWN'))
  const changed = await book.changeMachine('m2', (present) => ({ ...present, mode: 'draining', pool: 'p2', booked: { vms: 9, vcpus: 9, memoryMiB: 9 } }))
  t.match(changed, { mode: 'draining', pool: 'p1', booked: { vms: 0 } }, 'its pool and what is booked are not for this to change')
  t.same(await auditCloud(node.store), [])
})

t.test('bookings move with intents, and stop at the room of a machine', async (t) => {
  const [node] = await cloudNodes(t)
  const { book } = node
  await withPool(book)
  await book.intend(placed('a', 'm1', { settings: sized('a', 3, 1_024) }))
  t.same(await bookedOn(node, 'm1'), [1, 3, 1_024])
  t.match(await failure(book.intend(placed('b', 'm1', { settings: sized('b', 2) }))), { ...code('NO_ROOM'), message: /5 of 4 vcpus/ })
  t.match(await failure(book.intend(placed('b', 'm1', { settings: sized('b', 1, 3_073) }))), { ...code('NO_ROOM'), message: /MiB/ })
  t.equal(await book.read('b'), undefined)
  await book.changePool('p1', (pool) => ({ ...pool, overcommit: { cpuRatio: 2, memoryRatio: 1 }, reserve: { vcpus: 1, memoryMiB: 0 } }))
  await book.intend(placed('b', 'm1', { settings: sized('b', 4) }))
  t.match(await failure(book.change('b', (present) => ({ ...present, settings: sized('b', 5) }))), { ...code('NO_ROOM'), message: /8 of 7/ })
  await book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: 2 }))
  t.same([await bookedOn(node, 'm1'), await bookedOn(node, 'm2')], [[1, 4, 512], [1, 3, 1_024]])
  await book.changePool('p1', (pool) => ({ ...pool, overcommit: { cpuRatio: 0.5, memoryRatio: 1 } }))
  await book.change('b', (present) => ({ ...present, settings: sized('b', 3) }))
  t.pass('what shrinks is never refused')
  await book.change('b', (present) => ({ ...present, desired: 'stopped', booked: false }))
  t.same(await bookedOn(node, 'm1'), [0, 0, 0])
  t.same(await book.booked('pool/p1'), { vms: 1, vcpus: 3, memoryMiB: 1_024 })
  await book.forget('a', () => true)
  t.same(await book.booked('account/alice'), { vms: 0, vcpus: 0, memoryMiB: 0 })
  t.equal(await node.store.get(CLOUD_KEYS.booked('account/alice')), undefined, 'accounts that have nothing are not kept')
  t.same((await auditCloud(node.store)).filter(({ rule }) => rule !== 'over'), [])
})

t.test('nothing is sent to a machine that is draining, in maintenance, asleep, of another pool, or not there', async (t) => {
  const [{ book }] = await cloudNodes(t)
  await withPool(book)
  await book.createPool(poolRecord('p2'))
  await book.joinMachine(machineRecord('m3', { pool: 'p2' }))
  t.match(await failure(book.intend(placed('a', 'm3'))), code('MACHINE_UNKNOWN'))
  t.match(await failure(book.intend(placed('a', 'm9'))), code('MACHINE_UNKNOWN'))
  t.match(await failure(book.intend(placed('a', 'm1', { pool: 'p9' }))), code('POOL_UNKNOWN'))
  for (const mode of ['draining', 'maintenance'] as const) {
    await book.changeMachine('m1', (present) => ({ ...present, mode }))
    t.match(await failure(book.intend(placed('a'))), code('NO_ROOM'), mode)
  }
  await book.intend(placed('there', 'm1', { origin: 'present' }))
  t.pass('what runs there is managed')
  await book.changeMachine('m2', (present) => ({ ...present, asleep: true }))
  t.match(await failure(book.intend(placed('a', 'm2'))), { ...code('NO_ROOM'), message: /asleep/ })
})

t.test('quotas of pools and accounts, and their removal', async (t) => {
  const [{ book, store }] = await cloudNodes(t)
  await withPool(book)
  await book.putQuota({ scope: 'account/alice', limit: { vcpus: 2 } })
  await book.putQuota({ scope: 'pool/p1', limit: { vms: 3 } })
  await book.intend(placed('a', 'm1', { settings: sized('a', 2) }))
  t.match(await failure(book.intend(placed('b'))), { ...code('QUOTA'), details: { scope: 'account/alice', wanted: 3, limit: 2 } })
  await book.intend(placed('b', 'm1', { account: 'bob' }))
  await book.change('b', (present) => ({ ...present, account: 'carol' }))
  t.match(await failure(book.change('b', (present) => ({ ...present, account: 'alice' }))), code('QUOTA'))
  await book.putQuota({ scope: 'account/alice', limit: null })
  await book.change('b', (present) => ({ ...present, account: 'alice' }))
  await book.intend(placed('c', 'm2'))
  t.match(await failure(book.intend(placed('d', 'm2'))), { ...code('QUOTA'), message: /3 VMs/ })
  await book.intend(intentRecord('d'))
  t.pass('what waits for a place takes up nothing')
  t.match(await failure(book.putQuota({ scope: 'pool/p9', limit: { vms: 1 } })), code('POOL_UNKNOWN'))
  t.same(await auditCloud(store), [])
})

t.test('quotas of users and of the groups that they are in when booked', async (t) => {
  const groups = new Map([['alice', ['lab', 'staff']], ['bob', ['lab']]])
  const [{ book, store, view }, other] = await cloudNodes(t, 2, systemClock, (user) => groups.get(user) ?? [])
  await withPool(book)
  await book.putQuota({ scope: 'group/lab', limit: { vcpus: 3 } })
  await book.putQuota({ scope: 'user/alice', limit: { memoryMiB: 1_024 } })
  const a = await book.intend(placed('a', 'm1', { account: 'user:alice/vm:start', settings: sized('a', 2) }))
  t.same(a.owner, { user: 'alice', groups: ['lab', 'staff'] }, 'whoever narrowed himself is still himself')
  t.match(await failure(other!.book.intend(placed('b', 'm2', { account: 'fn:web@0123456789ab/user:bob', settings: sized('b', 2) }))), { ...code('QUOTA'), details: { scope: 'group:lab', what: 'vcpus', wanted: 4, limit: 3 } }, 'his function counts for him')
  await other!.book.intend(placed('b', 'm2', { account: 'user:bob' }))
  t.match(await failure(book.intend(placed('c', 'm2', { account: 'user:alice', settings: sized('c', 0, 1_024) }))), { ...code('QUOTA'), details: { scope: 'user:alice', what: 'MiB of memory', wanted: 1_536 } })
  await book.intend(placed('c', 'm2', { account: 'local:0', owner: { user: 'bob', groups: [] } }))
  t.same((await book.read('c'))?.owner, undefined, 'nobody says for himself whose it is')
  t.same(await book.booked('group/lab'), { vms: 2, vcpus: 3, memoryMiB: 1_024 })

  groups.set('alice', ['ops'])
  await book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: 2 }))
  t.same((await book.read('a'))?.owner?.groups, ['lab', 'staff'], 'a move is not a booking')
  await book.change('a', (present) => ({ ...present, desired: 'stopped', booked: false }))
  t.same([await book.booked('group/lab'), await book.booked('group/staff'), await book.booked('user/alice')].map(({ vcpus }) => vcpus), [1, 0, 0], 'given back where it was taken')
  await book.change('a', (present) => ({ ...present, desired: 'running', booked: true }))
  t.same([await book.booked('group/lab'), await book.booked('group/ops')].map(({ vcpus }) => vcpus), [1, 2], 'now he is in another')
  await book.forget('a', () => true)
  t.same(await store.get(CLOUD_KEYS.booked('group/ops')), undefined, 'no empty counter is left')
  await view.until((await book.changePool('p1', (pool) => pool)).revision)
  t.same(view.quotas().map(({ scope }) => scope).toSorted(), ['group/lab', 'user/alice'])

  groups.set('carol', Array.from({ length: 40 }, (_, at) => `g${String(at).padStart(2, '0')}`))
  await book.putQuota({ scope: 'group/g39', limit: { vms: 0 } })
  await view.until((await book.changePool('p1', (pool) => pool)).revision)
  t.match(await failure(book.intend(placed('d', 'm1', { account: 'user:carol' }))), { ...code('QUOTA'), details: { scope: 'group:g39' } }, 'of very many groups those with a limit are counted first')
  t.same(await auditCloud(store), [])
})

t.test('two nodes book for one group at once: what its quota allows, not one more', async (t) => {
  const nodes = await cloudNodes(t, 2, systemClock, () => ['lab'])
  const [{ book, store }] = nodes
  await book.createPool(poolRecord())
  for (const machine of ['m1', 'm2']) await book.joinMachine(machineRecord(machine, { cores: 64, memoryMiB: 65_536 }))
  await book.putQuota({ scope: 'group/lab', limit: { vcpus: 7 } })
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, at) => nodes[at % 2]!.book.intend(placed(`v${at}`, at % 2 === 0 ? 'm1' : 'm2', { account: at % 3 === 0 ? 'user:ann' : 'user:ben' }))))
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 7)
  t.ok(outcomes.every((outcome) => outcome.status === 'fulfilled' || errorCode(outcome.reason) === 'KALI_ERR_QUOTA'))
  t.same(await auditCloud(store), [])
})

t.test('intents: names, epochs, groups, and what is not to be', async (t) => {
  const [{ book, store, view }] = await cloudNodes(t)
  await withPool(book)
  const a = await book.intend(placed('a', 'm1', { name: 'web' }))
  t.same(await book.read('a'), a)
  t.match(await failure(book.intend(placed('a'))), code('CHANGED'))
  t.match(await failure(book.intend(intentRecord('b', { name: 'web' }))), code('NAME_TAKEN'))
  await book.intend(intentRecord('b'))
  t.match(await failure(book.change('b', (present) => ({ ...present, name: 'web' }))), code('NAME_TAKEN'))
  await book.change('a', (present) => ({ ...present, name: 'front' }))
  await book.change('b', (present) => ({ ...present, name: 'web' }))
  for (const name of ['', 'a/b', ' a', 'a\n', 'x'.repeat(129)]) t.match(await failure(book.change('b', (present) => ({ ...present, name }))), code('RECORD_INVALID'), JSON.stringify(name))
  t.match(await failure(book.change('a', (present) => ({ ...present, machine: placeOf('m2') }))), code('RECORD_INVALID'), 'another machine in the same epoch')
  t.match(await failure(book.change('a', (present) => ({ ...present, epoch: 0 }))), code('RECORD_INVALID'))
  t.match(await failure(book.change('a', (present) => ({ ...present, booked: false }))), code('RECORD_INVALID'), 'runs there, and is not booked')
  t.match(await failure(book.change('a', (present) => ({ ...present, group: 'g' }))), code('GROUP_UNKNOWN'))
  const huge = { ...sized('a'), description: 'x'.repeat(200_000) }
  t.match(await failure(book.change('a', (present) => ({ ...present, settings: huge }))), { ...code('RECORD_INVALID'), message: /bytes/ })
  t.match(await failure(book.change('z', (present) => present)), code('VM_UNKNOWN'))
  t.equal(await book.change('a', () => undefined), undefined)
  t.match(await failure(book.forget('a', () => false)), code('CHANGED'))
  await book.forget('a', () => true)
  await book.forget('a', () => true)
  const again = await book.intend(intentRecord('a', { name: 'front' }))
  await view.until(again.revision)
  t.same(view.intents({ pool: 'p1' }).map(({ name }) => name), ['front', 'web'])
  t.same(await auditCloud(store), [])
})

/** A node that is told of changes only when `release` is called, and counts its transactions. */
async function slowNode(t: Test, store: GlobalStore): Promise<CloudNode & { release(): void; transactions(): number }> {
  const gate = Promise.withResolvers<void>()
  let transactions = 0
  const slow: GlobalStore = Object.assign(Object.create(store) as GlobalStore, {
    get: store.get.bind(store), range: store.range.bind(store), revision: store.revision.bind(store),
    transact(...given: Parameters<GlobalStore['transact']>) { transactions++; return store.transact(...given) },
    async *watch(...given: Parameters<GlobalStore['watch']>) {
      for await (const batch of store.watch(...given)) {
        if (batch.events.length > 0) await gate.promise
        yield batch
      }
    },
  })
  return { ...await cloudNode(t, slow), release: () => gate.resolve(), transactions: () => transactions }
}

t.test('a node that has not heard yet does not take for empty what is not', async (t) => {
  type Attempt = (first: CloudBook, slow: CloudBook) => Promise<readonly [change: Promise<unknown>, expected: string]>
  const attempts: Readonly<Record<string, Attempt>> = {
    'a machine that a stopped VM is on': async (first, slow) => { await first.intend(intentRecord('a', { desired: 'stopped', machine: placeOf('m1'), epoch: 1 })); return [slow.leaveMachine('m1'), 'NOT_EMPTY'] },
    'a pool that a machine joined': async (first, slow) => { await first.joinMachine(machineRecord('m3', { pool: 'p2' })); return [slow.removePool('p2'), 'NOT_EMPTY'] },
    'a pool with a VM that waits': async (first, slow) => { await first.intend(intentRecord('a', { pool: 'p2' })); return [slow.removePool('p2'), 'NOT_EMPTY'] },
    'a pool with a group': async (first, slow) => { await first.putGroup(groupRecord('g', { pool: 'p2' }), 'new'); return [slow.removePool('p2'), 'NOT_EMPTY'] },
    'a group of that name': async (first, slow) => { await first.putGroup(groupRecord('g'), 'new'); return [slow.putGroup(groupRecord('h', { name: 'g' }), 'new'), 'NAME_TAKEN'] },
  }
  for (const [name, attempt] of Object.entries(attempts)) {
    await t.test(name, async (t) => {
      const [first] = await cloudNodes(t)
      await withPool(first.book)
      await first.book.createPool(poolRecord('p2'))
      const slow = await slowNode(t, first.store)
      const [change, expected] = await attempt(first.book, slow.book)
      const outcome = failure(change)
      slow.release()
      t.match(await outcome, code(expected))
      t.same(await auditCloud(first.store), [])
    })
  }
})

t.test('what has just been emptied is empty, also for a node that has not heard yet', async (t) => {
  const [first] = await cloudNodes(t)
  await withPool(first.book)
  await first.book.intend(placed('a'))
  await first.book.putGroup(groupRecord('g'), 'new')
  const slow = await slowNode(t, first.store)
  await first.book.forget('a', () => true)
  await first.book.removeGroup('g')
  for (const machine of ['m1', 'm2']) await first.book.leaveMachine(machine)
  const removed = slow.book.removePool('p1')
  slow.release()
  await removed
  t.same((await first.store.range('')).entries, [])
})

t.test('a takeover waits for the lease to be gone; a condition on a foreign key is refused', async (t) => {
  const [{ store }] = await cloudNodes(t)
  const { book, release, transactions } = await slowNode(t, store)
  release()
  await withPool(book)
  await book.intend(placed('a'))
  const key = CLOUD_KEYS.lease(nodeOf('m1'))
  const lease = await store.grant(60_000)
  await store.transact({ then: [{ do: 'put', key, value: new TextEncoder().encode('{}'), lease: lease.id }] })
  const take = (): ReturnType<CloudBook['change']> => book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: present.epoch + 1 }), { when: [leaseGone(nodeOf('m1'))] })
  const before = transactions()
  t.match(await failure(take()), code('CHANGED'))
  t.ok(transactions() - before <= 3, 'a condition that does not hold is not tried again')
  t.match(await book.read('a'), { epoch: 1, machine: { uuid: 'm1' } })
  await lease.revoke()
  t.match(await take(), { epoch: 2, machine: { uuid: 'm2' } })
  t.match(await failure(book.change('a', (present) => present, { when: [{ key: 'lease/x', field: 'createRevision', is: '=', than: 0 }] })), code('RECORD_INVALID'))
})

t.test('an armed VM leaves its machine only when the lease is gone, on proof, or by live migration, whoever asks', async (t) => {
  const [{ book, store }] = await cloudNodes(t)
  await withPool(book)
  const protection = { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0 } as const
  for (const vm of ['a', 'b', 'c']) await book.intend(placed(vm, 'm1', { protection: { ...protection, armed: vm !== 'c' } }))
  const lease = await store.grant(60_000)
  await store.transact({ then: [{ do: 'put', key: CLOUD_KEYS.lease(nodeOf('m1')), value: new TextEncoder().encode('{}'), lease: lease.id }] })
  const move = (vm: string, change: object = {}, options: object = {}): ReturnType<CloudBook['change']> =>
    book.change(vm, (present) => ({ ...present, machine: placeOf('m2'), epoch: present.epoch + 1, protection: { ...protection, armed: true }, ...change }), options)
  t.match(await failure(move('a')), { ...code('NOT_TAKEABLE'), message: /lease of m1 stands/ })
  t.match(await failure(book.change('a', ({ machine: _, ...present }) => ({ ...present, epoch: 2, booked: false }))), code('NOT_TAKEABLE'), 'nor is it made homeless first')
  t.match(await move('b', { origin: 'migrate' }), { epoch: 2 })
  t.match(await move('c'), { epoch: 2 }, 'one that was not armed')
  await lease.revoke()
  t.match(await move('a'), { epoch: 2 })
  const other = await store.grant(60_000)
  await store.transact({ then: [{ do: 'put', key: CLOUD_KEYS.lease(nodeOf('m2')), value: new TextEncoder().encode('{}'), lease: other.id }] })
  t.match(await failure(move('a', { machine: placeOf('m1') })), code('NOT_TAKEABLE'))
  t.match(await move('a', { machine: placeOf('m1') }, { proof: 'root says that m2 is off' }), { epoch: 3 })
  await other.revoke()
})

t.test('a status is of the machine and epoch that the intent names, or it is not written', async (t) => {
  const [first, second] = await cloudNodes(t, 2)
  const { book, view } = first
  await withPool(book)
  const { revision } = await book.intend(placed('a'))
  await view.until(revision)
  await book.status(statusRecord('a'))
  // This node's view does not have it yet: the record is read from the store.
  await second!.book.change('a', (present) => ({ ...present, reason: 'something else' }))
  await book.status(statusRecord('a', 'm1', 1, { phase: 'ready' }))
  await second!.book.change('a', (present) => ({ ...present, machine: placeOf('m2'), epoch: 2 }))
  t.match(await failure(book.status(statusRecord('a'))), code('EPOCH_STALE'))
  t.match(await failure(book.status(statusRecord('a', 'm1', 2))), code('EPOCH_STALE'))
  t.match(await failure(book.status(statusRecord('z'))), code('EPOCH_STALE'))
  await book.status(statusRecord('a', 'm2', 2))
  const gone = await book.change('a', (present) => ({ ...present, desired: 'absent', booked: false }))
  await book.forget('a', (present) => present.revision === gone?.revision)
  t.equal(await first.store.get(CLOUD_KEYS.status('a')), undefined)
})

t.test('groups by revision and name, rules, mode, and memories by round', async (t) => {
  const [{ book, view }] = await cloudNodes(t)
  await withPool(book)
  const group = await book.putGroup(groupRecord('g'), 'new')
  t.match(await failure(book.putGroup(groupRecord('g'), 'new')), code('CHANGED'))
  t.match(await failure(book.putGroup(groupRecord('h', { name: 'g' }), 'new')), code('NAME_TAKEN'))
  t.match(await failure(book.putGroup(groupRecord('h'), 1)), code('GROUP_UNKNOWN'))
  const paused = await book.putGroup({ ...group, paused: true }, group.revision)
  t.match(await failure(book.putGroup(group, group.revision)), code('CHANGED'))
  await view.until(paused.revision)
  t.same(view.groups('p1'), [paused])
  await book.intend(intentRecord('a', { group: 'g' }))
  t.match(await failure(book.removeGroup('h')), code('GROUP_UNKNOWN'))
  await book.putRule({ name: 'r', pool: 'p1', type: 'on', hard: false, vms: ['a'], machines: ['m1'] })
  await book.setMode({ mode: 'freeze', by: 'root', atMs: 1, reason: 'an upgrade' })
  const last = await book.intend(intentRecord('b'))
  await view.until(last.revision)
  t.match([view.rules('p1'), view.mode()], [[{ name: 'r' }], { mode: 'freeze' }])
  await book.removeRule('p1', 'r')
  t.match(await failure(book.removeRule('p1', 'r')), code('RULE_UNKNOWN'))
  t.equal(await book.memory('kali-ha', 'p1'), undefined)
  await book.remember('kali-ha', 'p1', 0, { seen: 1 })
  await book.remember('kali-ha', 'p1', 1, { seen: 2 })
  t.match(await failure(book.remember('kali-ha', 'p1', 1, { seen: 3 })), code('CHANGED'))
  t.match(await book.memory('kali-ha', 'p1'), { round: 2, memory: { seen: 2 } })
  t.match(await failure(book.remember('kali-ha', 'p9', 0, {})), code('POOL_UNKNOWN'))
})
