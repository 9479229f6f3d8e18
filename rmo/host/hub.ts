// Events of this host's objects, from the rooms to whoever watches. Synchronous: a watcher's queue is bounded by itself
// (event-queue.ts), so telling never waits; a listener that throws harms nobody else.

import type { ObjectEvent } from '../object.ts'

export interface Hub {
  publish(kind: string, uuid: string, event: ObjectEvent): void
  subscribe(kind: string, uuid: string, listener: (event: ObjectEvent) => void): () => void
  /** Listeners of one object; 0 for most of thousands. */
  listeners(kind: string, uuid: string): number
}

export function createHub(onError: (error: unknown) => void): Hub {
  const topics = new Map<string, Set<(event: ObjectEvent) => void>>()
  const topic = (kind: string, uuid: string): string => `${kind}/${uuid}`
  return {
    publish(kind, uuid, event) {
      for (const listener of [...topics.get(topic(kind, uuid)) ?? []]) {
        try { listener(event) } catch (error) { onError(error) }
      }
    },
    subscribe(kind, uuid, listener) {
      const key = topic(kind, uuid)
      const listeners = topics.get(key) ?? new Set()
      // A wrapper, so that one listener given twice is two subscriptions.
      const own = (event: ObjectEvent): void => listener(event)
      topics.set(key, listeners.add(own))
      return () => {
        listeners.delete(own)
        if (listeners.size === 0 && topics.get(key) === listeners) topics.delete(key)
      }
    },
    listeners: (kind, uuid) => topics.get(topic(kind, uuid))?.size ?? 0,
  }
}
