// The libvirt driver over real libvirtds and QEMU guests (that sit in their BIOS): crash, hang, restart, migration, hot-plug.

import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { errorCode, systemClock, systemRandom } from '../../../../fabric/base.ts'
import type { Call, DriverEvent, HypervisorDriver } from '../../../../rmo/driver/contract.ts'
import { createLibvirtDriver } from '../../../../rmo/driver/libvirt/driver.ts'
import { libvirtdAbsent, startLibvirtd } from '../../../support/libvirtd.ts'
import type { Libvirtd } from '../../../support/libvirtd.ts'

const WAIT_MS = 60_000
const MEMORY_MIB = 32
const call = (ms = WAIT_MS): Call => {
  const endMs = performance.now() + ms
  return { remainingMs: () => Math.max(0, endMs - performance.now()) }
}
const connect = (host: Libvirtd): HypervisorDriver =>
  createLibvirtDriver({ uri: host.uri, clock: systemClock, random: systemRandom, migrationUri: host.migrationUri, transportUri: 'tcp://127.0.0.1' })

/** Resolves with the next event that fits; the wait has a bound and keeps the process. */
function next(driver: HypervisorDriver, fits: (event: DriverEvent) => boolean): Promise<DriverEvent> {
  return new Promise((resolve, reject) => {
    const bound = setTimeout(() => { off(); reject(new Error('no such event')) }, WAIT_MS)
    const off = driver.onEvent((event) => {
      if (!fits(event)) return
      clearTimeout(bound)
      off()
      resolve(event)
    })
  })
}
const lifecycle = (driver: HypervisorDriver, uuid: string, name: string) => next(driver, (event) => event.type === 'domain' && event.uuid === uuid && event.event === name)
const connection = (driver: HypervisorDriver, connected: boolean) => next(driver, (event) => event.type === 'connection' && event.connected === connected)

const absent = libvirtdAbsent()
await t.test('libvirt with its daemon', absent === undefined ? { timeout: 240_000 } : { skip: absent }, async (t) => {
  const [host, other] = await Promise.all([startLibvirtd('hosta'), startLibvirtd('hostb')])
  const driver = connect(host), peer = connect(other)
  t.teardown(async () => {
    await Promise.all([driver.close(), peer.close()])
    await Promise.all([host.stop(), other.stop()])
  })
  await Promise.all([driver.open(), peer.open()])
  const qcow2 = (name: string): string => {
    const path = join(host.directory, name)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '16M'])
    return path
  }
  const define = async (name: string): Promise<string> => {
    const uuid = randomUUID()
    await driver.domains.define(uuid, { name, memoryMiB: MEMORY_MIB, vcpus: 1, devices: [{ type: 'disk', path: qcow2(`${name}.qcow2`), format: 'qcow2' }] }, { createdBy: 'test' }, call())
    return uuid
  }

  await t.test('facts and an empty inventory', async (t) => {
    t.match(await driver.facts(call()), { hypervisor: 'qemu', hostname: 'hosta' })
    t.match(await driver.inventory(call()), { domains: [], snapshots: [], failures: [] })
  })

  const uuid = await define('guest')
  await t.test('QEMU killed is a crash, told and seen', async (t) => {
    await driver.domains.start(uuid, {}, call())
    t.match(await driver.stats(call()), [{ uuid, state: 'running', vcpus: 1, memoryBytes: MEMORY_MIB * 2 ** 20, disks: [{ target: 'vda' }] }])
    const crashed = lifecycle(driver, uuid, 'crashed')
    process.kill(await host.pidOf('guest'), 'SIGKILL')
    await crashed
    t.match(await driver.domains.get(uuid, call()), { state: 'crashed', reason: 'crashed' })
    await driver.domains.start(uuid, {}, call())
  })

  await t.test('hot-plug of a disk, console, saved memory', async (t) => {
    await driver.domains.attach(uuid, { type: 'disk', path: qcow2('extra.qcow2'), format: 'qcow2', role: 'data' }, call())
    t.match((await driver.domains.get(uuid, call()))?.settings.devices, [{ target: 'vda' }, { target: 'vdb', role: 'data' }])
    const console = await driver.domains.openConsole(uuid, call())
    const second = await driver.domains.openConsole(uuid, call()).then(() => 'opened', errorCode)
    t.equal(second, 'RMO_ERR_IN_USE', 'one console at a time')
    const closed = new Promise<string>((resolve) => console.onClose(resolve))
    await console.write(new TextEncoder().encode('hello\r'))
    await driver.domains.save(uuid, call())
    await closed
    t.equal((await driver.domains.get(uuid, call()))?.state, 'saved')
    await driver.domains.start(uuid, {}, call())
  })

  await t.test('a snapshot with memory is taken, gone back to, and deleted', async (t) => {
    const made = await driver.domains.createSnapshot(uuid, { name: 'before <&>', content: 'memory', description: 'a "try"' }, call())
    t.match(made, { name: 'before <&>', domain: uuid, content: 'memory', current: true, description: 'a "try"' })
    t.match((await driver.inventory(call())).snapshots, [{ name: 'before <&>' }])
    await driver.domains.revertSnapshot(uuid, 'before <&>', call())
    await driver.domains.deleteSnapshot(uuid, 'before <&>', call())
    t.strictSame((await driver.inventory(call())).snapshots, [])
  })

  await t.test('live migration there, told once on each side', async (t) => {
    const settings = (await driver.domains.get(uuid, call()))?.settings
    if (settings === undefined) return void t.fail('not there')
    const ticket = await peer.domains.acceptIncoming(uuid, settings, {}, call())
    const told: string[] = []
    const stops = [driver.onEvent((event) => { if (event.type === 'domain') told.push(event.event) }), peer.onEvent((event) => { if (event.type === 'domain') told.push(event.event) })]
    const arrived = lifecycle(peer, uuid, 'migratedIn'), left = lifecycle(driver, uuid, 'migratedOut')
    await driver.domains.migrate(uuid, ticket, { live: true }, call())
    await Promise.all([arrived, left])
    for (const stop of stops) stop()
    t.equal(await driver.domains.get(uuid, call()), undefined, 'gone here')
    t.match(await peer.domains.get(uuid, call()), { state: 'running', managed: true, metadata: { createdBy: 'test' } })
    t.equal(told.filter((event) => event === 'migratedIn' || event === 'started').length, 1)
  })

  await t.test('a cancelled migration leaves it running where it was; the other host tells nothing', async (t) => {
    const settings = (await peer.domains.get(uuid, call()))?.settings
    if (settings === undefined) return void t.fail('not there')
    const ticket = await driver.domains.acceptIncoming(uuid, settings, {}, call())
    const told: DriverEvent[] = []
    const stop = driver.onEvent((event) => { if (event.type === 'domain') told.push(event) })
    const cancel = new AbortController()
    const failure = await peer.domains.migrate(uuid, ticket, { live: true, bandwidthMiBps: 1, onProgress: () => cancel.abort() }, { ...call(), signal: cancel.signal }).then(() => undefined, (error: unknown) => error)
    t.match(failure, { code: 'RMO_ERR_MIGRATION_FAILED', details: { reason: 'it was cancelled', left: 'It is still here, running.' } })
    await driver.domains.refuseIncoming(uuid, call())
    t.equal((await peer.domains.get(uuid, call()))?.state, 'running')
    t.equal(await driver.domains.get(uuid, call()), undefined)
    stop()
    t.strictSame(told, [])
  })

  await t.test('a host that cannot see the disk refuses; one that sees another file is not sent to', async (t) => {
    const missing = { name: 'stranger', memoryMiB: MEMORY_MIB, vcpus: 1, devices: [{ type: 'disk', path: join(host.directory, 'absent.qcow2'), format: 'qcow2' }] } as const
    t.match(await driver.domains.acceptIncoming(randomUUID(), missing, {}, call()).catch((error: unknown) => error), { code: 'RMO_ERR_MIGRATION_REFUSED', details: { reason: /does not see/ } })
    t.match(await driver.domains.acceptIncoming(randomUUID(), { ...missing, devices: [], memoryMiB: 2 ** 24 }, {}, call()).catch((error: unknown) => error), { code: 'RMO_ERR_NO_CAPACITY' })
    const settings = (await peer.domains.get(uuid, call()))?.settings
    const path = settings?.devices.flatMap((device) => device.type === 'disk' && device.path !== undefined ? [device.path] : [])[0]
    const ticket = { driver: 'libvirt', uri: host.migrationUri, token: JSON.stringify([{ path, inode: '1', bytes: 1 }]) }
    t.match(await peer.domains.migrate(uuid, ticket, { live: true }, call()).catch((error: unknown) => error), { code: 'RMO_ERR_MIGRATION_REFUSED', details: { reason: /another file/ } })
  })

  await t.test('a daemon that hangs: calls end at their deadline, others go on, and it all comes back', async (t) => {
    await host.signal('SIGSTOP')
    const failure = await driver.stats(call(300)).then(() => undefined, (error: unknown) => error)
    t.match(failure, { code: 'RMO_ERR_DRIVER_TIMEOUT', outcome: 'unknown' })
    t.match(await peer.stats(call()), [{ uuid }], 'another hypervisor answers meanwhile')
    await host.signal('SIGCONT')
    t.strictSame(await driver.stats(call()), [])
  })

  await t.test('a daemon that is killed in the middle of calls, and comes back', async (t) => {
    const lost = connection(peer, false), back = connection(peer, true)
    await other.signal('SIGSTOP')
    const calls = Array.from({ length: 6 }, () => peer.inventory(call()).then(() => undefined, (error: unknown) => errorCode(error)))
    await other.kill()
    t.strictSame(new Set(await Promise.all(calls)), new Set(['RMO_ERR_DRIVER_UNAVAILABLE']), 'calls under way fail at once')
    await lost
    t.notOk(peer.connected)
    t.match(await peer.stats(call()).catch((error: unknown) => error), { code: 'RMO_ERR_DRIVER_UNAVAILABLE' })
    await other.start()
    await back
    t.match(await peer.domains.get(uuid, call()), { state: 'running' }, 'guests went on')
    // Events are registered again: a change behind the driver's calls would be seen.
    const fresh = randomUUID(), told = lifecycle(peer, fresh, 'defined')
    await peer.domains.define(fresh, { name: 'fresh', memoryMiB: MEMORY_MIB, vcpus: 1, devices: [] }, {}, call())
    await told
    await peer.domains.destroy(uuid, call())
    t.equal((await peer.domains.get(uuid, call()))?.state, 'stopped')
    await peer.domains.undefine(uuid, call())
    await peer.domains.undefine(fresh, call())
  })
})
