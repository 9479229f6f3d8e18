// Reading what libvirt hands out by address: lists of pointers, typed parameters, uuids. Worker threads only.

import koffi from 'koffi'
import type { Library } from './library.ts'
import type { Pointer } from './operation.ts'

const POINTER_BYTES = 8
// struct _virTypedParameter: char field[80]; int type; union value (8 bytes, aligned).
const PARAMETER_BYTES = 96
const PARAMETER_NAME_BYTES = 80
const PARAMETER_VALUE_OFFSET = 88
const [INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING] = [1, 2, 3, 4, 5, 6, 7] as const
const UUID_TEXT_BYTES = 37

export type ParameterValue = number | bigint | string | boolean

const bytesAt = (address: Pointer, length: number): Buffer => Buffer.from(koffi.view(address, length))

/** `count` addresses stored one after another. */
export function pointersAt(address: Pointer, count: number): Pointer[] {
  if (count === 0) return []
  const bytes = bytesAt(address, count * POINTER_BYTES)
  return Array.from({ length: count }, (_, at) => bytes.readBigUInt64LE(at * POINTER_BYTES))
}

/** A list as libvirt's ListAll functions make it: `list` fills `out` and answers how many; the array itself is freed here, its members by `free`. */
export function withList<T>(list: (out: (Pointer | null)[]) => number, free: (pointer: Pointer) => unknown, work: (pointer: Pointer) => T): T[] {
  const out: (Pointer | null)[] = [null]
  const count = list(out)
  const array = out[0]
  if (array === null || array === undefined) return []
  const pointers = pointersAt(array, count)
  koffi.free(array)
  const results: T[] = []
  try {
    for (const pointer of pointers) results.push(work(pointer))
  } finally {
    for (const pointer of pointers) free(pointer)
  }
  return results
}

/** The same where one call frees the array and its members together. */
export function withPointers<T>(list: (out: (Pointer | null)[]) => number, freeAll: (array: Pointer) => unknown, work: (pointer: Pointer) => T): T[] {
  const out: (Pointer | null)[] = [null]
  const count = list(out)
  const array = out[0]
  if (array === null || array === undefined) return []
  try {
    return pointersAt(array, count).map(work)
  } finally {
    freeAll(array)
  }
}

/** Text of `bytes` up to its first NUL. */
function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

/** Typed parameters by name. 64-bit integers are bigint, the others numbers. */
export function parametersAt(address: Pointer | null, count: number): Map<string, ParameterValue> {
  const values = new Map<string, ParameterValue>()
  if (address === null || count <= 0) return values
  const bytes = bytesAt(address, count * PARAMETER_BYTES)
  for (let at = 0; at < bytes.length; at += PARAMETER_BYTES) {
    const name = textOf(bytes.subarray(at, at + PARAMETER_NAME_BYTES))
    const value = at + PARAMETER_VALUE_OFFSET
    switch (bytes.readInt32LE(at + PARAMETER_NAME_BYTES)) {
      case INT: values.set(name, bytes.readInt32LE(value)); break
      case UINT: values.set(name, bytes.readUInt32LE(value)); break
      case LLONG: values.set(name, bytes.readBigInt64LE(value)); break
      case ULLONG: values.set(name, bytes.readBigUInt64LE(value)); break
      case DOUBLE: values.set(name, bytes.readDoubleLE(value)); break
      case BOOLEAN: values.set(name, bytes.readInt8(value) !== 0); break
      case STRING: {
        const text = bytes.readBigUInt64LE(value)
        if (text !== 0n) values.set(name, koffi.decode.string(text) ?? '')
        break
      }
    }
  }
  return values
}

export interface StatsEntry { readonly object: Pointer; readonly parameters: Map<string, ParameterValue> }

/** struct _virDomainStatsRecord: domain, parameters, count. */
export function statsRecordAt(address: Pointer): StatsEntry {
  const bytes = bytesAt(address, 3 * POINTER_BYTES)
  return { object: bytes.readBigUInt64LE(0), parameters: parametersAt(bytes.readBigUInt64LE(8), bytes.readInt32LE(16)) }
}

/** The uuid of a domain, pool or network: `get` is its virXGetUUIDString. */
export function uuidOf(get: (object: Pointer, text: Uint8Array) => number, object: Pointer): string {
  const text = Buffer.alloc(UUID_TEXT_BYTES)
  get(object, text)
  return textOf(text)
}

/** libvirt's text at an address; '' for NULL. */
export const textAt = (address: Pointer | null): string => address === null ? '' : koffi.decode.string(address) ?? ''

/** Parameters of a call, made by libvirt's own functions and freed after `work`. */
export function withParameters<T>(lib: Library, wanted: Readonly<Record<string, string | number | undefined>>, work: (parameters: Pointer | null, count: number) => T): T {
  const parameters: (Pointer | null)[] = [null]
  const count = [0]
  const capacity = [0]
  try {
    for (const [name, value] of Object.entries(wanted)) {
      if (typeof value === 'string') lib.virTypedParamsAddString(parameters, count, capacity, name, value)
      else if (value !== undefined) lib.virTypedParamsAddULLong(parameters, count, capacity, name, value)
    }
    return work(parameters[0] ?? null, count[0] ?? 0)
  } finally {
    if (parameters[0] !== null && parameters[0] !== undefined) lib.virTypedParamsFree(parameters[0], count[0] ?? 0)
  }
}
