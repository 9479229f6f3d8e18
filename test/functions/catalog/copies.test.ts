// Who keeps which copy, and that nodes mend what they lack by themselves.

import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS, seededRandom } from '../../../fabric/base.ts'
import { createBlobStore } from '../../../fabric/mod.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createCode } from '../../../functions/catalog/code.ts'
import { createCopies } from '../../../functions/catalog/copies.ts'
import { byRendezvous } from '../../../functions/catalog/owners.ts'
import { bundleOf, openCatalogFabric, versionOf } from '../../support/catalog-fabric.ts'
import { eventually } from '../../support/hosts.ts'

const hash = (text: string): string => createHash('sha256').update(text).digest('hex')
const nodes = (count: number): readonly { readonly id: string }[] => Array.from({ length: count }, (_, n) => ({ id: hash(`node ${n}`) }))

t.test('rendezvous', (t) => {
  const all = nodes(9)
  const counts = new Map<string, number>()
  for (let n = 0; n < 3_000; n++) for (const { id } of byRendezvous(hash(`blob ${n}`), all).slice(0, 3)) counts.set(id, (counts.get(id) ?? 0) + 1)
  for (const count of counts.values()) t.ok(count > 800 && count < 1_200, `a fair share: ${count} of 1000`)
  fc.assert(fc.property(fc.string(), fc.shuffledSubarray([...all], { minLength: 4 }), (blob, some) => {
    const line = byRendezvous(hash(blob), some).map(({ id }) => id)
    const [first] = line
    const without = byRendezvous(hash(blob), some.filter(({ id }) => id !== first)).map(({ id }) => id)
    return String(without) === String(line.slice(1)) && String(byRendezvous(hash(blob), some.toReversed()).map(({ id }) => id)) === String(line)
  }))
  t.end()
})

t.test('a member dies, and who is to keep its copies now fetches them; what is owned is held', async (t) => {
  const { nodes: members, node } = await openCatalogFabric(t, 5)
  const bundle = bundleOf('hot', 'one')
  const { copies } = await node(0).client.deploy(bundle)
  const version = versionOf(bundle)
  const line = byRendezvous(version, members)
  const [first, , , next] = line
  if (first === undefined || next === undefined) throw new Error('five nodes')
  t.ok(line.slice(0, LIMITS.bundleCopies).every(({ name }) => copies.includes(name)), 'the first in line have it')
  // The fourth in line lost what it fetched to get ready.
  const clock = new SimClock()
  const blobs = await createBlobStore({ directory: join(next.directory, 'other') })
  let living = members as readonly { readonly id: string; readonly name: string }[]
  let changed = (): void => {}
  const fetch = { ...node(0).catalog.fetch, get: async (wanted: string) => { const bytes = await first.blobs.get(wanted); if (bytes !== undefined) blobs.put(wanted, bytes); return { bytes, asked: 1 } } }
  const keeper = createCopies({
    blobs, self: next.id, members: () => living, onMembers: (listener) => { changed = listener; return () => {} }, deployed: () => next.catalog.list(), fetch, clock, random: seededRandom(1),
    log: { info() {}, warn() {}, error() {} },
  })
  t.teardown(() => keeper.stop())
  keeper.start()
  await clock.settle(LIMITS.copiesCheckMs * 2)
  t.notOk(blobs.keeps(version), 'not its to keep while the three live')
  living = members.filter(({ id }) => id !== first.id)
  changed()
  await clock.settle(LIMITS.copiesSpreadMs)
  await eventually(() => blobs.keeps(version))
  await eventually(() => blobs.keeps(next.catalog.get('hot')?.manifest.sourceMap ?? ''))
})

t.test('what is held is not removed for room', async (t) => {
  const { node } = await openCatalogFabric(t, 1)
  const directory = join(node(0).directory, 'small')
  const blobs = await createBlobStore({ directory, diskBytes: 10_000, memoryBytes: 1 })
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const held = blobs.add(new Uint8Array(4_000).fill(1))
  blobs.hold(new Set([held]))
  for (let n = 2; n < 12; n++) {
    blobs.add(new Uint8Array(4_000).fill(n))
    await blobs.flush()
  }
  t.ok(blobs.keeps(held))
  t.ok(blobs.stats().diskBytes <= 10_000)
})

t.test('a full disk somewhere: another keeps the copy; everywhere: the deploy is refused', async (t) => {
  const { nodes: members, node, store } = await openCatalogFabric(t, 5)
  const bundle = bundleOf('hot', 'one')
  const line = byRendezvous(versionOf(bundle), members)
  const full = line[0]
  if (full !== undefined) full.blobs.keeps = () => false
  const { copies } = await (line[4] ?? node(0)).client.deploy(bundle)
  t.notOk(copies.includes(full?.name ?? ''))
  t.ok(copies.length >= LIMITS.bundleCopies, copies.join())
  for (const member of members) member.blobs.keeps = () => false
  await t.rejects(node(0).client.deploy(bundleOf('hot', 'two')), { code: 'FUNCTIONS_ERR_DEPLOY_NO_COPY' })
  t.equal((await store.range('function-version/')).entries.length, 1)
})

t.test('code is asked of members that are alive first, of doubted ones when nobody else has it', async (t) => {
  const { nodes: members, node } = await openCatalogFabric(t, 3)
  const bundle = bundleOf('hot', 'one')
  await node(0).client.deploy(bundle)
  const [self, ...others] = byRendezvous(versionOf(bundle), members)
  if (self === undefined) throw new Error('three nodes')
  const blobs = await createBlobStore({ directory: join(self.directory, 'empty') })
  const asked: string[] = []
  const codeOf = (doubted: readonly string[]): ReturnType<typeof createCode> => createCode({
    blobs, self: self.id, clock: new SimClock(), suspicious() {},
    members: () => members.map(({ id, name }) => ({ id, name, doubted: doubted.includes(id) })),
    peer: (id) => { asked.push(id); throw new Error('gone') },
  })
  const ids = others.map(({ id }) => id)
  t.match(await codeOf(ids).get(versionOf(bundle), LIMITS.bundleBytesMax), { bytes: undefined, asked: 2 }, 'all are doubted, all are asked')
  t.same(asked.splice(0), ids)
  await codeOf(ids.slice(0, 1)).get(versionOf(bundle), LIMITS.bundleBytesMax)
  t.same(asked, ids.toReversed(), 'the doubted one last')
})
