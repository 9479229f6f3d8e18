// Schemas of arguments, attributes, results and events: small values that check what they describe.
//
// A Type<T> checks an unknown value and gives it back as T, or throws RMO_ERR_ARGUMENT_INVALID with the
// call and the property path. TypeScript infers T (Infer<typeof schema>). A type also carries its unit,
// so that tables, completion and the conformance suite derive from it. Pure; loads no I/O.

import { nearest } from '../fabric/base.ts'
import { REFERENCE } from '../functions/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'

/** What a number counts. The suffix that an attribute of that unit must end in is UNIT_SUFFIX. */
export type Unit = 'ratio' | 'bytes' | 'seconds' | 'milliseconds' | 'mebibytes' | 'kibibytes-per-second' | 'count' | 'runnable-tasks'

/** House rule: the unit stands last in the name. 'count' and 'runnable-tasks' (load averages) are bare words. */
export const UNIT_SUFFIX: Readonly<Record<Unit, string>> = {
  ratio: 'Ratio', bytes: 'Bytes', seconds: 'Seconds', milliseconds: 'Ms', mebibytes: 'MiB', 'kibibytes-per-second': 'KiBps', count: '', 'runnable-tasks': '',
}

/** Where a value stands: the call it is an argument of, and the path inside it. */
export interface Place { readonly call: string; readonly path: string }

export interface Type<T> {
  /** For people, as it stands after "must be": "a string", "an integer of bytes". */
  readonly expected: string
  readonly unit: Unit | undefined
  check(value: unknown, at: Place): T
  /** As an attribute: what holders see of a value that was assigned in another form (a function, by its name). */
  show?(value: unknown): unknown
  /** What is sent instead of a value that cannot travel as it is (a function becomes its captured text); at the caller, after check(). */
  travel?(value: unknown, at: Place): unknown
}
/** A record's field or a parameter that may be left out. */
export interface OptionalType<T> extends Type<T | undefined> { readonly optional: true }

export type Infer<S> = S extends Type<infer T> ? T : never

const GOT_CHARS_MAX = 60

/** A value as an error message shows it: short, and never its secrets in full. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > GOT_CHARS_MAX ? `${value.slice(0, GOT_CHARS_MAX)}...` : value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return 'a bigint'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (isBytes(value)) return `${value.length} bytes`
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const refuse = (type: { readonly expected: string }, value: unknown, at: Place): never => {
  throw RMO.ARGUMENT_INVALID({ call: at.call, path: at.path, expected: type.expected, got: shown(value) })
}

function simple<T>(expected: string, unit: Unit | undefined, accepts: (value: unknown) => value is T): Type<T> {
  const type: Type<T> = { expected, unit, check: (value, at) => accepts(value) ? value : refuse(type, value, at) }
  return type
}

/** Characters of a string argument, unless a type says otherwise. */
const TEXT_CHARS_MAX = 65_536

export const text = (options: { readonly charsMax?: number; readonly pattern?: RegExp; readonly expected?: string } = {}): Type<string> => {
  const charsMax = options.charsMax ?? TEXT_CHARS_MAX
  return simple(options.expected ?? 'a string', undefined, (value): value is string =>
    typeof value === 'string' && value.length <= charsMax && (options.pattern === undefined || options.pattern.test(value)))
}

export const boolean = (): Type<boolean> => simple('true or false', undefined, (value) => typeof value === 'boolean')

const inRange = (value: unknown, min: number, max: number): value is number =>
  typeof value === 'number' && value >= min && value <= max

const rangeText = (min: number, max: number): string =>
  max === Number.MAX_SAFE_INTEGER || max === Infinity ? (min === -Infinity ? '' : ` of at least ${min}`) : ` from ${min} to ${max}`

interface NumberOptions { readonly unit: Unit; readonly min?: number; readonly max?: number }

export const number = (options: NumberOptions): Type<number> => {
  const min = options.min ?? 0, max = options.max ?? Infinity
  return simple(`a number (${options.unit})${rangeText(min, max)}`, options.unit, (value) => inRange(value, min, max))
}
export const integer = (options: NumberOptions): Type<number> => {
  const min = options.min ?? 0, max = options.max ?? Number.MAX_SAFE_INTEGER
  return simple(`an integer (${options.unit})${rangeText(min, max)}`, options.unit,
    (value): value is number => Number.isSafeInteger(value) && inRange(value, min, max))
}
export const ratio = (): Type<number> => number({ unit: 'ratio', min: 0, max: 1 })
export const byteCount = (options: { readonly min?: number; readonly max?: number } = {}): Type<number> => integer({ unit: 'bytes', ...options })

export const oneOf = <const V extends readonly string[]>(...values: V): Type<V[number]> =>
  simple(values.map((value) => `"${value}"`).join(' or '), undefined, (value): value is V[number] => typeof value === 'string' && values.includes(value))

/** By tag, not by instanceof: a shell evaluates expressions in a realm of its own. */
const isBytes = (value: unknown): value is Uint8Array => Object.prototype.toString.call(value) === '[object Uint8Array]'
export const bytes = (): Type<Uint8Array> => simple('bytes (Uint8Array)', undefined, isBytes)

export const uuid = (): Type<string> =>
  text({ pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, expected: 'a uuid' })

/** Anything plain; for results whose shape the kind's interface states. */
export const anything = (expected = 'plain data'): Type<unknown> => simple(expected, undefined, (_value): _value is unknown => true)
/** A verb that answers nothing. */
export const nothing = (): Type<undefined> => simple('nothing', undefined, (value) => value === undefined)

export const list = <T>(of: Type<T>, options: { readonly itemsMax?: number } = {}): Type<readonly T[]> => {
  const itemsMax = options.itemsMax ?? 4_096
  const type: Type<readonly T[]> = {
    expected: `an array of at most ${itemsMax}, each ${of.expected}`, unit: undefined,
    check(value, at) {
      if (!Array.isArray(value) || value.length > itemsMax) return refuse(type, value, at)
      return Array.from(value, (item: unknown, i) => of.check(item, { call: at.call, path: `${at.path}[${i}]` }))
    },
  }
  return type
}

/** A string-keyed map with values of one type. */
export const dictionary = <T>(of: Type<T>, options: { readonly entriesMax?: number } = {}): Type<Readonly<Record<string, T>>> => {
  const entriesMax = options.entriesMax ?? 256
  const type: Type<Readonly<Record<string, T>>> = {
    expected: `an object of at most ${entriesMax} entries, each ${of.expected}`, unit: undefined,
    check(value, at) {
      if (!isPlain(value)) return refuse(type, value, at)
      const entries = Object.entries(value)
      if (entries.length > entriesMax) return refuse(type, value, at)
      // fromEntries makes own data properties, so that a key "__proto__" stays a plain entry.
      return Object.fromEntries(entries.map(([key, item]) => [key, of.check(item, { call: at.call, path: `${at.path}.${key}` })]))
    },
  }
  return type
}

export const either = <A, B>(a: Type<A>, b: Type<B>): Type<A | B> => {
  const type: Type<A | B> = {
    expected: `${a.expected} or ${b.expected}`, unit: a.unit,
    check(value, at) {
      try { return a.check(value, at) } catch { /* the second alternative decides */ }
      try { return b.check(value, at) } catch { return refuse(type, value, at) }
    },
  }
  return type
}

export const optional = <T>(of: Type<T>): OptionalType<T> => {
  const { travel } = of
  return {
    optional: true, expected: `${of.expected}, or nothing`, unit: of.unit,
    check: (value, at) => value === undefined ? undefined : of.check(value, at),
    ...(travel === undefined ? {} : { travel: (value, at) => value === undefined ? undefined : travel(value, at) }),
  }
}
export const isOptional = (type: Type<unknown>): boolean => (type as { readonly optional?: unknown }).optional === true

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // An object of another realm (a shell's vm context) has another Object.prototype, whose prototype is null too.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

export type Fields = Readonly<Record<string, Type<unknown>>>
type OptionalKeys<F> = { [K in keyof F]: F[K] extends { readonly optional: true } ? K : never }[keyof F]
export type RecordOf<F extends Fields> =
  { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Infer<F[K]> } &
  { readonly [K in OptionalKeys<F>]?: Exclude<Infer<F[K]>, undefined> }

/** An object with exactly these fields; unknown ones are refused by name, absent optional ones stay absent. */
export const record = <F extends Fields>(fields: F): Type<RecordOf<F>> & { readonly fields: F } => {
  const known = Object.keys(fields)
  const travellers = Object.entries(fields).flatMap(([key, { travel }]) => travel === undefined ? [] : [{ key, travel }])
  const type: Type<RecordOf<F>> & { readonly fields: F } = {
    ...(travellers.length === 0 ? {} : {
      travel(value, { call, path }) {
        const sent = { ...value as Readonly<Record<string, unknown>> }
        for (const { key, travel } of travellers) if (Object.hasOwn(sent, key)) sent[key] = travel(sent[key], { call, path: `${path}.${key}` })
        return sent
      },
    }),
    fields, expected: `an object {${known.join(', ')}}`, unit: undefined,
    check(value, at) {
      if (!isPlain(value)) return refuse(type, value, at)
      const stray = Object.keys(value).find((key) => !Object.hasOwn(fields, key))
      if (stray !== undefined) throw RMO.ARGUMENT_UNKNOWN({ call: at.call, path: `${at.path}.${stray}`, known, near: nearest(stray, known) })
      const checked: Record<string, unknown> = {}
      for (const [key, field] of Object.entries(fields)) {
        const item = field.check(Object.hasOwn(value, key) ? value[key] : undefined, { call: at.call, path: `${at.path}.${key}` })
        if (item !== undefined) checked[key] = item
      }
      return checked as RecordOf<F>
    },
  }
  return type
}

/** A reference to an object of a kind, as an argument or a result; checked to its record. */
export const reference = (kind: string): Type<ReferenceRecord> => {
  const type: Type<ReferenceRecord> = {
    expected: `a ${kind}`, unit: undefined,
    check(value, at) {
      const found = referenceRecord(value)
      return found !== undefined && found.kind === kind ? found : refuse(type, value, at)
    },
  }
  return type
}

/** The record that a reference carries (a shell's reference, a sandbox's handle, a decoded argument); undefined for anything else. */
export function referenceRecord(value: unknown): ReferenceRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as { readonly [REFERENCE]?: ReferenceRecord })[REFERENCE]
}

/** A reference as plain data, as verbs return one: the value codec sees it by its REFERENCE property. */
export const bareReference = (record: ReferenceRecord): { readonly [REFERENCE]: ReferenceRecord } => Object.freeze({ [REFERENCE]: record })
