// Text for a terminal: what a stranger's value may not do to it, and how wide it is there.
//
// Results come from other machines; a string in them may hold escape sequences that move the cursor,
// retitle the window or answer in the user's name. Nothing reaches a terminal but through `neutral`.

// C0 (but tab and newline), DEL, C1, zero-width and bidirectional controls, line separators.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
const UNSAFE_OR_BREAK = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

const visible = (char: string): string => {
  if (char === '\n') return '\\n'
  if (char === '\t') return '\\t'
  if (char === '\r') return '\\r'
  if (char === '\u001b') return '\\e'
  const point = char.charCodeAt(0)
  return point <= 0xff ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u${point.toString(16).padStart(4, '0')}`
}

/** Control characters made visible; line breaks and tabs stay. */
export const neutral = (text: string): string => text.replaceAll('\r\n', '\n').replace(UNSAFE, visible)

/** The same for one cell or one line: breaks and tabs are made visible too. */
export const neutralLine = (text: string): string => text.replace(UNSAFE_OR_BREAK, visible)

/** Prints as ASCII only: then one character is one cell, and most text is. */
const ASCII = /^[\x20-\x7e]*$/
const ZERO = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]+$/u
// Shown as a picture by default, or asked to be by a variation selector.
const EMOJI = /\p{Emoji_Presentation}|\ufe0f/u
// Unicode TR11 wide and fullwidth blocks.
const WIDE = /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u

// Made when first needed: it costs 30 ms, and most output is ASCII.
let segmenter: Intl.Segmenter | undefined
const graphemes = (text: string): Iterable<{ readonly segment: string }> =>
  (segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' })).segment(text)

const cells = (grapheme: string): number => {
  if (ASCII.test(grapheme)) return 1
  if (ZERO.test(grapheme)) return 0
  return EMOJI.test(grapheme) || WIDE.test(grapheme) ? 2 : 1
}

/** Terminal cells taken by a line without control characters. */
export function width(text: string): number {
  if (ASCII.test(text)) return text.length
  let sum = 0
  for (const { segment } of graphemes(text)) sum += cells(segment)
  return sum
}

/** The longest beginning that fits in `columns`, with an ellipsis when something was cut. */
export function truncate(text: string, columns: number): string {
  if (text.length <= columns && ASCII.test(text)) return text
  if (width(text) <= columns) return text
  let kept = '', used = 0
  for (const { segment } of graphemes(text)) {
    const step = cells(segment)
    if (used + step > columns - 1) break
    kept += segment
    used += step
  }
  return columns < 1 ? '' : `${kept}…`
}

/** Fills with spaces up to `columns`; `right` puts the text at the right edge. */
export function pad(text: string, columns: number, side: 'left' | 'right'): string {
  const gap = ' '.repeat(Math.max(0, columns - width(text)))
  return side === 'right' ? gap + text : text + gap
}
