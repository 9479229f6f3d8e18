// What a node keeps of the logs of others, pure: it believes a checkpoint that goes on from the last one it has, and shows
// what contradicts it.
//
//   node --checkpoint, digests of the records since--> witness: its newest head, followed along the digests, must be the new one
//
// So a log that was taken back, or written anew, cannot make a witness forget what it had: its newest stays, unproven ones are
// asked for their proof, and two signed ones that contradict each other are kept as evidence. A witness never goes back in
// size or ordinal. The first checkpoint of a node is believed as it is.

import { LIMITS } from '../../fabric/base.ts'
import { follow } from './chain.ts'
import type { ChainHead } from './chain.ts'
import type { Checkpoint } from './checkpoint.ts'

/** `held` was kept before; `shown` is signed by the same node and cannot be true as well. */
export interface Contradiction { readonly held: Checkpoint; readonly shown: Checkpoint }
export interface Witnessed {
  /** Oldest first; the last one is what counts. */
  readonly checkpoints: readonly Checkpoint[]
  readonly contradictions: readonly Contradiction[]
}
export const NOTHING_WITNESSED: Witnessed = { checkpoints: [], contradictions: [] }

/** 'more': the proof is right so far, go on from `from`; 'prove': begin it at `from`. */
export type WitnessAnswer =
  | { readonly answer: 'kept' }
  | { readonly answer: 'known' }
  | { readonly answer: 'more'; readonly from: number }
  | { readonly answer: 'prove'; readonly from: number }
  | { readonly answer: 'contradiction'; readonly ordinal: number; readonly size: number }

export interface WitnessStep {
  readonly state: Witnessed
  readonly answer: WitnessAnswer
  /** How far a proof has come that is not whole yet. */
  readonly progress?: ChainHead
}

const contradicts = (held: Checkpoint, shown: Checkpoint): boolean => {
  if (shown.ordinal === held.ordinal || shown.size === held.size) return shown.head !== held.head || shown.size !== held.size
  return (shown.ordinal > held.ordinal) !== (shown.size > held.size)
}

/** One message of the node: a checkpoint whose signature was found good, and digests of the records after `from`. */
export function witness(state: Witnessed, { shown, from, digests, progress }: { readonly shown: Checkpoint; readonly from: number; readonly digests: Uint8Array; readonly progress?: ChainHead | undefined }): WitnessStep {
  const keep = (): WitnessStep => ({ state: { ...state, checkpoints: [...state.checkpoints, shown].slice(-LIMITS.auditCheckpointsKept) }, answer: { answer: 'kept' } })
  const newest = state.checkpoints.at(-1)
  if (newest === undefined) return keep()
  const against = state.checkpoints.find((held) => contradicts(held, shown))
  if (against !== undefined) {
    const known = state.contradictions.some(({ shown: before }) => before.signature === shown.signature)
    const contradictions = known || state.contradictions.length >= LIMITS.auditConflictsKept ? state.contradictions : [...state.contradictions, { held: against, shown }]
    return { state: { ...state, contradictions }, answer: { answer: 'contradiction', ordinal: newest.ordinal, size: newest.size } }
  }
  if (shown.ordinal <= newest.ordinal) return { state, answer: { answer: 'known' } }
  if (shown.size === newest.size) return keep()
  const start = progress?.size === from ? progress : newest
  if (start.size !== from) return { state, answer: { answer: 'prove', from: newest.size } }
  const reached = follow(start, digests)
  if (reached.size < shown.size && digests.byteLength > 0) return { state, progress: { size: reached.size, head: reached.head }, answer: { answer: 'more', from: reached.size } }
  if (reached.size === shown.size && reached.head === shown.head) return keep()
  return { state, answer: { answer: 'prove', from: newest.size } }
}
