// Two books over one store, at random and at once: the records always agree with each other. And the audit itself: each kind
// of damage is seen.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { errorCode, seededRandom, systemClock } from '../../../fabric/base.ts'
import { createStoreClient } from '../../../fabric/store/client.ts'
import { createMemoryGlobalStore } from '../../../fabric/store/memory.ts'
import { auditCloud } from '../../../kali/cloud/audit.ts'
import { CLOUD_KEYS } from '../../../kali/cloud/keys.ts'
import { encodeRecord, RECORDS } from '../../../kali/cloud/read.ts'
import type { CloudBook } from '../../../kali/cloud/parts.ts'
import { cloudNode, cloudNodes, intentRecord, machineRecord, placed, placeOf, poolRecord, sized, statusRecord } from '../../support/cloud-book.ts'
import { linkTo } from '../../support/store-link.ts'

const VMS = ['a', 'b', 'c', 'd', 'e', 'f'], MACHINES = ['m1', 'm2', 'm3', 'q1'], ACCOUNTS = ['alice', 'bob', 'user:ann', 'user:ben/*:read', 'fn:web@0123456789ab/user:ben'], NAMES = ['one', 'two', 'three', 'four', 'five', 'six']
const poolOf = (machine: string): string => machine.startsWith('q') ? 'p2' : 'p1'
const pick = <T>(from: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...from)

type Operation =
  | { readonly do: 'intend'; readonly vm: string; readonly name: string; readonly machine: string | undefined; readonly account: string; readonly vcpus: number }
  | { readonly do: 'move'; readonly vm: string; readonly machine: string | undefined }
  | { readonly do: 'resize'; readonly vm: string; readonly vcpus: number; readonly name: string; readonly account: string }
  | { readonly do: 'stop' | 'forget' | 'status'; readonly vm: string }
  | { readonly do: 'join' | 'leave'; readonly machine: string }
  | { readonly do: 'remove-pool' | 'create-pool'; readonly pool: string }
  | { readonly do: 'groups'; readonly groups: readonly string[] }
const vm = pick(VMS), machine = fc.option(pick(MACHINES), { nil: undefined }), name = pick(NAMES), account = pick(ACCOUNTS), vcpus = fc.integer({ min: 1, max: 3 })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('intend' as const), vm, name, machine, account, vcpus }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('move' as const), vm, machine }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resize' as const), vm, vcpus, name, account }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('stop' as const, 'forget' as const, 'status' as const), vm }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'leave' as const), machine: pick(MACHINES) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('groups' as const), groups: fc.subarray(['lab', 'ops', 'staff']) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('remove-pool' as const, 'create-pool' as const), pool: pick(['p1', 'p2']) }) },
)

/** What the directory says of users now: changes under the book's hands. */
let groups: readonly string[] = []
async function carryOut(book: CloudBook, operation: Operation): Promise<unknown> {
  switch (operation.do) {
    case 'groups': return void ({ groups } = operation)
    case 'intend': {
      const { vm, name, account, vcpus, machine } = operation
      const settings = { account, name, settings: sized(vm, vcpus) }
      return book.intend(machine === undefined ? intentRecord(vm, settings) : placed(vm, machine, { ...settings, pool: poolOf(machine) }))
    }
    case 'move': return book.change(operation.vm, ({ machine: _, ...present }) => operation.machine === undefined
      ? { ...present, epoch: present.epoch + 1, booked: false }
      : { ...present, epoch: present.epoch + 1, machine: placeOf(operation.machine), pool: poolOf(operation.machine), desired: 'running', booked: true })
    case 'resize': return book.change(operation.vm, (present) => ({ ...present, name: operation.name, account: operation.account, settings: sized(present.settings.name, operation.vcpus) }))
    case 'stop': return book.change(operation.vm, (present) => ({ ...present, desired: 'stopped', booked: false }))
    case 'forget': return book.forget(operation.vm, () => true)
    case 'status': {
      const present = await book.read(operation.vm)
      return present?.machine && book.status(statusRecord(operation.vm, present.machine.uuid, present.epoch))
    }
    case 'join': return book.joinMachine(machineRecord(operation.machine, { pool: poolOf(operation.machine) }))
    case 'leave': return book.leaveMachine(operation.machine)
    case 'remove-pool': return book.removePool(operation.pool)
    case 'create-pool': return book.createPool(poolRecord(operation.pool))
  }
}
/** What a book may say; anything else is a fault of the book. */
const EXPECTED = new Set(['NO_ROOM', 'QUOTA', 'NAME_TAKEN', 'CHANGED', 'POOL_UNKNOWN', 'VM_UNKNOWN', 'MACHINE_TAKEN', 'MACHINE_UNKNOWN', 'NOT_EMPTY', 'EPOCH_STALE'].map((name) => `KALI_ERR_${name}`))

t.test('whatever two nodes do at once, nothing is booked beyond what there is, and all records agree', async (t) => {
  let done = 0
  await fc.assert(fc.asyncProperty(fc.array(fc.array(fc.tuple(operation, fc.boolean()), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 14 }), async (rounds) => {
    const stops: (() => unknown)[] = []
    try {
      const [first, second] = await cloudNodes({ teardown: (stop: () => unknown) => void stops.push(stop) }, 2, systemClock, () => groups)
      groups = []
      const { book, store } = first
      await book.createPool(poolRecord('p1'))
      await book.createPool(poolRecord('p2'))
      await book.putQuota({ scope: 'account/alice', limit: { vcpus: 3 } })
      await book.putQuota({ scope: 'account/bob', limit: { vms: 2 } })
      await book.putQuota({ scope: 'group/lab', limit: { vcpus: 4 } })
      await book.putQuota({ scope: 'user/ben', limit: { vms: 2, memoryMiB: 1_024 } })
      for (const machine of MACHINES) await book.joinMachine(machineRecord(machine, { pool: poolOf(machine) }))
      const epochs = new Map<string, number>()
      for (const round of rounds) {
        for (const outcome of await Promise.allSettled(round.map(([operation, other]) => carryOut((other ? second! : first).book, operation)))) {
          if (outcome.status === 'fulfilled') done++
          else if (!EXPECTED.has(errorCode(outcome.reason) ?? '')) throw outcome.reason
        }
        const violations = await auditCloud(store, epochs)
        if (violations.length > 0) throw new Error(JSON.stringify(violations))
      }
    } finally {
      for (const stop of stops.reverse()) await stop()
    }
  }), { numRuns: 120 })
  t.ok(done > 500, `${done} operations were carried out`)
})

t.test('two nodes fill a machine at once over the embedded store: as many as there is room for, not one more', async (t) => {
  const engine = createMemoryGlobalStore({ clock: systemClock })
  t.teardown(() => engine.close())
  const nodes = await Promise.all([1, 2].map(async (seed) => {
    const link = linkTo(engine, systemClock)
    const store = createStoreClient({ description: 'embedded at alpha', era: 0, clock: systemClock, random: seededRandom(seed), peer: async () => link.peer() })
    const node = await cloudNode(t, store, systemClock, seed)
    t.teardown(async () => { await store.close(); link.cut() })
    return node
  }))
  const book = (at: number): CloudBook => nodes[at % 2]!.book
  await book(0).createPool(poolRecord())
  await book(1).joinMachine(machineRecord('m1', { cores: 20, memoryMiB: 65_536 }))
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, at) => book(at).intend(placed(`v${at}`))))
  const codes = outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'done' : errorCode(outcome.reason)))
  t.equal(codes.filter((code) => code === 'done').length, 20, 'done')
  t.equal(codes.filter((code) => code === 'KALI_ERR_NO_ROOM').length, 20, 'refused')
  t.same(await auditCloud(engine), [])
  t.same(await book(0).booked('pool/p1'), { vms: 20, vcpus: 20, memoryMiB: 10_240 })
})

t.test('the audit sees each kind of damage', async (t) => {
  const [{ book, store }] = await cloudNodes(t)
  const { revision: _, ...pool } = await book.createPool(poolRecord())
  const { revision: __, ...machine } = await book.joinMachine(machineRecord())
  const { revision: ___, ...intent } = await book.intend(placed('a'))
  await book.status(statusRecord('a'))
  const epochs = new Map<string, number>()
  t.same(await auditCloud(store, epochs), [])
  const put = (key: string, value: Uint8Array): Promise<unknown> => store.transact({ then: [{ do: 'put', key, value }] })
  const drop = (key: string): Promise<unknown> => store.transact({ then: [{ do: 'delete', key }] })
  const rules = async (): Promise<readonly string[]> => [...new Set((await auditCloud(store, epochs)).map(({ rule }) => rule))].sort()
  const damage = async (name: string, key: string, value: Uint8Array | undefined, rule: string): Promise<void> => {
    const before = await store.get(key)
    await (value === undefined ? drop(key) : put(key, value))
    t.ok((await rules()).includes(rule), `${name}: ${rule}`)
    await (before === undefined ? drop(key) : put(key, before.value))
    t.same(await rules(), [], `${name}: mended`)
  }
  const { booked } = await store.get(CLOUD_KEYS.machine('m1')).then((entry) => JSON.parse(new TextDecoder().decode(entry!.value)) as typeof machine)
  await damage('a machine that says less', CLOUD_KEYS.machine('m1'), encodeRecord(RECORDS.machine, machine), 'booked')
  await damage('a machine that is too small', CLOUD_KEYS.machine('m1'), encodeRecord(RECORDS.machine, { ...machine, booked, cores: 0.5 }), 'over')
  await damage('a counter that is wrong', CLOUD_KEYS.booked('account/alice'), undefined, 'booked')
  await damage('a counter of nothing', CLOUD_KEYS.booked('pool/p9'), encodeRecord(RECORDS.amounts, { vms: 0, vcpus: 0, memoryMiB: 0 }), 'dangling')
  await damage('a name that is gone', CLOUD_KEYS.vmName('p1', 'a'), undefined, 'name')
  await damage('a name of nothing', CLOUD_KEYS.poolName('p9'), new Uint8Array([65]), 'name')
  await damage('a pool that is gone', CLOUD_KEYS.pool('p1'), undefined, 'dangling')
  await damage('a machine that is gone', CLOUD_KEYS.machine('m1'), undefined, 'dangling')
  await damage('a quota below what is booked', CLOUD_KEYS.quota('pool/p1'), encodeRecord(RECORDS.quota, { scope: 'pool/p1', limit: { vms: 0 } }), 'over')
  await damage('a status of nothing', CLOUD_KEYS.status('z'), encodeRecord(RECORDS.status, statusRecord('z')), 'dangling')
  await damage('a status from the future', CLOUD_KEYS.status('a'), encodeRecord(RECORDS.status, statusRecord('a', 'm1', 7)), 'epoch')
  await damage('a record of nobody', CLOUD_KEYS.pool('p1'), new TextEncoder().encode('{}'), 'unreadable')
  await put(CLOUD_KEYS.vm('a'), encodeRecord(RECORDS.intent, { ...intent, epoch: 5 }))
  t.same(await rules(), [])
  await put(CLOUD_KEYS.vm('a'), encodeRecord(RECORDS.intent, { ...intent, epoch: 4 }))
  t.same(await rules(), ['epoch'], 'an epoch that fell')
  t.ok(pool.uuid)
})
