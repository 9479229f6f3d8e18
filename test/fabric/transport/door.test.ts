import { test } from 'tap'
import { LIMITS } from '../../../fabric/limits.ts'
import { Door } from '../../../fabric/transport/door.ts'

test('the oldest silent stranger makes room; those who speak keep their place', (t) => {
  const door = new Door()
  const evicted: number[] = []
  const places = Array.from({ length: LIMITS.pendingHandshakesMax }, (_, index) => door.enter(`source ${index}`, () => { evicted.push(index) }))
  const first = places[0]
  if (first === undefined) throw new Error('no place')
  t.ok(door.speak(first, 0))
  t.ok(door.enter('late', () => {}))
  t.same(evicted, [1])
  t.equal(door.occupied, LIMITS.pendingHandshakesMax)
  t.end()
})

test('a full door of speakers refuses, and opens when one leaves', (t) => {
  const door = new Door()
  const places = Array.from({ length: LIMITS.pendingHandshakesMax }, (_, index) => {
    const place = door.enter(`source ${index}`, () => t.fail('nobody is evicted'))
    if (place !== undefined) door.speak(place, 0)
    return place
  })
  t.equal(door.enter('late', () => {}), undefined)
  if (places[5] !== undefined) door.leave(places[5])
  t.ok(door.enter('late', () => {}))
  t.end()
})

test('one source starts a burst, then so many handshakes a second; others are not charged', (t) => {
  const door = new Door()
  const start = (source: string, nowMs: number): boolean => {
    const place = door.enter(source, () => {})
    if (place === undefined) return false
    const allowed = door.speak(place, nowMs)
    door.leave(place)
    return allowed
  }
  for (let count = 0; count < LIMITS.handshakeBurst; count++) t.ok(start('a', 0))
  t.notOk(start('a', 0))
  t.ok(start('b', 0))
  const allowed = Array.from({ length: 100 }, () => start('a', 1_000)).filter(Boolean).length
  t.equal(allowed, LIMITS.handshakesPerSourcePerSecond)
  t.end()
})

test('one source never has all the places', (t) => {
  const door = new Door()
  const speaks = (source: string): boolean => {
    const place = door.enter(source, () => {})
    if (place === undefined) return false
    const allowed = door.speak(place, 0)
    if (!allowed) door.leave(place)
    return allowed
  }
  const taken = Array.from({ length: LIMITS.handshakeBurst }, () => speaks('a')).filter(Boolean).length
  t.equal(taken, LIMITS.pendingPerSourceMax)
  t.ok(speaks('b'), 'there is room for another')
  t.equal(door.occupied, LIMITS.pendingPerSourceMax + 1)
  t.end()
})
