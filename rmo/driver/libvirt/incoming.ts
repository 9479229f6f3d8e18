// Guests on their way here, seen through events: libvirt tells of them as started (paused) before they have come.
//
//   started, migrated -> (held back) -> resumed or suspended = it has come | stopped = it never did
//
// Until then the source has it: neither its start nor its end here is news. Pure but for the set it keeps.

import type { RawEvent } from './messages.ts'

export interface Incoming {
  /** The event as it is to be told; undefined: not at all. */
  see(event: RawEvent): RawEvent | undefined
  forget(): void
}

export function createIncoming(): Incoming {
  const coming = new Set<string>()
  return {
    see(event) {
      if (event.type !== 'domain') return event
      if (event.event === 'started' && event.detail === 'migrated') {
        coming.add(event.uuid)
        return undefined
      }
      if (!coming.has(event.uuid)) return event
      switch (event.event) {
        case 'migratedIn': coming.delete(event.uuid); return event
        // It was paused at the source, and is here.
        case 'suspended': coming.delete(event.uuid); return { ...event, event: 'migratedIn', detail: 'paused' }
        case 'stopped': case 'crashed': coming.delete(event.uuid); return undefined
        default: return event
      }
    },
    forget: () => coming.clear(),
  }
}
