// An emulator that dies on a real libvirtd: told within the hundredth of a second that the kernel takes, and never when
// somebody ended it in good order, here or with virsh. Guests sit in their firmware.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { test } from 'tap'
import { LIMITS, seededRandom, systemClock } from '../../../fabric/base.ts'
import { libvirtInstalled } from '../../../kali/hosts.ts'
import { createTestHosts } from '../../support/hosts.ts'
import type { TestHost } from '../../support/hosts.ts'
import { libvirtdAbsent, startLibvirtd } from '../../support/libvirtd.ts'
import type { Libvirtd } from '../../support/libvirtd.ts'
import { authority } from '../../support/rmo-fabric.ts'

const skip = libvirtdAbsent() ?? (libvirtInstalled() ? false : 'absent: libvirt.so.0')
const patient = (): ReturnType<typeof authority> => authority({ remainingMs: () => 60_000 })
/** Of each kind of end; KUMOI_TEST_ROUNDS=10 for the whole of it. */
const ROUNDS = Number(process.env['KUMOI_TEST_ROUNDS'] ?? 1)
const TIMEOUT_MS = 60_000 + ROUNDS * 60_000
t.setTimeout(TIMEOUT_MS)

const ENDS: readonly string[] = ['crashed', 'stopped', 'saved']

interface Heard { readonly type: string; readonly reason?: string }

test('deaths and other ends', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const { createLibvirtDriver } = await import('../../../rmo/libvirt.ts')
  const daemons = await Promise.all(['ed1', 'ed2'].map((name) => startLibvirtd(name)))
  t.teardown(() => Promise.all(daemons.map((daemon) => daemon.stop())))
  const daemonOf = (name: string): Libvirtd => daemons[name === 'ed1' ? 0 : 1] as Libvirtd
  const fabric = await createTestHosts(['ed1', 'ed2'], {
    directory: (name) => daemonOf(name).directory,
    wrap(_memory, name) {
      const { uri, migrationUri, stateDirectory } = daemonOf(name)
      return createLibvirtDriver({ uri, migrationUri, stateDirectory, transportUri: 'tcp://127.0.0.1', clock: systemClock, random: seededRandom(7), threads: 3 })
    },
  })
  t.teardown(() => fabric.stop())
  const [a, b] = [fabric.host('ed1'), fabric.host('ed2')]
  const vm = await a.add({ name: 'web', memoryMiB: 32 })
  const virsh = async (...args: readonly string[]): Promise<void> => { await promisify(execFile)('virsh', ['-c', daemonOf('ed1').uri, ...args]) }

  /** Starts it, ends it somehow, waits for the event, and for whatever might still be told. */
  async function ended(how: string, end: () => Promise<unknown>, last: string, at: TestHost = a): Promise<{ readonly told: readonly Heard[]; readonly heardMs: number }> {
    await at.vm(vm.uuid).start({}, patient())
    const heard = at.listen(vm.uuid)
    let heardMs = NaN
    const until = Promise.race(ENDS.map((type) => heard.until(type))).then(() => { heardMs = performance.now() })
    await end()
    await until
    await new Promise((resolve) => { setTimeout(resolve, LIMITS.hostEventGraceMs * 2) })
    const told = (heard.events as unknown as readonly Heard[]).filter(({ type }) => ENDS.includes(type) || type === 'started')
    t.same(told.map(({ type }) => type), [last], `${how}: ${last}, and nothing else`)
    return { told, heardMs }
  }

  const killedMs: number[] = []
  for (let round = 0; round < ROUNDS * 3; round++) {
    let atMs = NaN
    const { told, heardMs } = await ended('kill -9', async () => {
      const pid = await daemonOf('ed1').pidOf('web')
      atMs = performance.now()
      process.kill(pid, 'SIGKILL')
    }, 'crashed')
    t.match(told[0]?.reason, /emulator ended: signal 9|failed/)
    killedMs.push(Math.round(heardMs - atMs))
  }
  t.comment(`killed to the event: ${killedMs.sort((x, y) => x - y).join(', ')} ms`)
  for (let round = 0; round < ROUNDS; round++) {
    await ended('destroy', () => a.vm(vm.uuid).destroy(patient()), 'stopped')
    await ended('virsh destroy', () => virsh('destroy', 'web'), 'stopped')
    await ended('a signal that QEMU obeys', async () => process.kill(await daemonOf('ed1').pidOf('web'), 'SIGTERM'), 'stopped')
    await ended('save', () => a.vm(vm.uuid).save(patient()), 'saved')
    await ended('virsh managedsave', () => virsh('managedsave', 'web'), 'saved')
    await a.vm(vm.uuid).start({}, patient())
    await virsh('suspend', 'web')
    await a.vm(vm.uuid).resume(patient())
    await ended('virsh save, kept elsewhere', () => virsh('save', 'web', join(daemonOf('ed1').directory, `web${round}.save`)), 'saved')
    await a.vm(vm.uuid).start({}, patient())
    const resets = a.listen(vm.uuid)
    await virsh('reset', 'web')
    await resets.until('rebooted')
    const [here, there] = [a.listen(vm.uuid), b.listen(vm.uuid)]
    await a.vm(vm.uuid).migrate(b.pm, {}, patient())
    await b.vm(vm.uuid).migrate(a.pm, {}, patient())
    t.notOk([...here.types, ...there.types].some((type) => type === 'crashed' || type === 'stopped'), 'migration: no end of any kind')
    await b.restart()
    await a.restart()
    const after = a.listen(vm.uuid)
    await new Promise((resolve) => { setTimeout(resolve, LIMITS.hostEventGraceMs) })
    t.same([after.types.filter((type) => type === 'crashed'), a.vm(vm.uuid).attributes().state], [[], 'running'], 'a restart of the node')
  }
  const heard = a.listen(vm.uuid)
  process.kill(await daemonOf('ed1').pidOf('web'), 'SIGSEGV')
  t.match(await heard.until('crashed'), { reason: /signal 11|failed/ }, 'it is watched after a restart as well')
  // At once: libvirt may not have noticed yet.
  await a.vm(vm.uuid).start({}, patient())
  t.equal(a.vm(vm.uuid).attributes().state, 'running')
})
