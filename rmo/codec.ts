// User values of verbs on the wire: functions/value's codec, with references made as the holder wants them.

import { decodeValue, encodeValue } from '../functions/base.ts'
import type { ReferenceRecord, SourceSpec } from '../functions/mod.ts'
import type { ValueCodec } from './messages.ts'

export interface ValueHooks {
  readonly reference?: (record: ReferenceRecord) => unknown
  readonly collection?: (spec: SourceSpec) => unknown
}

/** A node leaves references inert (the default); a shell makes live ones: `reference: (record) => makeReference(record, session)`. */
export const createValueCodec = (hooks: ValueHooks = {}): ValueCodec => ({
  encode: (value) => encodeValue(value),
  decode: (bytes, profile) => decodeValue(bytes, { ...hooks, profile }),
})
