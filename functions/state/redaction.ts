// Takes the values of secrets out of lines and errors, before anything keeps or sends them. Pure.
//
// Every secret that this node has opened counts, whoever writes: a value may have come to a function by way of another.
// Besides the value itself these forms of it are found: escaped in JSON, in a URL, hexadecimal, base64 in both alphabets
// and at each of the three places in which it may stand inside a longer encoded text ("user:" + value), and the longer
// lines of a value that has several (a key file). A function that disguises a secret on purpose is not stopped by this.

import { LIMITS } from '../../fabric/base.ts'
import type { ErrorRecord } from '../../fabric/base.ts'
import type { LogLine } from '../deployed.ts'

/** Pieces shorter than this are not looked for: they would be found in ordinary words. */
const PIECE_CHARS_MIN = 5
const LINE_CHARS_MIN = 16
/** Of one secret: the present value and the one before, which a running function may still hold. */
const VALUES_KEPT = 2
const DEPTH_MAX = 8

const REGEXP_SPECIAL = /[.*+?^${}()|[\]\\/]/g

/** The part of the base64 text of anything that ends or begins elsewhere which depends on `value` alone. */
function base64Core(value: Buffer, shift: number): string {
  const text = Buffer.concat([Buffer.alloc(shift), value]).toString('base64').replaceAll('=', '')
  const bits = (shift + value.length) * 8
  return text.slice(Math.ceil(shift * 8 / 6), Math.floor(bits / 6))
}

/** How a value may look in a text. */
function formsOf(value: string): readonly string[] {
  const bytes = Buffer.from(value)
  const base64 = [0, 1, 2].map((shift) => base64Core(bytes, shift))
  const hex = bytes.toString('hex')
  const encoded = [
    JSON.stringify(value).slice(1, -1), encodeURIComponent(value.toWellFormed()), hex, hex.toUpperCase(),
    ...base64, ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ].filter((form) => form.length >= PIECE_CHARS_MIN)
  const lines = value.split(/\r?\n/).filter((line) => line.length >= LINE_CHARS_MIN)
  return [...new Set([value, ...encoded, ...lines])]
}

export class Redactor {
  readonly #values = new Map<string, readonly string[]>()
  readonly #names = new Map<string, string>()
  #pattern: RegExp | undefined

  /** From now on `value` is not to be seen. Values that were there before are remembered. */
  know(name: string, value: string): void {
    const before = this.#values.get(name) ?? []
    if (before[0] === value) return
    this.#values.delete(name)
    this.#values.set(name, [value, ...before.filter((one) => one !== value)].slice(0, VALUES_KEPT))
    if (this.#values.size > LIMITS.secretsMax) for (const oldest of this.#values.keys()) { this.#values.delete(oldest); break }
    this.#names.clear()
    for (const [secret, values] of this.#values) for (const one of values) for (const form of formsOf(one)) this.#names.set(form, secret)
    // The longest first: a value that begins like another one goes as a whole.
    const forms = [...this.#names.keys()].sort((a, b) => b.length - a.length)
    this.#pattern = new RegExp(forms.map((form) => form.replaceAll(REGEXP_SPECIAL, '\\$&')).join('|'), 'g')
  }

  text(text: string): string {
    return this.#pattern === undefined ? text : text.replace(this.#pattern, (found) => `[secret ${this.#names.get(found) ?? ''}]`)
  }

  line(line: LogLine): LogLine {
    if (this.#pattern === undefined) return line
    const { text, fields, ...rest } = line
    return { ...rest, text: this.text(text), ...(fields === undefined ? {} : { fields: this.#data(fields, 0) as Record<string, unknown> }) }
  }

  error(error: ErrorRecord): ErrorRecord {
    if (this.#pattern === undefined) return error
    const { message, name, stack, details, cause } = error
    return {
      ...error, message: this.text(message),
      ...(name === undefined ? {} : { name: this.text(name) }), ...(stack === undefined ? {} : { stack: this.text(stack) }),
      ...(details === undefined ? {} : { details: this.#data(details, 0) as Record<string, unknown> }), ...(cause === undefined ? {} : { cause: this.error(cause) }),
    }
  }

  #data(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.text(value)
    if (typeof value !== 'object' || value === null) return value
    // What is so deep that it is not looked through is not passed on.
    if (depth >= DEPTH_MAX) return '[too deep]'
    if (Array.isArray(value)) return value.map((item) => this.#data(item, depth + 1))
    // Not plain (a Date, a Map, bytes): its text is what a line can hold of it.
    const prototype = Object.getPrototypeOf(value) as unknown
    if (prototype !== Object.prototype && prototype !== null) return this.text(ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value instanceof Date ? value.toJSON() : String(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.text(key), this.#data(item, depth + 1)]))
  }
}
