// A lab for a test: made in a directory of its own, torn down with the test, whatever happened to it.
//
//   const lab = await useLab(t, { driver: 'libvirt', hosts: 3 })
//   await lab.kill('host2'); await lab.partition(['host1'], ['host2', 'host3']); const dc = await lab.host('host1').connect()
//
// Everything goes through the real `kumoi lab`, so what tests rely on is what users have.

import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingFor } from '../../cli/lab/requirements.ts'
import type { LabStatus } from '../../cli/lab/contract.ts'
import { connect } from '../../kali/mod.ts'
import type { DataCenter } from '../../kali/mod.ts'
import { runProgram } from './processes.ts'
import type { RunOptions, RunResult } from './processes.ts'
import { LAUNCHER } from './shell-run.ts'

export interface Teardown { teardown(after: () => void | Promise<void>): void }

export interface LabWish { readonly driver: 'libvirt' | 'memory'; readonly hosts?: number; readonly switch?: 'linux' | 'ovs' }

export interface TestHost {
  readonly name: string
  readonly address: string
  /** Data directory of its node. */
  readonly data: string
  /** A connection of this process to its node; closed with the test. */
  connect(): Promise<DataCenter>
}

export interface TestLab {
  readonly directory: string
  readonly hosts: readonly TestHost[]
  host(name: string): TestHost
  /** A command line of the shell, at host1's node unless another is named. */
  kumoi(args: readonly string[], options?: RunOptions & { readonly host?: string }): Promise<RunResult>
  /** `kumoi lab ACTION ...` of this lab; throws when it fails. */
  lab(action: string, ...args: readonly string[]): Promise<string>
  /** A program inside a host. */
  exec(host: string, ...command: readonly string[]): Promise<RunResult>
  kill(host: string): Promise<string>
  start(host: string): Promise<string>
  stopNode(host: string): Promise<string>
  startNode(host: string): Promise<string>
  partition(...groups: readonly (readonly string[])[]): Promise<string>
  heal(): Promise<string>
  status(): Promise<LabStatus>
  down(): Promise<string>
}

/** Why such a lab cannot be made here, for t.test's `skip`; false when it can. */
export async function labObstacle(driver: LabWish['driver'], kind: 'linux' | 'ovs' = 'linux'): Promise<string | false> {
  if (driver === 'memory') return false
  const missing = await missingFor(kind)
  if (missing.length > 0) return `absent: ${missing.map(({ program }) => program).join(', ')}`
  if (process.getuid?.() !== 0) return 'absent: needs root (namespaces)'
  const namespaces = await runProgram('unshare', ['--mount', '--net', '--uts', 'true'])
  return namespaces.status === 0 ? false : `absent: namespaces (${namespaces.stderr.trim()})`
}

/** Rejects with the shell's own words when the lab does not come up. */
export async function useLab(t: Teardown, { driver, hosts = 3, switch: kind = 'linux' }: LabWish): Promise<TestLab> {
  const root = await mkdtemp(join(tmpdir(), 'klab-'))
  const directory = join(root, 'd')
  const run = (args: readonly string[], options: RunOptions = {}): Promise<RunResult> => runProgram(process.execPath, [LAUNCHER, ...args], options)
  const lab = async (action: string, ...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await run(['lab', action, '--quiet', '--dir', directory, ...args])
    if (status !== 0) throw new Error(`kumoi lab ${action} ${args.join(' ')}: status ${status}: ${stderr}`)
    return stdout
  }
  const centers: DataCenter[] = []
  t.teardown(async () => {
    for (const dc of centers) await dc.close().catch(() => {})
    await lab('down')
    await rm(root, { recursive: true, force: true })
  })
  const status = JSON.parse(await lab('up', '--json', '--name', `t${randomBytes(3).toString('hex')}`, '--driver', driver, '--hosts', String(hosts), '--switch', kind)) as LabStatus
  const made: TestHost[] = status.hosts.map(({ name, address, data }) => ({
    name, address, data,
    async connect() {
      const dc = await connect({ data, onConsole: () => {} })
      centers.push(dc)
      return dc
    },
  }))
  const host = (name: string): TestHost => {
    const found = made.find((one) => one.name === name)
    if (found === undefined) throw new Error(`no ${name} in this lab`)
    return found
  }
  return {
    directory, hosts: made, host, lab,
    kumoi: (args, { host: name = 'host1', ...options } = {}) => run(args, { ...options, env: { KUMOI_DATA: host(name).data, NO_COLOR: '1', ...options.env } }),
    exec: (name, ...command) => run(['lab', 'exec', '--dir', directory, name, '--', ...command]),
    kill: (name) => lab('kill', name), start: (name) => lab('start', name), stopNode: (name) => lab('stop-node', name), startNode: (name) => lab('start-node', name),
    partition: (...groups) => lab('partition', ...groups.map((group) => group.join(','))), heal: () => lab('heal'),
    status: async () => JSON.parse(await lab('status', '--json')) as LabStatus,
    down: () => lab('down'),
  }
}

/** What of a lab could be left on this machine: processes by its directory or mark, mounts, network devices, namespaces, files. */
export async function tracesOf(directory: string, labId: string | undefined): Promise<string[]> {
  const traces: string[] = []
  const words = labId === undefined ? [directory] : [directory, `kumoi-lab:${labId}`]
  const has = (text: string): boolean => words.some((word) => text.includes(word))
  const { stdout: ps } = await runProgram('ps', ['-eo', 'pid=,args='])
  traces.push(...ps.split('\n').filter(has).map((line) => `process ${line.trim()}`))
  traces.push(...(await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(has).map((line) => `mount ${line}`))
  return traces
}

/** Network devices and named namespaces of the machine itself. */
export async function machineNetwork(): Promise<{ readonly links: readonly string[]; readonly namespaces: string }> {
  const links = await runProgram('ip', ['-o', 'link'])
  const namespaces = await runProgram('ip', ['netns', 'list'])
  return { links: links.stdout.split('\n').map((line) => line.split(':')[1]?.trim() ?? '').filter((name) => /^(klab|host\d|xenbr|vnet)/.test(name)), namespaces: namespaces.stdout.split('\n').filter((line) => /klab|host\d/.test(line)).join() }
}
