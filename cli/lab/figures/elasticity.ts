// Figure 4: one VM whose guest burns processor time by itself; the pool adds clones while the mean CPU stays over the
// threshold. Because clones burn too, the load never falls, as in the paper, and the group grows to its maximum.
//
//   [0] the VM idles -> [loadAt] its guest starts to burn -> over the threshold -> clone, clone, clone
//
// On a machine with few processors a whole one for each guest is not there: the load of each guest, and with it the
// threshold, is scaled so that all of them can burn at once.

import { availableParallelism } from 'node:os'

import type { DecisionRecord, ElasticityWish, Pool, PoolSnapshot } from '../../../kali/contract.ts'
import type { NewVm } from '../../../rmo/mod.ts'
import type { Plot } from '../../plot/svg.ts'
import type { Clock } from '../../../fabric/base.ts'
import type { Finding, Outcome, Sample } from './contract.ts'
import { burningContext, guestUptimeSeconds, startLoad } from './guest.ts'
import { PAPER } from './paper.ts'
import { inOrder, startSampler } from './sampler.ts'
import { makePool } from './stage.ts'
import type { Stage } from './stage.ts'

export interface ElasticityTimes { readonly loadAtSeconds: number; readonly endSeconds: number; readonly cooldownMs: number; readonly periodMs: number; readonly hold: number; readonly warmUpMs: number }
export const QUICK: ElasticityTimes = { loadAtSeconds: 20, endSeconds: 240, cooldownMs: 20_000, periodMs: 2_000, hold: 5, warmUpMs: 10_000 }
export const AS_PAPER: ElasticityTimes = { loadAtSeconds: 235, endSeconds: PAPER.figure4EndSeconds, cooldownMs: 60_000, periodMs: 2_000, hold: 5, warmUpMs: 10_000 }

const NAME = 'web'
const MEMBERS = 1 + PAPER.clonesAtSeconds.length
const SAMPLE_MS = 1_000
const SHARE_OF_CORES = 0.6, THRESHOLD_OF_LOAD = 0.7, THRESHOLD_MAX = 0.8, IN_OF_THRESHOLD = 0.3

/** Share of a processor that each of `members` guests burns here. */
export const loadRatioHere = (cores = availableParallelism(), members = MEMBERS): number => Math.round(Math.min(1, SHARE_OF_CORES * cores / members) * 100) / 100
const round2 = (value: number): number => Math.round(value * 100) / 100

export interface Growth { readonly name: string; readonly askedSeconds: number | undefined; readonly runningSeconds: number | undefined; readonly readySeconds: number | undefined }

/** When each clone was asked for, ran and was ready: the decision's own time, else the first sample that has it. */
export function growthOf(samples: readonly Sample[], decisions: readonly Pick<DecisionRecord, 'action' | 'outcome' | 'atMs' | 'about'>[], original: string, startMs: number): readonly Growth[] {
  const clones = [...new Map(samples.flatMap(({ vms }) => vms).filter(({ uuid }) => uuid !== original).map((vm) => [vm.uuid, vm.name])).entries()]
  const since = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : (ms - startMs) / 1_000)
  const grown = decisions.filter(({ action, outcome }) => action === 'grow' && outcome === 'done').map(({ atMs, about }) => ({ atMs, about })).toSorted((a, b) => a.atMs - b.atMs)
  return clones.map(([uuid, name], i) => {
    const of = (phases: readonly string[]): number | undefined => {
      for (const { vms } of samples) { const found = vms.find((vm) => vm.uuid === uuid && phases.includes(vm.phase)); if (found !== undefined) return since(found.phaseSinceMs) }
      return undefined
    }
    const first = samples.find(({ vms }) => vms.some((vm) => vm.uuid === uuid))?.seconds
    const decided = grown.find(({ about }) => about.includes(uuid)) ?? grown[i]
    return { name, askedSeconds: since(decided?.atMs) ?? first, runningSeconds: of(['running']) ?? of(['ready']), readySeconds: of(['ready']) }
  }).toSorted((a, b) => (a.askedSeconds ?? Infinity) - (b.askedSeconds ?? Infinity))
}

const percent = (ratio: number | undefined): number | undefined => (ratio === undefined ? undefined : Math.round(ratio * 1_000) / 10)
const secondsText = (seconds: number | undefined): string => (seconds === undefined ? 'never' : `${seconds.toFixed(1)} s`)

export interface ElasticityRun { readonly samples: readonly Sample[]; readonly growth: readonly Growth[]; readonly original: string; readonly loadAtSeconds: number; readonly load: number; readonly threshold: number; readonly times: ElasticityTimes; readonly cores: number; readonly guests: string }

/** Everything that is drawn, written and told, from what was measured. Pure. */
export function figure4({ samples: taken, growth, loadAtSeconds, load, threshold, times, cores, guests }: ElasticityRun): Outcome {
  const samples = inOrder(taken)
  const seconds = samples.map((sample) => sample.seconds)
  const names = [...new Set(samples.flatMap(({ vms }) => vms.map(({ name }) => name)))].toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
  const running = ({ vms }: Sample) => vms.filter(({ phase }) => phase === 'running' || phase === 'ready')
  const cpuOf = (sample: Sample, name: string): number | undefined => percent(running(sample).find((vm) => vm.name === name)?.cpuRatio)
  const meanOf = (sample: Sample): number | undefined => {
    const ratios = running(sample).flatMap(({ cpuRatio }) => (cpuRatio === undefined ? [] : [cpuRatio]))
    return ratios.length === 0 ? undefined : percent(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length)
  }
  const over = samples.find((sample) => sample.seconds >= loadAtSeconds && (meanOf(sample) ?? 0) >= threshold * 100)?.seconds
  const paperCounts = seconds.map((second) => 1 + PAPER.clonesAtSeconds.filter((at) => at <= second).length)
  const asPaper = times.endSeconds >= PAPER.figure4EndSeconds
  const first = growth[0]
  const holdSeconds = times.hold * times.periodMs / 1_000
  const overToRunning = over === undefined || first?.runningSeconds === undefined ? undefined : first.runningSeconds - over
  const plot: Plot = {
    title: 'Figure 4: elasticity', xLabel: 'Time (s)', seconds, endSeconds: times.endSeconds,
    subtitle: `five hosts, ${guests}; each guest burns ${Math.round(load * 100)} % of a processor by itself (${cores} processors here), threshold ${Math.round(threshold * 100)} %`,
    panels: [
      { title: 'CPU of each VM', unit: 'CPU (%)', kind: 'lines', level: { value: threshold * 100, label: 'threshold' }, curves: [...names.map((name) => ({ label: name, values: samples.map((sample) => cpuOf(sample, name)) })), { label: 'mean', colour: 7, dashed: true, values: samples.map(meanOf) }] },
      { title: 'VMs that run', unit: 'VMs', kind: 'steps', max: MEMBERS, curves: [{ label: 'ours', values: samples.map((sample) => running(sample).length) }, ...(asPaper ? [{ label: 'paper', dashed: true, colour: 1, values: paperCounts } as const] : [])] },
    ],
    marks: [
      { atSeconds: loadAtSeconds, label: `load ${Math.round(loadAtSeconds)} s`, whose: 'ours' },
      ...growth.flatMap(({ runningSeconds }, i) => (runningSeconds === undefined ? [] : [{ atSeconds: runningSeconds, label: `clone ${i + 1} ${Math.round(runningSeconds)} s`, whose: 'ours' } as const])),
      ...(asPaper ? PAPER.clonesAtSeconds.map((at, i) => ({ atSeconds: at, label: `paper: clone ${i + 1} ${at} s`, whose: 'paper' } as const)) : []),
    ],
  }
  const findings: Finding[] = [
    ...PAPER.clonesAtSeconds.map((at, i) => ({ what: `clone ${i + 1} runs at`, ours: secondsText(growth[i]?.runningSeconds), paper: `${at} s` })),
    ...PAPER.clonesAtSeconds.slice(1).map((at, i) => {
      const [from, to] = [growth[i]?.runningSeconds, growth[i + 1]?.runningSeconds]
      return { what: `clone ${i + 1} to clone ${i + 2}`, ours: from === undefined || to === undefined ? 'never' : secondsText(to - from), paper: `${at - (PAPER.clonesAtSeconds[i] ?? 0)} s` }
    }),
    { what: `over the threshold to clone 1 running (${holdSeconds} s of it held)`, ours: secondsText(overToRunning), paper: '-' },
    { what: 'clone 1 asked for to running', ours: first?.askedSeconds === undefined || first.runningSeconds === undefined ? 'never' : secondsText(first.runningSeconds - first.askedSeconds), paper: '-' },
  ]
  return {
    name: 'figure4', plot, findings,
    header: ['seconds', ...names.map((name) => `${name} cpu %`), 'mean cpu %', 'vms running', ...(asPaper ? ['vms running in the paper'] : [])],
    rows: samples.map((sample, i) => [sample.seconds, ...names.map((name) => cpuOf(sample, name)), meanOf(sample), running(sample).length, ...(asPaper ? [paperCounts[i]] : [])]),
    seconds: { load: loadAtSeconds, overThreshold: over, ...Object.fromEntries(growth.map((one, i) => [`clone${i + 1}`, one.runningSeconds])), ...Object.fromEntries(growth.map((one, i) => [`clone${i + 1}Asked`, one.askedSeconds])), overToRunning },
    complete: growth.filter(({ runningSeconds }) => runningSeconds !== undefined).length >= PAPER.clonesAtSeconds.length,
  }
}

/** The lab, the group, the load, the end; answers what was measured. */
export async function runElasticity(stage: Stage, clock: Clock, times: ElasticityTimes, { load = loadRatioHere(), threshold = Math.min(THRESHOLD_MAX, round2(load * THRESHOLD_OF_LOAD)) }: { readonly load?: number; readonly threshold?: number } = {}): Promise<ElasticityRun> {
  const { record, tell, signal, pause, driver } = stage
  // Not the first host, which holds the global store, as in figure 5.
  const pool: Pool = await makePool(stage, 'figure4', record.hosts.slice(1).map(({ name }) => name))
  tell('starting the first VM')
  const simulated = driver === 'memory'
  const settings: NewVm = {
    name: NAME, image: 'guest', memoryMiB: 128, vcpus: 1,
    ...(simulated ? { simulate: { cpuRatios: [load], stepMs: SAMPLE_MS } } : { context: burningContext(load, NAME) }),
  }
  const vm = await pool.add(await pool.createVM(settings), { start: true })
  if (!simulated) await guestUptimeSeconds(async () => vm, pause)
  const wish: ElasticityWish = {
    name: NAME, out: threshold, in: round2(threshold * IN_OF_THRESHOLD), min: 1, max: MEMBERS, hold: times.hold, periodMs: times.periodMs, warmUpMs: times.warmUpMs, cooldownOutMs: times.cooldownMs,
    ...(simulated ? {} : { readyText: 'kumoi-guest: up' }),
  }
  // A simulated guest has no console to be told on: its load is there from the start, and the group comes when it begins to count.
  const elastic = async (): Promise<void> => { await pool.add(await pool.createElasticity(vm, wish)) }
  if (!simulated) await elastic()
  const sampler = startSampler(pool, { clock, everyMs: SAMPLE_MS, signal, onSample: (seconds) => tell(`figure 4: ${Math.round(seconds)} of ${times.endSeconds} s`, seconds / times.endSeconds) })
  try {
    await sampler.at(times.loadAtSeconds)
    if (simulated) await elastic()
    else await startLoad(async () => vm, pause)
    const loadAtSeconds = sampler.seconds()
    const full = (snapshot: PoolSnapshot): true | undefined => (snapshot.vms.filter(({ phase }) => phase === 'ready').length >= MEMBERS ? true : undefined)
    // As long as the paper's, or until all members are there and a little after.
    const done = times.endSeconds >= PAPER.figure4EndSeconds ? new Promise<never>(() => {}) : sampler.seen(full).then(() => sampler.at(sampler.seconds() + TAIL_SECONDS))
    await Promise.race([sampler.at(times.endSeconds), done])
    const decisions = await pool.decisions({ limit: DECISIONS })
    return { samples: sampler.samples, growth: growthOf(inOrder(sampler.samples), decisions, vm.uuid, sampler.startMs), original: vm.uuid, loadAtSeconds, load, threshold, times: { ...times, endSeconds: Math.ceil(Math.min(times.endSeconds, sampler.seconds())) }, cores: availableParallelism(), guests: simulated ? 'simulated guests' : 'QEMU guests' }
  } finally {
    sampler.stop()
  }
}

const TAIL_SECONDS = 15
const DECISIONS = 500
