// Events of this node's objects for triggers: nothing is watched while nobody listens, objects that come are followed from
// their first event on, and those that go tell their end.

import t from 'tap'
import { SimClock } from '../../fabric/sim-clock.ts'
import { createLocalEvents, createLocalObjects, rmoKinds } from '../../rmo/mod.ts'
import type { LocalEventRecord, ObjectEvent } from '../../rmo/mod.ts'

/** A network as its room has it, as far as events go. */
function network(name: string) {
  const listeners = new Set<(event: ObjectEvent) => void>()
  return {
    name, listeners, attributes: () => ({ name }),
    onEvent(listener: (event: ObjectEvent) => void) { listeners.add(listener); return () => { listeners.delete(listener) } },
    tell(type: string) { for (const listener of [...listeners]) listener({ type, atMs: 1.5 }) },
  }
}
function scene() {
  const clock = new SimClock()
  const objects = createLocalObjects({ forwardsMax: 10 })
  const errors: unknown[] = []
  const events = createLocalEvents({ objects, kinds: rmoKinds, clock, onError: (error) => errors.push(error) })
  const add = (uuid: string, local = network(uuid)): ReturnType<typeof network> => { objects.add({ kind: 'Network', uuid, local }); return local }
  return { clock, objects, events, errors, add }
}

t.test('objects that are there, that come and that go', async (t) => {
  const { clock, objects, events, errors, add } = scene()
  const told: LocalEventRecord[] = []
  const first = add('one')
  t.equal(first.listeners.size, 0, 'nobody listens')
  const off = events.onLocalEvent('network', (event) => told.push(event))
  first.tell('changed')
  const second = add('two')
  second.tell('added')
  objects.remove('Network', 'two')
  second.tell('removed')
  await clock.settle(1)
  second.tell('late')
  t.same(told.map(({ kind, uuid, name, event }) => [kind, uuid, name, event.type, event['atMs']]), [['Network', 'one', 'one', 'changed', 2], ['Network', 'two', 'two', 'added', 2], ['Network', 'two', 'two', 'removed', 2]])
  off()
  t.equal(first.listeners.size, 0)
  add('three')
  t.same(errors, [])
})

t.test('two listeners, one watch an object; one that throws harms nobody', async (t) => {
  const { events, errors, add } = scene()
  const told: string[] = []
  const one = add('one')
  const off = [events.onLocalEvent('Network', () => { throw new Error('bad') }), events.onLocalEvent('networks', ({ event }) => told.push(event.type))]
  t.equal(one.listeners.size, 1)
  one.tell('changed')
  t.same(told, ['changed'])
  t.equal(errors.length, 1)
  off[0]?.()
  t.equal(one.listeners.size, 1)
  // Another object under the same uuid takes its place.
  const again = add('one', network('one'))
  t.equal(one.listeners.size, 0)
  t.equal(again.listeners.size, 1)
  events.stop()
  t.equal(again.listeners.size, 0)
  t.throws(() => events.onLocalEvent('Dragon', () => {}), { code: 'RMO_ERR_KIND_UNKNOWN' })
})
