// `kumoi lab figure4`, `kumoi lab figure5`: the paper's experiments again, beside the paper's numbers (cli/lab/figures).

import { resolve } from 'node:path'

import { choice, defineCommand, durationMs, integer, text } from '../../command.ts'
import type { OptionValues } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import type { Finding, Outcome } from '../../lab/figures/contract.ts'
import { table } from '../../render/table.ts'
import type { Shell } from '../../session.ts'

const OPTIONS = {
  out: { flags: '--out <dir>', help: 'where the files go (default: here)', parse: text },
  asPaper: { flags: '--as-paper', help: 'at the paper\'s times, which takes as long as it did' },
  duration: { flags: '--duration <time>', help: 'at most so long', parse: durationMs },
  driver: { flags: '--driver <driver>', help: 'libvirt (default: real guests, as root) or memory (simulated ones)', parse: choice('libvirt', 'memory') },
  keep: { flags: '--keep', help: 'leave the lab up afterwards' },
} as const

const percent = integer(5, 100)
const kills = integer(1, 100)

const findingsTable = (findings: readonly Finding[]) => (layout: Parameters<typeof table>[2]): string =>
  table([{ title: 'what' }, { title: 'ours', align: 'right', whole: true }, { title: 'paper', align: 'right', whole: true }], findings.map(({ what, ours, paper }) => [what, ours, paper]), layout)

async function finish(shell: Shell, directory: string, outcome: Outcome): Promise<number> {
  const { writeOutcome } = await import('../../lab/figures/files.ts')
  const { out } = shell
  const files = await writeOutcome(directory, outcome)
  const { name, findings, seconds, complete } = outcome
  out.result({ name, complete, seconds, findings, files }, (layout) => findingsTable(findings)(layout))
  out.note(`wrote ${files.join(', ')}`)
  if (!files.some((file) => file.endsWith('.png'))) out.note('no PNG: the package @resvg/resvg-js is not installed here')
  if (!complete) out.warn('not everything happened that was waited for; see the figure')
  return complete ? EXIT.done : EXIT.failed
}

const MARGIN_SECONDS = 10
/** The times, ended sooner or later when asked for. */
function timesOf<T extends { readonly endSeconds: number }>(times: T, startSeconds: number, { duration }: OptionValues<typeof OPTIONS>): T {
  if (duration === undefined) return times
  const endSeconds = duration / 1_000
  if (endSeconds < startSeconds + MARGIN_SECONDS) throw CLI.USAGE({ problem: `kumoi lab: nothing has happened after ${endSeconds} s`, hint: `Say --duration ${startSeconds + MARGIN_SECONDS}s or longer.` })
  return { ...times, endSeconds }
}

export const figure4Command = defineCommand({
  name: 'lab figure4',
  summary: 'Repeat the paper\'s Figure 4: a busy VM gets clones as its load passes the threshold',
  operands: '',
  details: 'Makes a lab of five hosts of its own, and removes it. Writes figure4.csv, .svg and .png. Some five minutes; ten with --as-paper.',
  options: { ...OPTIONS, load: { flags: '--load <percent>', help: 'of a processor that each guest burns (default: what four guests can have here)', parse: percent }, threshold: { flags: '--threshold <percent>', help: 'of the mean CPU at which a clone is added (default: 70 % of the load); lower it where other work takes the processors', parse: percent } },
  examples: [{ command: 'kumoi lab figure4 --out figures', does: 'as root: real guests' }, { command: 'kumoi lab figure4 --as-paper', does: 'the load begins at 235 s' }, { command: 'kumoi lab figure4 --driver memory', does: 'simulated, without root' }],
  output: 'value',
  async run(shell, _operands, options) {
    const { AS_PAPER, QUICK, figure4, runElasticity } = await import('../../lab/figures/elasticity.ts')
    const { onStage } = await import('../../lab/figures/stage.ts')
    const { out: directory = '.', asPaper, driver = 'libvirt', keep, load, threshold } = options
    const wanted = asPaper === true ? AS_PAPER : QUICK
    const times = timesOf(wanted, wanted.loadAtSeconds, options)
    const run = await onStage(shell, { name: 'figure4', driver, keep: keep === true }, (stage) => runElasticity(stage, shell.world.clock, times, { ...(load === undefined ? {} : { load: load / 100 }), ...(threshold === undefined ? {} : { threshold: threshold / 100 }) }))
    return finish(shell, resolve(directory), figure4(run))
  },
})

export const figure5Command = defineCommand({
  name: 'lab figure5',
  summary: 'Repeat the paper\'s Figure 5: a VM is killed and runs again; with --host its whole machine is lost',
  operands: '',
  details: 'Makes a lab of five hosts of its own, and removes it. Writes figure5.csv, .svg and .png (figure5-host with --host). Some three minutes; five with --as-paper.',
  options: { ...OPTIONS, host: { flags: '--host', help: 'cut the power of its host instead of killing the VM' }, kills: { flags: '--kills <n>', help: 'kill it so often in all; the table has the medians (default: 1)', parse: kills } },
  examples: [{ command: 'kumoi lab figure5 --out figures', does: 'as root: kill -9 of a real QEMU' }, { command: 'kumoi lab figure5 --kills 5', does: 'and four more times after the figure' }, { command: 'kumoi lab figure5 --host', does: 'the VM comes back on another host' }],
  output: 'value',
  async run(shell, _operands, options) {
    const { PAPER_TIMES, QUICK_TIMES, figure5, runAvailability } = await import('../../lab/figures/availability.ts')
    const { onStage } = await import('../../lab/figures/stage.ts')
    const { out: directory = '.', asPaper, driver = 'libvirt', keep, host, kills: blows = 1 } = options
    const victim = host === true ? 'host' : 'emulator'
    if (host === true && blows > 1) throw CLI.USAGE({ problem: 'kumoi lab figure5: a host is lost once', hint: 'Leave out --kills or --host.' })
    const wanted = asPaper === true ? PAPER_TIMES : QUICK_TIMES[victim]
    const times = timesOf(wanted, wanted.killAtSeconds, options)
    const run = await onStage(shell, { name: 'figure5', driver, keep: keep === true }, (stage) => runAvailability(stage, shell.world.clock, victim, times, blows))
    return finish(shell, resolve(directory), figure5(run))
  },
})
