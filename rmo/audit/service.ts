// What a node serves of its own log, and what it keeps for others: rows of the chain, records by a filter, its witness book.
// The whole fabric's view (list, verify, export) is gather.ts, on any node.
//
// Rights: reading asks `mayRead` on each node, of the object when one is named; witnesses are told by members only, each of
// itself. Long logs are read in slices, so that a node goes on serving meanwhile.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { LIMITS } from '../../fabric/base.ts'
import type { CallContext, RpcRegistry, RpcStream } from '../../fabric/mod.ts'
import { RMO } from '../errors.ts'
import { entryOf } from './chain.ts'
import { readCheckpoint } from './checkpoint.ts'
import type { Checkpoint, Cut } from './checkpoint.ts'
import type { Checkpointer } from './checkpointer.ts'
import type { NodeAuditLog } from './log.ts'
import { AUDIT_METHODS, fieldsOf, matcher, readNode, readQuery } from './wire.ts'
import type { AuditQuery } from './wire.ts'
import type { Witnessed } from './witness.ts'
import type { WitnessBook } from './witness-book.ts'

/** Rows of one message, and of one slice of a search. */
const ROWS_PER_MESSAGE = 128
const ROWS_PER_SLICE = 1_024

export interface AuditServiceOptions {
  readonly registry: Pick<RpcRegistry, 'method' | 'stream'>
  readonly log: NodeAuditLog
  readonly checkpoints: Checkpointer
  readonly book: WitnessBook
  /** Rejects when the caller may not read the audit: of an object, or of everything. */
  readonly mayRead: (context: CallContext, object: string | undefined) => Promise<void>
}

/** A node's log as whoever verifies or exports it reads it. */
export interface ChainSource {
  readonly cut: Cut | undefined
  readonly own: readonly Checkpoint[]
  rows(): AsyncIterable<readonly string[]>
}

/** Own log: checkpoints as of now, then the rows, at least as many as they cover. */
export function ownChain({ log, checkpoints }: Pick<AuditServiceOptions, 'log' | 'checkpoints'>): ChainSource {
  const own = checkpoints.own()
  const cut = log.cut()
  return {
    own, cut,
    async *rows() {
      const { size } = log.head()
      for (let seq = (cut?.size ?? 0) + 1; seq <= size; seq += ROWS_PER_MESSAGE) {
        yield log.stored(seq, Math.min(ROWS_PER_MESSAGE, size - seq + 1))
        await nextTurn()
      }
    },
  }
}

/** The newest rows that match, oldest first. */
async function search(log: NodeAuditLog, query: AuditQuery, upTo: number): Promise<readonly string[]> {
  const matches = matcher(query)
  const found: string[] = []
  const oldest = (log.cut()?.size ?? 0) + 1
  for (let to = upTo; to >= oldest && found.length < query.limit; to -= ROWS_PER_SLICE) {
    const from = Math.max(oldest, to - ROWS_PER_SLICE + 1)
    const slice = log.stored(from, to - from + 1)
    for (const row of slice.toReversed()) {
      const entry = entryOf(row)
      // Times never go down: what is before it is older still.
      if (entry.atMs < (query.sinceMs ?? 0)) return found.reverse()
      if (found.length < query.limit && matches(entry)) found.push(row)
    }
    await nextTurn()
  }
  return found.reverse()
}

/** Records by a filter: the last ones, an empty message when they are all told, then those that come. */
export async function serveEntries(log: NodeAuditLog, query: AuditQuery, signal: AbortSignal, send: (rows: readonly string[]) => Promise<void>): Promise<void> {
  await log.flush()
  let told = log.head().size
  const last = await search(log, query, told)
  for (let at = 0; at < last.length; at += ROWS_PER_MESSAGE) await send(last.slice(at, at + ROWS_PER_MESSAGE))
  await send([])
  if (!query.follow) return
  const matches = matcher(query)
  let wake = Promise.withResolvers<void>()
  const unsubscribe = log.onWritten(() => wake.resolve())
  const over = (): void => wake.resolve()
  signal.addEventListener('abort', over, { once: true })
  try {
    while (!signal.aborted) {
      // A reader that is slower than the log falls behind, and reads on from the disk.
      const rows = log.stored(told + 1, ROWS_PER_MESSAGE)
      told += rows.length
      const wanted = rows.filter((row) => matches(entryOf(row)))
      if (wanted.length > 0) await send(wanted)
      if (rows.length > 0) continue
      await wake.promise
      wake = Promise.withResolvers<void>()
    }
  } finally {
    unsubscribe()
    signal.removeEventListener('abort', over)
  }
}

export function serveAudit({ registry, log, checkpoints, book, mayRead }: AuditServiceOptions): void {
  registry.method(AUDIT_METHODS.witness, async (body, { caller }) => {
    const { checkpoint, from, digests } = fieldsOf(body)
    const shown = readCheckpoint(checkpoint)
    if (caller.via !== 'link' || shown?.node !== caller.node || typeof from !== 'number' || !(digests instanceof Uint8Array)) throw RMO.ARGUMENT_INVALID({ call: AUDIT_METHODS.witness, path: 'checkpoint', expected: 'a checkpoint of the member that shows it', got: 'something else' })
    return await book.show({ shown, from, digests }) ?? null
  })
  registry.method(AUDIT_METHODS.witnessed, async (body, context): Promise<Witnessed> => {
    await mayRead(context, undefined)
    return book.of(readNode(body) ?? '')
  })
  registry.method(AUDIT_METHODS.settle, async (_body, context) => {
    await mayRead(context, undefined)
    await checkpoints.settle()
    return null
  })
  registry.stream(AUDIT_METHODS.chain, async (_body, context, stream: RpcStream) => {
    await mayRead(context, undefined)
    const { cut, own, rows } = ownChain({ log, checkpoints })
    await stream.write({ cut: cut ?? null, own })
    for await (const some of rows()) await stream.write(some)
    return null
  })
  registry.stream(AUDIT_METHODS.entries, async (body, context, stream: RpcStream) => {
    const query = readQuery(body)
    await mayRead(context, query.object)
    await serveEntries(log, { ...query, limit: Math.min(query.limit, LIMITS.auditAnswerMax) }, context.signal, (rows) => stream.write(rows))
    return null
  })
}
