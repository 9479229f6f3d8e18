// A text put together anew from slices of another one and words of our own, with the source map to match. Pure.
// Used by sites.ts: a shipped function stands in the bundle twice, at its place and in the table of sites, and a throw
// in either must tell the same line of the user's file.
//
// Source map revision 3: per generated line, segments [column, source, line, column, name], all but the first column
// relative to the segment before, in base64 VLQ.

/** One mapping; lines and columns from 0. */
export interface Segment { readonly line: number; readonly column: number; readonly source: number; readonly sourceLine: number; readonly sourceColumn: number; readonly name: number | undefined }

export interface SourceMapText {
  readonly version: 3
  readonly sources: readonly string[]
  readonly sourcesContent: readonly (string | null)[]
  readonly names: readonly string[]
  readonly mappings: string
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUE = new Map([...DIGITS].map((digit, value) => [digit, value]))

export function decodeMappings(mappings: string): Segment[] {
  const segments: Segment[] = []
  let source = 0, sourceLine = 0, sourceColumn = 0, name = 0
  mappings.split(';').forEach((group, line) => {
    let column = 0
    for (const text of group.split(',')) {
      const fields = decodeFields(text)
      if (fields.length === 0) continue
      column += fields[0] ?? 0
      if (fields.length < 4) continue
      source += fields[1] ?? 0
      sourceLine += fields[2] ?? 0
      sourceColumn += fields[3] ?? 0
      if (fields.length > 4) name += fields[4] ?? 0
      segments.push({ line, column, source, sourceLine, sourceColumn, name: fields.length > 4 ? name : undefined })
    }
  })
  return segments
}

function decodeFields(text: string): number[] {
  const fields: number[] = []
  let value = 0, shift = 0
  for (const digit of text) {
    const bits = VALUE.get(digit) ?? 0
    value += (bits & 31) << shift
    shift += 5
    if ((bits & 32) !== 0) continue
    fields.push((value & 1) === 1 ? -(value >>> 1) : value >>> 1)
    value = shift = 0
  }
  return fields
}

function encodeField(value: number): string {
  let rest = value < 0 ? -value << 1 | 1 : value << 1
  let text = ''
  do {
    const bits = rest & 31
    rest >>>= 5
    text += DIGITS[rest > 0 ? bits | 32 : bits]
  } while (rest > 0)
  return text
}

function encodeMappings(segments: readonly Segment[]): string {
  let text = ''
  let line = 0, column = 0, source = 0, sourceLine = 0, sourceColumn = 0, name = 0
  let first = true
  for (const segment of segments) {
    if (segment.line > line) {
      text += ';'.repeat(segment.line - line)
      line = segment.line
      column = 0
      first = true
    }
    if (!first) text += ','
    first = false
    text += encodeField(segment.column - column) + encodeField(segment.source - source) + encodeField(segment.sourceLine - sourceLine) + encodeField(segment.sourceColumn - sourceColumn)
    if (segment.name !== undefined) {
      text += encodeField(segment.name - name)
      name = segment.name
    }
    column = segment.column
    source = segment.source
    sourceLine = segment.sourceLine
    sourceColumn = segment.sourceColumn
  }
  return text
}

/** Where lines begin in a text. */
function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Index of the last element at or before `value`; `list` ascends. */
function lastAtMost(list: readonly number[], value: number): number {
  let low = 0, high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((list[middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}

export class Splicer {
  readonly #text: string
  readonly #segments: readonly Segment[]
  /** Offsets of the segments in the text. */
  readonly #offsets: readonly number[]
  readonly #parts: string[] = []
  readonly #made: Segment[] = []
  #line = 0
  #column = 0

  constructor(text: string, segments: readonly Segment[]) {
    this.#text = text
    this.#segments = segments
    const starts = lineStarts(text)
    this.#offsets = segments.map(({ line, column }) => (starts[line] ?? text.length) + column)
  }

  /** The mapping that covers an offset of the text. */
  segmentAt(offset: number): Segment | undefined { return this.#segments[lastAtMost(this.#offsets, offset)] }

  /** Words of our own; they have no place in the user's files. */
  insert(text: string): void {
    this.#parts.push(text)
    const lines = text.split('\n')
    if (lines.length > 1) this.#column = 0
    this.#line += lines.length - 1
    this.#column += (lines.at(-1) as string).length
  }

  slice(from: number, to: number): void {
    if (to <= from) return
    let at = from
    const first = lastAtMost(this.#offsets, from)
    const covering = this.#segments[first]
    if (covering !== undefined && (this.#offsets[first] as number) < from) this.#made.push({ ...covering, line: this.#line, column: this.#column })
    for (let i = covering !== undefined && this.#offsets[first] === from ? first : first + 1; i < this.#segments.length && (this.#offsets[i] as number) < to; i++) {
      const offset = this.#offsets[i] as number
      this.insert(this.#text.slice(at, offset))
      at = offset
      this.#made.push({ ...(this.#segments[i] as Segment), line: this.#line, column: this.#column })
    }
    this.insert(this.#text.slice(at, to))
  }

  finish(): { readonly text: string; readonly mappings: string } {
    return { text: this.#parts.join(''), mappings: encodeMappings(this.#made) }
  }
}
