// Conformance of drivers: figures, devices, consoles, snapshots, migration.

import { randomUUID } from 'node:crypto'
import { randomUuid } from '../../rmo/uuid.ts'
import { systemRandom } from '../../fabric/base.ts'
import type { Test } from 'tap'
import type { DiskDevice, InterfaceDevice } from '../../rmo/settings.ts'
import { refused } from './driver.ts'
import type { Check, DriverWorld } from './driver.ts'

/** A small disk of its own pool, gone when the check ends. */
async function disk(t: Test, world: DriverWorld, name: string): Promise<DiskDevice> {
  const { storage } = world.driver
  const pool = await storage.definePool({ uuid: randomUuid(systemRandom), name: world.named('disks'), path: world.setup.poolPath, autostart: false }, world.call)
  await storage.startPool(pool.uuid, world.call)
  const volume = await storage.createVolume(pool.name, { name: world.named(name), format: 'qcow2', capacityBytes: 1024 ** 2 }, world.call)
  t.teardown(async () => {
    await storage.deleteVolume(pool.name, volume.name, world.call)
    await storage.stopPool(pool.uuid, world.call)
    await storage.undefinePool(pool.uuid, world.call)
  })
  return { type: 'disk', path: volume.path, format: 'qcow2', target: 'vdz', bus: 'virtio' }
}
const targets = async (world: DriverWorld, uuid: string): Promise<readonly (string | undefined)[]> =>
  (await world.record(uuid))?.settings.devices.filter(({ type }) => type === 'disk').map(({ target }) => target) ?? []
const macs = async (world: DriverWorld, uuid: string): Promise<readonly (string | undefined)[]> =>
  (await world.record(uuid))?.settings.devices.flatMap((device) => device.type === 'interface' ? [device.mac] : []) ?? []

export const deviceChecks: readonly Check[] = [
  { id: 'stats', title: 'one call gives the figures of all active domains and of no other', async run(t, world) {
    const [running, stopped] = [await world.running(t, 'stats-on'), await world.domain(t, 'stats-off')]
    const first = await world.driver.stats(world.call)
    const own = first.find(({ uuid }) => uuid === running)
    t.match(own, { state: 'running', vcpus: 1, memoryBytes: 64 * 1024 ** 2 })
    t.type(own?.cpuNs, 'bigint')
    t.notOk(first.some(({ uuid }) => uuid === stopped), 'a stopped one has none')
    const { domains } = await world.driver.inventory(world.call)
    const active = domains.filter(({ state }) => state === 'running' || state === 'paused' || state === 'stopping').map(({ uuid }) => uuid)
    t.strictSame(first.map(({ uuid }) => uuid).sort(), active.sort(), 'the same as in the inventory')
  } },
  { id: 'stats-monotone', title: 'counters never fall while it runs', async run(t, world) {
    const uuid = await world.running(t, 'monotone')
    let before = 0n
    for (let i = 0; i < 20; i++) {
      const now = (await world.driver.stats(world.call)).find((stats) => stats.uuid === uuid)?.cpuNs ?? -1n
      t.ok(now >= before, `${now} after ${before}`)
      before = now
    }
  } },
  { id: 'attach-cold', title: 'a disk of a stopped one comes and goes', async run(t, world) {
    const device = await disk(t, world, 'cold'), uuid = await world.domain(t, 'attach-cold'), { domains } = world.driver
    await domains.attach(uuid, device, world.call)
    t.strictSame(await targets(world, uuid), ['vdz'])
    await domains.detach(uuid, device, world.call)
    t.strictSame(await targets(world, uuid), [])
  } },
  { id: 'attach-hot', title: 'a disk of a running one comes and goes, told', async run(t, world) {
    const device = await disk(t, world, 'hot'), { domains } = world.driver
    const uuid = await world.running(t, 'attach-hot', { devices: world.setup.guestDevices ?? [] })
    await world.setup.whenUp?.(uuid)
    const before = await targets(world, uuid)
    await domains.attach(uuid, device, world.call)
    await world.signalled(uuid, 'deviceAdded')
    t.strictSame(await targets(world, uuid), [...before, 'vdz'])
    t.ok((await world.driver.stats(world.call)).find((stats) => stats.uuid === uuid)?.disks.some(({ target }) => target === 'vdz'), 'it has figures')
    await domains.detach(uuid, device, world.call)
    await world.signalled(uuid, 'deviceRemoved')
    t.strictSame(await targets(world, uuid), before)
    await domains.destroy(uuid, world.call)
    t.strictSame(await targets(world, uuid), before, 'for the next start too')
  } },
  { id: 'attach-interface', title: 'an interface of a stopped one comes and goes; its MAC is given when left out', async run(t, world) {
    const uuid = await world.domain(t, 'interface'), { domains } = world.driver
    const device: InterfaceDevice = { type: 'interface', bridge: 'kumoi-none', mac: '52:54:00:ab:cd:ef', model: 'virtio' }
    await domains.attach(uuid, device, world.call)
    t.strictSame(await macs(world, uuid), ['52:54:00:ab:cd:ef'])
    await domains.detach(uuid, device, world.call)
    t.strictSame(await macs(world, uuid), [])
    await domains.attach(uuid, { type: 'interface', bridge: 'kumoi-none' }, world.call)
    t.match((await macs(world, uuid))[0], /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
  } },
  { id: 'define-running', title: 'a running one goes on with its new definition for the next start', async run(t, world) {
    const uuid = await world.running(t, 'live-change')
    await world.driver.domains.define(uuid, world.settings('live-change', { vcpus: 2, description: 'new' }), {}, world.call)
    t.match(await world.record(uuid), { state: 'running', settings: { description: 'new' } })
    await world.driver.domains.destroy(uuid, world.call)
    t.equal((await world.record(uuid))?.settings.vcpus, 2)
  } },
  { id: 'console', title: 'a console is heard, and closes with the guest', async run(t, world) {
    const uuid = await world.running(t, 'console', { devices: world.setup.guestDevices ?? [] })
    const console = await world.driver.domains.openConsole(uuid, world.call)
    const closed = new Promise<string>((resolve) => console.onClose(resolve))
    const heard = new Promise<Uint8Array>((resolve) => console.onData(resolve))
    t.ok((await heard).length > 0, 'the guest says something when it boots')
    await console.write(new TextEncoder().encode('\n'))
    await world.driver.domains.destroy(uuid, world.call)
    t.type(await closed, 'string')
  } },
  { id: 'snapshot-disk', title: 'snapshots of the disks: kept, one current, with their parents, gone back to, deleted', async run(t, world) {
    const uuid = await world.domain(t, 'snap', { devices: [await disk(t, world, 'snap')] }), { domains } = world.driver
    const first = await domains.createSnapshot(uuid, { name: 'eins <&>', content: 'disk', description: 'a "b"' }, world.call)
    t.match(first, { name: 'eins <&>', domain: uuid, content: 'disk', description: 'a "b"' })
    await domains.createSnapshot(uuid, { name: 'zwei', content: 'disk' }, world.call)
    await refused(t, domains.createSnapshot(uuid, { name: 'zwei', content: 'disk' }, world.call), ['ALREADY_EXISTS', 'NAME_TAKEN'], 'a second of the name')
    const list = async () => (await world.driver.inventory(world.call)).snapshots.filter(({ domain }) => domain === uuid)
    t.match((await list()).find(({ name }) => name === 'zwei'), { current: true, parent: 'eins <&>' })
    await domains.revertSnapshot(uuid, 'eins <&>', world.call)
    t.strictSame((await list()).filter(({ current }) => current).map(({ name }) => name), ['eins <&>'])
    t.equal(await world.state(uuid), 'stopped')
    for (const name of ['eins <&>', 'zwei']) await domains.deleteSnapshot(uuid, name, world.call)
    t.strictSame(await list(), [])
  } },
  { id: 'snapshot-memory', title: 'a snapshot with memory runs again when gone back to', async run(t, world) {
    const uuid = await world.running(t, 'snap-memory', { devices: [await disk(t, world, 'snap-memory')] }), { domains } = world.driver
    const snapshot = await domains.createSnapshot(uuid, { name: 'm', content: 'memory' }, world.call)
    t.match(snapshot, { content: 'memory', state: 'running' })
    await domains.destroy(uuid, world.call)
    await domains.revertSnapshot(uuid, 'm', world.call)
    t.equal(await world.state(uuid), 'running')
    await domains.destroy(uuid, world.call)
    await domains.undefine(uuid, world.call)
    t.notOk((await world.driver.inventory(world.call)).snapshots.some(({ domain }) => domain === uuid), 'undefine removes snapshots')
  } },
  { id: 'snapshot-unknown', title: 'a snapshot that is not there is gone', async run(t, world) {
    const uuid = await world.domain(t, 'snap-none')
    await refused(t, world.driver.domains.revertSnapshot(uuid, 'none', world.call), 'GONE', 'revert')
    await refused(t, world.driver.domains.deleteSnapshot(uuid, 'none', world.call), 'GONE', 'delete')
  } },
  { id: 'migration', title: 'a running one goes to the other host: there once, here no more', async run(t, world) {
    const { peer } = world.setup
    if (peer === undefined) return void t.fail('no peer: name the reason in skip')
    const uuid = await world.running(t, 'migrate'), record = await world.record(uuid)
    if (record === undefined) return void t.fail('not there')
    const ticket = await peer.domains.acceptIncoming(uuid, record.settings, record.metadata ?? {}, world.call)
    t.teardown(async () => {
      if (await peer.domains.get(uuid, world.call) === undefined) return
      await peer.domains.destroy(uuid, world.call)
      await peer.domains.undefine(uuid, world.call)
    })
    const phases = new Set<string>()
    const handover = await world.driver.domains.migrate(uuid, ticket, { live: true, onProgress: ({ phase }) => phases.add(phase) }, world.call)
    t.equal(await world.record(uuid), undefined, 'not at the source')
    await peer.domains.completeIncoming?.(uuid, handover ?? undefined, world.call)
    t.match(await peer.domains.get(uuid, world.call), { state: 'running', settings: { name: record.settings.name } })
    await world.told(uuid, 'migratedOut', 'undefined')
    t.ok(phases.has('copying'))
  } },
  { id: 'migration-cancel', title: 'a cancelled migration leaves it where it was', async run(t, world) {
    const { peer } = world.setup
    if (peer === undefined) return void t.fail('no peer: name the reason in skip')
    const uuid = await world.running(t, 'cancel'), record = await world.record(uuid), cancel = new AbortController()
    if (record === undefined) return void t.fail('not there')
    const ticket = await peer.domains.acceptIncoming(uuid, record.settings, record.metadata ?? {}, world.call)
    const { call } = world
    const moved = world.driver.domains.migrate(uuid, ticket, { live: true, bandwidthMiBps: 1, onProgress: ({ phase }) => { if (phase === 'copying') cancel.abort(new Error('enough')) } }, { remainingMs: call.remainingMs, signal: cancel.signal })
    await t.rejects(moved)
    await peer.domains.refuseIncoming(uuid, call)
    t.equal(await world.state(uuid), 'running')
    t.equal(await peer.domains.get(uuid, call), undefined)
  } },
  { id: 'migration-refused', title: 'a host refuses a name that it has', async run(t, world) {
    const { peer } = world.setup
    if (peer === undefined) return void t.fail('no peer: name the reason in skip')
    const settings = world.settings('both'), there = randomUUID()
    t.teardown(() => peer.domains.undefine(there, world.call))
    await peer.domains.define(there, settings, {}, world.call)
    await refused(t, peer.domains.acceptIncoming(randomUUID(), settings, {}, world.call), ['NAME_TAKEN', 'MIGRATION_REFUSED'], 'a taken name')
  } },
]
