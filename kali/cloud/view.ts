// What one node knows of the cloud's records: read once, then kept by one watch; everything is answered from memory.
//
//   store --range 'cloud/' (pages)--> tables and indexes <--watch from there on-- store
//   store --revision() each LIMITS.cloudContactMs--> contactSinceMs()
//
// Invariants: all changes of one transaction are seen together, and listeners are told after all of them; a record never goes
// back (an event older than what is known is left out); a record that cannot be read is logged and left out, and its older
// one with it; `revision` is of a state that has been seen whole. Contact counts from an *answer*, and is over as soon as
// none came in time, also when it is this process that stood still (cloud.md 5, rule 10).

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry, Log, StoreEvent } from '../../fabric/mod.ts'
import { KALI } from '../errors.ts'
import { createContact } from './contact.ts'
import type { CloudChange, CloudView } from './contract.ts'
import { CLOUD_PREFIX, watchedKey } from './keys.ts'
import { createTables } from './tables.ts'

export interface CloudViewOptions { readonly store: GlobalStore; readonly clock: Clock; readonly log: Pick<Log, 'info' | 'warn'> }

export interface NodeCloudView extends CloudView {
  /** Begins reading; idempotent. Resolves `ready` when everything has been read once. */
  start(): void
  readonly ready: Promise<void>
  stop(): Promise<void>
}

export function createCloudView({ store, clock, log }: CloudViewOptions): NodeCloudView {
  const stopping = new AbortController()
  const { signal } = stopping
  const tables = createTables((key, error) => log.warn('a record of the cloud cannot be read, and is left out', { key, reason: reasonOf(error) }))
  const contact = createContact({ clock, signal, ask: (timeoutMs) => store.revision({ timeoutMs, signal }), lost: (reason) => log.warn('the global store does not answer', { reason }), found: () => log.info('the global store answers') })
  const listeners = new Set<(change: CloudChange) => void>()
  const waiting = new Set<{ readonly revision: number; seen(): void; failed(error: Error): void }>()
  const ready = Promise.withResolvers<void>()
  let revision = 0
  let following: Promise<void> | undefined

  const tell = (changes: readonly CloudChange[]): void => {
    for (const change of changes) {
      for (const listener of [...listeners]) {
        try { listener(change) } catch (error) { log.warn('a listener of the cloud failed', { key: change.key, reason: reasonOf(error) }) }
      }
    }
  }
  const reach = (now: number): void => {
    revision = Math.max(revision, now)
    for (const waiter of [...waiting]) if (waiter.revision <= revision) { waiting.delete(waiter); waiter.seen() }
  }
  const apply = (events: readonly StoreEvent[]): readonly CloudChange[] => events.flatMap((event) => {
    const key = event.type === 'put' ? event.entry.key : event.key
    const watched = watchedKey(key)
    if (watched === undefined) return []
    const changed = event.type === 'put' ? tables.put(watched, event.entry) : tables.remove(watched, event.modRevision)
    return changed ? [{ type: watched.type, key: watched.id }] : []
  })

  const load = async (): Promise<number> => {
    const entries: GlobalStoreEntry[] = []
    let from: number | undefined
    for (let after: string | undefined; ;) {
      const page = await store.range(CLOUD_PREFIX, { signal, ...(after === undefined ? {} : { after }) })
      // Of the first page: what changes while the others are read comes again by the watch.
      from ??= page.revision
      entries.push(...page.entries)
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) break
    }
    const there = new Set(entries.map(({ key }) => key))
    const gone = tables.keys().filter((key) => !there.has(key)).map((key): StoreEvent => ({ type: 'delete', key, modRevision: from ?? 0 }))
    const changes = apply([...gone, ...entries.map((entry): StoreEvent => ({ type: 'put', entry }))])
    reach(from)
    tell(changes)
    return from
  }

  const run = async (): Promise<void> => {
    for (let pauseMs: number = LIMITS.cloudReloadMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LIMITS.cloudReloadMsMax)) {
      try {
        const after = await load()
        ready.resolve()
        pauseMs = LIMITS.cloudReloadMs
        for await (const batch of store.watch(CLOUD_PREFIX, { after, signal })) {
          const changes = apply(batch.events)
          reach(batch.revision)
          tell(changes)
        }
      } catch (error) {
        if (signal.aborted) return
        // Compacted: everything is read again, that is all there is to it.
        if (errorCode(error) !== 'FABRIC_ERR_STORE_COMPACTED') log.warn('the records of the cloud cannot be watched; they are read again', { reason: reasonOf(error) })
      }
      await contact.pause(pauseMs)
    }
  }

  return {
    ...tables.view,
    get revision() { return revision },
    get ready() { return ready.promise },
    contactSinceMs: () => contact.sinceMs(),
    start() {
      if (following !== undefined || signal.aborted) return
      following = run()
      contact.start()
    },
    async until(wanted) {
      if (revision >= wanted) return
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const waiter = { revision: wanted, seen: resolve, failed: reject }
      const away = (): void => reject(KALI.STORE_AWAY({ what: `revision ${wanted}`, waitedMs: LIMITS.cloudSeenMs }))
      const timer = clock.after(LIMITS.cloudSeenMs, away)
      waiting.add(waiter)
      try {
        if (signal.aborted) away()
        await promise
      } finally {
        timer.cancel()
        waiting.delete(waiter)
      }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async stop() {
      stopping.abort()
      // Whoever waits must not wait out its time for a view that is gone.
      for (const waiter of [...waiting]) waiter.failed(KALI.STORE_AWAY({ what: `revision ${waiter.revision}`, waitedMs: 0 }))
      await following
    },
  }
}

const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
