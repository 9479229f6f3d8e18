// All keys under a prefix of the store, then their changes, for as long as it is wanted: an index in memory kept equal to it. Reads
// everything again when the store could not be reached, or no longer knows what changed since.

import type { Clock } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry } from '../../fabric/mod.ts'

export interface FollowOptions {
  readonly store: GlobalStore
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly prefix: string
  put(entry: GlobalStoreEntry): void
  gone(key: string, revision: number): void
  /** After what came together. */
  changed(): void
}

const RETRY_MS = 1_000

/** Ends with the signal. */
export async function follow({ store, clock, signal, prefix, put, gone, changed }: FollowOptions): Promise<void> {
  let known = new Set<string>()
  while (!signal.aborted) {
    try {
      const found = new Set<string>()
      let after: string | undefined
      let revision: number | undefined
      do {
        const page = await store.range(prefix, { ...(after === undefined ? {} : { after }), signal })
        // Of the first page: what changed between the pages comes again by the watch.
        revision ??= page.revision
        for (const entry of page.entries) { found.add(entry.key); put(entry) }
        after = page.more ? page.entries.at(-1)?.key : undefined
      } while (after !== undefined)
      for (const key of known) if (!found.has(key)) gone(key, revision)
      known = found
      changed()
      for await (const { events } of store.watch(prefix, { after: revision, signal })) {
        for (const event of events) {
          if (event.type === 'put') { known.add(event.entry.key); put(event.entry) }
          else { known.delete(event.key); gone(event.key, event.modRevision) }
        }
        if (events.length > 0) changed()
      }
    } catch {
      // The store cannot be reached, or has forgotten: what is there is read again.
    }
    if (!signal.aborted) await pause(clock, signal)
  }
}

const pause = (clock: Clock, signal: AbortSignal): Promise<void> => new Promise((resolve) => {
  const timer = clock.after(RETRY_MS, () => { signal.removeEventListener('abort', ended); resolve() }, { background: true })
  const ended = (): void => { timer.cancel(); resolve() }
  signal.addEventListener('abort', ended, { once: true })
})
