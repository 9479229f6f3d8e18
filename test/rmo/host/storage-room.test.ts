// Pools, volumes, images and networks of a simulated host, as objects that live as long as what they stand for.
import t from 'tap'
import { seededRandom, systemClock } from '../../../fabric/base.ts'
import { createMemoryDriver } from '../../../rmo/driver/memory/driver.ts'
import type { LocalImage } from '../../../rmo/kinds/image.ts'
import type { LocalNetwork } from '../../../rmo/kinds/network.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import type { LocalVolume } from '../../../rmo/kinds/volume.ts'
import type { DiskDevice } from '../../../rmo/settings.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { call, openStorageHost } from '../../support/storage-host.ts'

async function lab(t: { teardown(work: () => unknown): void }) {
  const driver = createMemoryDriver({ name: 'alpha', clock: systemClock, random: seededRandom(1) })
  await driver.open()
  const host = await openStorageHost(driver)
  t.teardown(async () => { host.close(); await driver.close() })
  const local = <L>(kind: string, uuid: string): L => must(host.objects.get(kind, uuid)).local as L
  const named = <L>(kind: string, name: string): L =>
    must(host.objects.list(kind).find(({ uuid }) => host.context.reference(kind, uuid).name === name)).local as L
  const told = (kind: string, uuid: string): readonly string[] => host.events.filter((each) => each.kind === kind && each.uuid === uuid).map(({ event }) => event.type)
  return { driver, host, local, named, told }
}
const UUID = '11111111-2222-4333-8444-555555555555'

t.test('a pool lives, is stopped and forgotten', async (t) => {
  const { host, local, told } = await lab(t)
  const wish = { name: 'fast', path: '/pools/fast' }
  const { uuid } = await host.storage.createPool(wish, authority())
  t.equal((await host.storage.createPool(wish, authority())).uuid, uuid, 'the same wish again')
  await t.rejects(host.storage.createPool({ name: 'fast', path: '/pools/slow' }, authority()), { code: 'RMO_ERR_NAME_TAKEN' })
  const pool = local<LocalPool>('StoragePool', uuid)
  const seen = pool.attributes()
  await host.resync()
  t.equal(pool.attributes(), seen, 'the same frozen object while nothing changed')
  t.ok(Object.isFrozen(seen))
  await pool.setAutostart(false, authority())
  t.equal(pool.attributes().autostart, false)
  await pool.stop(authority())
  await pool.stop(authority())
  t.equal(pool.attributes().state, 'inactive')
  await t.rejects(pool.createVolume({ name: 'a', capacityBytes: 1 }, authority()), { code: 'RMO_ERR_STATE_INVALID' })
  await t.rejects(pool.importImage({ name: 'a', path: '/x' }, authority()), { code: 'RMO_ERR_STATE_INVALID' })
  await pool.start(authority())
  await pool.remove(authority())
  t.same(told('StoragePool', uuid), ['added', 'changed', 'stopped', 'started', 'removed'])
  t.equal(host.objects.get('StoragePool', uuid), undefined)
})

t.test('volumes are made, grown, cloned and removed, but not under those who need them', async (t) => {
  const { driver, host, named, local, told } = await lab(t)
  const pool = named<LocalPool>('StoragePool', 'default')
  await t.rejects(pool.createVolume({ name: 'a.qcow2' }, authority()), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  const { uuid, attributes } = await pool.createVolume({ name: 'a.qcow2', capacityBytes: 1_000_000 }, authority())
  t.match(attributes, { name: 'a.qcow2', pool: 'default', capacityBytes: 1_000_000, backingPath: '', usedBy: [] })
  t.same(pool.volumes().map(({ name }) => name), ['a.qcow2'])
  const volume = local<LocalVolume>('Volume', uuid)
  await volume.resize(2_000_000, authority())
  t.equal(volume.attributes().capacityBytes, 2_000_000)
  await t.rejects(volume.resize(1, authority()), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await t.rejects(volume.clone({ name: 'b.qcow2', disks: 'overlay' }, authority()), { code: 'RMO_ERR_STATE_INVALID' })
  const copy = await volume.clone({ name: 'b.qcow2' }, authority())
  t.match(copy.attributes, { name: 'b.qcow2', capacityBytes: 2_000_000 })

  await driver.domains.define(UUID, { name: 'web', memoryMiB: 64, vcpus: 1, devices: [{ type: 'disk', volume: { pool: 'default', name: 'a.qcow2' }, format: 'qcow2', target: 'vda' }] }, {}, call)
  await host.resync()
  t.same(volume.attributes().usedBy, ['web'])
  await t.rejects(volume.remove(authority()), { code: 'RMO_ERR_IN_USE', details: { by: ['web'] } })
  await t.rejects(pool.remove(authority()), { code: 'RMO_ERR_IN_USE' })
  await driver.domains.undefine(UUID, call)
  await host.resync()
  await volume.remove(authority())
  t.same(told('Volume', uuid), ['added', 'changed', 'changed', 'changed', 'removed'])
  await driver.storage.deleteVolume('default', 'b.qcow2', call)
  await host.resync()
  t.equal(host.objects.get('Volume', copy.uuid), undefined, 'removed behind our back')
})

t.test('a disk that Kumoi made for a VM of another machine is not removed or grown from here', async (t) => {
  const { host, local } = await lab(t)
  const prepared = await host.storage.disks.prepare(UUID, { name: 'web', memoryMiB: 64, vcpus: 1, devices: [{ type: 'disk', format: 'qcow2', create: 'auto', sizeMiB: 16 }] }, call)
  await host.resync()
  const [made] = prepared.settings.devices
  const record = host.context.inventory().volumes.find(({ path }) => made?.type === 'disk' && path === made.path)
  const volume = local<LocalVolume>('Volume', record?.uuid ?? '')
  let holder: string | undefined = 'cd'.repeat(32)
  Object.assign(host.context, { holder: async (kind: string, uuid: string) => kind === 'VM' && uuid === UUID ? holder : undefined })
  await t.rejects(volume.remove(authority()), { code: 'RMO_ERR_IN_USE', details: { by: [`VM ${UUID} of another machine`] } })
  await t.rejects(volume.resize(32 * 2 ** 20, authority()), { code: 'RMO_ERR_IN_USE' })
  holder = undefined
  await volume.remove(authority())
})

t.test('images of a simulated host are volumes, counted and kept like real ones', async (t) => {
  const { host, named } = await lab(t)
  await host.storage.disks.prepare(UUID, { name: 'warm up', memoryMiB: 64, vcpus: 1, devices: [], image: 'guest' }, call).then(({ undo }) => undo())
  const guest = named<LocalImage>('Image', 'guest')
  t.equal(guest.attributes().overlays, 0)
  const pool = named<LocalPool>('StoragePool', 'default')
  const small = await pool.importImage({ name: 'small', path: '/anything', description: 'mine' }, authority())
  t.equal((await pool.importImage({ name: 'small', path: '/anything' }, authority())).uuid, small.uuid)
  await t.rejects(named<LocalVolume>('Volume', 'small.image').remove(authority()), { code: 'RMO_ERR_STATE_INVALID' })
  const overlay = await named<LocalVolume>('Volume', 'small.image').clone({ name: 'over.qcow2' }, authority())
  t.match(overlay.attributes, { backingPath: small.attributes['path'] })
  const image = named<LocalImage>('Image', 'small')
  t.equal(image.attributes().overlays, 1)
  t.match(await image.verify(authority()), { intact: true, checksum: image.attributes().checksum })
  await t.rejects(image.remove(authority()), { code: 'RMO_ERR_IN_USE' })
  await named<LocalVolume>('Volume', 'over.qcow2').remove(authority())
  await image.remove(authority())
  t.equal(host.objects.get('Image', small.uuid), undefined)
})

t.test('a simulated VM gets its disks and seed without any program, and leaves none', async (t) => {
  const { driver, host } = await lab(t)
  const before = (await driver.inventory(call)).volumes.map(({ path }) => path)
  const wish = { name: 'web', memoryMiB: 64, vcpus: 1, image: 'guest', context: { hostname: 'web' }, devices: [{ type: 'disk', path: '/elsewhere/web.qcow2', format: 'qcow2', create: 'auto' } satisfies DiskDevice] }
  const { settings } = await host.storage.disks.prepare(UUID, wish, call)
  t.match(settings.devices, [{ path: '/elsewhere/web.qcow2', role: 'root', target: 'vda' }, { path: '/elsewhere/web-11111111.seed.iso', role: 'seed', target: 'vdb' }])
  const plain = await host.storage.disks.prepare('22222222-2222-4333-8444-555555555555', { ...wish, name: 'db', devices: [] }, call)
  t.match(plain.settings.devices, [{ path: '/nfs/images/db-22222222.qcow2' }, { path: '/nfs/images/db-22222222.seed.iso' }])
  const clone = await host.storage.disks.cloneDisks({ original: { uuid: '22222222-2222-4333-8444-555555555555', settings: plain.settings }, uuid: '33333333-2222-4333-8444-555555555555', settings: { ...plain.settings, name: 'copy', instanceId: 'i-2' }, how: 'overlay' }, call)
  t.match(clone.settings, { instanceId: 'i-2', devices: [{ path: '/nfs/images/copy-33333333.qcow2' }, { path: '/nfs/images/copy-33333333.seed.iso' }] })
  await host.storage.disks.dispose(UUID, settings, call)
  await host.storage.disks.dispose('22222222-2222-4333-8444-555555555555', plain.settings, call)
  await host.storage.disks.dispose('33333333-2222-4333-8444-555555555555', clone.settings, call)
  t.same((await driver.inventory(call)).volumes.map(({ path }) => path), before)
})

t.test('two VMs that are added at once do not get one disk', async (t) => {
  const { host } = await lab(t)
  const wish = (name: string) => ({ name, memoryMiB: 64, vcpus: 1, devices: [{ type: 'disk', path: '/x/shared.qcow2', format: 'qcow2', create: 'auto', sizeMiB: 1 } satisfies DiskDevice] })
  const outcomes = await Promise.allSettled([host.storage.disks.prepare(UUID, wish('a'), call), host.storage.disks.prepare('22222222-2222-4333-8444-555555555555', wish('b'), call)])
  t.same(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  t.match(outcomes.find(({ status }) => status === 'rejected'), { reason: { code: 'RMO_ERR_IN_USE' } })
})

t.test('rooms that could not be read are unknown, not gone', async (t) => {
  const { driver, host } = await lab(t)
  const pools = host.objects.list('StoragePool').length
  const whole = await driver.inventory(call)
  host.storage.sync({ ...whole, pools: [], volumes: [], failures: [{ room: 'pools', error: new Error('away') }] }, 0)
  host.networks.sync({ ...whole, networks: [], failures: [{ room: 'networks', error: new Error('away') }] }, 0)
  t.equal(host.objects.list('StoragePool').length, pools)
  t.equal(host.objects.list('Network').length, 1)
})

t.test('a network lives, is watched, stopped and forgotten', async (t) => {
  const { driver, host, local, told } = await lab(t)
  const wish = { name: 'lan', bridge: 'lan0', forward: 'nat' as const, address: '10.0.0.1/24' }
  const { uuid, attributes } = await host.networks.createNetwork(wish, authority())
  t.match(attributes, { name: 'lan', state: 'active', bridge: 'lan0', forward: 'nat', address: '10.0.0.1/24', autostart: true })
  t.equal((await host.networks.createNetwork(wish, authority())).uuid, uuid)
  await t.rejects(host.networks.createNetwork({ ...wish, bridge: 'lan1' }, authority()), { code: 'RMO_ERR_NAME_TAKEN' })
  const network = local<LocalNetwork>('Network', uuid)
  await driver.domains.define(UUID, { name: 'web', memoryMiB: 64, vcpus: 1, devices: [{ type: 'interface', network: 'lan', mac: '52:54:00:00:00:01' }] }, {}, call)
  await driver.domains.start(UUID, {}, call)
  await host.resync()
  await t.rejects(network.stop(authority()), { code: 'RMO_ERR_IN_USE', details: { by: ['web'] } })
  await driver.domains.destroy(UUID, call)
  await host.resync()
  await network.setAutostart(false, authority())
  t.equal(network.attributes().autostart, false)
  await network.stop(authority())
  await t.rejects(network.remove(authority()), { code: 'RMO_ERR_IN_USE' }, 'a stopped VM could not start again')
  await driver.domains.undefine(UUID, call)
  await host.resync()
  await network.start(authority())
  await network.remove(authority())
  t.same(told('Network', uuid), ['added', 'changed', 'stopped', 'started', 'removed'])
})
