// Keeps the view equal to the store's records: reads them all, then watches from that revision on; after a failure, or when
// the watch cannot be resumed, reads them again, with growing pauses. Versions never change, so the pointer records are
// watched and a name's versions are read when its pointer moved.
//
// Invariant: `revision` is that of a state which the view has seen whole; whoever waits for it (a deploy that wants
// to know who is ready) is woken by the watch, not by a timer.

import { setImmediate } from 'node:timers/promises'
import type { GlobalStore, GlobalStoreEntry } from '../../fabric/mod.ts'
import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { until } from './code.ts'
import { FUNCTION_PREFIX, VERSION_PREFIX, versionsPrefix } from './records.ts'

export interface FollowOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  /** A function as it now stands: its pointer record (undefined: gone) and the versions that the store has of it. */
  changed(name: string, record: Uint8Array | undefined, versions: ReadonlyMap<string, Uint8Array>): void
  /** Names that are known; those that the store no longer has are gone. */
  names(): readonly string[]
  failed(error: unknown): void
}

export interface Follower {
  /** Of the store, as far as it has been seen; 0 before the first reading. */
  readonly revision: number
  start(): void
  /** Resolves when the view shows everything up to that revision. */
  reached(revision: number, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

export async function readAll(store: GlobalStore, prefix: string, signal: AbortSignal): Promise<{ readonly entries: readonly GlobalStoreEntry[]; readonly revision: number }> {
  const entries: GlobalStoreEntry[] = []
  let revision: number | undefined
  for (let after: string | undefined; ;) {
    const page = await store.range(prefix, { signal, ...(after === undefined ? {} : { after }) })
    // The first page's: whatever changes while the others are read comes again by the watch.
    revision ??= page.revision
    entries.push(...page.entries)
    after = page.entries.at(-1)?.key
    if (!page.more || after === undefined) return { entries, revision }
  }
}

export function createFollower({ store, clock, changed, names, failed }: FollowOptions): Follower {
  const stopping = new AbortController()
  const { signal } = stopping
  const waiting = new Set<{ readonly revision: number; readonly seen: () => void }>()
  let revision = 0
  let following: Promise<void> | undefined

  const reach = (now: number): void => {
    revision = now
    for (const waiter of waiting) {
      if (waiter.revision > now) continue
      waiting.delete(waiter)
      waiter.seen()
    }
  }

  const load = async (): Promise<number> => {
    const functions = await readAll(store, FUNCTION_PREFIX, signal)
    const versions = Map.groupBy((await readAll(store, VERSION_PREFIX, signal)).entries, ({ key }) => key.slice(VERSION_PREFIX.length, key.lastIndexOf('/')))
    const found = new Set<string>()
    for (const { key, value } of functions.entries) {
      const name = key.slice(FUNCTION_PREFIX.length)
      found.add(name)
      // Signatures are judged: a large catalog must not hold up the node's answers to probes.
      await setImmediate()
      changed(name, value, versionTable(versions.get(name) ?? []))
    }
    for (const name of names()) if (!found.has(name)) changed(name, undefined, new Map())
    return functions.revision
  }

  const follow = async (onLoaded: () => void): Promise<void> => {
    const loadedAt = await load()
    onLoaded()
    reach(loadedAt)
    for await (const batch of store.watch(FUNCTION_PREFIX, { after: loadedAt, signal })) {
      // One transaction may change a key once; a batch is one transaction.
      for (const event of batch.events) {
        const key = event.type === 'put' ? event.entry.key : event.key
        const name = key.slice(FUNCTION_PREFIX.length)
        const versions = event.type === 'put' ? versionTable((await readAll(store, versionsPrefix(name), signal)).entries) : new Map<string, Uint8Array>()
        changed(name, event.type === 'put' ? event.entry.value : undefined, versions)
      }
      reach(batch.revision)
    }
  }

  const run = async (): Promise<void> => {
    let pauseMs: number = LIMITS.catalogRetryMs
    while (!signal.aborted) {
      try {
        await follow(() => { pauseMs = LIMITS.catalogRetryMs })
      } catch (error) {
        if (signal.aborted) return
        // Compacted: the records are read again, that is all there is to it.
        if (errorCode(error) !== 'FABRIC_ERR_STORE_COMPACTED') failed(error)
      }
      await pause(clock, pauseMs, signal)
      pauseMs = Math.min(pauseMs * 2, LIMITS.catalogRetryMsMax)
    }
  }

  return {
    get revision() { return revision },
    start() { following ??= run() },
    async reached(wanted, given) {
      if (revision >= wanted) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const waiter = { revision: wanted, seen: resolve }
      waiting.add(waiter)
      await until(promise, given).finally(() => waiting.delete(waiter))
    },
    async stop() {
      stopping.abort()
      await following
    },
  }
}

const versionTable = (entries: readonly GlobalStoreEntry[]): ReadonlyMap<string, Uint8Array> => new Map(entries.map(({ key, value }) => [key.slice(key.lastIndexOf('/') + 1), value]))

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(ms, done, { background: true })
    function done(): void {
      timer.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
