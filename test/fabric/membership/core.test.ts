// The core, step by step: single rules seen from outside (events in, outputs out).

import t from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { step } from '../../../fabric/membership/core.ts'
import type { Message } from '../../../fabric/membership/messages.ts'
import { withState } from '../../../fabric/membership/record.ts'
import type { MemberRecord } from '../../../fabric/membership/record.ts'
import { createCore, selfRecord } from '../../../fabric/membership/state.ts'
import type { Core, Output } from '../../../fabric/membership/state.ts'
import { member } from './arbitraries.ts'

const id = (letter: string): string => letter.repeat(64)
const peerOf = (letter: string, over: Partial<MemberRecord> = {}): MemberRecord =>
  member({ id: id(letter), profile: { name: letter, addresses: [`${letter}:1`], version: '1', startedAtMs: 1 }, ...over })

const BEAT = { incarnation: 1, loadNumber: 0, load: { cpuRatio: 0, queued: 0 } }

/** A running core `a` with links to the given members. */
function running(...letters: string[]): Core {
  const core = createCore({ self: id('a'), profile: peerOf('a').profile, random: seededRandom(1) })
  step(core, { type: 'start', seeds: [] }, 0)
  for (const letter of letters) {
    step(core, { type: 'link-up', peer: id(letter) }, 0)
    hear(core, letter, { type: 'news', news: [peerOf(letter)] }, 0)
  }
  return core
}

const hear = (core: Core, from: string, message: Message, nowMs: number): readonly Output[] => step(core, { type: 'message', from: id(from), message }, nowMs)
const sent = (outputs: readonly Output[], to: string): Message[] => outputs.flatMap((output) => (output.type === 'send' && output.to === id(to) ? [output.message] : []))
const events = (outputs: readonly Output[]): string[] => outputs.flatMap((output) => (output.type === 'event' ? [output.event] : []))
const stateOf = (core: Core, letter: string): string | undefined => core.view.get(id(letter))?.record.state

/** Plays timers until `untilMs`; gives all outputs. */
function play(core: Core, untilMs: number): Output[] {
  const outputs: Output[] = []
  while (core.wakeAtMs <= untilMs) outputs.push(...step(core, { type: 'timer' }, core.wakeAtMs))
  return outputs
}

t.test('a suspected member refutes with a higher incarnation, to every link, at once', async (t) => {
  const core = running('b', 'c')
  const outputs = hear(core, 'b', { type: 'news', news: [withState(selfRecord(core), 'suspect', [{ id: id('c'), strong: false }])] }, 10)
  t.equal(selfRecord(core).incarnation, 2)
  for (const to of ['b', 'c']) {
    const told = sent(outputs, to).flatMap((message) => ('news' in message ? message.news : []))
    t.match(told.find((record) => record.id === id('a')), { state: 'alive', incarnation: 2 }, `${to} is told`)
  }
})

t.test('a restart is a new life: the word about the old one is outbid', async (t) => {
  const core = running('b')
  hear(core, 'b', { type: 'news', news: [peerOf('a', { incarnation: 7, profile: { ...peerOf('a').profile, startedAtMs: 0 } })] }, 10)
  t.equal(selfRecord(core).incarnation, 8)
})

t.test('a reset link: suspected at once, dead within the second when the redial is refused too', async (t) => {
  const core = running('b', 'c', 'd')
  const outputs = step(core, { type: 'link-down', peer: id('b'), why: 'reset' }, 1_000)
  t.strictSame(events(outputs), ['suspected'])
  const redial = play(core, 1_400).filter((output) => output.type === 'dial')
  t.match(redial, [{ to: id('b') }])
  step(core, { type: 'dial-failed', peer: id('b'), refused: true }, 1_401)
  t.strictSame(events(play(core, 1_600)), ['died'])
  t.equal(stateOf(core, 'b'), 'dead')
})

t.test('a goodbye or a lost link alone is no evidence, only a reason to dial', async (t) => {
  for (const why of ['closed', 'lost'] as const) {
    const core = running('b', 'c')
    const outputs = step(core, { type: 'link-down', peer: id('b'), why }, 1_000)
    t.strictSame(events(outputs), [])
    t.match(outputs.filter((output) => output.type === 'dial'), [{ to: id('b') }])
  }
})

t.test('silence: ping, then helpers, then suspicion, and the suspect is told', async (t) => {
  const core = running('b', 'c')
  const asked: string[] = []
  let told = false
  while (core.wakeAtMs <= 4_000 && stateOf(core, 'b') === 'alive') {
    const now = core.wakeAtMs
    const outputs = step(core, { type: 'timer' }, now)
    told = sent(outputs, 'b').some((message) => message.type === 'news' && message.news[0]?.state === 'suspect')
    for (const message of sent(outputs, 'c')) {
      if (message.type === 'ask') asked.push(message.target)
      if (message.type === 'ping') hear(core, 'c', { type: 'ack', seq: message.seq, hash: 0, beat: BEAT, news: [] }, now)
    }
  }
  t.strictSame(asked, [id('b')], 'the helper is asked about the silent one, once')
  t.equal(stateOf(core, 'b'), 'suspect')
  t.ok(told)
  t.equal(stateOf(core, 'c'), 'alive')
})

t.test('a node that slept does not hold the silence against the others', async (t) => {
  const core = running('b', 'c', 'd')
  play(core, 1_200)
  const outputs = [...step(core, { type: 'timer' }, 9_000), ...play(core, 9_400)]
  t.strictSame(events(outputs), [], 'no accusation from what it waited for while asleep')
  t.ok(core.health > 0, 'and it takes itself for slow')
})

t.test('a death read from another table is an accusation, a death by gossip a fact', async (t) => {
  const core = running('b', 'c')
  hear(core, 'c', { type: 'state', wanted: [], news: [withState(peerOf('b'), 'dead')] }, 10)
  t.equal(stateOf(core, 'b'), 'suspect')
  hear(core, 'c', { type: 'news', news: [withState(peerOf('b'), 'dead')] }, 20)
  t.equal(stateOf(core, 'b'), 'dead')
  hear(core, 'b', { type: 'news', news: [peerOf('b')] }, 30)
  t.equal(stateOf(core, 'b'), 'dead', 'the dead do not return')
  t.strictSame(events(hear(core, 'b', { type: 'news', news: [peerOf('b', { incarnation: 2 })] }, 40)), ['joined'], 'but with a higher incarnation')
})

t.test('differing views are mended in one exchange', async (t) => {
  const one = running('b', 'c'), digest = step(one, { type: 'link-up', peer: id('f') }, 50)
  const other = createCore({ self: id('f'), profile: peerOf('f').profile, random: seededRandom(2) })
  step(other, { type: 'start', seeds: [] }, 0)
  step(other, { type: 'link-up', peer: id('a') }, 50)
  let toOther = sent(digest, 'f'), toOne: Message[] = []
  for (let round = 0; round < 4; round++) {
    toOne = toOther.flatMap((message) => sent(hear(other, 'a', message, 60 + round), 'a'))
    toOther = toOne.flatMap((message) => sent(hear(one, 'f', message, 60 + round), 'f'))
  }
  t.equal(other.view.hash(), one.view.hash())
  t.equal(other.view.liveCount, 4)
})

t.test('leaving waits for acknowledgements, but not for ever', async (t) => {
  const core = running('b', 'c')
  const outputs = step(core, { type: 'leave' }, 5_000)
  const pings = ['b', 'c'].map((to) => sent(outputs, to).find((message) => message.type === 'ping'))
  t.match(pings, [{ news: [{ state: 'left' }] }, { news: [{ state: 'left' }] }])
  const first = hear(core, 'b', { type: 'ack', seq: pings[0]?.type === 'ping' ? pings[0].seq : 0, hash: 0, beat: BEAT, news: [] }, 5_010)
  t.notOk(first.some((output) => output.type === 'left'))
  t.ok(play(core, 6_000).some((output) => output.type === 'left'), 'c never answered')
  t.equal(stateOf(core, 'a'), 'left', 'what others say of it now does not call it back')
  hear(core, 'b', { type: 'news', news: [withState(selfRecord(core), 'dead')] }, 6_100)
  t.equal(stateOf(core, 'a'), 'left')
})

t.test('loads ride on probes', async (t) => {
  const core = running('b')
  hear(core, 'b', { type: 'ping', seq: 1, hash: 0, beat: { incarnation: 1, loadNumber: 3, load: { cpuRatio: 0.5, queued: 4 } }, news: [] }, 10)
  t.strictSame(core.view.get(id('b'))?.record.load, { cpuRatio: 0.5, queued: 4 })
  step(core, { type: 'load', load: { cpuRatio: 0.25, queued: 1 } }, 20)
  t.match(sent(hear(core, 'b', { type: 'ping', seq: 2, hash: 0, beat: { incarnation: 1, loadNumber: 3, load: { cpuRatio: 0.5, queued: 4 } }, news: [] }, 30), 'b'),
    [{ type: 'ack', beat: { load: { cpuRatio: 0.25, queued: 1 } } }])
})

t.test('seeds are dialled until somebody is found', async (t) => {
  const core = createCore({ self: id('a'), profile: peerOf('a').profile, random: seededRandom(1) })
  const first = step(core, { type: 'start', seeds: [{ id: id('b'), addresses: ['b:1'] }, { id: id('a'), addresses: [] }] }, 0)
  t.match(first.filter((output) => output.type === 'dial'), [{ to: id('b'), addresses: ['b:1'] }])
  step(core, { type: 'dial-failed', peer: id('b'), refused: true }, 5)
  t.ok(play(core, 2_000).some((output) => output.type === 'dial' && output.to === id('b')))
})
