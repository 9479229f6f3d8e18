// A node's listener under those who are not members, beside an honest link that is measured all the while:
//
//   node test/bench/doors.ts [--seconds 60] [--rate 2000] [--clients 1000]
//
// Processes: the node that is attacked, the attackers, a listener that only hangs up (the control), and this one, the honest
// member. Each attack is run against the control too: what the machine itself takes from the honest link when that many
// connections are made on it is not the door's. Goals (reliability.md 8): p99 of the honest link at most 2x (flood), 1.5x (slow),
// growth at most 50 MB, all slow clients cut within 10 s. A missed one is printed as missed, and ends with status 1.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemRandom } from '../../fabric/clock.ts'
import { openIdentity } from '../../fabric/identity/store.ts'
import type { Link } from '../../fabric/transport/contract.ts'
import { forkNode, makeDataDir, transportOf } from '../support/transport-nodes.ts'
import type { AttackOrder, AttackReport } from './door-attacker.ts'

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, rate: { type: 'string', default: '2000' }, clients: { type: 'string', default: '1000' }, control: { type: 'boolean', default: false } } })
const seconds = Number(values.seconds), perSecond = Number(values.rate), clients = Number(values.clients)
const ECHO_BYTES = 200
const ECHO_PAUSE_MS = 5
const QUIET_MS = 5_000
const SOURCES = 256
const GROWTH_MIB_MAX = 50
const CUT_MS_MAX = 10_000
const FLOOD_RATIO = 2
const SLOW_RATIO = 1.5

if (values.control) {
  const server = createServer((socket) => { socket.on('error', () => {}).once('data', () => socket.destroy()).resume() }).listen(0, '127.0.0.1', () => process.send?.(server.address()))
  process.on('disconnect', () => process.exit(0))
} else await bench()

async function bench(): Promise<void> {
  const after: (() => void | Promise<void>)[] = []
  const t = { teardown: (last: () => void | Promise<void>) => { after.unshift(last) } }
  try {
    process.exitCode = (await measure(t)) ? 0 : 1
  } finally {
    for (const last of after) await last()
  }
}

async function measure(t: { teardown(after: () => void | Promise<void>): void }): Promise<boolean> {
  const node = await forkNode(t, { dataDir: await makeDataDir(t), name: 'alpha' })
  const { ticket } = await node.order<{ ticket: string }>({ do: 'ticket' })
  const honest = transportOf(await openIdentity(await makeDataDir(t), { random: systemRandom }), 'beta')
  t.teardown(() => honest.close())
  await honest.join(ticket)
  await honest.start()
  const link = await honest.dial(node.id, { addresses: node.addresses })
  const attacker = child(t, new URL('./door-attacker.ts', import.meta.url), []), control = child(t, new URL(import.meta.url), ['--control'])
  const { port } = await new Promise<{ port: number }>((resolve) => control.once('message', (message) => resolve(message as { port: number })))
  const order = (wanted: Pick<AttackOrder, 'attack'>, target: string): Promise<AttackReport> => new Promise((resolve) => {
    attacker.once('message', (report) => resolve(report as AttackReport))
    attacker.send({ ...wanted, target, node: node.id, perSecond, seconds, count: clients, sources: SOURCES } satisfies AttackOrder)
  })
  const residentMiB = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.child.pid ?? 0}/status`, 'utf8'))?.[1] ?? 0) / 1_024

  await echoes(link, new Promise((resolve) => { setTimeout(resolve, QUIET_MS) }))
  const quietMs = await echoes(link, new Promise((resolve) => { setTimeout(resolve, QUIET_MS) }))
  let good = true
  for (const [attack, ratioMax] of [['flood', FLOOD_RATIO], ['slow', SLOW_RATIO]] as const) {
    const controlMs = await echoes(link, order({ attack }, `127.0.0.1:${port}`))
    const beforeMiB = residentMiB()
    const doing = order({ attack }, node.addresses[0] ?? '')
    const underMs = await echoes(link, doing)
    const { tried, opened, cut, slowestCutMs } = await doing
    const growthMiB = residentMiB() - beforeMiB
    const ratio = underMs / quietMs
    const missed = [
      ...(ratio > ratioMax ? [`p99 ${ratio.toFixed(1)}x of quiet, goal ${ratioMax}x (the same connections to a listener that only hangs up: ${(controlMs / quietMs).toFixed(1)}x)`] : []),
      ...(growthMiB > GROWTH_MIB_MAX ? [`growth ${growthMiB.toFixed(0)} MiB`] : []),
      ...(attack === 'slow' && (cut < clients || slowestCutMs > CUT_MS_MAX) ? [`${cut} of ${clients} cut, the last after ${slowestCutMs.toFixed(0)} ms`] : []),
    ]
    good &&= missed.length === 0
    const rounded = (ms: number): number => Number(ms.toFixed(2))
    console.log(JSON.stringify({ name: `door ${attack}`, quietP99Ms: rounded(quietMs), controlP99Ms: rounded(controlMs), underP99Ms: rounded(underMs), ratio: rounded(ratio), overControl: rounded(underMs / controlMs), growthMiB: rounded(growthMiB), tried, opened, cut, slowestCutMs: Math.round(slowestCutMs), linkUp: honest.link(node.id) === link, seconds, cores: cpus().length, load: loadavg()[0], missed }))
  }
  return good
}

function child(t: { teardown(after: () => void): void }, file: URL, args: readonly string[]): ChildProcess {
  const started = fork(fileURLToPath(file), args)
  t.teardown(() => { started.kill('SIGKILL') })
  return started
}

/** p99 of small echoes until `over` settles. */
async function echoes(link: Link, over: Promise<unknown>): Promise<number> {
  const tookMs: number[] = []
  let going = true
  void over.finally(() => { going = false })
  while (going) {
    const beganMs = performance.now()
    await new Promise<void>((resolve) => {
      link.onFrame('rpc', () => resolve())
      link.send('rpc', new Uint8Array(ECHO_BYTES))
    })
    tookMs.push(performance.now() - beganMs)
    await new Promise((resolve) => { setTimeout(resolve, ECHO_PAUSE_MS) })
  }
  return tookMs.sort((a, b) => a - b)[Math.floor(tookMs.length * 0.99)] ?? 0
}
