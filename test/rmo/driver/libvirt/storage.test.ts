// Storage and networks over libvirt: over its in-memory test driver, and over a real libvirtd in a box of its own.
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import { systemClock, systemRandom } from '../../../../fabric/base.ts'
import { createLibvirtDriver } from '../../../../rmo/driver/libvirt/driver.ts'
import { namedUuid } from '../../../../rmo/uuid.ts'
import { libvirtdBoxAbsent, startLibvirtdBox } from '../../../support/libvirtd-box.ts'

const run = promisify(execFile)
const call = { remainingMs: () => 20_000 }
const MiB = 2 ** 20

/** Why libvirt.so.0 cannot be used here, or false. */
async function libvirtAbsent(): Promise<string | false> {
  const driver = createLibvirtDriver({ uri: 'test:///default', clock: systemClock, random: systemRandom })
  return driver.open().then(() => false as const, (error: unknown) => `absent: ${String(error)}`).finally(() => driver.close())
}

test('test:///default: pools, volumes and networks', { skip: await libvirtAbsent() }, async (t) => {
  const driver = createLibvirtDriver({ uri: 'test:///default', clock: systemClock, random: systemRandom })
  t.teardown(() => driver.close())
  await driver.open()
  const { storage, networks } = driver
  const pool = await storage.definePool({ name: 'p <1>', path: '/kumoi-test/p', autostart: true }, call)
  t.match(pool, { name: 'p <1>', path: '/kumoi-test/p', type: 'dir', active: false, autostart: true, capacityBytes: 0 })
  await storage.startPool(pool.uuid, call)
  await storage.startPool(pool.uuid, call)
  const base = await storage.createVolume('p <1>', { name: 'base', format: 'qcow2', capacityBytes: MiB }, call)
  t.match(base, { uuid: namedUuid(pool.uuid, 'base'), pool: 'p <1>', name: 'base', format: 'qcow2', capacityBytes: MiB })
  const overlay = await storage.createVolume(pool.uuid, { name: 'overlay', format: 'qcow2', backing: { path: base.path, format: 'qcow2' } }, call)
  t.match(overlay, { backingPath: base.path, capacityBytes: MiB }, 'the size is the base\'s')
  await t.rejects(storage.createVolume(pool.uuid, { name: 'base', format: 'raw', capacityBytes: 1 }, call), { code: 'RMO_ERR_ALREADY_EXISTS' })
  await t.rejects(storage.uploadVolume(pool.uuid, { name: 'u', format: 'raw' }, Buffer.from('x'), call), { code: 'RMO_ERR_DRIVER_UNSUPPORTED' })
  await t.rejects(storage.definePool({ name: 'p <1>', path: '/elsewhere', autostart: false }, call), { code: 'RMO_ERR_NAME_TAKEN', message: new RegExp(pool.uuid) })
  await storage.deleteVolume(pool.uuid, 'base', call)
  await storage.deleteVolume(pool.uuid, 'base', call)
  t.same((await driver.inventory(call)).volumes.map(({ name }) => name), ['overlay'], 'what could not be uploaded is not left')
  await storage.stopPool(pool.uuid, call)
  await storage.stopPool(pool.uuid, call)
  await storage.undefinePool(pool.uuid, call)
  await storage.undefinePool(pool.uuid, call)
  await t.rejects(storage.startPool(pool.uuid, call), { code: 'RMO_ERR_GONE' })

  const network = await networks.define({ name: 'n <1>', forward: 'none', autostart: true }, call)
  t.match(network, { name: 'n <1>', forward: 'none', active: false, autostart: true, persistent: true })
  await networks.start(network.uuid, call)
  await networks.start(network.uuid, call)
  await networks.stop(network.uuid, call)
  t.match(await networks.define({ uuid: network.uuid, name: 'n <1>', forward: 'nat', address: '10.9.8.1/24', autostart: false }, call), { forward: 'nat', address: '10.9.8.1/24', autostart: false })
  await t.rejects(networks.define({ name: 'n <1>', forward: 'none', autostart: true }, call), { code: 'RMO_ERR_NAME_TAKEN' })
  await networks.undefine(network.uuid, call)
  await networks.undefine(network.uuid, call)
  t.same((await driver.inventory(call)).networks.map(({ name }) => name), ['default'])
})

test('a real libvirtd', { skip: libvirtdBoxAbsent(), timeout: 60_000 }, async (t) => {
  const box = await startLibvirtdBox()
  t.teardown(() => box.stop())
  const driver = createLibvirtDriver({ uri: box.uri, clock: systemClock, random: systemRandom, threads: 3 })
  t.teardown(() => driver.close())
  await driver.open()
  const { storage, networks } = driver
  const path = join(box.directory, 'pool')
  const pool = await storage.definePool({ name: 'p', path, autostart: false }, call)
  await storage.startPool(pool.uuid, call)
  const info = async (name: string): Promise<Record<string, unknown>> => JSON.parse((await run('qemu-img', ['info', '--output=json', join(path, name)])).stdout) as Record<string, unknown>
  const volumes = async () => (await driver.inventory(call)).volumes

  await t.test('overlays cost a header; a full copy stands alone', async (t) => {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', join(path, 'base.qcow2'), '1G'])
    await run('qemu-io', ['-c', 'write -P 7 0 16M', join(path, 'base.qcow2')])
    const backing = { path: join(path, 'base.qcow2'), format: 'qcow2' } as const
    const overlay = await storage.createVolume('p', { name: 'overlay', format: 'qcow2', backing }, call)
    t.match(overlay, { capacityBytes: 2 ** 30, backingPath: backing.path, format: 'qcow2' }, 'the size is read off a file that the pool does not know yet')
    t.ok(overlay.allocationBytes < MiB)
    t.match(await info('overlay'), { 'virtual-size': 2 ** 30, 'backing-filename': backing.path, 'backing-filename-format': 'qcow2' })
    const told: number[] = []
    const copy = await storage.copyVolume('p', 'overlay', { name: 'copy', format: 'qcow2' }, call, (ratio) => told.push(ratio))
    t.equal(copy.backingPath, undefined)
    t.ok(copy.allocationBytes >= 16 * MiB)
    t.same([told[0], told.at(-1)], [0, 1])
    t.same(told, [...told].sort((one, other) => one - other))
    t.equal((await info('copy'))['backing-filename'], undefined)
    await storage.resizeVolume('p', 'overlay', 2 ** 31, call)
    t.match(await info('overlay'), { 'virtual-size': 2 ** 31 })
    await t.rejects(storage.resizeVolume('p', 'overlay', MiB, call), { code: 'RMO_ERR_DRIVER_FAILED', message: /shrink/ })
  })

  await t.test('uploads: the bytes are the file', async (t) => {
    const bytes = Buffer.alloc(600_000, 'kumoi')
    t.match(await storage.uploadVolume('p', { name: 'seed <1>.iso', format: 'raw' }, bytes, call), { capacityBytes: bytes.length })
    t.ok(bytes.equals(await readFile(join(path, 'seed <1>.iso'))))
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', join(path, 'small.qcow2'), '5M'])
    t.match(await storage.uploadVolume('p', { name: 'up.qcow2', format: 'qcow2' }, await readFile(join(path, 'small.qcow2')), call), { format: 'qcow2', capacityBytes: 5 * MiB })
  })

  await t.test('files made and removed behind its back', async (t) => {
    await writeFile(join(path, 'stranger'), '')
    await t.rejects(storage.createVolume('p', { name: 'stranger', format: 'raw', capacityBytes: 1 }, call), { code: 'RMO_ERR_ALREADY_EXISTS' })
    await storage.deleteVolume('p', 'stranger', call)
    t.notOk((await readdir(path)).includes('stranger'))
    t.ok((await volumes()).every(({ name }) => name !== 'stranger'))
  })

  await t.test('what fails leaves nothing', async (t) => {
    const backing = { path: join(path, 'none'), format: 'qcow2' } as const
    await t.rejects(storage.createVolume('p', { name: 'x', format: 'qcow2', backing }, call), { code: 'RMO_ERR_GONE' })
    await t.rejects(storage.createVolume('p', { name: 'x', format: 'qcow2', capacityBytes: MiB, backing }, call), { message: /No such file/ })
    await t.rejects(storage.createVolume('p', { name: 'x', format: 'qcow2', backing: { path: join(path, 'seed <1>.iso'), format: 'qcow2' } }, call), { message: /no qcow2 file|not in qcow2 format/ })
    await t.rejects(storage.createVolume('p', { name: 'a/b', format: 'raw', capacityBytes: 1 }, call), { code: 'RMO_ERR_ARGUMENT_INVALID' })
    const small = await storage.definePool({ name: 'small', path: join(box.directory, 'small'), autostart: false }, call)
    await storage.startPool(small.uuid, call)
    await t.rejects(storage.uploadVolume('small', { name: 'x', format: 'raw' }, Buffer.alloc(12 * MiB, 1), call), { code: 'RMO_ERR_NO_SPACE' })
    await t.rejects(storage.definePool({ name: 'bad', path: '/proc/none/x', autostart: false }, call), { message: /cannot create path/ })
    await t.rejects(storage.definePool({ name: 'same', path, autostart: false }, call), { message: /conflict with pool/ })
    const gone = await storage.definePool({ name: 'gone', path: join(box.directory, 'gone'), autostart: false }, call)
    await rmdir(join(box.directory, 'gone'))
    await t.rejects(storage.startPool(gone.uuid, call), { message: /cannot open directory/ }, 'a start makes no directory: a file system may not be mounted')
    const { pools, failures, volumes: all } = await driver.inventory(call)
    t.same(pools.map(({ name }) => name).sort(), ['gone', 'p', 'small'])
    t.notOk(all.some(({ name }) => name === 'x'))
    t.same(failures, [])
  })

  await t.test('networks', async (t) => {
    const inner = await networks.define({ name: 'inner', bridge: 'kbr7', forward: 'none', address: '10.7.0.1/24', autostart: true }, call)
    await networks.start(inner.uuid, call)
    t.match((await driver.inventory(call)).networks, [{ name: 'inner', bridge: 'kbr7', active: true, autostart: true, address: '10.7.0.1/24', forward: 'none' }])
    await networks.define({ uuid: inner.uuid, name: 'inner', bridge: 'kbr7', forward: 'none', address: '10.8.0.1/24', autostart: false }, call)
    t.match((await driver.inventory(call)).networks, [{ address: '10.7.0.1/24', autostart: false }], 'an active one is as before')
    await networks.stop(inner.uuid, call)
    t.match((await driver.inventory(call)).networks, [{ address: '10.8.0.1/24', active: false }])
    await networks.undefine(inner.uuid, call)
    const plain = await networks.define({ name: 'plain', forward: 'none', autostart: false }, call)
    t.match(plain.bridge, /^virbr\d+$/)
    await t.rejects(networks.define({ name: 'p', forward: 'bridge', autostart: false }, call), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  })

  await t.test('a domain as libvirt keeps it reads as what was wished', async (t) => {
    const uuid = '00000000-0000-4000-8000-000000000001'
    await mkdir(join(box.directory, 'd'))
    const settings = {
      name: 'web <1> & "\u4e91"', memoryMiB: 64, vcpus: 2, image: 'guest', description: 'a & b', labels: { 'a<': '>b' }, context: { hostname: 'web', runcmd: ['echo "]]>"'] },
      devices: [
        { type: 'interface', bridge: 'sw0', switchType: 'openvswitch', mac: '52:54:00:00:00:01', target: 'web.0', vlan: { tag: 7 }, rateKiBps: 512 },
        { type: 'disk', volume: { pool: 'p', name: 'overlay' }, format: 'qcow2', target: 'vdb', role: 'root', create: 'auto' },
        { type: 'disk', path: join(path, 'copy'), format: 'qcow2', target: 'vda', sizeMiB: 9 },
        { type: 'interface', bridge: 'sw0', switchType: 'openvswitch', mac: '52:54:00:00:00:02', vlan: { trunk: [7, 8] }, model: 'e1000' },
        { type: 'disk', path: join(path, 'seed <1>.iso'), format: 'raw', target: 'hda', device: 'cdrom', role: 'seed' },
      ],
    } as const
    const made = await driver.domains.define(uuid, settings, { epoch: 1 }, call)
    t.strictSame(made.settings, settings)
    t.match(made.metadata, { epoch: 1, image: 'guest' })
    const xml = await driver.domains.describe(uuid, call)
    t.strictSame((await driver.domains.define(uuid, settings, { epoch: 1 }, call)).settings, settings)
    t.equal(await driver.domains.describe(uuid, call), xml, 'defining again what was read loses nothing and adds nothing')
    await driver.domains.undefine(uuid, call)
  })
})
