// What an object is, told apart by engine brand and not by prototype, so that values of other realms (REPL,
// vm) and subclasses are recognised and a forged Symbol.toStringTag is not believed.

const toString = Object.prototype.toString

/** Brands the value format carries. 'opaque' brands hold engine state that nothing can read. */
export type Brand =
  | 'object' | 'array' | 'map' | 'set' | 'date' | 'regexp' | 'buffer' | 'error' | 'boxed' | 'opaque'

const getter = (prototype: object, name: PropertyKey): ((this: unknown) => unknown) =>
  Object.getOwnPropertyDescriptor(prototype, name)?.get as (this: unknown) => unknown

const sizeOfMap = getter(Map.prototype, 'size')
const sizeOfSet = getter(Set.prototype, 'size')
const bytesOfBuffer = getter(ArrayBuffer.prototype, 'byteLength')
const sourceOfRegExp = getter(RegExp.prototype, 'flags')
const isError = (Error as unknown as { isError?: (value: unknown) => boolean }).isError ?? ((value: unknown) => value instanceof Error)

const passes = (probe: () => unknown): boolean => {
  try { probe(); return true } catch { return false }
}

/** `[object Map]` -> 'Map'. */
export const tagOf = (value: object): string => toString.call(value).slice(8, -1)

export function brandOf(value: object): Brand {
  if (Array.isArray(value)) return 'array'
  if (ArrayBuffer.isView(value)) return 'buffer'
  if (isError(value)) return 'error'
  const tag = tagOf(value)
  switch (tag) {
    case 'Object': return 'object'
    case 'Map': return passes(() => sizeOfMap.call(value)) ? 'map' : 'object'
    case 'Set': return passes(() => sizeOfSet.call(value)) ? 'set' : 'object'
    case 'Date': return passes(() => Date.prototype.getTime.call(value)) ? 'date' : 'object'
    case 'RegExp': return passes(() => sourceOfRegExp.call(value)) ? 'regexp' : 'object'
    case 'ArrayBuffer': return passes(() => bytesOfBuffer.call(value)) ? 'buffer' : 'object'
    case 'Number': case 'String': case 'Boolean': case 'BigInt': case 'Symbol':
      return typeof (value as { valueOf(): unknown }).valueOf() === 'object' ? 'object' : 'boxed'
    default: return isOwnTag(value) ? 'object' : 'opaque'
  }
}

/** A toStringTag that the user's own code put on a plain object or class says nothing of engine state. */
function isOwnTag(value: object): boolean {
  for (let holder: object | null = value; holder !== null; holder = Object.getPrototypeOf(holder) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(holder, Symbol.toStringTag)
    if (descriptor === undefined) continue
    if (holder === value) return true
    // Engine and host prototypes define a read-only tag or a native getter; user code writes neither by accident.
    if (descriptor.get === undefined) return descriptor.writable === true
    return !Function.prototype.toString.call(descriptor.get).includes('[native code]')
      && /^\s*class\b/.test(Function.prototype.toString.call((holder as { constructor?: unknown }).constructor ?? (() => 0)))
  }
  return false
}

const READ_FIRST: Readonly<Record<string, string>> = {
  Promise: 'await it first',
  WeakMap: 'use a Map', WeakSet: 'use a Set', WeakRef: 'use the object itself',
  Generator: 'collect it into an array first ([...it])', AsyncGenerator: 'collect it into an array first',
  SharedArrayBuffer: 'copy it into an ArrayBuffer', URL: 'use its href', Arguments: 'copy it with [...arguments]',
}

/** "a Promise", "an AsyncGenerator"; a U is spoken as in URL and Uint8Array. */
export const withArticle = (tag: string): string => `${'AEIO'.includes(tag[0] ?? '-') ? 'an' : 'a'} ${tag}`

/** What to write instead of an object that cannot be copied. */
export const hintFor = (tag: string): string =>
  READ_FIRST[tag] ?? (tag.endsWith('Iterator') ? 'collect it into an array first ([...it])' : 'take the plain data you need out of it')
