// What consolidation is worth: 24 hours of 100 hosts and 800 VMs, half of which are there by day only, minute by minute, under
// four regimes over the same seeded trace. Pure: the policy's own decide, the schedulers' own placement, no node.
//
//   node --no-node-snapshot test/bench/consolidation.ts [--json]
//
// Energy by the straight line idle..full; a machine that sleeps draws nothing, and takes ten minutes of full power to wake. A
// violation is a VM's minute on a machine whose VMs ask for more than 90 % of it.

import { seededRandom } from '../../fabric/base.ts'
import type { MachineView, PoolSnapshot, VmView } from '../../kali/cloud/contract.ts'
import { needOf } from '../../kali/placement/admission.ts'
import { placeAll } from '../../kali/placement/batch.ts'
import { consolidation } from '../../kali/policies/consolidation.ts'
import type { ConsolidationMemory } from '../../kali/policies/consolidation.ts'
import { machine, pending, snapshot, START_MS, vm } from '../support/pool-snapshots.ts'
import { standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const HOSTS = 100, VMS = 800, DAY_VMS = 400
const MINUTE_MS = 60_000, MINUTES = 24 * 60
const CORES = 16, MEMORY_MIB = 65_536, OVERCOMMIT = 2
const IDLE_W = 120, FULL_W = 300, WAKE_MINUTES = 10
const BUSY = 0.9
const SEED = 5

interface Guest { readonly name: string; readonly vcpus: number; readonly memoryMiB: number; readonly from: number; readonly to: number; readonly base: number; readonly peak: number; readonly peakAt: number }
const dice = seededRandom(SEED)
const between = (least: number, most: number): number => least + dice.next() * (most - least)
const GUESTS: readonly Guest[] = Array.from({ length: VMS }, (_, n) => {
  const byDay = n < DAY_VMS
  return {
    name: `v${n}`, vcpus: 1 + n % 4, memoryMiB: 1_024 * (1 + n % 4),
    from: byDay ? Math.floor(between(6, 9) * 60) : 0, to: byDay ? Math.floor(between(17, 22) * 60) : MINUTES,
    base: between(0.03, 0.15), peak: between(0.2, 0.8), peakAt: between(9, 20) * 60,
  }
})
/** Share of its vcpus: a bell around its own hour of the day. */
const loadOf = ({ base, peak, peakAt }: Guest, minute: number): number => Math.min(1, base + peak * Math.exp(-(((minute - peakAt) / 120) ** 2)))

interface Regime { readonly name: string; readonly scheduler: string; readonly empty: 'on' | 'asleep'; readonly policy: 'none' | 'consolidation' }
const REGIMES: readonly Regime[] = [
  { name: 'no policy (rank)', scheduler: 'rank', empty: 'on', policy: 'none' },
  { name: 'striping', scheduler: 'striping', empty: 'on', policy: 'none' },
  { name: 'packing, empty machines asleep', scheduler: 'packing', empty: 'asleep', policy: 'none' },
  { name: 'consolidation (kali-consolidation over rank)', scheduler: 'rank', empty: 'on', policy: 'consolidation' },
]
interface Day { readonly kWh: number; readonly violations: number; readonly migrations: number; readonly awakeMean: number; readonly left: number }

function live({ scheduler, empty, policy }: Regime): Day {
  const decide = consolidation()
  const at = new Map<string, string>()
  const asleep = new Set<string>()
  const waking = new Map<string, number>()
  const epochs = new Map<string, number>()
  const byName = new Map(GUESTS.map((guest) => [`v-${guest.name}`, guest]))
  let memory: ConsolidationMemory | undefined
  let wattMinutes = 0, violations = 0, migrations = 0, awakeMinutes = 0, left = 0
  const see = (minute: number): PoolSnapshot => {
    const asked = new Map<string, number>(), booked = new Map<string, { vms: number; vcpus: number; memoryMiB: number }>()
    const vms: VmView[] = []
    for (const [uuid, host] of at) {
      const guest = byName.get(uuid) as Guest
      const load = loadOf(guest, minute)
      asked.set(host, (asked.get(host) ?? 0) + load * guest.vcpus)
      const of = booked.get(host) ?? { vms: 0, vcpus: 0, memoryMiB: 0 }
      booked.set(host, { vms: of.vms + 1, vcpus: of.vcpus + guest.vcpus, memoryMiB: of.memoryMiB + guest.memoryMiB })
      vms.push(vm(guest.name, { machine: host, vcpus: guest.vcpus, memoryMiB: guest.memoryMiB, cpuRatio: load, epoch: epochs.get(uuid) ?? 1 }))
    }
    const machines: MachineView[] = Array.from({ length: HOSTS }, (_, n) => {
      const name = `h${String(n).padStart(3, '0')}`, uuid = `m-${name}`
      const of = booked.get(uuid) ?? { vms: 0, vcpus: 0, memoryMiB: 0 }
      return machine(name, {
        cores: CORES, memoryMiB: MEMORY_MIB, booked: of, freeVcpus: CORES * OVERCOMMIT - of.vcpus, freeMemoryMiB: MEMORY_MIB - of.memoryMiB, cpuRatio: Math.min(1, (asked.get(uuid) ?? 0) / CORES),
        power: { idleWatts: IDLE_W, fullWatts: FULL_W, asleep: asleep.has(uuid) },
      })
    })
    return snapshot({ atMs: START_MS + minute * MINUTE_MS, machines, vms })
  }
  for (let minute = 0; minute < MINUTES; minute++) {
    for (const guest of GUESTS) if (guest.to === minute) at.delete(`v-${guest.name}`)
    const coming = GUESTS.filter(({ from }) => from === minute).map((guest) => needOf(pending(guest.name, { vcpus: guest.vcpus, memoryMiB: guest.memoryMiB })))
    let now = see(minute)
    if (coming.length > 0) {
      const { placed, left: without } = placeAll(coming, now, { name: scheduler })
      for (const [uuid, host] of placed) {
        if (asleep.delete(host)) waking.set(host, WAKE_MINUTES)
        at.set(uuid, host)
      }
      left += without.length
      now = see(minute)
    }
    if (policy === 'consolidation') {
      const out = decide({ snapshot: now, memory, random: () => 0.5 })
      memory = out.memory
      for (const { action } of out.proposals) {
        if (action.do === 'migrate' && action.to !== undefined) { at.set(action.vm, action.to); epochs.set(action.vm, action.epoch + 1); migrations++ }
        if (action.do === 'sleep') asleep.add(action.machine)
        if (action.do === 'wake' && asleep.delete(action.machine)) waking.set(action.machine, WAKE_MINUTES)
      }
    }
    for (const { uuid, booked, cpuRatio, power } of now.machines) {
      const asks = now.vms.filter(({ machine: host }) => host === uuid).reduce((sum, each) => sum + (each.cpuRatio ?? 0) * each.vcpus, 0) / CORES
      if (asks > BUSY) violations += booked.vms
      const wakes = waking.get(uuid) ?? 0
      if (wakes > 0) waking.set(uuid, wakes - 1)
      else if (power.asleep || (empty === 'asleep' && booked.vms === 0)) continue
      awakeMinutes++
      wattMinutes += wakes > 0 ? FULL_W : IDLE_W + (FULL_W - IDLE_W) * Math.min(1, Math.max(asks, cpuRatio))
    }
  }
  return { kWh: wattMinutes / 60_000, violations, migrations, awakeMean: awakeMinutes / MINUTES, left }
}

async function measure(): Promise<Figure[]> {
  const days = REGIMES.map((regime) => ({ regime, day: live(regime) }))
  const usual = days[0]?.day.kWh ?? 0
  return days.map(({ regime, day }): Figure => ({
    name: `consolidation: ${regime.name}`,
    what: `24 h of ${HOSTS} hosts and ${VMS} VMs, ${regime.name}: ${Math.round((1 - day.kWh / usual) * 100)} % saved, ${day.violations} VM-minutes over ${BUSY * 100} %, ${day.migrations} migrations, ${day.awakeMean.toFixed(1)} hosts awake on average${day.left === 0 ? '' : `, ${day.left} VMs without a place`}`,
    toReach: 'shown beside the others', reached: true, unit: 'kWh', p50: day.kWh, best: day.kWh, count: 1, peers: [],
  }))
}

export const bench: Bench = { name: 'consolidation', run: measure }
if (import.meta.main) await standalone(bench)
