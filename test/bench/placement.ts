// A pool filled in one go: 10,000 VMs on 1,000 machines by each scheduler, with rules; how long one choice with its whole
// explanation takes there, and one with the promise to survive a lost host.
//
//   node --no-node-snapshot test/bench/placement.ts [--json]

import { systemClock } from '../../fabric/base.ts'
import type { MachineView, PoolSnapshot, RuleRecord, VmNeed } from '../../kali/cloud/contract.ts'
import { needOf } from '../../kali/placement/admission.ts'
import { placeAll } from '../../kali/placement/batch.ts'
import { createChoose } from '../../kali/placement/choose.ts'
import { SCHEDULERS } from '../../kali/placement/schedulers/index.ts'
import { machine, pending, POOL, protection, snapshot, vm } from '../support/pool-snapshots.ts'
import { aside, low, standalone, timed } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const MACHINES = 1_000, VMS = 10_000
const GOAL_S = 5
const RUNS = 3

const machines: readonly MachineView[] = Array.from({ length: MACHINES }, (_, n) => {
  const cores = 16 + 16 * (n % 3), memoryMiB = 4_096 * cores
  return machine(`m${n}`, { cores, memoryMiB, freeVcpus: cores - 2, freeMemoryMiB: memoryMiB - 8_192, cpuRatio: (n * 7 % 100) / 200, images: ['debian.qcow2'], storage: ['/nfs'], bridges: ['br0'] })
})
const needs: readonly VmNeed[] = Array.from({ length: VMS }, (_, n) => needOf(pending(`v${n}`, {
  vcpus: 1 + n % 4, memoryMiB: 1_024 << n % 4, labels: n % 100 < 3 ? { tier: `front-${Math.floor(n / 100)}` } : {}, images: ['debian.qcow2'], storage: ['/nfs'], bridges: ['br0'],
})))
/** Three of each hundred VMs are apart; a few are bound to machines. */
const rules: readonly RuleRecord[] = Array.from({ length: 20 }, (_, n): RuleRecord =>
  ({ name: `r${n}`, pool: POOL, type: n % 4 === 3 ? 'on' : 'apart', hard: n % 2 === 0, vms: [`tier=front-${n}`], ...(n % 4 === 3 ? { machines: [`m${n}`, `m${n + 1}`, `m${n + 2}`] } : {}) }))
const pool: PoolSnapshot = snapshot({ machines, rules })
const answer = ({ placed, left }: ReturnType<typeof placeAll>): string => JSON.stringify([[...placed], left])

async function batch(name: string): Promise<Figure> {
  const first = answer(placeAll(needs, pool, { name }))
  const before = process.cpuUsage()
  const times = await timed(RUNS, () => {
    if (answer(placeAll(needs, pool, { name })) !== first) throw new Error(`${name}: the same request, another answer`)
  })
  const used = process.cpuUsage(before)
  const processorS = (used.user + used.system) / 1e6 / RUNS
  const spread = low(times.map((ms) => ms / 1_000))
  return {
    name: `placement, ${name}`, what: `placement: 10,000 VMs on 1,000 machines in one go by ${name}, the same answer each time`, ...(name === 'rank' ? { toReach: `<= ${GOAL_S} s`, reached: spread.p50 <= GOAL_S } : {}),
    unit: 's', ...spread, peers: [], note: `${Math.round(MACHINES * VMS / processorS / 1e5) / 10} million filters and scores a second of processor time, of which ${processorS.toFixed(1)} s were used`, why: 'other work on the same processors',
  }
}

async function single(name: string, of: PoolSnapshot): Promise<Figure> {
  const choose = createChoose({ run: async () => undefined, clock: systemClock })
  const [need] = needs
  if (need === undefined) throw new Error('there is no VM to place')
  const times = await timed(20, () => choose({ type: 'builtin', name: 'rank' }, { vm: need, snapshot: of }, new AbortController().signal))
  return { ...aside(name, 0, 'ms', 0), ...low(times.slice(5)) }
}

/** Every VM placed, each third protected. */
function filled(survivesHosts: number): PoolSnapshot {
  const { placed } = placeAll(needs, pool, { name: 'striping' })
  const there = needs.flatMap(({ name, vcpus, memoryMiB, labels, uuid }, n) => {
    const at = placed.get(uuid)
    return n === 0 || at === undefined ? [] : [vm(name, { uuid, vcpus, memoryMiB, labels, machine: at, ...(n % 3 === 0 ? { protection } : {}) })]
  })
  return { ...pool, vms: there, pool: { ...pool.pool, survivesHosts } }
}

export const bench: Bench = {
  name: 'placement',
  async run() {
    const figures: Figure[] = []
    for (const { name } of SCHEDULERS) figures.push(await batch(name))
    figures.push(await single('one choice, explained, 10,000 VMs on 1,000 machines', filled(0)))
    figures.push(await single('the same where the pool survives 2 lost hosts', filled(2)))
    return figures
  },
}

if (import.meta.main) await standalone(bench)
