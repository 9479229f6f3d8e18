// The user's text -> JavaScript that V8 can run, or an error that shows where. Types become blanks of
// the same length, so that line and column of every later error are those of the text as typed.

import { stripTypeScriptTypes } from 'node:module'

import { errorCode } from '../fabric/base.ts'
import { CLI } from './errors.ts'

/** The text stops in the middle: a REPL asks for more, a one-liner fails with `error`. */
export interface Incomplete { readonly incomplete: true; readonly error: Error }
export interface Script { readonly incomplete: false; readonly code: string }

const INCOMPLETE = /got '<eof>'|Unterminated (?:template|block comment|string constant)|Expression expected|Unexpected end of input|missing \) after argument list/

/** Node puts the place before the message: ":2\n<line>\n   ^^^\n\nSyntaxError ...". */
function excerptOf(error: Error): string {
  const [, ...lines] = (error.stack ?? '').split('\n\n')[0]?.split('\n') ?? []
  return lines.join('\n')
}

/** Hides the one-time notice that stripping types at run time is young. */
function strip(source: string): string {
  const emit = process.emitWarning
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emit
  }
}

/** `{ a: 1 }` is meant as an object, not as a block with a label. */
const looksLikeObject = (source: string): boolean => /^\s*\{/.test(source) && !/;\s*$/.test(source)

export function toScript(source: string): Script | Incomplete {
  if (looksLikeObject(source)) {
    try {
      return { incomplete: false, code: strip(`(${source}\n)`) }
    } catch {
      // Then it is a block after all.
    }
  }
  try {
    return { incomplete: false, code: strip(source) }
  } catch (error) {
    if (!(error instanceof Error) || errorCode(error)?.endsWith('_TYPESCRIPT_SYNTAX') !== true) throw error
    const failure = CLI.SYNTAX({ reason: error.message, excerpt: excerptOf(error) }, { cause: error })
    // "Expression expected" is an end of input only when the mark stands after the last word.
    const atEnd = INCOMPLETE.test(error.message) && (!error.message.startsWith('Expression expected') || /(?:=>|[([{,=+*/&|?:.-])\s*$/.test(source))
    if (!atEnd) throw failure
    return { incomplete: true, error: failure }
  }
}

/** A caret under one column (0-based) of one line of the text. */
export function caret(source: string, line: number, column: number): string {
  return `${source.split('\n')[line] ?? ''}\n${' '.repeat(column)}^`
}
