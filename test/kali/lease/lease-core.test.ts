// What the lease's state machine decides, case by case; keeper.test.ts has the properties.

import { test } from 'tap'
import { IDLE, isHeld, nextTickMs, step } from '../../../kali/lease/lease-core.ts'
import type { LeaseAction, LeaseEvent, LeaseState } from '../../../kali/lease/lease-core.ts'

const TIMES = { renewMs: 2_000, giveUpMs: 8_000 }

function play(from: LeaseState, ...events: readonly (readonly [number, LeaseEvent])[]): { readonly state: LeaseState; readonly actions: readonly LeaseAction[] } {
  let state = from
  let actions: readonly LeaseAction[] = []
  for (const [atMs, event] of events) ({ state, actions } = step(state, event, TIMES, atMs))
  return { state, actions }
}
const HELD = play(IDLE, [0, { type: 'arm', vm: 'a' }], [100, { type: 'granted', request: 1, lease: 'l', sentMs: 50 }]).state
const SURVIVES = play(HELD, [2_050, { type: 'tick' }], [4_050, { type: 'failed', request: 2 }], [4_500, { type: 'members', askedMs: 4_050, cutOffTogether: true }]).state

test('the age counts from before the question was sent', async (t) => {
  t.same([isHeld(HELD, TIMES, 8_049), isHeld(HELD, TIMES, 8_050)], [true, false])
  const { state, actions } = play(HELD, [2_050, { type: 'tick' }], [3_900, { type: 'renewed', request: 2, lease: 'l', sentMs: 2_050 }])
  t.same([state.sinceMs, actions], [2_050, [{ do: 'feed', untilMs: 10_050 }]])
  t.equal(nextTickMs(state, TIMES), 4_050)
})

test('whatever comes first after F: given up, and what is late changes nothing', async (t) => {
  for (const event of [{ type: 'tick' }, { type: 'arm', vm: 'b' }, { type: 'renewed', request: 2, lease: 'l', sentMs: 8_000 }, { type: 'members', askedMs: 8_000, cutOffTogether: true }] as const) {
    const { state, actions } = play(HELD, [8_050, event])
    t.match([state.phase, actions], ['fencing', [{ do: 'fence', vms: ['a'] }]], event.type)
  }
  const late = play(HELD, [8_050, { type: 'tick' }], [8_060, { type: 'renewed', request: 2, lease: 'l', sentMs: 8_000 }])
  t.same([late.state.phase, late.actions], ['fencing', []])
})

test('a lease that is gone: given up at once, but for one that ended while all were cut off', async (t) => {
  t.match(play(HELD, [3_000, { type: 'gone', lease: 'l' }]).actions, [{ do: 'fence', why: /its lease has ended/ }])
  t.same(play(HELD, [3_000, { type: 'gone', lease: 'older' }]).actions, [])
  t.match(SURVIVES, { phase: 'held', sinceMs: 4_050, survives: true })
  const again = play(SURVIVES, [5_000, { type: 'gone', lease: 'l' }])
  t.match([again.state.phase, again.actions], ['held', [{ do: 'take', request: 3 }]])
  t.match(play(again.state, [5_100, { type: 'granted', request: 3, lease: 'm', sentMs: 5_050 }]).state, { phase: 'held', lease: 'm', sinceMs: 5_050, survives: false })
})

test('one question at a time counts; what was granted beside it is let go', async (t) => {
  const taking = play(IDLE, [0, { type: 'arm', vm: 'a' }], [10, { type: 'failed', request: 1 }], [510, { type: 'tick' }])
  t.same(taking.actions, [{ do: 'take', request: 2 }])
  const late = play(taking.state, [600, { type: 'granted', request: 1, lease: 'old', sentMs: 0 }])
  t.same([late.state.phase, late.actions], ['taking', [{ do: 'let-go', lease: 'old' }]])
  t.same(play(late.state, [700, { type: 'failed', request: 1 }]).state.asking.store, 2, 'an old failure is no news')
})

test('taken anew only when all have been seen off', async (t) => {
  const fencing = play(HELD, [3_000, { type: 'unguarded', why: 'no watchdog' }]).state
  t.same(play(fencing, [3_100, { type: 'arm', vm: 'b' }], [3_200, { type: 'disarm', vm: 'a' }], [3_300, { type: 'tick' }]).actions, [])
  const off = play(fencing, [4_000, { type: 'fenced' }])
  t.same([off.state.phase, off.state.vms.size, off.actions], ['idle', 0, [{ do: 'let-go', lease: 'l' }]])
})

test('the last VM lets go, also of what is still being asked for', async (t) => {
  t.same(play(HELD, [3_000, { type: 'disarm', vm: 'a' }]).actions, [{ do: 'let-go', lease: 'l' }])
  const { state, actions } = play(IDLE, [0, { type: 'arm', vm: 'a' }], [10, { type: 'disarm', vm: 'a' }], [20, { type: 'granted', request: 1, lease: 'l', sentMs: 0 }])
  t.same([state.phase, actions], ['idle', [{ do: 'let-go', lease: 'l' }]])
})
