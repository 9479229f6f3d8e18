// console.* inside an isolate: one frame a line, texts cut and a budget of bytes per run, after which one
// last line says that the rest was dropped.

import { CONSOLE_FIELDS, CONSOLE_LEVELS, FROM_LANE } from '../frames.ts'
import { elementAtWork, host, job } from './host.ts'
import { redacted } from './secrets.ts'
import { ArrayIsArray, ErrorConstructor, ObjectKeys, JSONStringify, stringSlice, StringConstructor } from './primordials.ts'

const LINE_CHARS_MAX = 8_192
const DEPTH_MAX = 3
const ENTRIES_MAX = 50

function show(value: unknown, depth: number): string {
  if (typeof value === 'string') return depth === 0 ? value : JSONStringify(value) as string
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return `[function ${value.name}]`
  if (typeof value !== 'object' || value === null) return StringConstructor(value)
  if (value instanceof ErrorConstructor) return value.stack ?? `${value.name}: ${value.message}`
  if (value instanceof Date || value instanceof RegExp) return StringConstructor(value)
  if (depth >= DEPTH_MAX) return ArrayIsArray(value) ? '[...]' : '{...}'
  if (value instanceof Map) return `Map ${show([...value].slice(0, ENTRIES_MAX), depth + 1)}`
  if (value instanceof Set) return `Set ${show([...value].slice(0, ENTRIES_MAX), depth + 1)}`
  const list = ArrayIsArray(value)
  const keys = ObjectKeys(value)
  let text = ''
  for (let i = 0; i < keys.length && i < ENTRIES_MAX; i++) {
    const key = keys[i] as string
    text += (i === 0 ? '' : ', ') + (list ? '' : `${key}: `) + show((value as Record<string, unknown>)[key], depth + 1)
  }
  if (keys.length > ENTRIES_MAX) text += `, ... ${keys.length - ENTRIES_MAX} more`
  return list ? `[${text}]` : text === '' ? '{}' : `{ ${text} }`
}

function line(level: number, args: readonly unknown[]): void {
  if (job.id === 0 || job.consoleBytesLeft <= 0) return
  let text = ''
  for (let i = 0; i < args.length && text.length < LINE_CHARS_MAX; i++) {
    let part: string
    try { part = show(args[i], 0) } catch { part = '[a value that cannot be shown]' }
    text += (i === 0 ? '' : ' ') + part
  }
  post(level, stringSlice(redacted(text), 0, LINE_CHARS_MAX), elementAtWork())
}

function post(flags: number, text: string, element: number): void {
  job.consoleBytesLeft -= text.length + 1
  if (job.consoleBytesLeft <= 0) host.post(FROM_LANE.console, job.id, 0, element + 1, 0, flags & ~CONSOLE_FIELDS, '(the console budget of this run is used up: the rest is dropped)', undefined)
  else host.post(FROM_LANE.console, job.id, 0, element + 1, 0, flags, text, undefined)
}

/** What JSON has no form for, in a form that it has. */
function jsonForm(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') return show(value, 1)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof ErrorConstructor) return { message: value.message, code: (value as { code?: unknown }).code, stack: value.stack }
  return value instanceof Map || value instanceof Set ? show(value, 0) : value
}

/** A structured line: one post, as any other. Fields that do not fit, or cannot be told, become text. */
export function logLine(level: string, text: string, fields: Readonly<Record<string, unknown>> | undefined, element: number): void {
  if (job.id === 0 || job.consoleBytesLeft <= 0) return
  let number = 0
  for (let i = 0; i < CONSOLE_LEVELS.length; i++) if (CONSOLE_LEVELS[i] === level) number = i
  const owner = element >= 0 ? element : elementAtWork()
  if (fields === undefined) return post(number, stringSlice(redacted(text), 0, LINE_CHARS_MAX), owner)
  let told: string | undefined
  try { told = redacted(JSONStringify([text, fields], jsonForm) as string) } catch { told = undefined }
  if (told !== undefined && told.length <= LINE_CHARS_MAX) return post(number | CONSOLE_FIELDS, told, owner)
  let shown: string
  try { shown = show(fields, 1) } catch { shown = '[fields that cannot be shown]' }
  post(number, stringSlice(redacted(`${text} ${shown}`), 0, LINE_CHARS_MAX), owner)
}

export function makeConsole(): object {
  const methods: Record<string, (...args: unknown[]) => void> = {}
  for (let level = 0; level < CONSOLE_LEVELS.length; level++) methods[CONSOLE_LEVELS[level] as string] = (...args) => line(level, args)
  const { log, error } = methods as { log: (...args: unknown[]) => void; error: (...args: unknown[]) => void }
  return { ...methods, trace: log, dir: log, table: log, assert: (ok: unknown, ...args: unknown[]) => { if (!ok) error('Assertion failed:', ...args) } }
}
