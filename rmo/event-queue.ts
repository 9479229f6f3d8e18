// Events on their way to one watcher: bounded, never blocking the one who tells. A slow watcher loses the
// oldest events and is told how many, by a 'lost' event in their place.

import { LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { LostEvent, ObjectEvent } from './object.ts'

export interface EventQueue {
  push(event: ObjectEvent): void
  /** The next event; undefined when the queue has been closed and is empty. One reader. */
  next(): Promise<ObjectEvent | undefined>
  /** No more events; what is queued can still be read. With an error, next() rejects with it in the end. */
  close(error?: unknown): void
}

export function createEventQueue({ clock, eventsMax = LIMITS.watchQueueMax }: { readonly clock: Clock; readonly eventsMax?: number }): EventQueue {
  let queued: ObjectEvent[] = []
  let lost = 0
  let closed: { readonly error?: unknown } | undefined
  let wake = (): void => {}

  const take = (): ObjectEvent | undefined => {
    if (lost === 0) return queued.shift()
    const event: LostEvent = { type: 'lost', atMs: Math.round(clock.wallMs()), count: lost }
    lost = 0
    return event
  }
  return {
    push(event) {
      if (closed !== undefined) return
      queued.push(event)
      if (queued.length > eventsMax) { queued.shift(); lost++ }
      wake()
    },
    async next() {
      for (;;) {
        const event = take()
        if (event !== undefined) return event
        if (closed !== undefined) {
          if (closed.error !== undefined) throw closed.error
          return undefined
        }
        await new Promise<void>((resolve) => { wake = resolve })
      }
    },
    close(error) {
      closed ??= error === undefined ? {} : { error }
      wake()
    },
  }
}
