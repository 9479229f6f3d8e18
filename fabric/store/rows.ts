// Entries, leases and batches as rows of the table on disk, and as plain data of messages. Pure.
//
//   'm'                       -> [format, revision, floor]
//   'e' key                   -> [value, createRevision, modRevision, version, lease or null]
//   'l' lease id              -> [lifetimeMs]
//   'b' revision (8 bytes)    -> events of that revision: [key, modRevision] or [key, value, createRevision, ...]
//
// Arrays, not maps: an entry costs its fields and nothing for their names.

import { decodeRecord, encodeRecord } from '../rpc/codec.ts'
import { CONTROL_LIMITS } from '../rpc/scan.ts'
import type { TableChange } from '../lmdb.ts'
import { FABRIC } from '../errors-table.ts'
import type { StoreBatch, StoreEntry, StoreEvent } from './contract.ts'
import type { CoreChange, CoreImage } from './core.ts'

const FORMAT = 1
const META = Buffer.from('m')
/** Our own rows: one transaction may delete every key there is. */
const ROW_LIMITS = { ...CONTROL_LIMITS, itemsMax: Number.MAX_SAFE_INTEGER, wideTextsMax: Number.MAX_SAFE_INTEGER }

export type PlainEntry = readonly [key: string, value: Uint8Array, createRevision: number, modRevision: number, version: number, lease: string | null]
export type PlainEvent = PlainEntry | readonly [key: string, modRevision: number]

export const plainEntry = ({ key, value, createRevision, modRevision, version, lease }: StoreEntry): PlainEntry => [key, value, createRevision, modRevision, version, lease ?? null]
export const plainEvent = (event: StoreEvent): PlainEvent => event.type === 'put' ? plainEntry(event.entry) : [event.key, event.modRevision]

/** Throws on anything else: it came from a disk or a peer. */
export function entryOf(plain: unknown): StoreEntry {
  const [key, value, createRevision, modRevision, version, lease] = array(plain, 6)
  return {
    key: text(key), value: bytes(value), createRevision: count(createRevision), modRevision: count(modRevision), version: count(version),
    ...(lease === null ? {} : { lease: text(lease) }),
  }
}
export function eventOf(plain: unknown): StoreEvent {
  if (!Array.isArray(plain) || plain.length !== 2) return { type: 'put', entry: entryOf(plain) }
  const [key, modRevision] = plain as readonly unknown[]
  return { type: 'delete', key: text(key), modRevision: count(modRevision) }
}

const refused = (expected: string): Error => FABRIC.RECORD_REFUSED({ reason: `a record of the global store without ${expected}`, offsetBytes: 0 })
export const array = (value: unknown, length?: number): readonly unknown[] => { if (!Array.isArray(value) || (length !== undefined && value.length !== length)) throw refused('its fields'); return value }
export const text = (value: unknown): string => { if (typeof value !== 'string') throw refused('a text'); return value }
/** A copy: received bytes are views into a whole message. */
export const bytes = (value: unknown): Uint8Array => { if (!(value instanceof Uint8Array)) throw refused('bytes'); return value.slice() }
export const count = (value: unknown): number => { if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw refused('a whole number'); return value }

const row = (type: 'e' | 'l', name: string): Uint8Array => Buffer.from(type + name)
function batchRow(revision: number): Uint8Array {
  const key = Buffer.alloc(9, 'b')
  key.writeBigUInt64BE(BigInt(revision), 1)
  return key
}

/** What one commit writes: its changes, and where the store stands after them. */
export function rowsOf(changes: readonly CoreChange[], stands: { readonly revision: number; readonly floor: number }): readonly TableChange<Uint8Array, Uint8Array>[] {
  const rows: TableChange<Uint8Array, Uint8Array>[] = changes.map((change) => {
    switch (change.type) {
      case 'entry': return [row('e', change.key), change.entry && encodeRow(plainEntry(change.entry).slice(1))]
      case 'lease': return [row('l', change.id), change.lifetimeMs === undefined ? undefined : encodeRow([change.lifetimeMs])]
      case 'batch': return [batchRow(change.revision), change.batch && encodeRow(change.batch.events.map(plainEvent))]
    }
  })
  return [...rows, [META, encodeRow([FORMAT, stands.revision, stands.floor])]]
}

/** The state that the rows hold; undefined: there are none yet. Throws when they hold something else. */
export function imageOf(rows: Iterable<readonly [Uint8Array, Uint8Array]>): CoreImage | undefined {
  let meta: readonly unknown[] | undefined
  const entries: StoreEntry[] = [], batches: StoreBatch[] = [], leases: CoreImage['leases'][number][] = []
  for (const [key, value] of rows) {
    const name = Buffer.from(key.buffer, key.byteOffset + 1, key.byteLength - 1)
    const fields = array(decodeRecord(value, ROW_LIMITS))
    switch (String.fromCharCode(key[0] ?? 0)) {
      case 'm': meta = fields; break
      case 'e': entries.push(entryOf([name.toString(), ...fields])); break
      case 'l': leases.push({ id: name.toString(), lifetimeMs: count(fields[0]) }); break
      case 'b': batches.push({ revision: Number(name.readBigUInt64BE()), events: fields.map(eventOf) }); break
      default: throw refused('a kind that this version knows')
    }
  }
  if (meta === undefined && entries.length + batches.length + leases.length === 0) return undefined
  if (meta?.[0] !== FORMAT) throw refused(`format ${FORMAT}`)
  return { revision: count(meta[1]), floor: count(meta[2]), entries, batches, leases }
}

const encodeRow = (fields: readonly unknown[]): Uint8Array => encodeRecord(fields, 'A row of the global store', ROW_LIMITS).slice()
