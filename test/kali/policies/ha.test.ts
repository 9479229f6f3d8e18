// High availability rule by rule (cloud.md section 5), on tables of snapshots, and properties over random pools.

import { fc } from '../../support/property.ts'
import t, { test } from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import type { MachineView, PoolSnapshot, VmView } from '../../../kali/cloud/contract.ts'
import { lossLimit, lostNow } from '../../../kali/policies/brake.ts'
import { ha } from '../../../kali/policies/ha.ts'
import type { HaMemory } from '../../../kali/policies/ha.ts'
import { deeds, machine, pending, protection, said, snapshot, START_MS, TIMINGS, vm } from '../../support/pool-snapshots.ts'

const random = (): number => 0.5
const decide = (of: Partial<PoolSnapshot>, memory?: HaMemory) => ha({ snapshot: snapshot(of), memory, random })
const on = (name: string, change: Partial<VmView> = {}): VmView => vm(name, { machine: 'm-a', protection, decidedAtMs: START_MS - 3_600_000, ...change })
const GONE: MachineView['lease'] = { state: 'gone', ageMs: 1_000 }
const five = (a: Partial<MachineView>, ...others: Partial<MachineView>[]): MachineView[] => ['a', 'b', 'c', 'd', 'e'].map((name, i) => machine(name, i === 0 ? a : others[i - 1] ?? {}))

interface Case { readonly name: string; readonly of: Partial<PoolSnapshot>; readonly does: readonly string[]; readonly says?: RegExp }
const CASES: readonly Case[] = [
  { name: 'all is well', of: { machines: five({}), vms: [on('w')] }, does: [] },
  { name: 'rule 2: the lease is gone and the VM armed', of: { machines: five({ lease: GONE, member: 'dead' }), vms: [on('w')] }, does: ['relocate v-w'] },
  { name: 'rule 2: gossip says dead, the lease stands', of: { machines: five({ member: 'dead' }), vms: [on('w')] }, does: [], says: /dead by gossip, and its lease stands.* at most 20 s/ },
  { name: 'rule 2: suspected', of: { machines: five({ member: 'suspect' }), vms: [on('w')] }, does: [], says: /suspect by gossip/ },
  { name: 'rule 2: dead and never armed needs a human', of: { machines: five({ member: 'dead', lease: GONE }), vms: [on('w', { protection: { ...protection, armed: false } })] }, does: [], says: /--host-is-dead/ },
  { name: 'rule 2: without protection nothing is moved', of: { machines: five({ member: 'dead', lease: GONE }), vms: [vm('w', { machine: 'm-a' })] }, does: [] },
  { name: 'rule 10: own contact shorter than a lease', of: { machines: five({ lease: GONE }), vms: [on('w')], contactMs: TIMINGS.leaseMs - 1 }, does: [], says: /without a gap for a whole lease of 20 s/ },
  { name: 'rule 10: exactly a lease', of: { machines: five({ lease: GONE }), vms: [on('w')], contactMs: TIMINGS.leaseMs }, does: ['relocate v-w'] },
  { name: 'rule 11: one lost of three does not brake', of: { machines: [machine('a', { lease: GONE }), machine('b'), machine('c')], vms: [on('w')] }, does: ['relocate v-w'] },
  { name: 'rule 11: two lost of five do', of: { machines: five({ lease: GONE, member: 'dead' }, { lease: GONE, member: 'dead' }), vms: [on('w'), on('x', { machine: 'm-b' })] }, does: [], says: /ALARM: 2 of 5/ },
  { name: 'rule 11: dead by gossip counts before its lease has run out', of: { machines: five({ lease: GONE }, { member: 'dead' }), vms: [on('w'), on('x', { machine: 'm-b' })] }, does: [], says: /ALARM/ },
  { name: 'rule 11: machines in maintenance and asleep are not lost', of: { machines: five({ lease: GONE }, { member: 'dead', lease: GONE, mode: 'maintenance' }, { member: 'dead', lease: GONE, power: { idleWatts: 1, fullWatts: 2, asleep: true } }), vms: [on('w')] }, does: ['relocate v-w'] },
  { name: 'rule 12: relocations used up', of: { machines: five({ lease: GONE }), vms: [on('w', { tries: { restarts: 0, relocations: 1, sinceMs: START_MS - 1_000 } })] }, does: ['give-up v-w'] },
  { name: 'rule 12: tries of an older window do not count', of: { machines: five({ lease: GONE }), vms: [on('w', { tries: { restarts: 0, relocations: 1, sinceMs: START_MS - 3_600_001 } })] }, does: ['relocate v-w'] },
  { name: 'rule 12: crashed with a restart left is its agent\'s', of: { machines: five({}), vms: [on('w', { phase: 'crashed' })] }, does: [] },
  { name: 'rule 12: crashed, and the agent does nothing', of: { machines: five({}), vms: [on('w', { phase: 'crashed', phaseSinceMs: START_MS - LIMITS.haPatienceMs })] }, does: ['retry v-w'] },
  { name: 'rule 12: crashed, reminded, and its agent has had no time yet', of: { machines: five({}), vms: [on('w', { phase: 'crashed', phaseSinceMs: START_MS - 40_000, decidedAtMs: START_MS - 1_000, tries: { restarts: 1, relocations: 0, sinceMs: START_MS } })] }, does: [] },
  { name: 'rule 12: crashed, reminded in vain', of: { machines: five({}), vms: [on('w', { phase: 'crashed', phaseSinceMs: START_MS - 70_000, decidedAtMs: START_MS - LIMITS.haPatienceMs, tries: { restarts: 1, relocations: 0, sinceMs: START_MS } })] }, does: ['relocate v-w'] },
  { name: 'rule 12: off after its guest shut down, and reminded in vain', of: { machines: five({}), vms: [on('w', { phase: 'shut-down', phaseSinceMs: START_MS - 70_000, decidedAtMs: START_MS - LIMITS.haPatienceMs, tries: { restarts: 1, relocations: 0, sinceMs: START_MS }, protection: { ...protection, onGuestShutdown: 'restart' } })] }, does: ['give-up v-w'] },
  { name: 'rule 12: crashed, restarts used up', of: { machines: five({}), vms: [on('w', { phase: 'crashed', tries: { restarts: 1, relocations: 0, sinceMs: START_MS } })] }, does: ['relocate v-w'] },
  { name: 'rule 12: crashed, everything used up', of: { machines: five({}), vms: [on('w', { phase: 'crashed', tries: { restarts: 1, relocations: 1, sinceMs: START_MS } })] }, does: ['give-up v-w'] },
  { name: 'rule 12: cannot be started there', of: { machines: five({}), vms: [on('w', { phase: 'failed', phaseSinceMs: START_MS - LIMITS.haPatienceMs })] }, does: ['relocate v-w'] },
  { name: 'rule 12: given up stays so until a human clears it', of: { machines: five({ lease: GONE }), vms: [on('w', { error: 'used up' })] }, does: [] },
  { name: 'rule 13: the guest shut itself down', of: { machines: five({ lease: GONE }), vms: [on('w', { phase: 'shut-down' })] }, does: [] },
  { name: 'rule 13: ... and is to be started again', of: { machines: five({}), vms: [on('w', { phase: 'shut-down', phaseSinceMs: START_MS - LIMITS.haPatienceMs, protection: { ...protection, onGuestShutdown: 'restart' } })] }, does: ['retry v-w'] },
  { name: 'rule 13: not wanted running', of: { machines: five({ lease: GONE }), vms: [on('w', { desired: 'stopped' })] }, does: [] },
  { name: 'pending is placed', of: { machines: five({}), vms: [pending('p')] }, does: ['place v-p'] },
  { name: 'pending without room waits and says so', of: { machines: five({}), vms: [pending('p', { vcpus: 17 })] }, does: [], says: /no machine of pool has room for 17 vcpus/ },
  { name: 'frozen', of: { mode: 'freeze', machines: five({ lease: GONE }), vms: [on('w'), pending('p')] }, does: [], says: /set to freeze/ },
  { name: 'priority first, then the biggest', of: { machines: five({ lease: GONE }), vms: [on('s'), on('b', { memoryMiB: 8_192 }), on('p', { protection: { ...protection, priority: 5 } })] }, does: ['relocate v-p', 'relocate v-b', 'relocate v-s'] },
]

for (const { name, of, does, says } of CASES) {
  test(name, (t) => {
    const out = decide(of)
    t.same(deeds(out), does)
    if (says === undefined) t.same(said(out), [])
    else t.match(said(out).join('\n'), says)
    t.end()
  })
}

test('a reason is told once, and what is tried is tried again with back-off', (t) => {
  const of = { machines: five({ lease: GONE }), vms: [on('w')], contactMs: 0 }
  const first = decide(of)
  t.equal(said(first).length, 1)
  t.same(said(decide({ ...of, atMs: START_MS + 1_000 }, first.memory)), [])
  const times: number[] = []
  let memory: HaMemory | undefined
  for (let ms = 0; ms < 60_000; ms += 500) {
    const out = decide({ ...of, contactMs: 3_600_000, atMs: START_MS + ms }, memory)
    if (deeds(out).length > 0) times.push(ms / 1_000)
    memory = out.memory
  }
  t.same(times, [0, 1, 3, 7, 15, 31], 'doubled each time')
  t.same(deeds(decide({ ...of, contactMs: 3_600_000, atMs: START_MS + 60_000, vms: [on('w', { epoch: 2 })] }, memory)), ['relocate v-w'], 'another epoch is another matter')
  t.end()
})

test('rule 11: a machine that died and is back empty, and so without a lease, is no loss any more', (t) => {
  const three = (a: Partial<MachineView>, b: Partial<MachineView> = {}): MachineView[] => [machine('a', a), machine('b', b), machine('c', { freeMemoryMiB: 0 })]
  const died = decide({ machines: three({ member: 'dead', lease: GONE }), vms: [on('w')] })
  t.same(deeds(died), ['relocate v-w'])
  const moved = (atMs: number): Partial<PoolSnapshot> => ({ atMs, vms: [on('w', { machine: 'm-b', epoch: 2 })] })
  const back = decide({ ...moved(START_MS + 20_000), machines: three({ lease: GONE }) }, died.memory)
  t.same([back.memory.lost, back.memory.dead], [{}, undefined])
  const again = decide({ ...moved(START_MS + 60_000), machines: three({ lease: GONE }, { member: 'dead', lease: GONE }) }, back.memory)
  t.same([deeds(again), again.memory.brake], [['relocate v-w'], undefined], 'the next loss is one loss, and the first machine takes')
  const cutOff = decide({ machines: three({ lease: GONE }), vms: [on('w')] })
  t.match(decide({ ...moved(START_MS + 20_000), machines: three({ lease: GONE }) }, cutOff.memory).memory.lost, { 'm-a': START_MS }, 'alive all the time, it may still be cut off from the store')
  t.end()
})

test('rule 11: hosts whose protected VMs have ended, as they said themselves, are not lost', (t) => {
  const ended = snapshot({
    machines: [machine('a', { lease: GONE }), machine('b', { lease: GONE }), machine('c')],
    vms: [vm('w', { machine: 'm-a', protection, phase: 'crashed' }), vm('x', { machine: 'm-b', protection, phase: 'running', error: 'given up' })],
  })
  t.same([...lostNow(ended)], [])
  t.same([...lostNow({ ...ended, vms: [vm('w', { machine: 'm-a', protection })] })], ['m-a'])
  t.end()
})

test('rule 11: the brake holds until machines are back, or a human sets the mode', (t) => {
  const vms = [on('w'), on('x', { machine: 'm-b' })]
  const lost: Partial<MachineView> = { lease: GONE, member: 'dead' }
  let memory = decide({ machines: five(lost, lost), vms }).memory
  t.equal(memory.brake?.sinceMs, START_MS)
  memory = decide({ machines: five(lost, lost), vms, atMs: START_MS + 2 * LIMITS.haBrakeWindowMs }, memory).memory
  t.ok(memory.brake, 'time alone does not release it')
  const back = decide({ machines: five(lost, {}), vms, atMs: START_MS + 3 * LIMITS.haBrakeWindowMs }, memory)
  t.same([deeds(back), back.memory.brake], [['relocate v-w'], undefined], 'one of two is back')
  const word = decide({ machines: five(lost, lost), vms, atMs: START_MS + 60_000, modeAtMs: START_MS + 59_000 }, decide({ machines: five(lost, lost), vms }).memory)
  t.same([deeds(word), word.memory.brake], [['relocate v-w', 'relocate v-x'], undefined], 'a human has seen it')
  t.ok(decide({ machines: five(lost, lost, lost, lost), vms, atMs: START_MS + 61_000, modeAtMs: START_MS + 59_000 }, word.memory).memory.brake, 'what is lost after that counts again')
  // Rolling loss: VMs have moved off the first machine when the second one goes.
  const first = decide({ machines: five({ lease: GONE }), vms: [on('w')] }).memory
  t.ok(decide({ machines: five({ lease: GONE }, { lease: GONE }), vms: [on('w', { machine: 'm-c', epoch: 2 }), on('x', { machine: 'm-b' })], atMs: START_MS + 60_000 }, first).memory.brake, 'two within the window')
  t.same(deeds(decide({ machines: five({ lease: GONE }, { lease: GONE }), vms: [on('w', { machine: 'm-c', epoch: 2 }), on('x', { machine: 'm-b' })], atMs: START_MS + LIMITS.haBrakeWindowMs }, first)), ['relocate v-x'], 'and not when it is over')
  t.same([1, 2, 3, 5, 6, 7, 10, 100].map(lossLimit), [1, 1, 1, 1, 1, 2, 3, 30])
  t.end()
})

test('starts are limited by machines and rounds', (t) => {
  const vms = Array.from({ length: 100 }, (_, i) => on(`w${String(i).padStart(3, '0')}`))
  const out = decide({ machines: five({ lease: GONE }), vms })
  t.equal(deeds(out).length, 4 * LIMITS.policyStartsPerMachine)
  t.match(said(out).join('\n'), /the rest waits/)
  t.equal(deeds(decide({ machines: Array.from({ length: 50 }, (_, i) => machine(`x${i}`)).concat(machine('a', { lease: GONE })), vms })).length, LIMITS.policyActionsMax)
  t.end()
})

const machines = fc.array(fc.record({ member: fc.constantFrom<MachineView['member']>('alive', 'suspect', 'dead', 'left', 'unknown'), lease: fc.constantFrom<MachineView['lease']>(GONE, { state: 'held', ageMs: 5 }) }), { minLength: 1, maxLength: 8 })
const vms = fc.array(fc.record({
  at: fc.nat(9), armed: fc.boolean(), phase: fc.constantFrom<NonNullable<VmView['phase']>>('creating', 'running', 'crashed', 'failed', 'shut-down'), relocations: fc.nat(2), restarts: fc.nat(2),
  desired: fc.constantFrom<VmView['desired']>('running', 'stopped', 'absent'), sinceMs: fc.nat(60_000),
}), { maxLength: 12 })
const poolOf = (at: readonly Partial<MachineView>[], those: readonly { readonly at: number; readonly armed: boolean; readonly phase: NonNullable<VmView['phase']>; readonly relocations: number; readonly restarts: number; readonly desired: VmView['desired']; readonly sinceMs: number }[], contactMs: number) => ({
  machines: at.map((change, i) => machine(String(i), change)), contactMs,
  vms: those.map((one, i) => vm(`w${i}`, { machine: `m-${one.at % at.length}`, desired: one.desired, phase: one.phase, phaseSinceMs: START_MS - one.sinceMs, protection: { ...protection, armed: one.armed }, tries: { restarts: one.restarts, relocations: one.relocations, sinceMs: START_MS } })),
})

test('never relocated while its host may run it', (t) => {
  fc.assert(fc.property(machines, vms, fc.nat(40_000), (at, those, contactMs) => {
    const of = poolOf(at, those, contactMs)
    const { proposals } = decide(of)
    for (const { action } of proposals) {
      if (action.do !== 'relocate') continue
      const one = of.vms.find(({ uuid }) => uuid === action.vm) as VmView, host = of.machines.find(({ uuid }) => uuid === one.machine) as MachineView
      const lost = host.lease.state === 'gone' && one.protection?.armed === true && contactMs >= TIMINGS.leaseMs
      const downThere = host.member === 'alive' && !(one.protection?.armed === true && host.lease.state === 'gone') && (one.phase === 'crashed' || one.phase === 'failed')
      if (!lost && !downThere) return false
      if (one.tries.relocations >= protection.relocations || one.desired !== 'running' || action.epoch !== one.epoch) return false
    }
    return true
  }), { numRuns: 2_000 })
  t.end()
})

test('rule 11: nothing is done when more than the limit are dead', (t) => {
  fc.assert(fc.property(machines, vms, (at, those) => {
    const of = poolOf(at, those, 3_600_000)
    const dead = of.machines.filter(({ uuid, member, lease }) => member === 'dead' && (lease.state === 'gone' || of.vms.some((one) => one.machine === uuid && one.protection?.armed === true && one.desired === 'running')))
    return dead.length <= lossLimit(of.machines.length) || deeds(decide(of)).length === 0
  }), { numRuns: 2_000 })
  t.end()
})

test('the same input gives the same output, and changes nothing of it', (t) => {
  fc.assert(fc.property(machines, vms, fc.nat(40_000), (at, those, contactMs) => {
    const of = snapshot(poolOf(at, those, contactMs))
    const before = JSON.stringify(of)
    const answer = JSON.stringify(ha({ snapshot: of, memory: undefined, random }))
    return answer === JSON.stringify(ha({ snapshot: JSON.parse(before) as PoolSnapshot, memory: undefined, random })) && JSON.stringify(of) === before
  }))
  t.end()
})

t.end()
