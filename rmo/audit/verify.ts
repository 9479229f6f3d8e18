// The judgement of one node's log, pure: its records against its own checkpoints, and both against what its witnesses have.
//
// What is found by what: a record that was changed, taken out or moved, by the chain; a chain made anew without the node's key,
// by its own checkpoints; a tail that was cut off, or a chain made anew with the key, by the witnesses. Nothing finds what
// no witness was told of: the records of the last second (LIMITS.auditCheckpointMs), at most nine when there is time between them.
// Who verifies asks the witnesses first, then the node: the log has then at least what they have. Source: reliability.md 4.5.

import { LIMITS } from '../../fabric/base.ts'
import { createChainReader, startOf } from './chain.ts'
import type { ChainFault, ChainReader } from './chain.ts'
import { checkpointHolds, cutHolds } from './checkpoint.ts'
import type { AuditVerifier, Checkpoint, Cut } from './checkpoint.ts'
import type { Witnessed } from './witness.ts'

export type AuditFault = ChainFault | 'truncated' | 'checkpoint-false' | 'checkpoint-missing' | 'contradiction' | 'cut-false' | 'witness-false'
export interface AuditFinding { readonly fault: AuditFault; /** Record that it is about, 0 when none. */ readonly seq: number; readonly text: string }

/** What one member has of the log; `has` undefined: it could not be asked. */
export interface WitnessWord { readonly node: string; readonly name: string; readonly has: Witnessed | undefined; readonly error?: string }
export interface WitnessRow {
  readonly node: string
  readonly name: string
  /** 'nothing': it was never told of this node. */
  readonly says: 'agrees' | 'contradicts' | 'nothing' | 'away'
  /** Records that its newest checkpoint covers. */
  readonly size: number
}
export interface AuditReport {
  readonly node: string
  readonly name: string
  /** Records ever, and before the first one that is kept. */
  readonly records: number
  readonly dropped: number
  readonly head: string
  readonly checkpoints: number
  /** Acts under way. */
  readonly unmatched: number
  readonly witnesses: readonly WitnessRow[]
  readonly findings: readonly AuditFinding[]
  /** 'unwitnessed': nothing is wrong, and nobody else could tell. 'away': the node could not be asked. */
  readonly verdict: 'sound' | 'tampered' | 'unwitnessed' | 'away'
  readonly error?: string
}

export interface AuditCase {
  readonly node: string
  readonly name: string
  readonly cut: Cut | undefined
  /** The node's own. */
  readonly own: readonly Checkpoint[]
  readonly words: readonly WitnessWord[]
  readonly verifier: AuditVerifier
  /** What the node keeps at least when it drops its old end; default LIMITS.auditRecordsMax. */
  readonly recordsMax?: number
}
export interface AuditJudge {
  /** The next record as stored. */
  take(stored: string): void
  report(): AuditReport
}

const FINDINGS_MAX = 20

export const awayReport = (node: string, name: string, error: string): AuditReport =>
  ({ node, name, records: 0, dropped: 0, head: '', checkpoints: 0, unmatched: 0, witnesses: [], findings: [], verdict: 'away', error })

export function judgeAudit({ node, name, cut, own, words, verifier, recordsMax = LIMITS.auditRecordsMax }: AuditCase): AuditJudge {
  const from = cut ?? { size: 0, head: startOf(node) }
  const shown = words.flatMap(({ has }) => has?.checkpoints ?? [])
  const reader: ChainReader = createChainReader({ node, from, wanted: new Set([...own, ...shown].map(({ size }) => size)) })

  return {
    take: (stored) => reader.take(stored),
    report() {
      const { head, heads, findings: chain, unmatched } = reader.end()
      const findings: AuditFinding[] = [...chain]
      const note = (fault: AuditFault, seq: number, text: string): void => { if (findings.length < FINDINGS_MAX) findings.push({ fault, seq, text }) }
      const genuine = (checkpoint: Checkpoint): boolean => checkpoint.node === node && checkpointHolds(checkpoint, verifier)

      /** Whether the log is what a checkpoint says it was. */
      const against = (checkpoint: Checkpoint, whose: string): boolean => {
        const { size } = checkpoint
        if (size > head.size) {
          note('truncated', head.size + 1, `${whose} says there were ${size} records; there are ${head.size}`)
          return false
        }
        if (size < from.size || heads.get(size) === checkpoint.head) return true
        note('rewritten', size, `${whose} has another hash of record ${size}: it, or one before it, was rewritten`)
        return false
      }

      if (cut !== undefined) {
        if (cut.node !== node || !cutHolds(cut, verifier)) note('cut-false', cut.size, `what says that records up to ${cut.size} were dropped for their age is not signed by this node`)
        else if (head.size - cut.size < recordsMax) note('cut-false', cut.size, `records up to ${cut.size} were dropped, and only ${head.size - cut.size} are left: they were not too many`)
      }

      const last = own.at(-1)
      if (head.size > 0 && last === undefined) note('checkpoint-missing', 0, 'the node has records and no checkpoint of its own')
      if (last !== undefined && own.length < Math.min(last.ordinal, LIMITS.auditCheckpointsKept)) note('checkpoint-missing', last.size, `${own.length} of its own checkpoints are left where there should be ${Math.min(last.ordinal, LIMITS.auditCheckpointsKept)}`)
      own.forEach((checkpoint, n) => {
        const before = own[n - 1]
        if (!genuine(checkpoint)) note('checkpoint-false', checkpoint.size, `its own checkpoint ${checkpoint.ordinal} is not signed by this node`)
        else if (before !== undefined && (checkpoint.ordinal !== before.ordinal + 1 || checkpoint.size < before.size)) note('checkpoint-missing', checkpoint.size, `its own checkpoint ${checkpoint.ordinal} does not go on from ${before.ordinal}`)
        else against(checkpoint, `its own checkpoint ${checkpoint.ordinal}`)
      })

      const witnesses = words.map(({ node: witness, name: witnessName, has }): WitnessRow => {
        if (has === undefined) return { node: witness, name: witnessName, says: 'away', size: 0 }
        let agrees = true
        for (const checkpoint of has.checkpoints) {
          if (!genuine(checkpoint)) {
            note('witness-false', checkpoint.size, `${witnessName} shows a checkpoint that this node has not signed`)
            agrees = false
            continue
          }
          agrees = against(checkpoint, `checkpoint ${checkpoint.ordinal} with ${witnessName}`) && agrees
          const mine = own.find(({ ordinal }) => ordinal === checkpoint.ordinal)
          if (checkpoint.ordinal > (last?.ordinal ?? 0)) note('checkpoint-missing', checkpoint.size, `${witnessName} has checkpoint ${checkpoint.ordinal}; the node's own end at ${last?.ordinal ?? 0}`)
          else if (mine !== undefined && (mine.size !== checkpoint.size || mine.head !== checkpoint.head)) note('contradiction', checkpoint.size, `checkpoint ${checkpoint.ordinal} with ${witnessName} is another one than the node's own`)
          else continue
          agrees = false
        }
        for (const { held, shown: second } of has.contradictions) {
          if (!genuine(held) || !genuine(second)) continue
          note('contradiction', held.size, `${witnessName} was shown checkpoints ${held.ordinal} (${held.size} records) and ${second.ordinal} (${second.size} records) of this node, which contradict each other`)
          agrees = false
        }
        const size = has.checkpoints.at(-1)?.size ?? 0
        return { node: witness, name: witnessName, says: !agrees ? 'contradicts' : has.checkpoints.length === 0 ? 'nothing' : 'agrees', size }
      })
      const verdict = findings.length > 0 ? 'tampered' : witnesses.some(({ says }) => says === 'agrees') ? 'sound' : 'unwitnessed'
      return { node, name, records: head.size, dropped: from.size, head: head.head, checkpoints: own.length, unmatched, witnesses, findings, verdict }
    },
  }
}
