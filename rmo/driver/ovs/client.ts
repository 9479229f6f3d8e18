// OVSDB client: one database, monitored, over connections that come and go.
//
//   connect -> monitor (all rows) -> synced --update--> tables --> onChange
//      ^                               |
//      +-- back-off (doubling) --------+ connection lost: tables stay as last seen, `synced` is false
//
// After a reconnect the monitor's first answer replaces all tables, so nothing that was missed stays wrong. A transaction
// whose connection breaks may have happened (outcome 'unknown'): OVSDB has no answer for that; callers look at the tables.
// Source: RFC 7047 (monitor 4.1.5, transact 4.1.3, wait 5.2.6).

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock, Timer } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call } from '../contract.ts'
import type { Purpose } from '../switch/rules.ts'
import { createConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import { NO_TABLES, applyUpdates } from './tables.ts'
import type { Tables } from './tables.ts'

const DATABASE = 'Open_vSwitch'

export type Operation = Readonly<Record<string, unknown>> & { readonly op: 'insert' | 'update' | 'mutate' | 'delete' | 'wait' | 'select' | 'comment' }
export interface OperationResult { readonly uuid?: readonly [string, string]; readonly count?: number; readonly rows?: readonly unknown[] }

export interface OvsdbClientOptions {
  readonly socketPath: string
  readonly clock: Clock
  /** Columns to monitor, by table. */
  readonly columns: Readonly<Record<string, readonly string[]>>
}
export interface OvsdbClient {
  /** Begins to connect; resolves when synced or when the first attempt has failed. */
  open(): Promise<void>
  close(): void
  readonly synced: boolean
  /** As last seen; empty before the first connection. */
  tables(): Tables
  onChange(listener: () => void): () => void
  /** All operations or none. Throws SWITCH_UNAVAILABLE, SWITCH_TIMEOUT, SWITCH_FAILED (details.text starts with OVSDB's own word: "timed out" for a wait that does not hold). */
  transact(operations: readonly Operation[], purpose: Purpose, call: Call): Promise<readonly OperationResult[]>
  /** What `find` answers, as soon as it is not undefined. */
  until<T>(find: (tables: Tables) => T | undefined, purpose: Purpose, call: Call): Promise<T>
}

interface Refusal { readonly error: string; readonly details?: string }
const isRefusal = (result: unknown): result is Refusal => typeof (result as { error?: unknown } | null)?.error === 'string'

export function createOvsdbClient({ socketPath, clock, columns }: OvsdbClientOptions): OvsdbClient {
  const listeners = new Set<() => void>()
  let tables: Tables = NO_TABLES
  let connection: Connection | undefined
  let synced = false
  let closed = false
  let reason = 'not connected yet'
  let backOffMs: number = LIMITS.ovsdbReconnectMs
  let retry: Timer | undefined
  const first = Promise.withResolvers<void>()

  const changed = (): void => { for (const listener of [...listeners]) listener() }
  const unavailable = (outcome: 'not-started' | 'unknown') => RMO.SWITCH_UNAVAILABLE({ socket: socketPath, reason }, { outcome })

  const connect = (): void => {
    const own = createConnection({
      socketPath, clock,
      onUpdate: ([, updates]) => { tables = applyUpdates(tables, updates); changed() },
      onClose: (why) => {
        const wasSynced = synced
        reason = why
        synced = false
        first.resolve()
        if (wasSynced) changed()
        if (closed) return
        retry = clock.after(backOffMs, connect, { background: true })
        backOffMs = Math.min(backOffMs * 2, LIMITS.ovsdbReconnectMsMax)
      },
    })
    connection = own
    // Sent before the socket is open: it waits in the socket's queue.
    const requests = Object.fromEntries(Object.entries(columns).map(([table, names]) => [table, { columns: names }]))
    own.request('monitor', [DATABASE, 'kumoi', requests]).then((rows) => {
      tables = applyUpdates(NO_TABLES, rows)
      synced = true
      backOffMs = LIMITS.ovsdbReconnectMs
      first.resolve()
      changed()
    }).catch((error: unknown) => own.close(error instanceof Error ? error.message : String(error)))
  }

  /** `work` with the call's deadline and cancellation as one signal. */
  const within = async <T>({ operation, name }: Purpose, call: Call, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    call.signal?.throwIfAborted()
    const timeoutMs = Math.max(1, Math.min(call.remainingMs(), LIMITS.callTimeoutMsMax))
    const end = new AbortController()
    const timer = clock.after(timeoutMs, () => end.abort(RMO.SWITCH_TIMEOUT({ operation, name, timeoutMs: Math.round(timeoutMs) })))
    try {
      return await work(call.signal === undefined ? end.signal : AbortSignal.any([end.signal, call.signal]))
    } finally {
      timer.cancel()
    }
  }

  return {
    get synced() { return synced },
    tables: () => tables,
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    open() {
      if (connection === undefined && !closed) connect()
      return first.promise
    },
    close() {
      closed = true
      retry?.cancel()
      connection?.close('closed by this node')
      first.resolve()
    },
    transact: (operations, purpose, call) => within(purpose, call, async (signal) => {
      const own = connection
      if (own === undefined || !synced) throw unavailable('not-started')
      let results: unknown
      try {
        results = await own.request('transact', [DATABASE, ...operations], { signal })
      } catch (error) {
        if (errorCode(error) === 'OVSDB_CLOSED') throw unavailable('unknown')
        if (errorCode(error) === 'OVSDB_BUSY') throw RMO.BUSY({ what: 'switch changes', machine: 'this machine', limit: LIMITS.ovsdbCallsMax })
        if (errorCode(error) === 'OVSDB_REFUSED') throw RMO.SWITCH_FAILED({ ...purpose, text: (error as Error).message }, { cause: error })
        throw error
      }
      const list: readonly unknown[] = Array.isArray(results) ? results : []
      const refusal = list.find(isRefusal)
      if (refusal !== undefined) throw RMO.SWITCH_FAILED({ ...purpose, text: refusal.details === undefined ? refusal.error : `${refusal.error}: ${refusal.details}` })
      return list as readonly OperationResult[]
    }),
    until: (find, purpose, call) => within(purpose, call, (signal) => new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find(tables)
        if (found === undefined) return
        finish()
        resolve(found)
      }
      const stop = (): void => { finish(); reject(signal.reason as Error) }
      const finish = (): void => { listeners.delete(look); signal.removeEventListener('abort', stop) }
      listeners.add(look)
      signal.addEventListener('abort', stop, { once: true })
      look()
    })),
  }
}
