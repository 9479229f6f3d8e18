// One value -> one line of JSON, for every value that a function can return: --json of the shell, answers of the HTTP door. Follows protobuf's
// JSON mapping where JSON has no word of its own. Text is written directly, so that a key named
// __proto__ is only a key, and control characters are escaped (a terminal may be reading).

import { LIMITS } from '../../fabric/base.ts'
import { REFERENCE } from '../contract.ts'
import type { ReferenceRecord } from '../contract.ts'

/** What --help says about it. */
export const JSON_RULES = [
  'undefined      null; left out of objects',
  'bigint         decimal string: "12345678901234567890"',
  'NaN, Infinity  the strings "NaN", "Infinity", "-Infinity"',
  'Date           ISO 8601 string; an invalid date is null',
  'Map            object when all keys are plain (string, number, boolean, bigint), else array of [key, value]',
  'Set            array',
  'typed array    array of numbers; bytes (Uint8Array, Buffer, ArrayBuffer, DataView) base64 string',
  'Error          {"name", "code", "message", "details"}',
  'reference      {"kind", "name", "uuid", "home", attributes...}',
  'outcome        {"status", "index", "node", "nodeName", "value" or "error", ...}',
  'function       string "[Function: name]"; a cycle is "[Circular]"',
] as const

// JSON.stringify leaves DEL, C1 controls and bidirectional overrides as they are.
const LATE_CONTROLS = /[\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
const quote = (text: string): string =>
  JSON.stringify(text).replace(LATE_CONTROLS, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

const PLAIN_KEYS: ReadonlySet<string> = new Set(['string', 'number', 'boolean', 'bigint'])
const ERROR_FIELDS = ['code', 'details', 'outcome', 'retryable'] as const

/** The record of a reference (a proxy in the shell); undefined for anything else. */
export function referenceOf(value: unknown): ReferenceRecord | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  try {
    const record = (value as { readonly [REFERENCE]?: unknown })[REFERENCE]
    return typeof record === 'object' && record !== null && 'kind' in record && 'uuid' in record ? record as ReferenceRecord : undefined
  } catch {
    return undefined
  }
}

/** JSON text of `value`, without a line break. */
export function toJson(value: unknown): string {
  return write(value, []) ?? 'null'
}

function write(value: unknown, above: readonly object[]): string | undefined {
  switch (typeof value) {
    case 'string': return quote(value)
    case 'number': return Number.isFinite(value) ? String(Object.is(value, -0) ? 0 : value) : quote(String(value))
    case 'boolean': return String(value)
    case 'bigint': return quote(String(value))
    case 'undefined': return undefined
    case 'symbol': return quote(String(value))
    default: return value === null ? 'null' : writeObject(value as object, above)
  }
}

function writeObject(value: object, above: readonly object[]): string | undefined {
  const reference = referenceOf(value)
  if (reference !== undefined) {
    const { kind, name, uuid, home, attributes, cold } = reference
    return writeEntries(Object.entries({ kind, name, uuid, ...(cold === true ? { cold } : { home }), ...attributes }), above)
  }
  if (typeof value === 'function') return quote(`[Function: ${value.name === '' ? 'anonymous' : value.name}]`)
  if (above.includes(value)) return '"[Circular]"'
  if (above.length >= LIMITS.valueDepthMax) return '"[Too deep]"'
  const inside = [...above, value]
  if (Array.isArray(value)) return writeItems(value, inside)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'null' : quote(value.toISOString())
  if (value instanceof Map) return writeMap(value, inside)
  if (value instanceof Set) return writeItems([...value], inside)
  if (value instanceof RegExp) return quote(String(value))
  if (value instanceof Error) return writeError(value, inside)
  if (value instanceof ArrayBuffer) return quote(Buffer.from(value).toString('base64'))
  if (ArrayBuffer.isView(value)) {
    const bytes = value instanceof Uint8Array || value instanceof DataView
    return bytes ? quote(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')) : writeItems([...(value as unknown as Iterable<number | bigint>)], inside)
  }
  return writeEntries(Object.entries(value), inside)
}

const writeItems = (items: readonly unknown[], above: readonly object[]): string =>
  `[${Array.from(items, (item) => write(item, above) ?? 'null').join(',')}]`

function writeEntries(entries: readonly (readonly [string, unknown])[], above: readonly object[]): string {
  const parts: string[] = []
  for (const [key, item] of entries) {
    const text = write(item, above)
    if (text !== undefined) parts.push(`${quote(key)}:${text}`)
  }
  return `{${parts.join(',')}}`
}

function writeMap(map: ReadonlyMap<unknown, unknown>, above: readonly object[]): string {
  const entries = [...map]
  const plain = entries.every(([key]) => PLAIN_KEYS.has(typeof key))
  // 1 and "1" are two keys of a map and would be one of an object.
  const distinct = plain && new Set(entries.map(([key]) => String(key))).size === entries.length
  return distinct ? writeEntries(entries.map(([key, item]) => [String(key), item ?? null] as const), above) : writeItems(entries, above)
}

function writeError(error: Error, above: readonly object[]): string {
  const fields: [string, unknown][] = [['name', error.name], ['message', error.message]]
  for (const field of ERROR_FIELDS) {
    const item: unknown = (error as unknown as Record<string, unknown>)[field]
    if (item !== undefined) fields.push([field, item])
  }
  return writeEntries(fields, above)
}
