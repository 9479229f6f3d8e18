// The mandatory filters and hard rules: what each refuses and how it says so; and what no placement ever does.

import t from 'tap'
import { needOf } from '../../../kali/placement/admission.ts'
import { placeAll } from '../../../kali/placement/batch.ts'
import { Board } from '../../../kali/placement/board.ts'
import { bindScheduler, rankMachines } from '../../../kali/placement/ranking.ts'
import { SCHEDULERS } from '../../../kali/placement/schedulers/index.ts'
import type { MachineView, PoolSnapshot, RuleRecord, VmNeed, VmView } from '../../../kali/cloud/contract.ts'
import { group, machine, pending, protection, snapshot, vm } from '../../support/pool-snapshots.ts'
import { anyPool, rule } from './any-pool.ts'
import { fc } from '../../support/property.ts'

const refusals = (of: PoolSnapshot, what: VmNeed, avoid?: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(rankMachines(new Board(of), what, bindScheduler({ name: 'rank' }), avoid).refused.map(({ machine: uuid, filter, reason }) => [uuid, `${filter}: ${reason}`]))

t.test('each filter, with its reason', async (t) => {
  const need = needOf(pending('web', { vcpus: 4, memoryMiB: 4_096, images: ['debian.qcow2'], storage: ['/nfs'], bridges: ['br0'] }))
  const cases: readonly (readonly [string, Partial<MachineView>, string | undefined])[] = [
    ['plain', {}, undefined],
    ['draining', { mode: 'draining' }, 'in-service: it is being drained'],
    ['maintenance', { mode: 'maintenance' }, 'in-service: it is in maintenance'],
    ['dead', { member: 'dead' }, 'alive: its node is dead'],
    ['unknown', { member: 'unknown' }, 'alive: its node is not a member now'],
    ['vcpus', { freeVcpus: 3 }, 'room: needs 4 vcpus, 3 free'],
    ['memory', { freeMemoryMiB: -1 }, 'room: needs 4096 MiB, 0 free'],
    ['both', { freeVcpus: 3, freeMemoryMiB: 4_095 }, 'room: needs 4 vcpus, 3 free; needs 4096 MiB, 4095 free'],
    ['exactly', { freeVcpus: 4, freeMemoryMiB: 4_096 }, undefined],
    ['image', { images: ['other.qcow2'] }, 'image: it has no image debian.qcow2'],
    ['storage', { storage: [] }, 'storage: it has no storage /nfs'],
    ['bridge', { bridges: ['br1'] }, 'bridge: it has no bridge br0'],
    ['has all', { images: ['debian.qcow2'], storage: ['/nfs', '/ssd'], bridges: ['br0'] }, undefined],
    ['maintenance first', { mode: 'maintenance', member: 'dead', freeVcpus: 0 }, 'in-service: it is in maintenance'],
  ]
  for (const [name, change, expected] of cases) t.equal(refusals(snapshot({ machines: [machine('a', change)] }), need)['m-a'], expected, name)
  t.equal(refusals(snapshot({ machines: [machine('a')] }), need, { 'm-a': 'it just died there' })['m-a'], 'avoid: it just died there')
})

t.test('a protected VM: not where armed VMs are and the lease is gone', async (t) => {
  const gone: Partial<MachineView> = { lease: { state: 'gone', ageMs: 0 } }
  const need = needOf(pending('db', { protection }))
  const armed = vm('x', { machine: 'm-a', protection })
  t.match(refusals(snapshot({ machines: [machine('a', gone)], vms: [armed] }), need)['m-a'], /^lease: its lease is gone/)
  t.equal(refusals(snapshot({ machines: [machine('a', gone)] }), need)['m-a'], undefined, 'never armed: the first one arms it')
  t.equal(refusals(snapshot({ machines: [machine('a')], vms: [armed] }), need)['m-a'], undefined)
  t.equal(refusals(snapshot({ machines: [machine('a', gone)], vms: [armed] }), needOf(pending('plain')))['m-a'], undefined, 'not protected')
})

t.test('hard rules', async (t) => {
  const machines = [machine('a'), machine('b')]
  const vms = [vm('web-1', { machine: 'm-a', labels: { tier: 'web' } }), vm('member', { machine: 'm-a', group: 'g-web' })]
  const cases: readonly (readonly [string, RuleRecord, Partial<VmView>, readonly (string | undefined)[]])[] = [
    ['together', rule('r', 'together', ['new', 'web-1']), {}, [undefined, 'rule: rule r: together with VMs that are on another machine']],
    ['apart', rule('r', 'apart', ['new', 'web-1']), {}, ['rule: rule r: apart from a VM that is here', undefined]],
    ['apart by label', rule('r', 'apart', ['tier=web']), { labels: { tier: 'web' } }, ['rule: rule r: apart from a VM that is here', undefined]],
    ['apart by group name', rule('r', 'apart', ['group:web']), { group: 'g-web' }, ['rule: rule r: apart from a VM that is here', undefined]],
    ['on', rule('r', 'on', ['new'], ['b']), {}, ['rule: rule r: only on b', undefined]],
    ['not on', rule('r', 'not-on', ['new'], ['b']), {}, [undefined, 'rule: rule r: not on b']],
    ['of others', rule('r', 'apart', ['web-1', 'member']), {}, [undefined, undefined]],
    ['soft', { ...rule('r', 'apart', ['new', 'web-1']), hard: false }, {}, [undefined, undefined]],
  ]
  for (const [name, one, change, [a, b]] of cases) {
    const said = refusals(snapshot({ machines, vms, rules: [one], groups: [group()] }), needOf(pending('new', change)))
    t.same([said['m-a'], said['m-b']], [a, b], name)
  }
  for (const type of ['together', 'apart'] as const) {
    const alone = refusals(snapshot({ machines, vms, rules: [rule('r', type, ['web-1', 'elsewhere'])] }), needOf(vm('web-1', { machine: 'm-a' })))
    t.same([alone['m-a'], alone['m-b']], [undefined, undefined], `${type}: its own place speaks against no machine`)
  }
  const lost = snapshot({ machines: [machine('a', { member: 'dead' }), machine('b')], vms, rules: [rule('r', 'together', ['new', 'web-1'])] })
  t.equal(refusals(lost, needOf(pending('new')))['m-b'], undefined, 'what is on a lost machine has to move itself')
})

t.test('whatever the pool: every machine once, never beyond room, no hard rule broken, the same by any order', async () => {
  fc.assert(fc.property(anyPool, fc.constantFrom(...SCHEDULERS.map(({ name }) => name)), fc.integer(), ({ pool, needs }, name, seed) => {
    const [first] = needs
    if (first !== undefined) {
      const { ranked, refused } = rankMachines(new Board(pool), first, bindScheduler({ name }))
      const said = [...ranked, ...refused].map(({ machine: uuid }) => uuid).sort()
      if (said.join() !== pool.machines.map(({ uuid }) => uuid).sort().join()) throw new Error(`told of ${said.join()}`)
      for (const { score, parts } of ranked) if (parts !== undefined && Math.abs(Object.values(parts).reduce((all, part) => all + part, 0) - score) > 1e-6 * Math.max(1, Math.abs(score))) throw new Error('the parts do not add up to the score')
    }
    const { placed, left } = placeAll(needs, pool, { name })
    if (placed.size + left.length !== needs.length) throw new Error('a VM was forgotten')
    for (const { uuid, freeVcpus, freeMemoryMiB, mode, member } of pool.machines) {
      const there = needs.filter((need) => placed.get(need.uuid) === uuid)
      if (there.length === 0) continue
      if (mode !== 'in-service' || member !== 'alive') throw new Error(`placed on a machine that is ${mode}, ${member}`)
      if (there.reduce((all, { vcpus }) => all + vcpus, 0) > freeVcpus || there.reduce((all, { memoryMiB }) => all + memoryMiB, 0) > freeMemoryMiB) throw new Error('beyond room')
    }
    brokenRule(pool, needs, placed)
    const other = placeAll(shuffled(needs, seed), { ...pool, machines: shuffled(pool.machines, seed), vms: shuffled(pool.vms, seed), rules: shuffled(pool.rules, seed) }, { name })
    if (JSON.stringify([...other.placed].sort()) !== JSON.stringify([...placed].sort())) throw new Error('another order, another answer')
  }), { numRuns: 400 })
})

/** By its own reading of the rules: places of running VMs and what was placed. */
function brokenRule({ rules, vms, machines }: PoolSnapshot, needs: readonly VmNeed[], placed: ReadonlyMap<string, string>): void {
  const places = [...vms.flatMap(({ name, machine: at }) => (at === undefined ? [] : [{ name, at, isNew: false }])), ...needs.flatMap(({ name, uuid }) => ({ name, at: placed.get(uuid) ?? '', isNew: true }))].filter(({ at }) => at !== '')
  const settled = new Set(machines.filter(({ mode, member }) => mode === 'in-service' && (member === 'alive' || member === 'suspect')).map(({ uuid }) => uuid))
  for (const one of rules.filter(({ hard }) => hard)) {
    const meant = places.filter(({ name }) => one.vms.includes(name))
    for (const { at, isNew } of meant) {
      if (!isNew) continue
      const name = at.replace(/^m-/, '')
      const others = meant.filter((other) => other.at !== at && settled.has(other.at))
      const broken = one.type === 'on' ? !one.machines?.includes(name) : one.type === 'not-on' ? one.machines?.includes(name)
        : one.type === 'apart' ? meant.filter((other) => other.at === at).length > 1 : others.length > 0 && meant.filter((other) => other.at === at).length < 2
      if (broken === true) throw new Error(`rule ${one.name} (${one.type}) is broken on ${at}`)
    }
  }
}

function shuffled<T>(list: readonly T[], seed: number): readonly T[] {
  return list.map((item, i) => ({ item, by: Math.imul(seed ^ (i + 1), 0x9e3779b1) >>> 0 })).sort((a, b) => a.by - b.by).map(({ item }) => item)
}
