// Whole fabrics for the end-to-end tests: nodes as real processes through the real launcher, the real
// shell on them, network namespaces, and the bookkeeping that leaves nothing behind.
//
// A node runs in the foreground (`kumoi up`, no --detach) as a child of the test, so that its end is an
// event and only its own pid is ever signalled. What it starts (cells, programs of exec) is watched
// through /proc and must be gone soon after it.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../kali/mod.ts'
import type { ConnectOptions, DataCenter, NodeInfo, NodeRow } from '../../kali/mod.ts'
import { runProgram } from './processes.ts'
import type { RunOptions, RunResult } from './processes.ts'
import { LAUNCHER } from './shell-run.ts'
import { PATIENCE_MS, until } from './until.ts'
export { until }

export interface Teardown { teardown(after: () => void | Promise<void>): void }

export interface NodeWish {
  readonly name: string
  readonly listen?: string
  readonly join?: string
  /** Default: a directory of its own. */
  readonly data?: string
  /** Modules loaded before the launcher (to shift a clock). */
  readonly imports?: readonly string[]
  /** A fleet of simulated machines on this node. */
  readonly fleet?: { readonly hosts: number; readonly vmsPerHost: number }
  /** Simulated machine with a store of its own: what it has outlives a restart. */
  readonly driver?: 'memory'
  /** Real hypervisor of its machine. */
  readonly libvirtUri?: string
  /** Network namespace to run in. */
  readonly namespace?: string
  /** Global store of a new fabric. */
  readonly store?: string
  /** HTTP door, "host:port". */
  readonly http?: string
  /** Path of the door for users who log in. */
  readonly usersSocket?: string
}

/** The promise's outcome, or an error that names what hung. */
export async function within<T>(what: string, limitMs: number, work: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([work, new Promise<never>((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${limitMs} ms`)), limitMs) })])
  } finally {
    clearTimeout(timer)
  }
}

// ---------------------------------------------------------------- processes, through /proc

interface Proc { readonly pid: number; readonly parent: number; readonly state: string; readonly command: string }

export function processes(): Proc[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const [, state = '', parent = '0'] = /\) (\w) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? []
      return [{ pid: Number(name), parent: Number(parent), state, command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() }]
    } catch {
      return []
    }
  })
}

export function descendants(root: number): Proc[] {
  const all = processes()
  const found: Proc[] = []
  for (let parents = [root]; parents.length > 0;) {
    const next = all.filter((p) => parents.includes(p.parent))
    found.push(...next)
    parents = next.map((p) => p.pid)
  }
  return found
}

/** A pid may be given to another process: the command tells. */
export const isRunning = ({ pid, command }: Proc): boolean => processes().some((p) => p.pid === pid && p.state !== 'Z' && p.command === command)

/** Processor time used so far, in clock ticks (10 ms). */
export function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')
  return Number(fields[11]) + Number(fields[12])
}

// ---------------------------------------------------------------- nodes

export class LabNode {
  readonly info: NodeInfo
  readonly child: ChildProcess
  /** Resolves when the process is gone. */
  readonly gone: Promise<{ readonly status: number | null; readonly signal: string | null }>
  constructor(info: NodeInfo, child: ChildProcess, gone: LabNode['gone']) {
    this.info = info
    this.child = child
    this.gone = gone
  }
  get name(): string { return this.info.name }
  get data(): string { return this.info.data }
  get pid(): number { return this.info.pid }
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void { process.kill(this.pid, name) }
}

export class Lab {
  readonly root: string
  readonly #started = new Set<LabNode>()
  readonly #children = new Set<ChildProcess>()
  readonly #centers = new Set<DataCenter>()
  /** Descendants of nodes that were killed: they must end by themselves. */
  readonly #orphans: Proc[] = []

  constructor(root: string) { this.root = root }

  dir(name: string): string { return join(this.root, name) }

  /** Starts a node in the foreground and waits for its first word: its particulars, or why not. */
  async up(wish: NodeWish): Promise<LabNode> {
    const data = wish.data ?? this.dir(wish.name)
    const args = [...SNAPSHOT, ...(wish.imports ?? []).flatMap((url) => ['--import', url]), LAUNCHER, 'up', '--json', '--data', data, '--name', wish.name, '--listen', wish.listen ?? '127.0.0.1', ...(wish.join === undefined ? [] : ['--join', wish.join]), ...(wish.store === undefined ? [] : ['--store', wish.store]), ...(wish.http === undefined ? [] : ['--http', wish.http]), ...(wish.usersSocket === undefined ? [] : ['--users-socket', wish.usersSocket]), ...(wish.driver === undefined ? [] : ['--driver', wish.driver]), ...(wish.libvirtUri === undefined ? [] : ['--driver', 'libvirt', '--switches', 'none', '--libvirt-uri', wish.libvirtUri]), ...(wish.fleet === undefined ? [] : ['--driver', 'memory', '--hosts', String(wish.fleet.hosts), '--vms-per-host', String(wish.fleet.vmsPerHost)])]
    const [file, argv] = wish.namespace === undefined ? [process.execPath, args] : ['ip', ['netns', 'exec', wish.namespace, process.execPath, ...args]]
    const child = spawn(file, argv, { cwd: this.root, env: this.env(data), stdio: ['ignore', 'pipe', 'pipe'] })
    this.#children.add(child)
    const gone = new Promise<{ status: number | null; signal: string | null }>((resolve) => child.once('close', (status, signal) => { this.#children.delete(child); resolve({ status, signal }) }))
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => { log = (log + text).slice(-20_000) })
    const first = new Promise<string>((resolve) => {
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (piece: string) => { text += piece; if (text.includes('\n')) resolve(text) })
    })
    const line = await within(`node ${wish.name} ready`, PATIENCE_MS * 2, Promise.race([first, gone.then(({ status }) => { throw Object.assign(new Error(`node ${wish.name} ended with ${status}: ${log}`), { status, log }) })]))
    const node = new LabNode(JSON.parse(line) as NodeInfo, child, gone)
    this.#started.add(node)
    return node
  }

  /** A founder and joiners, all alive in each other's eyes. */
  async fabric(names: readonly [string, ...string[]]): Promise<LabNode[]> {
    const [founder, ...others] = names
    const first = await this.up({ name: founder })
    const ticket = await this.ticket(first)
    const nodes = [first, ...await Promise.all(others.map((name) => this.up({ name, join: ticket })))]
    await this.settled(nodes)
    return nodes
  }

  async settled(nodes: readonly LabNode[]): Promise<void> {
    for (const node of nodes) await until(`${node.name} sees all of ${nodes.map((n) => n.name).join(', ')}`, async () => {
      const rows = await (await this.connect(node)).nodes()
      return nodes.every(({ info }) => rows.some((row) => row.id === info.id && row.state === 'alive'))
    })
  }

  /** What `node` says of the member `name`, once it is in one of `states`. */
  async sees(node: LabNode, name: string, ...states: readonly string[]): Promise<NodeRow> {
    const dc = await this.connect(node)
    return until(`${node.name} sees ${name} ${states.join(' or ')}`, async () => (await dc.nodes()).find((row) => row.name === name && states.includes(row.state)))
  }

  env(data: string): Record<string, string> {
    const { FORCE_COLOR: _color, KUMOI_DATA: _data, ...env } = process.env
    return { ...env as Record<string, string>, KUMOI_DATA: data, NO_COLOR: '1' }
  }

  /** A node that must not come up: how `up` ended, and what it said. One that does come up is stopped. */
  async refused(data: string, ...args: string[]): Promise<{ readonly status: number | null; readonly stderr: string }> {
    let pid: number | undefined
    const { status, stderr, stdout } = await within('up is refused', PATIENCE_MS * 2, this.run({ data }, ['up', '--data', data, '--listen', '127.0.0.1', ...args], {
      onText: (text) => {
        const [, told] = /^process +(\d+)$/m.exec(text) ?? []
        if (told === undefined || pid !== undefined) return
        pid = Number(told)
        process.kill(pid, 'SIGTERM')
      },
    }))
    return pid === undefined ? { status, stderr } : { status: -1, stderr: `it came up: ${stdout}` }
  }

  /** One command line of the shell, as a process. */
  run(node: LabNode | { readonly data: string }, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return runProgram(process.execPath, [LAUNCHER, ...args], { cwd: this.root, ...options, env: { KUMOI_DATA: node.data, NO_COLOR: '1', ...options.env } })
  }

  async ticket(node: LabNode): Promise<string> { return (await this.connect(node)).ticket() }

  readonly #shared = new Map<LabNode, Promise<DataCenter>>()
  /** A connection of this process: one shared per node, or a new one when options are given. */
  async connect(node: LabNode, options?: Omit<ConnectOptions, 'data'>): Promise<DataCenter> {
    if (options === undefined) {
      const present = this.#shared.get(node) ?? this.connect(node, {})
      this.#shared.set(node, present)
      return present
    }
    const dc = await connect({ onConsole: () => {}, ...options, data: node.data })
    this.#centers.add(dc)
    return dc
  }

  async kill(node: LabNode): Promise<void> {
    this.#orphans.push(...descendants(node.pid))
    node.signal('SIGKILL')
    await node.gone
  }

  async down(node: LabNode): Promise<void> {
    await (await this.connect(node)).down()
    await within(`${node.name} ends after down`, PATIENCE_MS, node.gone)
  }

  readonly #lastly: (() => void)[] = []
  /** Runs when every node is gone, before the directory is removed. */
  beforeRemoval(last: () => void): void { this.#lastly.push(last) }

  /** Stops everything, and says what outlived its node. */
  async close(): Promise<string[]> {
    for (const dc of this.#centers) await dc.close().catch(() => {})
    const alive = [...this.#started].filter((node) => this.#children.has(node.child))
    for (const node of alive) this.#orphans.push(...descendants(node.pid))
    for (const child of this.#children) if (child.pid !== undefined) { child.kill('SIGCONT'); child.kill('SIGTERM') }
    await Promise.all([...this.#children].map((child) => new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve()
      const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
      child.once('close', () => { clearTimeout(timer); resolve() })
    })))
    const left = await until('what killed nodes had started ends', () => this.#orphans.every((orphan) => !isRunning(orphan)), ORPHAN_MS).then(() => [], () => this.#orphans.filter(isRunning))
    for (const { pid } of left) try { process.kill(pid, 'SIGKILL') } catch { /* ended meanwhile */ }
    for (const last of this.#lastly) last()
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 })
    return left.map(({ pid, command }) => `${pid} ${command.slice(0, 120)}`)
  }
}

/** A node under the launcher would be a grandchild; with the flag it needs it is the child itself. */
const SNAPSHOT = ['--disable-warning=ExperimentalWarning', '--no-node-snapshot']
const CLOSE_MS = 6_000
/** A watchdog counts on for what was protected: give-up age, grace, and a busy machine. */
const ORPHAN_MS = 20_000

/** A lab that is torn down with the test, which fails if a process outlived its node. */
export async function openLab(t: Teardown): Promise<Lab> {
  const lab = new Lab(await mkdtemp(join(tmpdir(), 'ke2e-')))
  t.teardown(async () => {
    const left = await lab.close()
    if (left.length > 0) throw new Error(`outlived their nodes: ${left.join('; ')}`)
  })
  return lab
}

/** Lines of a file that a shipped function or program wrote; empty while there is none. */
export const linesOf = (path: string): Promise<string[]> => readFile(path, 'utf8').then((text) => text.split('\n').filter((line) => line !== ''), () => [])
