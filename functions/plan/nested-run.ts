// A d-verb inside a function: the kernel that answers the cell runs it with its own relay (relay.ts), in process.
//
//   cell --run { source, items, stages, terminal, options }--> read and bounded here --> Run --> sessions, as from a shell
//        <-- [from, count, node, name, outputs, values, counts] | [from, count, node, name, failure] ... ----
//
// What a cell asks is checked as a caller's request is (wire.ts), and more: it may run its own programs only, with at most its
// own limits and time. Values stay bytes. Items ride in the call, so hostCallBytesMax bounds them.

import { createHash } from 'node:crypto'
import { errorCode, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Clock, Hash, NodeId } from '../../fabric/base.ts'
import { Coverage } from '../collection/batch.ts'
import type { Authority, Capabilities, FailureStatus, ResultRun, RunLimits, SourceSpec, Stage, Terminal } from '../contract.ts'
import type { CallScope } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { decodeValue, encodeValue, readArrayHeader } from '../value/mod.ts'
import type { HostCaller } from './host-calls.ts'
import type { RunCaller } from './relay-contract.ts'
import { bytes, count, finite, list, rangeCount, readSource, readSpec, record, writeRun } from './wire.ts'
import type { RunRequest } from './wire.ts'

/** A run of this node's relay; relay.ts: Run. */
export interface OpenedRun {
  readonly finished: Promise<void>
  /** Nested calls that its elements caused, as far as their nodes told. */
  readonly used: number
  start(): Promise<void>
  items(from: number, count: number, bytes: Uint8Array): void
  inputEnded(): void
  blob(hash: Hash, bytes: Uint8Array): void
  close(): void
}
export type OpenRun = (request: RunRequest, authority: Authority, caller: RunCaller) => OpenedRun

export interface NestedRun {
  /** Hostile. */
  readonly args: Uint8Array
  readonly element: number
  readonly caller: HostCaller
  readonly scope: CallScope | undefined
  readonly authority: Authority
  /** Nested calls that all of its elements together may cause. */
  readonly share: number
  readonly capabilities: Pick<Capabilities, 'resolve'>
  readonly clock: Clock
  readonly openRun: OpenRun
}

interface Piece { readonly count: number; readonly bytes: Uint8Array }
interface Asked { readonly source: SourceSpec; readonly pieces: readonly Piece[]; readonly stages: readonly Stage[]; readonly terminal: Terminal; readonly inline: Readonly<Record<Hash, Uint8Array>>; readonly limits: RunLimits; readonly retries: number | undefined }

const sha256 = (data: Uint8Array): Hash => createHash('sha256').update(data).digest('hex')
const bad = (what: string): never => { throw FUNCTIONS.BAD_MESSAGE({ what }) }

/** { code, environment: bytes } -> a FunctionRef, its environment put into `inline`. */
function shipped(value: unknown, caller: HostCaller, inline: Record<Hash, Uint8Array>): Record<string, unknown> {
  const { environment, ...rest } = record(value, 'function')
  const { code } = rest
  if (typeof code !== 'string' || caller.program(code) === undefined) bad('a function of another program')
  const data = bytes(environment, 'environment')
  const name = sha256(data)
  inline[name] = data
  return { ...rest, environment: name }
}

/** Of the caller's own limits at most. */
function within(asked: Record<string, unknown>, caller: HostCaller): Record<string, unknown> {
  const { limits } = caller
  const most = (key: string, bound: number): number => (asked[key] === undefined ? bound : Math.min(finite(asked[key], key), bound))
  return {
    timeoutMs: most('timeoutMs', Math.max(1, Math.round(caller.remainingMs()))), heapLimitMiB: most('heapLimitMiB', limits.heapLimitMiB), cpuTimeMs: most('cpuTimeMs', limits.cpuTimeMs),
    resultBytes: most('resultBytes', limits.resultBytes), hostCalls: limits.hostCalls, concurrency: asked['concurrency'] ?? limits.concurrency, fresh: asked['fresh'] === true,
  }
}

function read(args: Uint8Array, caller: HostCaller): Asked {
  const [body] = list(decodeValue(args, { profile: 'args' }), 'arguments of run')
  const asked = record(body, 'run')
  const inline: Record<Hash, Uint8Array> = Object.create(null) as Record<Hash, Uint8Array>
  const terminal = record(asked['terminal'], 'terminal')
  const spec = readSpec({
    stages: list(asked['stages'], 'stages').map((stage) => shipped(stage, caller, inline)),
    terminal: terminal['code'] === undefined ? terminal : shipped(terminal, caller, inline),
    limits: within(record(asked['options'] ?? {}, 'options'), caller), inline: {},
  })
  const source = readSource(asked['source'])
  const pieces = source.type !== 'items' ? [] : list(asked['items'], 'items').map((piece) => {
    const data = bytes(piece, 'items')
    const { count: n } = readArrayHeader(data)
    return n > 0 ? { count: n, bytes: data } : bad('no items')
  })
  const retries = record(asked['options'] ?? {}, 'options')['retries']
  return { source, pieces, stages: spec.stages, terminal: spec.terminal, limits: spec.limits, inline, retries: retries === undefined ? undefined : count(retries, 'retries') }
}

/** Rejects for what concerns the whole run; elements that failed are in the answer. */
export async function runNested(nested: NestedRun): Promise<{ readonly answer: Uint8Array; readonly used: number }> {
  const { caller, scope, authority: given, share, capabilities, clock } = nested
  const asked = read(nested.args, caller)
  const control = new AbortController()
  const abort = (): void => control.abort(given.signal.reason ?? FUNCTIONS.RUN_CANCELLED({}))
  if (given.signal.aborted) abort()
  else given.signal.addEventListener('abort', abort, { once: true })
  const { timeoutMs } = asked.limits
  const deadlineMs = clock.nowMs() + timeoutMs
  const timer = clock.after(timeoutMs + OUTCOME_GRACE_MS, () => control.abort(FUNCTIONS.RUN_TIMEOUT({ timeoutMs })))
  const authority: Authority = { ...given, signal: control.signal, remainingMs: () => Math.max(1, Math.min(given.remainingMs(), deadlineMs + OUTCOME_GRACE_MS - clock.nowMs())) }
  try {
    // Known before anything starts, so that each element's part of the budget is.
    const source: SourceSpec = asked.source.type === 'kind' ? { type: 'references', references: await capabilities.resolve(asked.source.kind, authority, 'names') } : asked.source
    const elements = source.type === 'references' ? source.references.length : source.type === 'range' ? rangeCount(source.from, source.to, source.step) : asked.pieces.reduce((sum, piece) => sum + piece.count, 0)
    const { stages, terminal, limits, inline, retries } = asked
    const each = { depth: caller.depth + 1, budget: Math.floor(share / Math.max(1, elements)), scope: scope === undefined ? undefined : { ...scope, depth: caller.depth + 1, budget: Math.floor(share / Math.max(1, elements)) } }
    return await gather(nested, { source, stages, terminal, limits, inline, retries, nested: each }, authority, asked.pieces, elements)
  } finally {
    timer.cancel()
    given.signal.removeEventListener('abort', abort)
  }
}

/** Time that outcomes of cut-off elements need to come back, as for a shell (service.ts). */
const OUTCOME_GRACE_MS = LIMITS.killGraceMs + 50

async function gather({ caller, openRun, element }: NestedRun, request: RunRequest, authority: Authority, pieces: readonly Piece[], elements: number): Promise<{ readonly answer: Uint8Array; readonly used: number }> {
  const told: unknown[][] = []
  const coverage = new Coverage()
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => {})
  let size = 0
  let sent = 0
  let from = 0
  const take = (node: NodeId | undefined, nodeName: string | undefined, run: ResultRun): void => {
    coverage.add(run.from, run.count)
    const [first, n, ...rest] = writeRun(run)
    told.push([first, n, node ?? null, nodeName ?? null, ...rest])
  }
  const run = openRun(request, authority, {
    need: (hashes) => {
      for (const hash of hashes) {
        const code = caller.program(hash)
        if (code === undefined) broken.reject(FUNCTIONS.MISSING_BLOB({ hash }))
        else run.blob(hash, code)
      }
    },
    pull: (_items, chunks) => {
      for (let i = 0; i < chunks; i++) {
        const piece = pieces[sent++]
        if (piece === undefined) return run.inputEnded()
        run.items(from, piece.count, piece.bytes)
        from += piece.count
      }
    },
    total: () => {},
    runs: async (node, nodeName, runs) => {
      for (const one of runs) {
        size += 'values' in one ? one.values.byteLength : 0
        if (size > request.limits.resultBytes) throw FUNCTIONS.SANDBOX_RESULT_BYTES({ bytes: size, bytesMax: request.limits.resultBytes })
        take(node, nodeName, one)
      }
    },
    console: (_nodeName, level, text, fields) => caller.console({ level: level as 'log', text, element, ...(fields === undefined ? {} : { fields }) }),
  })
  try {
    await run.start()
    await Promise.race([run.finished, broken.promise])
  } catch (error) {
    // What has come stands; the rest shares the reason. A partial result of a fold is none.
    if (request.terminal.verb !== 'collect' || told.length === 0) throw error
    const failure = { status: statusOf(error, authority.signal), error: toErrorRecord(error, FUNCTIONS.INTERNAL.code), mayHaveRun: true }
    for (const gap of coverage.gaps(elements)) take(undefined, undefined, { from: gap.from, count: gap.count, failure })
  } finally {
    run.close()
  }
  return { answer: encodeValue(told), used: run.used }
}

function statusOf(error: unknown, signal: AbortSignal): FailureStatus {
  const code = errorCode(error) ?? ''
  if (code.includes('DEADLINE') || code.includes('TIMEOUT')) return 'timeout'
  return signal.aborted ? 'cancelled' : 'error'
}
