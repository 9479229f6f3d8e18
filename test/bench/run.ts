// All figures of the README: every bench in a process of its own, one after another, so that none warms or
// burdens the next.
//
//   node --no-node-snapshot test/bench/run.ts [--write] [--only NAME] [--minutes N] [--list]

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readLines, tableOf } from './figure.ts'
import type { Figure } from './figure.ts'

/** Name -> module beside this file; in the order of the README's table. */
const BENCHES: Readonly<Record<string, string>> = {
  'capture': 'capture.ts',
  'warm-call': 'warm-call.ts',
  'fan-out': 'fan-out.ts',
  'first-call': 'first-call.ts',
  'throughput': 'throughput.ts',
  'functions-invoke': 'functions-invoke.ts',
  'functions-deploy': 'functions-deploy.ts',
  'functions-failover': 'functions-failover.ts',
  'functions-simulate': 'simulate.ts',
  'data-plane': 'transport.ts',
  'idle': 'idle.ts',
  'crash': 'crash.ts',
  'simulated': 'simulated.ts',
  'placement': 'placement.ts',
  'consolidation': 'consolidation.ts',
  'gate': 'gate.ts',
  'objects-query': 'objects-query.ts',
  'objects-fleet': 'objects-fleet.ts',
  'objects-vms': 'objects-vms.ts',
  'objects-many': 'objects-many.ts',
}
/** Of single parts, for whoever works on them: only by name. */
const PARTS: Readonly<Record<string, string>> = { 'sandbox': 'sandbox.ts', 'rpc': 'rpc.ts', 'membership': 'membership.ts', 'rmo-refresh': 'rmo-refresh.ts', 'invoke': 'invoke.ts', 'deploy': 'deploy.ts', 'audit': 'audit.ts' }
const HELP = `npm run bench [-- options]

Measures every row of the table in README.md beside its peers and prints one JSON line per figure, then the table.

  --only NAME    one of: ${Object.keys(BENCHES).join(', ')};
                 or of a single part: ${Object.keys(PARTS).join(', ')}; may be given more than once;
                 a name also stands for those that begin with it and a dash (objects, functions)
  --minutes N    length of the run that looks for false deaths (10 for the stated figure)
  --write        puts the table into README.md
  --list         the names

Peers: Erlang (apt-get install erlang-base), Moleculer (a development dependency), NATS for it (apt-get install nats-server). Packet loss: root, ip and nft
(apt-get install nftables). Each module also runs alone: node --no-node-snapshot test/bench/warm-call.ts`

const README = join(import.meta.dirname, '..', '..', 'README.md')
const BEGIN = '<!-- bench:begin -->'
const END = '<!-- bench:end -->'

let running: ChildProcess | undefined

async function runBench(name: string, file: string, minutes: string | undefined): Promise<Figure[]> {
  const args = ['--no-node-snapshot', '--disable-warning=ExperimentalWarning', join(import.meta.dirname, file), '--json', ...(minutes === undefined ? [] : ['--minutes', minutes])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  running = child
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => { text += piece })
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  running = undefined
  const figures = readLines(text)
  if (status === 0 && figures.length > 0) return figures
  process.exitCode = 1
  return [{ name, what: name, toReach: '', unit: 'ms', p50: NaN, best: NaN, count: 0, peers: [], reached: false, note: 'it failed', why: `${file} ended with ${status}` }]
}

async function write(table: string): Promise<void> {
  const text = await readFile(README, 'utf8')
  const from = text.indexOf(BEGIN), to = text.indexOf(END)
  if (from < 0 || to < from) throw new Error(`README.md has no ${BEGIN} ... ${END}`)
  await writeFile(README, `${text.slice(0, from + BEGIN.length)}\n${table}\n${text.slice(to)}`)
}

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true }, minutes: { type: 'string' }, write: { type: 'boolean' }, list: { type: 'boolean' }, help: { type: 'boolean' } } })
const isMeant = (by: string, name: string): boolean => name === by || name.startsWith(`${by}-`)
const unknown = values.only?.filter((by) => !Object.keys({ ...BENCHES, ...PARTS }).some((name) => isMeant(by, name))) ?? []
if (values.help === true) console.log(HELP)
else if (values.list === true) console.log([...Object.keys(BENCHES), ...Object.keys(PARTS)].join('\n'))
else if (unknown.length > 0 || !(values.minutes === undefined || Number(values.minutes) > 0)) {
  console.error(unknown.length > 0 ? `no bench named ${unknown.join(', ')}; there are ${[...Object.keys(BENCHES), ...Object.keys(PARTS)].join(', ')}` : '--minutes wants a number above 0')
  process.exitCode = 2
} else {
  // The bench under way stops what it has started.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => { running?.kill(signal); process.exitCode = 130 })
  const load = loadavg()[0] ?? NaN
  const startMs = performance.now()
  console.error(`load ${load.toFixed(2)} at the start`)
  const figures: Figure[] = []
  const loads: number[] = []
  const chosen = Object.entries({ ...BENCHES, ...PARTS }).filter(([name]) => values.only?.some((by) => isMeant(by, name)) ?? BENCHES[name] !== undefined)
  for (const [name, file] of chosen) {
    if (process.exitCode === 130) break
    loads.push(loadavg()[0] ?? NaN)
    console.error(`${name} ...`)
    const found = await runBench(name, file, values.minutes)
    figures.push(...found)
    for (const figure of found) console.log(JSON.stringify(figure))
  }
  const minutes = Math.round((performance.now() - startMs) / 6_000) / 10
  const table = `${tableOf(figures)}\n\n${cpus().length} CPUs (${cpus()[0]?.model ?? 'unknown'}), Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}; load ${load.toFixed(2)} at the start, up to ${Math.max(...loads).toFixed(2)} between benches (their own included), ${minutes} minutes.`
  console.log(table)
  if (values.write === true) await write(table)
}
