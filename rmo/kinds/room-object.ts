// What kinds share: how a table shows an attribute; and, of storage and networks, objects that a room keeps equal to an inventory (host/object-table.ts).

import type { WatchSpec } from '../kind.ts'
import type { ObjectEvent } from '../object.ts'
import { record, text } from '../schema.ts'
import type { Column, EventSpec } from '../verb.ts'

export const column = (header: string, format: Column['format'] = 'text', wide = false): Column => ({ header, format, wide })

/** Told of every object of a room. */
export const lifeEvents = {
  added: { doc: 'It is there.', fields: { name: text() } },
  changed: { doc: 'Something of it is different, figures that move by themselves not counted.', fields: { name: text() } },
  removed: { doc: 'It is not there any more.', fields: { name: text() } },
} as const satisfies Readonly<Record<string, EventSpec>>

/** A watch without options that tells everything. */
export const watchEvents = <L extends { onEvent(listener: (event: ObjectEvent) => void): () => void }>(): WatchSpec<L, object> => ({
  options: record({}),
  start: (local, _options, emit) => local.onEvent(emit),
})
