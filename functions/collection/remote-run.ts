// Caller side of a map: opens 'functions.run' at the connected node, answers its questions for code
// and items, decodes results, and accounts for every element even when the relay falls silent.

import { errorCode, LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Hash } from '../../fabric/base.ts'
import type { ClientStream } from '../../fabric/mod.ts'
import type { Captured, Failure, FailureStatus, ResultRun, SourceSpec, Stage, Terminal } from '../contract.ts'
import { inUserLines } from '../capture/mod.ts'
import { FUNCTIONS } from '../errors.ts'
import { bytes, count, hashes, INLINE_ENVIRONMENT_BYTES_MAX, message, rangeCount, readRuns, RUN_METHOD, text, writeSpec } from '../plan/wire.ts'
import { decodeValue } from '../value/mod.ts'
import { batchOf, batchOfValues, Coverage } from './batch.ts'
import type { Batch, Entry, FailedEntry } from './batch.ts'
import type { CollectionOptions } from './contract.ts'
import type { Input } from './input.ts'
import { limitsOf } from './options.ts'
import type { Session } from './session.ts'

export interface RemoteRun {
  readonly session: Session
  readonly source: SourceSpec
  /** Elements of an 'items' source. */
  readonly input: Input | undefined
  readonly stages: readonly Stage[]
  readonly terminal: Terminal
  readonly captured: readonly Captured[]
  readonly options: CollectionOptions
}

/** Time after the user's deadline in which the relay's own outcomes may still arrive. */
const ANSWER_GRACE_MS = LIMITS.killGraceMs + 150

/** Results in completion order. Leaving the loop early ends the remote work. */
export async function* runRemote(run: RemoteRun): AsyncGenerator<Batch> {
  const { session, options } = run
  const limits = limitsOf(options)
  const blobs = new Map<Hash, Uint8Array>()
  const inline: Record<Hash, Uint8Array> = {}
  for (const { program, environment } of run.captured) {
    blobs.set(program.hash, program.code)
    if (environment.bytes.byteLength <= INLINE_ENVIRONMENT_BYTES_MAX) inline[environment.hash] = environment.bytes
    else blobs.set(environment.hash, environment.bytes)
  }
  const stream = session.peer.open(RUN_METHOD, {
    source: writeSpec(run.source), stages: run.stages, terminal: run.terminal, limits, inline,
    retries: options.retries ?? null,
  }, {
    timeoutMs: limits.timeoutMs + ANSWER_GRACE_MS,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(session.principal === undefined ? {} : { principal: session.principal }),
  })
  stream.result.catch(() => {})
  const state = new RunState(run)
  const pump = run.input === undefined ? undefined : new Pump(run.input, stream)
  // Known before the relay tells it, so that a run cut off at once has its outcomes too.
  if (run.source.type === 'range') state.total = rangeCount(run.source.from, run.source.to, run.source.step)
  if (run.source.type === 'references') state.total = run.source.references.length
  let ended = false
  try {
    for (;;) {
      const body = await stream.read()
      if (body === undefined) break
      const { tag, fields } = message(body)
      switch (tag) {
        case 'need': for (const hash of hashes(fields[1], 'hashes')) { const blob = blobs.get(hash); if (blob !== undefined) stream.write(['blob', hash, blob]).catch(() => {}) } break
        case 'pull': pump?.pull(count(fields[1], 'pull items'), count(fields[2], 'pull chunks')); break
        case 'total': state.setTotal(count(fields[1], 'total')); break
        case 'console': session.console({ nodeName: text(fields[1], 'node'), level: text(fields[2], 'level'), text: text(fields[3], 'text') }); break
        case 'runs': {
          const node = fields[1] === null ? undefined : text(fields[1], 'node')
          if (typeof fields[4] === 'number' && state.total === undefined) state.setTotal(count(fields[4], 'total'))
          const nodeName = fields[2] === null ? undefined : text(fields[2], 'node name')
          for (const result of readRuns(fields[3])) yield state.take(result, node, nodeName)
          break
        }
        default: throw FUNCTIONS.BAD_MESSAGE({ what: `tag ${tag}` })
      }
    }
    ended = true
    if (pump?.exhausted === false && run.terminal.verb !== 'find' && run.terminal.verb !== 'some' && run.terminal.verb !== 'every') throw FUNCTIONS.NO_NODES({})
  } catch (error) {
    ended = true
    // Also when the fault is on this side (a progress callback that threw): nobody reads on.
    stream.cancel(FUNCTIONS.RUN_CANCELLED({}))
    if (pump?.failed !== undefined) throw pump.failed
    const { status, told } = explain(error, options, limits.timeoutMs)
    const rest = state.rest(pump, status, told)
    if (rest === undefined) throw told
    yield* rest
  } finally {
    if (!ended) stream.cancel(FUNCTIONS.RUN_CANCELLED({}))
    await pump?.close()
  }
}

/** What a stream that ended badly means for the elements still out. */
function explain(error: unknown, options: CollectionOptions, timeoutMs: number): { readonly status: FailureStatus; readonly told: Error } {
  const code = errorCode(error) ?? ''
  if (options.signal?.aborted === true) return { status: 'cancelled', told: FUNCTIONS.RUN_CANCELLED({}, { cause: error }) }
  if (code.includes('DEADLINE') || code.includes('TIMEOUT')) return { status: 'timeout', told: FUNCTIONS.RUN_TIMEOUT({ timeoutMs }, { cause: error }) }
  if (code === FUNCTIONS.NO_NODES.code) return { status: 'unreachable', told: error as Error }
  if (code.includes('PEER_GONE') || code.includes('CLOSED')) return { status: 'unreachable', told: FUNCTIONS.NODE_GONE({ node: 'the connected node', why: (error as Error).message }, { cause: error }) }
  return { status: 'error', told: error instanceof Error ? error : new Error(String(error)) }
}

class RunState {
  total: number | undefined
  readonly #run: RemoteRun
  readonly #coverage = new Coverage()
  #done = 0
  #failed = 0

  constructor(run: RemoteRun) { this.#run = run }

  setTotal(total: number): void {
    this.total = total
    this.#progress()
  }

  take(given: ResultRun, node: string | undefined, nodeName: string | undefined): Batch {
    const read = 'failure' in given ? given : this.#read(given, nodeName)
    const result = 'failure' in read ? read : given as Extract<ResultRun, { values: Uint8Array }>
    this.#coverage.add(result.from, result.count)
    if ('failure' in result) {
      this.#failed += result.count
      this.#progress()
      const { captured } = this.#run
      const relocate = (stack: string): string => inUserLines(stack, captured)
      const failed: FailedEntry[] = Array.from({ length: result.count }, (_, i) => ({ index: result.from + i, failure: result.failure, node, nodeName, element: undefined, relocate }))
      return batchOf(result.from, result.count, [], failed)
    }
    this.#done += result.count
    this.#progress()
    const values = 'failure' in read ? [] : read.values
    return batchOfValues(result.from, result.count, values, () => place(result, values, node ?? '', nodeName ?? ''))
  }

  /** The values of a run; what cannot be read is the failure of its own elements, not of the others. */
  #read(run: Extract<ResultRun, { values: Uint8Array }>, nodeName: string | undefined): { readonly values: readonly unknown[] } | Extract<ResultRun, { failure: Failure }> {
    const { session, terminal } = this.#run
    const failed = (error: unknown): Extract<ResultRun, { failure: Failure }> => ({ from: run.from, count: run.count, failure: { status: 'error', error: toErrorRecord(error, FUNCTIONS.INTERNAL.code), mayHaveRun: true } })
    try {
      const values = decodeValue(run.values, { reference: (record) => session.reference(record), collection: (spec) => session.collection(spec) })
      const fits = Array.isArray(values) && values.length === run.outputs && (terminal.verb !== 'collect' || outputsOf(run) === run.outputs)
      return fits ? { values: values as readonly unknown[] } : failed(FUNCTIONS.BAD_ANSWER({ node: nodeName ?? 'a node' }))
    } catch (error) {
      return failed(error)
    }
  }

  /** One failure for each element without an outcome; undefined when nobody knows how many there are. */
  rest(pump: Pump | undefined, status: FailureStatus, error: Error): Batch[] | undefined {
    const total = this.total ?? pump?.sent
    if (total === undefined || this.#run.terminal.verb !== 'collect') return undefined
    const failure: Failure = { status, error: toErrorRecord(error, FUNCTIONS.INTERNAL.code), mayHaveRun: true }
    const rest = this.#coverage.gaps(total).map(({ from, count: n }) => this.take({ from, count: n, failure }, undefined, undefined))
    // An input that was not read to its end is no complete answer: its next element tells why.
    if (pump?.exhausted === false) rest.push(this.take({ from: total, count: 1, failure: { ...failure, mayHaveRun: false } }, undefined, undefined))
    return rest
  }

  #progress(): void {
    const { onProgress } = this.#run.options
    if (onProgress === undefined) return
    const out = this.#done + this.#failed
    onProgress({ total: this.total, done: this.#done, failed: this.#failed, pending: Math.max(0, (this.total ?? out) - out) })
  }
}

/** Outputs that the elements of a run are said to have made. */
function outputsOf({ count: elements, counts }: Extract<ResultRun, { values: Uint8Array }>): number {
  if (counts === undefined) return elements
  const view = new DataView(counts.buffer, counts.byteOffset, counts.byteLength)
  let sum = 0
  for (let i = 0; i < elements; i++) sum += view.getUint32(i * 4, true)
  return sum
}

/** Gives each output the index of its source element. */
function place(run: Extract<ResultRun, { values: Uint8Array }>, values: readonly unknown[], node: string, nodeName: string): Entry[] {
  if (run.counts === undefined) return values.map((value, i) => ({ index: run.from + Math.min(i, run.count - 1), value, node, nodeName }))
  const counts = new DataView(run.counts.buffer, run.counts.byteOffset, run.counts.byteLength)
  const entries: Entry[] = []
  let at = 0
  for (let i = 0; i < run.count; i++) {
    for (let n = counts.getUint32(i * 4, true); n > 0 && at < values.length; n--) entries.push({ index: run.from + i, value: values[at++], node, nodeName })
  }
  return entries
}

/** Sends chunks of the input as the relay asks for them. */
class Pump {
  /** What the input threw; the stream ends with it. */
  failed: Error | undefined
  /** Elements sent so far. */
  sent = 0
  readonly #input: Input
  readonly #stream: ClientStream
  #wanted = 0
  #itemsPerChunk = 1
  #running = false
  #ended = false
  /** The input has been read to its end. */
  exhausted = false

  constructor(input: Input, stream: ClientStream) {
    this.#input = input
    this.#stream = stream
  }

  pull(items: number, chunks: number): void {
    this.#itemsPerChunk = Math.max(1, items)
    this.#wanted += chunks
    if (!this.#running) void this.#run()
  }

  async close(): Promise<void> {
    this.#ended = true
    await this.#input.close()
  }

  async #run(): Promise<void> {
    this.#running = true
    try {
      while (this.#wanted > 0 && !this.#ended) {
        const chunk = this.#input.ready(this.#itemsPerChunk, this.#wanted) ?? await this.#input.next(this.#itemsPerChunk, this.#wanted)
        this.#wanted--
        if (chunk === undefined) {
          this.#ended = true
          this.exhausted = true
          await this.#stream.write(['end'])
        } else if (!this.#ended) {
          const from = this.sent
          this.sent += chunk.count
          await this.#stream.write(['items', from, chunk.count, bytes(chunk.bytes, 'items')])
        }
      }
    } catch (error) {
      if (this.#ended) return
      this.#ended = true
      this.failed = errorCode(error) === FUNCTIONS.MAP_FAILED.code ? error as Error : FUNCTIONS.INPUT_FAILED({ index: this.sent, reason: error instanceof Error ? error.message : String(error) }, { cause: error })
      this.#stream.cancel(this.failed)
    } finally {
      this.#running = false
    }
  }
}
