// Cold objects, assignments and load() as a shell holds them, over a fabric of two nodes in this process.

import { inspect } from 'node:util'
import { fc } from '../support/property.ts'
import { test } from 'tap'
import { REFERENCE } from '../../functions/mod.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import { assignmentsOf, createLoad, makePipelined, makeReference, referenceRecord } from '../../rmo/mod.ts'
import type { Pipelined } from '../../rmo/mod.ts'
import { addRack, boxKind, boxKinds, RACK_UUID } from '../support/box-kinds.ts'
import type { Box, Rack } from '../support/box-kinds.ts'
import { createTestFabric, must } from '../support/rmo-fabric.ts'

/** As collections type them. */
type Later = Box & PromiseLike<Box>

async function setup(t: { teardown(fn: () => void): unknown }) {
  const fabric = createTestFabric(['alpha', 'beta'], { kinds: boxKinds })
  t.teardown(() => fabric.close())
  const { session } = fabric.node('alpha')
  const there = fabric.node('beta')
  const room = addRack(there.objects, there.member.id)
  const rack = makeReference(must(there.capabilities.listHere('Rack')[0]), session) as Rack
  const recordsOf = (): readonly ReferenceRecord[] => there.capabilities.listHere('Box')
  const makeBox = async (settings: { readonly name?: string } = {}): Promise<Box> => {
    await rack.add(await rack.createBox(settings))
    room.log.length = 0
    return makeReference(must(recordsOf().at(-1)), session) as Box
  }
  return { fabric, session, room, rack, makeBox, recordsOf, assignments: assignmentsOf(session) }
}

test('a cold object is its settings', async (t) => {
  const { rack, room } = await setup(t)
  const box = await rack.createBox({ name: 'first' })
  t.equal(box.state, 'cold')
  t.equal(box.sizeMiB, 10)
  box.name = 'centos1'
  box.sizeMiB = 20
  const unawaited = box.add({ type: 'disk', path: '/a' })
  box.add({ type: 'disk', path: '/b', bus: 'sata' })
  box.label({ os: 'linux' })
  t.same(box.things, [{ type: 'disk', path: '/a' }, { type: 'disk', path: '/b', bus: 'sata' }], 'done at once')
  t.match(await unawaited, { version: 'cold' })
  box.remove({ path: '/a' })
  t.throws(() => box.remove({ path: '/c' }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.match(referenceRecord(box), { kind: 'Box', cold: true, name: 'centos1', attributes: { name: 'centos1', sizeMiB: 20, things: [{ path: '/b' }], labels: { os: 'linux' } } })
  t.match(inspect(box), /^Box centos1 \(cold\) \{\s+sizeMiB: 20,\s+things: \[ \{/)
  t.equal(`${box}`, 'Box centos1')
  t.match({ ...box }, { name: 'centos1', sizeMiB: 20, state: 'cold' }, 'spreads')
  t.same(room.log, [], 'and nothing was asked of anybody')
})

test('what a cold object cannot do', async (t) => {
  const { rack } = await setup(t)
  const box = await rack.createBox({ name: 'c' })
  for (const call of [() => box.open(), () => box.info(), () => box.patch({}), async () => { await (box.rack as unknown as PromiseLike<Rack>) }, () => box.watch().next()]) {
    await t.rejects(call() as Promise<unknown>, { code: 'RMO_ERR_COLD', message: /Box c is cold/ })
  }
  const loose = box as unknown as Record<string, unknown>
  for (const name of ['state', 'uuid', 'open', 'things', 'rack', 'inside']) {
    t.throws(() => { loose[name] = 1 }, { code: 'RMO_ERR_READ_ONLY', message: /Settable: name, sizeMiB/ }, name)
  }
  t.throws(() => { loose['nmae'] = 'x' }, { code: 'RMO_ERR_PROPERTY_UNKNOWN', message: /Did you mean name\?/ })
  t.throws(() => { loose['sizeMiB'] = 'large' }, { code: 'RMO_ERR_ARGUMENT_INVALID', message: /Box: sizeMiB must be an integer/ })
  t.throws(() => loose['nmae'], { code: 'RMO_ERR_PROPERTY_UNKNOWN' })
  t.equal(box.sizeMiB, 10)
})

test('adding makes the object live in place', async (t) => {
  const { rack, room } = await setup(t)
  const box = await rack.createBox({ name: 'b' })
  box.sizeMiB = 30
  const answered = await rack.add(box)
  t.equal(box.state, 'there')
  t.equal(answered.uuid, box.uuid)
  t.equal(answered.sizeMiB, 30)
  t.same(room.log, ['made {"name":"b","sizeMiB":30,"things":[]}'])
  t.equal(await box.open(), 'b')
  t.equal(await answered.open(), 'b')
  t.equal(await (box.rack as unknown as Pipelined<Rack>).name, 'rack')
  await box.add({ path: '/x' })
  t.same(room.log.slice(-1), ['add'], 'a verb of the home now')
  t.match(inspect(box), /^Box b \{/)
  t.equal(await rack.add(rack.createBox({ name: 'p' }) as unknown as Box).then((made) => made.name), 'p', 'a promise of a cold object')
})

test('what is given is the object of that moment; what is assigned meanwhile follows', async (t) => {
  const { rack, room } = await setup(t)
  const box = await rack.createBox({ name: 'before' })
  const gate = Promise.withResolvers<void>()
  room.hold = gate.promise
  const adding = rack.add(box)
  box.name = 'after'
  gate.resolve()
  t.equal((await adding).name, 'before')
  t.equal(await box.open(), 'after')
  t.same(room.log, ['made {"name":"before","sizeMiB":10,"things":[]}', 'patch {"name":"after"}', 'open after'])
  const refused = await rack.createBox({ name: 'refused' })
  await t.rejects((rack as unknown as { add(box: Box, more: number): Promise<Box> }).add(refused, 1))
  t.equal(refused.state, 'cold', 'a failure leaves it cold')
})

test('assignments of one turn are one patch, ahead of later calls', async (t) => {
  const { room, makeBox, recordsOf, session, assignments } = await setup(t)
  const box = await makeBox({ name: 'old' })
  box.name = 'new'
  box.sizeMiB = 50
  t.same([box.name, box.sizeMiB], ['new', 50], 'read back at once')
  t.equal(referenceRecord(box)?.name, 'new')
  t.equal(await box.open(), 'new')
  t.same(room.log, ['patch {"name":"new","sizeMiB":50}', 'open new'])
  const other = makeReference(must(recordsOf()[0]), session) as Box
  box.name = 'third'
  t.equal(await other.open(), 'third', 'through any reference to the object')
  box.name = 'fourth'
  t.equal(assignments.before(referenceRecord(box) as ReferenceRecord) !== undefined, true)
  t.same(await assignments.settled(), [])
  t.equal(assignments.before(referenceRecord(box) as ReferenceRecord), undefined, 'nothing is kept')
  t.match(room.log.at(-1), 'patch {"name":"fourth"}')
})

test('a failed assignment is taken back and told once', async (t) => {
  const { room, rack, makeBox, assignments } = await setup(t)
  const box = await makeBox({ name: 'old' })
  room.refuse = 'not now'
  box.name = 'new'
  t.equal(box.name, 'new')
  await t.rejects(box.open(), { code: 'RMO_ERR_STATE_INVALID', message: /not now/ })
  t.equal(box.name, 'old')
  t.equal(await box.open(), 'old', 'told once')
  box.name = 'again'
  await t.rejects(rack.remove(box), { message: /not now/ }, 'a call that is given the object is told as well')
  t.notOk(room.log.includes('unmade'))
  box.name = 'untold'
  const [untold] = await assignments.settled()
  t.match(untold, { message: 'not now' })
  t.same(await assignments.settled(), [])
  t.equal(box.name, 'old')
  // Assigned again while the first is under way: the second decides what shows.
  const gate = Promise.withResolvers<void>()
  room.hold = gate.promise
  box.name = 'one'
  await new Promise((resolve) => setImmediate(resolve))
  delete room.refuse
  box.name = 'two'
  gate.resolve()
  t.same((await assignments.settled()).length, 0)
  t.equal(box.name, 'two')
})

test('pipelined references take assignments', async (t) => {
  const { room, makeBox, recordsOf, session, assignments } = await setup(t)
  await makeBox({ name: 'old' })
  const at = (): Later => makePipelined(async () => must(recordsOf()[0]), boxKind, session) as Later
  at().name = 'unawaited'
  t.same(await assignments.settled(), [])
  t.same(room.log, ['patch {"name":"unawaited"}'])
  const box = at()
  box.name = 'x'
  box.sizeMiB = 9
  t.equal(await box.name, 'x')
  t.equal(await box.open(), 'x')
  t.same(room.log.slice(1), ['patch {"name":"x","sizeMiB":9}', 'open x'])
  const known = at()
  known.name = 'y'
  t.equal((await known).name, 'y')
  t.throws(() => { (known as unknown as Record<string, unknown>)['state'] = 1 }, { code: 'RMO_ERR_READ_ONLY' })
  t.throws(() => { (known as unknown as Record<string, unknown>)['nmae'] = 1 }, { code: 'RMO_ERR_PROPERTY_UNKNOWN' })
  room.refuse = 'no'
  known.name = 'z'
  await t.rejects(known.open(), { message: 'no' })
  t.equal(await known.name, 'y')
  const missing = makePipelined(async () => { throw new Error('no element 3') }, boxKind, session) as Later
  missing.name = 'q'
  t.match((await assignments.settled())[0], { message: 'no element 3' })
  missing.name = 'q'
  await t.rejects(missing.open(), { message: 'no element 3' })
  t.same(await assignments.settled(), [], 'told by the call')
})

test('load(dump) makes the same again, or one like it', async (t) => {
  const { rack, room, makeBox } = await setup(t)
  const load = createLoad(boxKinds)
  const box = await makeBox({ name: 'kept' })
  const dump = await box.dump()
  await rack.remove(box)
  const again = load<Box>(dump)
  t.match([again.state, again.name, again.uuid], ['cold', 'kept', box.uuid])
  again.name = 'renamed'
  const live = await rack.add(again)
  t.equal(await again.open(), 'renamed')
  t.equal(live.uuid, box.uuid)
  const devices = [{ type: 'interface', bridge: 'br0', mac: '52:54:00:00:00:01' }, { type: 'disk', path: '/a', format: 'raw' }]
  const fresh = load<Box>({ ...dump, settings: { ...dump.settings, instanceId: 'i', devices } }, { fresh: true })
  t.not(fresh.uuid, box.uuid)
  t.same(referenceRecord(fresh)?.attributes['devices'], [{ type: 'interface', bridge: 'br0' }, { type: 'disk', path: '/a', format: 'raw' }])
  t.notOk('instanceId' in (referenceRecord(fresh)?.attributes ?? {}))
  t.throws(() => load({ ...dump, kind: 'Rack' }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.throws(() => load({ ...dump, kind: 'Bax' }), { code: 'RMO_ERR_KIND_UNKNOWN' })
  t.throws(() => load({ ...dump, uuid: '7' }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.throws(() => load(null as never), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.match(room.log.filter((line) => line.startsWith('made')), [/renamed/])
})

test('property: any cold settings travel to a verb and come back the same', async (t) => {
  const { session, rack, room } = await setup(t)
  const settings = fc.record({ name: fc.string({ maxLength: 50 }), sizeMiB: fc.integer({ min: 1, max: 1e9 }), things: fc.array(fc.dictionary(fc.string().filter((key) => key !== '__proto__'), fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__'))), { maxLength: 4 }) })
  await fc.assert(fc.asyncProperty(settings, fc.uuid(), async (attributes, uuid) => {
    const record: ReferenceRecord = { kind: 'Box', uuid, home: room.home, name: attributes.name, attributes, cold: true }
    const box = makeReference(record, session) as Box
    const sent = session.codec.decode(session.codec.encode([box]), 'args') as { readonly [REFERENCE]: ReferenceRecord }[]
    const live = await rack.add(box)
    return JSON.stringify(sent[0]?.[REFERENCE]) === JSON.stringify({ ...record, attributes }) && live.name === attributes.name && JSON.stringify(box.things) === JSON.stringify(attributes.things)
  }), { numRuns: 50 })
  t.equal(RACK_UUID, rack.uuid)
})
