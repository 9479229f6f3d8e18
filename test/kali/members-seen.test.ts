// What calls are placed by: who is there, at once; loads, a moment old.
import { test } from 'tap'
import { LIMITS } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/mod.ts'
import type { Member, MembershipEvent, NodeId } from '../../fabric/mod.ts'
import { seeMembers } from '../../kali/members-seen.ts'

const member = (name: string, state: Member['state'] = 'alive', cpuRatio = 0): Member =>
  ({ id: name.repeat(64) as NodeId, name, state, incarnation: 1, addresses: [], version: '', startedAtMs: 0, sinceMs: 0, load: { cpuRatio, queued: 0 } })

function world() {
  const clock = new SimClock()
  let listener: ((event: MembershipEvent) => void) | undefined
  let listed = 0
  const state: { members: Member[] } = { members: [member('a'), member('b', 'alive', 0.5), member('c', 'dead')] }
  const seen = seeMembers({
    members: () => { listed++; return state.members },
    onEvent: (told) => { listener = told; return () => { listener = undefined } },
  }, clock)
  return { clock, seen, state, tell: (event: MembershipEvent) => listener?.(event), listed: () => listed, listens: () => listener !== undefined }
}

test('only the living, listed once for many calls', (t) => {
  const { seen, listed } = world()
  t.same(seen.list().map(({ name, cpuRatio }) => [name, cpuRatio]), [['a', 0], ['b', 0.5]])
  t.equal(seen.list(), seen.list())
  t.equal(listed(), 1)
  t.end()
})

test('who comes or goes is seen by the next call; loads after a moment', (t) => {
  const { seen, state, tell, clock, listed } = world()
  seen.list()
  state.members = [member('a', 'alive', 0.9), member('b', 'dead')]
  tell({ type: 'updated', member: member('a') })
  t.equal(seen.list().length, 2, 'a load alone is no reason to list anew')
  tell({ type: 'died', member: member('b') })
  t.same(seen.list().map(({ name }) => name), ['a'])
  state.members = [member('a', 'alive', 0.1)]
  t.equal(seen.list()[0]?.cpuRatio, 0.9)
  clock.advance(LIMITS.invokeNodesMs)
  t.equal(seen.list()[0]?.cpuRatio, 0.1)
  t.equal(listed(), 3)
  t.end()
})

test('it lets go of the membership', (t) => {
  const { seen, listens } = world()
  seen.stop()
  t.notOk(listens())
  t.end()
})
