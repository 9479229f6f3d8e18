// What a home does for every object alike: patch against a version, access rules, audit, account, operation ids.

import t from 'tap'
import { createMemoryStore, systemClock } from '../../fabric/mod.ts'
import type { Authority } from '../../functions/mod.ts'
import { createAccessPolicy, createCapabilities, createGate, createLedger, createLocalObjects, createValueCodec, defineKind, NO_USERS, parameter } from '../../rmo/mod.ts'
import type { AccountRecord, AuditRecord, Changed, ObjectDump, ResourceObject } from '../../rmo/mod.ts'
import { createKindRegistry } from '../../rmo/registry.ts'
import { integer, nothing, record, text } from '../../rmo/schema.ts'
import { LIMITS, systemRandom } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { authority, member, nodeId } from '../support/rmo-fabric.ts'

interface Lamp extends ResourceObject { name: string; watts: number; turn(by: number): Promise<void> }
interface LocalLamp { name: string; watts: number; turned: number; applied: object[]; gate?: Promise<void> }

const UUID = '00000000-0000-4000-8000-000000000001'
const lamp = defineKind<Lamp, LocalLamp>({
  kind: 'Lamp', plural: 'lamps', doc: 'A lamp.', residence: 'hosted', example: 'lamps.dmap(lamp => lamp.watts)',
  attributes: { watts: { doc: 'Power.', type: integer({ unit: 'count' }), column: 'none' } },
  observe: ({ name, watts }) => ({ name, uuid: UUID, watts }),
  common: { info: () => ({}), stats: () => ({}) },
  verbs: {
    turn: {
      doc: 'Turns it.', acl: 'operate', idempotent: false, parameters: [parameter('by', integer({ unit: 'count' }), 'How far.')], result: { doc: 'nothing', type: nothing() },
      async run(local, [by]) {
        await local.gate
        if (by === 13) throw new Error('stuck')
        local.turned += by
      },
    },
  },
  collections: {}, references: {}, events: { on: { doc: 'It is on.', fields: {} } },
  watch: { options: record({}), start: () => () => {} },
  settings: {
    fields: { name: text({ charsMax: 10 }), watts: integer({ unit: 'count' }) },
    read: ({ name, watts }) => ({ name, watts }),
    async apply(local, change) {
      await Promise.resolve()
      local.applied.push(change)
      Object.assign(local, change)
    },
  },
})

function setup() {
  const local: LocalLamp = { name: 'desk', watts: 5, turned: 0, applied: [] }
  const objects = createLocalObjects({ forwardsMax: 4 })
  objects.add({ kind: 'Lamp', uuid: UUID, local })
  const store = createMemoryStore()
  const ledger = createLedger({ store, clock: systemClock })
  const access = createAccessPolicy({ kinds: createKindRegistry([lamp]), rulesOf: (of) => ledger.rules(of), ancestors: (of) => [of], trust: NO_USERS })
  const capabilities = createCapabilities({
    self: nodeId(1), members: () => [member(1, 'alpha')], objects, ledger, clock: systemClock, random: systemRandom, codec: createValueCodec(),
    kinds: createKindRegistry([lamp]), callPeer: async () => undefined, openPeer: () => { throw new Error('one node has no peers') },
    gate: createGate({ policy: (request) => access.judge(request), log: () => {}, clock: systemClock }),
  })
  const target = { kind: 'Lamp', uuid: UUID, home: nodeId(1) }
  const call = (verb: string, args: readonly unknown[] = [], over: Partial<Authority> = {}): Promise<unknown> => capabilities.invoke(target, verb, args, authority(over))
  return { local, ledger, store, call }
}

t.test('patch changes what differs, checks it, and answers the new version', async (t) => {
  const { local, call } = setup()
  const before = await call('dump') as ObjectDump
  t.match(before, { settings: { name: 'desk', watts: 5 }, version: /^[0-9a-f]{16}$/ })
  const { version, operation } = await call('patch', [{ watts: 7, name: 'desk' }, { version: before.version }]) as Changed
  t.match(operation, /^[0-9a-f]{32}$/)
  t.same(local.applied, [{ watts: 7 }])
  t.equal((await call('dump') as ObjectDump).version, version)
  await t.rejects(call('patch', [{ watts: 'many' }]), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await t.rejects(call('patch', [{ uuid: UUID }]), { code: 'RMO_ERR_READ_ONLY' })
  t.equal(local.applied.length, 1)
})

t.test('of two writers who start from one version, one is told', async (t) => {
  const { local, call } = setup()
  const { version } = await call('dump') as ObjectDump
  const results = await Promise.allSettled([call('patch', [{ watts: 6 }, { version }]), call('patch', [{ watts: 8 }, { version }])])
  t.same(results.map(({ status }) => status), ['fulfilled', 'rejected'])
  t.match(results[1], { reason: { code: 'RMO_ERR_VERSION_CONFLICT' } })
  t.equal(local.watts, 6)
})

t.test('a change with an operation id is done once, and the id is nobody else\'s', async (t) => {
  const { local, call } = setup()
  const done = Promise.withResolvers<void>()
  local.gate = done.promise
  const twice = [call('turn', [1], { operation: 'op-1' }), call('turn', [1], { operation: 'op-1' })]
  done.resolve()
  await Promise.all(twice)
  await call('turn', [1], { operation: 'op-1' })
  t.equal(local.turned, 1)
  await t.rejects(call('patch', [{ watts: 6 }], { operation: 'op-1' }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  await call('turn', [1])
  t.equal(local.turned, 2)
})

t.test('audit has every change, what became of it, and the refusals', async (t) => {
  const { call } = setup()
  await call('turn', [2], { operation: 'op-2' })
  await t.rejects(call('turn', [13]))
  await t.rejects(call('turn', [1], { principal: 'local:0/guest' }), { code: 'RMO_ERR_DENIED' })
  await call('info')
  const records = await call('audit') as readonly AuditRecord[]
  t.match(records.slice(0, 3), [
    { operation: 'op-2', verb: 'turn', acl: 'operate', outcome: 'done', principal: 'local:0' },
    { outcome: 'failed', error: 'stuck' },
    { outcome: 'denied', principal: 'local:0/guest', error: /^RMO_ERR_DENIED/ },
  ])
  t.match(records[3], { verb: 'audit', outcome: 'running' }, 'reading the audit is itself on record')
  t.same((await call('audit', [{ recordsMax: 1 }]) as readonly AuditRecord[]).length, 1)
})

t.test('rules of the object decide before the node does; deny wins; the administrator can repair', async (t) => {
  const { call, ledger } = setup()
  const guest = { principal: 'local:0/guest' }
  await t.rejects(call('turn', [1], guest), { code: 'RMO_ERR_DENIED' })
  t.same(await call('acls', [[{ effect: 'allow', principal: 'local:0/guest', verbs: ['operate'] }]]), [{ effect: 'allow', principal: 'local:0/guest', verbs: ['operate'] }])
  await call('turn', [1], guest)
  await call('acls', [[{ effect: 'allow', principal: '*', verbs: ['operate', 'read'] }, { effect: 'deny', principal: '*', verbs: ['operate', 'administer'] }]])
  await t.rejects(call('turn', [1], guest), { code: 'RMO_ERR_DENIED' })
  await t.rejects(call('turn', [1]), { code: 'RMO_ERR_DENIED' }, 'also for the administrator')
  await call('acls', [[]])
  await call('turn', [1])
  t.same(ledger.rules({ kind: 'Lamp', uuid: UUID }), [])
  await t.rejects(call('acls', [[{ effect: 'allow', principal: 'has space', verbs: ['read'] }]]), { code: 'RMO_ERR_ARGUMENT_INVALID' })
})

t.test('account counts calls by principal, and outlives the node', async (t) => {
  const { call, ledger, store } = setup()
  await call('info')
  await t.rejects(call('turn', [13]))
  ledger.use({ kind: 'Lamp', uuid: UUID }, { lampSeconds: 3 })
  ledger.use({ kind: 'Lamp', uuid: UUID }, { lampSeconds: 4 })
  const rows = await call('account') as readonly AccountRecord[]
  t.match(rows, [{ principal: 'local:0', calls: 2, failures: 1 }, { principal: '*', used: { lampSeconds: 7 } }])
  await ledger.flush()
  const again = createLedger({ store, clock: systemClock })
  t.match(again.account({ kind: 'Lamp', uuid: UUID }), [{ principal: 'local:0', calls: 3 }, { used: { lampSeconds: 7 } }])
  for (let i = 0; i < LIMITS.accountPrincipalsMax + 5; i++) again.count({ kind: 'Lamp', uuid: UUID }, `local:0/p${i}`, 1, false)
  const bounded = again.account({ kind: 'Lamp', uuid: UUID })
  t.ok(bounded.length <= LIMITS.accountPrincipalsMax + 1)
  t.match(bounded.at(-1), { principal: '(others)' })
})

t.test('counters are written a few at a time, all of them in the end', async (t) => {
  const clock = new SimClock()
  const store = createMemoryStore()
  const written: number[] = []
  const ledger = createLedger({ store: { ...store, write: async (changes) => { written.push(changes.length); await store.write(changes) } }, clock })
  const objects = LIMITS.ledgerAccountsPerFlush + 3
  for (let i = 0; i < objects; i++) ledger.count({ kind: 'Lamp', uuid: String(i) }, 'local:0', 1, false)
  clock.advance(LIMITS.ledgerFlushMs)
  await new Promise(setImmediate)
  t.same(written, [LIMITS.ledgerAccountsPerFlush])
  ledger.count({ kind: 'Lamp', uuid: String(objects - 1) }, 'local:0', 1, false)
  clock.advance(LIMITS.ledgerFlushMs)
  await new Promise(setImmediate)
  t.same(written, [LIMITS.ledgerAccountsPerFlush, 3], 'the others follow by themselves')
  ledger.count({ kind: 'Lamp', uuid: '0' }, 'local:0', 1, false)
  await ledger.flush()
  t.match(createLedger({ store, clock }).account({ kind: 'Lamp', uuid: '0' }), [{ calls: 2 }])
})
