// Membership alone (no functions, no objects) with real processes on loopback: how fast everybody knows of a
// crash and of a leave, what an idle node costs, and whether event loops blocked for 2 s make false deaths.

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { aside, pause, quantile, standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'
import type { NodeArguments, NodeReport } from './membership-node.ts'

const COUNT = 5
const ROUNDS = 10
const IDLE_S = 20
const STALL_S = 60

type Ready = Extract<NodeReport, { type: 'ready' }>
type Seen = Extract<NodeReport, { type: 'event' }>
type View = Extract<NodeReport, { type: 'view' }>

class BenchNode {
  readonly name: string
  readonly dataDir: string
  child: ChildProcess | undefined
  ready: Ready | undefined
  seen: Seen[] = []
  constructor(name: string, dataDir: string) { this.name = name; this.dataDir = dataDir }

  async start(seeds: readonly Ready[]): Promise<void> {
    const ticket = seeds[0]?.ticket
    const argument: NodeArguments = { dataDir: this.dataDir, name: this.name, overlay: 'full', seeds: seeds.map(({ id, addresses }) => ({ id, addresses })), ...(ticket === undefined ? {} : { ticket }) }
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

async function figures(): Promise<Figure[]> {
  const all: Figure[] = []
  const print = (name: string, value: number, unit: string, count: number): void => { all.push(aside(name, value, unit, count)) }
  const root = await mkdtemp(join(tmpdir(), 'kumoi-bench-'))
  const nodes = Array.from({ length: COUNT }, (_, i) => new BenchNode(`n${i}`, join(root, `n${i}`)))
  try {
    for (const node of nodes) await node.start(node === nodes[0] ? [] : [(nodes[0] as BenchNode).ready as Ready])
    await untilOneView(nodes)

    const before = await Promise.all(nodes.map((node) => node.view()))
    await pause(IDLE_S * 1_000)
    const after = await Promise.all(nodes.map((node) => node.view()))
    const perSecond = (of: (view: View) => number): number => after.reduce((sum, view, i) => sum + of(view) - of(before[i] as View), 0) / COUNT / IDLE_S
    print('membership idle cpu per node', perSecond((view) => view.cpuMs) / 10, 'percent of a core', COUNT)
    print('membership idle frames sent per node', perSecond((view) => view.framesSent), 'per second', COUNT)
    print('membership idle bytes sent per node', perSecond((view) => view.bytesSent), 'bytes per second', COUNT)
    print('membership node resident', Math.max(...after.map((view) => view.rssMiB)), 'MiB, most', COUNT)

    for (const [event, end] of [['died', (node: BenchNode) => node.child?.kill('SIGKILL')], ['left', (node: BenchNode) => node.child?.send({ do: 'leave' })]] as const) {
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const victim = nodes[round % COUNT] as BenchNode, others = nodes.filter((node) => node !== victim)
        const id = (victim.ready as Ready).id, startMs = Date.now()
        end(victim)
        times.push(await untilSeen(others, event, id, startMs))
        await victim.start([(others[0] as BenchNode).ready as Ready])
        await untilOneView(nodes)
        await pause(300 + 700 * Math.random())
      }
      const what = event === 'died' ? 'SIGKILL known to all' : 'leave known to all'
      print(`${what}, p50`, quantile(times, 0.5), 'ms', ROUNDS)
      print(`${what}, p99`, quantile(times, 0.99), 'ms', ROUNDS)
    }

    const startMs = Date.now(), endMs = startMs + STALL_S * 1_000
    while (Date.now() < endMs) {
      nodes[1]?.child?.send({ do: 'stall', ms: 2_000 })
      await pause(4_000)
    }
    const seen = nodes.flatMap((node) => node.seen.filter((event) => event.wallMs >= startMs))
    print('false deaths, one node stalled 2 s at a time', seen.filter((event) => event.event === 'died').length, `deaths in ${STALL_S} s`, COUNT)
    print('suspicions meanwhile', seen.filter((event) => event.event === 'suspected').length, 'seen', COUNT)
  } finally {
    for (const node of nodes) node.child?.kill('SIGKILL')
    await rm(root, { recursive: true, force: true })
  }
  return all
}

export const bench: Bench = { name: 'membership', run: figures }

if (import.meta.main) await standalone(bench)
