// Durable state of functions: a small table of each, in the global store.
//
//   state/NAME/KEY     value bytes as the function's codec made them; their version is the store's modRevision
//   state-keys/NAME    how many keys there are: a bound that holds also when two calls make the last one at once
//
// Calls of a running function: state.get(key) -> { value, version } or null;  state.put(key, bytes, expected or null) -> version;
// state.delete(key, expected or null) -> whether it was there;  state.list(prefix or null) -> [{ key, value, version }] by key.
// `expected` 0: the key must not be there yet.
//
// A call of a singleton writes only while its epoch holds: the comparison is part of the transaction, so that there is
// no moment between the check and the write. Reads are not fenced.

import { LIMITS } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry, StoreCallOptions, StoreCompare, StoreOperation, TransactionAnswer } from '../../fabric/mod.ts'
import type { CallAuthority, CallScope, SystemCalls } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { holderKey } from '../trigger/fence.ts'

export interface StateOptions {
  readonly store: Pick<GlobalStore, 'get' | 'range' | 'transact'>
}

export interface StateEntry { readonly value: Uint8Array; readonly version: number }
export interface StateKey extends StateEntry { readonly key: string }

export interface NodeState {
  get(scope: CallScope, key: string, options?: StoreCallOptions): Promise<StateEntry | null>
  put(scope: CallScope, key: string, value: Uint8Array, expected: number | undefined, options?: StoreCallOptions): Promise<number>
  delete(scope: CallScope, key: string, expected: number | undefined, options?: StoreCallOptions): Promise<boolean>
  list(scope: CallScope, prefix: string, options?: StoreCallOptions): Promise<readonly StateKey[]>
  /** Offers the four to running functions. */
  register(calls: SystemCalls): void
  /** What a transaction that removes the function `name` has to do besides. */
  clear(name: string): readonly StoreOperation[]
}

const prefixOf = (name: string): string => `state/${name}/`
const countKey = (name: string): string => `state-keys/${name}`
/** Pages of a list: a page of the largest values stays within a few MiB. */
const PAGE_KEYS = 64
const encoder = new TextEncoder(), decoder = new TextDecoder()

/** Key of the store and what it is of. */
interface Place { readonly name: string; readonly key: string; readonly at: string; readonly epoch: number | undefined }

export function createState({ store }: StateOptions): NodeState {
  const place = ({ name, epoch }: CallScope, key: string): Place => ({ name, key: checkedKey(key), at: prefixOf(name) + key, epoch })

  /** Writes if `when` and the epoch hold; undefined when it is worth another look. Throws when the call is fenced, or `expected` is not what is there. */
  const write = async ({ name, key, at, epoch }: Place, expected: number | undefined, when: readonly StoreCompare[], then: readonly StoreOperation[], options: StoreCallOptions): Promise<TransactionAnswer | undefined> => {
    const fence: StoreCompare[] = epoch === undefined ? [] : [{ key: holderKey(name), field: 'createRevision', is: '=', than: epoch }]
    const answer = await store.transact({ when: [...fence, ...when], then, otherwise: [{ do: 'get', key: at }, ...(epoch === undefined ? [] : [{ do: 'get' as const, key: holderKey(name) }])] }, options)
    if (answer.succeeded) return answer
    const [found, holder] = answer.entries
    if (epoch !== undefined && holder?.createRevision !== epoch) throw FUNCTIONS.FUNCTION_FENCED({ name, epoch, reason: holder === undefined ? 'nobody holds it now' : `epoch ${holder.createRevision} holds it` })
    checkExpected({ name, key }, expected, found)
    return undefined
  }

  /** Looks and writes until nobody was faster. */
  const change = async (where: Place, expected: number | undefined, plan: (entry: GlobalStoreEntry | undefined, count: GlobalStoreEntry | undefined) => readonly StoreOperation[], options: StoreCallOptions): Promise<TransactionAnswer | undefined> => {
    const { name, at } = where
    for (let attempt = 0; attempt < LIMITS.storeAttemptsMax; attempt++) {
      const [entry, count] = (await store.transact({ then: [{ do: 'get', key: at }, { do: 'get', key: countKey(name) }] }, options)).entries
      checkExpected(where, expected, entry)
      const then = plan(entry, count)
      if (then.length === 0) return undefined
      const when: StoreCompare[] = [
        { key: at, field: 'modRevision', is: '=', than: entry?.modRevision ?? 0 },
        { key: countKey(name), field: 'modRevision', is: '=', than: count?.modRevision ?? 0 },
      ]
      const answer = await write(where, expected, when, then, options)
      if (answer !== undefined) return answer
    }
    throw FUNCTIONS.STATE_BUSY({ name, key: where.key, attempts: LIMITS.storeAttemptsMax })
  }

  const state: Omit<NodeState, 'register'> = {
    async get(scope, key, options = {}) {
      const entry = await store.get(place(scope, key).at, options)
      return entry === undefined ? null : { value: entry.value, version: entry.modRevision }
    },

    async put(scope, key, value, expected, options = {}) {
      const where = place(scope, key)
      const { name, at } = where
      if (value.byteLength > LIMITS.stateBytesMax) throw FUNCTIONS.STATE_TOO_LARGE({ name, key, bytes: value.byteLength, bytesMax: LIMITS.stateBytesMax })
      const put: StoreOperation = { do: 'put', key: at, value }
      // The common case, a key that is there, is one round trip.
      if (expected !== 0) {
        const there: StoreCompare = expected === undefined ? { key: at, field: 'modRevision', is: '>', than: 0 } : { key: at, field: 'modRevision', is: '=', than: expected }
        const overwritten = await write(where, expected, [there], [put], options)
        if (overwritten !== undefined) return overwritten.revision
      }
      const answer = await change(where, expected, (entry, count) => {
        if (entry !== undefined) return [put]
        const keys = countOf(count)
        if (keys >= LIMITS.stateKeysMax) throw FUNCTIONS.STATE_FULL({ name, keys, keysMax: LIMITS.stateKeysMax })
        return [put, { do: 'put', key: countKey(name), value: encoder.encode(String(keys + 1)) }]
      }, options)
      return answer?.revision ?? 0
    },

    async delete(scope, key, expected, options = {}) {
      const where = place(scope, key)
      const answer = await change(where, expected, (entry, count) => entry === undefined ? [] : [
        { do: 'delete', key: where.at }, { do: 'put', key: countKey(where.name), value: encoder.encode(String(Math.max(0, countOf(count) - 1))) },
      ], options)
      return answer !== undefined
    },

    async list({ name }, prefix, options = {}) {
      const keys: StateKey[] = []
      let bytes = 0
      const base = prefixOf(name)
      for (let after: string | undefined; ;) {
        const page = await store.range(base + prefix, { limit: PAGE_KEYS, ...(after === undefined ? {} : { after }), ...options })
        for (const { key, modRevision, value } of page.entries) {
          bytes += value.byteLength
          keys.push({ key: key.slice(base.length), value, version: modRevision })
        }
        if (bytes > LIMITS.stateListBytesMax) throw FUNCTIONS.VALUE_TOO_LARGE({ path: `state.list(${JSON.stringify(prefix)})`, bytes, bytesMax: LIMITS.stateListBytesMax })
        after = page.entries.at(-1)?.key
        if (!page.more || after === undefined || keys.length >= LIMITS.stateKeysMax) return keys
      }
    },

    clear: (name) => [{ do: 'delete-prefix', prefix: prefixOf(name) }, { do: 'delete', key: countKey(name) }],
  }

  return {
    ...state,
    register(calls) {
      calls.register('state.get', ([key], scope, authority) => state.get(scope, textOf(key, 'the key'), bound(authority)))
      calls.register('state.put', ([key, value, expected], scope, authority) => {
        if (!(value instanceof Uint8Array)) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the value of a state', expected: 'bytes', got: typeof value })
        return state.put(scope, textOf(key, 'the key'), value, versionOf(expected), bound(authority))
      })
      calls.register('state.delete', ([key, expected], scope, authority) => state.delete(scope, textOf(key, 'the key'), versionOf(expected), bound(authority)))
      calls.register('state.list', ([prefix], scope, authority) => state.list(scope, prefix === null || prefix === undefined ? '' : textOf(prefix, 'the prefix'), bound(authority)))
    },
  }
}

const bound = (authority: CallAuthority): StoreCallOptions => ({ signal: authority.signal, timeoutMs: Math.max(1, Math.ceil(authority.remainingMs())) })
const countOf = (entry: GlobalStoreEntry | undefined): number => entry === undefined ? 0 : Number(decoder.decode(entry.value)) || 0

function checkExpected({ name, key }: Pick<Place, 'name' | 'key'>, expected: number | undefined, found: GlobalStoreEntry | undefined): void {
  const version = found?.modRevision ?? 0
  if (expected !== undefined && expected !== version) throw FUNCTIONS.STATE_CONFLICT({ name, key, expected, found: version })
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw FUNCTIONS.PAYLOAD_INVALID({ what, expected: 'a text', got: typeof value })
  return value
}

function versionOf(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the expected version', expected: 'a version that get() gave, or 0', got: String(value) })
  return value as number
}

function checkedKey(key: string): string {
  const bytes = encoder.encode(key).byteLength
  if (bytes === 0 || bytes > LIMITS.stateKeyBytesMax || !key.isWellFormed() || /[\u0000-\u001f\u007f]/.test(key)) {
    throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the key of a state', expected: `a text of 1 to ${LIMITS.stateKeyBytesMax} bytes without control characters`, got: `${bytes} bytes` })
  }
  return key
}
