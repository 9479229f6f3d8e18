// Images over real files: immutable, shared by sidecar, never half there; full disks, damage, kills half-way.
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, open, readFile, readdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import type { LocalImage } from '../../../rmo/kinds/image.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { call, createDirectoryDriver, openStorageHost, scratch } from '../../support/storage-host.ts'
import type { StorageHost } from '../../support/storage-host.ts'

const run = promisify(execFile)
const skip = await run('qemu-img', ['--version']).then(() => false as const, () => 'absent: qemu-img')
const MIB = 2 ** 20
const UUID = '11111111-2222-4333-8444-555555555555'

async function lab(t: Parameters<typeof scratch>[0]) {
  const root = await scratch(t)
  const pool = join(root, 'pool'), source = join(root, 'guest.raw')
  await mkdir(pool)
  await writeFile(source, 'the guest image')
  await truncate(source, 8 * MIB)
  const hostOf = async (directory = pool, machineUuid?: string): Promise<StorageHost> => {
    const host = await openStorageHost(createDirectoryDriver({ default: directory }), machineUuid === undefined ? {} : { machineUuid })
    t.teardown(async () => host.close())
    return host
  }
  return { root, pool, source, hostOf }
}
const poolOf = (host: StorageHost): LocalPool => must(host.objects.list('StoragePool')[0]).local as LocalPool
const imageOf = (host: StorageHost): LocalImage => must(host.objects.list('Image')[0]).local as LocalImage
/** Until the background scan has shown it. */
async function shown(host: StorageHost): Promise<void> {
  while (host.objects.list('Image').length === 0) {
    await host.resync()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
}

t.test('an import is immutable, has a sidecar, and is the same again', { skip }, async (t) => {
  const { pool, source, hostOf } = await lab(t)
  const host = await hostOf()
  const take = (description = 'small') => poolOf(host).importImage({ name: 'guest', path: `file://${source}`, description }, authority())
  const { uuid, attributes } = await take()
  const { stdout } = await run('sha256sum', [source])
  t.match(attributes, { name: 'guest', pool: 'default', format: 'raw', sizeBytes: 8 * MIB, capacityBytes: 8 * MIB, checksum: stdout.slice(0, 64), overlays: 0, description: 'small', path: join(pool, 'guest.img') })
  t.equal((await stat(join(pool, 'guest.img'))).mode & 0o777, 0o444)
  t.ok((await stat(join(pool, 'guest.img'))).blocks * 512 < MIB, 'holes stay holes')
  t.match(JSON.parse(await readFile(join(pool, 'guest.image.json'), 'utf8')), { version: 1, name: 'guest', checksum: stdout.slice(0, 64), sizeBytes: 8 * MIB })
  const before = await stat(join(pool, 'guest.img'))
  t.equal((await take()).uuid, uuid, 'again')
  t.equal((await stat(join(pool, 'guest.img'))).ino, before.ino, 'nothing was copied')
  await writeFile(`${source}2`, 'something else')
  await t.rejects(poolOf(host).importImage({ name: 'guest', path: `${source}2` }, authority()), { code: 'RMO_ERR_ALREADY_EXISTS' })
  t.same(host.objects.list('Volume').map((volume) => host.context.reference('Volume', volume.uuid).name), ['guest.img'], 'the sidecar is no volume')
  t.same((await readdir(pool)).sort(), ['guest.image.json', 'guest.img'])

  const other = await hostOf(pool, 'bbbbbbbb-0000-8000-8000-000000000002')
  await shown(other)
  t.equal(imageOf(other).attributes().uuid, uuid, 'a host that shares the directory has it, as the same image')
  await imageOf(other).describe('from there', authority())
  t.equal(imageOf(other).attributes().description, 'from there')
  t.ok(other.events.some(({ kind, event }) => kind === 'Image' && event.type === 'changed'))
})

t.test('what cannot be an image is refused, and nothing is left', { skip }, async (t) => {
  const { root, pool, source, hostOf } = await lab(t)
  const host = await hostOf()
  const take = (path: string) => poolOf(host).importImage({ name: 'bad', path }, authority())
  const overlay = join(root, 'overlay.qcow2'), cut = join(root, 'cut.qcow2'), hostile = join(root, 'hostile.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', source, '-F', 'raw', overlay])
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', cut, '8M'])
  await run('qemu-io', ['-f', 'qcow2', '-c', 'write 0 4M', cut])
  await truncate(cut, MIB)
  await run('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', hostile, '1M'])
  for (const path of [overlay, cut, hostile]) await t.rejects(take(path), { code: 'RMO_ERR_IMAGE_CORRUPT' }, path)
  await t.rejects(take(join(root, 'absent')), { code: 'RMO_ERR_FILE_FAILED' })
  await t.rejects(take('http://example.org/x'), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await t.rejects(take(pool), { code: 'RMO_ERR_IMAGE_CORRUPT' }, 'a directory')
  t.same(await readdir(pool), [])
})

t.test('an image that was damaged is not used, and says what to do', { skip }, async (t) => {
  const { pool, source, hostOf } = await lab(t)
  const host = await hostOf()
  await poolOf(host).importImage({ name: 'guest', path: source }, authority())
  const use = () => host.storage.disks.prepare(UUID, { name: 'a', memoryMiB: 1, vcpus: 1, devices: [], image: 'guest' }, call).then(({ undo }) => undo())
  const file = join(pool, 'guest.img'), image = imageOf(host)
  t.match(await image.verify(authority()), { intact: true })

  await utimes(file, 1, 1)
  await t.rejects(use(), { code: 'RMO_ERR_IMAGE_CORRUPT', message: /verify/ }, 'touched')
  t.match(await image.verify(authority()), { intact: true })
  await use()
  await chmod(file, 0o644)
  await t.rejects(use(), { code: 'RMO_ERR_IMAGE_CORRUPT' }, 'writable')
  const handle = await open(file, 'r+')
  await handle.write('X')
  await handle.close()
  t.match(await image.verify(authority()), { intact: false })
  t.ok(host.events.some(({ kind, event }) => kind === 'Image' && event.type === 'corrupted'))
  await t.rejects(use(), { code: 'RMO_ERR_IMAGE_CORRUPT' })
  await truncate(file, 100)
  await t.rejects(use(), { code: 'RMO_ERR_IMAGE_CORRUPT', message: /100 bytes/ })
  await rename(file, `${file}.away`)
  await t.rejects(use(), { code: 'RMO_ERR_IMAGE_MISSING' })
  await t.rejects(image.verify(authority()), { code: 'RMO_ERR_IMAGE_MISSING' })
  await poolOf(host).importImage({ name: 'guest', path: source }, authority())
  await use()
  t.pass('importing it again mends it')
})

t.test('removal finds overlays outside every pool', { skip }, async (t) => {
  const { root, source, hostOf } = await lab(t)
  const host = await hostOf()
  await poolOf(host).importImage({ name: 'guest', path: source }, authority())
  const path = join(root, 'outside.qcow2')
  const { settings } = await host.storage.disks.prepare(UUID, { name: 'a', memoryMiB: 1, vcpus: 1, image: 'guest', devices: [{ type: 'disk', path, format: 'qcow2', create: 'auto' }] }, call)
  t.equal(imageOf(host).attributes().overlays, 1)
  await t.rejects(imageOf(host).remove(authority()), { code: 'RMO_ERR_IN_USE', details: { by: [path] } })
  host.close()
  const driver = createDirectoryDriver({ default: join(root, 'pool') })
  driver.domains_.push({ uuid: UUID, settings, state: 'stopped', reason: 'test', managed: true, persistent: true })
  const restarted = await openStorageHost(driver)
  t.teardown(async () => restarted.close())
  await shown(restarted)
  await t.rejects(imageOf(restarted).remove(authority()), { code: 'RMO_ERR_IN_USE', details: { by: [path] } }, 'also after a restart, by the VM\'s disk')
  await restarted.storage.disks.dispose(UUID, settings, call)
  driver.domains_.splice(0)
  await imageOf(restarted).remove(authority())
})

t.test('a kill half-way is swept or finished by the next start', { skip }, async (t) => {
  const { pool, source, hostOf } = await lab(t)
  const mine = join(pool, '.kumoi-aaaaaaaa-0123456789abcdef.part'), theirs = join(pool, '.kumoi-bbbbbbbb-0123456789abcdef.part')
  for (const path of [mine, theirs]) await writeFile(path, 'half')
  // Killed between the file and its sidecar.
  await copyFile(source, join(pool, 'guest.img'))
  const host = await hostOf()
  await poolOf(host).importImage({ name: 'guest', path: source }, authority())
  t.same((await readdir(pool)).sort(), ['.kumoi-bbbbbbbb-0123456789abcdef.part', 'guest.image.json', 'guest.img'], 'another host may be at work on the other')
  t.match(await imageOf(host).verify(authority()), { intact: true })
})

t.test('a full file system leaves nothing behind', { skip: skip === false && process.getuid?.() !== 0 ? 'absent: root, to mount a small file system' : skip }, async (t) => {
  const { root, source, hostOf } = await lab(t)
  const small = join(root, 'small')
  await mkdir(small)
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'kumoi-s-test', small]).then(() => true, (error: unknown) => { t.comment(String(errorCode(error))); return false })
  if (!mounted) { t.pass('skipped: absent: the right to mount'); return }
  t.teardown(async () => { await run('umount', [small]) })
  await writeFile(source, Buffer.alloc(4 * MIB, 'x'))
  const host = await hostOf(small)
  await t.rejects(poolOf(host).importImage({ name: 'guest', path: source }, authority()), { code: 'RMO_ERR_NO_SPACE' })
  t.same(await readdir(small), [])

  await writeFile(source, Buffer.alloc(MIB, 'x'))
  await poolOf(host).importImage({ name: 'guest', path: source }, authority())
  const { settings } = await host.storage.disks.prepare(UUID, { name: 'a', memoryMiB: 1, vcpus: 1, devices: [], image: 'guest' }, call)
  const before = (await readdir(small)).sort()
  await t.rejects(host.storage.disks.cloneDisks({ original: { uuid: UUID, settings }, uuid: '66666666-2222-4333-8444-555555555555', settings: { ...settings, name: 'b' }, how: 'full' }, call), { code: 'RMO_ERR_NO_SPACE' })
  t.same((await readdir(small)).sort(), before)
  const filler = join(small, 'filler')
  await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k']).catch(() => {})
  await t.rejects(host.storage.disks.prepare('77777777-2222-4333-8444-555555555555', { name: 'c', memoryMiB: 1, vcpus: 1, devices: [], image: 'guest' }, call), { code: 'RMO_ERR_NO_SPACE' })
  await rm(filler)
  t.same((await readdir(small)).sort(), before)
})
