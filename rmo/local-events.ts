// Events of the objects that live on this node, by kind, for triggers of deployed functions.
//
//   LocalObjects: added, removed --> one watch an object, with the kind's default options --> listeners of the kind
//
// Nothing is watched while nobody listens. An object that is added tells from its first event on; one that is removed is
// let go only after the events of its end. Events pass no gate here: whoever hands them on asks it.

import type { Clock } from '../fabric/base.ts'
import type { LocalObject, LocalObjects, ObjectEvent } from './object.ts'
import type { Kind } from './kind.ts'
import { namesKind } from './kind-names.ts'
import type { KindRegistry } from './registry.ts'

export interface LocalEventRecord {
  readonly kind: string
  readonly uuid: string
  readonly name: string
  readonly event: Readonly<Record<string, unknown>> & { readonly type: string }
}
export interface LocalEventsOptions {
  readonly objects: Pick<LocalObjects, 'list' | 'onChange'>
  readonly kinds: Pick<KindRegistry, 'kinds' | 'kindOf'>
  readonly clock: Clock
  /** A listener or a watch threw. */
  readonly onError: (error: unknown) => void
}
export interface LocalEvents {
  /** `kind`: its name, or a short one ("vm"). Throws RMO_ERR_KIND_UNKNOWN. */
  onLocalEvent(kind: string, listener: (event: LocalEventRecord) => void): () => void
  stop(): void
}

interface Watched { readonly listeners: Set<(event: LocalEventRecord) => void>; readonly watches: Map<string, () => void> }

export function createLocalEvents({ objects, kinds, clock, onError }: LocalEventsOptions): LocalEvents {
  const watched = new Map<string, Watched>()

  const kindOf = (name: string): Kind => kinds.kinds.find((kind) => namesKind(name, kind)) ?? kinds.kindOf(name)
  const tell = (kind: Kind, object: LocalObject, listeners: Watched['listeners'], event: ObjectEvent): void => {
    const record = { kind: kind.kind, uuid: object.uuid, name: String(kind.observe(object.local).name), event: { ...event, atMs: Math.round(event.atMs) } }
    for (const listener of [...listeners]) {
      try { listener(record) } catch (error) { onError(error) }
    }
  }
  const begin = (kind: Kind, object: LocalObject, { listeners, watches }: Watched): void => {
    watches.get(object.uuid)?.()
    try {
      const options = kind.watch.options.check({}, { call: `${kind.kind}.watch`, path: 'options' })
      watches.set(object.uuid, kind.watch.start(object.local, options, (event) => tell(kind, object, listeners, event)))
    } catch (error) {
      onError(error)
    }
  }
  const unsubscribe = objects.onChange((change, object) => {
    const of = watched.get(object.kind)
    if (of === undefined) return
    if (change === 'added') { begin(kinds.kindOf(object.kind), object, of); return }
    const stop = of.watches.get(object.uuid)
    of.watches.delete(object.uuid)
    // 'gone' and 'migrated' are told right after the object has left the table.
    if (stop !== undefined) clock.after(0, stop, { background: true })
  })
  const end = (kind: string): void => {
    for (const stop of watched.get(kind)?.watches.values() ?? []) stop()
    watched.delete(kind)
  }

  return {
    onLocalEvent(name, listener) {
      const kind = kindOf(name)
      let of = watched.get(kind.kind)
      if (of === undefined) {
        of = { listeners: new Set(), watches: new Map() }
        watched.set(kind.kind, of)
        for (const object of objects.list(kind.kind)) begin(kind, object, of)
      }
      // A wrapper, so that one listener given twice is two subscriptions.
      const own = (event: LocalEventRecord): void => listener(event)
      of.listeners.add(own)
      return () => {
        of.listeners.delete(own)
        if (of.listeners.size === 0 && watched.get(kind.kind) === of) end(kind.kind)
      }
    },
    stop() {
      unsubscribe()
      for (const kind of [...watched.keys()]) end(kind)
    },
  }
}
