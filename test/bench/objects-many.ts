// Machines from one closure (the paper's VM contextualisation): 100 on three simulated hosts, 10 on three libvirt hosts.
// Each gets its name, MAC, disk and seed by its number; all must run, no name or MAC twice.

import { Bridge, FileDiskAuto, mac } from '../../cli/api.ts'
import type { DataCenter } from '../../kali/mod.ts'
import { standalone, timed, withScope } from './figure.ts'
import type { Bench, Figure } from './figure.ts'
import { absentFigures, libvirtObstacle, openBenchLab } from './objects-lab.ts'

const HOSTS = 3
const SIMULATED = 100
const REAL = 10
const REAL_ROW = ['objects-many-libvirt', `${REAL} VMs from one context closure on ${HOSTS} libvirt hosts`, 'all up, no name or MAC twice'] as const

async function contextualised(dc: DataCenter, count: number): Promise<{ readonly tookMs: number; readonly wrong: string | undefined }> {
  const { pms, range } = dc
  const [tookMs = NaN] = await timed(1, () => range(count).map(async (no) => {
    const pm = pms.at(no % await pms.length)
    const v = await pm.vmm.createVM({ memoryMiB: 32, vcpus: 1 })
    v.name = `centos${no}`
    v.add(FileDiskAuto(`/nfs/centos${no}.qcow2`, { sizeMiB: 16 }))
    v.add(Bridge('xenbr', `vnet${no}`, mac(no)))
    v.context({ hostname: v.name, users: [], runcmd: [] })
    const vm = await pm.vmm.add(v)
    await vm.start()
    return vm
  }))
  const vms = await dc.vms
  const running = vms.filter(({ state }) => state === 'running').length
  const names = new Set(vms.map(({ name }) => name)).size, macs = new Set(vms.flatMap((vm) => vm.macs)).size
  await dc.vms.dforEach(async (vm) => { await vm.destroy() })
  return { tookMs, wrong: running === count && names === count && macs === count ? undefined : `${running} run, ${names} names, ${macs} MACs, of ${count}` }
}

const figureOf = ([name, what, toReach]: readonly [string, string, string], { tookMs, wrong }: Awaited<ReturnType<typeof contextualised>>): Figure =>
  ({ name, what, toReach, unit: 'ms', p50: tookMs, best: tookMs, count: 1, peers: [], reached: wrong === undefined, why: wrong ?? '', note: 'time of all of them, from the first to the last' })

export const bench: Bench = {
  name: 'objects-many',
  run: async () => {
    const simulated = await withScope(async (scope) => contextualised((await openBenchLab(scope, { driver: 'memory', hosts: HOSTS })).dc, SIMULATED))
    const figures = [figureOf(['objects-many', `${SIMULATED} VMs from one context closure on ${HOSTS} memory hosts`, 'all up, no name or MAC twice'], simulated)]
    const absent = await libvirtObstacle()
    if (absent !== false) return [...figures, ...absentFigures([REAL_ROW], absent)]
    const real = await withScope(async (scope) => contextualised((await openBenchLab(scope, { driver: 'libvirt', hosts: HOSTS })).dc, REAL))
    return [...figures, figureOf(REAL_ROW, real)]
  },
}

if (import.meta.main) await standalone(bench)
