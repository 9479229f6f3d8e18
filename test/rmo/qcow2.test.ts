// qcow2 headers: what qemu-img writes is read back; hostile bytes give an answer, never an exception.
import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fc } from '../support/property.ts'
import t from 'tap'
import { isBlank, readQcow2 } from '../../rmo/qcow2.ts'

const run = promisify(execFile)
const skip = await run('qemu-img', ['--version']).then(() => false as const, () => 'absent: qemu-img')

interface Fields { version: number; clusterBits: number; capacity: bigint; tableEntries: number; tableOffset: bigint; refcountOffset: bigint; refcountClusters: number; incompatible: bigint; headerBytes: number; backing: string }
const SOUND: Fields = { version: 3, clusterBits: 16, capacity: 2n ** 30n, tableEntries: 2, tableOffset: 0x30000n, refcountOffset: 0x10000n, refcountClusters: 1, incompatible: 0n, headerBytes: 112, backing: '' }

function header(over: Partial<Fields> = {}): Uint8Array {
  const f = { ...SOUND, ...over }
  const bytes = new Uint8Array(65_536), view = new DataView(bytes.buffer), name = new TextEncoder().encode(f.backing)
  view.setUint32(0, 0x514649fb)
  view.setUint32(4, f.version)
  if (f.backing !== '') {
    view.setBigUint64(8, 512n)
    view.setUint32(16, name.length)
    bytes.set(name, 512)
  }
  view.setUint32(20, f.clusterBits)
  view.setBigUint64(24, f.capacity)
  view.setUint32(36, f.tableEntries)
  view.setBigUint64(40, f.tableOffset)
  view.setBigUint64(48, f.refcountOffset)
  view.setUint32(56, f.refcountClusters)
  view.setBigUint64(72, f.incompatible)
  view.setUint32(100, f.headerBytes)
  return bytes
}
const FILE_BYTES = 0x40000

t.test('reads a sound header', async (t) => {
  t.match(readQcow2(header({ backing: '/pool/base.qcow2' }), FILE_BYTES), { is: 'qcow2', header: { version: 3, capacityBytes: 2 ** 30, clusterBytes: 65_536, backingFile: '/pool/base.qcow2', snapshots: 0, tableOffsetBytes: 0x30000, tableBytes: 16 } })
  t.same(readQcow2(new TextEncoder().encode('#cloud-config'), 13), { is: 'not-qcow2' })
  t.match(readQcow2(header({ incompatible: 4n }), FILE_BYTES), { header: { externalData: true } })
  t.match(readQcow2(header({ incompatible: 2n }), FILE_BYTES), { header: { corrupt: true } })
})

t.test('says what is wrong with a damaged one', async (t) => {
  const wrong: readonly [Partial<Fields>, RegExp, number?][] = [
    [{ version: 9 }, /version is 9/], [{ clusterBits: 40 }, /cluster size/], [{ clusterBits: 0 }, /cluster size/], [{ capacity: 2n ** 63n }, /size is out of bounds/],
    [{ tableEntries: 1 }, /does not cover/], [{ tableOffset: 2n ** 60n }, /cut off/], [{ refcountOffset: 0n }, /cut off/], [{ refcountClusters: 2 ** 31 }, /cut off/],
    [{ headerBytes: 3 }, /header length/], [{}, /cut off/, 1_024], [{ backing: 'x'.repeat(2_000) }, /backing file is out of bounds/], [{ backing: 'a\0b' }, /not text/],
  ]
  for (const [fields, reason, fileBytes = FILE_BYTES] of wrong) t.match(readQcow2(header(fields), fileBytes), { is: 'damaged', reason })
  for (const length of [4, 20, 71, 80, 103]) t.match(readQcow2(header().subarray(0, length), FILE_BYTES), { is: 'damaged', reason: /cut off/ })
})

t.test('any bytes give an answer', async () => {
  const magic = Uint8Array.of(0x51, 0x46, 0x49, 0xfb, 0, 0, 0)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(2, 3), fc.maxSafeNat(), (tail, version, fileBytes) => {
    const reading = readQcow2(Uint8Array.from([...magic, version, ...tail]), fileBytes)
    if (reading.is === 'qcow2') isBlank(reading.header, tail)
  }), { numRuns: 2_000 })
  fc.assert(fc.property(fc.nat(103), fc.nat(255), fc.maxSafeNat(), (at, byte, fileBytes) => {
    const bytes = header({ backing: '/b' })
    bytes[at] = byte
    const reading = readQcow2(bytes, fileBytes)
    // What is accepted lies inside the file.
    return reading.is !== 'qcow2' || reading.header.tableOffsetBytes + reading.header.tableBytes <= fileBytes
  }), { numRuns: 2_000 })
})

t.test('reads what qemu-img writes', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-qcow2-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const base = join(directory, 'base.qcow2'), overlay = join(directory, 'b ä.qcow2')
  const blank = async (path: string): Promise<boolean> => {
    const bytes = await readFile(path)
    const reading = readQcow2(bytes.subarray(0, 65_536), bytes.length)
    if (reading.is !== 'qcow2') throw new Error(JSON.stringify(reading))
    return isBlank(reading.header, bytes.subarray(reading.header.tableOffsetBytes, reading.header.tableOffsetBytes + reading.header.tableBytes))
  }
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'compat=0.10,cluster_size=4096', base, '10M'])
  t.match(readQcow2((await readFile(base)).subarray(0, 65_536), 1e6), { is: 'qcow2', header: { version: 2, capacityBytes: 10 * 2 ** 20, clusterBytes: 4_096 } })
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', overlay])
  t.match(readQcow2((await readFile(overlay)).subarray(0, 65_536), 1e6), { is: 'qcow2', header: { version: 3, backingFile: base, backingFormat: 'qcow2' } })
  t.ok(await blank(overlay))
  await run('qemu-io', ['-f', 'qcow2', '-c', 'write 0 512', overlay])
  t.notOk(await blank(overlay), 'one write is seen')
  const file = await open(overlay, 'r+')
  await file.truncate(100_000)
  await file.close()
  t.match(readQcow2((await readFile(overlay)).subarray(0, 65_536), 100_000), { is: 'damaged' })
})
