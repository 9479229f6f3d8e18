// Fabrics of real node processes for the benches: the lab of the end-to-end tests, in a scope.

import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DataCenter } from '../../kali/mod.ts'
import type { PhysicalMachine } from '../../rmo/mod.ts'
import { Lab, until } from '../support/fabric-lab.ts'
import type { LabNode, NodeWish } from '../support/fabric-lab.ts'
import type { Scope } from './figure.ts'

/** Nodes started at once: more only wait for the cores. */
const START_AT_ONCE = 4

export interface BenchFabric {
  readonly lab: Lab
  readonly nodes: readonly [LabNode, ...LabNode[]]
  /** Connected to the first node. */
  readonly dc: DataCenter
  readonly ticket: string
}

export async function openFabric(scope: Scope, names: readonly [string, ...string[]], wish: Partial<NodeWish> = {}, listen: (index: number) => string = () => '127.0.0.1'): Promise<BenchFabric> {
  const lab = new Lab(await mkdtemp(join(tmpdir(), 'kumoi-bench-')))
  scope.defer(() => lab.close())
  const first = await lab.up({ ...wish, name: names[0], listen: listen(0) })
  const dc = await lab.connect(first, { defaults: { timeoutMs: 60_000 } })
  const ticket = await dc.ticket()
  const nodes: [LabNode, ...LabNode[]] = [first]
  for (let i = 1; i < names.length; i += START_AT_ONCE) {
    nodes.push(...await Promise.all(names.slice(i, i + START_AT_ONCE).map((name, k) => lab.up({ ...wish, name, listen: listen(i + k), join: ticket }))))
  }
  await until('all nodes answer', async () => (await dc.pms.dmap((pm) => pm.name).settled()).filter(({ status }) => status === 'value').length === names.length, 60_000)
  return { lab, nodes, dc, ticket }
}

export async function machineOf(dc: DataCenter, name: string): Promise<PhysicalMachine> {
  const machine = (await dc.pms).find((pm) => pm.name === name)
  if (machine === undefined) throw new Error(`no machine ${name}`)
  return machine
}
