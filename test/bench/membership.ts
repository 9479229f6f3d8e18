// Membership with real processes on loopback: how fast everybody knows of a crash and of a leave, what
// an idle node costs, and whether stalls of 2 s make false deaths. One JSON line per figure.
//
//   node test/bench/membership.ts [--nodes 5] [--rounds 10] [--idle-seconds 20] [--stall-seconds 60] [--overlay full|direct]

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { NodeArguments, NodeReport } from './membership-node.ts'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '5' }, rounds: { type: 'string', default: '10' }, 'idle-seconds': { type: 'string', default: '20' },
    'stall-seconds': { type: 'string', default: '60' }, overlay: { type: 'string', default: 'full' },
  },
})
const count = Number(values.nodes), rounds = Number(values.rounds)
const overlay = values.overlay === 'direct' ? 'direct' : 'full'

type Ready = Extract<NodeReport, { type: 'ready' }>
type Seen = Extract<NodeReport, { type: 'event' }>
type View = Extract<NodeReport, { type: 'view' }>

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const quantile = (sorted: readonly number[], q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number
const print = (name: string, value: number, unit: string, n: number): void => console.log(JSON.stringify({ name, value: Math.round(value * 100) / 100, unit, count: n }))

class BenchNode {
  readonly name: string
  readonly dataDir: string
  child: ChildProcess | undefined
  ready: Ready | undefined
  seen: Seen[] = []
  constructor(name: string, dataDir: string) { this.name = name; this.dataDir = dataDir }

  async start(seeds: readonly Ready[]): Promise<void> {
    const ticket = seeds[0]?.ticket
    const argument: NodeArguments = { dataDir: this.dataDir, name: this.name, overlay, seeds: seeds.map(({ id, addresses }) => ({ id, addresses })), ...(ticket === undefined ? {} : { ticket }) }
    const child = fork(fileURLToPath(new URL('./membership-node.ts', import.meta.url)), [JSON.stringify(argument)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.child = child
    child.on('message', (report: NodeReport) => { if (report.type === 'event') this.seen.push(report) })
    this.ready = await this.#next('ready')
  }

  async view(): Promise<View> {
    const answer = this.#next('view')
    this.child?.send({ do: 'view' })
    return answer
  }

  #next<T extends NodeReport['type']>(type: T): Promise<Extract<NodeReport, { type: T }>> {
    const child = this.child as ChildProcess
    return new Promise((resolve, reject) => {
      const end = (): void => { child.off('message', hear); child.off('exit', ended) }
      const ended = (code: number | null): void => { end(); reject(new Error(`${this.name} ended with ${code}`)) }
      const hear = (report: NodeReport): void => {
        if (report.type !== type) return
        end()
        resolve(report as Extract<NodeReport, { type: T }>)
      }
      child.on('message', hear)
      child.on('exit', ended)
    })
  }
}

async function untilOneView(nodes: readonly BenchNode[]): Promise<void> {
  for (;;) {
    const views = await Promise.all(nodes.map((node) => node.view()))
    if (views.every((view) => view.alive === nodes.length && view.hash === views[0]?.hash)) return
    await pause(50)
  }
}

/** Milliseconds from `startMs` until the last of `others` saw `event` about `id`. */
async function untilSeen(others: readonly BenchNode[], event: string, id: string, startMs: number): Promise<number> {
  for (;;) {
    const times = others.map((node) => node.seen.find((seen) => seen.event === event && seen.about === id && seen.wallMs >= startMs)?.wallMs)
    if (times.every((time) => time !== undefined)) return Math.max(...(times as number[])) - startMs
    if (Date.now() - startMs > 60_000) return Number.POSITIVE_INFINITY
    await pause(10)
  }
}

const root = await mkdtemp(join(tmpdir(), 'kumoi-bench-'))
const nodes = Array.from({ length: count }, (_, i) => new BenchNode(`n${i}`, join(root, `n${i}`)))
try {
  for (const node of nodes) await node.start(node === nodes[0] ? [] : [(nodes[0] as BenchNode).ready as Ready])
  await untilOneView(nodes)

  const before = await Promise.all(nodes.map((node) => node.view()))
  await pause(Number(values['idle-seconds']) * 1_000)
  const after = await Promise.all(nodes.map((node) => node.view()))
  const perSecond = (of: (view: View) => number): number => after.reduce((sum, view, i) => sum + of(view) - of(before[i] as View), 0) / count / Number(values['idle-seconds'])
  print('membership idle cpu per node', perSecond((view) => view.cpuMs) / 10, 'percent of a core', count)
  print('membership idle frames sent per node', perSecond((view) => view.framesSent), 'per second', count)
  print('membership idle bytes sent per node', perSecond((view) => view.bytesSent), 'bytes per second', count)
  print('membership node resident', Math.max(...after.map((view) => view.rssMiB)), 'MiB, most', count)

  for (const [event, end] of [['died', (node: BenchNode) => node.child?.kill('SIGKILL')], ['left', (node: BenchNode) => node.child?.send({ do: 'leave' })]] as const) {
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const victim = nodes[round % count] as BenchNode, others = nodes.filter((node) => node !== victim)
      const id = (victim.ready as Ready).id, startMs = Date.now()
      end(victim)
      times.push(await untilSeen(others, event, id, startMs))
      await victim.start([(others[0] as BenchNode).ready as Ready])
      await untilOneView(nodes)
      await pause(300 + 700 * Math.random())
    }
    times.sort((a, b) => a - b)
    const what = event === 'died' ? 'SIGKILL known to all' : 'leave known to all'
    print(`${what}, p50`, quantile(times, 0.5), 'ms', rounds)
    print(`${what}, p99`, quantile(times, 0.99), 'ms', rounds)
  }

  const startMs = Date.now(), endMs = startMs + Number(values['stall-seconds']) * 1_000
  while (Date.now() < endMs) {
    nodes[1]?.child?.send({ do: 'stall', ms: 2_000 })
    await pause(4_000)
  }
  const seen = nodes.flatMap((node) => node.seen.filter((event) => event.wallMs >= startMs))
  print('false deaths, one node stalled 2 s at a time', seen.filter((event) => event.event === 'died').length, `deaths in ${values['stall-seconds']} s`, count)
  print('suspicions meanwhile', seen.filter((event) => event.event === 'suspected').length, 'seen', count)
} finally {
  for (const node of nodes) node.child?.kill('SIGKILL')
  await rm(root, { recursive: true, force: true })
}
