// Elastic groups rule by rule (cloud.md section 6), over groups that live on virtual time, and properties over random loads.

import { fc } from '../../support/property.ts'
import t, { test } from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import type { PoolSnapshot } from '../../../kali/cloud/contract.ts'
import { elasticity } from '../../../kali/policies/elasticity.ts'
import type { ElasticMemory } from '../../../kali/policies/elasticity.ts'
import { boundsAt, scheduleProblem } from '../../../kali/policies/elastic-schedule.ts'
import { GroupLife } from '../../support/elastic-group.ts'
import type { GroupLifeOptions } from '../../support/elastic-group.ts'
import { deeds, group, machine, member, said, snapshot, SPEC, START_MS } from '../../support/pool-snapshots.ts'

const MINUTE = 60_000
const A = [machine('a', { freeVcpus: 64 })]
const round = (of: Partial<PoolSnapshot>, memory?: ElasticMemory) => elasticity()({ snapshot: snapshot({ machines: A, groups: [group()], ...of }), memory, random: () => 0.5 })
/** Rounds with the same members, each one period. */
function rounds(count: number, of: Partial<PoolSnapshot>): ReturnType<typeof round> {
  let out = round(of)
  for (let i = 1; i < count; i++) out = round({ ...of, atMs: START_MS + i * SPEC.periodMs }, out.memory)
  return out
}
const shared = (load: number | ((atMs: number) => number), options: Partial<GroupLifeOptions> = {}): GroupLife =>
  new GroupLife({ load: (atMs) => ({ shared: typeof load === 'number' ? load : load(atMs) }), ...options })

test('rule 1: two thresholds, and those left stay a margin under `out`', (t) => {
  const at = (cpuRatio: number, numbers: readonly number[], spec = {}) => deeds(rounds(3, { groups: [group({ original: 'v-web' }, { cooldownInMs: 0, ...spec })], vms: numbers.map((number) => member(number, { cpuRatio })) }))
  t.same(at(0.81, [0]), ['grow 1'])
  t.same(at(0.8, [0]), [], 'over, not at')
  t.same(at(0.5, [0, 1]), [])
  t.same(at(0.29, [0, 1]), ['shrink v-web-1'])
  t.same(at(0.45, [0, 1], { in: 0.6 }), [], '0.45 x 2 / 1 is over out: one machine could not carry it')
  t.same(at(0.36, [0, 1], { in: 0.6 }), [], '0.72 is under 0.8, and not by the margin')
  t.same(at(0.34, [0, 1], { in: 0.6 }), ['shrink v-web-1'])
  t.end()
})

test('rule 2: k in a row, a miss resets, no data is a miss', (t) => {
  const hot = { vms: [member(0, { cpuRatio: 0.9 })] }, cold = { vms: [member(0, { cpuRatio: 0.7 })] }
  const { cpuRatio: _, ...silent } = member(0)
  const play = (...of: readonly Partial<PoolSnapshot>[]): readonly string[] => {
    let memory: ElasticMemory | undefined, all: string[] = []
    of.forEach((one, i) => { const out = round({ ...one, atMs: START_MS + i * SPEC.periodMs }, memory); memory = out.memory; all = [...all, ...deeds(out)] })
    return all
  }
  t.same(play(hot, hot), [])
  t.same(play(hot, hot, hot), ['grow 1'])
  t.same(play(hot, hot, cold, hot, hot), [])
  t.same(play(hot, hot, { vms: [silent] }, hot, hot), [])
  const between = round({ ...hot, atMs: START_MS + 1_000 }, round(hot).memory)
  t.equal(between.memory.groups['g-web']?.outHits, 1, 'rounds between two periods are no evaluations')
  t.end()
})

test('rule 3: capacity is ready and in flight; in flight expires and is replaced, not added', (t) => {
  const life = shared(1.5, { bootMs: 60_000 }).run(10 * MINUTE)
  t.equal(life.names.length, 2, 'one more carries it; while it boots no further one is asked for')
  const stuck = shared(1.5, { spec: { flightMs: 5 * MINUTE, max: 2 }, launch: (name) => (name === '1' ? 'stuck' : 'made') }).run(4 * MINUTE)
  t.same(stuck.names, ['web', 'web-1'])
  stuck.run(4 * MINUTE)
  t.same(stuck.names, ['web', 'web-2'], 'given up, taken away, and one in its place')
  t.equal(Math.max(...stuck.moments.map(({ wanted }) => wanted)), 2, 'never more than max meanwhile')
  t.end()
})

test('rule 3: what was asked for counts before it is seen, and is the same member when asked for again', (t) => {
  const life = shared(0.95)
  while (life.growths.length === 0) life.round()
  const memory = life.memory
  t.equal(memory?.groups['g-web']?.asked.length, 1)
  const repeated = shared(0.95)
  repeated.run(10_000)
  for (let i = 0; i < 5; i++) repeated.round(1_000, 'lost')
  repeated.run(60_000)
  t.same(repeated.names, ['web', 'web-1'], 'an answer that got lost makes no second member')
  t.end()
})

test('rule 4: a member that warms up counts as idle for more, and not at all for less', (t) => {
  const spec = { readyText: 'up', warmUpMs: 60_000 }
  const young = { phaseSinceMs: START_MS - 1_000 }
  t.same(deeds(rounds(3, { groups: [group({ original: 'v-web' }, spec)], vms: [member(0, { cpuRatio: 1 }), member(1, { cpuRatio: 1, ...young })] })), [], '(1 + 0) / 2 is under 0.8')
  const out = rounds(1, { groups: [group({ original: 'v-web' }, spec)], vms: [member(0, { cpuRatio: 0.7 }), member(1, { cpuRatio: 0, ...young })] })
  t.equal(out.notes?.['g-web']?.['meanIn'], 0.7)
  t.end()
})

test('rule 5: silent members count as idle for more and as loaded for less; none at all changes nothing', (t) => {
  const { cpuRatio: _, ...silent } = member(1)
  const { cpuRatio: __, ...silent0 } = member(0)
  const of = (vms: PoolSnapshot['vms'], spec = {}) => rounds(3, { groups: [group({ original: 'v-web' }, { cooldownInMs: 0, ...spec })], vms })
  t.same(deeds(of([member(0, { cpuRatio: 1 }), silent])), [])
  t.same(deeds(of([member(0, { cpuRatio: 0.01 }), silent])), [], '(0.01 + 0.8) / 2 is not under 0.3')
  t.same(deeds(of([silent0, silent])), [])
  t.same(deeds(round({ groups: [group({}, { min: 2 })], vms: [silent0] })), ['grow 1'], 'but min is kept')
  const metric = (value: number | undefined) => deeds(rounds(3, { groups: [group({}, { metric: { type: 'function', name: 'queue' } })], vms: [member(0)], metrics: { 'g-web': value } }))
  t.same([metric(0.9), metric(undefined), metric(Number.NaN)], [['grow 1'], [], []], 'an own metric likewise')
  t.end()
})

test('rule 6: cooldowns begin when a change is complete; growing breaks that of a shrinking', (t) => {
  // Its load does not spread: each further member is as busy.
  const burning = new GroupLife({ bootMs: 40_000, load: () => ({ each: 1 }), spec: { hold: 2, cooldownOutMs: 60_000 } }).run(10 * MINUTE)
  const [first = 0, second = 0] = burning.growths
  t.ok(second - first >= 40 + 60, `asked ${first} s, ready after 40 s, cool after 60 s more: ${second} s`)
  t.ok(second - first <= 40 + 60 + 10)
  const life = shared((atMs) => (atMs < 10 * MINUTE ? 1.8 : atMs < 22 * MINUTE ? 0.3 : 1.9))
  life.run(22 * MINUTE)
  const shrunk = life.shrinkings.at(-1) ?? 0
  t.ok(shrunk > 600 && life.names.length < 3, `shrunk at ${shrunk} s`)
  life.run(MINUTE)
  t.ok((life.growths.at(-1) ?? 0) > 1_320, 'grown within the cooldown for less')
  t.end()
})

test('rule 7: the highest wish of five minutes decides how far, stepIn how fast', (t) => {
  const life = shared((atMs) => (atMs < 15 * MINUTE ? 3 : 0.2), { spec: { cooldownInMs: 60_000 } }).run(15 * MINUTE)
  t.equal(life.names.length, 4)
  life.run(4 * MINUTE)
  t.equal(life.names.length, 4, 'it was wanted within the last five minutes')
  life.run(2 * MINUTE)
  t.equal(life.names.length, 3, 'one at a time')
  life.run(10 * MINUTE)
  t.same(life.names, ['web'], 'down to min, and the original stays')
  t.end()
})

test('rule 8: min at once, without cooldown; no room is said and does not turn round', (t) => {
  const life = shared(0.1, { spec: { min: 3, stepOut: 2 } })
  life.round()
  t.equal(life.names.length, 3, 'in the first round')
  life.round()
  life.kill('web-1')
  life.round()
  t.same(life.names, ['web', 'web-2', 'web-3'], 'in the next round, under a new number')
  const full = round({ machines: [machine('a', { freeVcpus: 0 })], groups: [group({}, { min: 2 })], vms: [member(0)] })
  t.same(deeds(full), [])
  t.match(said(full), [/no room for one/])
  t.same(said(round({ machines: [machine('a', { freeVcpus: 0 })], groups: [group({}, { min: 2 })], vms: [member(0)], atMs: START_MS + 1_000 }, full.memory)), [], 'once')
  t.same(deeds(round({ machines: [machine('a', { freeVcpus: 1 })], groups: [group({}, { min: 4, stepOut: 4 })], vms: [member(0)] })), ['grow 1'], 'as many as there is room for')
  t.end()
})

test('rule 11: failed launches back off and suspend the group in the end', (t) => {
  const life = shared(0.95, { launch: () => 'refused' }).run(3 * 60 * MINUTE)
  const gaps = life.growths.slice(1).map((at, i) => at - (life.growths[i] ?? 0))
  t.same(gaps.slice(0, 4).map((gap) => Math.round((gap - LIMITS.elasticAskedMs / 1_000) / 9)), [1, 2, 4, 8], `doubled from 9 s: ${gaps.join(', ')}`)
  t.ok(Math.max(...gaps) <= 900 + 10)
  t.equal(life.growths.length, LIMITS.elasticFailuresMax)
  t.match(life.memory?.groups['g-web']?.suspended, /15 launches in a row have failed/)
  life.group = { ...life.group, spec: { ...life.group.spec, max: 5 } }
  life.run(MINUTE)
  t.equal(life.growths.length, LIMITS.elasticFailuresMax + 3, 'somebody has looked at it: from the beginning')
  const broken = shared(0.95, { launch: (name) => (Number(name) < 3 ? 'failed' : 'made') }).run(10 * MINUTE)
  t.same(broken.names, ['web', 'web-3'], 'what cannot be made is taken away and replaced')
  t.equal(broken.memory?.groups['g-web']?.failures, 0, 'a launch that succeeds ends the row')
  t.end()
})

test('rule 12: a member killed by hand is a normal input, at any moment', (t) => {
  for (const killAt of [5, 12, 20, 30, 60, 200]) {
    const life = shared(1.5, { bootMs: 30_000 })
    life.run(killAt * 1_000)
    for (const name of life.names) if (name !== 'web') life.kill(name)
    life.run(15 * MINUTE)
    t.equal(life.names.length, 2, `killed at ${killAt} s`)
  }
  const leaving = shared((atMs) => (atMs < 10 * MINUTE ? 1.5 : 0.1), { leaveMs: 1e9 }).run(60 * MINUTE)
  t.same(leaving.names, ['web'], 'one that never goes does not hold up the group')
  t.end()
})

test('rule 13: load that does not spread: to max, and no further (Figure 4)', (t) => {
  const life = new GroupLife({ bootMs: 25_000, load: (atMs) => ({ each: atMs < 200_000 ? 0.1 : 1 }), spec: { hold: 5, cooldownOutMs: 45_000 } }).run(60 * MINUTE)
  t.equal(life.growths.length, 3, `grown at ${life.growths.join(', ')} s`)
  t.equal(life.names.length, 4)
  t.same(life.shrinkings, [])
  const gaps = life.growths.slice(1).map((at, i) => at - (life.growths[i] ?? 0))
  t.ok(gaps.every((gap) => gap >= 70 && gap < 120), `one after the other is ready: ${gaps.join(', ')} s, the paper's were 118 and 99 s`)
  t.end()
})

test('given up by HA: replaced; frozen and paused: nothing', (t) => {
  const of = (spec = {}) => ({ groups: [group({ original: 'v-web' }, spec)], vms: [member(0), member(1, { error: 'no host' })] })
  const out = round(of())
  t.same(deeds(out), ['shrink v-web-1', 'grow 2'])
  t.same(deeds(round({ ...of({ max: 2 }) })), ['shrink v-web-1'], 'at max the room must be free first')
  t.same(deeds(round({ ...of(), mode: 'freeze' })), [])
  t.same(deeds(round({ ...of(), groups: [group({ paused: true })] })), [])
  t.match(said(round({ ...of(), mode: 'freeze' })), [/set to freeze/])
  t.end()
})

test('schedules: UTC, over midnight and the end of the week, under max', (t) => {
  const at = (text: string, schedule: NonNullable<typeof SPEC.schedule>) => { const { min, max } = boundsAt({ min: 1, max: 4, schedule }, Date.parse(text)); return [min, max] }
  const office = [{ from: '08:00', to: '18:00', min: 3 }]
  t.same(['2026-01-01T07:59Z', '2026-01-01T08:00Z', '2026-01-01T17:59:59Z', '2026-01-01T18:00Z'].map((one) => at(one, office)[0]), [1, 3, 3, 1])
  t.same(['21:59', '22:00', '05:59', '06:00'].map((one) => at(`2026-01-01T${one}Z`, [{ from: '22:00', to: '06:00', max: 1 }])[1]), [4, 1, 1, 4])
  // 1 January 2026 is a Thursday.
  t.same(['2026-01-01', '2026-01-03', '2026-01-04', '2026-01-05'].map((one) => at(`${one}T12:00Z`, [{ from: 'Sat 00:00', to: 'Mon 00:00', max: 2 }])[1]), [4, 2, 2, 4])
  t.same(at('2026-01-01T09:00Z', [{ from: '08:00', to: '18:00', min: 9, max: 9 }]), [4, 4], 'max stands above')
  t.same(at('2026-01-01T09:00Z', [{ from: '8 am', to: '18:00', min: 3 }]), [1, 4])
  t.match(scheduleProblem({ from: '8 am', to: '18:00' }), /"8 am" is no time/)
  t.match(scheduleProblem({ from: 'Mon 08:00', to: '18:00' }), /weekday/)
  const life = shared(0.1, { spec: { schedule: [{ from: '00:10', to: '00:20', min: 3 }, { from: '00:20', to: '00:30', max: 2 }], stepOut: 2 } })
  life.run(9 * MINUTE)
  t.equal(life.names.length, 1)
  life.run(2 * MINUTE)
  t.equal(life.names.length, 3)
  life.run(10 * MINUTE)
  t.equal(life.names.length, 2, 'a lower max takes them away at once')
  t.end()
})

const boots = fc.record({ bootMs: fc.integer({ min: 1_000, max: 200_000 }), leaveMs: fc.integer({ min: 1_000, max: 150_000 }), min: fc.integer({ min: 1, max: 2 }), max: fc.integer({ min: 2, max: 6 }), stepOut: fc.integer({ min: 1, max: 3 }), hold: fc.integer({ min: 1, max: 4 }) })

test('whatever the load and its fate: within min and max, never more than stepOut in a round', (t) => {
  fc.assert(fc.property(boots, fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { minLength: 1, maxLength: 20 }), fc.array(fc.constantFrom('made' as const, 'made' as const, 'refused' as const, 'stuck' as const, 'failed' as const), { minLength: 1, maxLength: 8 }), fc.array(fc.nat(1_200), { maxLength: 4 }),
    ({ bootMs, leaveMs, ...spec }, loads, fates, kills) => {
      const life = shared((atMs) => loads[Math.floor(atMs / MINUTE) % loads.length] ?? 0, { bootMs, leaveMs, spec: { ...spec, flightMs: 4 * MINUTE }, launch: (name) => fates[Number(name) % fates.length] ?? 'made' })
      while (life.atMs < 20 * MINUTE) {
        if (kills.includes(life.atMs / 1_000)) { const name = life.names.at(-1); if (name !== undefined && name !== 'web') life.kill(name) }
        life.round(1_000)
        const { wanted, grown } = life.moments.at(-1) ?? { wanted: 0, grown: 0 }
        if (wanted > spec.max || grown > spec.stepOut || !life.names.includes('web')) return false
      }
      return true
    }), { numRuns: 15 })
  t.end()
})

/** Changes of direction: out after in, or in after out. */
function reversals(life: GroupLife): readonly number[] {
  const moves = life.moments.flatMap(({ atMs, grown, shrunk }) => (grown > 0 ? [{ atMs, to: 'out' }] : shrunk > 0 ? [{ atMs, to: 'in' }] : []))
  return moves.flatMap(({ atMs, to }, i) => (i > 0 && moves[i - 1]?.to !== to ? [atMs] : []))
}

test('a constant load leads to no reversal, a slowly changing one to at most two in half an hour', (t) => {
  fc.assert(fc.property(boots, fc.double({ min: 0, max: 5, noNaN: true }), ({ bootMs, leaveMs, ...spec }, load) => reversals(shared(load, { bootMs, leaveMs, spec }).run(40 * MINUTE, 5_000)).length === 0), { numRuns: 30 })
  fc.assert(fc.property(boots, fc.double({ min: 0.5, max: 3, noNaN: true }), fc.integer({ min: 30, max: 120 }), ({ bootMs, leaveMs, ...spec }, mean, periodMinutes) => {
    const life = shared((atMs) => mean * (1 + Math.sin((atMs / (periodMinutes * MINUTE)) * 2 * Math.PI) / 2), { bootMs, leaveMs, spec }).run(3 * 60 * MINUTE, 5_000)
    const at = reversals(life)
    return at.every((one) => at.filter((other) => other >= one && other < one + 30 * MINUTE).length <= 2)
  }), { numRuns: 12 })
  t.end()
})

t.end()
