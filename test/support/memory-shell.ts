// The real shell on real nodes with simulated hypervisors, all in this process: one fabric for a test file.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { connect, startNode } from '../../kali/mod.ts'
import type { DataCenter, HypervisorOptions, RunningNode } from '../../kali/mod.ts'
import { until } from './fabric-lab.ts'
import { fakeKali } from './fake-datacenter.ts'
import { shellRun } from './shell-run.ts'
import type { ShellRun, ShellRunOptions } from './shell-run.ts'

export interface MemoryShell {
  readonly dc: DataCenter
  readonly directory: string
  /** One command line, against the first node. */
  run(args: readonly string[], options?: Omit<ShellRunOptions, 'fake'>): Promise<ShellRun>
  /** As run(), with --json: what it printed. */
  json(...args: readonly string[]): Promise<unknown>
}

export async function openMemoryShell(t: { teardown(after: () => Promise<void>): unknown }, names: readonly string[], driver: HypervisorOptions['driver'] = 'memory'): Promise<MemoryShell> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-shell-'))
  const nodes: RunningNode[] = []
  const centers: DataCenter[] = []
  t.teardown(async () => {
    for (const center of centers) await center.close().catch(() => {})
    for (const node of nodes.toReversed()) await node.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const dataOf = (name: string): string => join(directory, name)
  for (const name of names) {
    const ticket = await centers[0]?.ticket()
    nodes.push(await startNode({ data: dataOf(name), name, listen: '127.0.0.1', hypervisor: { driver }, ...(ticket === undefined ? {} : { join: ticket }) }))
    if (centers.length === 0) centers.push(await connect({ data: dataOf(name), defaults: { timeoutMs: 60_000 } }))
  }
  const [dc] = centers
  if (dc === undefined) throw new Error('no node')
  await until('all machines', async () => (await dc.list('PhysicalMachine')).objects.length === names.length && (await dc.list('VMM')).failures.length === 0)
  const fake = { ...fakeKali(), kali: { connect, startNode } }
  const run: MemoryShell['run'] = (args, options = {}) => shellRun(args, { ...options, fake, env: { KUMOI_DATA: dataOf(names[0] ?? ''), ...options.env } })
  return {
    dc, directory, run,
    async json(...args) {
      const { stdout, stderr } = await run(['--json', ...args])
      try { return JSON.parse(stdout) as unknown } catch { throw new Error(`no JSON of ${args.join(' ')}: ${stdout}${stderr}`) }
    },
  }
}
