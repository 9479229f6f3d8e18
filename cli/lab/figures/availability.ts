// Figure 5: a highly available VM is killed, and runs again.
//
//   'emulator': kill -9 of its QEMU on a live host                       (the paper's: its script needed 17 s)
//   'host':     the whole host ends at once, lease, node and all; the VM comes back on another host
//
// The VM's host is never the one that holds the global store: whoever loses that loses the witness, not a VM.
// "Runs" is what the agent was told by libvirt; "answers" is the guest's own word over its serial console.

import type { Clock } from '../../../fabric/base.ts'
import type { PoolSnapshot } from '../../../kali/contract.ts'
import type { VM } from '../../../rmo/mod.ts'
import { CLI } from '../../errors.ts'
import type { Plot } from '../../plot/svg.ts'
import { killHost } from '../lab.ts'
import { hostOf } from '../record.ts'
import type { Finding, Outcome, Sample } from './contract.ts'
import { burningContext, guestUptimeSeconds } from './guest.ts'
import type { FindVm } from './guest.ts'
import { PAPER, PAPER_RESTART_SECONDS } from './paper.ts'
import { inOrder, startSampler } from './sampler.ts'
import { killEmulator, makePool } from './stage.ts'
import type { Stage } from './stage.ts'

export type Victim = 'emulator' | 'host'
export interface AvailabilityTimes { readonly killAtSeconds: number; readonly endSeconds: number }
export const QUICK_TIMES: Readonly<Record<Victim, AvailabilityTimes>> = { emulator: { killAtSeconds: 30, endSeconds: 120 }, host: { killAtSeconds: 30, endSeconds: 180 } }
export const PAPER_TIMES: AvailabilityTimes = { killAtSeconds: PAPER.destroyedAtSeconds, endSeconds: PAPER.figure5EndSeconds }

const NAME = 'db'
const SAMPLE_MS = 500
const LOAD = 0.3
const TAIL_SECONDS = 15
/** Over the blows: a guest that dies by itself on the way is no end of the experiment. */
const RESTARTS = 1
/** Between two blows: as long as a blow's end may take, and a rest. */
const AGAIN_SECONDS = 120, REST_SECONDS = 3
const STATES = ['off', 'starting', 'running', 'answers'] as const
const RUNNING: ReadonlySet<string> = new Set(['running', 'ready'])

export interface AvailabilityRun { readonly samples: readonly Sample[]; readonly vm: string; readonly victim: Victim; readonly killedSeconds: number; readonly runningSeconds: number | undefined; readonly answersSeconds: number | undefined; readonly from: string; readonly to: string | undefined; readonly times: AvailabilityTimes; readonly guests: string; /** Of the blows after the one in the figure: seconds until it ran, and answered; undefined: it did not. */ readonly again: readonly Return[] }
export interface Return { readonly runningSeconds: number | undefined; readonly answersSeconds: number | undefined }

/** Height of the state's curve: what the samples say, but between the kill and the new start nothing runs, whatever the last word of a dead host was. */
function stateOf(sample: Sample, { vm, killedSeconds, runningSeconds, answersSeconds }: AvailabilityRun): number {
  const { seconds } = sample
  if (seconds < killedSeconds) return STATES.indexOf('answers')
  if (answersSeconds !== undefined && seconds >= answersSeconds) return STATES.indexOf('answers')
  if (runningSeconds !== undefined && seconds >= runningSeconds) return STATES.indexOf('running')
  const phase = sample.vms.find(({ uuid }) => uuid === vm)?.phase
  return phase === 'starting' || phase === 'creating' ? STATES.indexOf('starting') : STATES.indexOf('off')
}

const secondsText = (seconds: number | undefined): string => (seconds === undefined ? 'never' : `${seconds.toFixed(1)} s`)

/** "1.2 s (1.0 to 1.6 s)": the middle one, and the ends; one that never came is longer than all. */
function spread(values: readonly (number | undefined)[]): string {
  const sorted = values.toSorted((a, b) => (a ?? Infinity) - (b ?? Infinity))
  return `${secondsText(sorted[Math.floor((sorted.length - 1) / 2)])} (${secondsText(sorted[0])} to ${secondsText(sorted.at(-1))})`
}

/** Everything that is drawn, written and told, from what was measured. Pure. */
export function figure5(run: AvailabilityRun): Outcome {
  const { vm, victim, killedSeconds, runningSeconds, answersSeconds, from, to, times, guests, again } = run
  const samples = inOrder(run.samples).filter((sample) => sample.seconds <= times.endSeconds)
  const seconds = samples.map((sample) => sample.seconds)
  const cpuOf = (sample: Sample): number => {
    const down = sample.seconds >= killedSeconds && (runningSeconds === undefined || sample.seconds < runningSeconds)
    return down ? 0 : Math.round((sample.vms.find(({ uuid }) => uuid === vm)?.cpuRatio ?? 0) * 1_000) / 10
  }
  const states = samples.map((sample) => stateOf(sample, run))
  const after = (at: number | undefined): number | undefined => (at === undefined ? undefined : at - killedSeconds)
  const paperAt = (second: number): number => (second < killedSeconds || second >= killedSeconds + PAPER_RESTART_SECONDS ? STATES.indexOf('running') : STATES.indexOf('off'))
  const what = victim === 'emulator' ? `QEMU of the VM killed on ${from}` : `host ${from} lost`
  const plot: Plot = {
    title: `Figure 5: high availability (${victim === 'emulator' ? 'a VM is killed' : 'a host is lost'})`, xLabel: 'Time (s)', seconds, endSeconds: times.endSeconds,
    subtitle: `five hosts, ${guests}; ${what}${to === undefined ? '' : `, running again on ${to}`}; paper: running again after ${PAPER_RESTART_SECONDS} s, on a live host`,
    panels: [
      { title: 'CPU of the VM', unit: 'CPU (%)', kind: 'lines', curves: [{ label: NAME, values: samples.map(cpuOf) }] },
      { title: 'State of the VM', unit: 'state', kind: 'steps', max: STATES.length - 1, words: STATES, curves: [{ label: 'ours', values: states }, { label: 'paper', dashed: true, colour: 1, values: seconds.map(paperAt) }] },
    ],
    marks: [
      { atSeconds: killedSeconds, label: `${victim === 'emulator' ? 'killed' : 'host lost'} ${killedSeconds.toFixed(1)} s`, whose: 'ours' },
      ...(runningSeconds === undefined ? [] : [{ atSeconds: runningSeconds, label: `running +${(runningSeconds - killedSeconds).toFixed(1)} s`, whose: 'ours' } as const]),
      ...(answersSeconds === undefined ? [] : [{ atSeconds: answersSeconds, label: `answers +${(answersSeconds - killedSeconds).toFixed(1)} s`, whose: 'ours' } as const]),
      { atSeconds: killedSeconds + PAPER_RESTART_SECONDS, label: `paper: +${PAPER_RESTART_SECONDS} s`, whose: 'paper' },
    ],
  }
  const live = victim === 'emulator'
  const all: readonly Return[] = [{ runningSeconds: after(runningSeconds), answersSeconds: after(answersSeconds) }, ...again]
  const findings: Finding[] = [
    { what: live ? 'VM destroyed at' : 'host lost at', ours: secondsText(killedSeconds), paper: live ? `${PAPER.destroyedAtSeconds} s` : '-' },
    { what: 'running again after', ours: secondsText(after(runningSeconds)), paper: live ? `${PAPER_RESTART_SECONDS} s` : '-' },
    { what: 'guest answers again after', ours: secondsText(after(answersSeconds)), paper: '-' },
    ...(again.length === 0 ? [] : [
      { what: `running again, median of ${all.length}`, ours: spread(all.map((one) => one.runningSeconds)), paper: '-' },
      { what: `guest answers again, median of ${all.length}`, ours: spread(all.map((one) => one.answersSeconds)), paper: '-' },
    ]),
    { what: 'machine before, after', ours: `${from}, ${to ?? 'none'}`, paper: live ? 'the same' : '-' },
  ]
  return {
    name: victim === 'emulator' ? 'figure5' : 'figure5-host', plot, findings,
    header: ['seconds', 'cpu %', 'state', 'machine', 'epoch'],
    rows: samples.map((sample, i) => { const one = sample.vms.find(({ uuid }) => uuid === vm); return [sample.seconds, cpuOf(sample), STATES[states[i] ?? 0], one?.machine, one?.epoch] }),
    seconds: { killed: killedSeconds, running: runningSeconds, answers: answersSeconds, restart: after(runningSeconds), restartToAnswer: after(answersSeconds), ...Object.fromEntries(again.flatMap((one, i) => [[`restart${i + 2}`, one.runningSeconds], [`restartToAnswer${i + 2}`, one.answersSeconds]])) },
    complete: runningSeconds !== undefined && answersSeconds !== undefined && (victim === 'emulator' || to !== from) && again.every((one) => one.runningSeconds !== undefined && one.answersSeconds !== undefined),
  }
}

/** The lab, the protected VM, the blow, the return; answers what was measured. */
export async function runAvailability(stage: Stage, clock: Clock, victim: Victim, times: AvailabilityTimes, blows = 1): Promise<AvailabilityRun> {
  const { world, record, tell, signal, pause, driver } = stage
  const simulated = driver === 'memory'
  if (simulated && victim === 'emulator') throw CLI.LAB_REFUSED({ what: 'No emulator can be killed', reason: 'the guests of a memory lab have none', advice: 'Make it of libvirt (as root), or lose a host: --host.' })
  const [, ...hosts] = record.hosts
  const pool = await makePool(stage, 'figure5', hosts.map(({ name }) => name))
  tell('starting the VM')
  const vm: VM = await pool.add(await pool.createVM({ name: NAME, image: 'guest', memoryMiB: 128, vcpus: 1, ...(simulated ? { simulate: { cpuRatios: [LOAD], stepMs: 1_000 } } : { context: burningContext(LOAD) }) }), { start: true })
  const find: FindVm = async () => (await pool.vms).find(({ uuid }) => uuid === vm.uuid)
  if (!simulated) await guestUptimeSeconds(find, pause)
  await pool.add(await pool.createHighAvailability(vm, { restarts: RESTARTS + blows }))
  const sampler = startSampler(pool, { clock, everyMs: SAMPLE_MS, signal, onSample: (seconds) => tell(`figure 5: ${Math.round(seconds)} of at most ${times.endSeconds} s`, seconds / times.endSeconds) })
  try {
    const one = (snapshot: PoolSnapshot) => snapshot.vms.find(({ uuid }) => uuid === vm.uuid)
    const nameOf = (snapshot: PoolSnapshot, uuid: string | undefined): string => snapshot.machines.find((machine) => machine.uuid === uuid)?.name ?? ''
    // Only an armed protection may move it: before, nobody could tell that the old copy is gone.
    const tooLate = sampler.at(times.endSeconds).then(() => { throw CLI.LAB_FAILED({ step: `Protecting ${NAME}`, reason: `it was not armed in ${times.endSeconds} s: its host has no lease or no watchdog for it` }) })
    await Promise.race([tooLate, sampler.seen((snapshot) => (one(snapshot)?.protection?.armed === true ? true : undefined))])
    await sampler.at(times.killAtSeconds)
    const from = await sampler.seen((snapshot) => nameOf(snapshot, one(snapshot)?.machine))
    /** Ends the VM or its host, and sees it come back, at most until that second. */
    const blow = async (untilSeconds: number): Promise<Return & { readonly killedSeconds: number; readonly to: string | undefined }> => {
      const killedSeconds = sampler.seconds(), killedAtMs = clock.wallMs()
      await (victim === 'emulator' ? killEmulator(stage, from, NAME) : killHost(world, record, hostOf(record, from)))
      const end = sampler.at(untilSeconds).then(() => undefined)
      const back = await Promise.race([end, sampler.seen((snapshot) => {
        const now = one(snapshot)
        return now?.phase !== undefined && RUNNING.has(now.phase) && now.phaseSinceMs !== undefined && now.phaseSinceMs > killedAtMs ? { atMs: now.phaseSinceMs, to: nameOf(snapshot, now.machine) } : undefined
      })])
      const answersSeconds = back === undefined ? undefined : await Promise.race([end, simulated ? Promise.resolve(sampler.seconds()) : guestUptimeSeconds(find, pause).then(() => sampler.seconds(), () => end)])
      return { killedSeconds, runningSeconds: back === undefined ? undefined : (back.atMs - sampler.startMs) / 1_000, answersSeconds, to: back?.to }
    }
    const first = await blow(times.endSeconds)
    if (first.answersSeconds !== undefined) await Promise.race([sampler.at(times.endSeconds), sampler.at(Math.max(sampler.seconds(), first.killedSeconds + PAPER_RESTART_SECONDS) + TAIL_SECONDS)])
    const endSeconds = Math.ceil(Math.min(times.endSeconds, sampler.seconds()))
    const again: Return[] = []
    for (let no = 2; no <= blows; no++) {
      tell(`figure 5: kill ${no} of ${blows}`)
      await sampler.at(sampler.seconds() + REST_SECONDS)
      const { killedSeconds, runningSeconds, answersSeconds } = await blow(sampler.seconds() + AGAIN_SECONDS)
      again.push({ runningSeconds: runningSeconds === undefined ? undefined : runningSeconds - killedSeconds, answersSeconds: answersSeconds === undefined ? undefined : answersSeconds - killedSeconds })
    }
    return {
      ...first, samples: sampler.samples, vm: vm.uuid, victim, from, again,
      times: { ...times, endSeconds }, guests: simulated ? 'simulated guests' : 'QEMU guests',
    }
  } finally {
    sampler.stop()
  }
}
