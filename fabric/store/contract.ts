// The global store: one small, ordered, replicated table that every node of the fabric sees alike; etcd's semantics.
// What is written there: definitions of deployed functions, aliases, who holds a singleton, durable queues, state.
//
// Two implementations, one conformance suite: embedded (LMDB at the founding node, reached over RPC) and etcd.
// Invariants, for both:
//   - reads and transactions are linearizable; an answered write is durable (it survives kill -9 of any one process)
//   - the revision grows by one with each transaction that changed something; all its changes carry that revision
//   - a watch from revision r delivers every later change of its keys once, in order, with no gap, or fails with
//     STORE_COMPACTED; it survives lost connections by itself
//   - a lease ends only when its time is over on the store's own monotonic clock (never early), and its keys go with it
//   - an answer that did not come leaves it open whether the write happened (STORE_UNREACHABLE, outcome 'unknown');
//     only reads are asked again by themselves
//
// Source: etcd's API guarantees; RFC-like detail in the etcd v3 API reference (KV, Watch, Lease).

export interface StoreEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Revision at which the key was made; a key that was deleted and made again has a new one. */
  readonly createRevision: number
  /** Revision of the last change. */
  readonly modRevision: number
  /** Changes since it was made, 1 at first. */
  readonly version: number
  /** The lease that takes it away when it ends. */
  readonly lease?: string
}

/** A condition of a transaction. A key that is not there has revisions and version 0 and no value. */
export type StoreCompare =
  | { readonly key: string; readonly field: 'createRevision' | 'modRevision' | 'version'; readonly is: '=' | '!=' | '<' | '>'; readonly than: number }
  | { readonly key: string; readonly field: 'value'; readonly is: '=' | '!='; readonly than: Uint8Array }

export type StoreOperation =
  | { readonly do: 'put'; readonly key: string; readonly value: Uint8Array; readonly lease?: string }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'delete-prefix'; readonly prefix: string }
  | { readonly do: 'get'; readonly key: string }

export interface StoreTransaction {
  /** All must hold for `then`; none: always. */
  readonly when?: readonly StoreCompare[]
  readonly then: readonly StoreOperation[]
  /** Done instead when a condition does not hold. */
  readonly otherwise?: readonly StoreOperation[]
}
export interface TransactionAnswer {
  readonly succeeded: boolean
  /** Of the store after it. */
  readonly revision: number
  /** For each operation of the branch taken, in order: what 'get' found, else undefined. */
  readonly entries: readonly (StoreEntry | undefined)[]
}

export interface StoreRangeOptions {
  /** At most this many; default LIMITS.storeRangeMax. `more` says whether there are further ones. */
  readonly limit?: number
  /** Go on after this key. */
  readonly after?: string
}
export interface StoreRange { readonly entries: readonly StoreEntry[]; readonly revision: number; readonly more: boolean }

export type StoreEvent =
  | { readonly type: 'put'; readonly entry: StoreEntry }
  | { readonly type: 'delete'; readonly key: string; readonly modRevision: number }
/** All changes of one transaction to the watched keys; an empty batch says that everything up to `revision` has been delivered. */
export interface StoreBatch { readonly revision: number; readonly events: readonly StoreEvent[] }

export interface StoreLease {
  readonly id: string
  readonly lifetimeMs: number
  /** Extends it by its lifetime; answers the milliseconds it now has. Rejects with STORE_LEASE_GONE when it has ended. */
  keepAlive(): Promise<number>
  /** Ends it now, and its keys with it. */
  revoke(): Promise<void>
}

export interface StoreCallOptions { readonly signal?: AbortSignal; readonly timeoutMs?: number }

export interface GlobalStore {
  /** "embedded at alpha", "etcd at a:2379, b:2379"; for people. */
  readonly description: string
  get(key: string, options?: StoreCallOptions): Promise<StoreEntry | undefined>
  /** Keys that begin with `prefix`, in order of their UTF-8 bytes, as of one revision. */
  range(prefix: string, options?: StoreRangeOptions & StoreCallOptions): Promise<StoreRange>
  /** All or nothing. Each key may be changed once in one transaction (STORE_INVALID). */
  transact(transaction: StoreTransaction, options?: StoreCallOptions): Promise<TransactionAnswer>
  /** Changes after revision `after` (left out: from now on); ends when the signal aborts. */
  watch(prefix: string, options?: { readonly after?: number; readonly signal?: AbortSignal }): AsyncIterable<StoreBatch>
  /** A lease of that lifetime (LIMITS.storeLeaseMsMin to Max). */
  grant(lifetimeMs: number, options?: StoreCallOptions): Promise<StoreLease>
  /** Of now; quick way to see that the store answers. */
  revision(options?: StoreCallOptions): Promise<number>
  close(): Promise<void>
}
