// What each scheduler likes; ties; what weighs with all of them; options; many VMs at once.

import t from 'tap'
import { needOf } from '../../../kali/placement/admission.ts'
import { placeAll } from '../../../kali/placement/batch.ts'
import { Board } from '../../../kali/placement/board.ts'
import { bindScheduler, rankMachines } from '../../../kali/placement/ranking.ts'
import { SCHEDULERS } from '../../../kali/placement/schedulers/index.ts'
import type { PoolSnapshot, SchedulerRef, VmNeed } from '../../../kali/cloud/contract.ts'
import { machine, pending, snapshot, vm } from '../../support/pool-snapshots.ts'
import { rule } from './any-pool.ts'

type Options = Extract<SchedulerRef, { type: 'builtin' }>['options']
const need = needOf(pending('new', { vcpus: 2, memoryMiB: 4_096 }))
const order = (pool: PoolSnapshot, name: string, what: VmNeed = need, options?: Options): string =>
  rankMachines(new Board(pool), what, bindScheduler({ name, ...(options === undefined ? {} : { options }) })).ranked.map(({ machine: uuid }) => uuid.slice(2)).join(' ')
const booked = (vms: number, vcpus: number, memoryMiB: number): Pick<PoolSnapshot['machines'][number], 'booked' | 'freeVcpus' | 'freeMemoryMiB'> =>
  ({ booked: { vms, vcpus, memoryMiB }, freeVcpus: 16 - vcpus, freeMemoryMiB: 65_536 - memoryMiB })

t.test('each its own order', async (t) => {
  const machines = [
    machine('big', { ...booked(1, 12, 49_152), cpuRatio: 0.2 }), machine('empty', { cpuRatio: 0.5 }), machine('many', { ...booked(3, 3, 3_072), cpuRatio: 0.05 }),
    machine('asleep', { power: { idleWatts: 100, fullWatts: 300, asleep: true }, cpuRatio: 0 }),
  ]
  const pool = snapshot({ machines })
  const cases: readonly (readonly [string, string])[] = [
    ['rank', 'empty many big asleep'], ['packing', 'big many empty asleep'], ['striping', 'empty big many asleep'], ['load', 'many big empty asleep'], ['energy', 'big many empty asleep'],
  ]
  t.same(cases.map(([name]) => name).sort(), SCHEDULERS.map(({ name }) => name).sort(), 'all are here')
  for (const [name, expected] of cases) t.equal(order(pool, name), expected, name)
})

t.test('ties by name, then uuid', async (t) => {
  const machines = [machine('b'), machine('a', { uuid: 'm-2' }), machine('a', { uuid: 'm-1' })]
  for (const { name } of SCHEDULERS) t.equal(order(snapshot({ machines }), name), '1 2 b', name)
})

t.test('load counts what is in flight', async (t) => {
  const machines = [machine('a', { cpuRatio: 0.1 }), machine('b', { cpuRatio: 0.3 })]
  t.equal(order(snapshot({ machines }), 'load'), 'a b')
  t.equal(order(snapshot({ machines, vms: [vm('x', { vcpus: 8, machine: 'm-a', inFlight: true })] }), 'load'), 'b a')
  t.equal(order(snapshot({ machines, vms: [vm('x', { vcpus: 8, machine: 'm-a' })] }), 'load'), 'a b', 'what runs is measured')
})

t.test('energy prefers the machine that draws less', async (t) => {
  const thrifty = machine('z', { power: { idleWatts: 40, fullWatts: 120, asleep: false } })
  t.equal(order(snapshot({ machines: [machine('a'), thrifty] }), 'energy'), 'z a')
  t.equal(order(snapshot({ machines: [machine('a', booked(1, 1, 1_024)), thrifty] }), 'energy'), 'a z', 'one that is in use anyway')
})

t.test('a soft rule outweighs waking, and both what a scheduler likes', async (t) => {
  const asleep = machine('c', { power: { idleWatts: 100, fullWatts: 300, asleep: true } })
  const soft = { ...rule('apart', 'apart', ['new', 'x']), hard: false }
  const pool = snapshot({ machines: [machine('a'), machine('b', booked(2, 14, 60_000)), asleep], vms: [vm('x', { machine: 'm-a' })], rules: [soft] })
  t.equal(order(pool, 'rank'), 'b c a')
  const [, second, last] = rankMachines(new Board(pool), need, bindScheduler({ name: 'rank' })).ranked
  t.same([second?.parts, last?.parts], [{ rank: 1, wake: -10_000 }, { rank: 1, rules: -1_000_000 }])
})

t.test('options', async (t) => {
  const machines = [machine('a', { ...booked(1, 1, 60_000), cpuRatio: 0.1 }), machine('b', { cpuRatio: 0.15 })]
  t.equal(order(snapshot({ machines }), 'load'), 'b a')
  t.equal(order(snapshot({ machines }), 'load', need, { memory: 0 }), 'a b')
  t.throws(() => bindScheduler({ name: 'load', options: { memry: 1 } }), { code: 'KALI_ERR_SCHEDULER_INVALID', message: /option memry of load must be memory or left out/ })
  t.throws(() => bindScheduler({ name: 'load', options: { memory: 'much' } }), { code: 'KALI_ERR_SCHEDULER_INVALID', message: /must be a number/ })
  t.throws(() => bindScheduler({ name: 'load', options: { memory: NaN } }), { code: 'KALI_ERR_SCHEDULER_INVALID' })
  t.throws(() => bindScheduler({ name: 'rank', options: { constructor: 1 } }), { code: 'KALI_ERR_SCHEDULER_INVALID', message: /it has none/ })
  t.throws(() => bindScheduler({ name: 'rnak' }), { code: 'KALI_ERR_SCHEDULER_UNKNOWN', message: /There is no scheduler rnak\. There is rank, packing/ })
})

t.test('many at once: what was placed counts for the next', async (t) => {
  const needs = ['1', '2', '3', '4', '5'].map((n) => needOf(pending(n, { vcpus: 4, memoryMiB: 16_384 })))
  const small = (name: string): PoolSnapshot['machines'][number] => machine(name, { freeVcpus: 8, freeMemoryMiB: 65_536 })
  const pool = snapshot({ machines: [small('a'), small('b')] })
  t.same([...placeAll(needs, pool, { name: 'packing' }).placed], [['v-1', 'm-a'], ['v-2', 'm-a'], ['v-3', 'm-b'], ['v-4', 'm-b']])
  t.same([...placeAll(needs, pool, { name: 'striping' }).placed], [['v-1', 'm-a'], ['v-2', 'm-b'], ['v-3', 'm-a'], ['v-4', 'm-b']])
  t.same(placeAll(needs, pool, { name: 'rank' }).left, [{ vm: 'v-5', refused: { room: 2 } }])
  t.equal(pool.machines[0]?.freeVcpus, 8, 'the snapshot is as it was')
  const mixed = [needOf(pending('small', { memoryMiB: 512 })), needOf(pending('big', { memoryMiB: 60_000 })), { ...needOf(pending('first', { memoryMiB: 1 })), priority: 1 }]
  t.same([...placeAll(mixed, pool, { name: 'rank' }).placed.keys()], ['v-first', 'v-big', 'v-small'])
  t.same([...placeAll(mixed, pool, { name: 'rank' }, 'given').placed.keys()], ['v-small', 'v-big', 'v-first'])
  const apart = placeAll(needs.slice(0, 3), snapshot({ machines: [small('a'), small('b')], rules: [rule('r', 'apart', ['1', '2', '3'])] }), { name: 'packing' })
  t.same([[...apart.placed.values()], apart.left], [['m-a', 'm-b'], [{ vm: 'v-3', refused: { rule: 2 } }]])
})
