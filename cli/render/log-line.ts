// One line of a function for people: time of day, node, level, text; fields and stacks dimmed.

import type { LogLine } from '../../functions/mod.ts'
import { toJson } from './json.ts'
import type { Style } from './style.ts'
import { neutral, neutralLine } from './text.ts'

const LEVEL_CHARS = 6

const paint = (level: LogLine['level'], text: string, style: Style): string =>
  level === 'error' ? style.red(text) : level === 'warn' ? style.yellow(text) : level === 'system' ? style.cyan(text) : style.dim(text)

/** `withName`: lines of several functions stand together. Without a final line break; a stack follows on lines of its own, and further lines of a text are set in, so that none looks like one of another function. */
export function logText({ atMs, node, name, level, text, fields }: LogLine & { readonly node: string }, { style, withName }: { readonly style: Style; readonly withName: boolean }): string {
  const { stack, ...rest } = fields ?? {}
  const time = new Date(atMs).toISOString().slice(11, 23)
  const head = [style.dim(time), neutralLine(node), paint(level, level.padEnd(LEVEL_CHARS), style), ...(withName && name !== '' ? [style.bold(neutralLine(name))] : [])]
  const tail = Object.keys(rest).length === 0 ? [] : [style.dim(toJson(rest))]
  const frames = typeof stack === 'string' ? neutral(stack).split('\n').slice(1).filter((frame) => frame !== '') : []
  return [[...head, ...(text === '' ? [] : [neutral(text).replaceAll('\n', '\n    ')]), ...tail].join(' '), ...frames.map((frame) => style.dim(`    ${frame.trim()}`))].join('\n')
}
