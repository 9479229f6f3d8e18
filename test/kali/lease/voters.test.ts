// The vote on hosts of an embedded store: whose list is written when, who may keep by it, who may take; and that one of two
// never may while the other does, whatever the voters say and whichever writes were answered.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { createMemoryGlobalStore } from '../../../fabric/mod.ts'
import { systemClock, seededRandom } from '../../../fabric/base.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import { CLOUD_KEYS } from '../../../kali/cloud/keys.ts'
import { cutOffTogether } from '../../../kali/lease/survival.ts'
import { createOwnVoters, createTakeoverVote, isHalf, isMajority, votersOf } from '../../../kali/lease/voters.ts'

const NODES = ['a', 'b', 'c', 'd', 'e']
const openStore = (): ReturnType<typeof createMemoryGlobalStore> => createMemoryGlobalStore({ clock: systemClock, random: seededRandom(1) })
const signal = new AbortController().signal

t.test('a majority and a half of one list share a voter', async (t) => {
  await fc.assert(fc.property(fc.uniqueArray(fc.constantFrom(...NODES), { minLength: 3 }), fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), (voters, keeps, takes) => {
    const keeping = voters.filter((_, at) => keeps[at]), taking = voters.filter((_, at) => takes[at])
    return !isMajority(keeping.length, voters) || !isHalf(taking.length, voters) || keeping.some((voter) => taking.includes(voter))
  }))
  t.same([votersOf(['b', 'a', 'a']), votersOf(['c', 'b', 'a', 'a'])], [undefined, ['a', 'b', 'c']], 'two decide nothing')
})

t.test('what may stand in the store is known for certain, or not counted on', async (t) => {
  const store = openStore()
  t.teardown(() => store.close())
  const own = createOwnVoters({ self: 'a', store, timeoutMs: 1_000, log: { warn() {} } })
  t.same(own.possible(), [undefined], 'an earlier life may have written anything')
  await own.keep(['a', 'b', 'c'])
  t.same([own.possible(), JSON.parse(new TextDecoder().decode((await store.get(own.key))?.value))], [[['a', 'b', 'c']], { voters: ['a', 'b', 'c'] }])
  const { revision } = await store.transact({ then: [] })
  await own.keep(['a', 'b', 'c'])
  t.equal(await store.revision(), revision, 'the same list is not written again')

  // Its answer is lost: both count until one is known to stand.
  const present = (await store.get(own.key))?.modRevision ?? 0
  const lost = own.write(present, ['a', 'b', 'd'])
  t.same(own.possible(), [['a', 'b', 'c'], ['a', 'b', 'd']])
  const late = own.write(present, ['a', 'b', 'e'])
  const { succeeded } = await store.transact({ when: [late.when], then: [late.then] })
  late.answered(succeeded)
  t.same(own.possible(), [['a', 'b', 'e']], 'what was sent from the same revision cannot come any more')
  t.notOk((await store.transact({ when: [lost.when], then: [lost.then] })).succeeded)
  lost.answered(false)
  const refused = own.write(1, undefined)
  refused.answered((await store.transact({ when: [refused.when], then: [refused.then] })).succeeded)
  t.same(own.possible(), [['a', 'b', 'e']], 'what was refused counts no more')
  for (let at = 0; at < 20; at++) own.write(at, NODES)
  t.ok(own.possible().length < 10 && own.possible().includes(undefined), 'too many to remember: none is known')
})

t.test('a takeover needs half of the voters, the lease gone, and the list as it was read', async (t) => {
  const store = openStore()
  t.teardown(() => store.close())
  const contacts = new Map<string, number | undefined>([['a', undefined], ['b', 30_000], ['c', 20_000]])
  const vote = createTakeoverVote({ store, clock: systemClock, leaseMs: 20_000, timeoutMs: 50, contactOf: async (node) => { if (!contacts.has(node)) throw new Error('away'); return contacts.get(node) } })
  const none = await vote('a', signal)
  t.notOk(none.refused, 'nobody has a say')
  await createOwnVoters({ self: 'a', store, timeoutMs: 1_000, log: { warn() {} } }).keep(['a', 'b', 'c'])
  t.notOk((await store.transact({ when: none.when, then: [] })).succeeded, 'it has voters since')
  const both = await vote('a', signal)
  t.same([both.refused, (await store.transact({ when: both.when, then: [] })).succeeded], [undefined, true])
  contacts.set('c', 19_999)
  t.match((await vote('a', signal)).refused, /of its 3 voters 1 has had the global store for a whole lease/)
  contacts.delete('c')
  t.match((await vote('a', signal)).refused, /1 has had/, 'who is away does not vote')
  contacts.set('c', 20_000)
  const { id } = await store.grant(20_000)
  await store.transact({ then: [{ do: 'put', key: CLOUD_KEYS.lease('a'), value: new Uint8Array(), lease: id }] })
  t.match((await vote('a', signal)).refused, /lease stands/)
  await store.transact({ then: [{ do: 'put', key: CLOUD_KEYS.voters('b'), value: new TextEncoder().encode('{"voters":7}') }] })
  t.match((await vote('b', signal)).refused, /cannot be read/)
})

t.test('cut off together: all others, or most of each list that may stand', async (t) => {
  const sim = createSimClock()
  /** 'later': the others find out at different moments; 'silent': never an answer. */
  const ask = (says: Readonly<Record<string, 'cut' | 'has it' | 'later' | 'silent' | 'away'>>) => {
    const asked = new Map<string, number>()
    return async (node: string): Promise<boolean> => {
      const times = (asked.get(node) ?? 0) + 1
      asked.set(node, times)
      const says_ = says[node]
      if (says_ === 'silent') return new Promise(() => {})
      if (says_ === 'away') throw new Error('away')
      return says_ === 'cut' || (says_ === 'later' && times > 2)
    }
  }
  const verdict = async (others: readonly string[], voters: readonly (readonly string[] | undefined)[], says: Parameters<typeof ask>[0]): Promise<boolean> => {
    const answer = cutOffTogether({ clock: sim, others, voters, ask: ask(says), timeoutMs: 2_000 })
    await sim.settle(2_100)
    return answer
  }
  const LIST = ['a', 'b', 's']
  t.equal(await verdict(['b', 'c'], [undefined], { b: 'cut', c: 'cut' }), true, 'all others')
  t.equal(await verdict(['b'], [undefined], { b: 'cut' }), false, 'one other is not enough')
  t.equal(await verdict(['b', 's'], [undefined], { b: 'cut', s: 'silent' }), false, 'the silent one might take over')
  t.equal(await verdict(['b', 's'], [LIST], { a: 'cut', b: 'cut', s: 'silent' }), true, 'but not against two of three')
  t.equal(await verdict(['b', 's'], [LIST], { a: 'cut', b: 'later', s: 'away' }), true, 'who finds out a moment later')
  t.equal(await verdict(['b', 's'], [LIST], { a: 'cut', b: 'has it', s: 'silent' }), false)
  t.equal(await verdict(['b', 's'], [LIST], { a: 'has it', b: 'cut', s: 'silent' }), false, 'this host is one voter, no more')
  t.equal(await verdict(['b', 's'], [LIST, ['a', 's', 't']], { a: 'cut', b: 'cut', s: 'silent', t: 'away' }), false, 'each list that may stand')
  t.equal(await verdict(['b', 's'], [LIST, undefined], { a: 'cut', b: 'cut', s: 'silent' }), false, 'none may stand')
  t.equal(await verdict([], [], {}), false)
})
