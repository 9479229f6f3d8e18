// 1,000 simulated hosts with 10 VMs each on one node, a process of its own: the question of the paper to all of them,
// from a connected program.

import { Lab } from '../support/fabric-lab.ts'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { low, standalone, timed, withScope } from './figure.ts'
import type { Bench } from './figure.ts'

const HOSTS = 1_000
const VMS = 10
const REACH_MS = 1_000
const WARM_UP = 3
const ROUNDS = 15

export const bench: Bench = {
  name: 'objects-fleet',
  run: () => withScope(async (scope) => {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'kumoi-bench-')))
    scope.defer(() => lab.close())
    const node = await lab.up({ name: 'fleet', fleet: { hosts: HOSTS, vmsPerHost: VMS } })
    const dc = await lab.connect(node, { defaults: { timeoutMs: 60_000 } })
    let wrong = 0
    const ask = async (): Promise<void> => {
      const answers = await dc.pms.dmap((pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.9))
      if (answers.length !== HOSTS) wrong++
    }
    await timed(WARM_UP, ask)
    const times = low(await timed(ROUNDS, ask))
    const seen = await dc.pms.dmap(async (pm) => (await pm.vms).length).dsum()
    if (seen !== HOSTS * VMS) wrong++
    return [{
      name: 'objects-fleet', what: `VMs with cpuRatio above 0.9 of ${HOSTS.toLocaleString('en-US')} simulated hosts with ${VMS} each, one process`, toReach: `<= ${REACH_MS} ms`, unit: 'ms',
      ...times, peers: [], reached: times.p50 <= REACH_MS && wrong === 0,
      why: wrong > 0 ? `${wrong} answers were not complete` : 'about two thirds is making and carrying 10,000 references (22 attributes each) from the kernel into the isolate, on two shared cores',
      note: `${seen} VMs seen`,
    }]
  }),
}

if (import.meta.main) await standalone(bench)
