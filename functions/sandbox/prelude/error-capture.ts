// Whatever user code threw -> error record as JSON text, inside the isolate. Getters and traps of a
// hostile error run here, in its own realm and on its own time, never at the boundary or in the host
// (reliability.md rows 16, 17, 19, 38): texts are cut, causes bounded, and the record is assembled from
// primitive strings only. The stack ends where the prelude's own frames begin.

import { JSONStringify, StringConstructor, stringIndexOf, stringSlice } from './primordials.ts'

const MESSAGE_CHARS_MAX = 8_192
const STACK_CHARS_MAX = 8_192
const NAME_CHARS_MAX = 128
const CAUSES_MAX = 4
const PRELUDE_FRAME = 'kumoi:prelude:'

/** Error thrown by the prelude itself, with a code of the FUNCTIONS table. */
export class SandboxError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    // As every coded error is called on the other side.
    this.name = 'CodedError'
    this.code = code
  }
}

const quote = (text: string): string => JSONStringify(text) as string

function readText(value: unknown, key: string, charsMax: number): string | undefined {
  try {
    const text = (value as Record<string, unknown>)[key]
    return typeof text === 'string' ? stringSlice(text, 0, charsMax) : undefined
  } catch {
    return undefined
  }
}

function describe(value: unknown): string {
  try {
    const text = typeof value === 'symbol' ? 'a symbol' : StringConstructor(value)
    // What a thrown plain object holds says more than that it is one.
    const shown: unknown = text === '[object Object]' ? JSONStringify(value) : text
    return stringSlice(typeof shown === 'string' ? shown : text, 0, MESSAGE_CHARS_MAX)
  } catch {
    return 'a value that cannot be shown'
  }
}

function ownFrames(stack: string): string {
  const at = stringIndexOf(stack, PRELUDE_FRAME)
  if (at < 0) return stack
  let end = at
  while (end > 0 && stack[end] !== '\n') end--
  return stringSlice(stack, 0, end)
}

export function errorJson(thrown: unknown, fallbackCode: string, index: number | undefined, depth = 0): string {
  const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function'
  const message = isObject ? readText(thrown, 'message', MESSAGE_CHARS_MAX) ?? describe(thrown) : describe(thrown)
  const name = isObject ? readText(thrown, 'name', NAME_CHARS_MAX) : 'NonError'
  const stack = isObject ? readText(thrown, 'stack', STACK_CHARS_MAX) : undefined
  const code = isObject ? readText(thrown, 'code', NAME_CHARS_MAX) : undefined
  let cause: unknown
  try {
    cause = isObject && depth < CAUSES_MAX ? (thrown as { cause?: unknown }).cause : undefined
  } catch {
    cause = undefined
  }
  return '{"code":' + quote(code ?? fallbackCode) + ',"message":' + quote(message)
    + (name === undefined ? '' : ',"name":' + quote(name))
    + (stack === undefined ? '' : ',"stack":' + quote(ownFrames(stack)))
    + (cause === undefined ? '' : ',"cause":' + errorJson(cause, fallbackCode, undefined, depth + 1))
    + (index === undefined ? '' : ',"details":{"index":' + index + '}') + '}'
}
