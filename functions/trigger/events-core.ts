// Events of objects as triggers: which function an event is for, and what waits while the store is away. Pure.

import type { TriggerRecord } from '../deployed.ts'

export type EventTrigger = Extract<TriggerRecord, { readonly type: 'event' }>

/** An event with the object that it is of. */
export interface LocalEvent {
  readonly kind: string
  readonly uuid: string
  readonly name: string
  /** As the kind declares it: `type`, `atMs`, and its own fields. */
  readonly event: Readonly<Record<string, unknown>> & { readonly type: string }
}

/** Of an object whose kind the trigger names. `where` compares the event's own fields; `kind`, `uuid` and `name` are the object's where the event has none of that name. */
export function matches({ events, where }: Pick<EventTrigger, 'events' | 'where'>, { event, ...object }: LocalEvent): boolean {
  if (events.length > 0 && !events.includes(event.type)) return false
  return Object.entries(where).every(([field, wanted]) => (Object.hasOwn(event, field) ? event[field] : Object.hasOwn(object, field) ? object[field as keyof typeof object] : undefined) === wanted)
}

/** What waits for one function, oldest first; when it is full the oldest goes and is counted. */
export class Backlog<T> {
  readonly #max: number
  #items: T[] = []
  #lost = 0

  constructor(max: number) { this.#max = max }

  get size(): number { return this.#items.length }

  push(item: T): void {
    this.#items.push(item)
    if (this.#items.length <= this.#max) return
    this.#items.shift()
    this.#lost++
  }

  /** The oldest, with how many were lost before it since the last one was taken. */
  take(): { readonly item: T; readonly lost: number } | undefined {
    const item = this.#items.shift()
    if (item === undefined) return undefined
    const lost = this.#lost
    this.#lost = 0
    return { item, lost }
  }
}
