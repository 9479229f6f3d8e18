// Conformance of drivers: pools, volumes, networks.

import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { PoolRecord } from '../../rmo/driver/contract.ts'
import { refused } from './driver.ts'
import type { Check, DriverWorld } from './driver.ts'

const MiB = 1024 ** 2

/** An active pool that is gone, with its volumes, when the check ends. */
async function pool(t: Test, world: DriverWorld): Promise<PoolRecord> {
  const { storage } = world.driver
  const made = await storage.definePool({ uuid: randomUUID(), name: world.named('pool'), path: world.setup.poolPath, autostart: false }, world.call)
  await storage.startPool(made.uuid, world.call)
  t.teardown(async () => {
    // Overlays first.
    for (const { name } of (await volumes(world, made)).sort((a, b) => Number(a.backingPath === undefined) - Number(b.backingPath === undefined))) await storage.deleteVolume(made.name, name, world.call)
    await storage.stopPool(made.uuid, world.call)
    await storage.undefinePool(made.uuid, world.call)
  })
  return made
}
const volumes = async (world: DriverWorld, { path }: PoolRecord) => (await world.driver.inventory(world.call)).volumes.filter((volume) => volume.path.startsWith(`${path}/`))

export const storageChecks: readonly Check[] = [
  { id: 'pool', title: 'a pool is defined, started, stopped and forgotten, each repeatable', async run(t, world) {
    const { storage } = world.driver, uuid = randomUUID(), name = world.named('a <pool> & b')
    const found = async () => (await world.driver.inventory(world.call)).pools.find((each) => each.uuid === uuid)
    const made = await storage.definePool({ uuid, name, path: world.setup.poolPath, autostart: true }, world.call)
    t.match(made, { uuid, name, path: world.setup.poolPath, type: 'dir', active: false })
    for (const active of [true, true, false, false]) {
      await (active ? storage.startPool(uuid, world.call) : storage.stopPool(uuid, world.call))
      t.equal((await found())?.active, active)
    }
    await storage.undefinePool(uuid, world.call)
    t.equal(await found(), undefined)
    await refused(t, storage.startPool(uuid, world.call), 'GONE', 'start of a forgotten one')
  } },
  { id: 'pool-taken', title: 'a taken name of a pool is refused', async run(t, world) {
    const { name } = await pool(t, world)
    await refused(t, world.driver.storage.definePool({ uuid: randomUUID(), name, path: `${world.setup.poolPath}/other`, autostart: false }, world.call), ['NAME_TAKEN', 'ALREADY_EXISTS'], 'the name of another')
  } },
  { id: 'volume', title: 'a volume is made, seen, made larger and deleted', async run(t, world) {
    const own = await pool(t, world), { storage } = world.driver
    const made = await storage.createVolume(own.name, { name: 'v 1.qcow2', format: 'qcow2', capacityBytes: 8 * MiB }, world.call)
    t.match(made, { name: 'v 1.qcow2', format: 'qcow2', capacityBytes: 8 * MiB, path: `${own.path}/v 1.qcow2` })
    t.strictSame((await volumes(world, own)).map(({ uuid }) => uuid), [made.uuid])
    await storage.resizeVolume(own.name, made.name, 16 * MiB, world.call)
    await storage.refreshPool(own.uuid, world.call)
    const [larger] = await volumes(world, own)
    t.match(larger, { uuid: made.uuid, capacityBytes: 16 * MiB })
    await storage.deleteVolume(own.name, made.name, world.call)
    t.strictSame(await volumes(world, own), [])
    await refused(t, storage.deleteVolume(own.name, made.name, world.call), 'GONE', 'deleting it again')
  } },
  { id: 'volume-exists', title: 'a volume is never written over', async run(t, world) {
    const own = await pool(t, world), { storage } = world.driver
    const wish = { name: 'one', format: 'raw', capacityBytes: MiB } as const
    await storage.createVolume(own.name, wish, world.call)
    await refused(t, storage.createVolume(own.name, { ...wish, capacityBytes: 2 * MiB }, world.call), 'ALREADY_EXISTS', 'the same name again')
    t.match(await volumes(world, own), [{ capacityBytes: MiB }])
  } },
  { id: 'overlay', title: 'an overlay takes the size of its base and says what it stands on', async run(t, world) {
    const own = await pool(t, world), { storage } = world.driver
    const base = await storage.createVolume(own.name, { name: 'base', format: 'qcow2', capacityBytes: 32 * MiB }, world.call)
    const overlay = await storage.createVolume(own.name, { name: 'overlay', format: 'qcow2', backing: { path: base.path, format: 'qcow2' } }, world.call)
    t.match(overlay, { capacityBytes: 32 * MiB, backingPath: base.path })
    t.ok(overlay.allocationBytes < 4 * MiB, 'nothing is copied')
    await refused(t, storage.createVolume(own.name, { name: 'of-nothing', format: 'qcow2', backing: { path: `${own.path}/absent`, format: 'qcow2' } }, world.call), ['DRIVER_FAILED', 'GONE', 'IMAGE_MISSING'], 'an overlay of nothing')
    t.equal((await volumes(world, own)).length, 2)
  } },
  { id: 'volume-in-use', title: 'a base is not deleted from under its overlays', async run(t, world) {
    const own = await pool(t, world), { storage } = world.driver
    const base = await storage.createVolume(own.name, { name: 'base', format: 'qcow2', capacityBytes: MiB }, world.call)
    await storage.createVolume(own.name, { name: 'overlay', format: 'qcow2', backing: { path: base.path, format: 'qcow2' } }, world.call)
    await refused(t, storage.deleteVolume(own.name, base.name, world.call), 'IN_USE', 'deleting the base')
  } },
  { id: 'volume-copy', title: 'a copy is independent, with progress to the end', async run(t, world) {
    const own = await pool(t, world), { storage } = world.driver, seen: number[] = []
    await storage.createVolume(own.name, { name: 'original', format: 'qcow2', capacityBytes: 4 * MiB }, world.call)
    const copy = await storage.copyVolume(own.name, 'original', { name: 'copy', format: 'qcow2' }, world.call, (ratio) => seen.push(ratio))
    t.match(copy, { name: 'copy', capacityBytes: 4 * MiB })
    t.equal(copy.backingPath, undefined)
    t.ok(seen.at(-1) === 1 && seen.every((ratio, i) => ratio >= (seen[i - 1] ?? 0)), 'from 0 to 1, never back')
    await refused(t, storage.copyVolume(own.name, 'absent', { name: 'copy2', format: 'qcow2' }, world.call), 'GONE', 'a copy of nothing')
  } },
  { id: 'volume-upload', title: 'bytes become a volume', async run(t, world) {
    const own = await pool(t, world)
    const made = await world.driver.storage.uploadVolume(own.name, { name: 'seed', format: 'raw' }, new Uint8Array(70_000).fill(7), world.call)
    t.match(made, { name: 'seed', path: `${own.path}/seed` })
    t.ok(made.capacityBytes >= 70_000)
  } },
  { id: 'network', title: 'a network is defined, started, stopped and removed, each repeatable', async run(t, world) {
    const { networks } = world.driver, uuid = randomUUID()
    const found = async () => (await world.driver.inventory(world.call)).networks.find((each) => each.uuid === uuid)
    // Names of bridges have at most 15 characters.
    const made = await networks.define({ uuid, name: world.named('net'), bridge: world.named('kct').slice(0, 15), forward: 'none', autostart: false }, world.call)
    t.match(made, { uuid, name: world.named('net'), active: false, forward: 'none' })
    for (const active of [true, true, false, false]) {
      await (active ? networks.start(uuid, world.call) : networks.stop(uuid, world.call))
      t.equal((await found())?.active, active)
    }
    await networks.undefine(uuid, world.call)
    t.equal(await found(), undefined)
    await refused(t, networks.start(uuid, world.call), 'GONE', 'start of a removed one')
  } },
]
