// Events of objects and topics as triggers: which function gets what, in order, once, and what waits or is lost.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import type { NodeId } from '../../../fabric/base.ts'
import { decodeValue, REFERENCE, registerTopics, startTriggers, subscribersOf } from '../../../functions/mod.ts'
import type { CallScope, LocalEvent, SystemCall } from '../../../functions/mod.ts'
import { encodeArray } from '../../../functions/value/mod.ts'
import { Backlog, matches } from '../../../functions/trigger/events-core.ts'
import { createTriggerLab } from '../../support/trigger-lab.ts'

const on = (kind: string, more: { readonly events?: readonly string[]; readonly where?: Readonly<Record<string, string | number | boolean>>; readonly filtered?: boolean } = {}) =>
  ({ type: 'event', kind, events: more.events ?? [], where: more.where ?? {}, filtered: more.filtered ?? false } as const)
const crashed = (name: string, more: object = {}): LocalEvent => ({ kind: 'VM', uuid: `uuid-${name}`, name, event: { type: 'crashed', atMs: 1, state: 'crashed', ...more } })

function scene(options: { readonly mayWatch?: (name: string) => boolean } = {}) {
  const lab = createTriggerLab()
  const listeners = new Map<string, (event: LocalEvent) => void>()
  const source = { onLocalEvent: (kind: string, listener: (event: LocalEvent) => void) => { listeners.set(kind, listener); return () => { listeners.delete(kind) } } }
  const holders = lab.holders('alpha')
  const triggers = startTriggers({ ...lab, holders, self: 'alpha' as NodeId, source, mayWatch: async ({ name }) => options.mayWatch?.(name) ?? true })
  return { lab, listeners, tell: (event: LocalEvent, kind = 'VM') => listeners.get(kind)?.(event), stop: async () => { void triggers.stop(); await lab.clock.settle(2_000) },
    calls: (name: string) => lab.asked.filter(({ how, request }) => how === 'enqueue' && request.reference === `${name}@stable`) }
}
const typesOf = (calls: readonly { readonly request: { readonly cause: object } }[]): unknown[] => calls.map(({ request }) => (request.cause as unknown as { readonly event: { readonly type: string } }).event.type)

t.test('an event becomes one asynchronous call of each function that wants it', async (t) => {
  const { lab, tell, calls, listeners, stop } = scene()
  lab.deploy('any', { triggers: [on('VM'), on('VM', { events: ['crashed'] })] })
  lab.deploy('crashes', { triggers: [on('VM', { events: ['crashed'] })] })
  lab.deploy('web', { triggers: [on('VM', { where: { name: 'web' } })] })
  lab.deploy('hosts', { triggers: [on('pm')] })
  lab.deploy('asleep', { triggers: [on('Network')], paused: true })
  t.same([...listeners.keys()].toSorted(), ['VM', 'pm'], 'only what somebody wants is listened to')
  tell(crashed('web'))
  tell({ ...crashed('db'), event: { type: 'started', atMs: 2 } })
  await lab.clock.settle(10)
  t.same(typesOf(calls('any')), ['crashed', 'started'])
  t.same(typesOf(calls('crashes')), ['crashed'])
  t.same(typesOf(calls('web')), ['crashed'])
  t.equal(calls('hosts').length, 0)
  const [payload] = decodeValue(calls('web')[0]?.request.payload ?? new Uint8Array()) as [{ readonly type: string; readonly object: { readonly [REFERENCE]: object } }]
  t.match(payload, { type: 'crashed', state: 'crashed' })
  t.match(payload.object[REFERENCE], { kind: 'VM', uuid: 'uuid-web', home: 'alpha', name: 'web' }, 'the object is a reference that the function can use')
  lab.remove('hosts')
  t.same([...listeners.keys()], ['VM'])
  await stop()
  t.equal(listeners.size, 0)
})

t.test('who may not see an object hears nothing of it', async (t) => {
  const { lab, tell, calls, stop } = scene({ mayWatch: (name) => name !== 'stranger' })
  lab.deploy('stranger', { triggers: [on('VM')] })
  lab.deploy('friend', { triggers: [on('VM')] })
  tell(crashed('web'))
  await lab.clock.settle(10)
  t.equal(calls('stranger').length, 0)
  t.equal(lab.counts['stranger events-denied'], 1)
  t.equal(calls('friend').length, 1)
  await stop()
})

t.test('a filter is asked first; one that fails lets the event through', async (t) => {
  const { lab, tell, calls, stop } = scene()
  lab.answers.filter = ({ state }) => state === 'broken'
    ? { status: 'error', error: { code: 'X', message: 'no' }, mayHaveRun: true }
    : { ...lab.value(), value: encodeArray([state === 'yes']) }
  lab.deploy('picky', { triggers: [on('VM', { filtered: true })] })
  for (const state of ['yes', 'no', 'broken']) tell(crashed('web', { state }))
  await lab.clock.settle(10)
  t.same(calls('picky').map(({ request }) => (request.cause as unknown as { readonly event: { readonly state: string } }).event.state), ['yes', 'broken'])
  t.equal(lab.counts['picky filter-failed'], 1)
  await stop()
})

t.test('while the store is away events wait, in order; those beyond the bound are counted and told', async (t) => {
  const { lab, tell, calls, stop } = scene()
  lab.deploy('keen', { triggers: [on('VM')] })
  let away = true
  lab.answers.enqueue = () => { if (away) throw Object.assign(new Error('cut'), { code: 'FABRIC_ERR_STORE_UNREACHABLE', retryable: true }) }
  const more = 10
  for (let i = 0; i < LIMITS.triggerEventsMax + more; i++) tell(crashed('web', { number: i }))
  await lab.clock.settle(30_000)
  t.equal(calls('keen').length, 0)
  away = false
  await lab.clock.settle(10_000)
  const numbers = calls('keen').map(({ request }) => (request.cause as unknown as { readonly event: { readonly number?: number } }).event.number)
  const lostAt = typesOf(calls('keen')).indexOf('lost')
  t.equal(lab.counts['keen events-lost'], more - 1, 'one was on its way')
  t.equal(lostAt, 1, 'where they are missing')
  t.same(numbers.filter((number) => number !== undefined), [0, ...Array.from({ length: LIMITS.triggerEventsMax }, (_, i) => i + more)])
  t.equal(new Set(calls('keen').map(({ request }) => request.idempotencyKey)).size, calls('keen').length)
  await stop()
})

t.test('what can never become a call is let go, and said', async (t) => {
  const { lab, tell, calls, stop } = scene()
  lab.deploy('keen', { triggers: [on('VM')] })
  let refuse = true
  lab.answers.enqueue = () => { if (refuse) throw Object.assign(new Error('too large'), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' }) }
  tell(crashed('web'))
  await lab.clock.settle(10)
  refuse = false
  tell(crashed('db'))
  await lab.clock.settle(10)
  t.equal(calls('keen').length, 1)
  t.equal(lab.counts['keen events-lost'], 1)
  await stop()
})

t.test('matching: every field of `where`, own ones only', (t) => {
  const field = fc.constantFrom('state', 'reason', 'name', 'uuid', 'constructor', '__proto__', 'toString')
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean())
  fc.assert(fc.property(fc.dictionary(field, value), fc.dictionary(field, value), (where, fields) => {
    const event: LocalEvent = { kind: 'VM', uuid: 'u', name: 'n', event: { type: 'changed', ...fields } }
    const known: Record<string, unknown> = Object.assign(Object.create(null) as object, { kind: 'VM', uuid: 'u', name: 'n' }, event.event)
    return matches(on('VM', { where }), event) === Object.entries(where).every(([name, wanted]) => known[name] === wanted)
  }))
  t.end()
})

t.test('a backlog keeps the newest, in order, and counts the rest', (t) => {
  fc.assert(fc.property(fc.array(fc.option(fc.integer())), (steps) => {
    const backlog = new Backlog<number>(5)
    let pushed = 0, taken = 0, lost = 0
    for (const step of steps) {
      if (step !== null) { backlog.push(step); pushed++; continue }
      const next = backlog.take()
      if (next === undefined) continue
      taken++
      lost += next.lost
    }
    for (let next = backlog.take(); next !== undefined; next = backlog.take()) { taken++; lost += next.lost }
    return taken + lost === pushed && backlog.size === 0
  }))
  t.end()
})

t.test('topics: heard by functions of the same deployer, and by nobody else', async (t) => {
  const lab = createTriggerLab()
  const topic = (name: string) => ({ type: 'topic', topic: name } as const)
  lab.deploy('mine', { triggers: [topic('hot')] })
  lab.deploy('both', { triggers: [topic('cold'), topic('hot')] })
  lab.deploy('other', { triggers: [topic('cold')] })
  lab.deploy('asleep', { triggers: [topic('hot')], paused: true })
  lab.deploy('strangers', { triggers: [topic('hot')], by: 'local:1000' })
  const named = (of: string, by: string): string[] => subscribersOf(lab.catalog, of, by).map(({ manifest }) => manifest.name)
  t.same(named('hot', 'local:0'), ['mine', 'both'])
  t.same(named('hot', 'local:1000'), ['strangers'])
  t.same(named('warm', 'local:0'), [])
})

t.test('topics: the system call checks what a cell says', async (t) => {
  const calls = new Map<string, SystemCall>()
  const said: unknown[] = []
  registerTopics({ systemCalls: { register: (verb, call) => { calls.set(verb, call) } }, emit: async (topic, payload, options) => { said.push([topic, decodeValue(payload), options]); return 2 } })
  const scope: CallScope = { name: 'hot', version: 'v1', alias: 'stable', callId: 'c', trace: 't', deployer: 'local:0', budget: 7, secrets: [], rights: [] }
  const emit = (...args: readonly unknown[]): Promise<unknown> => (calls.get('emit') as SystemCall)(args, scope, {} as never, () => {})
  t.equal(await emit('hot', encodeArray([{ vm: 'web' }])), 2)
  t.same(said, [['hot', [{ vm: 'web' }], { from: 'hot', deployer: 'local:0', budget: 7 }]])
  for (const topic of ['', ' ', 'x'.repeat(LIMITS.topicCharsMax + 1), 7, null, 'ho t']) await t.rejects(emit(topic, encodeArray([1])), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' }, String(topic))
  await t.rejects(emit('hot', encodeArray([1, 2])), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
  await t.rejects(emit('hot', new Uint8Array([0x81])), { code: 'FUNCTIONS_ERR_PAYLOAD_INVALID' })
  await t.rejects(emit('hot', 'text'), { code: 'FUNCTIONS_ERR_BAD_MESSAGE' })
  t.equal(said.length, 1)
})
