// The store's core against a model that keeps nothing but a list: any commands, any of them refused and undone, at any time.

import { fc } from '../../support/property.ts'
import t from 'tap'
import type { StoreEntry, StoreOperation, StoreTransaction } from '../../../fabric/store/contract.ts'
import { EMPTY_IMAGE, StoreCore } from '../../../fabric/store/core.ts'
import { compareKeys, EntryTable } from '../../../fabric/store/table.ts'
import { imageOf, rowsOf } from '../../../fabric/store/rows.ts'
import type { CoreChange } from '../../../fabric/store/core.ts'

const LEASES = ['01', '02', '03']
const key = fc.constantFrom('a', 'a/1', 'a/2', 'b', 'b/1', '\u{ff5e}', '\u{1f600}')
const lease = fc.constantFrom(...LEASES)
const value = fc.uint8Array({ maxLength: 3 })
const operation: fc.Arbitrary<StoreOperation> = fc.oneof(
  fc.record({ do: fc.constant('put' as const), key, value }),
  fc.record({ do: fc.constant('put' as const), key, value, lease }),
  fc.record({ do: fc.constant('delete' as const), key }),
  fc.record({ do: fc.constant('get' as const), key }),
)
/** Each key once: what check.ts lets through. */
const operations = fc.uniqueArray(operation, { maxLength: 4, selector: (each) => each.do === 'delete-prefix' ? each.prefix : each.key })
const compare = fc.oneof(
  fc.record({ key, field: fc.constantFrom('version' as const, 'modRevision' as const, 'createRevision' as const), is: fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const), than: fc.nat(6) }),
  fc.record({ key, field: fc.constant('value' as const), is: fc.constantFrom('=' as const, '!=' as const), than: value }),
)
const transaction: fc.Arbitrary<StoreTransaction> = fc.record({ when: fc.array(compare, { maxLength: 2 }), then: operations, otherwise: operations })
type Command = { readonly type: 'transact'; readonly transaction: StoreTransaction } | { readonly type: 'prefix'; readonly prefix: string } | { readonly type: 'grant' | 'keepAlive' | 'revoke'; readonly lease: string } | { readonly type: 'pass'; readonly ms: number }
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('transact' as const), transaction }) },
  fc.record({ type: fc.constant('prefix' as const), prefix: fc.constantFrom('', 'a', 'a/', 'b/') }),
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('grant' as const, 'keepAlive' as const, 'revoke' as const), lease }) },
  fc.record({ type: fc.constant('pass' as const), ms: fc.nat(1_500) }),
)

const LIFETIME_MS = 2_000

/** As plain as can be: an array of entries, searched from its beginning. */
class Model {
  revision = 1
  entries: StoreEntry[] = []
  leases = new Map<string, number>()
  nowMs = 0

  find(name: string): StoreEntry | undefined { return this.entries.find((entry) => entry.key === name) }
  change(changed: readonly { readonly key: string; readonly put?: { readonly value: Uint8Array; readonly lease?: string } }[]): void {
    const effective = changed.filter(({ key: name, put }) => put !== undefined || this.find(name) !== undefined)
    if (effective.length === 0) return
    this.revision++
    for (const { key: name, put } of effective) {
      const before = this.find(name)
      this.entries = this.entries.filter((entry) => entry.key !== name)
      if (put !== undefined) this.entries.push({ key: name, value: put.value, createRevision: before?.createRevision ?? this.revision, modRevision: this.revision, version: (before?.version ?? 0) + 1, ...(put.lease === undefined ? {} : { lease: put.lease }) })
    }
  }
  drop(ended: readonly string[]): void {
    for (const id of ended) this.leases.delete(id)
    this.change(this.entries.filter((entry) => entry.lease !== undefined && ended.includes(entry.lease)).map(({ key: name }) => ({ key: name })))
  }
  holds({ when = [] }: StoreTransaction): boolean {
    return when.every((condition) => {
      const entry = this.find(condition.key)
      if (condition.field === 'value') return entry !== undefined && (Buffer.from(entry.value).equals(condition.than) ? condition.is === '=' : condition.is === '!=')
      const has = entry?.[condition.field] ?? 0
      return { '=': has === condition.than, '!=': has !== condition.than, '<': has < condition.than, '>': has > condition.than }[condition.is]
    })
  }
  sorted(): readonly StoreEntry[] { return this.entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))) }
}

function run(core: StoreCore, model: Model, each: Command, written: CoreChange[]): void {
  const keep = (step: { readonly changes: readonly CoreChange[] }): void => { written.push(...step.changes) }
  switch (each.type) {
    case 'transact': {
      const succeeded = model.holds(each.transaction)
      const branch = succeeded ? each.transaction.then : each.transaction.otherwise ?? []
      if (branch.some((operation) => operation.do === 'put' && operation.lease !== undefined && !model.leases.has(operation.lease))) {
        t.throws(() => core.transact(each.transaction), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
        return
      }
      // Every step is made, taken back, and made again: it must not show.
      core.transact(each.transaction).undo()
      const step = core.transact(each.transaction)
      keep(step)
      model.change(branch.flatMap((operation) => operation.do === 'put' ? [{ key: operation.key, put: operation }] : operation.do === 'delete' ? [{ key: operation.key }] : []))
      if (step.answer.succeeded !== succeeded || step.answer.revision !== model.revision) throw new Error('another answer')
      return
    }
    case 'prefix':
      keep(core.transact({ then: [{ do: 'delete-prefix', prefix: each.prefix }] }))
      model.change(model.entries.filter((entry) => entry.key.startsWith(each.prefix)).map((entry) => ({ key: entry.key })))
      return
    case 'grant':
      core.grant(each.lease, LIFETIME_MS, model.nowMs).undo()
      keep(core.grant(each.lease, LIFETIME_MS, model.nowMs))
      model.leases.set(each.lease, model.nowMs + LIFETIME_MS)
      return
    case 'keepAlive':
    case 'revoke':
      if (!model.leases.has(each.lease)) {
        t.throws(() => each.type === 'revoke' ? core.revoke(each.lease) : core.keepAlive(each.lease, model.nowMs), { code: 'FABRIC_ERR_STORE_LEASE_GONE' })
      } else if (each.type === 'revoke') {
        core.revoke(each.lease).undo()
        keep(core.revoke(each.lease))
        model.drop([each.lease])
      } else {
        core.keepAlive(each.lease, model.nowMs)
        model.leases.set(each.lease, model.nowMs + LIFETIME_MS)
      }
      return
    case 'pass':
      model.nowMs += each.ms
      core.expire(model.nowMs).undo()
      keep(core.expire(model.nowMs))
      model.drop([...model.leases].filter(([, endsAtMs]) => endsAtMs <= model.nowMs).map(([id]) => id))
  }
}

t.test('any commands: the same as the model, in memory, from the disk, and as a watch sees it', async (t) => {
  fc.assert(fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
    const core = new StoreCore({ nowMs: 0, description: 'memory' })
    const model = new Model()
    const disk = new Map<string, readonly [Uint8Array, Uint8Array]>()
    let at = { revision: 1, floor: 0 }
    for (const each of commands) {
      const written: CoreChange[] = []
      run(core, model, each, written)
      at = { revision: core.revision, floor: core.history.floor }
      for (const [row, stored] of rowsOf(written, at)) { if (stored === undefined) disk.delete(Buffer.from(row).toString('hex')); else disk.set(Buffer.from(row).toString('hex'), [row, stored]) }
      const { entries, revision } = core.range('', { limit: 100, after: undefined })
      if (revision !== model.revision) throw new Error(`revision ${revision}, model ${model.revision}`)
      t.same(entries, model.sorted())
    }
    const again = new StoreCore({ nowMs: 0, description: 'memory', image: imageOf(disk.values()) ?? EMPTY_IMAGE })
    t.same(again.range('', { limit: 100, after: undefined }), core.range('', { limit: 100, after: undefined }), 'from the disk')
    t.equal(again.bytes, core.bytes)
    // What a watch from the beginning adds up to.
    const seen = new Map<string, StoreEntry>()
    for (let batch = again.history.next(1); batch !== undefined; batch = again.history.next(batch.revision)) {
      for (const event of batch.events) { if (event.type === 'put') seen.set(event.entry.key, event.entry); else seen.delete(event.key) }
    }
    t.same([...seen.values()].toSorted((a, b) => compareKeys(a.key, b.key)), model.sorted(), 'by events')
  }), { numRuns: 300 })
})

t.test('keys stand in the order of their UTF-8', async () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), fc.string({ unit: 'grapheme', maxLength: 2 }), fc.integer({ min: 1, max: 5 }), (keys, prefix, limit) => {
    const table = new EntryTable()
    for (const each of keys) table.set({ key: each, value: new Uint8Array(), createRevision: 1, modRevision: 1, version: 1 })
    const expected = [...new Set(keys)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).filter((each) => each.startsWith(prefix))
    const found: string[] = []
    for (let after: string | undefined; ;) {
      const { entries, more } = table.range(prefix, { limit, after })
      found.push(...entries.map((entry) => entry.key))
      after = entries.at(-1)?.key
      if (!more) break
    }
    return found.join('\n') === expected.join('\n') && table.count(prefix) === expected.length
  }))
})
