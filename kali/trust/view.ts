// What one node knows of users, roles, settings and revoked nodes: read once, then kept by one watch; answered from memory.
//
//   local copy --start--> tables <--watch-- store 'trust/'          tables --each change--> local copy
//
// Invariants: `version` rises with each change, and listeners are told after it. Nobody who writes to the store around the
// fabric gives anybody anything: what is not signed is left out, what a revoked node wrote after it was revoked too, and what
// only goes up never goes down here: a user's epoch, the tokens' epoch. Users and settings are never deleted by us, so a
// deletion is somebody else's and changes nothing on a node that knew them. A node that starts without a copy believes the
// oldest signed record that it is shown: SECURITY.md says so.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import { pause } from '../../fabric/mod.ts'
import type { CertifiedSigner, GlobalStore, GlobalStoreEntry, LocalStore, Log } from '../../fabric/mod.ts'
import type { RightPattern, TrustView, UserStanding } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'
import type { RevokedNodeRecord, RoleRecord, TrustSettings, UserRecord } from './contract.ts'
import { createTrustCopy } from './copy.ts'
import { TrustTables } from './tables.ts'
import { TRUST_PREFIX } from './records.ts'

export interface TrustViewOptions {
  readonly store: Pick<GlobalStore, 'range' | 'watch'>
  readonly localStore: LocalStore
  readonly signer: Pick<CertifiedSigner, 'verify'>
  readonly clock: Clock
  readonly log: Pick<Log, 'warn'>
}

/** Change of one record: its kind, and the name of the user or role or the node's id. */
export interface TrustChange { readonly kind: 'user' | 'role' | 'settings' | 'revoked'; readonly name: string }

export interface NodeTrustView extends TrustView {
  userRecord(name: string): UserRecord | undefined
  users(): readonly UserRecord[]
  /** Records and built-in ones. */
  roles(): readonly (RoleRecord & { readonly builtIn: boolean })[]
  role(name: string): readonly RightPattern[]
  settings(): TrustSettings
  revokedNode(node: NodeId): RevokedNodeRecord | undefined
  revokedNodes(): readonly RevokedNodeRecord[]
  /** Something is known: the store's, or the copy of an earlier run. Before, nobody is let in. */
  readonly known: boolean
  readonly revision: number
  /** Resolves when the store has been read once. */
  readonly ready: Promise<void>
  onChange(listener: (change: TrustChange) => void): () => void
  /** Resolves when everything up to that revision of the store is seen; rejects with STORE_AWAY after LIMITS.trustSeenMs. */
  until(revision: number): Promise<void>
  start(): void
  stop(): Promise<void>
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export function createTrustView({ store, localStore, signer, clock, log }: TrustViewOptions): NodeTrustView {
  const stopping = new AbortController()
  const { signal } = stopping
  const copy = createTrustCopy({ store: localStore, failed: (error) => log.warn('the copy of users and roles could not be written', { reason: reasonOf(error) }) })
  const tables = new TrustTables({ signer, left: (key, error) => log.warn('a record of trust is left out', { key, reason: reasonOf(error) }) })
  const listeners = new Set<(change: TrustChange) => void>()
  const waiting = new Set<{ readonly revision: number; readonly seen: () => void }>()
  const ready = Promise.withResolvers<void>()
  let version = 0, revision = 0, known = false
  let following: Promise<void> | undefined

  const tell = (changes: readonly TrustChange[]): void => {
    if (changes.length === 0) return
    version++
    for (const change of changes) {
      for (const listener of [...listeners]) {
        try { listener(change) } catch (error) { log.warn('a listener of trust failed', { reason: reasonOf(error) }) }
      }
    }
  }
  const reach = (now: number): void => {
    revision = Math.max(revision, now)
    for (const waiter of [...waiting]) if (waiter.revision <= revision) { waiting.delete(waiter); waiter.seen() }
  }
  const put = ({ key, value, modRevision }: Pick<GlobalStoreEntry, 'key' | 'value' | 'modRevision'>): readonly TrustChange[] => {
    const change = tables.put(key, value, modRevision)
    if (change !== undefined) copy.keep(key, value, modRevision)
    return change === undefined ? [] : [change]
  }
  const remove = (key: string): readonly TrustChange[] => {
    const change = tables.remove(key)
    if (change !== undefined) copy.drop(key)
    return change === undefined ? [] : [change]
  }

  const load = async (): Promise<number> => {
    const entries: GlobalStoreEntry[] = []
    let from: number | undefined
    for (let after: string | undefined; ;) {
      const page = await store.range(TRUST_PREFIX, { signal, ...(after === undefined ? {} : { after }) })
      // Of the first page: what changes while the others are read comes again by the watch.
      from ??= page.revision
      entries.push(...page.entries)
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) break
    }
    const there = new Set(entries.map(({ key }) => key))
    // Who was revoked is known before what he wrote is judged.
    const ordered = entries.toSorted((a, b) => Number(b.key.startsWith(`${TRUST_PREFIX}revoked/`)) - Number(a.key.startsWith(`${TRUST_PREFIX}revoked/`)))
    const changes = [...ordered.flatMap(put), ...tables.keys().filter((key) => !there.has(key)).flatMap(remove)]
    const first = !known
    known = true
    if (first && changes.length === 0) version++
    tell(changes)
    reach(from)
    return from
  }

  const run = async (): Promise<void> => {
    for (let pauseMs: number = LIMITS.trustRetryMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LIMITS.trustRetryMsMax)) {
      try {
        const after = await load()
        ready.resolve()
        pauseMs = LIMITS.trustRetryMs
        for await (const batch of store.watch(TRUST_PREFIX, { after, signal })) {
          tell(batch.events.flatMap((event) => (event.type === 'put' ? put(event.entry) : remove(event.key))))
          reach(batch.revision)
        }
      } catch (error) {
        if (signal.aborted) return
        if (errorCode(error) !== 'FABRIC_ERR_STORE_COMPACTED') log.warn('the records of trust cannot be watched; they are read again', { reason: reasonOf(error) })
      }
      await pause(clock, pauseMs, signal)
    }
  }

  return {
    get version() { return version },
    get revision() { return revision },
    get known() { return known },
    get ready() { return ready.promise },
    user: (name): UserStanding | undefined => tables.standing(name),
    userRecord: (name) => tables.user(name),
    users: () => tables.users(),
    roles: () => tables.roles(),
    role: (name) => tables.role(name),
    settings: () => tables.settings(),
    revokedNode: (node) => tables.revokedNode(node),
    revokedNodes: () => tables.revokedNodes(),
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    async until(wanted) {
      if (revision >= wanted) return
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const away = (): void => reject(KALI.STORE_AWAY({ what: 'the records of users and roles', waitedMs: LIMITS.trustSeenMs }))
      const timer = clock.after(LIMITS.trustSeenMs, away)
      const waiter = { revision: wanted, seen: resolve }
      waiting.add(waiter)
      signal.addEventListener('abort', away, { once: true })
      try {
        if (signal.aborted) away()
        await promise
      } finally {
        timer.cancel()
        waiting.delete(waiter)
        signal.removeEventListener('abort', away)
      }
    },
    start() {
      if (following !== undefined || signal.aborted) return
      const kept = copy.read().toSorted((a, b) => Number(b.key.startsWith(`${TRUST_PREFIX}revoked/`)) - Number(a.key.startsWith(`${TRUST_PREFIX}revoked/`)))
      const changes = kept.flatMap(({ key, value, modRevision }) => tables.put(key, value, modRevision) ?? [])
      known = known || kept.length > 0
      tell(changes)
      following = run()
    },
    async stop() {
      stopping.abort()
      await following
      await copy.settled()
    },
  }
}
