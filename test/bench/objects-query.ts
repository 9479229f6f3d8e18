// Three libvirt hosts of a lab with 10 domains each: the question of the paper to all of them, beside `virsh domstats`
// on each; and how long after a QEMU was killed a watcher connected to another host knows of it. The domains stand
// still from the start, so that 30 emulators leave the cores to what is measured.

import { alternate, low, quantile, standalone, timed, withScope } from './figure.ts'
import type { Bench, Figure } from './figure.ts'
import { absentFigures, at, libvirtObstacle, nextEvent, openBenchLab } from './objects-lab.ts'
import { processes, within } from '../support/fabric-lab.ts'

const HOSTS = 3
const DOMAINS = 10
const REACH_MS = 20
const TIMES_VIRSH = 1.5
const ROUNDS = 3
const CALLS = 20
const CRASHES = 12
const CRASH_REACH_MS = 100
const EVENT_LIMIT_MS = 10_000

const QUERY = `VMs with cpuRatio above 0.9 of ${HOSTS} libvirt hosts with ${DOMAINS} domains each`
const CRASH = 'VM crash (QEMU killed) to the event in a watch on another host'
const ROWS = [
  ['objects-query', QUERY, `p50 <= ${REACH_MS} ms`],
  ['objects-query-virsh', "the same, as times of the slowest host's virsh domstats", `<= ${TIMES_VIRSH}`],
  ['objects-crash', CRASH, `p50 <= ${CRASH_REACH_MS} ms`],
] as const

/** "(Time: 3.210 ms)" of `virsh --timing`: the command alone, without the start of virsh. */
const timingsOf = (text: string): number[] => [...text.matchAll(/\(Time: ([\d.]+) ms\)/g)].map(([, ms]) => Number(ms))

export const bench: Bench = {
  name: 'objects-query',
  run: () => withScope(async (scope) => {
    const absent = await libvirtObstacle()
    if (absent !== false) return absentFigures(ROWS, absent)
    const { dc, lab, machines, script } = await openBenchLab(scope, { driver: 'libvirt', hosts: HOSTS })
    const counts = await dc.pms.dmap(async (pm) => {
      for (let i = 0; i < 10; i++) {
        const draft = await pm.vmm.createVM({ name: `${pm.name}-vm${i}`, memoryMiB: 32, vcpus: 1 })
        const vm = await pm.vmm.add(draft)
        await vm.start({ paused: true })
      }
      return pm.vms.length
    }).with({ timeoutMs: 120_000 })
    if (counts.some((count) => count !== DOMAINS)) throw new Error(`domains: ${counts.join(', ')}`)

    let wrong = 0
    const ask = async (): Promise<void> => {
      const answers = await dc.pms.dmap((pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.9))
      if (answers.length !== HOSTS) wrong++
    }
    const domstats = (host: string) => async (): Promise<readonly number[]> =>
      timingsOf(await script(host, `virsh --timing '${Array.from({ length: CALLS }, () => 'domstats').join('; ')}' | grep '^(Time'`))
    const times = await alternate(ROUNDS, {
      kumoi: () => timed(CALLS, ask),
      host1: domstats('host1'), host2: domstats('host2'), host3: domstats('host3'),
    })
    const ours = low(times.kumoi)
    const virsh = [times.host1, times.host2, times.host3].map(low).toSorted((a, b) => b.p50 - a.p50)
    const slowest = at(virsh, 0)
    const ratio = { p50: ours.p50 / slowest.p50, best: ours.best / slowest.best, count: ours.count }
    const figures: Figure[] = [
      {
        name: 'objects-query', what: QUERY, toReach: `p50 <= ${REACH_MS} ms`, unit: 'ms', ...ours, peers: [{ name: "virsh domstats, slowest host", ...slowest }], reached: ours.p50 <= REACH_MS && wrong === 0,
        why: wrong > 0 ? `${wrong} answers were not complete` : 'three nodes, three cells and three libvirtds share two cores', note: `p99 ${quantile(times.kumoi, 0.99).toFixed(1)} ms; ours from figures that each node reads once a second, virsh reads them anew, timed without its own start`,
      },
      { name: 'objects-query-virsh', what: "the same, as times of the slowest host's virsh domstats", toReach: `<= ${TIMES_VIRSH}`, unit: 'times', ...ratio, peers: [], reached: ratio.p50 <= TIMES_VIRSH, why: 'virsh asks one host and runs no function; ours goes to three nodes and into their cells' },
    ]

    const host2 = at(machines, 1)
    const vm = at(await host2.vms, 0)
    const emulator = (): number => {
      const found = processes().find(({ command }) => command.includes('qemu-system') && command.includes(`guest=${vm.name},`))
      if (found === undefined) throw new Error(`no emulator of ${vm.name}`)
      return found.pid
    }
    const watch = vm.watch()
    scope.defer(() => watch.unwatch())
    const events = { [Symbol.asyncIterator]: () => ({ next: () => watch.next() }) }
    // The watch is open when an event of ours has come through it.
    const resumed = nextEvent(events, 'resumed')
    while (!await Promise.race([resumed.then(() => true), vm.resume().then(() => vm.suspend()).then(() => false)]));
    const crashes: number[] = []
    for (let i = 0; i <= CRASHES; i++) {
      const crashed = nextEvent(events, 'crashed')
      const pid = emulator()
      const killedAtMs = performance.now()
      process.kill(pid, 'SIGKILL')
      await within('the event of the crash', EVENT_LIMIT_MS, crashed)
      if (i > 0) crashes.push(performance.now() - killedAtMs)
      await vm.start({ paused: true })
    }
    const crash = low(crashes)
    figures.push({ name: 'objects-crash', what: CRASH, toReach: `p50 <= ${CRASH_REACH_MS} ms`, unit: 'ms', ...crash, peers: [], reached: crash.p50 <= CRASH_REACH_MS, why: 'libvirtd tells it only when it has reaped the process and cleaned up', note: `worst ${Math.max(...crashes).toFixed(0)} ms; watched through ${at(lab.hosts, 0).name}, the VM on ${host2.name}` })
    return figures
  }),
}

if (import.meta.main) await standalone(bench)
