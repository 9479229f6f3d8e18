// The agent over two real libvirtds and QEMU that share a directory: made with its epoch, killed and running again, taken
// over by the other machine on the same disks, the old copy gone when its node comes back. Guests sit in their firmware.

import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { test } from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { libvirtInstalled } from '../../../kali/hosts.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import { libvirtdAbsent, startLibvirtd } from '../../support/libvirtd.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { until } from '../../support/until.ts'
import { createAgentLab, uuid } from './agent-lab.ts'

const skip = libvirtdAbsent() ?? (libvirtInstalled() ? false : 'absent: libvirt.so.0')
/** Two daemons look for emulators first, which takes seconds on a busy machine. */
t.setTimeout(120_000)
const patient = (): ReturnType<typeof authority> => authority({ remainingMs: () => 60_000 })
const call = { remainingMs: () => 10_000 }

test('the agent over QEMU', { skip, timeout: 120_000 }, async (t) => {
  const { createLibvirtDriver } = await import('../../../rmo/libvirt.ts')
  const daemons = await Promise.all(['ah1', 'ah2'].map((name) => startLibvirtd(name)))
  t.teardown(() => Promise.all(daemons.map((daemon) => daemon.stop())))
  const daemonOf = (name: string) => must(daemons[name === 'ah1' ? 0 : 1])
  const lab = await createAgentLab(['ah1', 'ah2'], {
    storage: true, patienceMs: 30_000, directory: (name) => daemonOf(name).directory,
    wrap: (_memory, name) => createLibvirtDriver({ uri: daemonOf(name).uri, stateDirectory: daemonOf(name).stateDirectory, migrationUri: daemonOf(name).migrationUri, transportUri: 'tcp://127.0.0.1', clock: systemClock, random: seededRandom(7), threads: 3 }),
  })
  t.teardown(() => lab.stop())
  const a = lab.node('ah1'), b = lab.node('ah2')
  const shared = join(daemonOf('ah1').directory, 'shared')
  for (const { at } of [a, b]) await at.host.vmm.createPool({ name: 'shared', path: shared }, patient())
  const path = join(daemonOf('ah1').directory, 'base.qcow2')
  await promisify(execFile)('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1G'])
  await (must(a.at.objects.list('StoragePool')[0]).local as LocalPool).importImage({ name: 'guest', path }, patient())
  await b.at.host.resync()

  const vm = uuid(1)
  const protection = { restarts: 1, relocations: 1, windowMs: 3_600_000, onGuestShutdown: 'leave', priority: 0, armed: false } as const
  await lab.intend(lab.intent(vm, 'ah1', { settings: { name: 'vm-001', memoryMiB: 64, vcpus: 1, image: 'guest', devices: [] }, protection }))
  await lab.phase(vm, 'running')
  t.match(await a.at.host.driver.domains.get(vm, call), { state: 'running', metadata: { epoch: 1 } })
  await until('the settings follow', () => lab.view.intent(vm)?.settings.devices.length === 2)

  const pid = await daemonOf('ah1').pidOf('vm-001')
  const killedAtMs = performance.now()
  process.kill(pid, 'SIGKILL')
  // By the hypervisor's own word: its state, and the process that it has now.
  await until('another emulator runs', async () => (await daemonOf('ah1').pidOf('vm-001').catch(() => pid)) !== pid && (await a.at.host.driver.domains.get(vm, call))?.state === 'running')
  t.comment(`QEMU killed to running again: ${Math.round(performance.now() - killedAtMs)} ms`)
  await until('counted', () => lab.view.intent(vm)?.tries.restarts === 1)

  // Somebody's own VM, taken into the cloud as it runs.
  const own = await a.at.add({ name: 'own', memoryMiB: 64 }, { start: true })
  const before = await daemonOf('ah1').pidOf('own')
  await lab.intend(lab.intent(own.uuid, 'ah1', { name: 'own', origin: 'present', settings: own.settings() }))
  await lab.phase(own.uuid, 'running')
  t.match(await a.at.host.driver.domains.get(own.uuid, call), { state: 'running', metadata: { epoch: 1 } })
  t.equal(await daemonOf('ah1').pidOf('own'), before, 'it did not notice')

  // The machine dies: no agent, no emulator. The definition is left.
  await a.halt()
  process.kill(await daemonOf('ah1').pidOf('vm-001'), 'SIGKILL')
  const disks = lab.view.intent(vm)?.settings.devices.flatMap((device) => device.type === 'disk' ? [must(device.path)] : []) ?? []
  const takenAtMs = performance.now()
  await lab.decide(vm, () => ({ machine: { uuid: b.at.pm.uuid, name: 'ah2', node: b.at.id }, epoch: 2, origin: 'restore', protection }))
  await lab.phase(vm, 'running')
  t.comment(`placed elsewhere to running: ${Math.round(performance.now() - takenAtMs)} ms`)
  const there = await b.at.host.driver.domains.get(vm, call)
  t.match(there, { state: 'running', metadata: { epoch: 2 } })
  t.same(there?.settings.devices.flatMap((device) => device.type === 'disk' ? [device.path] : []), disks, 'on the same disks')
  t.equal(there?.settings.instanceId, lab.view.intent(vm)?.settings.instanceId)

  await a.restart()
  t.equal(await a.at.host.driver.domains.get(vm, call), undefined, 'the old copy is gone before its agent begins')
  for (const disk of disks) await t.resolves(access(disk), 'its disks are not')
  t.match(await a.at.host.driver.domains.get(own.uuid, call), { state: 'running' }, 'what is this machine\'s goes on')

  await lab.decide(vm, () => ({ desired: 'absent', booked: false }))
  await lab.decide(own.uuid, () => ({ desired: 'absent', booked: false }))
  // A guest in its firmware hears no request to shut down; somebody pulls the plug before the agent does.
  await Promise.all([lab.phase(vm, 'stopping'), lab.phase(own.uuid, 'stopping')])
  await Promise.all([b.at.host.driver.domains.destroy(vm, call), a.at.host.driver.domains.destroy(own.uuid, call)])
  await Promise.all([lab.forgotten(vm), lab.forgotten(own.uuid)])
  for (const disk of disks) await t.rejects(access(disk), { code: 'ENOENT' })
})
