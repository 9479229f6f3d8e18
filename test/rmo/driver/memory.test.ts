// What only a simulated host can do: virtual time, faults, a state file, and hosts of different processes.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import { errorCode, seededRandom } from '../../../fabric/base.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import type { SimClock } from '../../../fabric/sim-clock.ts'
import { createMemoryDriver } from '../../../rmo/mod.ts'
import type { MemoryDriver, MemoryDriverOptions } from '../../../rmo/mod.ts'
import type { Call, DriverEvent } from '../../../rmo/driver/contract.ts'
import type { VmSettings } from '../../../rmo/settings.ts'

const A = '0a000000-0000-4000-8000-000000000001', B = '0b000000-0000-4000-8000-000000000002'
const settings = (name: string, more: Partial<VmSettings> = {}): VmSettings => ({ name, memoryMiB: 100, vcpus: 2, devices: [], ...more })
const BUSY = { simulate: { cpuRatios: [0.5], stepMs: 1_000, bootMs: 1_000 } }

interface Bench { readonly clock: SimClock; readonly driver: MemoryDriver; readonly call: Call; readonly events: string[]; within(ms: number): Call }
async function bench(options: Partial<MemoryDriverOptions> = {}, clock = createSimClock({ startMs: 5_000 })): Promise<Bench> {
  const driver = createMemoryDriver({ name: 'host1', clock, random: seededRandom(1), copyMiBps: 100, ...options })
  const events: string[] = []
  driver.onEvent((event: DriverEvent) => events.push(event.type === 'connection' ? `connected ${event.connected}` : `${event.name} ${event.event}`))
  await driver.open()
  const within = (ms: number): Call => {
    const endsAtMs = clock.nowMs() + ms
    return { remainingMs: () => endsAtMs - clock.nowMs() }
  }
  return { clock, driver, events, within, call: { remainingMs: () => Infinity } }
}
async function running({ driver, call }: Bench, uuid = A, wish = settings('a', BUSY)): Promise<void> {
  await driver.domains.define(uuid, wish, {}, call)
  await driver.domains.start(uuid, {}, call)
}
/** The code that the work was refused with. */
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> => work.then(() => 'fulfilled', errorCode)
const stateOf = async ({ driver, call }: Bench, uuid = A): Promise<string | undefined> => (await driver.domains.get(uuid, call))?.state

test('counters follow the trace on virtual time, exactly, without a timer', async (t) => {
  const b = await bench()
  await running(b)
  t.equal(b.clock.pending, 0, 'an idle VM has no timer')
  const cpuNs = async (): Promise<bigint | undefined> => (await b.driver.stats(b.call))[0]?.cpuNs
  t.equal(await cpuNs(), 0n)
  b.clock.advance(1_000)
  t.equal(await cpuNs(), 2_000_000_000n, 'two vcpus boot for a second')
  b.clock.advance(3_600_000)
  t.equal(await cpuNs(), 2_000_000_000n + 3_600_000_000_000n)
})

test('a guest hears a shutdown when it is up, and takes its time', async (t) => {
  const b = await bench({ shutdownMs: 400 })
  await running(b)
  await b.driver.domains.shutdown(A, b.call)
  await b.clock.settle(10_000)
  t.equal(await stateOf(b), 'running', 'it was still booting')
  await b.driver.domains.shutdown(A, b.call)
  t.equal(await stateOf(b), 'stopping')
  await b.clock.settle(399)
  t.equal(await stateOf(b), 'stopping')
  await b.clock.settle(1)
  t.equal(b.events.at(-1), 'a stopped', 'told when it happens, without anybody asking')
  t.equal(await stateOf(b), 'stopped')
})

test('a hung guest hears nothing, and is ended by destroy', async (t) => {
  const b = await bench()
  await running(b)
  b.clock.advance(2_000)
  b.driver.faults.hang(A)
  await b.driver.domains.shutdown(A, b.call)
  await b.clock.settle(60_000)
  const [stats] = await b.driver.stats(b.call)
  t.equal(stats?.cpuNs, 3_000_000_000n + 120_000_000_000n, 'busy all the time')
  t.notOk(Object.hasOwn(stats ?? {}, 'memoryUsedBytes'))
  await b.driver.domains.destroy(A, b.call)
  t.equal(await stateOf(b), 'stopped')
})

test('disconnected it refuses and tells nothing; what was missed is in the inventory', async (t) => {
  const b = await bench()
  await running(b)
  await Promise.resolve()
  b.driver.faults.disconnect('pulled')
  b.driver.faults.crash(A)
  t.equal(await codeOf(b.driver.inventory(b.call)), 'RMO_ERR_DRIVER_UNAVAILABLE')
  b.driver.faults.reconnect()
  t.match(await b.driver.inventory(b.call), { domains: [{ uuid: A, state: 'crashed' }] })
  t.strictSame(b.events, ['connected true', 'a defined', 'a started', 'connected false', 'connected true'])
})

test('a connection that is lost ends the calls that wait', async (t) => {
  const b = await bench()
  await running(b)
  const saving = codeOf(b.driver.domains.save(A, b.call))
  await b.clock.settle(500)
  b.driver.faults.disconnect()
  t.equal(await saving, 'RMO_ERR_DRIVER_UNAVAILABLE')
  b.driver.faults.reconnect()
  t.equal(await stateOf(b), 'running')
})

test('the next call of a name fails as told, once, and changes nothing', async (t) => {
  const b = await bench()
  b.driver.faults.failNext('start')
  b.driver.faults.failNext('start', new Error('second'))
  await b.driver.domains.define(A, settings('a'), {}, b.call)
  t.equal(await codeOf(b.driver.domains.start(A, {}, b.call)), 'RMO_ERR_DRIVER_FAILED')
  await t.rejects(b.driver.domains.start(A, {}, b.call), { message: 'second' })
  t.equal(await stateOf(b), 'stopped')
  await b.driver.domains.start(A, {}, b.call)
})

test('a call that stalls beyond its deadline is refused, and still done later', async (t) => {
  const b = await bench()
  await b.driver.domains.define(A, settings('a'), {}, b.call)
  b.driver.faults.stallCalls(3_000)
  const starting = codeOf(b.driver.domains.start(A, {}, b.within(1_000)))
  await b.clock.settle(1_000)
  t.equal(await starting, 'RMO_ERR_DRIVER_TIMEOUT')
  b.driver.faults.stallCalls(0)
  t.equal(await stateOf(b), 'stopped')
  await b.clock.settle(2_000)
  t.equal(await stateOf(b), 'running')
  b.driver.faults.stallCalls(Infinity)
  const reading = codeOf(b.driver.inventory(b.within(1_000)))
  await b.clock.settle(1_000)
  t.equal(await reading, 'RMO_ERR_DRIVER_TIMEOUT')
  const cancel = new AbortController()
  const cancelled = b.driver.inventory({ ...b.call, signal: cancel.signal })
  cancel.abort(new Error('enough'))
  await t.rejects(cancelled, { message: 'enough' })
})

test('slow disks take longer, and guests get less from them', async (t) => {
  const b = await bench()
  const disk = { type: 'disk', path: '/nfs/images/guest.image', format: 'qcow2', target: 'vda' } as const
  await running(b, A, settings('a', { ...BUSY, devices: [disk] }))
  b.clock.advance(10_000)
  const reads = async (): Promise<number> => (await b.driver.stats(b.call))[0]?.disks[0]?.reads ?? 0
  const first = await reads()
  b.driver.faults.slowDisk(10)
  b.clock.advance(11_000)
  t.equal(await reads(), first + 220, 'a tenth of what 11 s of load would do')
  const saving = b.driver.domains.save(A, b.call)
  await b.clock.settle(9_999)
  t.equal(await stateOf(b), 'running', '100 MiB at a tenth of 100 MiB/s')
  await b.clock.settle(1)
  await saving
  t.equal(await stateOf(b), 'saved')
})

test('a full pool refuses and keeps what is there', async (t) => {
  const b = await bench({ capacity: { cores: 1, memoryMiB: 1_000, storageMiB: 100 } })
  t.equal(await codeOf(b.driver.storage.copyVolume('images', 'guest.image', { name: 'copy', format: 'qcow2' }, b.call)), 'RMO_ERR_NO_SPACE')
  t.notOk((await b.driver.inventory(b.call)).volumes.some(({ name }) => name === 'copy'))
  t.equal(await codeOf(b.driver.storage.deleteVolume('images', 'absent', b.call)), 'RMO_ERR_GONE')
})

test('memory is held by what runs and by what was announced', async (t) => {
  const b = await bench({ capacity: { cores: 1, memoryMiB: 250, storageMiB: 100 } })
  await running(b)
  await b.driver.domains.acceptIncoming(B, settings('b'), {}, b.call)
  await b.driver.domains.define('0c000000-0000-4000-8000-000000000003', settings('c'), {}, b.call)
  t.equal(await codeOf(b.driver.domains.start('0c000000-0000-4000-8000-000000000003', {}, b.call)), 'RMO_ERR_NO_CAPACITY')
  await b.driver.domains.refuseIncoming(B, b.call)
  await b.driver.domains.start('0c000000-0000-4000-8000-000000000003', {}, b.call)
  t.equal(await codeOf(b.driver.domains.acceptIncoming(B, settings('b'), {}, b.call)), 'RMO_ERR_NO_CAPACITY')
})

test('a guest that migrates goes on as it was, with its disk and snapshots', async (t) => {
  const clock = createSimClock()
  const here = await bench({}, clock), there = await bench({ name: 'host2' }, clock)
  const { path } = await here.driver.storage.createVolume('images', { name: 'a.qcow2', format: 'qcow2', backing: { path: '/nfs/images/guest.image', format: 'qcow2' } }, here.call)
  await running(here, A, settings('a', { ...BUSY, image: 'guest', devices: [{ type: 'disk', path, format: 'qcow2' }] }))
  clock.advance(10_000)
  const [before] = await here.driver.stats(here.call)
  const record = await here.driver.domains.get(A, here.call)
  if (record === undefined) throw new Error('not there')
  const ticket = await there.driver.domains.acceptIncoming(A, record.settings, {}, there.call)
  t.strictSame((await there.driver.inventory(there.call)).domains, [], 'announced is not there')
  const phases: string[] = []
  const moving = here.driver.domains.migrate(A, ticket, { live: true, onProgress: ({ phase, doneBytes }) => phases.push(`${phase} ${doneBytes}`) }, here.call)
  await clock.settle(500)
  t.equal(await codeOf(here.driver.domains.suspend(A, here.call)), 'RMO_ERR_IN_USE', 'nothing else while it moves')
  await clock.settle(500)
  const handover = await moving
  t.equal(phases.at(-1), `switching ${100 * 1024 ** 2}`)
  t.strictSame((await here.driver.inventory(here.call)).domains, [])
  clock.advance(7_000)
  for (let i = 0; i < 2; i++) await there.driver.domains.completeIncoming?.(A, handover ?? undefined, there.call)
  const [after] = await there.driver.stats(there.call)
  t.equal((after?.cpuNs ?? 0n) - (before?.cpuNs ?? 0n), 1_000_000_000n, 'a second of copying; between the hosts its time stood still')
  t.ok((await there.driver.inventory(there.call)).volumes.some((volume) => volume.path === path && volume.backingPath === '/nfs/images/guest.image'))
  t.notOk((await here.driver.inventory(here.call)).volumes.some((volume) => volume.path === path), 'one host keeps the file')
  t.ok((await here.driver.inventory(here.call)).volumes.some((volume) => volume.name === 'guest.image'), 'both have the image')
  t.same(there.events.slice(-2), ['a defined', 'a migratedIn'])
  t.equal(await codeOf(there.driver.domains.completeIncoming?.(B, undefined, there.call) ?? Promise.resolve()), 'RMO_ERR_GONE')
})

test('stopped and saved ones move as they are', async (t) => {
  const clock = createSimClock()
  const here = await bench({}, clock), there = await bench({ name: 'host2' }, clock)
  await running(here)
  const saving = here.driver.domains.save(A, here.call)
  await clock.settle(1_000)
  await saving
  await here.driver.domains.define(B, settings('b'), {}, here.call)
  for (const uuid of [A, B]) {
    const ticket = await there.driver.domains.acceptIncoming(uuid, settings(uuid), {}, there.call)
    const handover = await here.driver.domains.migrate(uuid, ticket, { live: false }, here.call)
    await there.driver.domains.completeIncoming?.(uuid, handover ?? undefined, there.call)
  }
  t.equal(await stateOf(there, A), 'saved')
  t.equal(await stateOf(there, B), 'stopped')
  await there.driver.domains.start(A, {}, there.call)
  t.equal((await there.driver.stats(there.call))[0]?.cpuNs, 2_000_000_000n, 'it goes on where it was')
})

test('a guest whose handover was lost boots anew where it was announced', async (t) => {
  const b = await bench()
  await b.driver.domains.acceptIncoming(A, settings('a', BUSY), { instanceId: 'i' }, b.call)
  await b.driver.domains.completeIncoming?.(A, undefined, b.call)
  t.match(await b.driver.domains.get(A, b.call), { state: 'running', metadata: { instanceId: 'i' } })
})

test('a host refuses what it cannot take', async (t) => {
  const b = await bench()
  const ask = (more: Partial<VmSettings>): Promise<string | undefined> => codeOf(b.driver.domains.acceptIncoming(A, settings('a', more), {}, b.call))
  t.equal(await ask({ image: 'absent' }), 'RMO_ERR_IMAGE_MISSING')
  t.equal(await ask({ devices: [{ type: 'disk', path: '/var/lib/simulated/default/x', format: 'qcow2' }] }), 'RMO_ERR_MIGRATION_REFUSED')
  t.equal(await ask({ memoryMiB: 1e6 }), 'RMO_ERR_NO_CAPACITY')
  t.equal(await ask({ devices: [{ type: 'disk', path: '/nfs/x', format: 'qcow2' }] }), 'fulfilled')
  await running(b, B, settings('b'))
  t.equal(await codeOf(b.driver.domains.migrate(B, { driver: 'libvirt', uri: 'qemu:///system' }, { live: true }, b.call)), 'RMO_ERR_MIGRATION_REFUSED')
})

test('a crash during a migration leaves it crashed at the source', async (t) => {
  const b = await bench()
  await running(b)
  const moving = codeOf(b.driver.domains.migrate(A, { driver: 'memory', uri: 'memory:host2' }, { live: true }, b.call))
  await b.clock.settle(300)
  b.driver.faults.crash(A)
  t.equal(await moving, 'RMO_ERR_GONE')
  await b.clock.settle(5_000)
  t.equal(await stateOf(b), 'crashed')
})

test('guests go on while the node is away, and are found by the next', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-state-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const state = join(directory, 'sub', 'host1.json')
  const first = await bench({ state })
  await running(first)
  await running(first, B, settings('b'))
  first.clock.advance(5_000)
  await first.driver.domains.createSnapshot(B, { name: 's', content: 'disk' }, first.call)
  await first.driver.domains.shutdown(B, first.call)
  await first.driver.storage.createVolume('default', { name: 'v', format: 'raw', capacityBytes: 5 }, first.call)
  const [before] = await first.driver.stats(first.call)
  await first.driver.close()
  // Another process, an hour later by the wall clock; its monotonic clock begins anew.
  const next = await bench({ state }, createSimClock({ startMs: 17, wallStartMs: first.clock.wallMs() + 3_600_000 }))
  const { domains, volumes, snapshots } = await next.driver.inventory(next.call)
  t.strictSame(domains.map(({ uuid, state: now }) => [uuid, now]), [[A, 'running'], [B, 'stopped']], 'who was shutting down has')
  t.ok(volumes.some(({ name }) => name === 'v'))
  t.match(snapshots, [{ name: 's', domain: B }])
  const [after] = await next.driver.stats(next.call)
  t.equal((after?.cpuNs ?? 0n) - (before?.cpuNs ?? 0n), 3_600_000_000_000n, 'an hour at half load of two vcpus')
  await next.driver.close()
  await writeFile(state, (await readFile(state, 'utf8')).slice(0, 100))
  t.equal(await codeOf(bench({ state })), 'RMO_ERR_FILE_FAILED', 'a damaged file is refused')
  t.equal((await readFile(state, 'utf8')).length, 100, 'and kept')
})

test('what became of the guests of the beginning is remembered', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-state-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const options = { state: join(directory, 'host1.json'), guests: [{ uuid: A, settings: settings('a') }, { uuid: B, settings: settings('b') }] }
  const first = await bench(options)
  t.equal(await stateOf(first), 'running')
  first.driver.faults.crash(A)
  await first.driver.domains.define(B, settings('b', { description: 'new' }), {}, first.call)
  await first.driver.close()
  const next = await bench(options)
  t.equal(await stateOf(next), 'crashed')
  t.match(await next.driver.domains.get(B, next.call), { state: 'running', settings: { description: 'new' } })
  await next.driver.close()
})

test('the same seed and the same calls give the same run', async (t) => {
  const run = async (): Promise<unknown> => {
    const b = await bench({ random: seededRandom(7) })
    await running(b, A, settings('a', { devices: [{ type: 'interface', bridge: 'br0' }] }))
    await running(b, B, settings('b'))
    b.driver.faults.stallCalls(5)
    await b.clock.settle(3_000)
    const down = b.driver.domains.shutdown(B, b.call)
    await b.clock.settle(2_000)
    await down
    b.driver.faults.stallCalls(0)
    return { events: b.events, inventory: await b.driver.inventory(b.call), stats: await b.driver.stats(b.call) }
  }
  t.strictSame(await run(), await run())
})

test('what others define is seen and can be adopted', async (t) => {
  const b = await bench()
  b.driver.faults.defineForeign(A, settings('theirs'))
  t.equal((await b.driver.domains.get(A, b.call))?.managed, false)
  await b.driver.domains.define(A, settings('theirs'), { createdBy: 'me' }, b.call)
  t.equal((await b.driver.domains.get(A, b.call))?.managed, true)
  await b.driver.domains.start(A, {}, b.call)
  b.driver.faults.removeForeign(A)
  t.equal(await b.driver.domains.get(A, b.call), undefined)
  t.strictSame(b.events.slice(-2), ['theirs stopped', 'theirs undefined'])
})
