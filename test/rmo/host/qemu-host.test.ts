// Two hosts over real libvirtds and QEMU (software emulation): a life, a crash behind our back, a clone that copies
// nothing, a live migration, a restart of the node with guests running. Guests sit in their firmware.

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { libvirtInstalled } from '../../../kali/hosts.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import { createTestHosts, eventually } from '../../support/hosts.ts'
import type { TestHost } from '../../support/hosts.ts'
import { libvirtdAbsent, startLibvirtd } from '../../support/libvirtd.ts'
import { authority, must } from '../../support/rmo-fabric.ts'

const skip = libvirtdAbsent() ?? (libvirtInstalled() ? false : 'absent: libvirt.so.0')
/** Two daemons look for emulators first, which takes seconds on a busy machine. */
t.setTimeout(120_000)
const patient = (): ReturnType<typeof authority> => authority({ remainingMs: () => 60_000 })

/** An image of 1 GiB in the guest. */
async function importImage(host: TestHost, directory: string): Promise<void> {
  const path = join(directory, 'base.qcow2')
  await promisify(execFile)('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1G'])
  const pool = must(host.objects.list('StoragePool')[0]).local as LocalPool
  await pool.importImage({ name: 'guest', path }, patient())
}

test('hosts over QEMU', { skip, timeout: 120_000 }, async (t) => {
  const { createLibvirtDriver } = await import('../../../rmo/libvirt.ts')
  const daemons = await Promise.all(['qh1', 'qh2'].map((name) => startLibvirtd(name)))
  t.teardown(() => Promise.all(daemons.map((daemon) => daemon.stop())))
  const daemonOf = (name: string) => must(daemons[name === 'qh1' ? 0 : 1])
  const fabric = await createTestHosts(['qh1', 'qh2'], {
    storage: true, directory: (name) => daemonOf(name).directory,
    wrap: (_memory, name) => createLibvirtDriver({ uri: daemonOf(name).uri, stateDirectory: daemonOf(name).stateDirectory, migrationUri: daemonOf(name).migrationUri, transportUri: 'tcp://127.0.0.1', clock: systemClock, random: seededRandom(7), threads: 3 }),
  })
  t.teardown(() => fabric.stop())
  const [a, b] = [fabric.host('qh1'), fabric.host('qh2')]
  const shared = join(daemonOf('qh1').directory, 'shared')
  for (const each of [a, b]) await each.host.vmm.createPool({ name: 'shared', path: shared }, patient())
  await importImage(a, daemonOf('qh1').directory)
  await b.host.resync()

  const startedAtMs = performance.now()
  const vm = await a.add({ name: 'web', memoryMiB: 64, image: 'guest', context: { hostname: 'web' } }, { start: true })
  t.comment(`create + add + start: ${Math.round(performance.now() - startedAtMs)} ms`)
  t.match(vm.attributes(), { state: 'running', managed: true, image: 'guest' })
  const heard = a.listen(vm.uuid)

  const pid = await daemonOf('qh1').pidOf('web')
  const killedAtMs = performance.now()
  process.kill(pid, 'SIGKILL')
  t.match(await heard.until('crashed'), { state: 'crashed' })
  t.comment(`QEMU killed to the event: ${Math.round(performance.now() - killedAtMs)} ms`)

  const clonedAtMs = performance.now()
  const clone = await vm.clone({ name: 'web2' }, patient())
  t.comment(`clone by overlay of 1 GiB: ${Math.round(performance.now() - clonedAtMs)} ms`)
  const root = must(a.vm(clone.uuid).settings().devices.find((device) => device.type === 'disk' && device.role === 'root')) as { readonly path: string }
  t.ok((await stat(root.path)).blocks * 512 < 1024 ** 2, 'nothing was copied')

  await vm.start({}, patient())
  const movedAtMs = performance.now()
  const there = await vm.migrate(b.pm, {}, patient())
  t.comment(`live migration of 64 MiB: ${Math.round(performance.now() - movedAtMs)} ms`)
  t.equal(there.home, b.id)
  t.match(b.vm(vm.uuid).attributes(), { state: 'running', managed: true, image: 'guest', host: 'qh2' })
  t.same(b.vm(vm.uuid).settings().context, { hostname: 'web' })
  t.notOk(a.host.vms.get(vm.uuid))
  t.match(heard.events.at(-1), { type: 'migrated', to: 'qh2' })
  t.same(heard.types.filter((type) => type === 'stopped' || type === 'gone'), [])

  await b.restart()
  await eventually(() => b.host.vms.get(vm.uuid) !== undefined)
  t.match(b.vm(vm.uuid).attributes(), { name: 'web', state: 'running', managed: true })
  await b.host.vmm.remove(b.vm(vm.uuid).reference(), { force: true }, patient())
  await a.host.vmm.remove(a.vm(clone.uuid).reference(), { force: true }, patient())
  t.same([a.host.vms.list().length, b.host.vms.list().length], [0, 0])
})
