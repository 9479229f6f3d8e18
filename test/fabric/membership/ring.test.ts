// Rings: enough observers for everybody, the two directions agree, and changes disturb few.

import t from 'tap'
import { fc } from '../../support/property.ts'
import { observerCount, MEMBERSHIP } from '../../../fabric/membership/config.ts'
import { Rings } from '../../../fabric/membership/ring.ts'
import { seededRandom } from '../../../fabric/base.ts'

const SPAN = MEMBERSHIP.ringSpan

function ringsOf(seed: number, members: number): { rings: Rings; ids: string[] } {
  const random = seededRandom(seed)
  const ids = Array.from({ length: members }, () => Buffer.from(random.bytes(32)).toString('hex'))
  const rings = new Rings()
  for (const id of ids) rings.add(id)
  return { rings, ids }
}

t.test('everybody has exactly min(k, n - 1) different observers, and they know it', async (t) => {
  fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 12 }), (seed, members, k) => {
    const { rings, ids } = ringsOf(seed, members)
    const subjects = new Map(ids.map((id) => [id, new Set(rings.subjects(id, k, SPAN))]))
    return ids.every((id) => {
      const observers = rings.observers(id, k, SPAN)
      return new Set(observers).size === Math.min(k, members - 1) && !observers.includes(id)
        && ids.every((other) => observers.includes(other) === (subjects.get(other) as Set<string>).has(id))
    })
  }), { numRuns: 150 })
  t.pass()
})

t.test('the order of joining does not matter, nor does having been away', async (t) => {
  fc.assert(fc.property(fc.nat(), fc.integer({ min: 2, max: 40 }), fc.nat(), (seed, members, pick) => {
    const { rings, ids } = ringsOf(seed, members)
    const other = new Rings()
    rings.observers(ids[0] as string, 6, SPAN)
    for (const id of [...ids].reverse()) other.add(id)
    const mover = ids[pick % members] as string
    rings.remove(mover)
    rings.add(mover)
    return ids.every((id) => rings.observers(id, 6, SPAN).join() === other.observers(id, 6, SPAN).join())
  }))
  t.pass()
})

t.test('a helper with a link to the subject: observers have neighbours in common with whom they observe', async (t) => {
  const { rings, ids } = ringsOf(7, 1_000)
  const k = observerCount(1_000)
  const near = new Map(ids.map((id) => [id, new Set([...rings.observers(id, k, SPAN), ...rings.subjects(id, k, SPAN)])]))
  const fewest = Math.min(...ids.flatMap((id) => rings.observers(id, k, SPAN).map((observer) =>
    [...(near.get(observer) as Set<string>)].filter((common) => (near.get(id) as Set<string>).has(common)).length)))
  t.ok(fewest >= 1, `at least one helper each (fewest ${fewest})`)
})

t.test('an expander: gossip over ring neighbours reaches 1,000 members in a few hops', async (t) => {
  const { rings, ids } = ringsOf(3, 1_000)
  const k = observerCount(1_000)
  const reached = new Set([ids[0] as string])
  let hops = 0
  for (let edge = [...reached]; edge.length > 0; hops++) {
    edge = edge.flatMap((id) => [...rings.observers(id, k, SPAN), ...rings.subjects(id, k, SPAN)]).filter((id) => !reached.has(id) && reached.add(id))
  }
  t.equal(reached.size, 1_000)
  t.ok(hops <= 8, `${hops} hops`)
})

t.test('strangers have no neighbours', async (t) => {
  const { rings } = ringsOf(1, 5)
  t.strictSame(rings.observers('00', 4, SPAN), [])
  t.strictSame(rings.subjects('00', 4, SPAN), [])
})
