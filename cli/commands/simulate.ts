// `kumoi simulate FILE...`: what functions would do in a data center, in seconds. Needs no node.

import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { LIMITS } from '../../fabric/base.ts'
import type { Built, LogLine } from '../../functions/mod.ts'
import type { HostFault, SimulateReport } from '../../kali/mod.ts'
import { choice, defineCommand, durationMs, integer, repeated, text } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { table } from '../render/table.ts'
import type { Column } from '../render/table.ts'
import { neutral } from '../render/text.ts'
import { durationText } from '../render/units.ts'
import type { Shell } from '../session.ts'
import { dirname, join, resolve } from 'node:path'

const DAY_MS = 86_400_000
const DOWN_MS = 1_800_000
/** A Thursday; the same for everybody, so that the same command prints the same. */
const START_AT_MS = Date.UTC(2026, 0, 1)
const SEEDS = 2 ** 31 - 1
const WORDS: ReadonlySet<string> = new Set(['vms', 'objects', 'pool', 'done', 'refused', 'why refused', 'kind', 'first'])
/** Vcpus per core: what is tried in a simulation is the policy, not the room. */
const OVERCOMMIT = 4
const interpolation = choice('step', 'linear')
const scenarioName = choice('day', 'spike', 'failures')

const usage = (problem: string, hint: string): never => { throw CLI.USAGE({ problem: `kumoi simulate: ${problem}`, hint }) }

function startOf(given: string | undefined): number {
  if (given === undefined) return START_AT_MS
  const atMs = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(given) || !given.includes('T') ? given : `${given}Z`)
  return Number.isNaN(atMs) ? usage(`--start ${given} is no date`, 'Write 2026-01-01 or 2026-01-01T08:00:00Z.') : atMs
}

/** "sim007@6h" or "sim007@6h+10m". */
function faultOf(given: string, startAtMs: number, parseTime: (text: string, startAtMs: number) => number | undefined): HostFault {
  const [, host = '', at = '', lasting] = /^([^@]+)@([^+]+)(?:\+(.+))?$/.exec(given) ?? []
  const atMs = parseTime(at, startAtMs), forMs = lasting === undefined ? DOWN_MS : parseTime(lasting, startAtMs)
  return atMs === undefined || forMs === undefined ? usage(`--crash ${given} names no machine and time`, 'Write MACHINE@TIME or MACHINE@TIME+DURATION, such as sim007@6h+10m.') : { host, atMs, forMs }
}

async function buildAll(shell: Shell, files: readonly string[], types: 'check' | 'skip'): Promise<readonly Built[]> {
  const { buildBundle } = await import('../../functions/mod.ts')
  const built: Built[] = []
  for (const file of files) {
    shell.out.progress.show(`${file}: ${types === 'check' ? 'checking types and bundling' : 'bundling'}`, undefined)
    const bundle = await shell.interrupt.race(buildBundle({ file, types, packageRoot: shell.world.packageRoot }))
    for (const warning of bundle.warnings) shell.out.warn(warning)
    built.push(bundle)
  }
  shell.out.progress.stop()
  return built
}

const lineText = ({ atMs, name, level, text: words, fields }: LogLine): string =>
  `${new Date(atMs).toISOString()} ${name} ${level}: ${words}${fields === undefined ? '' : `${words === '' ? '' : ' '}${JSON.stringify(fields)}`}`

async function print(shell: Shell, report: SimulateReport): Promise<void> {
  const { reportText, TIME_COLUMNS } = await import('../../kali/mod.ts')
  shell.out.result(report, (layout) => {
    const { head, verbs, time, cloudColumns, tables } = reportText(report)
    // Only the first column, and how many VMs are what, are words.
    const titles = (names: readonly string[]): readonly Column[] => names.map((title, i) => (i === 0 || WORDS.has(title) ? { title } : { title, align: 'right' }))
    return [head.map(neutral).join('\n'), ...(verbs.length === 0 ? [] : [table(titles(['verb', 'calls', 'failed', 'objects']), verbs, layout)]), ...tables.map(({ columns, rows }) => table(titles(columns), rows, layout)), table(titles([...TIME_COLUMNS, ...cloudColumns]), time, layout)].join('\n\n')
  })
}

export const simulateCommand = defineCommand({
  name: 'simulate',
  summary: 'Run functions against simulated machines on virtual time: a day in seconds',
  operands: '<files...>',
  details: 'The same script as `kumoi deploy` would make, with the same rights, triggers and limits, over machines that exist only in memory. Needs no node.\nA trace is CSV with the header time,vm,cpuRatio (or host, or target, instead of vm): time in seconds, 5m, 2h or ISO; names with *.\nWith pools it is a cloud: what the policy proposed and what became of it, VMs over time, and what ought not to have been. A function with the right\n"pool:operate" is a policy of every pool; --group gives each pool an elastic group whose load (that of POOL-web) is shared out over its members.',
  options: {
    hosts: { flags: '--hosts <n>', help: 'simulated machines: sim1, sim2, ... (default: 10)', parse: integer(1, LIMITS.fleetHostsMax) },
    vmsPerHost: { flags: '--vms-per-host <n>', help: 'VMs that run on each from the start (default: 10)', parse: integer(0, LIMITS.simulateVmsMax) },
    for: { flags: '--for <time>', help: 'virtual time that passes: 90s, 30m, 24h, 7d (default: 24h)', parse: durationMs },
    start: { flags: '--start <date>', help: 'what the clock says at the beginning (default: 2026-01-01)', parse: text },
    seed: { flags: '--seed <n>', help: 'the same seed, the same run (default: 1)', parse: integer(0, SEEDS) },
    trace: { flags: '--trace <file>', help: 'CPU load of the VMs over time, CSV', parse: text },
    interpolate: { flags: '--interpolate <how>', help: 'between the lines of the trace: step or linear (default: step)', parse: interpolation },
    scenario: { flags: '--scenario <name>', help: 'loads where there is no trace: day, spike, failures (default: day)', parse: scenarioName },
    crash: { flags: '--crash <machine@time>', help: 'a machine stops dead; sim3@6h+10m: back after 10 minutes (default 30); may be repeated', parse: repeated },
    pools: { flags: '--pools <n>', help: 'share the machines out over pools: pool1, pool2, ...; their VMs are managed there', parse: integer(1, LIMITS.fleetHostsMax) },
    group: { flags: '--group <max>', help: 'an elastic group of at most so many members in each pool', parse: integer(1, LIMITS.simulateVmsMax) },
    protect: { flags: '--protect', help: 'all VMs of the pools are highly available' },
    scheduler: { flags: '--scheduler <name>', help: 'places the VMs of the pools: one of Kumoi\'s or of the files (default: rank)', parse: text },
    policy: { flags: '--policy <name>', help: 'a policy of Kumoi\'s that acts beside the files: kali-ha, kali-elasticity, ...; may be repeated', parse: repeated },
    untilError: { flags: '--until-error', help: 'end with the first call that fails' },
    plot: { flags: '--plot <file>', help: 'write an SVG of load, VMs and changes over time', parse: text },
    check: { flags: '--no-check', help: 'do not check types' },
  },
  examples: [
    { command: 'kumoi simulate hot.ts --hosts 100 --for 24h', does: 'what it does on a day like others' },
    { command: 'kumoi simulate hot.ts --trace load.csv --plot out.svg', does: 'with loads of your own, and a picture' },
    { command: 'kumoi simulate hot.ts mover.ts --scenario spike --verbose', does: 'several functions, with their log lines' },
    { command: 'kumoi simulate night.ts --pools 1 --group 8 --policy kali-ha --for 2h', does: 'a policy of your own on a small cloud, before it is deployed' },
    { command: 'kumoi simulate tiers.ts --pools 1 --scheduler tiers --policy kali-ha --protect --crash sim2@10m', does: 'a scheduler of your own, and a machine that is lost' },
    { command: "kumoi --json simulate hot.ts --for 1h | jq '.functions[0].calls'", does: 'for programs' },
  ],
  output: 'value',
  async run(shell, files, wish) {
    const { out, settings, interrupt, world } = shell
    const { hosts = 10, vmsPerHost = 10, for: forMs = DAY_MS, start, seed = 1, trace, interpolate, scenario, crash = [], pools, group, protect, scheduler, policy = [], untilError, plot, check } = wish
    if (hosts * vmsPerHost > LIMITS.simulateVmsMax) usage(`${hosts * vmsPerHost} VMs are too many`, `At most ${LIMITS.simulateVmsMax} in all.`)
    if (interpolate !== undefined && trace === undefined) usage('--interpolate needs --trace', 'Scenarios have steps of their own.')
    if (pools === undefined && (group !== undefined || protect === true || scheduler !== undefined || policy.length > 0)) usage('--group, --protect, --scheduler and --policy need --pools', 'Add --pools 1.')
    if (pools !== undefined && pools > hosts) usage(`${pools} pools need as many machines`, `There are ${hosts}; raise --hosts.`)
    const { parseTrace, parseTraceTime, plotSvg, simulate } = await import('../../kali/mod.ts')
    const startAtMs = startOf(start)
    // A day's work should not be lost to a typing error in the name of its picture.
    if (plot !== undefined && !existsSync(dirname(resolve(plot)))) usage(`--plot ${plot}: there is no folder ${dirname(plot)}`, 'Make it, or write the picture somewhere else.')
    const faults = crash.map((given) => faultOf(given, startAtMs, parseTraceTime))
    const rows = trace === undefined ? undefined : parseTrace(await readFile(trace, 'utf8').catch((error: Error) => { throw CLI.FILE_UNREADABLE({ file: trace, reason: error.message }, { cause: error }) }), { file: trace, startAtMs })
    const bundles = await buildAll(shell, files, check === false ? 'skip' : 'check')
    const report = await simulate({
      bundles, hosts, vmsPerHost, forMs, startAtMs, seed, faults, untilError: untilError === true, signal: interrupt.signal,
      ...(rows === undefined ? {} : { trace: { rows, interpolation: interpolate ?? 'step' } }), ...(scenario === undefined ? {} : { scenario }),
      ...(pools === undefined ? {} : { pools: { count: pools, cpuOvercommitRatio: OVERCOMMIT, protect: protect === true, policies: policy, packageRoot: world.packageRoot, ...(scheduler === undefined ? {} : { scheduler }), ...(group === undefined ? {} : { group: { max: group } }) } }),
      cacheDirectory: join(settings.data, 'cache'), packageDirectories: [process.cwd()],
      ...(world.stderr.isTTY === true ? { onProgress: ({ atMs, ticksPerSecond, leftMs }) => out.progress.show(`${new Date(startAtMs + atMs).toISOString().slice(0, 19).replace('T', ' ')}, ${Math.round(ticksPerSecond)} ticks/s, ${durationText(leftMs)} left`, undefined) } : {}),
      ...(settings.verbose ? { onLine: (line) => { world.stderr.write(`${neutral(lineText(line))}\n`) } } : {}),
    })
    out.progress.stop()
    await print(shell, report)
    if (plot !== undefined) {
      await writeFile(plot, plotSvg(report))
      out.note(`wrote ${plot}`)
    }
    if (report.ended === 'stopped') return EXIT.interrupted
    return report.functions.some(({ errors }) => errors > 0) ? EXIT.failed : EXIT.done
  },
})
