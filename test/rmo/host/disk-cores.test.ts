// The parts under disks that need no disk: the plan, file names, hidden files, sidecars, holds, claims.
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fc } from '../../support/property.ts'
import t from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { createClaims } from '../../../rmo/host/storage/claims.ts'
import { fileStem, planDisks } from '../../../rmo/host/storage/disk-plan.ts'
import { createHolds } from '../../../rmo/host/storage/holds.ts'
import { readDiskNote, readImageNote, writeImageNote } from '../../../rmo/host/storage/sidecar.ts'
import { createUnfinished, isPaperwork } from '../../../rmo/host/storage/unfinished.ts'
import type { DiskDevice } from '../../../rmo/settings.ts'
import { scratch } from '../../support/storage-host.ts'

const UUID = '11111111-2222-4333-8444-555555555555'
const unfinished = () => createUnfinished({ machineUuid: UUID, hostName: () => 'alpha', random: seededRandom(1) })

t.test('every plan has one root at most, and targets of its own', async () => {
  const disk: fc.Arbitrary<DiskDevice> = fc.record({
    type: fc.constant('disk' as const), path: fc.constant('/x'), format: fc.constant('qcow2' as const), sizeMiB: fc.constant(1),
    create: fc.constantFrom('auto' as const, 'existing' as const), bus: fc.constantFrom('virtio' as const, 'sata' as const, 'scsi' as const, 'ide' as const), device: fc.constantFrom('disk' as const, 'cdrom' as const),
  })
  fc.assert(fc.property(fc.array(disk, { maxLength: 40 }), fc.option(fc.constant('guest'), { nil: undefined }), (devices, image) => {
    const plans = planDisks({ name: 'a', memoryMiB: 1, vcpus: 1, devices, ...(image === undefined ? {} : { image }) })
    const roots = plans.filter(({ device }) => device.role === 'root').length
    return new Set(plans.map(({ device }) => device.target)).size === plans.length && roots === (image === undefined ? 0 : 1)
  }))
})

t.test('any VM name makes a safe file name', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 1_000 }), (name) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,60}-11111111$/.test(fileStem(name, UUID))))
  t.equal(fileStem('../../etc/passwd', UUID), 'etc-passwd-11111111')
})

t.test('a file appears whole, or not at all, and never over another', async (t) => {
  const directory = await scratch(t), path = join(directory, 'a'), files = unfinished()
  await t.rejects(files.appear(path, 'durable', async (hidden) => { await writeFile(hidden, 'half'); throw new Error('stop') }), { message: 'stop' })
  t.same(await readdir(directory), [])
  await files.appear(path, 'durable', async (hidden) => {
    await writeFile(hidden, 'first')
    t.same(await files.sweep(directory), [], 'work under way is not swept')
    t.ok((await readdir(directory)).every(isPaperwork))
  })
  await t.rejects(files.appear(path, 'plain', (hidden) => writeFile(hidden, 'second')), { code: 'RMO_ERR_ALREADY_EXISTS' })
  t.equal(await readFile(path, 'utf8'), 'first')
  await files.replace(path, 'plain', (hidden) => writeFile(hidden, 'third'))
  t.equal(await readFile(path, 'utf8'), 'third')
  t.same(await readdir(directory), ['a'])
})

t.test('sidecars are read with suspicion', async (t) => {
  const directory = await scratch(t), path = join(directory, 'a.image.json')
  const note = { name: 'a', file: 'a.img', format: 'raw' as const, checksum: '0'.repeat(64), sizeBytes: 1, capacityBytes: 1, importedAtMs: 1, modifiedAtMs: 1, description: 'x' }
  await writeImageNote(unfinished(), path, note)
  t.same(await readImageNote(path), note)
  const bad = ['', '{', 'null', '[]', '{"version":1}', JSON.stringify({ version: 2, ...note }), JSON.stringify({ version: 1, ...note, file: '../x' }), JSON.stringify({ version: 1, ...note, sizeBytes: -1 }), 'x'.repeat(100_000)]
  for (const text of bad) {
    await writeFile(path, text)
    t.equal(await readImageNote(path), undefined, text.slice(0, 40))
  }
  t.equal(await readDiskNote(join(directory, 'absent')), undefined)
})

t.test('a file in use is not removed; who comes during a removal waits for its end', async (t) => {
  const holds = createHolds()
  const { promise, resolve } = Promise.withResolvers<void>()
  const using = [holds.use('/a', () => promise), holds.use('/a', () => promise)]
  await t.rejects(holds.remove('/a', async () => {}), { code: 'RMO_ERR_IN_USE' })
  resolve()
  await Promise.all(using)
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const removing = holds.remove('/a', async () => { await gate.promise; order.push('removed') })
  const after = holds.use('/a', async () => { order.push('used') })
  gate.resolve()
  await Promise.all([removing, after])
  t.same(order, ['removed', 'used'])
})

t.test('a claim lasts until it is given back or the VM is there', async (t) => {
  const claims = createClaims()
  const inventory = { domains: [], pools: [], volumes: [], networks: [], snapshots: [], failures: [] }
  t.equal(claims.claim('/a', UUID, 'web'), undefined)
  t.equal(claims.claim('/a', UUID, 'web'), undefined, 'its own')
  claims.sync(inventory)
  t.equal(claims.claim('/a', 'other', 'db'), 'web')
  claims.release('/a', 'other')
  t.equal(claims.claim('/a', 'other', 'db'), 'web', 'only its owner gives it back')
  claims.sync({ ...inventory, domains: [{ uuid: UUID, state: 'stopped', reason: '', managed: true, persistent: true, settings: { name: 'web', memoryMiB: 1, vcpus: 1, devices: [{ type: 'disk', path: '/a', format: 'raw' }] } }] })
  t.equal(claims.claim('/a', 'other', 'db'), undefined)
})
