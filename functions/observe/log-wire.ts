// Log lines on the wire: streams 'functions.logs.node' (of the asked node alone) and 'functions.logs' (of all nodes,
// gathered by the asked one). Messages are arrays, tag first; everything read is checked.
//
//   request   { name, callId, level, lines, follow, ring, after }        null where left out
//   messages  lines ring [line, ...] | live (what comes now is new)
//   line      [seq, node, atMs, name, version, callId, trace, level, text, fields as JSON or null]

import { LIMITS } from '../../fabric/base.ts'
import type { RpcPeer } from '../../fabric/mod.ts'
import type { LogLine } from '../deployed.ts'
import type { LogOptions } from '../deployed-api.ts'
import { FUNCTIONS } from '../errors.ts'
import type { LogFilter } from './log-ring.ts'

export const LOGS_METHOD = 'functions.logs'
export const NODE_LOGS_METHOD = 'functions.logs.node'
export const STATS_METHOD = 'functions.stats'
export const METRICS_METHOD = 'functions.metrics'

export type NodeLine = LogLine & { readonly node: string }
export interface SentLine { readonly seq: number; readonly line: NodeLine }
export type LogMessage = { readonly tag: 'lines'; readonly ring: string; readonly lines: readonly SentLine[] } | { readonly tag: 'live' }

export interface LogRequest extends LogFilter {
  /** Last lines before what is new. */
  readonly lines: number
  readonly follow: boolean
  /** Goes on after line `after` of the ring of this id, if the node still has that ring. */
  readonly resume?: { readonly ring: string; readonly after: number } | undefined
}

const LEVELS: readonly LogLine['level'][] = ['debug', 'info', 'warn', 'error', 'system']
const DEFAULT_LINES = 100

const bad = (what: string): never => { throw FUNCTIONS.BAD_MESSAGE({ what }) }
const text = (value: unknown, what: string): string => (typeof value === 'string' ? value : bad(what))
const whole = (value: unknown, what: string): number => (Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : bad(what))
const list = (value: unknown, what: string): readonly unknown[] => (Array.isArray(value) ? value : bad(what))
const refuse = (what: string, expected: string, got: unknown): never => { throw FUNCTIONS.PAYLOAD_INVALID({ what, expected, got: String(got) }) }

export const writeRequest = ({ name, callId, level, lines, follow, resume }: LogRequest): unknown =>
  ({ name: name ?? null, callId: callId ?? null, level: level ?? null, lines, follow, ring: resume?.ring ?? null, after: resume?.after ?? null })

export const requestOf = ({ name, callId, level, lines, follow }: LogOptions): LogRequest => ({ name, callId, level, lines: lines ?? DEFAULT_LINES, follow: follow === true })

/** Throws PAYLOAD_INVALID: a shell's own wish is checked here. */
export function readRequest(body: unknown): LogRequest {
  const { name, callId, level, lines, follow, ring, after } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const optional = (value: unknown, what: string): string | undefined => value === null || value === undefined ? undefined : typeof value === 'string' ? value : refuse(what, 'a text', value)
  const wanted = optional(level, 'level')
  return {
    name: optional(name, 'name'), callId: optional(callId, 'callId'),
    level: wanted === undefined ? undefined : LEVELS.find((one) => one === wanted) ?? refuse('level', `one of ${LEVELS.join(', ')}`, wanted),
    lines: Number.isSafeInteger(lines) && (lines as number) >= 0 ? Math.min(lines as number, LIMITS.logRingLinesMax) : refuse('lines', 'a whole number', lines),
    follow: follow === true,
    resume: typeof ring === 'string' && Number.isSafeInteger(after) ? { ring, after: after as number } : undefined,
  }
}

export const writeMessage = (message: LogMessage): unknown => message.tag === 'live' ? ['live'] : ['lines', message.ring, message.lines.map(writeLine)]

const writeLine = ({ seq, line }: SentLine): unknown => [
  seq, line.node, line.atMs, line.name, line.version, line.callId, line.trace, line.level, line.text.toWellFormed(),
  line.fields === undefined ? null : JSON.stringify(line.fields).toWellFormed(),
]

/** Undefined for tags of later versions. */
export function readMessage(body: unknown): LogMessage | undefined {
  const [tag, ring, lines] = list(body, 'log message')
  if (tag === 'live') return { tag }
  return tag === 'lines' ? { tag, ring: text(ring, 'ring'), lines: list(lines, 'lines').map(readLine) } : undefined
}

/** Messages of a log stream; ends, or throws, as the stream does. */
export async function* readLogStream(stream: ReturnType<RpcPeer['open']>): AsyncGenerator<LogMessage> {
  stream.result.catch(() => {})
  try {
    for await (const body of stream) {
      const message = readMessage(body)
      if (message !== undefined) yield message
    }
    await stream.result
  } finally {
    stream.cancel(FUNCTIONS.RUN_CANCELLED({}))
  }
}

function readLine(value: unknown): SentLine {
  const [seq, node, atMs, name, version, callId, trace, level, words, fields] = list(value, 'log line')
  const known = LEVELS.find((one) => one === level) ?? bad('log level')
  return {
    seq: whole(seq, 'log number'),
    line: {
      node: text(node, 'log node'), atMs: typeof atMs === 'number' && Number.isFinite(atMs) ? atMs : bad('log time'),
      name: text(name, 'log name'), version: text(version, 'log version'), callId: text(callId, 'log call'), trace: text(trace, 'log trace'), level: known, text: text(words, 'log text'),
      ...(fields === null ? {} : { fields: readFields(text(fields, 'log fields')) }),
    },
  }
}

function readFields(json: string): Readonly<Record<string, unknown>> {
  try {
    const fields: unknown = JSON.parse(json)
    return typeof fields === 'object' && fields !== null ? fields as Record<string, unknown> : bad('log fields')
  } catch {
    return bad('log fields')
  }
}
