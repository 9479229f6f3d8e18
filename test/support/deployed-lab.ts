// Functions deployed on the nodes of a lab: their source is written where a user would write it, built, and deployed over a
// connection of this process (the shell's own way is in test/e2e/functions.test.ts; here it would cost a process each time).

import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { buildBundle } from '../../functions/mod.ts'
import type { DeployOptions, DeployReport, LogLine } from '../../functions/mod.ts'
import type { DataCenter } from '../../kali/mod.ts'
import type { Lab, LabNode } from './fabric-lab.ts'

const packageRoot = resolve(import.meta.dirname, '../..')

/** Nodes on one founder that all see one another; `simulating` has VMs (and cannot start programs: no system is behind it). */
export async function fabricWithVms(lab: Lab, names: readonly [string, ...string[]], simulating: string, vmsPerHost: number, founder: { readonly http?: string; readonly store?: string } = {}): Promise<LabNode[]> {
  const [first, ...others] = names
  const fleetOf = (name: string) => name === simulating ? { fleet: { hosts: 1, vmsPerHost } } : {}
  const nodes = [await lab.up({ name: first, ...fleetOf(first), ...founder })]
  const ticket = await lab.ticket(nodes[0] as LabNode)
  nodes.push(...await Promise.all(others.map((name) => lab.up({ name, join: ticket, ...fleetOf(name) }))))
  await lab.settled(nodes)
  return nodes
}

/** Text of a function's body: appends a line to a file, through the gate, from the machine of a node; needs `pms` and RIGHTS. */
export const append = (file: string, line: string, node = 'alpha'): string => `await (await pms).find((pm) => pm.name === '${node}').exec('sh', ['-c', 'echo "$0" >> ${file}', ${line}])`

/** Writes a file into the lab's folder for sources and answers its path. */
export async function writeSource(lab: Lab, file: string, text: string): Promise<string> {
  const path = join(lab.dir('sources'), file)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
}

/** `export default defineFunction({ name, ...rest })`; `rest` is text. */
export const definition = (name: string, rest: string): string => `import { defineFunction } from 'kumoi'\nexport default defineFunction({ name: '${name}', ${rest} })\n`

export async function deploySource(lab: Lab, dc: DataCenter, name: string, rest: string, options?: DeployOptions): Promise<DeployReport> {
  const file = await writeSource(lab, `${name}.ts`, definition(name, rest))
  return dc.functions.deploy(await buildBundle({ file, types: 'skip', packageRoot }), options)
}

/** The first line of a function that `fits`, of those kept or to come. */
export async function logLine(dc: DataCenter, name: string, fits: (line: LogLine & { readonly node: string }) => boolean): Promise<LogLine & { readonly node: string }> {
  const over = new AbortController()
  try {
    for await (const line of dc.functions.logs({ name, follow: true, signal: over.signal })) if (fits(line)) return line
    throw new Error(`the log of ${name} ended`)
  } finally {
    over.abort()
  }
}

export const RIGHTS = `rights: ['pm:read', 'pm:execute']`

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}
