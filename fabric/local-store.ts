// The local store: a node's own durable key-value table in its data directory. Ordered keys, texts as
// values, atomic batches. Two implementations of one contract: LMDB (through lmdb.ts) and memory, for
// simulation and tests; test/fabric/local-store.test.ts runs over both.

import { FABRIC } from './errors-table.ts'
import { committed, openTextDatabase, storeFailure } from './lmdb.ts'

export interface StoreChange { readonly key: string; /** undefined removes. */ readonly value: string | undefined }
export interface StoreEntry { readonly key: string; readonly value: string }
export interface RangeOptions { readonly prefix: string; readonly limit: number; /** From the highest key down. */ readonly reverse?: boolean }

export interface LocalStore {
  get(key: string): string | undefined
  /** Entries whose key begins with `prefix`, in order of code units. */
  range(options: RangeOptions): readonly StoreEntry[]
  /** All or nothing; visible to get() when it resolves, and durable. */
  write(changes: readonly StoreChange[]): Promise<void>
  close(): Promise<void>
}

/** Keys of LMDB are at most 1,978 bytes; ours are short by far. */
const KEY_CHARS_MAX = 600
/** Above every key that begins with the prefix. */
const after = (prefix: string): string => `${prefix}\uffff`

const checked = (changes: readonly StoreChange[]): readonly StoreChange[] => {
  for (const { key } of changes) if (key === '' || key.length > KEY_CHARS_MAX) throw FABRIC.STORE_FAILED({ path: key.slice(0, 40), reason: `a key has 1 to ${KEY_CHARS_MAX} characters` })
  return changes
}

/** Opens or makes the store at `path`. Rejects with FABRIC_ERR_STORE_FAILED when it cannot be had. */
export async function openLocalStore(path: string): Promise<LocalStore> {
  const failed = storeFailure(path)
  const database = await openTextDatabase(path)
  return {
    get: (key) => database.get(key),
    range({ prefix, limit, reverse = false }) {
      const [start, end] = reverse ? [after(prefix), prefix] : [prefix, after(prefix)]
      // A range leaves its end out by default: backwards that is the key that equals the prefix.
      return [...database.getRange({ start, end, limit, reverse, inclusiveEnd: true })].map(({ key, value }) => ({ key, value }))
    },
    async write(changes) {
      checked(changes)
      try {
        await committed(database.transaction(() => {
          for (const { key, value } of changes) {
            if (value === undefined) database.removeSync(key)
            else database.putSync(key, value)
          }
        }))
        await database.flushed
      } catch (cause) { throw failed(cause) }
    },
    close: () => database.close(),
  }
}

/** Nothing on disk; for simulation and tests. */
export function createMemoryStore(): LocalStore {
  const table = new Map<string, string>()
  return {
    get: (key) => table.get(key),
    range({ prefix, limit, reverse = false }) {
      const keys = [...table.keys()].filter((key) => key.startsWith(prefix)).sort()
      if (reverse) keys.reverse()
      return keys.slice(0, limit).map((key) => ({ key, value: table.get(key) ?? '' }))
    },
    async write(changes) {
      for (const { key, value } of checked(changes)) {
        if (value === undefined) table.delete(key)
        else table.set(key, value)
      }
    },
    async close() {},
  }
}
