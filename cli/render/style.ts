// Colours: the only file that knows picocolors. Chosen once, from --no-color, NO_COLOR, FORCE_COLOR and
// whether the stream is a terminal (no-color.org).

import colors from 'picocolors'

export interface Style {
  bold(text: string): string
  dim(text: string): string
  red(text: string): string
  green(text: string): string
  yellow(text: string): string
  cyan(text: string): string
}

export const PLAIN_STYLE: Style = { bold: String, dim: String, red: String, green: String, yellow: String, cyan: String }

export interface ColorWish {
  /** From the command line: false when --no-color was given. */
  readonly color: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly terminal: boolean
}

/** The command line beats NO_COLOR, which beats FORCE_COLOR, which beats what the stream is. */
export function wantsColor(wish: ColorWish): boolean {
  if (!wish.color) return false
  if ((wish.env['NO_COLOR'] ?? '') !== '') return false
  const forced = wish.env['FORCE_COLOR']
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return wish.terminal && wish.env['TERM'] !== 'dumb'
}

export function styleFor(wish: ColorWish): Style {
  if (!wantsColor(wish)) return PLAIN_STYLE
  const { bold, dim, red, green, yellow, cyan } = colors.createColors(true)
  return { bold, dim, red, green, yellow, cyan }
}
