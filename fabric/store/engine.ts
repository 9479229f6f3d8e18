// What a store offers beyond the contract, to the parts of this folder only: leases by id (they are named over RPC and carried
// over by a copy), counts for `kumoi store status`, and the keys under which a fabric says that its store is moving.
//
//   .store/copying  while it is there, under the copier's lease, nothing else may be written
//   .store/moved    a place (place.ts), for good: nothing may be read or written here any more (STORE_MOVED)
//
// Every engine keeps the two refusals itself, in the same step as the read or write they stop: a node that has not heard of
// the move can neither write to the old store nor read what is no longer true.

import type { GlobalStore, StoreCallOptions, StoreOperation, StoreTransaction } from './contract.ts'

export const RESERVED_PREFIX = '.store/'
export const COPYING_KEY = '.store/copying'
export const MOVED_KEY = '.store/moved'

export type EngineKind = 'embedded' | 'etcd' | 'memory'

export interface StoreEngine extends GlobalStore {
  readonly kind: EngineKind
  /** As StoreLease's, by id. */
  keepAlive(lease: string, options?: StoreCallOptions): Promise<number>
  revoke(lease: string, options?: StoreCallOptions): Promise<void>
  /** A lease under an id that another store gave; with its full lifetime when it is there already. */
  adopt(lease: string, lifetimeMs: number, options?: StoreCallOptions): Promise<void>
  /** Undefined when it has ended. */
  lifetimeMs(lease: string, options?: StoreCallOptions): Promise<number | undefined>
  /** Keys that begin with `prefix`. */
  count(prefix: string, options?: StoreCallOptions): Promise<number>
}

const changes = (operation: StoreOperation): boolean => operation.do !== 'get'
const reserved = (operation: StoreOperation): boolean => (operation.do === 'delete-prefix' ? operation.prefix : operation.key).startsWith(RESERVED_PREFIX)
const operationsOf = ({ then, otherwise = [] }: StoreTransaction): readonly StoreOperation[] => [...then, ...otherwise]

/** Stopped while the store is being copied: it may change what is copied. */
export const writesUserKeys = (transaction: StoreTransaction): boolean => operationsOf(transaction).some((operation) => changes(operation) && !reserved(operation))
/** Goes through in any state: it is about the move itself. */
export const isAboutMove = (transaction: StoreTransaction): boolean => operationsOf(transaction).every(reserved) && (transaction.when ?? []).every(({ key }) => key.startsWith(RESERVED_PREFIX))
