// The edge of checkpoints: signs one when the log has grown, keeps it, and brings it to its witnesses, with the proof that it
// goes on from the last one they have.
//
//   log written -> 10 records, or 1 s -> checkpoint on disk -> audit.witness -> first witnesses of the ranking that take it
//
// Invariants: one message under way per witness (under load a checkpoint covers more records, none is left out); what could
// not be told is told again; ordinals have no gaps. At a start the last checkpoint is shown again: a witness that knows of
// a later one says so, and that is logged as what it is.

import { createHash } from 'node:crypto'
import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Timer } from '../../fabric/base.ts'
import type { LocalStore, Member } from '../../fabric/mod.ts'
import { digestOfStored, sequenceText } from './chain.ts'
import { signCheckpoint } from './checkpoint.ts'
import type { AuditSigner, Checkpoint } from './checkpoint.ts'
import type { NodeAuditLog } from './log.ts'
import type { WitnessAnswer } from './witness.ts'

export interface CheckpointerOptions {
  readonly log: NodeAuditLog
  readonly store: LocalStore
  readonly signer: AuditSigner
  readonly clock: Clock
  readonly members: () => readonly Pick<Member, 'id' | 'name' | 'state'>[]
  /** Shows a checkpoint to a member. */
  readonly show: (node: NodeId, message: { readonly shown: Checkpoint; readonly from: number; readonly digests: Uint8Array }) => Promise<WitnessAnswer | undefined>
  readonly warn: (message: string, about: Readonly<Record<string, unknown>>) => void
}
export interface Checkpointer {
  /** Begins to follow the log. */
  start(): void
  /** Own checkpoints, oldest first. */
  own(): readonly Checkpoint[]
  /** What is in the log now is on record with as many witnesses as can be had; for a verification and before a stop. */
  settle(): Promise<void>
  stop(): Promise<void>
}

const PREFIX = 'checkpoint/'

/** Who witnesses whom: by a hash of both, so that a node keeps its witnesses and nobody is everybody's. */
export function witnessesOf(node: NodeId, members: readonly NodeId[]): readonly NodeId[] {
  const rank = (other: NodeId): string => createHash('sha256').update(`${node}${other}`).digest('hex')
  return members.filter((id) => id !== node).map((id) => ({ id, rank: rank(id) })).sort((a, b) => (a.rank < b.rank ? -1 : 1)).map(({ id }) => id)
}

export function createCheckpointer({ log, store, signer, clock, members, show, warn }: CheckpointerOptions): Checkpointer {
  const own = (): readonly Checkpoint[] => store.range({ prefix: PREFIX, limit: LIMITS.auditCheckpointsKept }).map(({ value }) => JSON.parse(value) as Checkpoint)
  let latest = own().at(-1)
  /** Ordinal that each witness has. */
  const told = new Map<NodeId, number>()
  const refused = new Set<NodeId>()
  let timer: Timer | undefined
  let retry: Timer | undefined
  let busy: Promise<void> | undefined
  let unsubscribe = (): void => {}
  let stopped = false

  const sign = async (): Promise<void> => {
    const { size, head } = log.head()
    if (size === 0 || size === latest?.size) return
    const ordinal = (latest?.ordinal ?? 0) + 1
    const next = signCheckpoint({ node: log.node, ordinal, size, head, atMs: Math.round(clock.wallMs()) }, signer)
    await store.write([{ key: `${PREFIX}${sequenceText(ordinal)}`, value: JSON.stringify(next) }, { key: `${PREFIX}${sequenceText(Math.max(0, ordinal - LIMITS.auditCheckpointsKept))}`, value: undefined }])
    latest = next
  }

  /** Answers whether the witness has it now. */
  const bring = async (node: NodeId, shown: Checkpoint): Promise<boolean> => {
    let from = own().findLast(({ ordinal }) => ordinal === told.get(node))?.size ?? shown.size
    for (let begun = 0; ;) {
      const digests = Buffer.concat(log.stored(from + 1, Math.min(LIMITS.auditProofRecords, shown.size - from)).map(digestOfStored))
      const answer = await show(node, { shown, from, digests })
      if (answer === undefined) return false
      if (answer.answer === 'kept' || answer.answer === 'known') return true
      if (answer.answer === 'contradiction') {
        warn('a witness has a checkpoint of this node that its log contradicts: the log was taken back or written anew', { witness: node.slice(0, 8), ordinal: answer.ordinal, records: answer.size })
        refused.add(node)
        return false
      }
      // Twice asked to begin anew, or what it asks for is not kept any more: it and the log do not go together.
      if (answer.answer === 'prove' && (begun++ > 1 || answer.from < (log.cut()?.size ?? 0) || answer.from > shown.size)) {
        warn('a witness does not take checkpoints of this node: its newest one cannot be gone on from', { witness: node.slice(0, 8), records: answer.from })
        refused.add(node)
        return false
      }
      from = answer.from
    }
  }

  const live = (): readonly NodeId[] => members().filter(({ state }) => state === 'alive' || state === 'suspect').map(({ id }) => id)
  const bringAll = async (): Promise<void> => {
    const shown = latest
    if (shown === undefined) return
    const candidates = witnessesOf(log.node, live()).filter((id) => !refused.has(id))
    let have = 0
    let failed = 0
    for (const node of candidates) {
      if (have >= LIMITS.auditWitnesses || stopped) break
      if (told.get(node) === shown.ordinal) { have++; continue }
      const took = await bring(node, shown).catch(() => { failed++; return false })
      if (!took) continue
      told.set(node, shown.ordinal)
      have++
    }
    if (failed > 0 && have < LIMITS.auditWitnesses && !stopped) retry ??= clock.after(LIMITS.auditWitnessRetryMs, () => { retry = undefined; void run() }, { background: true })
  }

  const round = async (): Promise<void> => {
    do {
      await sign()
      await bringAll()
    } while (!stopped && log.head().size - (latest?.size ?? 0) >= LIMITS.auditCheckpointRecords)
  }
  const run = (): Promise<void> => {
    timer?.cancel()
    timer = undefined
    if (busy === undefined) {
      const work = round().catch((error: unknown) => warn('a checkpoint of the audit log could not be made', { reason: String(error) }))
      busy = work.finally(() => {
        busy = undefined
        if (log.head().size > (latest?.size ?? 0)) soon()
      })
    }
    return busy
  }
  const soon = (): void => {
    if (stopped || busy !== undefined) return
    if (log.head().size - (latest?.size ?? 0) >= LIMITS.auditCheckpointRecords) void run()
    else timer ??= clock.after(LIMITS.auditCheckpointMs, () => void run(), { background: true })
  }

  return {
    own,
    start() {
      unsubscribe = log.onWritten(soon)
      void run()
    },
    async settle() {
      await log.flush().catch(() => {})
      await busy
      await run()
    },
    async stop() {
      unsubscribe()
      stopped = true
      timer?.cancel()
      retry?.cancel()
      await busy
    },
  }
}
