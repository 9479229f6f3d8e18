// Rules that cannot be kept are refused with what stands against them; and admission: the promise to survive lost hosts.

import t from 'tap'
import { admissionProblem, needOf, survives } from '../../../kali/placement/admission.ts'
import { createChoose } from '../../../kali/placement/choose.ts'
import { placeAll } from '../../../kali/placement/batch.ts'
import { problemsOf, ruleProblem } from '../../../kali/placement/rules.ts'
import { SimClock } from '../../../fabric/mod.ts'
import type { PoolSnapshot, RuleRecord, VmView } from '../../../kali/cloud/contract.ts'
import { machine, pending, protection, snapshot, vm } from '../../support/pool-snapshots.ts'
import { fc } from '../../support/property.ts'
import { anyPool, rule } from './any-pool.ts'

const three = [machine('a'), machine('b'), machine('c')]
const vms = ['v1', 'v2', 'v3', 'v4'].map((name) => vm(name, { vcpus: 4, memoryMiB: 16_384, labels: { tier: name === 'v1' ? 'front' : 'back' } }))

t.test('refused, with the reason', async (t) => {
  const cases: readonly (readonly [string, RuleRecord, readonly RuleRecord[], RegExp | undefined])[] = [
    ['fine', rule('r', 'apart', ['v1', 'v2', 'v3']), [], undefined],
    ['more apart than machines', rule('r', 'apart', ['v1', 'v2', 'v3', 'v4']), [], /rule r \(apart\) wants 4 machines for v1, v2, v3, v4; of the 3 where they may be, 3 can be given at most/],
    ['as many, but two of them on one', rule('r', 'apart', ['v1', 'v2', 'v3']), [rule('here', 'on', ['v1', 'v2'], ['a'])], /wants 3 machines .* 2 can be given/],
    ['one makes way for another', rule('r', 'apart', ['v1', 'v2']), [rule('here', 'on', ['v2'], ['a'])], undefined],
    ['together and apart', rule('r', 'apart', ['v1', 'tier=back']), [rule('pair', 'together', ['v1', 'v2'])], /v1 and v2 must be together by rule pair \(together\), and apart by rule r/],
    ['by way of a third', rule('r', 'together', ['v2', 'v3']), [rule('pair', 'together', ['v1', 'v2']), rule('not', 'apart', ['v1', 'v3'])], /v1 and v3 must be together by rules pair \(together\), r \(together\), and apart by rule not/],
    ['no machine left', rule('r', 'not-on', ['v1'], ['a']), [rule('only', 'on', ['v1'], ['a'])], /no machine where v1 may be, by rules only \(on\), r \(not-on\)/],
    ['together on different machines', rule('r', 'together', ['v1', 'v2']), [rule('x', 'on', ['v1'], ['a']), rule('y', 'on', ['v2'], ['b'])], /no machine where v1, v2 may be/],
    ['too much for one machine', rule('r', 'together', ['big', 'v1']), [], /no machine where big, v1 may be, by rule r \(together\), can hold their 16 vcpus and 66384 MiB/],
    ['too much for these', rule('r', 'on', ['v1', 'v2', 'v3', 'v4', 'big'], ['a', 'b']), [rule('not', 'apart', ['v1', 'big'])], undefined],
    ['too much for this', rule('r', 'on', ['tier=back'], ['a']), [rule('tight', 'not-on', ['big'], ['b'])], undefined],
    ['too much for it in all', rule('r', 'on', ['tier=back', 'big'], ['a']), [], /rule r \(on\) wants 24 vcpus and 99152 MiB for big, v2, v3, v4; a can have 16 vcpus and 65536 MiB in all/],
    ['no VMs', rule('r', 'apart', []), [], /it names no VMs/],
    ['no such VM yet', rule('r', 'apart', ['later-1', 'later-2']), [], undefined],
    ['half a selector', rule('r', 'apart', ['=x']), [], /"=x" is neither/],
    ['no machines', rule('r', 'on', ['v1']), [], /it names no machines/],
    ['machines where none belong', rule('r', 'apart', ['v1'], ['a']), [], /names no machines/],
    ['no such machine', rule('r', 'on', ['v1'], ['aa']), [], /pool pool has no machine aa \(did you mean a\?\)/],
    ['soft', { ...rule('r', 'apart', ['v1', 'v2', 'v3', 'v4']), hard: false }, [], undefined],
    ['in place of one of its name', rule('pair', 'apart', ['v1', 'v2']), [rule('pair', 'together', ['v1', 'v2'])], undefined],
    ['what was broken before is not held against it', rule('r', 'on', ['v4'], ['a']), [rule('old', 'apart', ['v1', 'v2', 'v3', 'v4'])], undefined],
  ]
  const all = [...vms, vm('big', { vcpus: 12, memoryMiB: 50_000 })]
  for (const [name, one, rules, expected] of cases) {
    const problem = ruleProblem(one, snapshot({ machines: three, vms: all, rules }))
    if (expected === undefined) t.equal(problem, undefined, name)
    else t.match(problem, expected, name)
  }
  t.equal(ruleProblem(rule('r', 'apart', ['v1', 'v2']), snapshot({ vms: all })), undefined, 'a pool without machines')
})

t.test('many VMs apart', async (t) => {
  const machines = Array.from({ length: 400 }, (_, n) => machine(`m${n}`))
  const many = Array.from({ length: 401 }, (_, n) => vm(`v${n}`, { labels: { all: 'yes' } }))
  t.match(ruleProblem(rule('r', 'apart', ['all=yes']), snapshot({ machines, vms: many })), /wants 401 machines for v0, v1, v10, v100 and 397 more; of the 400/)
  t.equal(ruleProblem(rule('r', 'apart', ['all=yes']), snapshot({ machines, vms: many.slice(1) })), undefined)
})

t.test('what is called infeasible has no placement', async () => {
  let infeasible = 0
  fc.assert(fc.property(anyPool, ({ pool, needs }) => {
    const machines = pool.machines.map((one) => ({ ...one, mode: 'in-service', member: 'alive' } as const))
    const wanted: VmView[] = needs.map((need) => ({ ...pending(need.name), ...need, desired: 'running' }))
    const rules = pool.rules.filter(({ hard }) => hard)
    if (problemsOf(rules, { ...pool, machines, vms: wanted }).length === 0) return
    infeasible++
    // What is booked could be moved away: all is there to be used.
    const roomy = machines.map((one) => ({ ...one, freeVcpus: one.freeVcpus + one.booked.vcpus, freeMemoryMiB: one.freeMemoryMiB + one.booked.memoryMiB }))
    for (const name of ['rank', 'packing', 'striping']) if (placeAll(needs, { ...pool, machines: roomy, vms: [], rules }, { name }).left.length === 0) throw new Error('but it was placed')
  }), { numRuns: 400 })
  t.ok(infeasible > 20, `${infeasible} of them`)
})

const guarded = (name: string, at: string, memoryMiB = 30_000): VmView => vm(name, { machine: `m-${at}`, memoryMiB, protection })
const holding = (name: string, memoryMiB: number): PoolSnapshot['machines'][number] => machine(name, { booked: { vms: 1, vcpus: 1, memoryMiB }, freeVcpus: 15, freeMemoryMiB: 65_536 - memoryMiB })
const promising = (change: Partial<PoolSnapshot>, survivesHosts = 1): PoolSnapshot => snapshot({ ...change, pool: { ...snapshot().pool, survivesHosts } })

t.test('would all protected VMs still fit?', async (t) => {
  const machines = [holding('a', 60_000), holding('b', 30_000), holding('c', 30_000)]
  const there = [guarded('a1', 'a'), guarded('a2', 'a'), guarded('b1', 'b'), guarded('c1', 'c')]
  t.same(survives(promising({ machines, vms: there }), 1), { holds: true, lost: [], left: [] }, 'one of a to b, one to c')
  const { holds, lost, left } = survives(promising({ machines, vms: there }), 2)
  t.same([holds, lost, left.map(({ name }) => name)], [false, ['a', 'b'], ['a2', 'b1']])
  const apart = [rule('r', 'apart', ['a1', 'b1', 'c1'])]
  t.same(survives(promising({ machines, vms: there, rules: apart }), 1).left.map(({ name }) => name), ['a1'], 'hard rules bind here too')
  t.ok(survives(promising({ machines: [holding('a', 60_000), machine('b', { freeMemoryMiB: 0 })], vms: [vm('x', { machine: 'm-a', memoryMiB: 60_000 })] }), 1).holds, 'others are not promised anything')
  t.ok(survives(promising({ machines: [holding('a', 60_000)], vms: [guarded('x', 'a', 60_000)] }), 0).holds, 'nothing is promised')
})

t.test('a placement that breaks the promise', async (t) => {
  const pool = promising({ machines: [holding('a', 60_000), holding('b', 30_000), holding('c', 30_000)], vms: [guarded('a1', 'a'), guarded('a2', 'a'), guarded('b1', 'b'), guarded('c1', 'c')] })
  const plain = needOf(pending('plain', { memoryMiB: 10_000 }))
  t.match(admissionProblem(pool, plain, 'm-b'), /^if a were lost, there would be no room for a2$/)
  t.equal(admissionProblem(pool, { ...plain, memoryMiB: 5_000 }, 'm-b'), undefined)
  t.equal(admissionProblem(snapshot({ ...pool, pool: snapshot().pool }), plain, 'm-b'), undefined, 'no promise')
  t.equal(admissionProblem(promising(pool, 2), plain, 'm-b'), undefined, 'broken already: it binds nobody')
  const moves = promising({ machines: [holding('a', 60_000), machine('b')], vms: [guarded('x', 'a', 60_000)] })
  t.equal(admissionProblem(moves, needOf(guarded('x', 'a', 60_000)), 'm-b'), undefined, 'what it leaves is free again')
  const unprotected = promising({ ...pool, machines: [holding('a', 65_000), holding('b', 60_000)], vms: [vm('x', { machine: 'm-a', memoryMiB: 65_000 })] })
  t.match(admissionProblem(unprotected, { ...needOf(vm('x', { memoryMiB: 65_000 })), protection }, 'm-a'), /^if a were lost, there would be no room for x$/, 'one that gets protected where it is')
})

t.test('the scheduler takes the best machine that keeps the promise', async (t) => {
  const choose = createChoose({ run: async () => undefined, clock: new SimClock() })
  const pool = promising({
    machines: [holding('a', 60_000), holding('b', 30_000), holding('c', 30_000), holding('d', 50_000)], vms: [guarded('a1', 'a'), guarded('a2', 'a'), guarded('b1', 'b'), guarded('c1', 'c')],
  })
  const request = { vm: needOf(pending('plain', { memoryMiB: 10_000 })), snapshot: pool }
  const choice = await choose({ type: 'builtin', name: 'rank' }, request, new AbortController().signal)
  t.equal(choice.chosen, 'm-d')
  t.same(choice.refused.map(({ machine: uuid, filter }) => `${uuid} ${filter}`), ['m-a room', 'm-b survives', 'm-c survives'])
  t.same(choice.ranked.map(({ machine: uuid }) => uuid), ['m-d'])
  const back = await choose({ type: 'builtin', name: 'rank' }, { ...request, snapshot: { ...pool, vms: [...pool.vms, vm('plain', { epoch: 2 })] } }, new AbortController().signal)
  t.equal(back.chosen, 'm-b', 'what ran before is brought back')
})
