// Invariant 12 of reliability.md 6 over a storm: every privileged call has one intent and one outcome, or one refusal; also
// when the disk fails in between, and for RPC methods.

import t from 'tap'
import { CodedError, errorCode, LIMITS, seededRandom } from '../../../fabric/base.ts'
import { createMemoryStore, createRegistry, SimClock } from '../../../fabric/mod.ts'
import type { CallContext, RpcStream } from '../../../fabric/mod.ts'
import { Registry } from '../../../fabric/rpc/registry.ts'
import { entryOf } from '../../../rmo/audit/chain.ts'
import { audited } from '../../../rmo/audit/audited.ts'
import type { AuditEntry } from '../../../rmo/audit/contract.ts'
import { createAuditLog } from '../../../rmo/audit/log.ts'
import type { NodeAuditLog } from '../../../rmo/audit/log.ts'
import { auditMethods } from '../../../rmo/audit/methods.ts'
import { intentOf } from '../../support/audit-lab.ts'

const entries = (log: NodeAuditLog): readonly AuditEntry[] => log.stored(1, log.head().size).map(entryOf)
const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

t.test('over a storm of acts, denials and disk failures nothing is missing, nothing is twice, nothing is unmatched', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed)
    const clock = new SimClock()
    const memory = createMemoryStore()
    let full = false
    const log = createAuditLog({ clock, node: 'storm', store: { ...memory, async write(changes) {
      for (let turns = random.int(3); turns > 0; turns--) await turn()
      if (full) throw new Error('no room')
      await memory.write(changes)
    } } })
    const ran = new Map<string, 'done' | 'failed' | 'denied'>()
    const unavailable = new Set<string>()
    await Promise.all(Array.from({ length: 16 }, async (_, lane) => {
      for (let n = 0; n < 40; n++) {
        if (random.int(20) === 0) full = !full
        if (random.int(4) === 0) clock.advance(LIMITS.auditRetryMs)
        const operation = `${lane}-${n}`
        const fate = (['done', 'failed', 'denied'] as const)[random.int(3)] ?? 'done'
        await audited(log, intentOf(0, { operation }), async () => {
          ran.set(operation, fate)
          if (random.int(2) === 0) await turn()
          if (fate === 'failed') throw new Error('stuck')
          if (fate === 'denied') throw new CodedError('may not', { code: 'RMO_ERR_DENIED' })
        }).catch((error: unknown) => { if (errorCode(error) === 'RMO_ERR_AUDIT_UNAVAILABLE') unavailable.add(operation) })
      }
    }))
    full = false
    await log.close()
    const all = entries(log)
    const outcomes = new Map(all.filter(({ phase }) => phase === 'outcome').map((entry) => [entry.operation, entry]))
    const intents = all.filter(({ phase }) => phase === 'intent')
    t.equal(all.length, ran.size * 2, `seed ${seed}`)
    t.ok(intents.every(({ operation, seq }) => ran.has(operation) && outcomes.get(operation)?.of === seq && outcomes.get(operation)?.outcome === ran.get(operation)))
    t.equal(new Set(intents.map(({ operation }) => operation)).size, ran.size)
    t.ok([...unavailable].every((operation) => !ran.has(operation)), 'what could not be recorded did not run')
    t.equal(ran.size + unavailable.size, 640)
    t.ok(unavailable.size > 0)
  }
})

t.test('RPC methods run between their records; who is refused again and again waits', async (t) => {
  const clock = new SimClock()
  const log = createAuditLog({ store: createMemoryStore(), clock, node: 'rpc' })
  const registry = new Registry()
  let ran = 0
  registry.method('thing.do', (_body, { principal }) => {
    ran++
    if (principal === 'user:eve') throw new CodedError('may not', { code: 'FUNCTIONS_ERR_DEPLOY_DENIED' })
    return 'did'
  })
  const missing = auditMethods({
    registry, log, clock, operation: () => 'op',
    methods: { 'thing.do': (body) => (body === 'look' ? undefined : { verb: 'do', object: 'thing/1' }), 'thing.gone': () => undefined },
  })
  t.same(missing, ['thing.gone'], 'a stale table is found')
  const call = async (principal: string, body: unknown = null): Promise<unknown> => {
    const found = registry.find('thing.do')
    if (found?.shape !== 'call') throw new Error('no method')
    return await found.handler(body, { principal, trace: 't' } as CallContext)
  }
  t.equal(await call('user:alice'), 'did')
  t.equal(await call('user:alice', 'look'), 'did')
  await log.flush()
  t.match(entries(log), [{ phase: 'intent', verb: 'do', object: 'thing/1', operation: 'op' }, { phase: 'outcome', outcome: 'done' }])
  for (let n = 0; n < LIMITS.auditRefusalsPerWindow; n++) await t.rejects(call('user:eve'), { code: 'FUNCTIONS_ERR_DEPLOY_DENIED' })
  const before = ran
  for (let n = 0; n < 500; n++) await t.rejects(call('user:eve'), { code: 'RMO_ERR_REFUSED_TOO_OFTEN' })
  t.equal(ran, before)
  t.equal(await call('user:alice'), 'did', 'others do not wait')
  await log.flush()
  t.ok(log.head().size <= 4 + 3 * LIMITS.auditRefusalsPerWindow, 'the log does not grow with refusals')
  t.equal(entries(log).filter(({ outcome }) => outcome === 'denied').length, LIMITS.auditRefusalsPerWindow)
  clock.advance(LIMITS.auditRefusalWindowMs + 1)
  await t.rejects(call('user:eve'), { code: 'FUNCTIONS_ERR_DEPLOY_DENIED' })
  registry.stream('thing.watch', async () => { throw new CodedError('closed', { code: 'FABRIC_ERR_CANCELLED' }) })
  auditMethods({ registry, log, clock, operation: () => 'watched', methods: { 'thing.watch': () => ({ verb: 'console', object: 'thing/1' }) } })
  const watch = registry.find('thing.watch')
  if (watch?.shape !== 'stream') throw new Error('no stream')
  await t.rejects(watch.handler(null, { principal: 'user:alice', trace: 't' } as CallContext, {} as RpcStream))
  await log.close()
  t.match(entries(log).filter(({ operation }) => operation === 'watched'), [{ phase: 'intent' }, { phase: 'outcome', outcome: 'done' }], 'a stream that its caller closed has ended well')
  t.equal(createRegistry().around('none', (inner) => inner), false)
})
