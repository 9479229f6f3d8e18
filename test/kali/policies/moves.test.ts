// Consolidation and rebalancing (cloud.md 8.14): threshold, hold, gain, rest, limits, rules.

import t, { test } from 'tap'
import type { MachineView, PoolSnapshot, VmView } from '../../../kali/cloud/contract.ts'
import { consolidation } from '../../../kali/policies/consolidation.ts'
import type { ConsolidationMemory } from '../../../kali/policies/consolidation.ts'
import { forecast } from '../../../kali/policies/forecast.ts'
import { rebalance } from '../../../kali/policies/rebalance.ts'
import type { RebalanceMemory } from '../../../kali/policies/rebalance.ts'
import { deeds, machine, pending, protection, snapshot, START_MS, vm } from '../../support/pool-snapshots.ts'

const random = (): number => 0.5
/** A machine with so many VMs of one vcpu and one GiB booked. */
const booked = (name: string, vms: number, change: Partial<MachineView> = {}): MachineView =>
  machine(name, { booked: { vms, vcpus: vms, memoryMiB: vms * 1_024 }, freeVcpus: 16 - vms, freeMemoryMiB: 65_536 - vms * 1_024, ...change })
const vmsOn = (name: string, count: number, change: Partial<VmView> = {}): readonly VmView[] => Array.from({ length: count }, (_, i) => vm(`${name}${i}`, { machine: `m-${name}`, cpuRatio: 0.2, ...change }))

/** So many rounds with the same snapshot; what the last one does. */
function consolidate(of: Partial<PoolSnapshot>, count = 3, memory?: ConsolidationMemory): ReturnType<ReturnType<typeof consolidation>> {
  const decide = consolidation({ minGainWatts: 20 })
  let out = decide({ snapshot: snapshot(of), memory, random })
  for (let i = 1; i < count; i++) out = decide({ snapshot: snapshot({ ...of, atMs: START_MS + i * 30_000 }), memory: out.memory, random })
  return out
}
const LIGHT = { machines: [booked('a', 2), booked('b', 4), booked('c', 6)], vms: [...vmsOn('a', 2), ...vmsOn('b', 4), ...vmsOn('c', 6)] }
const asleep = { power: { idleWatts: 50, fullWatts: 300, asleep: true } }

test('the least booked machine is emptied onto the fullest, after a hold', (t) => {
  t.same(deeds(consolidate(LIGHT, 2)), [])
  const out = consolidate(LIGHT)
  t.same(out.proposals.map(({ action }) => action), [{ do: 'migrate', vm: 'v-a0', epoch: 1, to: 'm-c' }, { do: 'migrate', vm: 'v-a1', epoch: 1, to: 'm-c' }])
  t.same(deeds(consolidate(LIGHT, 1, out.memory)), [], 'they rest')
  t.same(deeds(consolidate({ ...LIGHT, vms: LIGHT.vms.map((one) => (one.uuid === 'v-b0' ? { ...one, phase: 'migrating' as const } : one)), pool: { ...snapshot().pool, migrations: { perHost: 2, perPool: 2 } } })), ['migrate v-a0'], 'the pool\'s limit')
  t.end()
})

test('not when: rules, busy targets, little to gain, a machine lost, frozen, somebody else\'s VMs there', (t) => {
  const rules = [{ name: 'r', pool: 'pool-1', type: 'on' as const, hard: true, vms: ['a0'], machines: ['a'] }]
  t.notOk(deeds(consolidate({ ...LIGHT, rules })).some((deed) => deed.includes('v-a')), 'a rule keeps a VM there')
  t.same(deeds(consolidate({ ...LIGHT, machines: LIGHT.machines.map((one) => ({ ...one, cpuRatio: 0.9 })) })), [])
  t.same(deeds(consolidate({ ...LIGHT, machines: LIGHT.machines.map((one) => ({ ...one, power: { idleWatts: 10, fullWatts: 20, asleep: false } })) })), [])
  t.same(deeds(consolidate({ ...LIGHT, machines: [...LIGHT.machines, machine('d', { member: 'dead', lease: { state: 'gone', ageMs: 1 } })] })), [])
  t.same(deeds(consolidate({ ...LIGHT, mode: 'freeze' })), [])
  t.notOk(deeds(consolidate({ ...LIGHT, machines: LIGHT.machines.map((one) => (one.name === 'a' ? { ...one, foreign: { vms: 1, vcpus: 1, memoryMiB: 1 } } : one)) })).some((deed) => deed.includes('v-a')))
  t.end()
})

test('an empty machine sleeps when room is left, and one wakes before it is short', (t) => {
  const of = { machines: [booked('a', 0), booked('b', 4)], vms: vmsOn('b', 4) }
  t.same([deeds(consolidate(of, 2)), deeds(consolidate(of))], [[], ['sleep m-a']])
  t.same(deeds(consolidate({ machines: [booked('a', 0), booked('b', 13)], vms: vmsOn('b', 13) })), [], 'less than twice the headroom would be left')
  t.same(deeds(consolidate({ ...of, pool: { ...snapshot().pool, survivesHosts: 1 } })), [], 'one host may be lost')
  t.same(deeds(consolidate({ machines: [booked('a', 0, asleep), booked('b', 15)], vms: vmsOn('b', 15) }, 1)), ['wake m-a'], 'at once')
  t.same(deeds(consolidate({ machines: [booked('a', 0, asleep), booked('b', 10)], vms: [...vmsOn('b', 10), pending('p', { vcpus: 8 })] }, 1)), ['wake m-a'], 'for one without room')
  t.same(deeds(consolidate({ machines: [booked('a', 0, asleep), booked('b', 10), booked('c', 8, { member: 'dead', lease: { state: 'gone', ageMs: 1 } })], vms: [...vmsOn('b', 10), ...vmsOn('c', 1, { vcpus: 8, protection })] }, 1)), ['wake m-a'], 'for one whose host is lost')
  t.same(deeds(consolidate({ machines: [booked('a', 0, asleep), booked('b', 12)], vms: vmsOn('b', 12) }, 5)), [], 'between the two marks nothing changes')
  t.end()
})

test('it comes to rest: emptied, asleep, and not back', (t) => {
  const decide = consolidation()
  let memory: ConsolidationMemory | undefined
  let machines: readonly MachineView[] = LIGHT.machines
  let vms: readonly VmView[] = LIGHT.vms
  const did: string[] = []
  for (let i = 0; i < 300; i++) {
    machines = machines.map((one) => { const count = vms.filter((each) => each.machine === one.uuid).length; return { ...one, ...booked(one.name, count), power: one.power } })
    const out = decide({ snapshot: snapshot({ machines, vms, atMs: START_MS + i * 30_000 }), memory, random })
    memory = out.memory
    for (const { action } of out.proposals) {
      if (action.do === 'migrate') vms = vms.map((each) => (each.uuid === action.vm ? { ...each, machine: action.to ?? '', epoch: each.epoch + 1 } : each))
      if (action.do === 'sleep' || action.do === 'wake') { did.push(`${action.do} ${action.machine}`); machines = machines.map((one) => (one.uuid === action.machine ? { ...one, power: { ...one.power, asleep: action.do === 'sleep' } } : one)) }
    }
  }
  t.same(did, ['sleep m-a', 'sleep m-b'], 'twelve of sixteen vcpus are on one machine, a quarter is free')
  t.equal(new Set(vms.map((each) => each.machine)).size, 1)
  t.end()
})

test('rebalance: threshold, hold, the best move, gain, rest, rules', (t) => {
  const of = (hot: number, change: Partial<PoolSnapshot> = {}): Partial<PoolSnapshot> => ({
    machines: [machine('a', { cpuRatio: hot }), machine('b', { cpuRatio: 0.2 }), machine('c', { cpuRatio: 0.1 })],
    vms: [vm('big', { machine: 'm-a', vcpus: 8, cpuRatio: 0.6 }), vm('small', { machine: 'm-a', vcpus: 1, cpuRatio: 0.5 })], ...change,
  })
  const run = (one: Partial<PoolSnapshot>, count = 3, before?: RebalanceMemory): ReturnType<ReturnType<typeof rebalance>> => {
    let out = rebalance()({ snapshot: snapshot(one), memory: before, random })
    for (let i = 1; i < count; i++) out = rebalance()({ snapshot: snapshot({ ...one, atMs: START_MS + i * 30_000 }), memory: out.memory, random })
    return out
  }
  t.same(deeds(run(of(0.9), 2)), [])
  const out = run(of(0.9))
  t.same(out.proposals.map(({ action }) => action), [{ do: 'migrate', vm: 'v-big', epoch: 1, to: 'm-c' }])
  t.same(deeds(run(of(0.9), 3, out.memory)), [], 'it rests, and the small one helps too little')
  t.same(deeds(run(of(0.4))), [], 'under the threshold')
  t.same(deeds(run(of(0.9, { mode: 'freeze' }))), [])
  t.same(run(of(0.9, { rules: [{ name: 'r', pool: 'pool-1', type: 'not-on', hard: true, vms: ['big'], machines: ['c'] }] })).proposals.map(({ action }) => ('to' in action ? action.to : '')), ['m-b'])
  t.end()
})

test('a forecast is a straight line, never below nothing', (t) => {
  t.equal(forecast([{ atMs: 0, load: 1 }, { atMs: 10, load: 2 }], 20), 3)
  t.equal(forecast([{ atMs: 0, load: 2 }, { atMs: 10, load: 1 }], 100), 0)
  t.same([forecast([], 5), forecast([{ atMs: 0, load: 4 }], 5)], [0, 4])
  t.end()
})

t.end()
