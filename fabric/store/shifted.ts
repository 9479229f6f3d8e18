// A store whose revisions are shown `shift` higher than they are (place.ts says why). Pure but for the calls it passes on.

import { FABRIC } from '../errors-table.ts'
import type { StoreBatch, StoreCompare, StoreEntry, StoreTransaction } from './contract.ts'
import type { StoreEngine } from './engine.ts'
import { leaseOf } from './local.ts'

export function shifted(engine: StoreEngine, shift: number): StoreEngine {
  if (shift === 0) return engine
  const up = (entry: StoreEntry): StoreEntry => ({ ...entry, createRevision: entry.createRevision + shift, modRevision: entry.modRevision + shift })
  const upBatch = ({ revision, events }: StoreBatch): StoreBatch => ({
    revision: revision + shift,
    events: events.map((event) => event.type === 'put' ? { type: 'put', entry: up(event.entry) } : { ...event, modRevision: event.modRevision + shift }),
  })
  const down = (compare: StoreCompare): StoreCompare => {
    if (compare.field === 'value' || compare.field === 'version') return compare
    // 0 is no revision, it says that the key is not there; one of an earlier era is below all of this one's, and above 0.
    const than = compare.than <= 0 ? compare.than : compare.than - shift
    if (compare.than > 0 && than <= 0) return earlier(compare)
    return { ...compare, than }
  }
  const downAll = (transaction: StoreTransaction): StoreTransaction => transaction.when === undefined ? transaction : { ...transaction, when: transaction.when.map(down) }
  return {
    kind: engine.kind, description: engine.description,
    async get(key, options) { const entry = await engine.get(key, options); return entry && up(entry) },
    async range(prefix, options) { const { entries, revision, more } = await engine.range(prefix, options); return { entries: entries.map(up), revision: revision + shift, more } },
    async transact(transaction, options) {
      const { succeeded, revision, entries } = await engine.transact(downAll(transaction), options)
      return { succeeded, revision: revision + shift, entries: entries.map((entry) => entry && up(entry)) }
    },
    async *watch(prefix, { after, signal } = {}) {
      if (after !== undefined && after <= shift) throw FABRIC.STORE_COMPACTED({ revision: after, oldest: shift + 1 })
      for await (const batch of engine.watch(prefix, { ...(after === undefined ? {} : { after: after - shift }), ...(signal === undefined ? {} : { signal }) })) yield upBatch(batch)
    },
    async grant(lifetimeMs, options) { const lease = await engine.grant(lifetimeMs, options); return leaseOf(engine, lease.id, lease.lifetimeMs) },
    revision: async (options) => await engine.revision(options) + shift,
    keepAlive: (lease, options) => engine.keepAlive(lease, options),
    revoke: (lease, options) => engine.revoke(lease, options),
    adopt: (lease, lifetimeMs, options) => engine.adopt(lease, lifetimeMs, options),
    lifetimeMs: (lease, options) => engine.lifetimeMs(lease, options),
    count: (prefix, options) => engine.count(prefix, options),
    close: () => engine.close(),
  }
}

/** A condition on a revision of an earlier era, in this one's: a key that is there is above it, one that is not (0) is below. */
function earlier(compare: Extract<StoreCompare, { than: number }>): StoreCompare {
  const { key, field, is } = compare
  switch (is) {
    // No revision is negative.
    case '=': return { key, field, is: '=', than: -1 }
    case '!=': return { key, field, is: '!=', than: -1 }
    case '<': return { key, field, is: '=', than: 0 }
    case '>': return { key, field, is: '>', than: 0 }
  }
}
