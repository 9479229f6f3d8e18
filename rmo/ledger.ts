// The ledger of a node: access rules and account of the objects that live here, in the local store; and its audit log
// (audit/log.ts), of which audit() is what is of one object.
//
//   acl/KIND/UUID           rules                 read at the gate, kept in memory while used
//   account/KIND/UUID       counters by principal
//
// Rules are written at once. Counters, which every read of every object changes, follow a few at a time
// (LIMITS.ledgerFlushMs), the longest waiting first: a question to a thousand machines is a thousand of them. What a
// crash loses of them is their last changes.

import { LIMITS } from '../fabric/base.ts'
import type { Clock, Timer } from '../fabric/base.ts'
import type { LocalStore, StoreChange } from '../fabric/mod.ts'
import type { NodeAuditLog } from './audit/log.ts'
import { createAuditLog } from './audit/log.ts'
import { changesOf } from './audit/object-audit.ts'
import type { AccountRecord, AclRule, AuditRecord } from './object.ts'

export interface LedgerObject { readonly kind: string; readonly uuid: string }

export interface Ledger {
  rules(of: LedgerObject): readonly AclRule[]
  /** `was`: where rules are written from several nodes (the global store), only while they are these; compared here by whoever calls. */
  setRules(of: LedgerObject, rules: readonly AclRule[], was?: readonly AclRule[]): Promise<void>
  /** The node's audit log: privileged verbs are written there before they run. */
  readonly log: NodeAuditLog
  /** What the log has of an object, newest last. */
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
const path = ({ kind, uuid }: LedgerObject): string => `${kind}/${uuid}`

type Counters = { -readonly [K in keyof AccountRecord]: AccountRecord[K] }

export interface LedgerOptions {
  readonly store: LocalStore
  readonly clock: Clock
  readonly failed?: (error: unknown) => void
  /** Left out (simulation, tests): one of its own, of a node without a name. */
  readonly log?: NodeAuditLog
}

export function createLedger({ store, clock, failed = () => {}, log = createAuditLog({ store, clock, node: '', failed }) }: LedgerOptions): Ledger {
  const rules = new Map<string, readonly AclRule[]>()
  const accounts = new Map<string, Map<string, Counters>>()
  const dirty = new Set<string>()
  let timer: Timer | undefined
  let writing: Promise<void> = Promise.resolve()

  const write = (accountsMax: number): Promise<void> => {
    timer?.cancel()
    timer = undefined
    const changes: StoreChange[] = []
    for (const key of dirty) {
      if (changes.length >= accountsMax) break
      dirty.delete(key)
      changes.push({ key: `account/${key}`, value: JSON.stringify([...accounts.get(key)?.values() ?? []]) })
    }
    if (changes.length > 0) writing = writing.then(() => store.write(changes)).catch(failed)
    if (dirty.size > 0) later()
    return writing
  }
  const flush = (): Promise<void> => write(Infinity)
  const later = (): void => { timer ??= clock.after(LIMITS.ledgerFlushMs, () => { void write(LIMITS.ledgerAccountsPerFlush) }, { background: true }) }

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
    log,
    async audit(of, recordsMax) {
      // What cannot be written now is told when it can.
      await log.flush()
      return changesOf(log, path(of), recordsMax)
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
    async flush() {
      await log.flush()
      await flush()
    },
    async close() {
      await log.close()
      await flush()
      await store.close()
    },
  }
}
