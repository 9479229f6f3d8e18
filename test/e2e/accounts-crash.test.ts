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

interface Total { readonly vmHours: number; readonly vcpuHours: number; readonly calls: number; readonly functionCpuSeconds: number }
async function total(node: LabNode, by = 'user'): Promise<Total> {
  const { status, stdout, stderr } = await lab.run(node, ['account', '--json', '--by', by])
  if (status !== 0) throw new Error(stderr)
  return (JSON.parse(stdout) as { readonly total: Total }).total
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
    await until('the guest is seen', async () => (await total(node)).vmHours > 0)
    const { vmHours, vcpuHours } = await total(node)
    const countedMs = vmHours * HOUR_MS
    // Every second since it ran, the time without a node among them.
    await until('all of it is counted', async () => {
      const leastMs = performance.now() - runsMs
      return (await total(node)).vmHours * HOUR_MS >= leastMs - CLOCK_STEP_MS
    })
    const mostMs = performance.now() - beginMs
    t.ok(countedMs <= mostMs + CLOCK_STEP_MS, `${Math.round(countedMs)} ms of at most ${Math.round(mostMs)}`)
    t.ok(Math.abs(vcpuHours - 2 * vmHours) * HOUR_MS < 10)
  }
  await done(node, 'vm', 'destroy', 'guest1')
  const ended = await total(node)
  await kill(node)
  node = await lab.up(wish)
  t.ok((await total(node)).vmHours >= ended.vmHours, 'what was asked for was written')
  t.ok((await total(node)).vmHours * HOUR_MS <= performance.now() - beginMs)
  await done(node, 'vm', 'rm', 'guest1', '--force')
})

test('calls of functions over kill -9: those of the last moments may be lost, none is there twice', async (t) => {
  let node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  await done(node, 'deploy', '--no-check', await writeSource(lab, 'add-one.ts', "import { defineFunction } from 'kumoi'\nexport default defineFunction({ name: 'add-one', run: (_context, n: number) => n + 1 })\n"))
  for (let n = 0; n < 5; n++) await done(node, 'invoke', 'add-one', String(n))
  const before = await total(node, 'function')
  t.equal(before.calls, 5)
  t.ok(before.functionCpuSeconds > 0)
  await kill(node)
  node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  t.same(await total(node, 'function'), before, 'asking writes')
  await done(node, 'invoke', 'add-one', '1')
  await done(node, 'down')
  await node.gone
  node = await lab.up({ name: 'acc-fn', driver: 'memory' })
  t.equal((await total(node, 'function')).calls, 6, 'a clean stop loses nothing')
})
