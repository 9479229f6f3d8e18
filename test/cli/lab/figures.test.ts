// The paper's figures: what is made of what was measured. The experiments themselves need a lab and minutes:
// `kumoi lab figure4`, `kumoi lab figure5`.

import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { SimClock } from '../../../fabric/mod.ts'
import type { PoolSnapshot } from '../../../kali/contract.ts'
import type { VM } from '../../../rmo/mod.ts'
import { CLI } from '../../../cli/errors.ts'
import { figure5 } from '../../../cli/lab/figures/availability.ts'
import type { AvailabilityRun } from '../../../cli/lab/figures/availability.ts'
import type { Sample, VmSample } from '../../../cli/lab/figures/contract.ts'
import { AS_PAPER, QUICK, figure4, growthOf, loadRatioHere } from '../../../cli/lab/figures/elasticity.ts'
import type { ElasticityRun } from '../../../cli/lab/figures/elasticity.ts'
import { writeOutcome } from '../../../cli/lab/figures/files.ts'
import { burningContext, guestUptimeSeconds } from '../../../cli/lab/figures/guest.ts'
import { startSampler } from '../../../cli/lab/figures/sampler.ts'
import { vmView, webPool } from '../../support/fake-pools.ts'
import { runProgram } from '../../support/processes.ts'
import { shellRun } from '../../support/shell-run.ts'

const START = 1_000_000
const vm = (uuid: string, over: Partial<VmSample> = {}): VmSample => ({ uuid, name: uuid, machine: 'host2', phase: 'running', phaseSinceMs: START, epoch: 1, cpuRatio: 0.5, ...over })

t.test('growth: the decision, then running, then ready', async (t) => {
  const samples: Sample[] = [
    { seconds: 10, vms: [vm('web')] },
    { seconds: 31, vms: [vm('web'), vm('web-2', { phase: 'creating', phaseSinceMs: START + 31_000 })] },
    { seconds: 34, vms: [vm('web'), vm('web-2', { phase: 'running', phaseSinceMs: START + 33_500 })] },
    { seconds: 50, vms: [vm('web'), vm('web-2', { phase: 'ready', phaseSinceMs: START + 49_000 }), vm('web-3', { phase: 'asked for', phaseSinceMs: undefined })] },
  ]
  t.same(growthOf(samples, [{ action: 'grow', outcome: 'done', atMs: START + 30_200, about: ['group', 'web-2'] }, { action: 'grow', outcome: 'refused', atMs: START, about: [] }], 'web', START), [
    { name: 'web-2', askedSeconds: 30.2, runningSeconds: 33.5, readySeconds: 49 },
    { name: 'web-3', askedSeconds: 50, runningSeconds: undefined, readySeconds: undefined },
  ])
})

const growthRun = (over: Partial<ElasticityRun> = {}): ElasticityRun => ({
  samples: Array.from({ length: 200 }, (_, s) => ({ seconds: s, vms: ['web', 'web-2', 'web-3', 'web-4'].slice(0, 1 + Math.floor(s / 50)).map((name) => vm(name, { cpuRatio: s < 20 ? 0.02 : 0.3 })) })),
  growth: [50, 100, 150].map((at, i) => ({ name: `web-${i + 2}`, askedSeconds: at - 2, runningSeconds: at, readySeconds: at + 9 })),
  original: 'web', loadAtSeconds: 20, load: 0.3, threshold: 0.21, times: { ...QUICK, endSeconds: 200 }, cores: 2, guests: 'QEMU guests', ...over,
})

t.test('figure 4', async (t) => {
  const { name, findings, header, rows, seconds, complete, plot } = figure4(growthRun())
  t.same([name, complete], ['figure4', true])
  t.same(header, ['seconds', 'web cpu %', 'web-2 cpu %', 'web-3 cpu %', 'web-4 cpu %', 'mean cpu %', 'vms running'])
  t.same(rows[60], [60, 30, 30, undefined, undefined, 30, 2])
  t.match(seconds, { load: 20, overThreshold: 20, clone1: 50, clone3: 150, overToRunning: 30 })
  t.same(findings.slice(0, 4), [
    { what: 'clone 1 runs at', ours: '50.0 s', paper: '246 s' }, { what: 'clone 2 runs at', ours: '100.0 s', paper: '364 s' }, { what: 'clone 3 runs at', ours: '150.0 s', paper: '463 s' },
    { what: 'clone 1 to clone 2', ours: '50.0 s', paper: '118 s' },
  ])
  t.equal(plot.marks.filter(({ whose }) => whose === 'paper').length, 0, 'other times than the paper\'s: its moments are not drawn')
  const like = figure4(growthRun({ times: AS_PAPER }))
  t.same(like.plot.marks.filter(({ whose }) => whose === 'paper').map(({ atSeconds }) => atSeconds), [246, 364, 463])
  t.equal(like.header.at(-1), 'vms running in the paper')
  const none = figure4(growthRun({ growth: [], samples: [] }))
  t.equal(none.complete, false)
  t.equal(none.findings[0]?.ours, 'never')
})

const lostRun = (over: Partial<AvailabilityRun> = {}): AvailabilityRun => ({
  samples: Array.from({ length: 100 }, (_, s) => ({ seconds: s, vms: [vm('db', s < 55 ? {} : { machine: 'host3', epoch: 2, phaseSinceMs: START + 55_000 })] })),
  vm: 'db', victim: 'host', killedSeconds: 30, runningSeconds: 55, answersSeconds: 60, from: 'host2', to: 'host3', times: { killAtSeconds: 30, endSeconds: 100 }, guests: 'QEMU guests', again: [], ...over,
})

t.test('figure 5', async (t) => {
  const lost = figure5(lostRun())
  t.same([lost.name, lost.complete], ['figure5-host', true])
  t.match(lost.seconds, { restart: 25, restartToAnswer: 30 })
  t.same([20, 40, 57, 80].map((s) => lost.rows[s]?.[2]), ['answers', 'off', 'running', 'answers'], 'a dead host\'s last word is not believed')
  t.equal(lost.rows[40]?.[1], 0)
  t.same(lost.findings[1], { what: 'running again after', ours: '25.0 s', paper: '-' }, 'the paper lost no host')
  const killed = figure5(lostRun({ victim: 'emulator', runningSeconds: 31.2, answersSeconds: 34, to: 'host2' }))
  t.same([killed.name, killed.findings[1]], ['figure5', { what: 'running again after', ours: '1.2 s', paper: '17 s' }])
  t.match(killed.plot.marks.map(({ label }) => label), ['killed 30.0 s', 'running +1.2 s', 'answers +4.0 s', 'paper: +17 s'])
  const often = figure5(lostRun({ victim: 'emulator', runningSeconds: 31.2, answersSeconds: 34, to: 'host2', again: [{ runningSeconds: 0.9, answersSeconds: 5 }, { runningSeconds: 3, answersSeconds: 4.5 }] }))
  t.match(often.findings.filter(({ what }) => what.includes('median of 3')).map(({ ours }) => ours), ['1.2 s (0.9 s to 3.0 s)', '4.5 s (4.0 s to 5.0 s)'])
  t.match(often.seconds, { restart2: 0.9, restartToAnswer3: 4.5 })
  t.equal(figure5(lostRun({ again: [{ runningSeconds: 1, answersSeconds: undefined }] })).complete, false, 'one that never answered')
  const never = figure5(lostRun({ runningSeconds: undefined, answersSeconds: undefined, to: undefined }))
  t.equal(never.complete, false)
  t.equal(never.rows[80]?.[2], 'off')
  t.equal(figure5(lostRun({ to: 'host2' })).complete, false, 'a lost host cannot be where it came back')
})

t.test('files: all three, and a place that is none', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-figure-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const files = await writeOutcome(join(directory, 'new'), figure4(growthRun()))
  t.same(await readdir(join(directory, 'new')), files.map((file) => file.slice(directory.length + 5)).sort())
  t.match(await readFile(join(directory, 'new', 'figure4.csv'), 'utf8'), /^seconds,web cpu %,/)
  t.match(await readFile(join(directory, 'new', 'figure4.svg'), 'utf8'), 'prefers-color-scheme')
  await writeFile(join(directory, 'file'), '')
  await t.rejects(writeOutcome(join(directory, 'file'), figure4(growthRun())), { code: 'CLI_ERR_FILE_UNWRITABLE' })
})

t.test('the sampler: on time, with gaps where nobody answers, ended by its signal', async (t) => {
  const clock = new SimClock()
  const over = new AbortController()
  let looks = 0
  const snapshot = async (): Promise<PoolSnapshot> => { if (++looks === 2) throw new Error('busy'); return webPool({ vms: [vmView('web1', { epoch: looks })] }) }
  const sampler = startSampler({ snapshot }, { clock, everyMs: 1_000, signal: over.signal })
  const third = sampler.seen((seen) => (seen.vms[0]?.epoch === 3 ? 'third' : undefined))
  for (let second = 0; second < 4; second++) { clock.advance(second === 0 ? 0 : 1_000); await new Promise(setImmediate) }
  t.equal(await third, 'third')
  t.same(sampler.samples.map(({ seconds }) => seconds), [0, 2, 3])
  const never = sampler.at(1_000)
  over.abort(new Error('enough'))
  await t.rejects(never, { message: 'enough' })
  await t.rejects(sampler.at(1), { message: 'enough' })
  sampler.stop()
  clock.advance(10_000)
  t.equal(looks, 4, 'nobody looks any more')
})

t.test('a guest that moved answers from where it is', async (t) => {
  const gone = { serial: async () => { throw CLI.LAB_FAILED({ step: 'none', reason: 'its machine is lost' }) } } as unknown as VM
  const here = { serial: async ({ input }: { readonly input: string }) => `noise <:${/<:"(\d+)/.exec(input)?.[1]}\r\n12.34 5.6\r\nkumoi-guest: ok\r\n:${/":"(\d+)/.exec(input)?.[1]}>` } as unknown as VM
  const found = [undefined, gone, here]
  let pauses = 0
  t.equal(await guestUptimeSeconds(async () => found.shift(), async () => { pauses++ }), 12.34)
  t.equal(pauses, 2, 'looked for anew before each question')
  await t.rejects(guestUptimeSeconds(async () => undefined, async () => {}), { code: 'CLI_ERR_LAB_FAILED' }, 'a bounded number of times')
  await t.rejects(guestUptimeSeconds(async () => { throw new TypeError('a mistake') }, async () => {}), TypeError, 'what is no refusal is not asked again')
})

t.test('the guest\'s load is a program that a shell understands', async (t) => {
  t.same([loadRatioHere(2, 4), loadRatioHere(16, 4)], [0.3, 1])
  for (const [ratio, waits] of [[0.3, 'web'], [1, undefined]] as const) {
    const [line] = burningContext(ratio, waits)['bootcmd'] as readonly string[]
    t.equal((await runProgram('sh', ['-n', '-c', line ?? ''])).status, 0)
    t.equal(line?.includes('/run/load'), waits !== undefined)
    t.equal(line?.includes('usleep'), ratio < 1)
  }
})

t.test('what cannot be', async (t) => {
  for (const [args, wanted] of [
    [['figure4', '--load', '2'], 'Write a whole number from 5 to 100'], [['figure4', '--duration', '10s'], 'nothing has happened after 10 s'], [['figure5', '--duration', '31s'], 'Say --duration 40s or longer'],
    [['figure4', '--driver', 'xen'], 'It is one of libvirt, memory.'],
  ] as const) {
    const { status, stderr } = await shellRun(['lab', ...args])
    t.equal(status, 2)
    t.match(stderr, wanted)
  }
})
