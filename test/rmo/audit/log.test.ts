// The audit log of a node: intents before the act, shared writes, refusals, what a crash leaves, the old end.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { createMemoryStore, SimClock } from '../../../fabric/mod.ts'
import type { LocalStore } from '../../../fabric/mod.ts'
import { createChainReader, entryOf, startOf } from '../../../rmo/audit/chain.ts'
import type { AuditEntry } from '../../../rmo/audit/contract.ts'
import { createAuditLog } from '../../../rmo/audit/log.ts'
import type { NodeAuditLog } from '../../../rmo/audit/log.ts'
import { changesOf } from '../../../rmo/audit/object-audit.ts'
import { act, intentOf } from '../../support/audit-lab.ts'

const NODE = 'a'.repeat(64)
const entries = (log: NodeAuditLog): readonly AuditEntry[] => log.stored(1, 100_000).map(entryOf)

/** A store of which a test holds the writes back, or lets them fail. */
function heldStore(): { readonly store: LocalStore; readonly writes: number[]; hold(): () => void; full: boolean } {
  const memory = createMemoryStore()
  const writes: number[] = []
  let gate: Promise<void> | undefined
  const held = {
    writes, full: false,
    store: { ...memory, async write(changes: Parameters<LocalStore['write']>[0]) {
      await gate
      if (held.full) throw new Error('no space left on the device')
      writes.push(changes.length)
      await memory.write(changes)
    } },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return () => { gate = undefined; resolve() }
    },
  }
  return held
}

t.test('an intent is on disk before begin answers, the outcome after it, and the chain holds', async (t) => {
  const log = createAuditLog({ store: createMemoryStore(), clock: new SimClock(), node: NODE })
  const end = await log.begin(intentOf(1, { code: 'c0de' }))
  t.match(entries(log), [{ seq: 1, phase: 'intent', operation: 'op-1', principal: 'user:alice', verb: 'start', object: 'VM/web1', code: 'c0de', node: NODE, previous: startOf(NODE) }])
  end({ outcome: 'failed', error: 'X_ERR: no' })
  end({ outcome: 'done' })
  await log.flush()
  t.match(entries(log)[1], { seq: 2, phase: 'outcome', of: 1, outcome: 'failed', error: 'X_ERR: no', tookMs: 0 })
  t.equal(log.head().size, 2, 'an outcome is told once')
  const reader = createChainReader({ node: NODE, from: { size: 0, head: startOf(NODE) }, wanted: new Set() })
  for (const row of log.stored(1, 10)) reader.take(row)
  t.same(reader.end(), { head: log.head(), findings: [], heads: new Map(), unmatched: 0, bytes: log.stored(1, 10).join('').length })
})

t.test('many begins share a write', async (t) => {
  const held = heldStore()
  const log = createAuditLog({ store: held.store, clock: new SimClock(), node: NODE })
  const release = held.hold()
  const all = Array.from({ length: 64 }, (_, n) => act(log, n))
  release()
  await Promise.all(all)
  t.equal(held.writes.length, 2, 'the first alone, the others together')
  t.same(entries(log).slice(0, 64).map(({ operation }) => operation), Array.from({ length: 64 }, (_, n) => `op-${n}`))
})

t.test('what cannot be stored is not begun; outcomes and refusals are kept until they can be', async (t) => {
  const held = heldStore()
  const clock = new SimClock()
  const failures: unknown[] = []
  const log = createAuditLog({ store: held.store, clock, node: NODE, failed: (error) => failures.push(error) })
  const end = await log.begin(intentOf(1))
  held.full = true
  end({ outcome: 'done' })
  log.refused(intentOf(2), 'X_ERR_DENIED: no')
  for (let n = 0; n < 3; n++) await t.rejects(log.begin(intentOf(3)), { code: 'RMO_ERR_AUDIT_UNAVAILABLE', outcome: 'not-started', retryable: true, message: /no space left/ })
  t.equal(failures.length, 1, 'told once')
  t.equal(log.head().size, 1)
  held.full = false
  clock.advance(LIMITS.auditRetryMs)
  await log.flush()
  t.match(entries(log).slice(1), [{ phase: 'outcome', of: 1 }, { phase: 'refused', operation: 'op-2' }])
  await act(log, 4)
})

t.test('intents that a crash left open are answered at the next start, once', async (t) => {
  const store = createMemoryStore()
  const clock = new SimClock()
  const before = createAuditLog({ store, clock, node: NODE })
  await act(before, 1)
  await before.begin(intentOf(2))
  await before.flush()
  for (let starts = 0; starts < 2; starts++) {
    const after = createAuditLog({ store, clock, node: NODE })
    await after.flush()
    const failed = entries(after).filter(({ error }) => error?.includes('the node ended meanwhile') === true)
    t.match(failed, [{ phase: 'outcome', outcome: 'failed', operation: 'op-2' }])
    t.equal(failed.length, 1)
  }
})

t.test('refusals of one principal are told one by one, then as a count', async (t) => {
  const clock = new SimClock()
  const log = createAuditLog({ store: createMemoryStore(), clock, node: NODE })
  for (let n = 0; n < 1_000; n++) log.refused(intentOf(n, { principal: 'user:eve' }), 'RMO_ERR_DENIED: no')
  log.refused(intentOf('bob', { principal: 'user:bob' }), 'RMO_ERR_DENIED: no')
  await log.flush()
  t.equal(log.head().size, LIMITS.auditRefusalsPerWindow + 1)
  clock.advance(LIMITS.auditRefusalWindowMs)
  await log.flush()
  const last = entries(log).at(-1)
  t.match(last, { phase: 'refused', principal: 'user:eve', operation: 'op-999', count: 1_000 - LIMITS.auditRefusalsPerWindow })
  for (let n = 0; n < LIMITS.auditRefusersMax * 2; n++) log.refused(intentOf(n, { principal: `user:u${n}` }), 'no')
  await log.close()
  t.ok(entries(log).length <= LIMITS.auditRefusersMax + LIMITS.auditRefusalsPerWindow * 2 + 10, 'principals are bounded')
  await t.rejects(log.begin(intentOf(1)), { code: 'RMO_ERR_AUDIT_UNAVAILABLE' }, 'a log that was closed takes nothing')
})

t.test('an object\'s audit is its part of the chain', async (t) => {
  const log = createAuditLog({ store: createMemoryStore(), clock: new SimClock(), node: NODE })
  for (let n = 0; n < 30; n++) await act(log, n, { object: `VM/web${n % 3}` })
  await log.begin(intentOf('open', { object: 'VM/web1' }))
  log.refused(intentOf('no', { object: 'VM/web1' }), 'RMO_ERR_DENIED: no')
  await log.flush()
  const changes = changesOf(log, 'VM/web1', 100)
  t.equal(changes.length, 12)
  t.same(changes.slice(-3).map(({ outcome }) => outcome), ['done', 'running', 'denied'])
  t.same(changesOf(log, 'VM/web1', 2).map(({ operation }) => operation), ['op-open', 'op-no'])
  t.same(changesOf(log, 'VM/none', 2), [])
  await act(log, 'odd', { object: 'function/\u0000\uffff' })
  t.equal(changesOf(log, 'function/\u0000\uffff', 2).length, 1, 'whatever an object is called')
})

t.test('the old end goes, under a cut that says where the chain went on', async (t) => {
  const store = createMemoryStore()
  const recordsMax = 100
  const log = createAuditLog({ store, clock: new SimClock(), node: NODE, recordsMax })
  for (let n = 0; n < LIMITS.auditPruneMax; n++) await act(log, n)
  await log.flush()
  const cut = log.cut()
  t.equal(cut?.size, LIMITS.auditPruneMax)
  const again = createAuditLog({ store, clock: new SimClock(), node: NODE, recordsMax })
  t.same(again.cut(), cut)
  t.same(again.head(), log.head())
  const reader = createChainReader({ node: NODE, from: cut ?? { size: 0, head: '' }, wanted: new Set([LIMITS.auditPruneMax + 10]) })
  for (const row of again.stored((cut?.size ?? 0) + 1, recordsMax * 20)) reader.take(row)
  t.match(reader.end(), { findings: [], head: log.head(), unmatched: 0 })
  t.equal(store.range({ prefix: 'chain-of/', limit: 10_000 }).length, log.head().size - (cut?.size ?? 0), 'its index went with it')
})
