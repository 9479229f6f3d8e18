// The two streams of a map on the wire: registers 'functions.run' (for shells) and
// 'functions.execute' (for other nodes), and opens sessions on other nodes.
//
// Concurrency: messages of one stream are handled in order; handlers never block the reading side
// but on credit.

import type { CallContext, ClientStream, RpcPeer, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Timer } from '../../fabric/base.ts'
import type { Authority } from '../contract.ts'
import { FUNCTIONS } from '../errors.ts'
import { Executor } from './executor.ts'
import type { ExecuteSession, ExecuteSink, ExecutorOptions } from './executor.ts'
import { Run } from './relay.ts'
import type { RelayOptions, RunCaller, SessionShape } from './relay.ts'
import { createHostCalls } from './host-calls.ts'
import type { HostCalls } from './host-calls.ts'
import { bytes, count, EXECUTE_METHOD, finite, hash, hashes, int, message, readChunkSource, readFields, readNesting, readOnlyChunk, readRequest, readRuns, readSpec, RUN_METHOD, text, writeRun, writeSource } from './wire.ts'
import type { Message, RunSpec } from './wire.ts'

export interface FunctionServiceOptions extends Omit<ExecutorOptions, 'hostCalls'>, Omit<RelayOptions, 'openSession'> {
  readonly registry: RpcRegistry
  /** A connection to a member; rejects with a coded error when it cannot be reached. */
  peer(node: NodeId): RpcPeer | Promise<RpcPeer>
}

/** What other parts of a node use of it. */
export interface FunctionService {
  /** Answers calls out of sandboxes; state, emit, secrets and calls by name are registered here. */
  readonly hostCalls: HostCalls
}

export function registerFunctions(options: FunctionServiceOptions): FunctionService {
  const hostCalls = createHostCalls({ capabilities: options.capabilities, clock: options.clock, openRun: (request, authority, caller) => new Run(relay, request, authority, caller) })
  const executor = new Executor({ ...options, hostCalls })
  const relay: RelayOptions = {
    self: options.self, clock: options.clock, random: options.random, blobs: options.blobs,
    capabilities: options.capabilities, rates: options.rates,
    nodes: options.nodes, nameOf: options.nameOf, onMemberGone: options.onMemberGone,
    openSession: (node, spec, authority, sink, lost, shape) => {
      if (node === options.self) return executor.open(spec, authority, sink)
      const peer = options.peer(node)
      return peer instanceof Promise ? peer.then((found) => remoteSession(found, spec, authority, sink, lost, shape)) : remoteSession(peer, spec, authority, sink, lost, shape)
    },
  }
  options.registry.stream(RUN_METHOD, (body, context, stream) => serveRun(relay, body, context, stream))
  options.registry.stream(EXECUTE_METHOD, (body, context, stream) => serveExecute(executor, body, context, stream))
  return { hostCalls }
}

/** Sends in order; a send after the stream's end is dropped, the stream's own error is reported by its reader. */
function sender(stream: RpcStream): (message: Message) => Promise<void> {
  return (body) => stream.write(body)
}
const ignore = (): void => {}
/** Console lines for a reader that is behind; further ones are dropped, so that results always find room. */
const CONSOLE_WAITING_MAX = LIMITS.pendingWritesMax / 2

async function serveRun(relay: RelayOptions, body: unknown, context: CallContext, stream: RpcStream): Promise<unknown> {
  const request = readRequest(body)
  const send = sender(stream)
  const post = (body: Message): void => { send(body).catch(ignore) }
  let total: number | undefined
  let totalTimer: Timer | undefined
  const caller: RunCaller = {
    need: (missing) => post(['need', missing]),
    pull: (items, chunks) => post(['pull', items, chunks]),
    total: (n) => {
      total = n
      // A quick run tells it with its results; a slow one at once, for the progress line.
      totalTimer = relay.clock.after(TOTAL_DELAY_MS, () => post(['total', n]))
    },
    runs: (node, nodeName, runs) => send(['runs', node ?? null, nodeName ?? null, runs.map(writeRun), total ?? null]),
    console: (nodeName, level, line, fields) => { if (stream.waiting < CONSOLE_WAITING_MAX) post(['console', nodeName, level, fields === undefined ? line : `${line} ${JSON.stringify(fields)}`.trimStart()]) },
  }
  const { authority, settle } = withDeadline(relay.clock, context, request.limits.timeoutMs)
  const run = new Run(relay, request, authority, caller)
  const reading = readMessages(stream, ({ tag, fields }) => {
    switch (tag) {
      case 'blob': run.blob(hash(fields[1], 'blob hash'), bytes(fields[2], 'blob')); break
      case 'items': run.items(count(fields[1], 'items.from'), count(fields[2], 'items.count'), bytes(fields[3], 'items')); break
      case 'end': run.inputEnded(); break
      default: throw FUNCTIONS.BAD_MESSAGE({ what: `tag ${tag}` })
    }
  })
  reading.catch(() => run.close())
  try {
    await run.start()
    await Promise.race([run.finished, reading.then(() => run.finished)])
  } finally {
    settle()
    totalTimer?.cancel()
    run.close()
  }
  return null
}

/**
 * The caller's own deadline, plus the time that outcomes of cut-off functions need to come back; only
 * then does the relay speak for nodes that have not answered.
 */
function withDeadline(clock: Clock, context: CallContext, timeoutMs: number): { readonly authority: Authority; settle(): void } {
  const control = new AbortController()
  const { signal } = context
  if (signal.aborted) control.abort(signal.reason)
  else signal.addEventListener('abort', () => control.abort(signal.reason), { once: true })
  const endMs = clock.nowMs() + timeoutMs + OUTCOME_GRACE_MS
  const timer = clock.after(timeoutMs + OUTCOME_GRACE_MS, () => control.abort(FUNCTIONS.RUN_TIMEOUT({ timeoutMs })))
  const { principal, trace, hop } = context
  return {
    authority: { principal, trace, hop, signal: control.signal, remainingMs: () => Math.max(1, endMs - clock.nowMs()) },
    settle: () => timer.cancel(),
  }
}

/** Inside "deadline + 500 ms": cut off at the deadline, killed at most LIMITS.killGraceMs later, told here. */
const OUTCOME_GRACE_MS = LIMITS.killGraceMs + 50
const TOTAL_DELAY_MS = 20

async function serveExecute(executor: Executor, body: unknown, context: CallContext, stream: RpcStream): Promise<unknown> {
  const only = readOnlyChunk(body)
  const send = sender(stream)
  const post = (body: Message): void => { send(body).catch(ignore) }
  const answer = Promise.withResolvers<Message | null>()
  const session = executor.open({ ...readSpec(body), nested: context.caller.via === 'link' ? readNesting(body, context.principal) : undefined }, context, {
    ready: (cores) => { if (only === undefined) post(['ready', cores]) },
    need: (missing) => post(['need', missing]),
    done: (id, runs, ms, decided, used) => {
      const message: Message = ['done', id, runs.map(writeRun), ms, decided, ...(used === 0 ? [] : [used])]
      if (only === undefined) post(message)
      else answer.resolve(message)
    },
    busy: (id) => { if (only === undefined) post(['busy', id]); else answer.resolve(['busy', id]) },
    console: (line) => { if (stream.waiting < CONSOLE_WAITING_MAX) post(['console', line.level, line.text, ...(line.fields === undefined ? [] : [JSON.stringify(line.fields)])]) },
  })
  try {
    const reading = readMessages(stream, ({ tag, fields }) => {
      switch (tag) {
        case 'blob': session.blob(hash(fields[1], 'blob hash'), bytes(fields[2], 'blob')); break
        case 'chunk': takeChunk(session, fields); break
        case 'cancel': session.cancel(int(fields[1], 'chunk id')); break
        default: throw FUNCTIONS.BAD_MESSAGE({ what: `tag ${tag}` })
      }
    })
    if (only === undefined) { await reading; return null }
    reading.catch(answer.reject)
    context.signal.addEventListener('abort', () => answer.reject(context.signal.reason), { once: true })
    takeChunk(session, only)
    return await answer.promise
  } finally {
    session.close()
  }
}

function takeChunk(session: ExecuteSession, fields: Message): void {
  session.chunk(int(fields[1], 'chunk id'), count(fields[2], 'chunk.from'), count(fields[3], 'chunk.count'), readChunkSource(fields[4]))
}

/** The relay's session on another node. */
function remoteSession(peer: RpcPeer, spec: RunSpec, authority: Authority, sink: ExecuteSink, lost: (error: unknown) => void, shape: SessionShape): ExecuteSession {
  const { stages, terminal, limits, inline, nested } = spec
  let stream: ClientStream | undefined
  let closed = false
  let outstanding = 0
  const failed = (error: unknown): void => {
    if (closed) return
    closed = true
    // Not only the other side's end leads here: one that breaks the rules is told to stop.
    stream?.cancel(FUNCTIONS.RUN_CANCELLED({}))
    lost(error)
  }
  const take = ({ tag, fields }: { readonly tag: string; readonly fields: Message }): void | Promise<void> => {
    switch (tag) {
      case 'ready': return sink.ready(count(fields[1], 'cores'))
      case 'need': return sink.need(hashes(fields[1], 'hashes'))
      case 'done':
        outstanding--
        return sink.done(int(fields[1], 'chunk id'), readRuns(fields[2]), Math.max(0, finite(fields[3], 'ms')), fields[4] === true, fields[5] === undefined ? 0 : count(fields[5], 'nested calls'))
      case 'busy':
        outstanding--
        return sink.busy(int(fields[1], 'chunk id'))
      case 'console': return sink.console({ level: text(fields[1], 'level') as 'log', text: text(fields[2], 'text'), element: -1, ...readFields(fields[3]) })
      default: throw FUNCTIONS.BAD_MESSAGE({ what: `tag ${tag}` })
    }
  }
  const open = (only: Message | null): ClientStream => {
    const opened = peer.open(EXECUTE_METHOD, { stages, terminal, limits, inline, only, ...(nested === undefined ? {} : { nested }) }, { parent: authority })
    const reading = readMessages(opened, take)
    if (only === null) {
      opened.result.catch(ignore)
      reading.then(() => failed(FUNCTIONS.BAD_MESSAGE({ what: 'the session ended early' })), failed)
    } else {
      reading.catch(ignore)
      opened.result.then((body) => take(message(body))).catch(failed)
    }
    return opened
  }
  if (shape === 'many chunks') stream = open(null)
  const post = (body: Message): void => { stream?.write(body).catch(ignore) }
  return {
    blob: (id, data) => post(['blob', id, data]),
    chunk: (id, from, n, source) => {
      outstanding++
      const body: Message = ['chunk', id, from, n, writeSource(source)]
      if (stream === undefined) stream = open(body)
      // Refused, with too many waiting already: nothing ran.
      else stream.write(body).catch((error: unknown) => { if (!closed && errorCode(error)?.endsWith('_BUSY') === true) { outstanding--; sink.busy(id) } })
    },
    cancel: (id) => post(['cancel', id]),
    close: () => {
      closed = true
      // Work that nobody waits for any more is ended, not left to finish.
      if (outstanding > 0) stream?.cancel(FUNCTIONS.RUN_CANCELLED({}))
      else if (shape === 'many chunks') stream?.end()
    },
  }
}

async function readMessages(stream: RpcStream, handle: (message: { readonly tag: string; readonly fields: Message }) => void | Promise<void>): Promise<void> {
  for (;;) {
    const body = await stream.read()
    if (body === undefined) return
    const handled = handle(message(body))
    if (handled !== undefined) await handled
  }
}
