// Disks of VMs over real files: overlays, automatic and existing disks, seeds, clones, what is taken back.
import { execFile } from 'node:child_process'
import { copyFile, open, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import type { DomainRecord } from '../../../rmo/driver/contract.ts'
import type { LocalImage } from '../../../rmo/kinds/image.ts'
import type { LocalPool } from '../../../rmo/kinds/storage-pool.ts'
import type { DiskDevice, VmSettings } from '../../../rmo/settings.ts'
import { authority, must } from '../../support/rmo-fabric.ts'
import { absent, call, createDirectoryDriver, openStorageHost, scratch } from '../../support/storage-host.ts'

const run = promisify(execFile)
const skip = await absent('qemu-img')
const skipSeed = await absent('qemu-img', 'xorrisofs')

const UUID = '11111111-2222-4333-8444-555555555555'
const OTHER = '66666666-2222-4333-8444-555555555555'
const vm = (over: Partial<VmSettings> = {}): VmSettings => ({ name: 'web 1', memoryMiB: 128, vcpus: 1, devices: [], ...over })
const auto = (path: string, over: Partial<DiskDevice> = {}): DiskDevice => ({ type: 'disk', path, format: 'qcow2', create: 'auto', ...over })
const disk = (settings: VmSettings, role: DiskDevice['role']): DiskDevice => must(settings.devices.find((device): device is DiskDevice => device.type === 'disk' && device.role === role))
const domain = (uuid: string, settings: VmSettings, state: DomainRecord['state'] = 'stopped'): DomainRecord => ({ uuid, settings, state, reason: 'test', managed: true, persistent: true })
const info = async (path: string): Promise<{ readonly 'virtual-size': number; readonly 'full-backing-filename'?: string; readonly format: string }> =>
  JSON.parse((await run('qemu-img', ['info', '--output=json', path])).stdout) as never

/** A host with a pool "default", and an image "guest" of 64 MiB in it with a mark at its start. */
async function lab(t: Parameters<typeof scratch>[0]) {
  const pool = await scratch(t), outside = await scratch(t)
  const driver = createDirectoryDriver({ default: pool })
  const host = await openStorageHost(driver, { directory: outside })
  t.teardown(async () => host.close())
  const source = join(outside, 'guest.raw')
  await writeFile(source, 'the guest image')
  await truncate(source, 64 * 2 ** 20)
  const local = must(host.objects.list('StoragePool')[0]).local as LocalPool
  const image = await local.importImage({ name: 'guest', path: source, description: 'for tests' }, authority())
  return { pool, outside, driver, host, disks: host.storage.disks, image: must(host.objects.get('Image', image.uuid)).local as LocalImage, source, local }
}
const write = async (path: string, text: string): Promise<void> => { await run('qemu-io', ['-f', 'qcow2', '-c', `write -P ${text.charCodeAt(0)} 1M 64k`, path]) }
const reads = async (path: string, byte: string, at = '1M'): Promise<boolean> =>
  run('qemu-io', ['-r', '-f', 'qcow2', '-c', `read -P ${byte.charCodeAt(0)} ${at} 64k`, path]).then(({ stdout }) => !/failed/.test(stdout), () => false)

t.test('a VM of an image gets a root overlay beside the image, and loses it again', { skip }, async (t) => {
  const { pool, disks, host, image } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest' }), call)
  const root = disk(settings, 'root')
  t.match(root, { path: join(pool, 'web-1-11111111.qcow2'), format: 'qcow2', target: 'vda', create: 'auto' })
  t.match(settings.instanceId, /^[0-9a-f-]{36}$/)
  t.match(await info(must(root.path)), { 'virtual-size': 64 * 2 ** 20, 'full-backing-filename': join(pool, 'guest.img'), format: 'qcow2' })
  t.equal((await stat(must(root.path))).mode & 0o777, 0o600, 'nobody else reads it')
  t.equal(image.attributes().overlays, 1, 'it is counted')
  await t.rejects(image.remove(authority()), { code: 'RMO_ERR_IN_USE', details: { by: [root.path] } })

  const again = await disks.prepare(UUID, settings, call)
  t.same(again.settings, settings, 'what is there is kept')
  await disks.dispose(UUID, settings, call)
  t.same((await readdir(pool)).sort(), ['guest.image.json', 'guest.img'])
  await disks.dispose(UUID, settings, call)
  await image.remove(authority())
  t.same(await readdir(pool), [])
  t.same(host.objects.list('Image'), [])
})

t.test('automatic disks are made where they are told, with or without an image', { skip }, async (t) => {
  const { outside, disks } = await lab(t)
  const path = join(outside, 'centos 1.qcow2')
  const { settings, undo } = await disks.prepare(UUID, vm({ image: 'guest', devices: [auto(path), auto(join(outside, 'data.qcow2'), { sizeMiB: 10 }), auto(join(outside, 'big.qcow2'), { base: 'guest', sizeMiB: 100 })] }), call)
  t.equal(disk(settings, 'root').path, path, 'the first automatic one is the root disk')
  t.match(await info(path), { 'virtual-size': 64 * 2 ** 20 })
  const data = await info(join(outside, 'data.qcow2'))
  t.equal(data['virtual-size'], 10 * 2 ** 20)
  t.equal(data['full-backing-filename'], undefined, 'empty')
  t.equal((await info(join(outside, 'big.qcow2')))['virtual-size'], 100 * 2 ** 20)
  t.same(settings.devices.map((device) => device.target), ['vda', 'vdb', 'vdc', 'vdd'])
  t.equal(disk(settings, 'seed').target, 'vdd', 'made of an image, it has a seed also without a context')
  t.same(await undo(), [])
  t.same((await readdir(outside)).sort(), ['guest.raw'])
  t.same(await undo(), [], 'taking back twice')
  await t.rejects(disks.prepare(UUID, vm({ devices: [auto(path)] }), call), { code: 'RMO_ERR_ARGUMENT_INVALID' }, 'neither image nor size')
  await t.rejects(disks.prepare(UUID, vm({ image: 'guest', devices: [auto(path, { sizeMiB: 10 })] }), call), { code: 'RMO_ERR_ARGUMENT_INVALID' }, 'smaller than the image')
})

t.test('existing disks must be there and sound, and are never removed', { skip }, async (t) => {
  const { outside, driver, host, disks, source } = await lab(t)
  const path = join(outside, 'mine.qcow2')
  const existing: DiskDevice = { type: 'disk', path, format: 'qcow2' }
  await t.rejects(disks.prepare(UUID, vm({ devices: [existing] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' })
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '10M'])
  const { settings } = await disks.prepare(UUID, vm({ devices: [existing] }), call)
  await t.rejects(disks.prepare(OTHER, vm({ name: 'other', devices: [existing] }), call), { code: 'RMO_ERR_IN_USE', details: { by: ['web 1'] } }, 'promised already')
  await disks.dispose(UUID, settings, call)
  t.ok(await stat(path), 'a user\'s own file stays')
  driver.domains_.push(domain(OTHER, vm({ name: 'other', devices: [existing] })))
  await host.resync()
  await t.rejects(disks.prepare(UUID, vm({ devices: [existing] }), call), { code: 'RMO_ERR_IN_USE', details: { by: ['other'] } })
  await t.rejects(disks.prepare(UUID, vm({ devices: [{ type: 'disk', path: source, format: 'qcow2' }] }), call), { code: 'RMO_ERR_DISK_UNUSABLE' }, 'another format')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', path, '-F', 'qcow2', join(outside, 'over.qcow2')])
  await run('mv', [path, `${path}.away`])
  await t.rejects(disks.prepare(UUID, vm({ devices: [{ ...existing, path: join(outside, 'over.qcow2') }] }), call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /mine\.qcow2, is missing/ })
})

t.test('an image itself is never written to', { skip }, async (t) => {
  const { disks, image } = await lab(t)
  await t.rejects(disks.prepare(UUID, vm({ devices: [{ type: 'disk', path: image.attributes().path, format: 'raw' }] }), call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /read-only/ })
  await t.resolves(disks.prepare(UUID, vm({ devices: [{ type: 'disk', path: image.attributes().path, format: 'raw', readOnly: true }] }), call))
})

t.test('a failure half-way takes everything back', { skip: skipSeed }, async (t) => {
  const { pool, outside, disks, image } = await lab(t)
  const before = (await readdir(pool)).sort()
  const missing: DiskDevice = { type: 'disk', path: join(outside, 'missing.qcow2'), format: 'qcow2' }
  await t.rejects(disks.prepare(UUID, vm({ image: 'guest', devices: [missing], context: { hostname: 'web' } }), call), { code: 'RMO_ERR_DISK_UNUSABLE' })
  t.same((await readdir(pool)).sort(), before)
  t.equal(image.attributes().overlays, 0)
  await t.rejects(disks.prepare(UUID, vm({ image: 'gest' }), call), { code: 'RMO_ERR_IMAGE_MISSING', details: { known: ['guest'] } })
  await t.rejects(disks.prepare(UUID, vm({ devices: [auto('/nonexistent/dir/a.qcow2', { sizeMiB: 1 })] }), call), { code: 'RMO_ERR_DISK_FAILED' })
})

t.test('a context becomes a seed; the instance id stays until it is asked to change', { skip: skipSeed }, async (t) => {
  const { pool, disks } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest', context: { runcmd: ['echo "hi: #1"'], network: { version: 2 } } }), call)
  const seed = disk(settings, 'seed')
  t.match(seed, { path: join(pool, 'web-1-11111111.seed.iso'), format: 'raw', readOnly: true, target: 'vdb' })
  t.equal((await stat(must(seed.path))).mode & 0o777, 0o600, 'it may hold keys')
  const text = async (name: string): Promise<string> => {
    await run('xorriso', ['-osirrox', 'on', '-indev', must(seed.path), '-extract', `/${name}`, join(pool, name)])
    return readFile(join(pool, name), 'utf8')
  }
  t.equal(await text('meta-data'), `instance-id: "${settings.instanceId}"\nlocal-hostname: "web-1"\n`)
  const before = await readFile(must(seed.path))
  const again = await disks.reseed(UUID, { ...settings, context: { hostname: 'other' } }, call)
  t.equal(again.settings.instanceId, settings.instanceId)
  t.notSame(await readFile(must(seed.path)), before)
  t.same(await again.undo(), [])
  t.same(await readFile(must(seed.path)), before, 'the earlier seed is back')
  const fresh = await disks.prepare(OTHER, vm({ name: 'copy', image: 'guest', context: {} }), call)
  t.not(fresh.settings.instanceId, settings.instanceId)
  await disks.dispose(UUID, settings, call)
  t.notOk((await readdir(pool)).some((name) => name.startsWith('web-1-11111111')))
})

t.test('a clone by overlay copies nothing, and shares what the original wrote', { skip: skipSeed }, async (t) => {
  const { pool, disks, host, driver, image } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest', context: { hostname: 'web' } }), call)
  driver.domains_.push(domain(UUID, settings))
  await host.resync()
  const cloneOf = (uuid: string, name: string, how: 'overlay' | 'full' = 'overlay') => {
    const { instanceId: _, ...rest } = settings
    return disks.cloneDisks({ original: { uuid: UUID, settings }, uuid, settings: { ...rest, name }, how }, call)
  }
  const blank = await cloneOf(OTHER, 'copy')
  t.equal((await info(must(disk(blank.settings, 'root').path)))['full-backing-filename'], image.attributes().path, 'nothing written yet: straight on the image')
  t.not(blank.settings.instanceId, settings.instanceId, 'a new instance')
  t.match(disk(blank.settings, 'seed').path, /copy-66666666\.seed\.iso$/)

  const root = must(disk(settings, 'root').path)
  await write(root, 'A')
  const ids = ['77777777-0000-4000-8000-000000000001', '77777778-0000-4000-8000-000000000002']
  const [one, two] = await Promise.all([cloneOf(must(ids[0]), 'one'), cloneOf(must(ids[1]), 'two')])
  const [first, second] = [must(disk(one.settings, 'root').path), must(disk(two.settings, 'root').path)]
  const base = must((await info(first))['full-backing-filename'])
  t.match(base, /web-1-11111111\.qcow2\.base-[0-9a-f]{8}$/)
  t.equal((await info(second))['full-backing-filename'], base, 'two clones at once: one frozen base')
  t.equal((await info(root))['full-backing-filename'], base, 'which the original stands on too')
  t.equal((await stat(base)).mode & 0o222, 0)
  for (const path of [root, first, second]) t.ok(await reads(path, 'A'), 'what was written shows')
  await write(first, 'B')
  t.ok(await reads(root, 'A') && await reads(second, 'A'), 'a clone\'s writes are its own')

  await disks.dispose(must(ids[0]), one.settings, call)
  await disks.dispose(must(ids[1]), two.settings, call)
  t.ok(await stat(base), 'the original still needs it')
  driver.domains_.splice(0)
  await host.resync()
  await disks.dispose(UUID, settings, call)
  t.notOk((await readdir(pool)).some((name) => name.includes('.base-')), 'the base went with the last that stood on it')
})

t.test('a full copy stands alone; a running original is not cloned', { skip }, async (t) => {
  const { disks, host, driver, outside } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest' }), call)
  const root = must(disk(settings, 'root').path)
  await write(root, 'A')
  const ratios: number[] = []
  const { settings: copy, undo } = await disks.cloneDisks({ original: { uuid: UUID, settings }, uuid: OTHER, settings: { ...settings, name: 'copy' }, how: 'full' }, call, (ratio) => ratios.push(ratio))
  const path = must(disk(copy, 'root').path)
  t.equal((await info(path))['full-backing-filename'], undefined)
  t.ok(await reads(path, 'A'))
  t.ok(ratios.at(-1) === 1 && ratios.every((ratio, i) => ratio <= 1 && ratio >= (ratios[i - 1] ?? 0)), 'progress goes up to 1')
  t.same(await undo(), [])
  await t.rejects(stat(path), { code: 'ENOENT' })

  driver.domains_.push(domain(UUID, settings, 'running'))
  await host.resync()
  for (const how of ['overlay', 'full'] as const) await t.rejects(disks.cloneDisks({ original: { uuid: UUID, settings }, uuid: OTHER, settings: { ...settings, name: 'copy' }, how }, call), { code: 'RMO_ERR_STATE_INVALID', message: /stopped/ })
  driver.domains_.splice(0)
  await host.resync()
  const own = join(outside, 'own.qcow2')
  await copyFile(root, own)
  const mine = vm({ devices: [{ type: 'disk', path: own, format: 'qcow2' }] })
  await t.rejects(disks.cloneDisks({ original: { uuid: UUID, settings: mine }, uuid: OTHER, settings: { ...mine, name: 'copy' }, how: 'overlay' }, call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /did not make it/ })
})

t.test('a copy that is cancelled leaves nothing, and says why', { skip }, async (t) => {
  const { pool, disks } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest' }), call)
  const before = (await readdir(pool)).sort()
  const stop = new AbortController()
  const clone = disks.cloneDisks({ original: { uuid: UUID, settings }, uuid: OTHER, settings: { ...settings, name: 'copy' }, how: 'full' }, { ...call, signal: stop.signal })
  stop.abort(new Error('changed my mind'))
  await t.rejects(clone, { message: 'changed my mind' })
  t.same((await readdir(pool)).sort(), before)
})

t.test('the chain of bases is bounded', { skip }, async (t) => {
  const { disks, outside, source } = await lab(t)
  const { settings } = await disks.prepare(UUID, vm({ image: 'guest' }), call)
  const root = must(disk(settings, 'root').path)
  // As if it had been cloned often: its own disk on a long chain.
  let below = source
  for (let i = 0; i < LIMITS.backingChainMax - 1; i++) {
    const next = i === LIMITS.backingChainMax - 2 ? root : join(outside, `base${i}.qcow2`)
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', below, '-F', below === source ? 'raw' : 'qcow2', next])
    below = next
  }
  await write(root, 'A')
  const clone = (how: 'overlay' | 'full') => disks.cloneDisks({ original: { uuid: UUID, settings }, uuid: OTHER, settings: { ...settings, name: 'copy' }, how }, call)
  await t.rejects(clone('overlay'), { code: 'RMO_ERR_DISK_UNUSABLE', message: /disks: "full"/ })
  t.ok(await reads(must(disk((await clone('full')).settings, 'root').path), 'A'))
})

t.test('a damaged qcow2 disk is refused', { skip }, async (t) => {
  const { outside, disks } = await lab(t)
  const path = join(outside, 'cut.qcow2')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1G'])
  const file = await open(path, 'r+')
  await file.truncate(4_096)
  await file.close()
  await t.rejects(disks.prepare(UUID, vm({ devices: [{ type: 'disk', path, format: 'qcow2' }] }), call), { code: 'RMO_ERR_DISK_UNUSABLE', message: /cut off/ })
})
