// What is asked of a store, checked before any engine sees it: sizes, well-formed keys, and that one transaction changes each
// key once. Pure. All engines call it, so all refuse the same (STORE_INVALID).

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import type { StoreOperation, StoreTransaction } from './contract.ts'

const invalid = (what: string, expected: string, got: string): Error => FABRIC.STORE_INVALID({ what, expected, got: got.slice(0, 80) })

/** In UTF-8; counts without encoding. */
export function utf8Bytes(text: string): number { return Buffer.byteLength(text) }

export function checkKey(key: string, what = 'a key'): void {
  if (key === '') throw invalid(what, 'a text that is not empty', 'an empty one')
  checkPrefix(key, what)
}

export function checkPrefix(prefix: string, what = 'a prefix'): void {
  // A lone surrogate has no UTF-8: two different texts would be one key.
  if (!prefix.isWellFormed()) throw invalid(what, 'well-formed Unicode', JSON.stringify(prefix))
  const bytes = utf8Bytes(prefix)
  if (bytes > LIMITS.storeKeyBytesMax) throw invalid(what, `at most ${LIMITS.storeKeyBytesMax} bytes`, `${bytes} bytes`)
}

export function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.storeRangeMax) throw invalid('limit', `a whole number from 1 to ${LIMITS.storeRangeMax}`, String(limit))
}

export function checkLifetime(lifetimeMs: number): void {
  if (!(lifetimeMs >= LIMITS.storeLeaseMsMin && lifetimeMs <= LIMITS.storeLeaseMsMax)) throw invalid('lifetimeMs', `from ${LIMITS.storeLeaseMsMin} to ${LIMITS.storeLeaseMsMax} ms`, String(lifetimeMs))
}

export function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision)) throw invalid('a revision', 'a whole number', String(revision))
}

/** Throws STORE_INVALID. */
export function checkTransaction({ when = [], then, otherwise = [] }: StoreTransaction): void {
  const count = Math.max(when.length, then.length, otherwise.length)
  if (count > LIMITS.storeOperationsMax) throw invalid('a transaction', `at most ${LIMITS.storeOperationsMax} conditions or operations`, String(count))
  let bytes = 0
  for (const compare of when) {
    checkKey(compare.key)
    if (compare.field === 'value') bytes += compare.than.byteLength
    else checkRevision(compare.than)
  }
  for (const branch of [then, otherwise]) {
    for (const operation of branch) {
      if (operation.do === 'delete-prefix') checkPrefix(operation.prefix)
      else checkKey(operation.key)
      if (operation.do !== 'put') continue
      if (operation.value.byteLength > LIMITS.storeValueBytesMax) throw invalid(`the value of ${operation.key}`, `at most ${LIMITS.storeValueBytesMax} bytes`, `${operation.value.byteLength} bytes`)
      bytes += operation.value.byteLength
    }
    checkOnce(branch)
  }
  if (bytes > LIMITS.storeTransactionBytesMax) throw invalid('a transaction', `at most ${LIMITS.storeTransactionBytesMax} bytes of values`, `${bytes} bytes`)
}

function checkOnce(branch: readonly StoreOperation[]): void {
  const keys = new Set<string>()
  const prefixes: string[] = []
  for (const operation of branch) {
    if (operation.do === 'get') continue
    if (operation.do === 'delete-prefix') prefixes.push(operation.prefix)
    else if (keys.has(operation.key)) throw twice(operation.key)
    else keys.add(operation.key)
  }
  if (prefixes.length === 0) return
  for (const key of keys) if (prefixes.some((prefix) => key.startsWith(prefix))) throw twice(key)
  prefixes.forEach((prefix, at) => { if (prefixes.some((other, there) => there !== at && prefix.startsWith(other))) throw twice(`${prefix}*`) })
}

const twice = (key: string): Error => invalid('a transaction', 'one that changes each key once', `two changes of ${key}`)
