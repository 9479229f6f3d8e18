// The ledger of a node: access rules, audit and account of the objects that live here, in the local store.
//
//   acl/KIND/UUID           rules                 read at the gate, kept in memory while used
//   audit/KIND/UUID/SEQ     one change            written when it begins, again when it ends
//   audit-all/SEQ           its key               so that the oldest of the whole node go first
//   account/KIND/UUID       counters by principal
//
// Records are gathered and written together (LIMITS.ledgerFlushMs); rules are written at once. Counters, which every
// read of every object changes, follow a few at a time, the longest waiting first: a question to a thousand machines
// is a thousand of them. What a crash loses of them is their last changes.

import { LIMITS } from '../fabric/base.ts'
import type { Clock, Timer } from '../fabric/base.ts'
import type { LocalStore, StoreChange } from '../fabric/mod.ts'
import type { AclVerb } from './gate.ts'
import type { AccountRecord, AclRule, AuditRecord } from './object.ts'

export interface LedgerObject { readonly kind: string; readonly uuid: string }
export interface ChangeBegun { readonly operation: string; readonly principal: string; readonly trace: string; readonly verb: string; readonly acl: AclVerb }
export type ChangeOutcome = { readonly outcome: 'done' } | { readonly outcome: 'failed' | 'denied'; readonly error: string }

export interface Ledger {
  rules(of: LedgerObject): readonly AclRule[]
  setRules(of: LedgerObject, rules: readonly AclRule[]): Promise<void>
  /** Writes that a change was asked for; the answer writes what became of it. */
  begin(of: LedgerObject, change: ChangeBegun): (end: ChangeOutcome) => void
  /** Newest last. */
  audit(of: LedgerObject, recordsMax: number): Promise<readonly AuditRecord[]>
  count(of: LedgerObject, principal: string, busyMs: number, failed: boolean): void
  /** Adds what the object used by itself; stands under the principal "*". */
  use(of: LedgerObject, used: Readonly<Record<string, number>>): void
  account(of: LedgerObject): readonly AccountRecord[]
  /** Everything gathered is on disk. */
  flush(): Promise<void>
  close(): Promise<void>
}

const SELF = '*'
const OTHERS = '(others)'
const SEQUENCE_DIGITS = 16
const padded = (sequence: number): string => String(sequence).padStart(SEQUENCE_DIGITS, '0')
const path = ({ kind, uuid }: LedgerObject): string => `${kind}/${uuid}`

type Counters = { -readonly [K in keyof AccountRecord]: AccountRecord[K] }

export function createLedger({ store, clock, failed = () => {} }: { readonly store: LocalStore; readonly clock: Clock; readonly failed?: (error: unknown) => void }): Ledger {
  const rules = new Map<string, readonly AclRule[]>()
  const accounts = new Map<string, Map<string, Counters>>()
  const pending = new Map<string, string | undefined>()
  const dirty = new Set<string>()
  let timer: Timer | undefined
  let writing: Promise<void> = Promise.resolve()
  let next = Number(store.range({ prefix: 'audit-all/', limit: 1, reverse: true })[0]?.key.slice('audit-all/'.length) ?? -1) + 1
  let oldest = Number(store.range({ prefix: 'audit-all/', limit: 1 })[0]?.key.slice('audit-all/'.length) ?? next)

  const write = (accountsMax: number): Promise<void> => {
    timer?.cancel()
    timer = undefined
    let taken = 0
    for (const key of dirty) {
      if (taken++ >= accountsMax) break
      dirty.delete(key)
      pending.set(`account/${key}`, JSON.stringify([...accounts.get(key)?.values() ?? []]))
    }
    const changes: StoreChange[] = [...pending].map(([key, value]) => ({ key, value }))
    pending.clear()
    const surplus = next - oldest - LIMITS.auditRecordsMax
    if (surplus > 0) {
      for (const { key, value } of store.range({ prefix: 'audit-all/', limit: surplus })) changes.push({ key, value: undefined }, { key: value, value: undefined })
      oldest += surplus
    }
    if (changes.length > 0) writing = writing.then(() => store.write(changes)).catch(failed)
    if (dirty.size > 0) later()
    return writing
  }
  const flush = (): Promise<void> => write(Infinity)
  const later = (): void => {
    if (pending.size >= LIMITS.ledgerPendingMax) void write(LIMITS.ledgerAccountsPerFlush)
    else timer ??= clock.after(LIMITS.ledgerFlushMs, () => { void write(LIMITS.ledgerAccountsPerFlush) }, { background: true })
  }
  const put = (key: string, value: string): void => { pending.set(key, value); later() }

  const countersOf = (of: LedgerObject): Map<string, Counters> => {
    const key = path(of)
    const known = accounts.get(key)
    if (known !== undefined) return known
    const stored = store.get(`account/${key}`)
    const read = new Map((stored === undefined ? [] : JSON.parse(stored) as Counters[]).map((record) => [record.principal, record]))
    accounts.set(key, read)
    return read
  }
  const rowOf = (of: LedgerObject, principal: string): Counters => {
    const rows = countersOf(of)
    const name = rows.has(principal) || rows.size < LIMITS.accountPrincipalsMax ? principal : OTHERS
    const nowMs = Math.round(clock.wallMs())
    const row = rows.get(name) ?? { principal: name, calls: 0, failures: 0, busyMs: 0, firstAtMs: nowMs, lastAtMs: nowMs, used: {} }
    rows.set(name, row)
    row.lastAtMs = nowMs
    dirty.add(path(of))
    later()
    return row
  }

  return {
    rules(of) {
      const key = path(of)
      const known = rules.get(key)
      if (known !== undefined) return known
      const stored = store.get(`acl/${key}`)
      const read = stored === undefined ? [] : JSON.parse(stored) as readonly AclRule[]
      rules.set(key, read)
      return read
    },
    async setRules(of, changed) {
      await store.write([{ key: `acl/${path(of)}`, value: changed.length === 0 ? undefined : JSON.stringify(changed) }])
      rules.set(path(of), changed)
    },
    begin(of, change) {
      const sequence = padded(next++)
      const key = `audit/${path(of)}/${sequence}`
      const startedAtMs = clock.nowMs()
      const record: AuditRecord = { ...change, atMs: Math.round(clock.wallMs()), outcome: 'running' }
      put(key, JSON.stringify(record))
      put(`audit-all/${sequence}`, key)
      return (end) => { put(key, JSON.stringify({ ...record, ...end, tookMs: Math.round(clock.nowMs() - startedAtMs) })) }
    },
    async audit(of, recordsMax) {
      await write(0)
      return store.range({ prefix: `audit/${path(of)}/`, limit: recordsMax, reverse: true }).map(({ value }) => JSON.parse(value) as AuditRecord).reverse()
    },
    count(of, principal, busyMs, wasFailure) {
      const row = rowOf(of, principal)
      row.calls++
      if (wasFailure) row.failures++
      row.busyMs = Math.round((row.busyMs + busyMs) * 1_000) / 1_000
    },
    use(of, used) {
      const row = rowOf(of, SELF)
      row.used = Object.fromEntries([...new Set([...Object.keys(row.used), ...Object.keys(used)])].map((name) => [name, (row.used[name] ?? 0) + (used[name] ?? 0)]))
    },
    account: (of) => structuredClone([...countersOf(of).values()]),
    flush,
    async close() {
      await flush()
      await store.close()
    },
  }
}
