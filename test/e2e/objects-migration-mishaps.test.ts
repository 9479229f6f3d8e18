// A live migration that something breaks half-way: the destination's libvirtd is killed, the network is parted and healed.
// Afterwards exactly one copy runs, by virsh of both hosts, its state is known, and nothing half-made is left.

import t from 'tap'
import type { VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, domainState, guestOn, libvirtdPid, listen, machine, must, runningOn } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'

t.setTimeout(230_000)
/** So slow that it is under way long enough for what is done to it. */
const SLOW_MIBPS = 4

t.test('migrations that break half-way', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 2 })
  // Asked through the source's node, which the destination's mishaps do not concern.
  const dc = await lab.host('host2').connect()
  const host1 = await machine(dc, 'host1')
  const code = (error: unknown): string => (error as { readonly code?: string }).code ?? String(error)
  const there = (): Promise<VM> => until('it is listed', async () => (await dc.list('VM')).objects.find((vm) => vm.name === 'roamer') as VM | undefined, GUEST_PATIENCE_MS)
  const vm = await guestOn(lab, dc, 'host2', { name: 'roamer' })
  t.equal(await ask(vm, 'hostname'), 'roamer')

  await t.test('libvirtd of the destination is killed half-way: it stays, and runs', async (t) => {
    const { heard } = await listen(t, vm)
    const going = vm.migrate(host1, { bandwidthMiBps: SLOW_MIBPS }).then(() => 'it went', code)
    await heard('the copy is under way', (event) => event.type === 'migrating' && event.phase === 'copying' && event.doneBytes > 0)
    const pid = await libvirtdPid(lab, 'host1')
    await must(lab.exec('host1', 'kill', '-KILL', String(pid)))
    t.equal(await going, 'RMO_ERR_MIGRATION_FAILED')
    await lab.start('host1')
    await until('the old host has it for certain', async () => (await vm.info().catch(() => undefined))?.migration?.phase === 'failed', GUEST_PATIENCE_MS)
    await until('only one copy is left', async () => (await runningOn(lab, 'roamer')).join() === 'host2' && await domainState(lab, 'host1', 'roamer') === 'absent', GUEST_PATIENCE_MS)
    t.equal(await ask(vm, 'hostname'), 'roamer')
  })

  await t.test('the network is parted half-way, and healed: exactly one runs', async (t) => {
    const { heard } = await listen(t, vm)
    const going = vm.migrate(host1, { bandwidthMiBps: SLOW_MIBPS }).then(() => 'it went', code)
    await heard('the copy is under way', (event) => event.type === 'migrating' && event.phase === 'copying' && event.doneBytes > 0)
    await lab.partition(['host1'], ['host2'])
    // Half of it is over there, standing still; what runs runs once.
    t.same(await runningOn(lab, 'roamer'), ['host2'])
    await lab.heal()
    const outcome = await going
    t.match(outcome, /^(it went|RMO_ERR_MIGRATION_FAILED)$/)
    const at = outcome === 'it went' ? 'host1' : 'host2'
    await until('exactly one runs', async () => (await runningOn(lab, 'roamer')).join() === at, GUEST_PATIENCE_MS)
    await until('what was half-made is gone', async () => await domainState(lab, at === 'host1' ? 'host2' : 'host1', 'roamer') === 'absent', GUEST_PATIENCE_MS)
    t.equal((await until('the state is known', async () => { const info = await (await there()).info().catch(() => undefined); return info?.migration !== undefined && /^(done|failed)$/.test(info.migration.phase) && info }, GUEST_PATIENCE_MS)).host, at)
    t.equal(await ask(await there(), 'hostname'), 'roamer')
  })
})
