// Built-in scenarios, for when there is no trace: loads of every VM by a seed, and machines that fail. Pure.
//
//   day        offices by day and batches by night, each VM its own shape; some are hot for an hour
//   spike      quiet, and at noon of each day most of a tenth of the machines' VMs are at their limit for two hours
//   failures   as day, and machines crash (one in ten a day) and come back half an hour later

import type { Random } from '../../fabric/base.ts'
import type { LoadSequence, NamedVm } from './trace.ts'

export type ScenarioName = 'day' | 'spike' | 'failures'
/** A machine that stops dead, with all its VMs; `forMs` later it is there again. */
export interface HostFault { readonly host: string; readonly atMs: number; readonly forMs: number }
export interface Scenario { readonly loads: readonly LoadSequence[]; readonly faults: readonly HostFault[] }

const HOUR_MS = 3_600_000, DAY_MS = 86_400_000
/** Values change so often; those of one machine together. */
export const SCENARIO_STEP_MS = 300_000
const STEPS_OF_DAY = DAY_MS / SCENARIO_STEP_MS
/** Sequences that VMs are given from. */
const SHAPES = 64

const rounded = (ratio: number): number => Math.round(1_000 * Math.min(1, Math.max(0, ratio))) / 1_000
/** 0 at night, 1 in the afternoon. */
const office = (hour: number): number => Math.max(0, Math.sin((hour - 7) / 12 * Math.PI)) ** 0.7

function dayShape(random: Random, hourAtStart: number): LoadSequence {
  const night = random.int(4) === 0
  const base = 0.03 + 0.08 * random.next(), height = 0.15 + 0.5 * random.next(), shift = (random.next() - 0.5) * 4
  const hotFrom = random.int(3) === 0 ? random.int(STEPS_OF_DAY) : Infinity, hotFor = HOUR_MS / SCENARIO_STEP_MS
  const cpuRatios = Array.from({ length: STEPS_OF_DAY }, (_, step) => {
    const hour = (hourAtStart + step * 24 / STEPS_OF_DAY + shift + (night ? 12 : 0) + 48) % 24
    const hot = step >= hotFrom && step < hotFrom + hotFor
    return rounded(hot ? 0.93 + 0.07 * random.next() : base + height * office(hour) + (random.next() - 0.5) * 0.06)
  })
  return { cpuRatios, stepMs: SCENARIO_STEP_MS }
}

function spikeShape(random: Random, hourAtStart: number, spiking: boolean): LoadSequence {
  const base = 0.05 + 0.15 * random.next()
  const cpuRatios = Array.from({ length: STEPS_OF_DAY }, (_, step) => {
    const hour = (hourAtStart + step * 24 / STEPS_OF_DAY) % 24
    return rounded(spiking && hour >= 12 && hour < 14 ? 0.92 + 0.08 * random.next() : base + (random.next() - 0.5) * 0.04)
  })
  return { cpuRatios, stepMs: SCENARIO_STEP_MS }
}

export interface ScenarioOptions { readonly name: ScenarioName; readonly vms: readonly NamedVm[]; readonly hosts: readonly string[]; readonly forMs: number; readonly startAtMs: number; readonly random: Random }

/** One load a VM, in their order; each repeats day by day. */
export function makeScenario({ name, vms, hosts, forMs, startAtMs, random }: ScenarioOptions): Scenario {
  const hourAtStart = (startAtMs % DAY_MS) / HOUR_MS
  if (name === 'spike') {
    const quiet = Array.from({ length: SHAPES }, () => spikeShape(random, hourAtStart, false))
    const steep = Array.from({ length: SHAPES }, () => spikeShape(random, hourAtStart, true))
    const hit = new Set(hosts.filter((_, i) => i % 10 === 0))
    return { loads: vms.map(({ host }) => pick(random, hit.has(host) && random.int(4) > 0 ? steep : quiet)), faults: [] }
  }
  const shapes = Array.from({ length: SHAPES }, () => dayShape(random, hourAtStart))
  const loads = vms.map(() => pick(random, shapes))
  if (name === 'day') return { loads, faults: [] }
  const count = Math.max(1, Math.round(hosts.length / 10 * forMs / DAY_MS))
  const faults = Array.from({ length: count }, (): HostFault => ({ host: pick(random, hosts), atMs: Math.floor(random.next() * forMs), forMs: HOUR_MS / 2 }))
  return { loads, faults: faults.sort((a, b) => a.atMs - b.atMs) }
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random.int(from.length)] as T
