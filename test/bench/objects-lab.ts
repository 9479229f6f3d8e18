// Labs for the benches of objects: `kumoi lab` as users have it, in a scope; virsh and shell texts inside its hosts; and
// figures that say why they could not be measured.

import { connect } from '../../kali/mod.ts'
import type { DataCenter } from '../../kali/mod.ts'
import type { PhysicalMachine, VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { labObstacle, useLab } from '../support/lab.ts'
import type { LabWish, TestLab } from '../support/lab.ts'
import type { Figure, Scope } from './figure.ts'

export interface BenchLab {
  readonly lab: TestLab
  /** Connected to host1. */
  readonly dc: DataCenter
  /** host1, host2, ... */
  readonly machines: readonly PhysicalMachine[]
  /** Runs a text of bash inside a host; what it printed. Throws when it fails. */
  script(host: string, text: string): Promise<string>
}

/** Importing a base of 1 GiB, or ten VMs at once, on a busy machine. */
const CALL_TIMEOUT_MS = 120_000

/** Why there can be no libvirt lab ("absent: ..."), or false. */
export const libvirtObstacle = (): Promise<string | false> => labObstacle('libvirt')

export async function openBenchLab(scope: Scope, wish: LabWish): Promise<BenchLab> {
  const lab = await useLab({ teardown: (after) => { scope.defer(after) } }, wish)
  const [first] = lab.hosts
  if (first === undefined) throw new Error('a lab without hosts')
  const dc = await connect({ data: first.data, onConsole: () => {}, defaults: { timeoutMs: CALL_TIMEOUT_MS } })
  scope.defer(() => dc.close())
  const wanted = lab.hosts.length
  await until('all hypervisors are read', async () => (await dc.vmms.filter((vmm) => vmm.state === 'connected')).length === wanted, 60_000)
  return {
    lab, dc,
    machines: (await dc.pms).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    async script(host, text) {
      const { status, stdout, stderr } = await lab.exec(host, 'bash', '-ec', text)
      if (status !== 0) throw new Error(`in ${host}, status ${status}: ${stderr.slice(-500)}`)
      return stdout
    },
  }
}

export const at = <T>(items: readonly T[], index: number): T => {
  const item = items[index]
  if (item === undefined) throw new Error(`no item ${index} of ${items.length}`)
  return item
}

export const nextEvent = async (events: AsyncIterable<{ readonly type: string }>, type: string): Promise<void> => {
  for await (const event of events) if (event.type === type) return
  throw new Error(`the watch ended without ${type}`)
}

/** Removes a VM and what was made for it, whatever it does. */
export const removeVm = async (machine: PhysicalMachine, vm: VM): Promise<void> => { await machine.vmm.remove(vm, { force: true }) }

/** Rows of the table that this machine cannot fill. */
export const absentFigures = (rows: readonly (readonly [name: string, what: string, toReach: string])[], absent: string): Figure[] =>
  rows.map(([name, what, toReach]) => ({ name, what, toReach, unit: 'ms', p50: NaN, best: NaN, count: 0, peers: [], note: absent }))
