// The store's contract in etcd's words, and back. Pure.
//
// Keys stand under a prefix of the fabric's own. Every read and write carries the conditions that this store has not moved
// (engine.ts): a transaction becomes one inside another, so that "has moved" and "a condition of yours does not hold" are
// different answers. Source: etcd v3 API reference, Txn (nested transactions since etcd 3.3).

import type { ICompare, IKeyValue, IRangeRequest, IRequestOp, IResponseOp, ITxnRequest, IWatchResponse } from 'etcd3'
import type { StoreBatch, StoreCompare, StoreEntry, StoreEvent, StoreOperation, StoreTransaction, TransactionAnswer } from '../contract.ts'
import { COPYING_KEY, isAboutMove, MOVED_KEY, RESERVED_PREFIX, writesUserKeys } from '../engine.ts'

const TARGETS = { createRevision: 'Create', modRevision: 'Mod', version: 'Version' } as const
const RESULTS = { '=': 'Equal', '!=': 'NotEqual', '<': 'Less', '>': 'Greater' } as const

/** A lease of ours (hex) as etcd's (decimal), and back. */
export const leaseNumber = (id: string): string => /^[0-9a-f]{1,16}$/.test(id) ? BigInt(`0x${id}`).toString() : '0'
const leaseId = (number: string): string => BigInt(number).toString(16).padStart(16, '0')

export interface Translator {
  /** [first, after the last] of a prefix, beginning after a key. */
  rangeOf(prefix: string, after?: string): { readonly key: Buffer; readonly range_end: Buffer }
  read(range: IRangeRequest & { key: Buffer }): ITxnRequest
  transaction(transaction: StoreTransaction): { readonly request: ITxnRequest; readonly nested: boolean }
  answer(transaction: StoreTransaction, succeeded: boolean, responses: readonly IResponseOp[], revision: string): TransactionAnswer
  key(key: string): Buffer
  entry(kv: IKeyValue): StoreEntry
  /** One batch a revision, in order. */
  batches(response: IWatchResponse): readonly StoreBatch[]
}

export function createTranslator(prefix: string): Translator {
  const root = Buffer.from(prefix)
  const key = (name: string): Buffer => Buffer.concat([root, Buffer.from(name)])
  const nameOf = (stored: Buffer): string => stored.toString('utf8', root.length)
  const absent = (name: string): ICompare => ({ key: key(name), target: 'Create', result: 'Equal', create_revision: '0' })

  const rangeOf: Translator['rangeOf'] = (from, after) => ({
    key: after === undefined || Buffer.compare(Buffer.from(after), Buffer.from(from)) < 0 ? key(from) : Buffer.concat([key(after), Buffer.from([0])]),
    range_end: endOf(key(from)),
  })

  const compareOf = (compare: StoreCompare): ICompare => {
    const common = { key: key(compare.key), result: RESULTS[compare.is] }
    if (compare.field === 'value') return { ...common, target: 'Value', value: Buffer.from(compare.than) }
    const than = String(compare.than)
    return { ...common, target: TARGETS[compare.field], ...(compare.field === 'createRevision' ? { create_revision: than } : compare.field === 'modRevision' ? { mod_revision: than } : { version: than }) }
  }

  const operationOf = (operation: StoreOperation): IRequestOp => {
    switch (operation.do) {
      case 'put': return { request_put: { key: key(operation.key), value: Buffer.from(operation.value), ...(operation.lease === undefined ? {} : { lease: leaseNumber(operation.lease) }) } }
      case 'delete': return { request_delete_range: { key: key(operation.key) } }
      case 'delete-prefix': return { request_delete_range: rangeOf(operation.prefix) }
      case 'get': return { request_range: { key: key(operation.key) } }
    }
  }

  const entry = (kv: IKeyValue): StoreEntry => ({
    key: nameOf(kv.key), value: Uint8Array.from(kv.value), createRevision: Number(kv.create_revision), modRevision: Number(kv.mod_revision), version: Number(kv.version),
    ...(kv.lease === '0' ? {} : { lease: leaseId(kv.lease) }),
  })

  return {
    key, entry, rangeOf,
    read: (range) => ({ compare: nameOf(range.key).startsWith(RESERVED_PREFIX) ? [] : [absent(MOVED_KEY)], success: [{ request_range: range }], failure: [] }),
    transaction(transaction) {
      const { when = [], then, otherwise = [] } = transaction
      const inner: ITxnRequest = { compare: when.map(compareOf), success: then.map(operationOf), failure: otherwise.map(operationOf) }
      if (isAboutMove(transaction)) return { request: inner, nested: false }
      const compare = [absent(MOVED_KEY), ...(writesUserKeys(transaction) ? [absent(COPYING_KEY)] : [])]
      return { request: { compare, success: [{ request_txn: inner }], failure: [] }, nested: true }
    },
    answer({ then, otherwise = [] }, succeeded, responses, revision) {
      const operations = succeeded ? then : otherwise
      return {
        succeeded, revision: Number(revision),
        entries: operations.map((operation, at) => {
          const found = operation.do === 'get' ? responses[at]?.response_range?.kvs[0] : undefined
          return found && entry(found)
        }),
      }
    },
    batches({ events }) {
      const batches: { revision: number; events: StoreEvent[] }[] = []
      for (const { type, kv } of events) {
        const revision = Number(kv.mod_revision)
        if (batches.at(-1)?.revision !== revision) batches.push({ revision, events: [] })
        batches.at(-1)?.events.push(type === 'Put' ? { type: 'put', entry: entry(kv) } : { type: 'delete', key: nameOf(kv.key), modRevision: revision })
      }
      return batches
    },
  }
}

/** The first key after all that begin with `prefix`: its last byte below 0xff one higher. */
function endOf(prefix: Buffer): Buffer {
  const last = prefix.findLastIndex((byte) => byte < 0xff)
  const end = Buffer.from(prefix.subarray(0, last + 1))
  end[last] = (end[last] ?? 0) + 1
  return end
}
