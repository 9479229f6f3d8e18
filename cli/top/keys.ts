// Keys of `kumoi top`: what was typed -> what is looked at. Pure.

import { SECTIONS } from './contract.ts'
import type { Look } from './contract.ts'

const CTRL_C = '\u0003'
const STEPS: Readonly<Record<string, 'up' | 'down' | 'page-up' | 'page-down' | 'top' | 'bottom'>> = {
  '\u001b[A': 'up', 'k': 'up', '\u001b[B': 'down', 'j': 'down', '\u001b[5~': 'page-up', '\u001b[6~': 'page-down', ' ': 'page-down',
  '\u001b[H': 'top', '\u001b[1~': 'top', 'g': 'top', '\u001b[F': 'bottom', '\u001b[4~': 'bottom', 'G': 'bottom',
}
const SORTS: Readonly<Record<string, Look['sort']>> = { c: 'cpu', n: 'name', m: 'memory' }

/** What is typed at once may be several keys: escape sequences whole, the rest a character each. */
export const keysIn = (typed: string): readonly string[] => typed.match(/\u001b\[[0-9;]*[A-Za-z~]|[\s\S]/g) ?? []

/** `rows` of the focused section, `page` of them shown; 'quit' ends it. Other keys change nothing. */
export function press(look: Look, key: string, { rows, page }: { readonly rows: number; readonly page: number }): Look | 'quit' {
  if (key === 'q' || key === 'Q' || key === CTRL_C) return 'quit'
  if (key === '\t' || key === '\u001b[Z') {
    const at = SECTIONS.indexOf(look.focus) + (key === '\t' ? 1 : SECTIONS.length - 1)
    return { ...look, focus: SECTIONS[at % SECTIONS.length] ?? look.focus, scroll: 0 }
  }
  const sort = SORTS[key]
  if (sort !== undefined) return { ...look, sort, scroll: 0 }
  // A list that became shorter has moved already.
  const last = Math.max(0, rows - page), at = Math.min(look.scroll, last)
  switch (STEPS[key]) {
    case 'up': return { ...look, scroll: Math.max(0, at - 1) }
    case 'down': return { ...look, scroll: Math.min(last, at + 1) }
    case 'page-up': return { ...look, scroll: Math.max(0, at - page) }
    case 'page-down': return { ...look, scroll: Math.min(last, at + page) }
    case 'top': return { ...look, scroll: 0 }
    case 'bottom': return { ...look, scroll: last }
    default: return look
  }
}
