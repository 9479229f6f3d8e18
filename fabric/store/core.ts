// The store as a state machine: entries with revisions, leases, and the last changes. Pure: commands in, changes out; time is
// an argument (monotonic milliseconds), nothing is awaited.
//
//   command --StoreCore--> answer + changes (for the disk) + batch (for watches) + undo (when the disk refuses)
//
// Invariants: the revision grows by one with each command that changed an entry; a refused command changes nothing; undo()s,
// run newest first, restore the state exactly. Source: etcd's mvcc and lease semantics (API reference, KV and Lease).

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import { utf8Bytes } from './check.ts'
import { conditionHolds } from './compare.ts'
import type { StoreBatch, StoreEntry, StoreEvent, StoreOperation, StoreRange, StoreTransaction, TransactionAnswer } from './contract.ts'
import { COPYING_KEY, isAboutMove, MOVED_KEY, RESERVED_PREFIX, writesUserKeys } from './engine.ts'
import { History } from './history.ts'
import { compareKeys, EntryTable } from './table.ts'

/** What the disk has to hold of it. */
export interface CoreImage {
  readonly revision: number
  /** Changes after it are in `batches`. */
  readonly floor: number
  readonly entries: readonly StoreEntry[]
  readonly batches: readonly StoreBatch[]
  readonly leases: readonly { readonly id: string; readonly lifetimeMs: number }[]
}
export const EMPTY_IMAGE: CoreImage = { revision: 1, floor: 0, entries: [], batches: [], leases: [] }

export type CoreChange =
  | { readonly type: 'entry'; readonly key: string; readonly entry: StoreEntry | undefined }
  | { readonly type: 'lease'; readonly id: string; readonly lifetimeMs: number | undefined }
  | { readonly type: 'batch'; readonly revision: number; readonly batch: StoreBatch | undefined }

export interface Step<A> {
  readonly answer: A
  /** Nothing to write when empty. */
  readonly changes: readonly CoreChange[]
  /** What watches are told once it is durable. */
  readonly batch?: StoreBatch
  undo(): void
}

interface Lease { readonly id: string; readonly lifetimeMs: number; endsAtMs: number; readonly keys: Set<string> }

/** Of a key with its place in the tables, beside its value. */
const ENTRY_BYTES = 96
const sizeOf = (entry: StoreEntry): number => ENTRY_BYTES + utf8Bytes(entry.key) + entry.value.byteLength
const unchanged = <A>(answer: A): Step<A> => ({ answer, changes: [], undo() {} })

export class StoreCore {
  readonly history: History
  readonly #table = new EntryTable()
  readonly #leases = new Map<string, Lease>()
  readonly #description: string
  #revision: number
  #bytes = 0

  /** Leases of the image begin their lifetime anew at `nowMs`, as etcd's do after a restart. */
  constructor(options: { readonly image?: CoreImage; readonly nowMs: number; readonly description: string }) {
    const { revision, floor, entries, batches, leases } = options.image ?? EMPTY_IMAGE
    this.#description = options.description
    this.#revision = revision
    this.history = new History(floor, batches)
    for (const { id, lifetimeMs } of leases) this.#leases.set(id, { id, lifetimeMs, endsAtMs: options.nowMs + lifetimeMs, keys: new Set() })
    this.#table.load(entries)
    for (const entry of entries) {
      this.#bytes += sizeOf(entry)
      if (entry.lease !== undefined) this.#leases.get(entry.lease)?.keys.add(entry.key)
    }
  }

  get revision(): number { return this.#revision }
  get bytes(): number { return this.#bytes }
  /** When the next lease ends; undefined when there is none. */
  get nextEndMs(): number | undefined {
    let next: number | undefined
    for (const { endsAtMs } of this.#leases.values()) if (next === undefined || endsAtMs < next) next = endsAtMs
    return next
  }

  get(key: string): StoreEntry | undefined {
    this.#refuseMoved(key)
    return this.#table.get(key)
  }

  range(prefix: string, options: { readonly limit: number; readonly after: string | undefined }): StoreRange {
    this.#refuseMoved(prefix)
    const { entries, more } = this.#table.range(prefix, options)
    // The answer has to fit a message: what is left out comes with the next range.
    let bytes = 0
    const fits = entries.findIndex((entry) => (bytes += sizeOf(entry)) > LIMITS.storeRangeBytesMax)
    return fits > 0 ? { entries: entries.slice(0, fits), revision: this.#revision, more: true } : { entries, revision: this.#revision, more }
  }

  count(prefix: string): number { return this.#table.count(prefix) }
  lifetimeMs(lease: string): number | undefined { return this.#leases.get(lease)?.lifetimeMs }

  /** The transaction was checked (check.ts). Throws STORE_LEASE_GONE, STORE_FULL, STORE_MOVED; then nothing has changed. */
  transact(transaction: StoreTransaction): Step<TransactionAnswer> {
    this.#refuseSealed(transaction)
    const succeeded = (transaction.when ?? []).every((compare) => conditionHolds(compare, this.#table.get(compare.key)))
    const operations = succeeded ? transaction.then : transaction.otherwise ?? []
    for (const operation of operations) {
      if (operation.do === 'put' && operation.lease !== undefined && !this.#leases.has(operation.lease)) throw FABRIC.STORE_LEASE_GONE({ lease: operation.lease })
    }
    const edit = new Edit(this.#table, this.#revision + 1)
    const entries = operations.map((operation) => edit.run(operation))
    const step = this.#commit(edit, [])
    return { ...step, answer: { succeeded, revision: this.#revision, entries } }
  }

  /** A new lease, or, for a copied store, one that may be there already and then begins anew. */
  grant(id: string, lifetimeMs: number, nowMs: number): Step<undefined> {
    this.#refuseMoved(id)
    const before = this.#leases.get(id)
    if (before === undefined && this.#leases.size >= LIMITS.storeLeasesMax) throw FABRIC.BUSY({ what: 'The number of leases in the global store', limit: LIMITS.storeLeasesMax })
    this.#leases.set(id, { id, lifetimeMs, endsAtMs: nowMs + lifetimeMs, keys: before?.keys ?? new Set() })
    return {
      answer: undefined, changes: [{ type: 'lease', id, lifetimeMs }],
      undo: () => { if (before === undefined) this.#leases.delete(id); else this.#leases.set(id, before) },
    }
  }

  /** Not written: after a restart a lease has its whole lifetime anyway. Throws STORE_LEASE_GONE, STORE_MOVED. */
  keepAlive(id: string, nowMs: number): Step<number> {
    this.#refuseMoved(id)
    const lease = this.#leases.get(id)
    if (lease === undefined) throw FABRIC.STORE_LEASE_GONE({ lease: id })
    lease.endsAtMs = nowMs + lease.lifetimeMs
    return unchanged(lease.lifetimeMs)
  }

  /** Throws STORE_LEASE_GONE. */
  revoke(id: string): Step<undefined> {
    const lease = this.#leases.get(id)
    if (lease === undefined) throw FABRIC.STORE_LEASE_GONE({ lease: id })
    // Its keys may have been copied already. The copier's own lease ends with its mark.
    if (!lease.keys.has(COPYING_KEY) && (this.#table.get(MOVED_KEY) ?? this.#table.get(COPYING_KEY)) !== undefined) throw FABRIC.STORE_MOVED({ store: this.#description })
    return this.#end([lease])
  }

  /** Ends the leases whose time is over at `nowMs`, and their keys in one revision. */
  expire(nowMs: number): Step<undefined> {
    return this.#end([...this.#leases.values()].filter(({ endsAtMs }) => endsAtMs <= nowMs))
  }

  #end(leases: readonly Lease[]): Step<undefined> {
    const edit = new Edit(this.#table, this.#revision + 1)
    for (const { keys } of leases) for (const key of [...keys].sort(compareKeys)) edit.run({ do: 'delete', key })
    return { ...this.#commit(edit, leases), answer: undefined }
  }

  #refuseMoved(key: string): void {
    const moved = this.#table.get(MOVED_KEY)
    if (moved !== undefined && !key.startsWith(RESERVED_PREFIX)) throw FABRIC.STORE_MOVED({ store: this.#description })
  }

  #refuseSealed(transaction: StoreTransaction): void {
    if (isAboutMove(transaction)) return
    if (this.#table.get(MOVED_KEY) !== undefined || (this.#table.get(COPYING_KEY) !== undefined && writesUserKeys(transaction))) throw FABRIC.STORE_MOVED({ store: this.#description })
  }

  /** Makes the changes of `edit`, and the end of `leases`, the state. */
  #commit(edit: Edit, leases: readonly Lease[]): Omit<Step<unknown>, 'answer'> {
    const touched = edit.changes()
    const growth = touched.reduce((sum, { before, after }) => sum + (after === undefined ? 0 : sizeOf(after)) - (before === undefined ? 0 : sizeOf(before)), 0)
    const bytesMax = growth > LIMITS.storeSmallBytes ? LIMITS.storeBytesMax - LIMITS.storeReserveBytes : LIMITS.storeBytesMax
    if (growth > 0 && this.#bytes + growth > bytesMax) throw FABRIC.STORE_FULL({ bytes: this.#bytes, bytesMax })
    const changes: CoreChange[] = leases.map(({ id }) => ({ type: 'lease', id, lifetimeMs: undefined }))
    for (const { key, before, after } of touched) {
      this.#put(key, before, after)
      changes.push({ type: 'entry', key, entry: after })
    }
    for (const { id } of leases) this.#leases.delete(id)
    const before = this.#revision
    const batch: StoreBatch | undefined = touched.length === 0 ? undefined : { revision: before + 1, events: touched.map(({ key, after }): StoreEvent => after === undefined ? { type: 'delete', key, modRevision: before + 1 } : { type: 'put', entry: after }) }
    let gone: readonly StoreBatch[] = []
    if (batch !== undefined) {
      this.#revision = batch.revision
      gone = this.history.add(batch)
      changes.push({ type: 'batch', revision: batch.revision, batch })
      for (const { revision } of gone) changes.push({ type: 'batch', revision, batch: undefined })
    }
    this.#bytes += growth
    return {
      changes, ...(batch === undefined ? {} : { batch }),
      undo: () => {
        if (batch !== undefined) this.history.undo(gone)
        this.#revision = before
        this.#bytes -= growth
        for (const lease of leases) this.#leases.set(lease.id, lease)
        for (const { key, before: was, after } of touched) this.#put(key, after, was)
      },
    }
  }

  #put(key: string, from: StoreEntry | undefined, to: StoreEntry | undefined): void {
    if (from?.lease !== undefined) this.#leases.get(from.lease)?.keys.delete(key)
    if (to === undefined) this.#table.delete(key)
    else {
      this.#table.set(to)
      if (to.lease !== undefined) this.#leases.get(to.lease)?.keys.add(key)
    }
  }
}

/** The changes of one transaction, seen by its own later reads, before they are made. */
class Edit {
  readonly #table: EntryTable
  readonly #revision: number
  readonly #after = new Map<string, StoreEntry | undefined>()

  constructor(table: EntryTable, revision: number) {
    this.#table = table
    this.#revision = revision
  }

  run(operation: StoreOperation): StoreEntry | undefined {
    switch (operation.do) {
      case 'get': return this.#after.has(operation.key) ? this.#after.get(operation.key) : this.#table.get(operation.key)
      case 'delete': this.#delete(operation.key); return undefined
      case 'delete-prefix':
        for (const { key } of this.#table.range(operation.prefix, { limit: Infinity, after: undefined }).entries) this.#delete(key)
        return undefined
      case 'put': {
        const { key, value, lease } = operation
        const before = this.#table.get(key)
        // A copy: the caller may reuse its buffer, and a received value is a view into a whole message.
        this.#after.set(key, { key, value: value.slice(), createRevision: before?.createRevision ?? this.#revision, modRevision: this.#revision, version: (before?.version ?? 0) + 1, ...(lease === undefined ? {} : { lease }) })
        return undefined
      }
    }
  }

  changes(): readonly { readonly key: string; readonly before: StoreEntry | undefined; readonly after: StoreEntry | undefined }[] {
    return [...this.#after].map(([key, after]) => ({ key, before: this.#table.get(key), after }))
  }

  #delete(key: string): void { if (this.#table.get(key) !== undefined) this.#after.set(key, undefined) }
}
