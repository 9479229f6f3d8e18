// LMDB: the only file that loads it. Two users: a node's own local store (local-store.ts) and the global store that the
// founding node keeps (store/embedded.ts).
//
// A write of a table of bytes is one LMDB transaction and resolves when it is on the disk: `overlappingSync` is off, so that
// LMDB syncs the pages before it writes the meta page, and a failure of either fails the commit instead of being told later.
// Batching by turns of the event loop is off: its commits have promises that nobody holds, so that a full disk would end the
// process with an unhandled rejection (test/fabric/store/embedded.test.ts, "a full disk").

import type { RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb'
import { FABRIC } from './errors-table.ts'
import { lmdbFileProblem } from './lmdb-file.ts'

/** undefined removes. */
export type TableChange<K, V> = readonly [key: K, value: V | undefined]

export interface Table<K, V> {
  /** All rows, in order of their keys' bytes. Throws when fewer can be read than were written: a page of them was damaged. */
  rows(): Iterable<readonly [key: K, value: V]>
  get(key: K): V | undefined
  /** All or nothing; durable when it resolves. Rejects with FABRIC_ERR_STORE_FAILED; then nothing was written. */
  write(changes: readonly TableChange<K, V>[]): Promise<void>
  close(): Promise<void>
}

/** Loaded when a store is opened: shells never open one and need not load the native library. */
async function opened<V extends string | Uint8Array>(path: string, options: Omit<RootDatabaseOptionsWithPath, 'path'>): Promise<RootDatabase<V, V>> {
  const { open } = await import('lmdb')
  const problem = await lmdbFileProblem(path).catch((error: unknown) => { throw storeFailure(path)(error) })
  if (problem !== undefined) throw storeFailure(path)(new Error(`${problem}; it was damaged`))
  try { return open<V, V>({ path, eventTurnBatching: false, ...options }) } catch (cause) { throw storeFailure(path)(cause) }
}

/** Opens or makes the database of texts at `path`; its user waits for `flushed`. Rejects with FABRIC_ERR_STORE_FAILED. */
export const openTextDatabase = (path: string): Promise<RootDatabase<string, string>> => opened<string>(path, { encoding: 'string' })

/** Opens or makes the table of bytes at the directory `path`. Rejects with FABRIC_ERR_STORE_FAILED when it cannot be had. */
export async function openByteTable(path: string): Promise<Table<Uint8Array, Uint8Array>> {
  const failed = storeFailure(path)
  const database = await opened<Uint8Array>(path, { encoding: 'binary', keyEncoding: 'binary', overlappingSync: false })
  return {
    *rows() {
      let left = (database.getStats() as { readonly entryCount: number }).entryCount
      for (const { key, value } of database.getRange()) {
        left--
        yield [key, value]
      }
      if (left !== 0) throw new Error(`${Math.abs(left)} of its rows cannot be read; it was damaged`)
    },
    get: (key) => database.get(key),
    async write(changes) {
      try {
        await committed(database.transaction(() => {
          for (const [key, value] of changes) {
            if (value === undefined) database.removeSync(key)
            else database.putSync(key, value)
          }
        }))
      } catch (cause) { throw failed(cause) }
    },
    close: () => database.close(),
  }
}

/**
 * A commit, with the reason for which it failed. LMDB's binding rejects the commit with an error that only points to the
 * reason, a promise of its own that would end the process when nobody looked at it.
 */
export async function committed<T>(commit: Promise<T>): Promise<T> {
  try {
    return await commit
  } catch (error) {
    const reason = (error as { readonly commitError?: Promise<never> }).commitError
    if (reason === undefined) throw error
    return await reason
  }
}

/** What a failure of the store at `path` is told as. */
export const storeFailure = (path: string) => (cause: unknown): Error => FABRIC.STORE_FAILED({ path, reason: cause instanceof Error ? cause.message : String(cause) }, { cause })
