// Logs of functions on this node: the ring (log-ring.ts), its followers, and the stream 'functions.logs.node'.
//
//   running function --line--> redact --> ring --> followers (shells here, gatherers of other nodes: log-gather.ts)
//
// Not kept over a restart of the node: what must last belongs in state, or goes to a collector through a follower.
// Values of secrets are taken out before a line enters the ring; nothing behind this point ever sees them.

import type { CallContext, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, Random, Timer } from '../../fabric/base.ts'
import type { LogLine } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { Follower } from './follower.ts'
import { LogRing, matches } from './log-ring.ts'
import type { LogFilter, LogRingLimits } from './log-ring.ts'
import { NODE_LOGS_METHOD, readRequest, writeMessage } from './log-wire.ts'
import type { LogMessage, LogRequest, SentLine } from './log-wire.ts'
import { traceIdOf } from './trace-context.ts'

export interface NodeLogsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly nodeName: () => string
  /** Takes secrets out of a line (state/redaction.ts); left out: there are none. */
  readonly redact?: (line: LogLine) => LogLine
  readonly limits?: Partial<LogRingLimits>
}

export interface NodeLogs {
  line(line: LogLine): void
  /** Last lines, then 'live', then, when following, what comes; ends with the signal. Rejects with FUNCTION_BUSY when LIMITS.logFollowersMax follow already. */
  stream(request: LogRequest, signal: AbortSignal): AsyncIterable<LogMessage>
  readonly lines: number
  readonly bytes: number
  close(): void
}

/** A trace of ours; in lines they have the world's length (trace-context.ts). */
const TRACE_CHARS = 16
/** Counts of dropped lines are told at the latest after this. */
const OVERDUE_MS = 1_000

export function createNodeLogs({ clock, random, nodeName, redact = (line) => line, limits }: NodeLogsOptions): NodeLogs {
  const ring = new LogRing(limits)
  const ringId = Buffer.from(random.bytes(8)).toString('hex')
  const followers = new Map<Follower<SentLine>, LogFilter>()
  let newest = 0
  let timer: Timer | undefined

  const publish = (kept: ReturnType<LogRing['push']>): void => {
    for (const { seq, line } of kept) {
      newest = seq
      const sent = { seq, line: { ...line, node: nodeName() } }
      for (const [follower, filter] of followers) if (matches(line, filter)) follower.push(sent)
    }
  }
  const overdue = (): void => {
    timer = undefined
    publish(ring.overdue(clock.nowMs()))
  }

  const missed = (name: string | undefined) => (count: number): SentLine =>
    ({ seq: newest, line: systemLine({ name: name ?? '', node: nodeName(), atMs: clock.wallMs(), text: `${count} lines dropped: this reader is slower than the log` }) })

  async function* stream(request: LogRequest, signal: AbortSignal): AsyncGenerator<LogMessage> {
    if (followers.size >= LIMITS.logFollowersMax) throw FUNCTIONS.FUNCTION_BUSY({ name: 'kumoi logs', node: nodeName(), running: followers.size, waiting: 0 })
    const { resume, lines, follow } = request
    const follower = new Follower<SentLine>({ max: LIMITS.logFollowerLinesMax, missed: missed(request.name) })
    const end = (): void => follower.end()
    // Before the last lines are read, in the same turn: nothing is missed and nothing comes twice.
    if (follow) followers.set(follower, request)
    signal.addEventListener('abort', end, { once: true })
    try {
      // A reader that comes back gets all that it missed: after a restart of this node, all there is.
      const after = resume !== undefined && resume.ring === ringId ? resume.after : 0
      const history = ring.last(request, resume === undefined ? lines : LIMITS.logRingLinesMax, after)
      for (let at = 0; at < history.length; at += LIMITS.logBatchLinesMax) {
        yield { tag: 'lines', ring: ringId, lines: history.slice(at, at + LIMITS.logBatchLinesMax).map(({ seq, line }) => ({ seq, line: { ...line, node: nodeName() } })) }
      }
      yield { tag: 'live' }
      if (!follow || signal.aborted) return
      for (let batch = await follower.take(LIMITS.logBatchLinesMax); batch !== undefined; batch = await follower.take(LIMITS.logBatchLinesMax)) yield { tag: 'lines', ring: ringId, lines: batch }
    } finally {
      signal.removeEventListener('abort', end)
      followers.delete(follower)
    }
  }

  return {
    line(line) {
      const { trace } = line
      publish(ring.push(redact(trace.length === TRACE_CHARS ? { ...line, trace: traceIdOf(trace) } : line), clock.nowMs()))
      timer ??= clock.after(OVERDUE_MS, overdue, { background: true })
    },
    stream,
    get lines() { return ring.lines },
    get bytes() { return ring.bytes },
    close() {
      timer?.cancel()
      for (const follower of followers.keys()) follower.end()
    },
  }
}

/** A line about a function, or about the log itself, by no call. */
export const systemLine = ({ name, node, atMs, text }: { readonly name: string; readonly node: string; readonly atMs: number; readonly text: string }): LogLine & { readonly node: string } =>
  ({ atMs, name, version: '', callId: '', trace: '', level: 'system', text, node })

export function registerNodeLogs(registry: RpcRegistry, logs: NodeLogs): void {
  registry.stream(NODE_LOGS_METHOD, async (body: unknown, context: CallContext, stream: RpcStream) => {
    for await (const message of logs.stream(readRequest(body), context.signal)) await stream.write(writeMessage(message))
    return null
  })
}
