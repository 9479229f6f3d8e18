// A line of the console as a cell posts it (prelude/console.ts) -> what the kernel is told. Made inside, so believed only as far as it
// parses; its bounds were kept inside and by job-run.ts.

import type { ConsoleLine } from '../contract.ts'
import { CONSOLE_FIELDS, CONSOLE_LEVELS } from './frames.ts'

export function readConsole(flags: number, words: string, element: number): ConsoleLine {
  const level = CONSOLE_LEVELS[flags & ~CONSOLE_FIELDS] ?? 'log'
  if ((flags & CONSOLE_FIELDS) === 0) return { level, text: words, element }
  try {
    const [text, fields] = JSON.parse(words) as unknown[]
    if (typeof text === 'string' && typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return { level, text, element, fields: fields as Record<string, unknown> }
  } catch {
    // Told as it came.
  }
  return { level, text: words, element }
}
