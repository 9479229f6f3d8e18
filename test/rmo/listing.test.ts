// Listings: parts with bounds, at both ends and through a relay; what is missing or too much is said.

import { fc } from '../support/property.ts'
import { test } from 'tap'
import { LIMITS } from '../../fabric/base.ts'
import type { ClientStream } from '../../fabric/mod.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import { createValueCodec, METHODS, readListingStream } from '../../rmo/mod.ts'
import { partsOf } from '../../rmo/listing.ts'
import { addRack, boxKinds } from '../support/box-kinds.ts'
import { authority, createTestFabric, must, nodeId } from '../support/rmo-fabric.ts'
import type { TestNode } from '../support/rmo-fabric.ts'

const codec = createValueCodec()
const uuidOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`
const record = (n: number, attributes: Readonly<Record<string, unknown>> = {}): ReferenceRecord => ({ kind: 'Box', uuid: uuidOf(n), home: nodeId(1), name: `box${n}`, attributes })

/** A stream of these messages that ends with this result. */
function streamOf(messages: readonly unknown[], result: unknown): { readonly stream: ClientStream; readonly taken: () => number; readonly cancelled: () => boolean } {
  let taken = 0, cancelled = false
  const read = async (): Promise<unknown> => messages[taken++]
  return {
    taken: () => taken, cancelled: () => cancelled,
    stream: {
      write: async () => {}, waiting: 0, end() {}, read, cancel() { cancelled = true }, result: Promise.resolve(result),
      async *[Symbol.asyncIterator]() { for (let message = await read(); message !== undefined; message = await read()) yield message },
    },
  }
}
const roundTrip = (references: readonly ReferenceRecord[], withAttributes = true) => {
  const parts = [...partsOf({ references, failures: [] }, { codec, withAttributes })]
  return { parts, back: readListingStream(streamOf(parts, { references: references.length, failures: 0 }).stream, 'Box', codec) }
}

test('what goes in comes out, whatever it is', async (t) => {
  const attributes = fc.dictionary(fc.string({ maxLength: 20 }).filter((key) => key !== '__proto__'), fc.oneof(fc.string(), fc.double(), fc.bigInt(), fc.boolean(), fc.constant(null), fc.array(fc.string())), { maxKeys: 8, noNullPrototype: true })
  await fc.assert(fc.asyncProperty(fc.array(attributes, { maxLength: 150 }), async (all) => {
    const references = all.map((each, n) => record(n, each))
    const { references: back, failures } = await roundTrip(references).back
    t.same(failures, [])
    t.strictSame(JSON.parse(JSON.stringify(back, bigints)), JSON.parse(JSON.stringify(references, bigints)))
  }), { numRuns: 50 })
})
const bigints = (_key: string, value: unknown): unknown => typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? 0 : value

test('parts keep their bounds, whatever a record weighs', async (t) => {
  const light = roundTrip(Array.from({ length: 3_000 }, (_, n) => record(n)))
  for (const part of light.parts) t.ok(part.byteLength < 2 * LIMITS.listBatchBytes)
  t.equal((await light.back).references.length, 3_000)
  const heavy = roundTrip(Array.from({ length: 200 }, (_, n) => record(n, { text: 'x'.repeat(n < 100 ? 10 : 100_000) })))
  for (const part of heavy.parts) t.ok(part.byteLength <= LIMITS.listPartBytesMax)
  t.equal((await heavy.back).references.length, 200)
  const { parts, back } = roundTrip([record(1), record(2, { text: 'x'.repeat(LIMITS.listPartBytesMax) }), record(3)])
  for (const part of parts) t.ok(part.byteLength <= LIMITS.listPartBytesMax)
  t.same((await back).references.map(({ name, attributes }) => [name, attributes]), [['box1', {}], ['box2', {}], ['box3', {}]], 'too large for any part: there, without figures')
  t.same((await roundTrip([record(1, { size: 3, gone: undefined })]).back).references, [record(1, { size: 3 })], 'what was not observed is not there')
  t.same((await roundTrip([record(1, { size: 3 })], false).back).references, [record(1)], 'names only')
})

test('a stream that lies is refused', async (t) => {
  const [part] = partsOf({ references: [record(1)], failures: [] }, { codec, withAttributes: true })
  const reading = async (messages: readonly unknown[], result: unknown) => {
    const { stream, cancelled } = streamOf(messages, result)
    await t.rejects(readListingStream(stream, 'Box', codec), { code: /^(RMO_ERR_ARGUMENT|FUNCTIONS_ERR_VALUE)/ })
    t.ok(cancelled())
  }
  await reading([part], { references: 2, failures: 0 })
  await reading([], { references: 1, failures: 0 })
  await reading([part], null)
  for (const message of [null, 7, 'x', {}, new Uint8Array(), new Uint8Array(LIMITS.listPartBytesMax + 1), codec.encode({}), codec.encode([record(1)]), codec.encode({ references: [{ ...record(1), uuid: 'x' }], failures: [] }),
    codec.encode({ references: Array.from({ length: LIMITS.listBatchMax + 1 }, (_, n) => record(n)), failures: [] })]) await reading([message], { references: 1, failures: 0 })
})

test('more than a listing holds is an error, found before it is held', async (t) => {
  const part = codec.encode({ references: Array.from({ length: LIMITS.listBatchMax }, (_, n) => record(n)), failures: [] })
  const endless = Array.from({ length: 10_000 }, () => part)
  const { stream, taken, cancelled } = streamOf(endless, { references: 0, failures: 0 })
  await t.rejects(readListingStream(stream, 'Box', codec), { code: 'RMO_ERR_LIST_TOO_LONG', details: { kind: 'Box', limit: LIMITS.listedMax } })
  t.equal(taken(), LIMITS.listedMax / LIMITS.listBatchMax + 1)
  t.ok(cancelled())
})

async function boxes(node: TestNode, count: number): Promise<void> {
  const room = addRack(node.objects, node.member.id)
  const local = (n: number) => ({ uuid: `${node.member.id.slice(0, 8)}-0000-4000-8000-${n.toString(16).padStart(12, '0')}`, settings: { name: `${node.member.name}-${n}`, sizeMiB: 10, things: [], labels: {} }, room, rack: record(1) })
  for (let n = 0; n < count; n++) node.objects.add({ kind: 'Box', uuid: local(n).uuid, local: local(n) })
}

test('thousands of objects on several nodes, for a shell', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c', 'd'], { kinds: boxKinds })
  t.teardown(() => fabric.close())
  await boxes(fabric.node('b'), 4_000)
  await boxes(fabric.node('c'), 2_000)
  fabric.cut('d')
  const { peer, codec: shellCodec } = fabric.node('a').session
  const list = (withAttributes: boolean) => readListingStream(peer.open(METHODS.list, { kind: 'Box', withAttributes }), 'Box', shellCodec)
  const full = await list(true)
  t.equal(full.references.length, 6_000)
  t.same(full.references.map(({ name }) => name), full.references.map(({ name }) => name).sort(), 'by name')
  t.match(must(full.references[0]).attributes, { name: 'b-0', sizeMiB: 10 })
  t.match(full.failures, [{ name: 'd', error: { code: 'FABRIC_ERR_UNREACHABLE' } }])
  const names = await list(false)
  t.same(names.references.map(({ name }) => name), full.references.map(({ name }) => name))
  t.ok(names.references.every(({ attributes }) => Object.keys(attributes).length === 0), 'names travel alone')
  await t.rejects(fabric.node('a').capabilities.resolve('Box', authority()), { code: 'RMO_ERR_LIST_INCOMPLETE', message: /The Boxs? of d could/ })
})

test('a home with more than a listing holds is named as failed, the others are there', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'], { kinds: boxKinds })
  t.teardown(() => fabric.close())
  await boxes(fabric.node('b'), 3)
  const crowd = must(fabric.node('c'))
  const room = addRack(crowd.objects, crowd.member.id)
  const settings = { name: 'same', sizeMiB: 1, things: [], labels: {} }
  for (let n = 0; n <= LIMITS.listedMax; n++) crowd.objects.add({ kind: 'Box', uuid: uuidOf(n), local: { uuid: uuidOf(n), settings, room, rack: record(1) } })
  const { references, failures } = await fabric.node('a').capabilities.list('Box', { withAttributes: false }, authority())
  t.equal(references.length, 3)
  t.match(failures, [{ name: 'c', error: { code: 'RMO_ERR_LIST_TOO_LONG' } }])
  t.equal(failures.length, 1)
})

test('what machines share is listed once, and for each of them when asked', async (t) => {
  const fabric = createTestFabric(['a', 'b', 'c'], { kinds: boxKinds })
  t.teardown(() => fabric.close())
  for (const name of ['b', 'c']) {
    const home = must(fabric.node(name))
    const room = addRack(home.objects, home.member.id)
    home.objects.add({ kind: 'Box', uuid: uuidOf(1), local: { uuid: uuidOf(1), settings: { name: 'shared', sizeMiB: 1, things: [], labels: {} }, room, rack: record(1) } })
  }
  const { capabilities } = fabric.node('a')
  t.equal((await capabilities.list('Box', { withAttributes: true }, authority())).references.length, 1)
  const { references } = await capabilities.list('Box', { withAttributes: true, everyHome: true }, authority())
  t.same(references.map(({ uuid, home }) => ({ uuid, home })).sort((a, b) => (a.home < b.home ? -1 : 1)), ['b', 'c'].map((name) => ({ uuid: uuidOf(1), home: must(fabric.node(name)).member.id })).sort((a, b) => (a.home < b.home ? -1 : 1)))
})
