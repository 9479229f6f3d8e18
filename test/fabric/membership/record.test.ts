// The join of member records is a lattice, whatever the records.

import t from 'tap'
import { fc } from '../../support/property.ts'
import { ACCUSERS_MAX, compareClaims, joinRecords, withState } from '../../../fabric/membership/record.ts'
import type { MemberRecord } from '../../../fabric/membership/record.ts'
import { claimsOfOneMember, member } from './arbitraries.ts'

const plain = (record: MemberRecord): unknown => JSON.parse(JSON.stringify(record))

t.test('join is commutative, associative and idempotent', async (t) => {
  const record = claimsOfOneMember()
  fc.assert(fc.property(record, record, record, (a, b, c) => {
    const ab = joinRecords(a, b)
    t.matchOnly(plain(ab), plain(joinRecords(b, a)), 'commutative')
    t.matchOnly(plain(joinRecords(ab, c)), plain(joinRecords(a, joinRecords(b, c))), 'associative')
    t.equal(joinRecords(ab, a), ab, 'adds nothing twice')
    t.equal(joinRecords(ab, b), ab, 'adds nothing twice')
    return true
  }), { numRuns: 400 })
})

t.test('join gives an upper bound: claims only move up', async (t) => {
  fc.assert(fc.property(claimsOfOneMember(), claimsOfOneMember(), (a, b) => {
    const joined = joinRecords(a, b)
    return compareClaims(joined, a) >= 0 && compareClaims(joined, b) >= 0
      && joined.accusers.length <= ACCUSERS_MAX && (joined.state === 'suspect' || joined.accusers.length === 0)
  }))
  t.pass()
})

t.test('who wins', async (t) => {
  const alive = member({ incarnation: 3 })
  const states = (['alive', 'suspect', 'dead', 'left'] as const).map((state) => withState(alive, state))
  for (let low = 0; low < states.length; low++) {
    for (let high = low + 1; high < states.length; high++) {
      t.equal(joinRecords(states[low] as MemberRecord, states[high] as MemberRecord).state, states[high]?.state, `${states[high]?.state} beats ${states[low]?.state}`)
    }
  }
  t.equal(joinRecords(withState(alive, 'left'), { ...alive, incarnation: 4 }).state, 'alive', 'a higher incarnation beats every word about the one before')
  t.equal(joinRecords(withState(alive, 'dead'), { ...alive, incarnation: 2 }).state, 'dead', 'a lower one nothing')
})

t.test('accusers gather: strongest word of each, strong ones kept', async (t) => {
  const id = (letter: string): string => letter.repeat(64)
  const one = withState(member(), 'suspect', [{ id: id('a'), strong: false }, { id: id('b'), strong: false }])
  const two = withState(member(), 'suspect', [{ id: id('a'), strong: true }, { id: id('c'), strong: false }, { id: id('d'), strong: false }, { id: id('e'), strong: false }])
  t.strictSame(joinRecords(one, two).accusers, [
    { id: id('a'), strong: true }, { id: id('b'), strong: false }, { id: id('c'), strong: false }, { id: id('d'), strong: false },
  ])
})

t.test('loads move on inside an incarnation and start anew with the next', async (t) => {
  const old = member({ loadNumber: 9, load: { cpuRatio: 0.9, queued: 3 } })
  const newer = member({ loadNumber: 10, load: { cpuRatio: 0.1, queued: 0 } })
  t.equal(joinRecords(newer, old), newer)
  t.strictSame(joinRecords(withState(old, 'suspect'), newer).load, newer.load, 'the state of one, the load of the other')
  t.equal(joinRecords(old, member({ incarnation: old.incarnation + 1, loadNumber: 0 })).loadNumber, 0)
})
