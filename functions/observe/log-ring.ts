// The lines of functions that a node remembers, bounded in lines and in bytes. Pure.
//
// Fair: when it is full, the oldest line of the function that holds most goes, so a flood pushes out itself only.
// Above its rate a function's lines are counted instead of kept; the count comes as a line of its own ("412 lines
// dropped") with the first line that is let through again, or when the caller asks (`overdue`).
// Each line has a number that grows by one; numbers are never used twice by one ring.

import { LIMITS } from '../../fabric/base.ts'
import type { LogLine } from '../deployed.ts'

export interface KeptLine { readonly seq: number; readonly line: LogLine; readonly bytes: number }

export interface LogFilter { readonly name?: string | undefined; readonly callId?: string | undefined; readonly level?: LogLine['level'] | undefined }

export interface LogRingLimits { readonly linesMax: number; readonly bytesMax: number; readonly lineBytesMax: number; readonly burstLines: number; readonly linesPerSecond: number }
const DEFAULTS: LogRingLimits = { linesMax: LIMITS.logRingLinesMax, bytesMax: LIMITS.logRingBytesMax, lineBytesMax: LIMITS.logLineBytesMax, burstLines: LIMITS.logBurstLines, linesPerSecond: LIMITS.logLinesPerSecond }

const RANK: Readonly<Record<LogLine['level'], number>> = { debug: 0, info: 1, warn: 2, error: 3, system: 4 }

/** `level` is the least; lines about a function ('system') pass every level. */
export const matches = (line: LogLine, { name, callId, level }: LogFilter): boolean =>
  (name === undefined || line.name === name) && (callId === undefined || line.callId === callId) && (level === undefined || RANK[line.level] >= RANK[level])

/** Lines of one function, oldest first; `head` is where they begin. */
interface Share { lines: KeptLine[]; head: number; bytes: number }
interface Bucket { tokens: number; atMs: number; dropped: number; last: LogLine | undefined }

/** What a line costs beside its text. */
const LINE_OVERHEAD_BYTES = 200

export class LogRing {
  readonly #limits: LogRingLimits
  readonly #shares = new Map<string, Share>()
  readonly #buckets = new Map<string, Bucket>()
  #lines = 0
  #bytes = 0
  #seq = 0

  constructor(limits: Partial<LogRingLimits> = {}) { this.#limits = { ...DEFAULTS, ...limits } }

  get lines(): number { return this.#lines }
  get bytes(): number { return this.#bytes }

  /** Takes a line at `nowMs` (monotonic); answers what was kept, to be told to followers: none, the line, or the count of dropped ones and the line. */
  push(line: LogLine, nowMs: number): readonly KeptLine[] {
    const bucket = this.#refill(line.name, nowMs)
    if (bucket.tokens < 1) {
      bucket.dropped++
      bucket.last = line
      return []
    }
    bucket.tokens--
    const told = this.#droppedLine(bucket)
    return [...(told === undefined ? [] : [this.#keep(told)]), this.#keep(bounded(line, this.#limits.lineBytesMax))]
  }

  /** Counts of dropped lines that no later line has told yet, of functions that have room again. */
  overdue(nowMs: number): readonly KeptLine[] {
    const kept: KeptLine[] = []
    for (const name of [...this.#buckets.keys()]) {
      const bucket = this.#refill(name, nowMs)
      const told = bucket.tokens < 1 ? undefined : this.#droppedLine(bucket)
      if (told !== undefined) kept.push(this.#keep(told))
      // A full bucket is what a new one would be.
      if (bucket.dropped === 0 && bucket.tokens >= this.#limits.burstLines) this.#buckets.delete(name)
    }
    return kept
  }

  /** The newest `count` that match, oldest first; `after`: only those with a greater number. */
  last(filter: LogFilter, count: number, after = 0): readonly KeptLine[] {
    const shares = filter.name === undefined ? [...this.#shares.values()] : [this.#shares.get(filter.name)]
    return shares
      .flatMap((share) => share === undefined ? [] : share.lines.slice(share.head).filter(({ seq, line }) => seq > after && matches(line, filter)))
      .sort((a, b) => a.seq - b.seq)
      .slice(count === 0 ? Infinity : -count)
  }

  #refill(name: string, nowMs: number): Bucket {
    const { burstLines, linesPerSecond } = this.#limits
    const bucket = this.#buckets.get(name) ?? { tokens: burstLines, atMs: nowMs, dropped: 0, last: undefined }
    this.#buckets.set(name, bucket)
    bucket.tokens = Math.min(burstLines, bucket.tokens + Math.max(0, nowMs - bucket.atMs) / 1_000 * linesPerSecond)
    bucket.atMs = nowMs
    return bucket
  }

  #droppedLine(bucket: Bucket): LogLine | undefined {
    const { dropped, last } = bucket
    if (dropped === 0 || last === undefined) return undefined
    bucket.dropped = 0
    bucket.last = undefined
    const { fields: _fields, ...about } = last
    return { ...about, level: 'system', text: `${dropped} line${dropped === 1 ? '' : 's'} dropped: more than ${this.#limits.linesPerSecond} a second` }
  }

  #keep(line: LogLine): KeptLine {
    const bytes = bytesOf(line)
    const kept = { seq: ++this.#seq, line, bytes }
    const share = this.#shares.get(line.name) ?? { lines: [], head: 0, bytes: 0 }
    this.#shares.set(line.name, share)
    share.lines.push(kept)
    share.bytes += bytes
    this.#lines++
    this.#bytes += bytes
    while (this.#lines > this.#limits.linesMax) this.#drop((one) => one.lines.length - one.head)
    while (this.#bytes > this.#limits.bytesMax) this.#drop((one) => one.bytes)
    return kept
  }

  /** The oldest line of whoever has most by this measure. */
  #drop(measure: (share: Share) => number): void {
    let most: readonly [string, Share] | undefined
    for (const entry of this.#shares) if (most === undefined || measure(entry[1]) > measure(most[1])) most = entry
    if (most === undefined) return
    const [name, share] = most
    const oldest = share.lines[share.head++]
    share.bytes -= oldest?.bytes ?? 0
    this.#bytes -= oldest?.bytes ?? 0
    this.#lines--
    if (share.head === share.lines.length) this.#shares.delete(name)
    else if (share.head > share.lines.length / 2) { share.lines = share.lines.slice(share.head); share.head = 0 }
  }
}

const fieldsText = (line: LogLine): string => line.fields === undefined ? '' : JSON.stringify(line.fields) ?? ''
const bytesOf = (line: LogLine): number => LINE_OVERHEAD_BYTES + line.text.length + fieldsText(line).length

/** The line with text and fields cut to `bytesMax`. */
function bounded(line: LogLine, bytesMax: number): LogLine {
  const { text, fields, ...rest } = line
  const cut = text.length <= bytesMax ? text : `${text.slice(0, bytesMax).toWellFormed()}... (${text.length - bytesMax} more characters)`
  if (fields === undefined) return { ...rest, text: cut }
  const size = fieldsText(line).length
  return { ...rest, text: cut, fields: cut.length + size <= bytesMax ? fields : { cut: `fields of ${size} characters` } }
}
