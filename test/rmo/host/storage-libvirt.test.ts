// Storage over a real libvirtd and QEMU: what Kumoi makes as files, libvirt sees as volumes and QEMU boots from.
import { execFile } from 'node:child_process'
import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import { systemClock, systemRandom } from '../../../fabric/base.ts'
import { createLibvirtDriver } from '../../../rmo/driver/libvirt/driver.ts'
import type { LocalImage } from '../../../rmo/kinds/image.ts'
import type { LocalNetwork } from '../../../rmo/kinds/network.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import type { LocalVolume } from '../../../rmo/kinds/volume.ts'
import { libvirtdAbsent, startLibvirtd } from '../../support/libvirtd.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { call, openStorageHost } from '../../support/storage-host.ts'

const run = promisify(execFile)
const absent = libvirtdAbsent() ?? await run('xorrisofs', ['--version']).then(() => undefined, () => 'absent: xorrisofs')
const UUID = '11111111-2222-4333-8444-555555555555'
const CLONE = '66666666-2222-4333-8444-555555555555'

test('pool, image, VM disks, clone and network over libvirt', { skip: absent ?? false, timeout: 60_000 }, async (t) => {
  const libvirtd = await startLibvirtd('storage')
  t.teardown(() => libvirtd.stop())
  const driver = createLibvirtDriver({ uri: libvirtd.uri, clock: systemClock, random: systemRandom })
  t.teardown(() => driver.close())
  await driver.open()
  const host = await openStorageHost(driver)
  t.teardown(async () => host.close())
  const pools = join(libvirtd.directory, 'pools'), source = join(libvirtd.directory, 'guest.raw')
  await mkdir(pools)
  await writeFile(source, 'not bootable')
  await truncate(source, 16 * 2 ** 20)

  const made = await host.storage.createPool({ name: 'default', path: join(pools, 'new') }, authority())
  t.match(made.attributes, { name: 'default', state: 'active', type: 'dir', autostart: true })
  const pool = must(host.objects.get('StoragePool', made.uuid)).local as LocalPool
  const taken = await pool.importImage({ name: 'guest', path: source }, authority())
  const image = must(host.objects.get('Image', taken.uuid)).local as LocalImage

  const prepared = await host.storage.disks.prepare(UUID, { name: 'web <1>', memoryMiB: 32, vcpus: 1, devices: [], image: 'guest', context: { hostname: 'web' } }, call)
  await driver.domains.define(UUID, prepared.settings, {}, call)
  await driver.domains.start(UUID, {}, call)
  await pool.refresh(authority())
  const volumes = (): readonly LocalVolume[] => pool.volumes().map(({ uuid }) => must(host.objects.get('Volume', uuid)).local as LocalVolume)
  const rootOf = (uuid: string): LocalVolume => must(volumes().find((volume) => volume.attributes().path.endsWith(`${uuid.slice(0, 8)}.qcow2`)))
  t.same(volumes().map((volume) => volume.attributes().name).sort(), ['guest.img', 'web-1-11111111.qcow2', 'web-1-11111111.seed.iso'], 'no paperwork among them')
  t.match(rootOf(UUID).attributes(), { usedBy: ['web <1>'], backingPath: image.attributes().path, capacityBytes: 16 * 2 ** 20 })
  t.equal(image.attributes().overlays, 1)
  await t.rejects(rootOf(UUID).remove(authority()), { code: 'RMO_ERR_IN_USE' })
  await t.rejects(rootOf(UUID).resize(32 * 2 ** 20, authority()), { code: 'RMO_ERR_IN_USE' })
  await t.rejects(image.remove(authority()), { code: 'RMO_ERR_IN_USE' })

  await driver.domains.destroy(UUID, call)
  await host.resync()
  const domain = must(await driver.domains.get(UUID, call))
  await rootOf(UUID).resize(32 * 2 ** 20, authority())
  t.equal(rootOf(UUID).attributes().capacityBytes, 32 * 2 ** 20)
  const { settings: copy } = await host.storage.disks.cloneDisks({ original: { uuid: UUID, settings: domain.settings }, uuid: CLONE, settings: { ...domain.settings, name: 'copy', image: 'guest', context: { hostname: 'copy' } }, how: 'overlay' }, call)
  await driver.domains.define(CLONE, copy, {}, call)
  await driver.domains.start(CLONE, {}, call)
  await driver.domains.start(UUID, {}, call)
  t.pass('original and clone run side by side')
  for (const uuid of [UUID, CLONE]) {
    await driver.domains.destroy(uuid, call)
    const { settings } = must(await driver.domains.get(uuid, call))
    await driver.domains.undefine(uuid, call)
    await host.resync()
    await host.storage.disks.dispose(uuid, settings, call)
  }
  await pool.refresh(authority())
  t.equal(image.attributes().overlays, 0)
  await image.remove(authority())
  t.same(await readdir(join(pools, 'new')), [])

  const lan = await host.networks.createNetwork({ name: 'lan', bridge: 'ks-test0' }, authority()).catch((error: unknown) => { t.comment(String(error)); return undefined })
  if (lan !== undefined) {
    const network = must(host.objects.get('Network', lan.uuid)).local as LocalNetwork
    t.equal(network.attributes().state, 'active')
    await network.setAutostart(false, authority())
    t.equal(network.attributes().autostart, false)
    await network.remove(authority())
  }
  await pool.setAutostart(false, authority())
  t.equal(pool.attributes().autostart, false)
  await pool.remove(authority())
  t.same(host.objects.list('StoragePool'), [])
})
