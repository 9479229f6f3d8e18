// Reading a definition that came out of a sandbox, so by somebody who may not be believed: every field is looked at, unknown
// ones are named with the one that was likely meant. Each refusal has the path and what would be right. Pure.

import { LIMITS, nearest } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { formatDuration, parseDuration } from './durations.ts'

export type Fields = Readonly<Record<string, unknown>>

export class DefinitionReader {
  /** Of the function, for messages. */
  readonly name: string

  constructor(name: string) { this.name = name }

  refuse(path: string, expected: string, got: unknown): never {
    throw FUNCTIONS.DEFINITION_INVALID({ name: this.name, path, expected, got: shown(got) })
  }

  /** A plain object with no other fields than `known`. */
  fields(value: unknown, path: string, known: readonly string[]): Fields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.refuse(path, `an object with ${known.join(', ')}`, value)
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue
      const near = nearest(key, known)
      const whole = path === 'the definition' ? key : `${path}.${key}`
      this.refuse(whole, `left out (${near === undefined ? `there is ${known.join(', ')}` : `did you mean ${near}?`})`, (value as Fields)[key])
    }
    return value as Fields
  }

  list(value: unknown, path: string, countMax: number): readonly unknown[] {
    if (value === undefined) return []
    return Array.isArray(value) && value.length <= countMax ? value : this.refuse(path, `a list of at most ${countMax}`, value)
  }

  text(value: unknown, path: string, expected: string, form: RegExp): string {
    return typeof value === 'string' && form.test(value) ? value : this.refuse(path, expected, value)
  }

  flag(value: unknown, path: string): boolean {
    return value === undefined ? false : typeof value === 'boolean' ? value : this.refuse(path, 'true or false', value)
  }

  count(value: unknown, path: string, otherwise: number, min: number, max: number): number {
    if (value === undefined) return otherwise
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : this.refuse(path, `an integer from ${min} to ${max}`, value)
  }

  duration(value: unknown, path: string, otherwise: number | undefined, min: number, max: number): number {
    if (value === undefined && otherwise !== undefined) return otherwise
    const ms = typeof value === 'string' ? parseDuration(value) : undefined
    return ms !== undefined && ms >= min && ms <= max ? ms : this.refuse(path, `a duration from ${formatDuration(min)} to ${formatDuration(max)}, such as "5s"`, value)
  }

  /** A function, as the sandbox's entry describes one. */
  isFunction(value: unknown): boolean {
    return typeof value === 'object' && value !== null && typeof (value as Fields)['function'] === 'string' && Object.keys(value).length === 1
  }
}

const SHOWN_CHARS = 80

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'object' && value !== null && typeof (value as Fields)['function'] === 'string') return 'a function'
  const text = asJson(value) ?? `a ${typeof value}`
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}...` : text
}

function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))
  } catch {
    // A cycle, or a toJSON of its own that throws: said by its type.
    return undefined
  }
}

export const descriptionForm = new RegExp(`^[^]{0,${LIMITS.functionDescriptionChars}}$`)
