// Attacks on disks, images and their names, over real files: what a VM asks for must never give it somebody else's
// bytes (backing-file escape, links, forged uuids), nor let two VMs write one file.
import { execFile } from 'node:child_process'
import { link, mkdir, readFile, readdir, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { DomainRecord } from '../../rmo/driver/contract.ts'
import { fileStem } from '../../rmo/host/storage/disk-plan.ts'
import type { LocalPool } from '../../rmo/kinds/storage-pool.ts'
import type { LocalVolume } from '../../rmo/kinds/volume.ts'
import { rmoKinds } from '../../rmo/mod.ts'
import type { DiskDevice, VmSettings } from '../../rmo/settings.ts'
import { authority, must } from '../support/rmo-fabric.ts'
import { absent, call, createDirectoryDriver, openStorageHost, scratch } from '../support/storage-host.ts'

const run = promisify(execFile)
const skip = await absent('qemu-img')
const skipSeed = await absent('qemu-img', 'xorrisofs')

const UUID = '11111111-2222-4333-8444-555555555555'
/** Another VM whose uuid begins alike: a client chooses uuids. */
const TWIN = '11111111-ffff-4333-8444-555555555555'
const vm = (over: Partial<VmSettings> = {}): VmSettings => ({ name: 'web', memoryMiB: 128, vcpus: 1, devices: [], ...over })
const disk = (path: string, over: Partial<DiskDevice> = {}): DiskDevice => ({ type: 'disk', path, format: 'qcow2', ...over })
const domain = (uuid: string, settings: VmSettings): DomainRecord => ({ uuid, settings, state: 'stopped', reason: 'test', managed: true, persistent: true })

async function lab(t: Parameters<typeof scratch>[0]) {
  const pool = await scratch(t), outside = await scratch(t)
  const driver = createDirectoryDriver({ default: pool })
  const host = await openStorageHost(driver, { directory: outside })
  t.teardown(async () => host.close())
  const source = join(outside, 'guest.raw')
  await writeFile(source, 'the guest image')
  await truncate(source, 2 ** 20)
  const local = must(host.objects.list('StoragePool')[0]).local as LocalPool
  await local.importImage({ name: 'guest', path: source }, authority())
  return { pool, outside, driver, host, disks: host.storage.disks, local }
}

t.test('a backing file that Kumoi does not know is no way to somebody else\'s bytes', { skip }, async (t) => {
  const { pool, outside, disks } = await lab(t)
  const secret = join(outside, 'shadow')
  await writeFile(secret, 'root:secret', { mode: 0o400 })
  await truncate(secret, 65_536)
  // What a guest can do: its disk is raw, it writes the header of a qcow2 file there, and its owner plugs the disk in again as qcow2.
  const forged = join(pool, 'forged.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', forged])
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(forged)] }), call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /backing|stands on/ }, 'a file of the host')
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(forged, { readOnly: true })] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' }, 'nor read-only')

  const { settings } = await disks.prepare(TWIN, vm({ name: 'victim', image: 'guest' }), call)
  const victim = must((settings.devices[0] as DiskDevice).path)
  const over = join(pool, 'over.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', victim, '-F', 'qcow2', over])
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(over)] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' }, 'the disk of another VM')

  const good = join(pool, 'good.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', join(pool, 'guest.img'), '-F', 'raw', good])
  await t.resolves(disks.prepare(UUID, vm({ devices: [disk(good)] }), call), 'an overlay of an image, made by hand')
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(forged, { format: 'raw' }), disk(secret, { format: 'raw' })] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' }, 'sealed and not an image')
})

t.test('a raw disk that looks like qcow2 stays raw', { skip }, async (t) => {
  const { pool, disks } = await lab(t)
  const path = join(pool, 'raw.img')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M'])
  const { settings } = await disks.prepare(UUID, vm({ devices: [disk(path, { format: 'raw' })] }), call)
  t.equal((settings.devices[0] as DiskDevice).format, 'raw')
})

t.test('a clone copies what the settings say, not what the guest wrote at the start of its disk', { skip }, async (t) => {
  const { pool, outside, driver, host, disks } = await lab(t)
  await writeFile(join(outside, 'secret'), 'S'.repeat(65_536))
  const path = join(pool, 'raw.img'), forged = join(outside, 'forged.qcow2')
  const { settings } = await disks.prepare(TWIN, vm({ name: 'evil', devices: [disk(path, { format: 'raw', create: 'auto', sizeMiB: 1 })] }), call)
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', join(outside, 'secret'), '-F', 'raw', forged])
  await run('dd', [`if=${forged}`, `of=${path}`, 'conv=notrunc', 'status=none'])
  driver.domains_.push(domain(TWIN, settings))
  await host.resync()
  const original = { uuid: TWIN, settings }
  const full = await disks.cloneDisks({ original, uuid: UUID, settings: { ...settings, name: 'copy' }, how: 'full' }, call)
  const copy = must((full.settings.devices[0] as DiskDevice).path)
  const { stdout } = await run('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -v 0 4', copy])
  t.match(stdout, /51 46 49 fb/, 'its bytes are the guest\'s own')
  t.notMatch((await run('qemu-img', ['info', '--output=json', copy])).stdout, /backing/)
  await full.undo()
  await t.rejects(disks.cloneDisks({ original, uuid: UUID, settings: { ...settings, name: 'copy' }, how: 'overlay' }, call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /not qcow2/ })
  await disks.dispose(TWIN, settings, call)
  driver.domains_.length = 0
  await host.resync()
  await run('cp', [forged, path])
  await host.context.driver.storage.refreshPool(must((await driver.inventory(call)).pools[0]).uuid, call)
  await host.resync()
  const volume = must(host.objects.list('Volume').find(({ local }) => (local as LocalVolume).attributes().path === path)).local as LocalVolume
  await t.rejects(volume.clone({ name: 'copy.qcow2', disks: 'full' }, authority()), { code: 'RMO_ERR_DISK_UNUSABLE', message: /neither an image/ }, 'nor does a volume\'s')
})

t.test('what is no plain file is no disk and no image', { skip }, async (t) => {
  const { pool, outside, disks, local } = await lab(t)
  await run('mkfifo', [join(outside, 'fifo')])
  await mkdir(join(outside, 'dir'))
  for (const path of ['/dev/zero', '/dev/mem', join(outside, 'fifo'), join(outside, 'dir'), '/proc/self/mem']) {
    await t.rejects(disks.prepare(UUID, vm({ devices: [disk(path, { format: 'raw' })] }), call), { code: /RMO_ERR_DISK_(UNUSABLE|FAILED)/ }, `disk ${path}`)
    await t.rejects(local.importImage({ name: 'evil', path }, authority()), { code: /RMO_ERR_(IMAGE_CORRUPT|DISK_FAILED|FILE_FAILED)/ }, `image ${path}`)
  }
  const forged = join(outside, 'forged.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', forged])
  await t.rejects(local.importImage({ name: 'evil', path: forged }, authority()), { code: 'RMO_ERR_IMAGE_CORRUPT' }, 'an image stands alone')
  t.same((await readdir(pool)).sort(), ['guest.image.json', 'guest.img'], 'nothing is left of any of them')
})

t.test('names that become file names have no way out of their directory', async (t) => {
  const argument = (verb: string) => must(must(rmoKinds.kindOf('StoragePool').operations.get(verb)).parameters[0]).type
  const names = ['../evil', '.evil', '..', 'a/b', 'a\0b', 'a\nb', '', 'x'.repeat(300)]
  for (const name of [...names, '-evil', 'a b', 'ä', '__proto__\u2028']) t.throws(() => argument('importImage').check({ name, path: '/a' }, { call: 'importImage', path: 'image' }), { code: 'RMO_ERR_ARGUMENT_INVALID' }, `image ${encodeURIComponent(name)}`)
  for (const name of [...names, 'web.qcow2.disk.json', 'guest.image.json']) t.throws(() => argument('createVolume').check({ name, capacityBytes: 1 }, { call: 'createVolume', path: 'volume' }), { code: 'RMO_ERR_ARGUMENT_INVALID' }, `volume ${encodeURIComponent(name)}`)
  for (const name of ['../../etc/cron.d/x', '..', '-rf', '\u202eevil', 'a\u0301', '<x>&\'"', '%s%n', '$(reboot)', '`id`', ';id', 'x'.repeat(255), '.', '...']) {
    t.match(fileStem(name, UUID), /^[A-Za-z0-9_][A-Za-z0-9._-]*-11111111$/, encodeURIComponent(name))
  }
})

t.test('one file under two names is one disk', { skip }, async (t) => {
  const { pool, outside, disks, driver, host } = await lab(t)
  const path = join(pool, 'a.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M'])
  driver.domains_.push(domain(TWIN, vm({ name: 'first', devices: [disk(`${pool}/./x/../a.qcow2`)] })))
  await host.resync()
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(path)] }), call), { code: 'RMO_ERR_IN_USE', details: { by: ['first'] } }, 'another spelling')
  driver.domains_.splice(0, 1, domain(TWIN, vm({ name: 'first', devices: [disk(path)] })))
  await host.resync()
  await symlink(path, join(pool, 'link.qcow2'))
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(join(pool, 'link.qcow2'))] }), call), { code: /RMO_ERR_(IN_USE|DISK_UNUSABLE)/ }, 'a symbolic link')
  await symlink(pool, join(outside, 'pool'))
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(join(outside, 'pool', 'a.qcow2'))] }), call), { code: 'RMO_ERR_IN_USE' }, 'a linked directory')
  await link(path, join(pool, 'hard.qcow2'))
  await t.rejects(disks.prepare(UUID, vm({ devices: [disk(join(pool, 'hard.qcow2'))] }), call), { code: /RMO_ERR_(IN_USE|DISK_UNUSABLE)/ }, 'a hard link')
})

t.test('an automatic disk is never the disk of another VM', { skip: skipSeed }, async (t) => {
  const { disks } = await lab(t)
  const context = { hostname: 'web', users: [{ name: 'root', passwd: 'secret' }] }
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest', context }), call)
  const root = settings.devices[0] as DiskDevice, seed = settings.devices[1] as DiskDevice
  const before = await readFile(must(seed.path))
  // The same name on another host that shares the directory, and a uuid chosen so that the file's name is the same.
  await t.rejects(disks.prepare(TWIN, vm({ image: 'guest', context: { hostname: 'evil' } }), call), { code: /RMO_ERR_(IN_USE|ALREADY_EXISTS)/ })
  t.same(await readFile(must(seed.path)), before, 'its seed is as it was')
  await t.rejects(disks.prepare(TWIN, vm({ name: 'other', image: 'guest', devices: [disk(must(root.path), { create: 'auto' })] }), call), { code: 'RMO_ERR_IN_USE' }, 'named outright')
  await disks.dispose(TWIN, settings, call)
  t.ok(await stat(must(root.path)), 'and who does not own it does not remove it')
  const again = await disks.prepare(UUID, settings, call)
  t.same(again.settings, settings, 'its owner gets it again')
})

t.test('a disk is not laid over Kumoi\'s own paperwork', { skip }, async (t) => {
  const { pool, disks } = await lab(t)
  for (const name of ['web.qcow2.disk.json', 'evil.image.json', '.kumoi-aaaaaaaa-0000000000000000.part']) {
    await t.rejects(disks.prepare(UUID, vm({ devices: [disk(join(pool, name), { format: 'raw', create: 'auto', sizeMiB: 1 })] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' }, name)
    t.notOk((await readdir(pool)).includes(name))
  }
})
