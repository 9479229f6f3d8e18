// Accounts over kill -9 of a node, as processes: what runs on under QEMU is counted on, up to the time that passed and not
// beyond; calls that were written stay, none is there twice.

import t, { test } from 'tap'
import { libvirtInstalled } from '../../kali/hosts.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import { libvirtdAbsent, startLibvirtd } from '../support/libvirtd.ts'
import { writeSource } from '../support/deployed-lab.ts'

t.setTimeout(180_000)
const lab = await openLab(t)
const HOUR_MS = 3_600_000
/** Steps of the clock since the machine's start, and of the emulator's own start. */
const CLOCK_STEP_MS = 40

interface Total { readonly vmMs: number; readonly vcpuMs: number; readonly calls: number; readonly cpuUs: number }
/** As of now; the node writes it before it answers. */
async function total(node: LabNode): Promise<Total> {
  const dc = await lab.connect(node, {})
  try {
    const { rows } = await dc.account.list({ sinceMs: 0, untilMs: Date.now() + HOUR_MS })
    const sum = (what: keyof Total): number => rows.reduce((all, row) => all + row[what], 0)
    return { vmMs: sum('vmMs'), vcpuMs: sum('vcpuMs'), calls: sum('calls'), cpuUs: sum('cpuUs') }
  } finally {
    await dc.close()
  }
}
async function kill(node: LabNode): Promise<void> {
  node.signal('SIGKILL')
  await node.gone
}
async function done(node: LabNode, ...args: readonly string[]): Promise<void> {
  const { status, stderr } = await lab.run(node, args)
  if (status !== 0) throw new Error(`kumoi ${args.join(' ')}: ${stderr}`)
}

test('a guest that goes on under QEMU is counted on over kill -9 of its node, twice', { skip: libvirtdAbsent() ?? (libvirtInstalled() ? false : 'absent: libvirt.so.0') }, async (t) => {
  const daemon = await startLibvirtd('acc-qemu')
  t.teardown(() => daemon.stop())
  const wish = { name: 'acc-qemu', libvirtUri: daemon.uri }
  let node = await lab.up(wish)
  const beginMs = performance.now()
  await done(node, 'vm', 'create', 'guest1', '--memory', '32', '--vcpus', '2', '--start')
  await total(node)
  const runsMs = performance.now()
  for (let round = 0; round < 2; round++) {
    await kill(node)
    node = await lab.up(wish)
    await until('the guest is seen', async () => (await total(node)).vmMs > 0)
    const { vmMs: countedMs, vcpuMs } = await total(node)
    // Every second since it ran, the time without a node among them.
    await until('all of it is counted', async () => {
      const leastMs = performance.now() - runsMs
      return (await total(node)).vmMs >= leastMs - CLOCK_STEP_MS
    })
    const mostMs = performance.now() - beginMs
    t.ok(countedMs <= mostMs + CLOCK_STEP_MS, `${Math.round(countedMs)} ms of at most ${Math.round(mostMs)}`)
    t.ok(Math.abs(vcpuMs - 2 * countedMs) < 10)
  }
  await done(node, 'vm', 'destroy', 'guest1')
  const ended = await total(node)
  await kill(node)
  node = await lab.up(wish)
  t.ok((await total(node)).vmMs >= ended.vmMs, 'what was asked for was written')
  t.ok((await total(node)).vmMs <= performance.now() - beginMs)
})

test('calls of functions over kill -9: those of the last moments may be lost, none is there twice', async (t) => {
  let node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  await done(node, 'deploy', '--no-check', await writeSource(lab, 'add-one.ts', "import { defineFunction } from 'kumoi'\nexport default defineFunction({ name: 'add-one', run: () => 1 })\n"))
  for (let n = 0; n < 2; n++) await done(node, 'invoke', 'add-one')
  const before = await total(node)
  t.equal(before.calls, 2)
  t.ok(before.cpuUs > 0)
  await kill(node)
  node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  t.same(await total(node), before, 'asking writes')
  await done(node, 'invoke', 'add-one')
  await done(node, 'down')
  await node.gone
  node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  t.equal((await total(node)).calls, 3, 'a clean stop loses nothing')
})
