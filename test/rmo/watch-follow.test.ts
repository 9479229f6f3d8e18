// A watch goes on where its object goes, and ends when that is gone.

import { test } from 'tap'
import type { ObjectEvent, Watch } from '../../rmo/mod.ts'
import { makeReference } from '../../rmo/mod.ts'
import { addRack, boxKinds } from '../support/box-kinds.ts'
import type { BoxRoom, LocalBox, Rack } from '../support/box-kinds.ts'
import { createTestFabric, must } from '../support/rmo-fabric.ts'
import type { TestNode } from '../support/rmo-fabric.ts'

type Seen = ObjectEvent & { readonly home?: string; readonly reason?: string }
const next = async (watch: Watch<ObjectEvent>): Promise<Seen | undefined> => {
  const { done, value } = await watch.next()
  return done === true ? undefined : value as Seen
}

async function setup(t: { teardown(fn: () => void): unknown }, from: string) {
  const fabric = createTestFabric(['alpha', 'beta', 'gamma'], { kinds: boxKinds })
  t.teardown(() => fabric.close())
  const rooms = new Map<string, BoxRoom>(fabric.nodes.map((node, i) => [node.member.name, addRack(node.objects, node.member.id, `00000000-0000-4000-8000-0000000000a${i}`)]))
  const { session } = fabric.node(from)
  const rack = makeReference(must(fabric.node('beta').capabilities.listHere('Rack')[0]), session) as Rack
  const box = await rack.add(await rack.createBox())
  const room = (name: string): BoxRoom => must(rooms.get(name))
  const watchers = (name: string): Set<(event: ObjectEvent) => void> => room(name).watchers.get(box.uuid) ?? new Set()
  return {
    fabric, box, watchers,
    emit: (name: string, event: Partial<Seen>) => { for (const emit of [...watchers(name)]) emit({ atMs: 1, type: 'changed', ...event }) },
    /** Resolves when that many watch at a node. */
    watched: async (name: string, count = 1): Promise<void> => { while (watchers(name).size !== count) await new Promise((resolve) => setImmediate(resolve)) },
    move(name: string, to: string) {
      const local = must(fabric.node(name).objects.get('Box', box.uuid)).local as LocalBox
      fabric.node(name).objects.remove('Box', box.uuid, fabric.node(to).member.id)
      fabric.node(to).objects.add({ kind: 'Box', uuid: box.uuid, local: { ...local, room: room(to) } satisfies LocalBox })
    },
    id: (name: string): string => (fabric.node(name) as TestNode).member.id,
  }
}

for (const from of ['alpha', 'beta', 'gamma']) {
  test(`a migrated object is followed by a watch from ${from}`, async (t) => {
    const { fabric, box, emit, watched, watchers, move, id } = await setup(t, from)
    const watch = box.watch() as Watch<ObjectEvent>
    const first = next(watch)
    await watched('beta')
    emit('beta', { type: 'changed' })
    t.match(await first, { type: 'changed' })
    move('beta', 'gamma')
    emit('beta', { type: 'migrated', home: id('gamma') })
    t.match(await next(watch), { type: 'migrated' })
    await watched('gamma')
    await watched('beta', 0)
    emit('gamma', { type: 'changed' })
    t.match(await next(watch), { type: 'changed' }, 'events of the new home')
    move('gamma', 'beta')
    emit('gamma', { type: 'migrated', home: id('beta') })
    t.match(await next(watch), { type: 'migrated' })
    await watched('beta')
    emit('beta', { type: 'gone', reason: 'removed' })
    t.match(await next(watch), { type: 'gone', reason: 'removed' })
    t.equal(await next(watch), undefined, 'gone is the last')
    await watched('beta', 0)
    t.equal(watchers('gamma').size, 0)
    for (const node of fabric.nodes) {
      while (node.watches.open > 0) await new Promise((resolve) => setImmediate(resolve))
      t.equal(node.watches.open, 0, `${node.member.name} keeps none`)
    }
  })
}

test('a reference to the old home follows when opening', async (t) => {
  const { box, emit, watched, move } = await setup(t, 'alpha')
  move('beta', 'gamma')
  const watch = box.watch() as Watch<ObjectEvent>
  const first = next(watch)
  await watched('gamma')
  emit('gamma', { type: 'changed' })
  t.match(await first, { type: 'changed' })
  await watch.return?.()
})

test('what was removed while nobody could see it is gone', async (t) => {
  const { fabric, box, emit, watched } = await setup(t, 'alpha')
  const watch = box.watch() as Watch<ObjectEvent>
  const first = next(watch)
  await watched('beta')
  emit('beta', {})
  await first
  fabric.cut('beta')
  t.match(await next(watch), { type: 'interrupted' })
  fabric.node('beta').objects.remove('Box', box.uuid)
  fabric.mend('beta')
  fabric.change('beta', 'alive')
  for (let event = await next(watch); event?.type !== 'gone'; event = await next(watch)) t.match(event, { type: /interrupted|state/ })
  t.equal(await next(watch), undefined)
  await t.rejects((box.watch() as Watch<ObjectEvent>).next() as Promise<unknown>, { code: 'RMO_ERR_GONE' }, 'a watch of something that is not there any more')
})
