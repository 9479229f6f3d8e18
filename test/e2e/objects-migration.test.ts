// Live migration between two libvirt hosts with a real guest: a reference and a watch held across it, progress, cancelling
// half-way, what is refused. What goes wrong in the middle: objects-migration-mishaps.test.ts.

import { spawn } from 'node:child_process'
import t from 'tap'
import { FileDiskAuto } from '../../rmo/mod.ts'
import type { VM } from '../../rmo/mod.ts'
import { until } from '../support/fabric-lab.ts'
import { GUEST_PATIENCE_MS, ask, domainState, guestOn, guestUptime, listen, machine, runningOn } from '../support/guest.ts'
import { labObstacle, useLab } from '../support/lab.ts'
import { LAUNCHER } from '../support/shell-run.ts'

t.setTimeout(230_000)
/** So slow that a guest of 128 MiB is under way for half a minute. */
const SLOW_MIBPS = 1

t.test('migration', { skip: await labObstacle('libvirt'), timeout: 220_000 }, async (t) => {
  const lab = await useLab(t, { driver: 'libvirt', hosts: 2 })
  const dc = await lab.host('host1').connect()
  const far = await lab.host('host2').connect()
  const [host1, host2] = [await machine(dc, 'host1'), await machine(dc, 'host2')]
  const code = (error: unknown): string => (error as { readonly code?: string }).code ?? String(error)
  const there = async (name: string): Promise<VM> => until(`${name} is listed`, async () => (await dc.vms).find((vm) => vm.name === name), GUEST_PATIENCE_MS)
  const vm = await guestOn(lab, dc, 'host1', { name: 'roamer' })

  await t.test('live: the reference, the watch and the guest go on', async (t) => {
    const held = await far.vms.find(({ name }) => name === 'roamer')
    if (held === undefined) throw new Error('host2 does not see it')
    const { events, heard } = await listen(t, held)
    const instance = await ask(vm, 'instance')
    const upSeconds = await guestUptime(vm)
    const moved = await vm.migrate(host2)
    t.match({ ...moved }, { name: 'roamer', uuid: vm.uuid, state: 'running', host: 'host2' })
    await heard('migrated', ({ type }) => type === 'migrated')
    t.ok(events.some((event) => event.type === 'migrating' && event.phase === 'copying'), 'its progress was told')
    t.same(await runningOn(lab, 'roamer'), ['host2'])
    t.equal(await domainState(lab, 'host1', 'roamer'), 'absent')
    for (const [which, reference] of [['the one that asked', vm], ['the one held by another client', held], ['the answer', moved]] as const) {
      t.match(await reference.info(), { host: 'host2', migration: { from: 'host1', to: 'host2', phase: 'done' } }, which)
      t.equal((await reference.pm).name, 'host2', which)
    }
    t.ok(await guestUptime(vm) > upSeconds, 'the guest was not rebooted')
    t.equal(await ask(held, 'instance'), instance, 'and is the same instance')
    t.equal(await dc.range(1).dmap(async () => (await vm.info()).host).then(([host]) => host), 'host2', 'a shipped reference follows too')
    await held.suspend()
    await heard('suspended there', ({ type }) => type === 'suspended')
    await held.resume()
  })

  await t.test('cancelled half-way by Ctrl-C: it stays, and runs', async (t) => {
    const { heard } = await listen(t, vm)
    const { NODE_OPTIONS: _options, ...env } = process.env
    const shell = spawn(process.execPath, [LAUNCHER, 'vm', 'migrate', 'roamer', 'host1', '--bandwidth', String(SLOW_MIBPS)], { env: { ...env, KUMOI_DATA: lab.host('host1').data }, stdio: 'ignore' })
    t.teardown(() => { shell.kill('SIGKILL') })
    const ended = new Promise<number | null>((resolve) => shell.once('close', resolve))
    await heard('the copy is under way', (event) => event.type === 'migrating' && event.phase === 'copying' && event.doneBytes > 0)
    shell.kill('SIGINT')
    t.equal(await ended, 130)
    await until('it is settled', async () => (await vm.info()).migration?.phase === 'cancelled', GUEST_PATIENCE_MS)
    t.same(await runningOn(lab, 'roamer'), ['host2'])
    t.equal(await domainState(lab, 'host1', 'roamer'), 'absent', 'nothing half-made is left there')
    t.equal(await ask(vm, 'hostname'), 'roamer')
  })

  await t.test('refusals leave everything as it was', async (t) => {
    const refused = async (what: string, name: string, reason: RegExp): Promise<void> => {
      const error: unknown = await (await there(name)).migrate(host2).then(() => 'it went', (thrown: unknown) => thrown)
      t.equal(code(error), 'RMO_ERR_MIGRATION_REFUSED', what)
      t.match(error instanceof Error ? error.message : '', reason, what)
      t.equal(await domainState(lab, 'host1', name), 'shut off', `${what}: it is where it was`)
      await vmm1.remove(await there(name))
    }
    const { vmm: vmm1 } = host1
    const { vmm: vmm2 } = host2
    const settings = { memoryMiB: 64, vcpus: 1 }
    await vmm1.add(await vmm1.createVM({ ...settings, name: 'local', devices: [{ type: 'disk', path: '/var/lib/libvirt/images/local.qcow2', format: 'qcow2', create: 'auto', sizeMiB: 8 }] }))
    await refused('a disk that the other host does not see', 'local', /local\.qcow2/)
    const own = (await dc.storagePools).find(({ name, host }) => name === 'default' && host === 'host1')
    await own?.importImage({ name: 'of-host1', path: '/nfs/images/guest.qcow2' })
    await vmm1.add(await vmm1.createVM({ ...settings, name: 'based', image: 'of-host1', devices: [FileDiskAuto('/nfs/based.qcow2')] }))
    await refused('an image that the other host does not have', 'based', /of-host1|\/var\/lib\/libvirt\/images/)
    await vmm1.add(await vmm1.createVM({ ...settings, name: 'giant', memoryMiB: 4 * 1024 * 1024 }))
    await refused('more memory than the other host has', 'giant', /MiB|memory/i)
    const still = await vmm1.add(await vmm1.createVM({ ...settings, name: 'still', image: 'guest' }))
    t.equal((await still.migrate(host2)).host, 'host2', 'one that is off goes when nothing is in its way')
    t.same([await domainState(lab, 'host1', 'still'), await domainState(lab, 'host2', 'still')], ['absent', 'shut off'])
    await vmm2.remove(still)
    await vmm1.add(await vmm1.createVM({ ...settings, name: 'twin' }))
    const twin = await vmm2.add(await vmm2.createVM({ ...settings, name: 'twin' }))
    const first = await until('both twins are listed', async () => { const both = (await dc.vms).filter(({ name }) => name === 'twin'); return both.length === 2 && both.find(({ uuid }) => uuid !== twin.uuid) })
    await t.rejects(first.migrate(host2), { code: 'RMO_ERR_MIGRATION_REFUSED' }, 'its name is taken there')
    t.equal(await domainState(lab, 'host1', 'twin'), 'shut off')
    await vmm1.remove(first)
    await vmm2.remove(twin)
  })
})
