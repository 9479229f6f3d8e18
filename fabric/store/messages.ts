// Messages between a node and the founder's store, and their checks on arrival.
//
//   store.get       [key]                               -> entry or null
//   store.range     [prefix, limit, after or null]      -> [entries, revision, more]
//   store.transact  [when, then, otherwise]             -> [succeeded, revision, entries]
//   store.grant     [lease, lifetimeMs]                 -> null; the asker draws the id, so that asking twice is one lease
//   store.keepAlive [lease] -> milliseconds      store.revoke [lease] -> null      store.lifetime [lease] -> milliseconds or null
//   store.revision  [] -> revision               store.count [prefix] -> keys
//   store.watch     [prefix, after or null]             -> stream of [revision, events]
//
// All since 0.2.0; each begins with the era of the store that is meant. Conditions: [key, field, is, than]. Operations: ['put', key, value, lease or null], ['delete', key],
// ['delete-prefix', prefix], ['get', key].

import { FABRIC } from '../errors-table.ts'
import { LIMITS } from '../limits.ts'
import type { StoreBatch, StoreCompare, StoreEntry, StoreOperation, StoreRange, StoreTransaction, TransactionAnswer } from './contract.ts'
import { array, bytes, count, entryOf, eventOf, plainEntry, plainEvent, text } from './rows.ts'

export const STORE_METHODS = {
  get: 'store.get', range: 'store.range', transact: 'store.transact', grant: 'store.grant', keepAlive: 'store.keepAlive', revoke: 'store.revoke',
  lifetime: 'store.lifetime', revision: 'store.revision', count: 'store.count', watch: 'store.watch',
} as const

const FIELDS = ['createRevision', 'modRevision', 'version'] as const
const RELATIONS = ['=', '!=', '<', '>'] as const

const invalid = (what: string, expected: string): Error => FABRIC.STORE_INVALID({ what, expected, got: 'something else' })
function oneOf<const V extends readonly string[]>(value: unknown, values: V, what: string): V[number] {
  const found = values.find((each) => each === value)
  if (found === undefined) throw invalid(what, values.join(', '))
  return found
}
const list = (value: unknown, max: number): readonly unknown[] => {
  const items = array(value)
  if (items.length > max) throw invalid('a list', `at most ${max} items`)
  return items
}
export const orNull = <T>(read: (value: unknown) => T) => (value: unknown): T | undefined => value === null ? undefined : read(value)

export const writeTransaction = ({ when = [], then, otherwise = [] }: StoreTransaction): readonly unknown[] =>
  [when.map(({ key, field, is, than }) => [key, field, is, than]), then.map(writeOperation), otherwise.map(writeOperation)]

function writeOperation(operation: StoreOperation): unknown {
  switch (operation.do) {
    case 'put': return ['put', operation.key, operation.value, operation.lease ?? null]
    case 'delete-prefix': return ['delete-prefix', operation.prefix]
    default: return [operation.do, operation.key]
  }
}

export function readTransaction(body: unknown): StoreTransaction {
  const [when, then, otherwise] = array(body, 3)
  const max = LIMITS.storeOperationsMax
  return { when: list(when, max).map(readCompare), then: list(then, max).map(readOperation), otherwise: list(otherwise, max).map(readOperation) }
}

function readCompare(body: unknown): StoreCompare {
  const [key, field, is, than] = array(body, 4)
  if (field === 'value') return { key: text(key), field, is: oneOf(is, ['=', '!='], 'a relation of values'), than: bytes(than) }
  return { key: text(key), field: oneOf(field, FIELDS, 'a field'), is: oneOf(is, RELATIONS, 'a relation'), than: count(than) }
}

function readOperation(body: unknown): StoreOperation {
  const [what, key, value, lease] = array(body)
  switch (oneOf(what, ['put', 'delete', 'delete-prefix', 'get'], 'an operation')) {
    case 'put': { const held = orNull(text)(lease); return { do: 'put', key: text(key), value: bytes(value), ...(held === undefined ? {} : { lease: held }) } }
    case 'delete': return { do: 'delete', key: text(key) }
    case 'delete-prefix': return { do: 'delete-prefix', prefix: text(key) }
    case 'get': return { do: 'get', key: text(key) }
  }
}

export const writeEntry = (entry: StoreEntry | undefined): unknown => entry === undefined ? null : plainEntry(entry)
export const writeAnswer = ({ succeeded, revision, entries }: TransactionAnswer): unknown => [succeeded, revision, entries.map(writeEntry)]
export function readAnswer(body: unknown): TransactionAnswer {
  const [succeeded, revision, entries] = array(body, 3)
  return { succeeded: succeeded === true, revision: count(revision), entries: list(entries, LIMITS.storeOperationsMax).map(orNull(entryOf)) }
}

export const writeRange = ({ entries, revision, more }: StoreRange): unknown => [entries.map(plainEntry), revision, more]
export function readRange(body: unknown): StoreRange {
  const [entries, revision, more] = array(body, 3)
  return { entries: list(entries, LIMITS.storeRangeMax).map(entryOf), revision: count(revision), more: more === true }
}

export const writeBatch = ({ revision, events }: StoreBatch): unknown => [revision, events.map(plainEvent)]
export function readBatch(body: unknown): StoreBatch {
  const [revision, events] = array(body, 2)
  return { revision: count(revision), events: array(events).map(eventOf) }
}

